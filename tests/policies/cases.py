"""Users, campaigns and limits in plain words, drawn at random, and the records that the engine reads."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from policies.constraints import CAMPAIGN_FIELDS, PERSON_FIELDS
from policies.history import LONG_AGO, N_COUNTERS, blank_history, record_send, record_session
from policies.limits import CHANNELS, KINDS, Cap, Constraints, QuietHours
from policies.moments import moment_at
from policies.structs import Struct, blank
from tests.policies.meaning import Clocks, Sent

TRIGGERS = ("browse", "cart", "dormancy", "order", "location")
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu")
EVERYBODY = {"segments": 2**32 - 1, "tiers": 2**32 - 1, "stages": 255, "oses": 255}


@dataclass
class Person:
    permitted: frozenset[str] = frozenset(CHANNELS)
    has_consent: bool = True
    muted: frozenset[int] = frozenset()
    segment: int = 0
    tier: int = 0
    stage: int = 0
    os: int = 0
    browse_hour: int | None = None
    cart_hour: int | None = None
    order_hour: int | None = None
    last_session_hours: float | None = None

    def struct(self) -> Struct:
        person = blank(PERSON_FIELDS)
        person.seen_opted_in = bits(CHANNELS.index(name) for name in self.permitted)
        person.has_consent = int(self.has_consent)
        person.muted_categories = bits(self.muted)
        person.segment, person.tier, person.stage, person.os = self.segment, self.tier, self.stage, self.os
        for name in ("browse_hour", "cart_hour", "order_hour"):
            hour = getattr(self, name)
            setattr(person, name, LONG_AGO if hour is None else hour)
        person.last_session_hours = float(LONG_AGO) if self.last_session_hours is None else self.last_session_hours
        return person


@dataclass
class Programme:
    """A campaign; sets of None are for all."""

    kind: str = "scheduled"
    trigger: str = "browse"
    channels: frozenset[str] = frozenset(CHANNELS)
    tags: frozenset[str] = frozenset()
    category: int = 0
    per_user_cap: int | None = None
    needs_consent: bool = False
    segments: frozenset[int] | None = None
    tiers: frozenset[int] | None = None
    stages: frozenset[int] | None = None
    oses: frozenset[int] | None = None
    start_hour: int = -10_000
    end_hour: int = 1_000_000
    delay_hours: int = 0
    expiry_hours: int = 24
    dormancy_hours: float = 48.0

    def struct(self, limits: Constraints, counter: int = 3) -> Struct:
        campaign = blank(CAMPAIGN_FIELDS)
        campaign.kind, campaign.trigger = KINDS.index(self.kind), TRIGGERS.index(self.trigger)
        campaign.category = self.category
        campaign.channels = bits(CHANNELS.index(name) for name in self.channels)
        campaign.tags = limits.tag_bits(self.tags)
        is_remembered = self.per_user_cap is not None or self.kind != "scheduled"
        campaign.counter = counter if is_remembered else N_COUNTERS
        campaign.per_user_cap = self.per_user_cap or 0
        campaign.needs_consent = int(self.needs_consent)
        for name in ("segments", "tiers", "stages", "oses"):
            chosen = getattr(self, name)
            setattr(campaign, name, EVERYBODY[name] if chosen is None else bits(chosen))
        campaign.start_hour, campaign.end_hour = self.start_hour, self.end_hour
        campaign.delay_hours, campaign.expiry_hours = self.delay_hours, self.expiry_hours
        campaign.dormancy_hours = self.dormancy_hours
        return campaign


@dataclass
class Case:
    """A question: may this campaign go to this user on this channel now?"""

    limits: Constraints = field(default_factory=Constraints)
    clocks: Clocks = field(default_factory=lambda: Clocks(ZoneInfo("UTC"), ZoneInfo("UTC")))
    before: list[Sent] = field(default_factory=list)
    own_sends: int = 0  # of this very campaign, so far
    person: Person = field(default_factory=Person)
    campaign: Programme = field(default_factory=Programme)
    channel: str = "push"
    hour: int = 100
    minute: int = 0
    is_there: bool = False
    is_paid_for: bool = True
    open_channels: tuple[str, ...] = CHANNELS

    def history(self) -> Struct:
        """Return the record after all sends before; the last `own_sends` of them are of this campaign."""
        history = blank_history()
        for k, sent in enumerate(self.before):
            is_own = k >= len(self.before) - self.own_sends
            tags, is_uncounted = self.limits.tag_bits(sent.tags), int(sent.kind in self.limits.passes_caps)
            counter = 3 if is_own else 4
            record_send(history, sent.hour, CHANNELS.index(sent.channel), tags, is_uncounted, 0, counter)
        record_session(history, self.hour - 5)
        return history

    def moment(self) -> Struct:
        when = self.clocks.zero + dt.timedelta(hours=self.hour, minutes=self.minute)
        return moment_at(when, self.clocks.user, self.clocks.project, hour_zero=self.clocks.zero)

    def asked(self) -> Sent:
        return Sent(self.hour, self.channel, self.campaign.kind, self.campaign.tags)


def bits(numbers: object) -> int:
    return sum(1 << n for n in set(numbers))  # type: ignore[call-overload]


def some(draw: random.Random, of: tuple[str, ...], least: int = 0) -> frozenset[str]:
    return frozenset(draw.sample(of, draw.randint(least, len(of))))


def random_cap(draw: random.Random, k: int) -> Cap:
    window = draw.choice(("rolling", "day", "week", "month"))
    tags = tuple(sorted(some(draw, ("a", "b"), 1))) if draw.random() < 0.4 else None
    return Cap(
        f"cap-{k}",
        draw.choice((0, 1, 1, 2, 3, 5, 31)),
        window,
        hours=draw.choice((1, 2, 24, 48, 168, 744)) if window == "rolling" else None,
        zone=draw.choice(("user", "project")),
        channels=tuple(sorted(some(draw, CHANNELS, 1))) if draw.random() < 0.5 else None,
        tags=tags,
        overrides_channels=tags is not None and draw.random() < 0.5,
    )


def random_limits(draw: random.Random) -> Constraints:
    quiet = None
    if draw.random() < 0.5:
        start = draw.choice((0, 600, 1320, 1350, 1425, draw.randint(0, 1440)))
        end = (start + draw.randint(1, 1439)) % 1440
        channels = tuple(sorted(some(draw, CHANNELS, 1))) if draw.random() < 0.4 else None
        mode, zone = draw.choice(("drop", "defer", "cancel")), draw.choice(("user", "project"))
        quiet = QuietHours(start, end, mode, zone, channels)
    gaps = {name: draw.choice((0, 1, 5, 30)) for name in sorted(some(draw, CHANNELS))} if draw.random() < 0.4 else {}
    return Constraints(
        caps=tuple(random_cap(draw, k) for k in range(draw.randint(0, 3))),
        gap_hours=draw.choice((0, 0, 1, 4)),
        channel_gap_hours=gaps,
        quiet=quiet,
        passes_caps=tuple(sorted(some(draw, KINDS))) if draw.random() < 0.4 else ("transactional",),
        passes_gap=tuple(sorted(some(draw, KINDS))) if draw.random() < 0.4 else ("transactional",),
        passes_quiet=tuple(sorted(some(draw, KINDS))) if draw.random() < 0.4 else (),
    )


def random_case(draw: random.Random) -> Case:
    """Return a question to which every answer is about as likely as the next."""
    hour = draw.randint(0, 400 * 24)
    before = []
    at = hour
    for _ in range(draw.choice((0, 1, 2, 3, 6, 20, 50))):
        before.append(Sent(at, draw.choice(CHANNELS), draw.choice(KINDS), some(draw, ("a", "b"))))
        at -= draw.choice((1, 2, 5, 12, 24, 100))
    if draw.random() < 0.5:
        before = [Sent(s.hour - draw.choice((1, 24)), s.channel, s.kind, s.tags) for s in before[-1:]] + before[:-1]
    before.sort(key=lambda sent: sent.hour)
    ago = (0, 1, 2, 2, 3, 5, 8, 9, 10, 30)
    person = Person(
        permitted=some(draw, CHANNELS, 2),
        has_consent=draw.random() < 0.7,
        muted=frozenset({draw.randint(0, 7)}),
        segment=draw.randint(0, 7),
        tier=draw.randint(0, 31),
        stage=draw.randint(0, 3),
        os=draw.randint(0, 1),
        browse_hour=draw.choice((None, *(hour - back for back in ago))),
        cart_hour=draw.choice((None, *(hour - back for back in ago))),
        order_hour=draw.choice((None, *(hour - back for back in ago))),
        last_session_hours=draw.choice((None, hour - 3.25, hour - 49.5, hour - 55.0, hour - 80.0)),
    )
    campaign = Programme(
        kind=draw.choice(KINDS),
        trigger=draw.choice(TRIGGERS),
        channels=some(draw, CHANNELS, 1),
        tags=some(draw, ("a", "b", "unheard-of")),
        category=draw.randint(0, 7),
        per_user_cap=draw.choice((None, None, 1, 3)),
        needs_consent=draw.random() < 0.2,
        segments=frozenset(draw.sample(range(8), 6)) if draw.random() < 0.15 else None,
        tiers=frozenset(draw.sample(range(32), 25)) if draw.random() < 0.15 else None,
        stages=frozenset(draw.sample(range(4), 3)) if draw.random() < 0.15 else None,
        oses=frozenset({draw.randint(0, 1)}) if draw.random() < 0.1 else None,
        start_hour=hour + draw.choice((-500, -500, -2, -1, -1, 0, 1)),
        end_hour=hour + draw.choice((0, 1, 1, 24, 24, 500, 500)),
        delay_hours=(delay := draw.choice((0, 0, 1, 5))),
        expiry_hours=delay + draw.choice((1, 10, 40, 40)),
    )
    channels = tuple(sorted(campaign.channels)) if draw.random() < 0.8 else CHANNELS
    return Case(
        random_limits(draw),
        Clocks(ZoneInfo(draw.choice(ZONES)), ZoneInfo(draw.choice(ZONES))),
        before,
        min(len(before), draw.choice((0, 1, 3))),
        person,
        campaign,
        draw.choice(channels),
        hour,
        draw.choice((0, 0, 1, 29, 30, 59, draw.randint(0, 59))),
        draw.random() < 0.8,
        draw.random() < 0.9,
        CHANNELS if draw.random() < 0.7 else ("push", "email"),
    )
