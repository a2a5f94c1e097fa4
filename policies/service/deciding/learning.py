"""What users did: outcomes of decisions, events, facts; written into their records within one transaction."""

from __future__ import annotations

import datetime as dt

from policies.limits import CHANNELS
from policies.moments import time_zone
from policies.runtime.app import OSES, STAGES, Users
from policies.runtime.runtime import milliseconds as ms_of
from policies.runtime.user import MS_AN_HOUR, User
from policies.service.deciding.answering import MINUTE_MS, Answering
from policies.service.messages import Event, Facts, Outcome, OutcomesAnswer
from policies.service.state.group_commit import RefusedError
from policies.service.state.unit import OutcomeRow, Tally, Unit
from policies.strict_json import did_you_mean

NANO = 1e9
# What can come of a message more than once; told twice is what is told again with the same time.
REPEATED = frozenset({"session", "conversion", "payment", "survey"})


def take_outcomes(answering: Answering, unit: Unit, outcomes: list[Outcome], now_ms: int) -> OutcomesAnswer:
    """Write down what followed decisions.

    An outcome that is known already is passed over, so that telling it twice does no harm; one of a decision that is
    not kept (any more) is named in the answer.
    """
    n_accepted = n_known = 0
    unknown = []
    kinds = {known[:2] for known in unit.outcomes}
    for outcome in outcomes:
        decision = unit.decisions.get(int(outcome.decision_id, 16))
        if decision is None:
            unknown.append(outcome.decision_id)
            continue
        at_ms = now_ms if outcome.at is None else min(milliseconds(outcome.at), now_ms)
        key = decision.decision_id, outcome.kind
        if (*key, at_ms) in unit.outcomes or (key in kinds and outcome.kind not in REPEATED):
            n_known += 1
            continue
        kinds.add(key)
        user = answering.user_of(unit, decision.user_key, now_ms)
        _apply_outcome(user, outcome, decision.channel, at_ms)
        unit.put_user(decision.user_key, user.packed(), user.last_ms)
        amount = round(outcome.amount_eur * NANO)
        unit.put_outcome(OutcomeRow(decision.decision_id, decision.user_key, outcome.kind, at_ms, amount))
        unit.tallies[Tally(now_ms // MINUTE_MS, decision.policy_hash, decision.campaign, outcome.kind)] += 1
        n_accepted += 1
    return OutcomesAnswer(accepted=n_accepted, known=n_known, unknown=tuple(unknown))


def _apply_outcome(user: User, outcome: Outcome, channel: int, at_ms: int) -> None:
    is_sent = channel >= 0
    match outcome.kind:
        case "opened" if is_sent:
            user.opened(channel)
        case "session":
            user.had_session(at_ms)
        case "conversion":
            user.ordered(at_ms)
            if outcome.is_paid:
                user.paid(at_ms)
        case "payment":
            user.paid(at_ms)
        case "opt_out" | "complaint":
            user.withdraws(channel if is_sent else None)
        case "opt_in" if is_sent:
            user.permits(channel)
        case "churn":
            user.withdraws()


def take_event(answering: Answering, unit: Unit, user_key: bytes, event: Event, now_ms: int) -> None:
    """Write down what a user did.

    Raises:
        RefusedError: the event lacks what its kind needs; nothing was written.
    """
    if event.kind in ("opt_in", "opt_out") and event.channel is None:
        raise RefusedError(422, "invalid", f"events: channel: missing; an {event.kind} is of one channel")
    if event.kind in ("browse", "cart", "order") and event.category is None:
        raise RefusedError(422, "invalid", f"events: category: missing; a {event.kind} is of one category, 0 to 7")
    at_ms = now_ms if event.at is None else min(milliseconds(event.at), now_ms)  # no history from the future
    user = answering.user_of(unit, user_key, now_ms)
    channel = CHANNELS.index(event.channel or CHANNELS[0])
    match event.kind:
        case "session":
            user.had_session(at_ms)
        case "browse" | "cart" | "order":
            user.showed_interest(event.kind, event.category or 0, at_ms)
        case "payment":
            user.paid(at_ms)
        case "opt_in":
            user.permits(channel)
        case "opt_out":
            user.withdraws(channel)
    unit.put_user(user_key, user.packed(), user.last_ms)


def take_facts(answering: Answering, unit: Unit, user_key: bytes, facts: Facts, now_ms: int) -> None:
    """Write down what is known of a user by other means.

    Raises:
        RefusedError: no such time zone, segment or tier; nothing was written.
    """
    users = answering.catalogue.app.users
    user = answering.user_of(unit, user_key, now_ms)
    person = user.person
    if facts.time_zone is not None:
        try:
            user.zone = time_zone(facts.time_zone).key
        except ValueError as fault:
            raise RefusedError(422, "invalid", str(fault)) from None
    if facts.segment is not None:
        person.segment = _place("segment", facts.segment, users)
    if facts.tier is not None:
        person.tier = _place("tier", facts.tier, users)
    if facts.installed_at is not None:
        person.installed_hours = milliseconds(facts.installed_at) / MS_AN_HOUR
    if facts.permitted is not None:
        person.seen_opted_in = sum(1 << CHANNELS.index(name) for name in set(facts.permitted))
    if facts.has_consent is not None:
        person.has_consent = int(facts.has_consent)
    if facts.muted_categories is not None:
        person.muted_categories = sum(1 << category for category in set(facts.muted_categories))
    if facts.stage is not None:
        person.stage = STAGES.index(facts.stage)
    if facts.os is not None:
        person.os = OSES.index(facts.os)
    unit.put_user(user_key, user.packed(), user.last_ms)


def _place(what: str, name: str, users: Users) -> int:
    known: tuple[str, ...] = getattr(users, f"{what}s")
    if name not in known:
        words = ", ".join(known) or "none"
        raise RefusedError(
            422, "invalid", f"{what}: expected one of the settings' ({words}), got {name!r}.{did_you_mean(name, known)}"
        )
    return known.index(name)


def milliseconds(at: dt.datetime) -> int:
    """Return milliseconds since 1970.

    Raises:
        RefusedError: the time has no time zone, or lies before 1970 or after 2200.
    """
    try:
        return ms_of(at)
    except ValueError as fault:
        raise RefusedError(422, "invalid", str(fault)) from None
