"""One call from a user's history to a decision: limits, features, the policy's choice, and the send written down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policies.decide import Policy
from policies.limits import CHANNELS
from policies.moments import time_zone
from policies.runtime.app import App
from policies.runtime.catalogue import Catalogue
from policies.runtime.fitted import Fitted, Wish
from policies.runtime.user import User
from policies.strict_json import did_you_mean
from policies.vocabulary import action_names


class ClockError(ValueError):
    """A clock that went back further than may be passed over."""


@dataclass(frozen=True)
class Answer:
    """A decision for a user.

    Attributes:
        send: the campaign to send; None: nothing.
        channel: on which; None: nothing.
        action, propensity, probabilities, reasons: as in `policies.decide`.
        candidates: the campaigns in the policy's slots.
        suppressed: (campaign, channel, why not) of what could not be sent; channel "": on none.
    """

    send: str | None
    channel: str | None
    action: int
    action_name: str
    propensity: float
    probabilities: tuple[float, ...]
    reasons: tuple[str, ...]
    candidates: tuple[str, ...]
    suppressed: tuple[tuple[str, str, str], ...]


class Runtime:
    """A policy and an app; it holds no user's state, so threads may share it, each with users of its own.

    Args:
        policy: made ready by `policies.decide.load`.
        app: its campaigns, limits and clocks.
        counters: under which number histories remember campaigns; see `Catalogue`. Keep them with the users.
        clock_step_seconds: by which time may go back for a user.

    Raises:
        ValueError: policy and app do not fit.
    """

    def __init__(
        self,
        policy: Policy,
        app: App,
        *,
        counters: dict[str, int] | None = None,
        clock_step_seconds: float = 120.0,
    ) -> None:
        self.catalogue = Catalogue(app, counters)
        self.fitted = Fitted(policy, self.catalogue)
        self._names = action_names(policy.document.n_slots)
        self._clock_step_ms = clock_step_seconds * 1e3

    def new_user(
        self,
        now: dt.datetime,
        *,
        permitted: Iterable[str] | None = None,
        zone: str | None = None,
        segment: str | None = None,
        tier: str | None = None,
        has_consent: bool = False,
    ) -> User:
        """Return somebody who was not known before, first seen now.

        Args:
            permitted: channels; None: the app's default.
            zone: IANA name of the user's time zone; None: the app's default.
            segment, tier: of the app's users.

        Raises:
            ValueError: no such channel, time zone, segment or tier.
        """
        users = self.catalogue.app.users
        user = User.new(users, milliseconds(now))
        user.person.has_consent = int(has_consent)
        if zone is not None:
            user.zone = time_zone(zone).key
        if permitted is not None:
            user.person.seen_opted_in = 0
            for name in permitted:
                user.permits(_place("permitted", name, CHANNELS))
        if segment is not None:
            user.person.segment = _place("segment", segment, users.segments)
        if tier is not None:
            user.person.tier = _place("tier", tier, users.tiers)
        return user

    def decide(
        self,
        user: User,
        now: dt.datetime,
        wishes: Sequence[Wish] | None = None,
        *,
        uniform: float,
        explain: bool = True,
    ) -> Answer:
        """Decide for a user; what is sent is written into the user's history.

        Args:
            now: with a time zone.
            wishes: what may be sent; None: every campaign of the app.
            uniform: drawn by the caller, in [0, 1).
            explain: whether reasons are wanted.

        Raises:
            QuestionError: no such campaign, or one twice.
            DecideError: the uniform number is none; the model has no answer and no fallback.
            ClockError: time went back for this user.
            ValueError: `now` has no time zone.
        """
        now_ms = time_for(user, milliseconds(now), self._clock_step_ms)
        fitted = self.fitted
        view = fitted.look(user, self.catalogue.moment(user.zone, now_ms), wishes)
        decision = fitted.policy.decide(view.features, view.eligible, uniform, explain=explain)
        sent = view.sent(decision.action)
        if sent is not None:
            user.was_sent(*sent, now_ms)
        user.last_ms = now_ms
        return Answer(
            sent[0].name if sent else None,
            CHANNELS[sent[1]] if sent else None,
            decision.action,
            self._names[decision.action],
            decision.propensity,
            decision.probabilities,
            decision.reasons,
            tuple([offer.name for offer, _ in view.offers]),
            tuple(fitted.told(view)) if explain else (),
        )


def time_for(user: User, now_ms: int, clock_step_ms: float) -> int:
    """Return the time to decide at: time never goes back for a user.

    Raises:
        ClockError: it went back by more than may be passed over.
    """
    if now_ms >= user.last_ms:
        return now_ms
    behind_ms = user.last_ms - now_ms
    if behind_ms > clock_step_ms:
        raise ClockError(
            f"now: expected a time not before the last one of this user; got one {behind_ms / 1e3:.0f} s earlier"
        )
    return user.last_ms


def milliseconds(at: dt.datetime) -> int:
    """Return milliseconds since 1970.

    Raises:
        ValueError: the time has no time zone, or lies before 1970 or after 2200.
    """
    if at.tzinfo is None:
        raise ValueError(f"time: expected one with a time zone, such as 2026-03-01T09:00Z, got {at}")
    if not 1970 <= at.year <= 2200:
        raise ValueError(f"time: expected a year from 1970 to 2200, got {at}")
    return round(at.timestamp() * 1e3)


def _place(what: str, name: str, known: Sequence[str]) -> int:
    if name not in known:
        raise ValueError(
            f"{what}: expected one of {', '.join(known) or 'none'}, got {name!r}.{did_you_mean(name, known)}"
        )
    return known.index(name)
