"""Local time, the tables by hour, the season and the night."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo

import numpy as np
import pytest
from scipy import integrate

from experiments.config import load_scenario, preset_names
from simulator.behaviour.withdrawal import is_night
from simulator.calendar import (
    attention_table,
    chronotype_shifts,
    day_curve,
    day_table,
    local_hours,
    organic_table,
    von_mises,
)
from simulator.config import Calendar, Holiday, Segment, TimeZone
from simulator.law import law_record
from simulator.records import HOURS_A_WEEK, N_BINS, Ints
from tests.simulator.bare import Floats, bare

YEARS = (1999, 2007, 2011, 2015, 2019, 2023, 2024, 2026, 2031)
ZONES = {
    "Europe/London": TimeZone(name="london", share=1.0, offset_hours=0, daylight_saving="eu"),
    "Europe/Paris": TimeZone(name="paris", share=1.0, offset_hours=1, daylight_saving="eu"),
    "Europe/Athens": TimeZone(name="athens", share=1.0, offset_hours=2, daylight_saving="eu"),
    "America/New_York": TimeZone(name="new-york", share=1.0, offset_hours=-5, daylight_saving="us"),
    "America/Los_Angeles": TimeZone(name="los-angeles", share=1.0, offset_hours=-8, daylight_saving="us"),
    "Asia/Shanghai": TimeZone(name="shanghai", share=1.0, offset_hours=8, daylight_saving="none"),
}


def zone_hours(calendar: Calendar, zone: TimeZone) -> Ints:
    population = bare(1, 1).population.model_copy(update={"time_zones": (zone,)})
    hours: Ints = local_hours(calendar, population)[0].astype(np.int64)
    return hours


@pytest.mark.parametrize("name", ZONES)
def test_local_time_is_that_of_the_tz_database_in_every_hour_of_three_years(name):
    for year in YEARS:
        if "America" in name and year < 2007:
            continue  # the United States changed their rule in 2007
        calendar = Calendar(start=dt.date(year, 2, 17), horizon_days=1100)
        begin = dt.datetime(year, 2, 17, tzinfo=dt.UTC)
        zone = zoneinfo.ZoneInfo(name)
        there = [(begin + dt.timedelta(hours=k)).astimezone(zone) for k in range(1100 * 24 + 1)]
        monday = (begin - dt.timedelta(days=begin.weekday() + 7)).replace(tzinfo=None)
        expected = [(at.replace(tzinfo=None) - monday).total_seconds() / 3600 for at in there]
        assert np.array_equal(zone_hours(calendar, ZONES[name]), expected), year


@pytest.mark.parametrize(
    ("name", "at", "step"),
    [
        ("Europe/Paris", "2026-03-29T01:00", 2),
        ("Europe/Paris", "2026-10-25T01:00", 0),
        ("Europe/London", "2026-03-29T01:00", 2),
        ("America/New_York", "2026-03-08T07:00", 2),
        ("America/New_York", "2026-11-01T06:00", 0),
        ("America/Los_Angeles", "2026-03-08T10:00", 2),
        ("Asia/Shanghai", "2026-03-29T01:00", 1),
    ],
)
def test_clocks_change_at_the_hour_that_the_law_says(name, at, step):
    calendar = Calendar(start=dt.date(2026, 1, 5), horizon_days=360)
    hours = zone_hours(calendar, ZONES[name])
    change = round((dt.datetime.fromisoformat(at) - dt.datetime(2026, 1, 5)).total_seconds() / 3600)  # noqa: DTZ001
    assert hours[change] - hours[change - 1] == step
    assert hours[change - 1] - hours[change - 2] == 1
    assert hours[change + 1] - hours[change] == 1


def test_a_run_may_begin_in_summer_time_on_either_side_of_new_year():
    for start in (dt.date(2026, 7, 1), dt.date(2025, 12, 31), dt.date(2026, 10, 25), dt.date(2026, 3, 29)):
        calendar = Calendar(start=start, horizon_days=30)
        hours = zone_hours(calendar, ZONES["Europe/Paris"])
        at = dt.datetime.combine(start, dt.time(), dt.UTC).astimezone(zoneinfo.ZoneInfo("Europe/Paris"))
        assert hours[0] % HOURS_A_WEEK == at.weekday() * 24 + at.hour
        assert hours[0] >= HOURS_A_WEEK - 12  # a week before the start at least: no zone falls below zero


# ------------------------------------------------------------------------------------------- tables by hour


@pytest.mark.parametrize("preset", preset_names())
def test_organic_use_has_mean_one_on_weekdays_and_the_factor_at_weekends(preset):
    scenario = load_scenario(preset)
    table = organic_table(scenario).astype(float)
    assert table.shape == (len(scenario.population.segments) * N_BINS, HOURS_A_WEEK)
    np.testing.assert_allclose(table[:, :120].reshape(-1, 5, 24).mean(axis=2), 1.0, rtol=1e-6)
    weekend = table[:, 120:].reshape(-1, 2, 24).mean(axis=2)
    np.testing.assert_allclose(weekend, scenario.calendar.weekend_factor, rtol=1e-6)
    assert (table > 0).all()


def integrated(curve, hour: int) -> float:
    return float(integrate.quad(curve, hour, hour + 1, points=[hour + 0.5], epsrel=1e-9)[0])


def test_the_office_day_is_three_bumps_by_quadrature():
    segment = Segment(name="office", share=1.0)
    weights = (0.45, 0.45, 1.0)

    def use(h: float) -> float:
        peaks = zip(weights, (8.0, 12.5, 20.5), (8.0, 12.0, 5.0), strict=True)
        return 0.03 + math.fsum(w * np.exp(k * (np.cos(2 * np.pi * (h - p) / 24) - 1)) for w, p, k in peaks)

    exact = np.array([integrated(use, hour) for hour in range(24)])
    np.testing.assert_allclose(day_curve(segment, weights, 0.0), exact / exact.mean(), rtol=2e-4)
    later = day_curve(segment, weights, 2.0)
    np.testing.assert_allclose(later, np.roll(day_curve(segment, weights, 0.0), 2), rtol=1e-9)


def test_weekends_are_half_the_weekday_and_half_an_hour_later_copy():
    scenario = load_scenario("news")
    table = organic_table(scenario).astype(float)
    middle = table[N_BINS // 2]
    later = 0.5 * (middle[:24] + np.roll(middle[:24], 1)) * scenario.calendar.weekend_factor
    np.testing.assert_allclose(middle[120:144], later, rtol=1e-5)
    np.testing.assert_allclose(middle[144:], later, rtol=1e-5)


def test_an_extra_peak_stands_at_its_own_local_hour_and_a_flat_day_is_flat():
    student = Segment(name="student", share=1.0, shift_hours=1.5, extra_peak_hour=17.0)
    plain = Segment(name="student", share=1.0, shift_hours=1.5)
    more = day_curve(student, (0.45, 0.45, 1.0), 0.0) / day_curve(plain, (0.45, 0.45, 1.0), 0.0)
    assert set(np.argsort(more)[-2:]) == {16, 17}  # either side of 17:00
    flat = day_curve(Segment(name="shift", share=1.0, is_flat=True), (0.45, 0.45, 1.0), 0.0)
    np.testing.assert_allclose(flat[7:], flat[7])
    np.testing.assert_allclose(flat[:7], flat[0])
    assert flat[7] / flat[0] == pytest.approx(1.03 / 0.03)


def test_attention_is_that_of_the_waking_hours_by_quadrature():
    scenario = load_scenario("ecommerce")
    table = attention_table(scenario).astype(float)
    names = [s.name for s in scenario.population.segments]

    def attention(hours: Floats) -> Floats:
        h = hours % 24
        return 0.06 + ((h >= 7) & (h < 23.5)) * (0.85 + 0.45 * von_mises(h, 20.5, 3.0))

    fine = (np.arange(24 * 3600) + 0.5) / 3600
    for segment, shift_hours in (("office", 0.0), ("night-owl", 3.0), ("senior", -1.5)):
        for k, chronotype in enumerate(chronotype_shifts()):
            exact = attention(fine - shift_hours - chronotype).reshape(24, 3600).mean(axis=1)
            row = table[names.index(segment) * N_BINS + k]
            np.testing.assert_allclose(row, np.tile(exact, 7), rtol=1e-4)


# ------------------------------------------------------------------------------------------- season


def test_the_season_is_a_cosine_with_holidays_on_their_days():
    holidays = (
        Holiday(name="new-year", month=12, day=31, days=3, demand=-0.2, competition=1.0),
        Holiday(name="leap", month=2, day=29, days=2, demand=0.5, competition=0.5),
        Holiday(name="sale", month=6, day=18, days=2, demand=0.6, competition=2.0),
    )
    calendar = Calendar(start=dt.date(2024, 1, 3), horizon_days=1000, season_amplitude=0.08, holidays=holidays)
    table = day_table(calendar).astype(float)
    first = dt.date(2023, 12, 25)  # the Monday a week before that of the start
    bumps = {}
    for year in (2023, 2024, 2025, 2026):
        leap = dt.date(year, 2, 29) if year == 2024 else dt.date(year, 2, 28)
        for begin, days, demand, competition in (
            (dt.date(year, 12, 31), 3, -0.2, 1.0),
            (leap, 2, 0.5, 0.5),
            (dt.date(year, 6, 18), 2, 0.6, 2.0),
        ):
            for k in range(days):
                bumps[begin + dt.timedelta(days=k)] = demand, competition
    for k, (season, competition) in enumerate(table):
        day = first + dt.timedelta(days=k)
        demand, volume = bumps.get(day, (0.0, 0.0))
        wave = 1 + 0.08 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 350) / 365)
        assert season == pytest.approx(wave + demand, rel=1e-6), day
        assert competition == volume, day


def test_every_local_hour_of_a_run_has_its_day_in_the_season():
    for start in (dt.date(2026, 1, 5), dt.date(2026, 1, 4), dt.date(2026, 1, 7)):
        calendar = Calendar(start=start, horizon_days=9)
        days = day_table(calendar)
        for offset in (-12, 0, 14):
            zone = TimeZone(name="far", share=1.0, offset_hours=offset)
            hours = zone_hours(calendar, zone)
            assert hours.min() >= 0
            assert hours.max() // 24 < len(days)


# ------------------------------------------------------------------------------------------- night


@pytest.mark.parametrize(
    ("night", "dark"),
    [
        ((22.0, 8.0), {22, 23, *range(8)}),
        ((0.0, 6.0), set(range(6))),
        ((23.0, 0.0), {23}),
        ((13.0, 15.0), {13, 14}),
        ((9.0, 9.0), set()),
        ((0.0, 24.0), set(range(24))),
    ],
)
def test_the_night_may_pass_midnight(night, dark):
    law = law_record(bare(1, 1, behaviour={"withdrawal": {"night_hours": night}}))[0]
    assert {hour for hour in range(24) if is_night(law, hour)} == dark
