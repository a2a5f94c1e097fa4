"""What users share is settled in keyed order: nobody is favoured by where it stands, and nothing is overspent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.config import load_scenario
from simulator.config import Gateway, Outage
from simulator.law import build_world
from simulator.luck import user_key
from simulator.records import World
from simulator.settlement import REFUSED_HOURS, Shared, through_outages

COST_EUR = 0.00005
FREE = Gateway()


def shop(budget_eur: float | None = None, gateway: Gateway = FREE) -> tuple[World, Shared]:
    """Return the e-commerce world with a budget on every campaign, and what its users share."""
    scenario = load_scenario("ecommerce", overrides={"population.n_users": 1, "calendar.horizon_days": 5})
    campaigns = tuple(c.model_copy(update={"budget_eur": budget_eur}) for c in scenario.campaigns)
    scenario = scenario.model_copy(update={"campaigns": campaigns, "gateway": gateway})
    return build_world(scenario), Shared(scenario)


def keys(n: int) -> np.ndarray:
    return np.asarray([user_key(1, i) for i in range(n)], np.uint64)


@given(st.permutations(range(40)), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nobodys_verdict(order, n_paid):
    wishes = np.asarray([4 * (i % 8) for i in range(40)], np.int32)
    verdicts = []
    for rows in (np.arange(40), np.asarray(order)):
        world, shared = shop(budget_eur=max(n_paid, 1) / 16 * COST_EUR, gateway=Gateway(per_hour=10.0))
        verdict = np.empty(40)
        verdict[rows] = shared.settle(keys(40)[rows], wishes[rows], 7, world.law, world.campaigns)
        verdicts.append(verdict)
    assert np.array_equal(verdicts[0], verdicts[1])


@pytest.mark.parametrize("n_paid", [1, 2, 13])
def test_a_budget_pays_to_the_last_cent_and_not_beyond(n_paid):
    world, shared = shop(budget_eur=(n_paid + 0.5) * COST_EUR)
    for hour in range(3):
        verdict = shared.settle(keys(20), np.zeros(20, np.int32), hour, world.law, world.campaigns)
        granted = int((verdict != REFUSED_HOURS).sum())
        assert granted == (n_paid if hour == 0 else 0)
    assert shared.spent_nano[0] == n_paid * round(COST_EUR * 1e9)
    assert not shared.spent_nano[1:].any()


def test_who_gets_the_last_places_changes_with_the_hour():
    """Keyed by the send: over many hours every user is served about equally often, chi-square at 1e-6."""
    served = np.zeros(20)
    world, shared = shop(budget_eur=5.5 * COST_EUR)
    for hour in range(2000):
        shared.spent_nano[:] = 0
        served += shared.settle(keys(20), np.zeros(20, np.int32), hour, world.law, world.campaigns) != REFUSED_HOURS
    assert served.sum() == 2000 * 5
    # Without replacement: the variance of a share of 5 in 20 is p (1 - p) n / (n - 1) a draw.
    statistic = ((served - 500) ** 2 / (2000 * 0.25 * 0.75 * 20 / 19)).sum()
    assert statistic < 69.6, "chi-square with 19 degrees of freedom exceeds this once in a million"


def test_the_queue_is_first_come_first_served():
    """The k-th message of an hour waits k services; what is left over delays the next hour (Lindley)."""
    world, shared = shop(gateway=Gateway(per_hour=8.0))
    first = np.sort(shared.settle(keys(12), np.zeros(12, np.int32), 0, world.law, world.campaigns))
    assert first == pytest.approx(np.arange(1, 13) / 8)
    second = np.sort(shared.settle(keys(2), np.zeros(2, np.int32), 1, world.law, world.campaigns))
    assert second == pytest.approx([0.5 + 1 / 8, 0.5 + 2 / 8])
    later = shared.settle(keys(1), np.zeros(1, np.int32), 9, world.law, world.campaigns)
    assert later == pytest.approx([1 / 8])


def test_nothing_moves_during_an_outage():
    world, shared = shop(gateway=Gateway(per_hour=4.0, outages=(Outage(start_hour=2.125, hours=3.0),)))
    waits = np.sort(shared.settle(keys(3), np.zeros(3, np.int32), 2, world.law, world.campaigns))
    assert waits == pytest.approx([3.25, 3.5, 3.75])  # the first is caught half way through
    outages = np.asarray([[2.0, 5.0], [5.0, 6.0]])
    assert through_outages(2.0, 0.0, outages) == 6.0
    assert through_outages(1.0, 0.0, outages) == 1.0
    assert through_outages(6.0, 0.5, outages) == 6.5
