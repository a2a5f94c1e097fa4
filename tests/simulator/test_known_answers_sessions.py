"""Organic sessions against their closed forms: K5 to K8, K10 and the seasonal half of K23 (DESIGN, known answers)."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from simulator.behaviour.attention import earliest_scheduled
from simulator.behaviour.sessions import habit_jump, satiate
from simulator.fleet import Fleet
from simulator.records import NEVER, Event, Metric
from simulator.senders import Sender
from tests.simulator.bare import Floats, agrees, bare, constant_use, events, follows, mean_agrees, never_leaves, wait

ORGANIC = int(Metric.SESSIONS_ORGANIC)
FORGETFUL = {"satiation": 0.85, "satiation_hours": 5.0, "floor": 0.35, "salience_days": 10.0}


class Renewal:
    """Sessions that each reset satiation and salience: the law of the gaps, by quadrature (K5)."""

    def __init__(self, per_day: float, satiation: float, satiation_hours: float, floor: float, salience_days: float):
        self.rate = per_day / 24
        self.satiation, self.floor = satiation, floor
        self.tau_r, self.tau_m = satiation_hours, salience_days * 24
        self.both = 1 / (1 / self.tau_r + 1 / self.tau_m)

    def used(self, age: Floats) -> Floats:
        """Return the hazard integrated over the first hours after a session."""
        forgetting = self.tau_m * -np.expm1(-age / self.tau_m)
        sated = self.tau_r * -np.expm1(-age / self.tau_r)
        mixed = self.both * -np.expm1(-age / self.both)
        steady = self.floor * (age - self.satiation * sated)
        used: Floats = self.rate * (steady + (1 - self.floor) * (forgetting - self.satiation * mixed))
        return used

    @functools.cached_property
    def longest(self) -> float:
        """Return an age that e^-40 of the gaps reach."""
        return (40 / self.rate + self.tau_m + self.tau_r) / self.floor

    @functools.cached_property
    def mean(self) -> float:
        return self._moment(lambda s: 1.0)

    @functools.cached_property
    def cv(self) -> float:
        return float(np.sqrt(self._moment(lambda s: 2 * s) - self.mean**2) / self.mean)

    def _moment(self, weight) -> float:
        edges = np.concatenate([[0.0], np.geomspace(0.1, self.longest, 60)])
        parts = (
            integrate.quad(lambda s: weight(s) * np.exp(-self.used(s)), a, b, epsabs=0, epsrel=1e-10)[0]
            for a, b in itertools.pairwise(edges)
        )
        return float(sum(parts))

    def equilibrium_ages(self, units: Floats) -> Floats:
        """Return the time since the last session, at a random time, for uniform numbers: density S(age)/mean."""
        grid = np.concatenate([[0.0], np.geomspace(1e-3, self.longest, 200_000)])
        area = integrate.cumulative_trapezoid(np.exp(-self.used(grid)), grid, initial=0)
        ages: Floats = np.interp(units, area / area[-1], grid)
        return ages


def renewal(per_day: float, sessions: dict[str, float]) -> Renewal:
    return Renewal(per_day, **sessions)


def app(n_users: int, days: int, per_day: float, sessions: dict[str, float], journal_rows: int = 0) -> Fleet:
    fleet = constant_use(bare(n_users, days, behaviour={"sessions": sessions}), per_day, journal_rows)
    never_leaves(fleet)
    return fleet


def n_organic(fleet: Fleet) -> Floats:
    return fleet.tally["counts"][:, ORGANIC].astype(float)


SATED = {"satiation": 1.0, "satiation_hours": 24.0, "floor": 1.0, "salience_days": 10.0}
OBSTINATE = {"satiation": 0.95, "satiation_hours": 12.0, "floor": 1.0, "salience_days": 10.0}


@pytest.mark.parametrize(
    ("per_day", "sessions", "users", "burn_in", "days", "prototype"),
    [
        (0.3, FORGETFUL, 28_000, 45, 180, 0.2225),
        (3.0, FORGETFUL, 10_000, 10, 40, None),
        (3.0, OBSTINATE, 10_000, 10, 40, 1.5792),
    ],
)
def test_k5_sessions_renew_at_the_rate_of_the_integrated_survival(per_day, sessions, users, burn_in, days, prototype):
    theory = renewal(per_day, sessions)
    if prototype is not None:
        assert 24 / theory.mean == pytest.approx(prototype, rel=1e-3)
    fleet = app(users, days, per_day, sessions)
    fleet.run(Sender(), burn_in)
    before = n_organic(fleet)
    fleet.run(Sender())
    mean_agrees((n_organic(fleet) - before) / (days - burn_in), 24 / theory.mean, catches=0.01)


@pytest.mark.parametrize(
    ("per_day", "sessions", "days"),
    [(0.3, FORGETFUL, 25), (3.0, FORGETFUL, 10), (3.0, OBSTINATE, 10), (1.0, SATED, 15)],
)
def test_k5_each_gap_uses_up_its_threshold_exactly(per_day, sessions, days):
    """Not a statistic: the integrated hazard of the first gap is the user's own threshold, to float32's accuracy."""
    theory = renewal(per_day, sessions)
    users = 5_000
    fleet = app(users, days, per_day, sessions, journal_rows=users * int(2 * per_day * days + 20))
    thresholds = fleet.users["clock_session"].copy()
    fleet.run(Sender())
    seen = events(fleet, Event.SESSION)
    who, first = np.unique(seen["user_id"], return_index=True)
    assert len(who) > 0.9 * users
    np.testing.assert_allclose(theory.used(seen["time_hours"][first]), thresholds[who], rtol=3e-6, atol=1e-7)
    follows(thresholds, lambda x: -np.expm1(-x), catches=0.06)


def test_k6_without_satiation_and_forgetting_hourly_counts_are_poisson():
    users, days, per_day = 3_000, 14, 12.0
    scenario = bare(users, days, population={"segments": ({"name": "peaks", "share": 1.0},)})
    fleet = Fleet(scenario, journal_rows=users * days * 16)
    fleet.users["session_rate"] = per_day / 24
    never_leaves(fleet)
    fleet.run(Sender())
    seen = events(fleet, Event.SESSION)
    counts = np.zeros((users, days * 24))
    np.add.at(counts, (seen["user_id"], seen["time_hours"].astype(int)), 1)
    local = fleet.world.local_hours[0, : days * 24] % 168
    expected = per_day / 24 * fleet.world.organic[fleet.users["table_row"][0], local].astype(float)
    assert expected.max() > 2 * expected.mean()  # the day has peaks
    # Poisson: each standardised square has mean 1 and variance 2 + 1/mean; the nights are grouped by user.
    index = ((counts - expected) ** 2).sum() / (expected.sum() * users)
    variance = (2 * expected**2 + expected).sum() * users / (expected.sum() * users) ** 2
    agrees(index, 1.0, variance**0.5, catches=0.02)
    by_hour = counts.reshape(users * days, 24).sum(axis=0)
    hourly = expected.reshape(days, 24).sum(axis=0) * users
    statistic = float(((by_hour - hourly) ** 2 / hourly).sum())
    assert statistic <= stats.chi2.isf(1e-6, 24)


def test_k7_habit_multiplies_sessions_as_a_hawkes_process():
    per_day, gain, habit_days = 0.5, 0.02, 14.0
    branching = gain * habit_days * per_day
    assert per_day / (1 - branching) == pytest.approx(0.5814, abs=1e-4)
    burn_in, days, users = 140, 210, 8_000
    sessions = {"habit_gain": gain, "habit_days": habit_days}
    fleet = constant_use(bare(users, days, behaviour={"sessions": sessions}), per_day)
    never_leaves(fleet)
    fleet.run(Sender(), burn_in)
    before = n_organic(fleet)
    fleet.run(Sender())
    # Habit is held from one hour or session to the next: high by at most half an hour of its decay, .15 % of 14 %.
    mean_agrees((n_organic(fleet) - before) / (days - burn_in), per_day / (1 - branching), catches=0.015)


def test_k7_one_session_breeds_at_most_three_tenths():
    for per_day, expected in ((0.5, 0.02), (3.0, 0.3 / (14 * 3.0)), (30.0, 0.3 / (14 * 30.0))):
        fleet = constant_use(bare(1, 1, behaviour={"sessions": {"habit_gain": 0.02, "habit_days": 14.0}}), per_day)
        assert habit_jump(fleet.users[0], fleet.world.law[0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("per_day", "sessions", "users", "days", "added"),
    [
        (1.0, SATED, 30_000, 16, 0.733),
        (0.3, FORGETFUL, 36_000, 60, 1.249),
        (1.0, FORGETFUL, 20_000, 24, 0.95),
        (3.0, FORGETFUL, 30_000, 8, 0.82),
        (8.0, FORGETFUL, 40_000, 4, 0.76),
    ],
)
def test_k8_a_session_forced_at_a_random_time_adds_half_of_one_plus_cv_squared(per_day, sessions, users, days, added):
    """Paired runs on the same luck; the users are met in the stationary renewal process.

    A difference that has settled is a shift of all later sessions, so it is averaged over the last quarter of the days.
    """
    theory = renewal(per_day, sessions)
    expected = (1 + theory.cv**2) / 2
    assert expected == pytest.approx(added, abs=0.006)
    ages = theory.equilibrium_ages((np.random.default_rng(8).permutation(users) + 0.5) / users)
    counts = []
    for is_forced in (False, True):
        fleet = app(users, days, per_day, sessions)
        fleet.users["satiation"] = sessions["satiation"] * np.exp(-ages / theory.tau_r)
        fleet.users["salience"] = np.exp(-ages / theory.tau_m)
        if is_forced:
            for user in fleet.users:
                satiate(user, fleet.world.law[0])
        fleet.run(Sender(), days * 0.75)
        seen = []
        for hour in range(days * 18, days * 24 + 1, 6 if days < 20 else 24):
            fleet.run(Sender(), hour / 24)
            seen.append(n_organic(fleet))
        counts.append(np.mean(seen, axis=0))
    mean_agrees(1 + counts[1] - counts[0], expected, catches=0.02)


def test_k10_active_users_are_negative_binomial():
    rate, shape, users, days = 0.5, 0.4, 260_000, 2
    expected = 1 - (1 + rate / shape) ** -shape
    assert expected == pytest.approx(0.2770, abs=1e-4)
    fleet = Fleet(bare(users, days, population={"sessions_per_day": rate, "sessions_shape": shape}))
    fleet.world.organic[:] = 1.0
    never_leaves(fleet)
    fleet.run(Sender())
    active = fleet.tally["counts"][:, Metric.ACTIVE_DAYS] / days
    mean_agrees(active, expected, catches=0.02)
    # The same without the spread between users: given their rates, days are independent Poisson.
    alone = -np.expm1(-fleet.users["session_rate"].astype(float) * 24)
    spread = float(np.sqrt((alone * (1 - alone)).sum() * days)) / (users * days)
    agrees(float(active.mean()), float(alone.mean()), spread, catches=0.015)


def test_k23_sessions_follow_the_season_and_its_holidays_exactly():
    """Not a statistic: what the season adds up to until the first session is the user's threshold."""
    users, days, per_day = 5_000, 60, 0.05
    calendar = {
        "season_amplitude": 0.3,
        "season_peak_day": 20,
        "holidays": (
            {"name": "sale", "month": 1, "day": 20, "days": 4, "demand": 1.0, "competition": 0.0},
            {"name": "travel", "month": 2, "day": 10, "days": 6, "demand": -0.4, "competition": 0.0},
        ),
    }
    scenario = bare(users, days, calendar=calendar)
    fleet = constant_use(scenario, per_day, journal_rows=users * 20)
    never_leaves(fleet)
    thresholds = fleet.users["clock_session"].copy()
    fleet.run(Sender())
    seen = events(fleet, Event.SESSION)
    who, first = np.unique(seen["user_id"], return_index=True)
    assert len(who) > 0.9 * users

    day_of_year = 5 + np.arange(days)  # from 5 January
    season = 1 + 0.3 * np.cos(2 * np.pi * (day_of_year - 20) / 365)
    season[15:19] += 1.0  # 20 to 23 January
    season[36:42] -= 0.4  # 10 to 15 February
    used = per_day * np.interp(seen["time_hours"][first] / 24, np.arange(days + 1), np.append(0, season.cumsum()))
    np.testing.assert_allclose(used, thresholds[who], rtol=3e-6, atol=1e-7)


def test_a_forced_session_leaves_the_threshold_alone():
    """K8 needs it: what is left of an exponential threshold is exponential, whenever a session is forced."""
    fleet = app(1, 1, 1.0, SATED)
    wait(fleet, 5)
    user = fleet.users[0]
    left = float(user["clock_session"])
    satiate(user, fleet.world.law[0])
    assert user["clock_session"] == left
    assert user["satiation"] == 1.0
    assert user["salience"] == 1.0
    assert earliest_scheduled(user, fleet.world.law[0]) == NEVER
