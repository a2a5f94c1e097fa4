"""Local time, and where days, weeks and months began, against the time zone database searched a quarter at a time."""

from __future__ import annotations

import datetime as dt
import functools
import random
import zoneinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from experiments.config import load_scenario
from policies.constraints import standing
from policies.history import blank_history, record_send
from policies.limits import Cap, Constraints
from policies.moments import EPOCH, MOMENT_FIELDS, hour_of, moment_at, send_hour, time_zone
from policies.structs import Struct
from simulator.calendar import moment_table
from simulator.config import Calendar, TimeZone

QUARTER = dt.timedelta(minutes=15)
UTC = ZoneInfo("UTC")
# Half hours, three quarters, half an hour of daylight saving, negative daylight saving, changes at and around midnight.
RESTLESS = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/St_Johns",
    "America/Asuncion",
    "America/Santiago",
    "Asia/Gaza",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Europe/Dublin",
    "Asia/Tehran",
    "America/Nuuk",
    "Asia/Amman",
    "Pacific/Apia",
]


@functools.cache
def begins(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return the first quarter of an hour at which a zone's calendar shows a day, or a later one."""
    at = dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(hours=15)
    while at.astimezone(zone).date() < day:
        at += QUARTER
    return at


def check(when: dt.datetime, zone: ZoneInfo, project: ZoneInfo, zero: dt.datetime = EPOCH) -> None:
    moment = moment_at(when, zone, project, hour_zero=zero)
    assert zero + dt.timedelta(hours=moment.hour) <= when < zero + dt.timedelta(hours=moment.hour + 1)
    assert moment.minute == when.astimezone(dt.UTC).minute
    for prefix, clock in (("", zone), ("project_", project)):
        local = when.astimezone(clock)
        assert getattr(moment, f"{prefix}local_minute") == local.hour * 60 + local.minute
        monday = local.date() - dt.timedelta(days=local.weekday())
        for name, day in (("day", local.date()), ("week", monday), ("month", local.date().replace(day=1))):
            start = getattr(moment, f"{prefix}{name}_start")
            assert start == (begins(day, clock) - zero) // dt.timedelta(hours=1), (when, clock, name)
            assert start <= moment.hour
    assert moment.weekday == when.astimezone(zone).weekday()


def test_every_zone_of_the_database_at_random_times():
    draw = random.Random(3)
    names = sorted(zoneinfo.available_timezones() - {"localtime"})
    assert len(names) > 400
    for name in names:
        for _ in range(12):
            when = dt.datetime(1990, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=draw.randint(0, 48 * 365 * 86400))
            check(when, time_zone(name), time_zone(draw.choice(names)))


def changes(zone: ZoneInfo) -> list[dt.datetime]:
    """Return the minutes at which a zone's clocks were turned, 2005 to 2030."""
    found = []
    at, end = dt.datetime(2005, 1, 1, tzinfo=dt.UTC), dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    while at < end:
        after = at + dt.timedelta(days=5)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = at, after
            while high - low > dt.timedelta(minutes=1):
                middle = low + (high - low) // 2
                middle = middle.replace(second=0, microsecond=0)
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        at = after
    return found


@pytest.mark.parametrize("name", RESTLESS)
def test_every_turn_of_the_clocks(name):
    zone = ZoneInfo(name)
    turns = changes(zone)
    assert turns or name == "Asia/Kathmandu"
    for turn in turns:
        for minutes in (-61, -1, 0, 1, 31, 61, 24 * 60, -24 * 60, 7 * 24 * 60):
            check(turn + dt.timedelta(minutes=minutes), zone, UTC)


def test_samoa_had_no_thirtieth_of_december():
    apia = ZoneInfo("Pacific/Apia")
    skipped = dt.datetime(2011, 12, 30, 10, tzinfo=dt.UTC)  # midnight after the 29th, which was that of the 31st
    before, after = (moment_at(skipped + dt.timedelta(hours=k), apia, UTC) for k in (-1, 0))
    assert (before.local_minute, after.local_minute) == (23 * 60, 0)
    assert after.weekday == (before.weekday + 2) % 7 == 5
    assert after.day_start == before.day_start + 24
    assert after.week_start == before.week_start, "Monday was five days, and six dates, ago"


def test_a_day_of_23_and_one_of_25_hours():
    paris = ZoneInfo("Europe/Paris")

    def lasted(day: int, month: int) -> int:
        noon = dt.datetime(2026, month, day, 10, tzinfo=dt.UTC)
        return int(moment_at(noon + dt.timedelta(days=1), paris, UTC).day_start - moment_at(noon, paris, UTC).day_start)

    assert (lasted(28, 3), lasted(29, 3), lasted(25, 10)) == (24, 23, 25)


def test_an_hour_in_which_midnight_falls_counts_as_the_new_days():
    kolkata = ZoneInfo("Asia/Kolkata")
    late = dt.datetime(2026, 3, 2, 18, 10, tzinfo=dt.UTC)  # 23:40
    early = late + dt.timedelta(minutes=30)  # 0:10
    assert moment_at(early, kolkata, UTC).day_start == hour_of(late)
    assert moment_at(late, kolkata, UTC).day_start == hour_of(late) - 24


def test_times_and_zones_that_are_none_say_what_was_expected():
    with pytest.raises(
        ValueError, match=r"when: expected a time with a time zone, such as .*, got 2026-01-01 00:00:00"
    ):
        moment_at(dt.datetime(2026, 1, 1), UTC, UTC)  # noqa: DTZ001
    with pytest.raises(ValueError, match=r"got 'Europe/Pariss'. Did you mean 'Europe/Paris'\?"):
        time_zone("Europe/Pariss")
    for name in ("", "../Paris", "/etc/passwd", "Europe", "\0"):
        with pytest.raises(ValueError, match="time zone: expected an IANA name such as 'Europe/Paris', got"):
            time_zone(name)


# ------------------------------------------------------------------------------------------- the simulator's table

ZONES = {
    "Europe/London": TimeZone(name="london", share=0.2, offset_hours=0, daylight_saving="eu"),
    "Europe/Paris": TimeZone(name="paris", share=0.2, offset_hours=1, daylight_saving="eu"),
    "America/New_York": TimeZone(name="new-york", share=0.2, offset_hours=-5, daylight_saving="us"),
    "America/Los_Angeles": TimeZone(name="los-angeles", share=0.2, offset_hours=-8, daylight_saving="us"),
    "Asia/Shanghai": TimeZone(name="shanghai", share=0.2, offset_hours=8, daylight_saving="none"),
}
COMPARED = [name for name, _, _ in MOMENT_FIELDS if name != "season"]


@pytest.mark.parametrize(
    ("start", "days", "project"),
    [
        (dt.date(2026, 1, 5), 366, "Europe/Paris"),
        (dt.date(2027, 7, 1), 30, "America/New_York"),
        (dt.date(2026, 3, 27), 10, None),
        (dt.date(2026, 10, 31), 10, "America/Los_Angeles"),
    ],
)
def test_the_simulators_table_is_the_moment_of_every_hour(start, days, project):
    names = list(ZONES)
    population = load_scenario("ecommerce").population.model_copy(update={"time_zones": tuple(ZONES.values())})
    calendar = Calendar(start=start, horizon_days=days)
    table = moment_table(calendar, population, None if project is None else ZONES[project].name)
    zero = dt.datetime.combine(start, dt.time(), dt.UTC)
    project_zone = UTC if project is None else ZoneInfo(project)
    for row, name in zip(table, names, strict=True):
        moments = [
            moment_at(zero + dt.timedelta(hours=hour), ZoneInfo(name), project_zone, hour_zero=zero)
            for hour in range(days * 24 + 1)
        ]
        for column in COMPARED:
            expected = column_of(moments, column)
            got = row[column].astype(expected.dtype)
            if column.endswith("_start"):  # before hour 0 nothing is sent, and the table turns no clocks
                expected, got = np.maximum(expected, 0), np.maximum(got, 0)
            assert np.array_equal(got, expected), (name, column)


def column_of(moments: list[Struct], name: str) -> np.ndarray:
    return np.asarray([getattr(moment, name) for moment in moments])


def test_a_send_written_down_rounded_up_keeps_gaps_and_windows_to_the_minute():
    """Sends and questions at any minute: what is eligible is never too near, nor one too many in a window."""
    draw = random.Random(5)
    limits = Constraints(caps=(Cap("two", 2, hours=5),), gap_hours=2)
    rules = limits.rules()
    zone = ZoneInfo("Asia/Kolkata")
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    sent: list[dt.datetime] = []
    history = blank_history()
    at = start
    n_held = 0
    for _ in range(3000):
        at += dt.timedelta(minutes=draw.randint(1, 90))
        if standing(rules, history, moment_at(at, zone, UTC)):
            n_held += 1
            continue
        assert not sent or at - sent[-1] >= dt.timedelta(hours=2)
        assert sum(at - other < dt.timedelta(hours=5) for other in sent) < 2
        sent.append(at)
        record_send(history, send_hour(at), 0, 0, 0, 0, 16)
    assert len(sent) > 500
    assert n_held > 500
    assert send_hour(start) == hour_of(start)
