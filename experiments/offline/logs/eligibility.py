"""Which logged actions an app's limits would have left open: the constraint engine, asked for each decision of a log.

A table tells what was done, and seldom what could have been done. Here each user's sends are lived through in the order
of time, and before each decision the engine that production runs (`policies.constraints`) says which actions caps,
gaps and quiet hours leave, and why not the others. What was sent is the log's; a policy that would have sent otherwise
would have met other caps, which no log of single decisions can tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.offline.logs.logged import Bools, Floats, LoggedRounds
from policies.constraints import (
    CAMPAIGN_FIELDS,
    ELIGIBLE,
    LOCATION,
    PERSON_FIELDS,
    SCHEDULED,
    TRANSACTIONAL,
    say,
    suppression,
)
from policies.history import LONG_AGO, N_COUNTERS, blank_history, record_send
from policies.limits import CHANNELS, Constraints
from policies.moments import EPOCH, moment_at, send_hour, time_zone
from policies.structs import Struct, blank
from simulator.config import did_you_mean

FOR_EVER = 2**31 - 1
EVERYBODY = 0xFF


@dataclass(frozen=True)
class Send:
    """What an action of a log sends.

    Attributes:
        channel: `push`, `email`, `in_app` or `sms`.
        tags: of the message, that caps may look at.
        is_transactional: about the user's own order; limits may let it pass.
    """

    channel: str
    tags: tuple[str, ...] = ()
    is_transactional: bool = False


@dataclass(frozen=True, eq=False)
class Constrained:
    """What limits leave of a log's actions.

    Attributes:
        eligible: shape (N, A); what sends nothing always is.
        reasons: why not, as `policies.constraints` numbers it, 0 for eligible, shape (N, A).
        cap_names: for `say`.
        taken_against: rows in which the log did what the limits forbid.
    """

    eligible: Bools
    reasons: npt.NDArray[np.int64]
    cap_names: tuple[str, ...]
    taken_against: npt.NDArray[np.int64]

    def say(self, row: int, action: int) -> str:
        """Return in words why an action was held back, or `eligible`."""
        return say(int(self.reasons[row, action]), self.cap_names)


def constrained(
    rounds: LoggedRounds,
    limits: Constraints,
    sends: Mapping[str, Send | None],
    *,
    zone: str | Sequence[str] = "UTC",
    project_zone: str = "UTC",
    hour_zero: dt.datetime = EPOCH,
) -> Constrained:
    """Return which actions the limits leave open in each round.

    Args:
        rounds: with users and hours.
        limits: of the app.
        sends: what each action sends, by its name; None: nothing.
        zone: of all users, or one a round; IANA names.
        project_zone: of limits that go by the project's clock.
        hour_zero: what hour 0 of the log is.

    Raises:
        ValueError: users or hours are not known; an action is missing from `sends`, or unknown; no such time zone or
            channel.
    """
    if rounds.users is None or rounds.hours is None:
        missing = "users" if rounds.users is None else "hours"
        raise ValueError(f"constrained: expected a log with users and hours, got one without {missing}")
    actions = _campaigns(rounds.action_names, sends, limits)
    zones = [zone] * len(rounds) if isinstance(zone, str) else list(zone)
    if len(zones) != len(rounds):
        raise ValueError(f"zone: expected one, or {len(rounds)}, one a round; got {len(zones)}")
    known = {name: time_zone(name) for name in {*zones, project_zone}}
    rules = limits.rules()
    person = _anybody()
    reasons = np.full((len(rounds), rounds.n_actions), ELIGIBLE, np.int64)
    for user_rows in _by_user(rounds.users, rounds.hours):
        history = blank_history()
        for row in user_rows:
            when = hour_zero + dt.timedelta(hours=float(rounds.hours[row]))
            moment = moment_at(when, known[zones[row]], known[project_zone], hour_zero=hour_zero)
            for action, sent in enumerate(actions):
                if sent is not None:
                    reasons[row, action] = suppression(
                        rules, history, person, sent[0], moment, sent[1], is_in_context=True, is_paid_for=True
                    )
            taken = actions[int(rounds.actions[row])]
            if taken is not None:
                campaign, channel = taken
                is_uncounted = int((int(rules.passes_caps) >> int(campaign.kind)) & 1)
                hour = send_hour(when, hour_zero)
                record_send(history, hour, channel, int(campaign.tags), is_uncounted, 0, N_COUNTERS)
    eligible = reasons == ELIGIBLE
    against = np.flatnonzero(~eligible[np.arange(len(rounds)), rounds.actions])
    return Constrained(eligible, reasons, limits.cap_names, against)


def within(target: Floats, eligible: Bools, otherwise: int) -> Floats:
    """Return a policy that does something else where its action is held back: mostly, nothing.

    Args:
        target: probabilities, shape (N, A).
        eligible: shape (N, A); `otherwise` always is.
        otherwise: index of the action that takes the probability of those held back.

    Raises:
        ValueError: `otherwise` is held back somewhere.
    """
    if not eligible[:, otherwise].all():
        row = int(eligible[:, otherwise].argmin())
        raise ValueError(f"within: otherwise: expected an action that is always eligible, got {otherwise}, row {row}")
    found = np.where(eligible, target, 0.0)
    found[:, otherwise] += 1.0 - found.sum(axis=1)
    return found


def _campaigns(
    names: tuple[str, ...], sends: Mapping[str, Send | None], limits: Constraints
) -> list[tuple[Struct, int] | None]:
    """Return each action's campaign, as the engine reads it, and its channel; None for one that sends nothing."""
    if unknown := sorted(sends.keys() - set(names)):
        raise ValueError(f"sends: expected actions of the log, got {unknown[0]!r}.{did_you_mean(unknown[0], names)}")
    if missing := [name for name in names if name not in sends]:
        raise ValueError(f"sends: expected what each action sends, or None; got nothing for {missing[0]!r}")
    found: list[tuple[Struct, int] | None] = []
    for name in names:
        sent = sends[name]
        if sent is None:
            found.append(None)
            continue
        if sent.channel not in CHANNELS:
            hint = did_you_mean(sent.channel, CHANNELS)
            raise ValueError(
                f"sends: {name}: channel: expected one of {', '.join(CHANNELS)}, got {sent.channel!r}.{hint}"
            )
        campaign, channel = blank(CAMPAIGN_FIELDS), CHANNELS.index(sent.channel)
        campaign.kind = TRANSACTIONAL if sent.is_transactional else SCHEDULED
        campaign.trigger = LOCATION  # what is about an order is open whenever the log could send it
        campaign.channels, campaign.tags = 1 << channel, limits.tag_bits(sent.tags)
        campaign.counter, campaign.end_hour, campaign.expiry_hours = N_COUNTERS, FOR_EVER, FOR_EVER
        campaign.segments = campaign.tiers = campaign.stages = campaign.oses = EVERYBODY
        found.append((campaign, channel))
    return found


def _anybody() -> Struct:
    """Return a user who permits everything: what a table does not tell, it does not limit."""
    person = blank(PERSON_FIELDS)
    person.seen_opted_in = (1 << len(CHANNELS)) - 1
    person.browse_hour = person.cart_hour = LONG_AGO
    person.order_hour = LONG_AGO
    return person


def _by_user(users: npt.NDArray[np.int64], hours: Floats) -> Iterator[list[int]]:
    """Yield each user's rows, in the order of time; those of the same hour in the log's order."""
    order = np.lexsort((np.arange(len(users)), hours, users))
    edges = np.flatnonzero(np.diff(users[order])) + 1
    for rows in np.split(order, edges):
        yield rows.tolist()
