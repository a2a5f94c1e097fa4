"""A moment: the hour, and what the user's and the project's clocks and calendars say at it.

Windows begin at whole UTC hours. Where local midnight falls within one (India, Nepal), that hour counts as the new
day's already: a cap then counts a send too many, never one too few.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from policies.structs import Field, Struct, blank

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo  # which reads the platform's build: not at start-up

MOMENT_FIELDS: tuple[Field, ...] = (
    ("hour", "i4", 0),  # whole hours since hour 0, UTC
    ("minute", "i4", 0),  # of that hour
    ("local_minute", "i4", 0),  # of the day, in the user's time zone
    ("weekday", "i4", 0),  # 0 is Monday
    ("day_start", "i4", 0),  # hour at which the user's day, week (Monday) and month began
    ("week_start", "i4", 0),
    ("month_start", "i4", 0),
    ("project_local_minute", "i4", 0),  # the same by the project's clock
    ("project_day_start", "i4", 0),
    ("project_week_start", "i4", 0),
    ("project_month_start", "i4", 0),
    ("clock_sin", "f8", 0),  # of the user's local time of day
    ("clock_cos", "f8", 0),
    ("season", "f8", 0),  # demand of the local day beside an average one
)

MINUTES_A_DAY = 1440
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # hour 0 in production


def time_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database.

    Raises:
        ValueError: there is none of that name; the message has the nearest.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        import difflib

        near = difflib.get_close_matches(name, sorted(available_timezones()), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"time zone: expected an IANA name such as 'Europe/Paris', got {name!r}.{hint}") from None


def hour_of(when: dt.datetime, hour_zero: dt.datetime = EPOCH) -> int:
    """Return the whole hours since hour 0, rounded down."""
    return (when - hour_zero) // dt.timedelta(hours=1)


def send_hour(when: dt.datetime, hour_zero: dt.datetime = EPOCH) -> int:
    """Return the hour under which a send is written down: whole hours since hour 0, rounded *up*.

    Histories know hours, clocks know minutes. A send at 10:59 that were written down at 10 would let a gap of an hour
    end at 11:00; written down at 11 it ends at 12:00. So no gap and no window is shorter than promised, and some are
    longer by less than an hour.
    """
    return -((hour_zero - when) // dt.timedelta(hours=1))


def moment_at(
    when: dt.datetime,
    zone: ZoneInfo,
    project_zone: ZoneInfo,
    *,
    season: float = 1.0,
    hour_zero: dt.datetime = EPOCH,
) -> Struct:
    """Return the moment at a time.

    Args:
        when: with a time zone of its own, any.
        zone: the user's; project_zone: the project's.
        season: demand of the day beside an average one.
        hour_zero: from which hours are counted, a whole UTC hour.

    Raises:
        ValueError: `when` has no time zone.
    """
    if when.tzinfo is None:
        raise ValueError(f"when: expected a time with a time zone, such as 2026-03-01T09:00+01:00, got {when}")
    moment = blank(MOMENT_FIELDS)
    moment.hour = hour_of(when, hour_zero)
    moment.minute = when.astimezone(dt.UTC).minute
    moment.season = season
    local = when.astimezone(zone)
    moment.local_minute = local.hour * 60 + local.minute
    moment.clock_sin, moment.clock_cos = clock_face(moment.local_minute)
    moment.weekday = local.weekday()
    moment.day_start, moment.week_start, moment.month_start = _starts(local.date(), zone, hour_zero)
    local = when.astimezone(project_zone)
    moment.project_local_minute = local.hour * 60 + local.minute
    starts = _starts(local.date(), project_zone, hour_zero)
    moment.project_day_start, moment.project_week_start, moment.project_month_start = starts
    return moment


def clock_face(minute: int) -> tuple[float, float]:
    """Return sine and cosine of a minute of the day, as an angle on a clock of 24 hours."""
    angle = minute * (2.0 * math.pi / MINUTES_A_DAY)
    return math.sin(angle), math.cos(angle)


def _starts(day: dt.date, zone: ZoneInfo, hour_zero: dt.datetime) -> tuple[int, int, int]:
    """Return the hours at which a local day, its week and its month begin.

    Where clocks are turned at midnight, so that 0:00 does not exist, the day begins when they have been.
    """
    days = (day, day - dt.timedelta(days=day.weekday()), day.replace(day=1))
    begins = (dt.datetime.combine(d, dt.time(), zone).astimezone(dt.UTC) for d in days)
    first, second, third = (hour_of(begin, hour_zero) for begin in begins)
    return first, second, third
