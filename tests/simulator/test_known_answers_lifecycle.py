"""Leaving, and who is left, against their closed forms (K9, K24)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from simulator.fleet import Fleet
from simulator.law import build_world
from simulator.population import population
from simulator.records import NEVER, Event, Metric, Status
from simulator.senders import Sender
from tests.simulator.bare import bare, events, follows, mean_agrees, share_agrees

SHAPE, SCALE_DAYS = 0.8, 90.0


def newcomers(
    users: int, days: int, tourists: float, scale_days: float = SCALE_DAYS, rows: int = 2, **changes: Any
) -> Fleet:
    """Return users who all install within the first seconds, and whose sessions and messages leave their stay alone."""
    people = {
        "mature_share": 0.0,
        "arrival_days": 1e-6,
        "churn_shape": SHAPE,
        "churn_scale_days": scale_days,
        "tourist_share": tourists,
    }
    return Fleet(bare(users, days, population=people, **changes), journal_rows=users * rows)


def test_k9_newcomers_survive_as_tourists_and_a_gamma_mixture():
    users, days, tourists = 40_000, 45, 0.25
    fleet = newcomers(users, days, tourists)
    thresholds, rates = fleet.users["clock_churn"].copy(), fleet.users["churn_rate"].astype(float)
    fleet.run(Sender())
    left = events(fleet, Event.CHURN)

    def gone(hours):
        return 1 - tourists * np.exp(-hours / 12) - (1 - tourists) * (1 + hours / 24 / SCALE_DAYS) ** -SHAPE

    follows(left["time_hours"], gone, catches=0.02, of=users, until=days * 24.0)
    # User by user, not a statistic.
    who = left["user_id"]
    stayed = left["time_hours"] - fleet.users["installed_hours"][who]
    np.testing.assert_allclose(rates[who] * stayed, thresholds[who], rtol=1e-9, atol=1e-12)
    assert int((fleet.users["status"] == Status.PRESENT).sum()) == users - len(left)


def test_k9_and_k24_the_survivors_of_ninety_days_are_gamma_again():
    """The posterior that mature users are drawn from is what newcomers become: shape k, rate b + age."""
    users, days = 40_000, 90
    fleet = newcomers(users, days, tourists=0.0)
    fleet.run(Sender())
    is_present = fleet.users["status"] == Status.PRESENT
    assert pytest.approx(0.574, abs=1e-3) == 2**-SHAPE
    share_agrees(int(is_present.sum()), users, 2**-SHAPE, catches=0.05)
    rates = fleet.users["churn_rate"][is_present].astype(float) * 24
    mean_agrees(rates, SHAPE / (SCALE_DAYS + days), catches=0.06)
    follows(rates, lambda h: stats.gamma.cdf(h, SHAPE, scale=1 / (SCALE_DAYS + days)), catches=0.03)


@pytest.mark.parametrize(("age_days", "prototype"), [(200.0, 0.002759), (30.0, None)])
def test_k24_mature_users_have_the_survivors_hazard(age_days, prototype):
    """Given age, through the population's own generator: churn rate times (b + age) is Gamma(k, 1) at every age."""
    users = 150_000
    if prototype is not None:
        assert SHAPE / (SCALE_DAYS + age_days) == pytest.approx(prototype, rel=1e-3)
    people = {"mature_age_days": age_days, "churn_shape": SHAPE, "churn_scale_days": SCALE_DAYS}
    scenario = bare(users, 1, population=people)
    made = population(scenario, build_world(scenario))
    ages = -made["installed_hours"] / 24
    follows(ages, lambda a: -np.expm1(-a / age_days), catches=0.011)
    scaled = made["churn_rate"].astype(float) * 24 * (SCALE_DAYS + ages)
    mean_agrees(scaled, SHAPE, catches=0.03)
    follows(scaled, lambda x: stats.gamma.cdf(x, SHAPE), catches=0.011)
    near = np.abs(ages / age_days - 1) < 0.1  # users of about that age
    mean_agrees(
        made["churn_rate"][near].astype(float) * 24 * (SCALE_DAYS + ages[near]) / (SCALE_DAYS + age_days),
        SHAPE / (SCALE_DAYS + age_days),
        catches=0.1,
    )


def test_k9_habit_delays_leaving_and_never_hastens_it():
    """On the same luck, user by user: with a shield nobody leaves sooner, and regular users stay much longer."""
    users, days = 6_000, 60
    times = {}
    for shield in (0.0, 0.5):
        behaviour = {"sessions": {"habit_gain": 0.1, "habit_days": 20.0}, "churn": {"habit_shield": shield}}
        fleet = newcomers(users, days, 0.1, scale_days=20.0, rows=200, behaviour=behaviour)
        fleet.users["session_rate"] = 1 / 24
        fleet.run(Sender())
        times[shield] = np.full(users, NEVER)
        left = events(fleet, Event.CHURN)
        times[shield][left["user_id"]] = left["time_hours"]
    assert (times[0.5] >= times[0.0]).all()
    later = times[0.5] > times[0.0] + 1.0
    assert later.sum() > users / 4


def test_k9_dissatisfaction_hastens_leaving_by_its_drag():
    """Half a unit that hardly fades: the hazard is 1 + drag/2 times as large, user by user."""
    users, drag = 2_000, 0.8
    behaviour = {"sessions": {"dissatisfaction_drag": drag}, "withdrawal": {"dissatisfaction_hours": 1e9}}
    fleet = newcomers(users, 30, 0.0, scale_days=10.0, behaviour=behaviour)
    fleet.users["dissatisfaction"] = 0.5
    thresholds, rates = fleet.users["clock_churn"].copy(), fleet.users["churn_rate"].astype(float)
    fleet.run(Sender())
    left = events(fleet, Event.CHURN)
    assert len(left) > users / 2
    who = left["user_id"]
    used = rates[who] * (1 + drag / 2) * (left["time_hours"] - fleet.users["installed_hours"][who])
    np.testing.assert_allclose(used, thresholds[who], rtol=1e-6, atol=1e-9)
    assert int(fleet.tally["counts"][:, Metric.CHURNS].sum()) == len(left)
