"""What is the same for all users of an app: its campaigns, limits, channels and clocks, in people's words."""

from __future__ import annotations

import datetime as dt
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from policies.limits import Constraints, Faults
from policies.moments import time_zone
from policies.strict_json import did_you_mean

ChannelName = Literal["push", "email", "in_app", "sms"]
KindName = Literal["scheduled", "triggered", "transactional"]
TriggerName = Literal["browse", "cart", "dormancy", "order", "location"]
StageName = Literal["new", "active", "lapsing", "dormant"]
OsName = Literal["android", "ios"]
STAGES: tuple[str, ...] = typing.get_args(StageName)
TRIGGERS: tuple[str, ...] = typing.get_args(TriggerName)
OSES: tuple[str, ...] = typing.get_args(OsName)
MOST_PLACES = 31  # segments or tiers
LONGEST_NAME = 100


def _within(place: str, value: float | None, low: float, high: float, *, is_low_open: bool = False) -> Faults:
    if value is None or (low <= value <= high and not (is_low_open and value == low)):
        return []
    return [(place, f"expected {'above ' if is_low_open else ''}{low:g} to {high:g}, got {value:g}")]


def _named(place: str, names: Sequence[str]) -> Faults:
    return [
        (place, f"expected a name of 1 to {LONGEST_NAME} characters, got {name[:20]!r}")
        for name in names
        if not 1 <= len(name) <= LONGEST_NAME
    ]


