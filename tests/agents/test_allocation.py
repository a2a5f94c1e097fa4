"""Allocation against HiGHS on random instances, and what it promises of prices, bounds and budgets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from agents.agent import Bools, Floats
from agents.allocation import Allocation, Budget, adapted_prices, allocate, choose_at


def optimum(scores: Floats, budgets: list[Budget], masks: Bools, *, is_whole: bool) -> float:
    """The best value over silence by HiGHS, of whole sends or of split ones."""
    n, n_actions = scores.shape
    gains = (scores - scores[:, :1])[:, 1:]
    one_each = np.kron(np.eye(n), np.ones(n_actions - 1))
    costs = [np.broadcast_to(budget.costs, scores.shape)[:, 1:].ravel() for budget in budgets]
    found = milp(
        -gains.ravel(),
        constraints=[
            LinearConstraint(one_each, ub=1.0),
            *(LinearConstraint(cost[None], ub=budget.limit) for cost, budget in zip(costs, budgets, strict=True)),
        ],
        bounds=(0, masks[:, 1:].ravel().astype(float)),
        integrality=np.full(gains.size, int(is_whole)),
        options={"mip_rel_gap": 0.0},
    )
    assert found.success
    return -float(found.fun)


def instance(seed: int) -> tuple[Floats, list[Budget], Bools]:
    """Random: with ties, negative scores, budgets of 0 and beyond need, costs by action or by user."""
    rng = np.random.default_rng(seed)
    n, n_actions = int(rng.integers(1, 25)), int(rng.integers(2, 7))
    scores = rng.normal(0.3, 1.0, (n, n_actions))
    if seed % 3 == 0:
        scores = np.round(scores)
    masks = rng.random(scores.shape) < 0.8
    masks[:, 0] = True
    budgets = []
    for b in range(int(rng.integers(0, 4))):
        shape = scores.shape if rng.random() < 0.4 else scores.shape[1:]
        costs = rng.choice([0.0, 1.0, 2.5], shape) if rng.random() < 0.5 else rng.uniform(0, 2, shape)
        costs[..., 0] = 0.0
        limit = float(rng.choice([0.0, 0.5, 2.0, n / 4, n / 2, 3.0 * n]))
        budgets.append(Budget(f"budget {b}", limit, costs))
    return scores, budgets, masks


def require_sound(found: Allocation, scores: Floats, budgets: list[Budget], masks: Bools) -> None:
    rows = np.arange(len(scores))
    assert masks[rows, found.actions].all()
    for budget, spent in zip(budgets, found.spent, strict=True):
        paid = float(np.broadcast_to(budget.costs, scores.shape)[rows, found.actions].sum())
        assert paid <= budget.limit
        assert spent == pytest.approx(paid)
    assert found.value == pytest.approx(float((scores[rows, found.actions] - scores[:, 0]).sum()))
    assert (found.prices >= 0).all()


def test_the_bound_is_the_relaxed_optimum_and_the_value_nearly_the_whole_one() -> None:
    shortfalls = []
    for seed in range(120):
        scores, budgets, masks = instance(seed)
        found = allocate(scores, budgets, masks)
        require_sound(found, scores, budgets, masks)
        relaxed, whole = (optimum(scores, budgets, masks, is_whole=flag) for flag in (False, True))
        assert found.bound == pytest.approx(relaxed, rel=1e-5, abs=1e-6), seed
        assert found.value <= whole + 1e-6, seed
        assert found.gap >= 0.0
        most = float((scores - scores[:, :1]).max())
        assert found.gap <= len(budgets) * most + 1e-6, seed
        shortfalls.append((whole - found.value) / max(whole, 1.0))
    # Instances of 1 to 24 users, so one user's send is much: .0014 on average, and 113 of 120 are exact.
    assert float(np.mean(shortfalls)) < 0.005


def test_sends_under_one_count_are_the_best_ones() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0.0, 1.0, (500, 9))
    costs = np.ones(9)
    costs[0] = 0.0
    found = allocate(scores, [Budget("sends", 100.0, costs)])
    best = (scores[:, 1:] - scores[:, :1]).max(axis=1)
    assert found.value == pytest.approx(np.sort(best)[-100:].sum())
    assert found.spent.tolist() == [100.0]
    hundredth, following = np.sort(best)[::-1][99:101]
    assert following - 1e-6 <= found.prices[0] <= hundredth + 1e-6
    assert found.gap < 1e-4


def test_without_need_of_them_prices_are_zero_and_without_a_budget_nobody_is_sent_anything() -> None:
    scores = np.asarray([[0.0, 1.0], [0.0, -1.0], [5.0, 4.0]])
    costs = np.asarray([0.0, 1.0])
    ample, none = (allocate(scores, [Budget("sends", limit, costs)]) for limit in (1.0, 0.0))
    assert (ample.actions.tolist(), ample.prices.tolist(), ample.gap) == ([1, 0, 0], [0.0], 0.0)
    assert (none.actions.tolist(), none.value, none.gap) == ([0, 0, 0], 0.0, 0.0)
    assert none.prices[0] >= 1.0
    free = allocate(scores, [])
    assert free.actions.tolist() == [1, 0, 0]


def test_ties_beyond_the_budget_go_to_some_and_use_it_up() -> None:
    costs = np.asarray([0.0, 1.0, 1.0])
    found = allocate(np.tile([0.0, 2.0, 2.0], (10, 1)), [Budget("sends", 4.0, costs)])
    assert (found.value, found.spent.tolist()) == (8.0, [4.0])
    assert found.bound == pytest.approx(8.0)


def test_a_hundred_thousand_users_are_within_a_hair_of_the_bound() -> None:
    rng = np.random.default_rng(2)
    scores = rng.exponential(1.0, (100_000, 9)) - 0.5
    push, mail = np.zeros(9), np.zeros(9)
    push[1::2], mail[2::2] = 5e-5, 8e-4
    every = np.ones(9)
    every[0] = 0.0
    budgets = [Budget("sends", 30_000.0, every), Budget("push EUR", 1.0, push), Budget("email EUR", 8.0, mail)]
    found = allocate(scores, budgets)
    require_sound(found, scores, budgets, np.ones(scores.shape, np.bool_))
    assert 0.0 <= found.gap <= 1e-4 * found.bound


def test_carried_prices_follow_the_spending_to_its_pace() -> None:
    rng = np.random.default_rng(3)
    costs = np.asarray([0.0, 1.0])
    prices = np.zeros(1)
    spent_late = []
    for epoch in range(400):
        scores = np.stack([np.zeros(200), rng.exponential(1.0, 200)], axis=1)
        _, spent = choose_at(scores, [Budget("sends", 20.0, costs)], prices)
        prices = adapted_prices(prices, spent, np.asarray([20.0]), step=0.05)
        if epoch >= 200:
            spent_late.append(float(spent[0]))
    # A send is worth more than the price with probability exp(-price); the pace is a tenth.
    assert np.mean(spent_late) == pytest.approx(20.0, rel=0.05)
    assert prices[0] == pytest.approx(math.log(10), abs=0.5)
    with pytest.raises(ValueError, match="adapted_prices: expected step and paces above 0"):
        adapted_prices(prices, prices, np.zeros(1), 0.1)


def test_at_carried_prices_nothing_is_spent_of_a_budget_of_nothing() -> None:
    n_empty = 0
    for seed in range(400):
        scores, budgets, masks = instance(seed)
        prices = allocate(scores, budgets, masks).prices
        actions, spent = choose_at(scores, budgets, prices, masks)
        assert masks[np.arange(len(scores)), actions].all()
        empty = np.asarray([budget.limit == 0.0 for budget in budgets], np.bool_)
        assert (spent[empty] == 0.0).all(), seed
        n_empty += int(empty.sum())
    assert n_empty > 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros(3)}, r"scores: expected shape \(U, A\), got \(3,\)"),
        ({"scores": np.asarray([[0.0, math.nan]])}, r"scores\[0, 1\]: expected a finite number, got nan"),
        ({"masks": np.ones((2, 2), bool)}, r"masks: expected shape \(1, 2\), got \(2, 2\)"),
        ({"limit": -1.0}, "budget 'sends': limit: expected a finite number of at least 0, got -1.0"),
        ({"costs": np.zeros(3)}, r"budget 'sends': costs: expected shape \(2,\) or \(1, 2\), got \(3,\)"),
        ({"costs": np.asarray([0.0, -1.0])}, "budget 'sends': costs: expected at least 0, got -1.0"),
        ({"costs": np.asarray([1.0, 1.0])}, "expected no_send, action 0, to cost nothing"),
        ({"costs": np.asarray([0.0, math.inf])}, "costs.1.: expected a finite number, got inf"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"scores": np.zeros((1, 2)), "masks": None, "limit": 1.0, "costs": np.asarray([0.0, 1.0])}
    given |= changes
    with pytest.raises(ValueError, match=message):
        allocate(given["scores"], [Budget("sends", given["limit"], given["costs"])], given["masks"])


@pytest.mark.parametrize("unit", [1e-12, 1e-8, 1.0, 9e5, 1e9, 1e15])
def test_the_unit_of_money_changes_nothing(unit: float) -> None:
    scores = np.random.default_rng(0).normal(size=(1000, 5))
    budgets = [Budget("sends", 300, np.asarray([0.0, 1, 1, 2, 2])), Budget("mails", 90, np.asarray([0.0, 1, 0, 1, 0]))]
    plain, scaled = allocate(scores, budgets), allocate(scores * unit, budgets)
    assert scaled.value == pytest.approx(plain.value * unit, rel=2e-3)
    assert scaled.bound == pytest.approx(plain.bound * unit, rel=1e-6)
    assert scaled.gap <= 2e-3 * scaled.bound
