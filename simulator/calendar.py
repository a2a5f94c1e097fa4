"""The year, the week and the day: season and holidays, local time with daylight saving, tables by local hour."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt

from policies.moments import clock_face
from simulator.config import Calendar, Population, Scenario, Segment, TimeZone
from simulator.records import HOURS_A_WEEK, MOMENT, N_BINS, Floats, Ints, Records

FLAT_HOURS = (7.0, 24.0)
POINTS = 60  # an hour's mean is taken over its minutes


def von_mises(hours: npt.NDArray[np.float64], peak: float, sharpness: float) -> npt.NDArray[np.float64]:
    """Return exp(kappa (cos(2 pi (h - peak) / 24) - 1)): a daily bump of height 1.

    Args:
        hours: local hours, any shape.
    """
    bump: npt.NDArray[np.float64] = np.exp(sharpness * (np.cos(2 * np.pi * (hours - peak) / 24) - 1))
    return bump


def _minutes() -> npt.NDArray[np.float64]:
    """Return the minutes of a day in hours, shape (24, 60)."""
    minutes: npt.NDArray[np.float64] = np.arange(24)[:, None] + (np.arange(POINTS) + 0.5)[None, :] / POINTS
    return minutes


def day_curve(segment: Segment, weights: tuple[float, float, float], shift_hours: float) -> Floats:
    """Return the hourly means of relative app use over a weekday, shape (24,), mean 1.

    Source: peaks after Localytics (2015) and Boehmer et al. (2011); the form is modelling choice
    """
    hours = _minutes() - segment.shift_hours - shift_hours
    curve: Floats
    if segment.is_flat:
        curve = 0.03 + ((hours % 24 >= FLAT_HOURS[0]) & (hours % 24 < FLAT_HOURS[1]))
    else:
        curve = np.full_like(hours, 0.03)
        for peak, weight, sharpness in zip(segment.peak_hours, weights, (8.0, 12.0, 5.0), strict=True):
            curve = curve + weight * von_mises(hours, peak, sharpness)
        if segment.extra_peak_hour is not None:
            curve = curve + weights[1] * von_mises(hours, segment.extra_peak_hour - segment.shift_hours, 12.0)
    hourly: Floats = curve.mean(axis=1)
    return hourly / hourly.mean()


def chronotype_shifts() -> Floats:
    """Return the 13 chronotype shifts in hours, -3 to 3."""
    return (np.arange(N_BINS) - N_BINS // 2) * 0.5


def organic_table(scenario: Scenario) -> npt.NDArray[np.float32]:
    """Return the relative session rate by local hour of the week.

    Weekends are half the weekday and half a copy an hour later, times the scenario's weekend factor.

    Returns:
        Shape (segments x 13, 168); the mean over a weekday is 1.
    """
    weights = scenario.behaviour.sessions.peak_weights
    rows = []
    for segment in scenario.population.segments:
        for shift in chronotype_shifts():
            weekday = day_curve(segment, weights, shift)
            weekend = 0.5 * (weekday + day_curve(segment, weights, shift + 1.0)) * scenario.calendar.weekend_factor
            rows.append(np.concatenate([np.tile(weekday, 5), np.tile(weekend, 2)]))
    return np.asarray(rows, np.float32)


def attention_table(scenario: Scenario) -> npt.NDArray[np.float32]:
    """Return attention by local hour of the week, relative to the user's own rate; shape (segments x 13, 168).

    Source: interaction delay is lowest at 20-23 h over ten million notifications (Stach 2024).
    """
    attention = scenario.behaviour.attention
    wake, sleep = attention.awake_hours
    rows = []
    for segment in scenario.population.segments:
        for shift in chronotype_shifts():
            hours = (_minutes() - segment.shift_hours - shift) % 24
            is_awake = (hours >= wake) & (hours < sleep)
            curve = attention.asleep + is_awake * (attention.awake + attention.evening * von_mises(hours, 20.5, 3.0))
            rows.append(np.tile(curve.mean(axis=1), 7))
    return np.asarray(rows, np.float32)


def local_hours(calendar: Calendar, population: Population) -> npt.NDArray[np.int32]:
    """Return local time by zone and UTC hour.

    Returns:
        Shape (zones, hours of the horizon + 1): local hours since a Monday midnight at least a week before the start.
    """
    return np.stack([_local_hours_of(calendar, zone) for zone in population.time_zones])


def moment_table(calendar: Calendar, population: Population, project_zone: str | None) -> Records:
    """Return what the constraint engine and the features know of each hour.

    Args:
        project_zone: name of one of the population's time zones; None: UTC.

    Returns:
        MOMENT of shape (zones, hours of the horizon + 1).
    """
    local = local_hours(calendar, population)
    names = [zone.name for zone in population.time_zones]
    utc = TimeZone(name="utc", share=1.0)
    project = local[names.index(project_zone)] if project_zone else _local_hours_of(calendar, utc)
    seasons = day_table(calendar)[:, 0]
    table = np.zeros(local.shape, MOMENT)
    table["hour"] = np.arange(local.shape[1])
    faces = np.asarray([clock_face(60 * hour) for hour in range(24)])
    for rows, clock in zip(table, local, strict=True):
        rows["local_minute"] = clock % 24 * 60
        rows["clock_sin"], rows["clock_cos"] = faces[clock % 24].T
        rows["weekday"] = clock // 24 % 7
        rows["season"] = seasons[clock // 24]
        rows["day_start"], rows["week_start"], rows["month_start"] = _starts(clock, calendar)
        rows["project_local_minute"] = project % 24 * 60
        starts = _starts(project, calendar)
        rows["project_day_start"], rows["project_week_start"], rows["project_month_start"] = starts
    return table


def _starts(clock: npt.NDArray[np.int32], calendar: Calendar) -> tuple[Ints, Ints, Ints]:
    """Return the UTC hours at which the local day, week and month of each hour began, three of shape (hours,).

    Args:
        clock: local hours since the first day, a Monday, by UTC hour.
    """
    days = clock // 24
    last = int(days[-1])
    begins = np.arange(last + 1) * 24 - int(clock[0])  # before hour 0 no clock is turned
    seen, first_hours = np.unique(days, return_index=True)
    begins[seen[1:]] = first_hours[1:]
    monday = calendar.start - dt.timedelta(days=calendar.start.weekday() + 7)
    dates = [monday + dt.timedelta(days=k) for k in range(last + 1)]
    months = np.asarray([k - (date.day - 1) for k, date in enumerate(dates)])
    # A month may have begun before the table's first day.
    month_begins = np.where(months >= 0, begins[np.maximum(months, 0)], months * 24 - int(clock[0]))
    return begins[days], begins[days - days % 7], month_begins[days]


def _local_hours_of(calendar: Calendar, zone: TimeZone) -> npt.NDArray[np.int32]:
    hours = np.arange(calendar.horizon_days * 24 + 1)
    origin = calendar.start.weekday() * 24 + HOURS_A_WEEK
    local = origin + hours + zone.offset_hours + _saving(zone, calendar.start, len(hours))
    return local.astype(np.int32)


def _saving(zone: TimeZone, start: dt.date, n_hours: int) -> npt.NDArray[np.int64]:
    """Return the hours that daylight saving adds, shape (n_hours,).

    EU: from the last Sunday of March to the last Sunday of October, both at 1:00 UTC (directive 2000/84/EC).
    US: from the second Sunday of March to the first of November, both at 2:00 local time (Energy Policy Act 2005).
    """
    added = np.zeros(n_hours, np.int64)
    if zone.daylight_saving == "none":
        return added
    for year in range(start.year - 1, start.year + n_hours // 8760 + 2):
        if zone.daylight_saving == "eu":
            begin = _hours_since(start, _sunday(year, 3, -1)) + 1
            end = _hours_since(start, _sunday(year, 10, -1)) + 1
        else:
            begin = _hours_since(start, _sunday(year, 3, 2)) + 2 - zone.offset_hours
            end = _hours_since(start, _sunday(year, 11, 1)) + 1 - zone.offset_hours
        added[max(begin, 0) : max(end, 0)] = 1
    return added


def _sunday(year: int, month: int, nth: int) -> dt.date:
    """Return the nth Sunday of a month; -1 is the last."""
    if nth > 0:
        first = dt.date(year, month, 1)
        return first + dt.timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))
    last = dt.date(year, month + 1, 1) - dt.timedelta(days=1)
    return last - dt.timedelta(days=(last.weekday() - 6) % 7)


def _hours_since(start: dt.date, day: dt.date) -> int:
    return (day - start).days * 24


def day_table(calendar: Calendar) -> npt.NDArray[np.float32]:
    """Return the seasonal index and the competing volume of each local day.

    Returns:
        Shape (days, 2), indexed by local_hours // 24.

    Source: 1 + .08 cos around mid December and holiday bumps, modelling choice; that holidays raise demand and
    competition alike: PushPushGo (2023), Kahuna (2014).
    """
    first = calendar.start - dt.timedelta(days=calendar.start.weekday() + 7)
    n_days = (calendar.start - first).days + calendar.horizon_days + 3
    table = np.empty((n_days, 2), np.float32)
    for k in range(n_days):
        day = first + dt.timedelta(days=k)
        day_of_year = day.timetuple().tm_yday
        season = 1 + calendar.season_amplitude * np.cos(2 * np.pi * (day_of_year - calendar.season_peak_day) / 365)
        competition = 0.0
        for holiday in calendar.holidays:
            if any(_is_in(day, year, holiday.month, holiday.day, holiday.days) for year in (day.year, day.year - 1)):
                season += holiday.demand
                competition += holiday.competition
        table[k] = max(season, 0.05), competition
    return table


def _is_in(day: dt.date, year: int, month: int, first_day: int, days: int) -> bool:
    if (month, first_day) == (2, 29) and not (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)):
        first_day = 28
    begin = dt.date(year, month, first_day)
    return begin <= day < begin + dt.timedelta(days=days)