def _one_of(place: str, names: Sequence[str], known: Sequence[str]) -> Faults:
    return [
        (place, f"no {name!r}; expected one of {', '.join(known)}.{did_you_mean(name, known)}")
        for name in names
        if name not in known
    ]


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Whom a campaign is for; what is left out is for all."""

    segments: tuple[str, ...] | None = None
    tiers: tuple[str, ...] | None = None
    stages: tuple[StageName, ...] | None = None
    os: tuple[OsName, ...] | None = None
    needs_consent: bool = False


@dataclass(frozen=True, kw_only=True)
class Users:
    """What is taken of a user of whom nothing has been said.

    Attributes:
        permitted_by_default: channels.
        time_zone: IANA name.
        segments, tiers: all that there are, at most 31 each; tiers from the least worth to the most.
    """

    permitted_by_default: tuple[ChannelName, ...] = ()
    time_zone: str = "UTC"
    segments: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()

    def faults(self) -> Faults:
        """Return (field, what is wrong with it) for everything that does not fit."""
        found = _one_of("permitted_by_default", self.permitted_by_default, typing.get_args(ChannelName))
        try:
            time_zone(self.time_zone)
        except ValueError as fault:
            found.append(("time_zone", str(fault)))
        for place in ("segments", "tiers"):
            names = getattr(self, place)
            found += _named(place, names)
            if len(names) > MOST_PLACES:
                found.append((place, f"expected at most {MOST_PLACES}, got {len(names)}"))
        return found


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """A message programme, in the words of `docs/constraints.md`.

    Attributes:
        category: of its content, 0 to 7.
        bucket: what wears out together, 0 to 7; None: the category.
        per_user_cap: sends to one user over all time, 1 to 255; None: no such cap.
        urgency: in [0, 1]; puts it before others of its kind when there are more candidates than slots.
        click_rate: clicks over sends, shrunk.
        opens, closes: of scheduled ones, with a time zone; None: always.
        trigger: of the others.
        delay_hours, expiry_hours: after the trigger.
    """

    name: str
    kind: KindName = "scheduled"
    category: int = 0
    bucket: int | None = None
    channels: tuple[ChannelName, ...] = ("push",)
    tags: tuple[str, ...] = ()
    per_user_cap: int | None = None
    urgency: float = 0.0
    margin_eur: float = 0.0
    discount_eur: float = 0.0
    click_rate: float = 0.02
    opens: dt.datetime | None = None
    closes: dt.datetime | None = None
    trigger: TriggerName | None = None
    delay_hours: int = 1
    expiry_hours: int = 24
    dormancy_days: float = 7.0
    audience: Audience = field(default_factory=Audience)

    def faults(self, users: Users) -> Faults:
        """Return (field, what is wrong with it) for everything that does not fit."""
        found = _named("name", [self.name]) + _named("tags", self.tags)
        found += _one_of("kind", [self.kind], typing.get_args(KindName))
        found += _one_of("channels", self.channels, typing.get_args(ChannelName))
        for place, low, high in (
            ("category", 0, 7),
            ("bucket", 0, 7),
            ("per_user_cap", 1, 255),
            ("urgency", 0, 1),
            ("margin_eur", 0, 1e9),
            ("discount_eur", 0, 1e9),
            ("click_rate", 0, 1),
            ("delay_hours", 0, 720),
            ("expiry_hours", 1, 1440),
        ):
            found += _within(place, getattr(self, place), low, high)
        found += _within("dormancy_days", self.dormancy_days, 0, 365, is_low_open=True)
        found += self._scheduled_faults() if self.kind == "scheduled" else self._triggered_faults()
        audience = self.audience
        found += _one_of("audience.stages", audience.stages or (), STAGES)
        found += _one_of("audience.os", audience.os or (), OSES)
        for place, known in (("segments", users.segments), ("tiers", users.tiers)):
            strange = [name for name in getattr(audience, place) or () if name not in known]
            found += [
                (f"audience.{place}", f"no {name!r} in users.{place}.{did_you_mean(name, known)}") for name in strange
            ]
        return found

    def _scheduled_faults(self) -> Faults:
        found: Faults = []
        if self.trigger is not None:
            found.append(("trigger", f"a scheduled campaign has none, got {self.trigger!r}"))
        for place, at in (("opens", self.opens), ("closes", self.closes)):
            if at is not None and at.tzinfo is None:
                found.append((place, f"expected a time with a time zone, such as 2026-03-01T09:00:00+01:00, got {at}"))
        if not found and self.opens and self.closes and self.closes <= self.opens:
            found.append(("closes", f"expected after it opens ({self.opens}), got {self.closes}"))
        return found

    def _triggered_faults(self) -> Faults:
        found: Faults = []
        if self.trigger is None:
            found.append(("trigger", f"missing; expected one of {', '.join(TRIGGERS)} for a {self.kind} campaign"))
        else:
            found += _one_of("trigger", [self.trigger], TRIGGERS)
        if self.opens or self.closes:
            found.append(("opens", f"a {self.kind} campaign is opened by its trigger"))
        if self.expiry_hours <= self.delay_hours:
            message = f"expected more than delay_hours ({self.delay_hours}), got {self.expiry_hours}"
            found.append(("expiry_hours", message))
        return found


@dataclass(frozen=True, kw_only=True)
class App:
    """An app as those see it who decide for its users.

    Attributes:
        project_zone: IANA name of the clock that the project's calendar goes by.
        channels: that the app uses.
        constraints: limits that hold whatever the policy.
    """

    campaigns: tuple[Campaign, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)
    channels: tuple[ChannelName, ...] = ("push", "email")
    project_zone: str = "UTC"
    users: Users = field(default_factory=Users)

    def __post_init__(self) -> None:
        """Check the whole.

        Raises:
            ValueError: with every fault, a line each.
        """
        if faults := self.faults():
            raise ValueError("\n".join(f"{place}: {what}" for place, what in faults))

    def faults(self) -> Faults:
        """Return (place, what is wrong there) for everything that does not fit."""
        found: Faults = []
        try:
            time_zone(self.project_zone)
        except ValueError as fault:
            found.append(("project_zone", str(fault)))
        found += _one_of("channels", self.channels, typing.get_args(ChannelName))
        found += [(f"users.{place}", what) for place, what in self.users.faults()]
        names = [campaign.name for campaign in self.campaigns]
        found += [
            ("campaigns", f"the name {name!r} is used twice") for name in {n for n in names if names.count(n) > 1}
        ]
        for k, campaign in enumerate(self.campaigns):
            found += [(f"campaigns[{k}].{place}", what) for place, what in campaign.faults(self.users)]
        return found
