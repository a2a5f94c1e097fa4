"""What caps, gaps and quiet hours mean, said again from the words alone: real times, lists and sets, by brute force.

Nothing here is taken from the engine. Hours are whole hours since ZERO; a send belongs to the hour in which it went
out, and an hour within which a local day begins belongs to the new day.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from policies.limits import CHANNELS, Cap, Constraints, QuietHours

ZERO = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
REMEMBERED = 32  # sends; when so many lie within a window, nobody knows how many more do


@dataclass(frozen=True)
class Sent:
    hour: int
    channel: str = "push"
    kind: str = "scheduled"
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Clocks:
    """The user's and the project's time zones, and the time of hour 0."""

    user: ZoneInfo
    project: ZoneInfo
    zero: dt.datetime = ZERO

    def local(self, zone: str, hour: int, minute: int = 0) -> dt.datetime:
        return local_time(self.user if zone == "user" else self.project, self.zero, hour, minute)


@functools.lru_cache(maxsize=200_000)
def local_time(zone: ZoneInfo, zero: dt.datetime, hour: int, minute: int) -> dt.datetime:
    return (zero + dt.timedelta(hours=hour, minutes=minute)).astimezone(zone)


def window_begins(cap: Cap, today: dt.date) -> dt.date:
    """Return the first day of the calendar window that a day lies in."""
    if cap.window == "week":
        return today - dt.timedelta(days=today.weekday())
    return today.replace(day=1) if cap.window == "month" else today


def is_in_window(cap: Cap, clocks: Clocks, sent_hour: int, hour: int, minute: int = 0) -> bool:
    if cap.window == "rolling":
        assert cap.hours is not None
        return hour - sent_hour < cap.hours
    first = window_begins(cap, clocks.local(cap.zone, hour, minute).date())
    return clocks.local(cap.zone, sent_hour, 59).date() >= first


def is_counted(cap: Cap, limits: Constraints, sent: Sent) -> bool:
    """Return whether a send counts against a cap."""
    is_on_channel = cap.channels is None or sent.channel in cap.channels
    is_tagged = cap.tags is None or bool(sent.tags & set(cap.tags))
    return is_on_channel and is_tagged and sent.kind not in limits.passes_caps


def is_held_back(cap: Cap, limits: Constraints, asked: Sent) -> bool:
    """Return whether a cap, once reached, holds a send back: it counts, and no cap of its tags takes the place."""
    if not is_counted(cap, limits, asked):
        return False
    return cap.tags is not None or not any(c.overrides_channels and is_counted(c, limits, asked) for c in limits.caps)


def is_quiet(quiet: QuietHours | None, clocks: Clocks, hour: int, minute: int = 0) -> bool:
    if quiet is None:
        return False
    now = clocks.local(quiet.zone, hour, minute)
    at = now.hour * 60 + now.minute
    if quiet.start_minute < quiet.end_minute:
        return quiet.start_minute <= at < quiet.end_minute
    return at >= quiet.start_minute or at < quiet.end_minute


def quiet_channels(limits: Constraints) -> tuple[str, ...]:
    if limits.quiet is None:
        return ()
    return CHANNELS if limits.quiet.channels is None else limits.quiet.channels


def objections(
    limits: Constraints, clocks: Clocks, before: Iterable[Sent], asked: Sent, minute: int = 0
) -> frozenset[str]:
    """Return all that caps, gaps and quiet hours have against a send: cap names, `gap`, `quiet`.

    Args:
        before: every send before, in order.
        asked: the send in question, at its hour; minute: of that hour.
    """
    found = set()
    past = list(before)
    hour = asked.hour
    for cap in limits.caps:
        if is_held_back(cap, limits, asked):
            within = [sent for sent in past if is_in_window(cap, clocks, sent.hour, hour, minute)]
            n = sum(is_counted(cap, limits, sent) for sent in within)
            if n >= cap.limit or len(within) >= REMEMBERED:
                found.add(cap.name)
    if asked.kind not in limits.passes_gap:
        gap = limits.channel_gap_hours.get(asked.channel, 0)
        within = [sent for sent in past if hour - sent.hour < gap]
        if any(hour - sent.hour < limits.gap_hours for sent in past):
            found.add("gap")
        if any(sent.channel == asked.channel for sent in within) or len(within) >= REMEMBERED:
            found.add("gap")
    if asked.channel in quiet_channels(limits) and asked.kind not in limits.passes_quiet:
        if is_quiet(limits.quiet, clocks, hour, minute):
            found.add("quiet")
    return frozenset(found)
