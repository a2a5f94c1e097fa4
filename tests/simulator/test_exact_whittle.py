"""Whittle's indices and the relaxed bounds against their definitions, and how they do as users grow many."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog

from simulator.exact.finite import FiniteModel, Floats, value_iteration
from simulator.exact.restless import DISCOUNT, OUT, restless_arms, restless_baselines, restless_bound, restless_world
from simulator.exact.sampling import cumulated
from simulator.exact.whittle import Arm, priced_bound, relaxed_bound
from tests.simulator.bare import Z

ALL_RESTED = (0, 0, 0, 0)
N_PRICED_STEPS = 100


def priced_problem(arm: Arm, price: float) -> FiniteModel:
    """The arm alone, each send at a price: solved by value iteration, which shares nothing with the enumeration."""
    n_states = len(arm.reward)
    is_send = arm.can_send[:, None] & np.asarray([False, True])
    return FiniteModel(
        kernels=(arm.kernels.copy(),),
        win_prob=np.ones((n_states, 2)),
        win=arm.reward[:, None] * is_send,
        cost=price * is_send,
        is_allowed=np.stack([np.ones(n_states, np.bool_), arm.can_send], axis=1),
        is_final=~arm.can_send,
        start=np.eye(n_states)[0],
        discount=arm.discount,
    )


def sticky_arm(rewards: list[float]) -> Arm:
    """An arm that nothing moves."""
    n_states = len(rewards)
    return Arm(np.stack([np.eye(n_states)] * 2), np.asarray(rewards), np.ones(n_states, np.bool_), 0.9)


def test_the_index_of_an_arm_that_nothing_moves_is_its_reward():
    np.testing.assert_allclose(sticky_arm([0.3, -0.2, 0.0]).indices, [0.3, -0.2, 0.0], atol=1e-12)


@pytest.mark.parametrize("user", range(4))
def test_at_its_index_a_send_and_none_are_worth_the_same(user):
    arm = restless_arms()[user]
    indices = arm.indices
    assert np.isneginf(indices[OUT])
    for state in np.flatnonzero(np.isfinite(indices)):
        problem = priced_problem(arm, float(indices[state]))
        none, sent = problem.action_values(value_iteration(problem).values)[state]
        assert sent == pytest.approx(none, abs=1e-8)


@pytest.mark.parametrize("user", range(4))
def test_the_arms_are_indexable(user):
    """As the price falls, states join those where a send is best, and none leaves."""
    arm = restless_arms()[user]
    advantages = np.stack([arm.advantage(np.full(OUT + 1, price)) for price in np.linspace(0.4, -2.0, 481)])
    is_sent = advantages[:, :OUT] > 0.0
    assert (np.diff(is_sent.astype(int), axis=0) >= 0).all()
    assert not is_sent[0].any()
    assert is_sent[-1].any()


def test_a_state_where_no_subsidy_pays_for_the_risk_has_no_index():
    """Then even at a subsidy of a thousand rewards a send, resting first is better."""
    for arm in restless_arms():
        for state in np.flatnonzero(np.isneginf(arm.indices[:OUT])):
            problem = priced_problem(arm, -1000.0)
            none, sent = problem.action_values(value_iteration(problem, 1e-9).values)[state]
            assert sent < none


def test_indices_turn_negative_at_one_or_two():
    for arm in restless_arms():
        assert arm.indices[0] > 0.0 > arm.indices[2]
        assert int((arm.indices <= 0.0).argmax()) in (1, 2)


def test_the_relaxed_bound_is_the_least_over_prices():
    arms = restless_arms()
    bound, price = relaxed_bound(arms, ALL_RESTED, 1.0)

    def at(some_price: float) -> float:
        values = [value_iteration(priced_problem(arm, some_price)).values[0] for arm in arms]
        return float(sum(values)) + some_price / (1.0 - DISCOUNT)

    assert at(price) == pytest.approx(bound, abs=1e-8)
    assert min(at(price * factor) for factor in (0.5, 0.95, 1.05, 2.0)) > bound


def test_the_relaxed_bound_is_above_the_optimum_and_scales():
    optimum = float(restless_world().solution.values[0])
    assert restless_bound() > optimum
    assert restless_bound(3) == pytest.approx(3 * restless_bound(), rel=1e-12)


def test_a_budget_for_everybody_makes_the_bound_the_optimum_of_each():
    arms = restless_arms()
    bound, price = relaxed_bound(arms, ALL_RESTED, 4.0)
    assert price == 0.0
    assert bound == pytest.approx(sum(value_iteration(priced_problem(arm, 0.0)).values[0] for arm in arms), abs=1e-8)


def test_a_constant_price_for_ever_gives_the_relaxed_bound():
    bound, price = relaxed_bound(restless_arms(), ALL_RESTED, 1.0)
    assert priced_bound(restless_arms(), ALL_RESTED, 1.0, np.full(1500, price)) == pytest.approx(bound, abs=1e-9)


@pytest.mark.parametrize("prices", [[0.1, -0.1], [np.nan], [np.inf]])
def test_a_price_that_is_none_is_refused(prices):
    with pytest.raises(ValueError, match="prices: expected finite prices >= 0, got"):
        priced_bound(restless_arms(), ALL_RESTED, 1.0, np.asarray(prices))


def test_an_arm_too_large_to_enumerate_is_refused():
    with pytest.raises(ValueError, match="can_send: expected at most 12 states, got 13"):
        sticky_arm([0.0] * 13)


def best_prices(n_steps: int) -> tuple[Floats, float]:
    """The multipliers of the budget in each step, and the bound, from the linear programme that is dual to it.

    Variables: the expected number of users of each type in each state at each step, sent to or not. After the last
    step everybody may be sent to.
    """
    arms = restless_arms()
    flow_rows, flow_columns, flow_values = [], [], []
    start = np.zeros((4, n_steps, OUT))
    start[:, 0, 0] = 1.0
    index = np.arange(4 * n_steps * OUT * 2).reshape(4, n_steps, OUT, 2)
    row = np.arange(4 * n_steps * OUT).reshape(4, n_steps, OUT)
    rewards = np.zeros((4, n_steps, OUT, 2))
    for user, arm in enumerate(arms):
        rewards[user, :, :, 1] = DISCOUNT ** np.arange(n_steps)[:, None] * arm.reward[:OUT]
        later = arm.kernels @ arm.rewards_and_sends[0].max(axis=0)
        rewards[user, -1] += DISCOUNT**n_steps * later[:, :OUT].T
        for is_sent in (0, 1):
            flow_rows.append(row[user].ravel())
            flow_columns.append(index[user, :, :, is_sent].ravel())
            flow_values.append(np.ones(n_steps * OUT))
            for now in range(OUT):
                for following in range(OUT):
                    prob = arm.kernels[is_sent, now, following]
                    flow_rows.append(row[user, 1:, following])
                    flow_columns.append(index[user, :-1, now, is_sent])
                    flow_values.append(np.full(n_steps - 1, -prob))
    place = (np.concatenate(flow_rows), np.concatenate(flow_columns))
    flow = scipy.sparse.csr_matrix((np.concatenate(flow_values), place), (row.size, index.size))
    sent = index[:, :, :, 1].transpose(1, 0, 2).reshape(n_steps, -1)
    at_step = np.repeat(np.arange(n_steps), sent.shape[1])
    budget = scipy.sparse.csr_matrix((np.ones(sent.size), (at_step, sent.ravel())), (n_steps, index.size))
    found = linprog(-rewards.ravel(), budget, np.ones(n_steps), flow, start.ravel(), method="highs")
    assert found.success, found.message
    return np.maximum(-found.ineqlin.marginals, 0.0) / DISCOUNT ** np.arange(n_steps), -found.fun


def whittle_value(n_of_each: int, n_runs: int, seed: int) -> tuple[float, float]:
    """Played value of Whittle's policy for one user of each type, and its standard error; 400 steps."""
    generator = np.random.default_rng(seed)
    arms = restless_arms()
    kind = np.tile(np.arange(4), n_of_each)
    cumulative = np.stack([cumulated(arm.kernels) for arm in arms])
    reward, index = np.stack([arm.reward for arm in arms]), np.stack([arm.indices for arm in arms])
    level = np.zeros((n_runs, 4 * n_of_each), np.int64)
    total = np.zeros(n_runs)
    for step in range(400):  # .98 ** 400 = 3e-4, of a value that has shrunk as far as users have opted out
        of_user = index[kind, level]
        first = np.argpartition(-of_user, n_of_each - 1, axis=1)[:, :n_of_each]
        is_sent = np.zeros_like(level)
        np.put_along_axis(is_sent, first, 1, axis=1)
        is_sent &= of_user > 0.0
        total += DISCOUNT**step * (is_sent * reward[kind, level]).sum(axis=1) / n_of_each
        uniforms = generator.random((*level.shape, 1))
        level = (uniforms >= cumulative[kind, is_sent, level]).sum(axis=2)
    return float(total.mean()), float(total.std(ddof=1)) / n_runs**0.5


def test_whittles_gap_a_user_shrinks_as_users_grow_many():
    """With n users of each type and n sends a step, the gap to a bound that holds for every n (Weber & Weiss 1990).

    The bound that prices all steps alike cannot show it: users opt out, so the budget is scarce at first and plenty
    later, and one price for all steps lets early sends borrow from late ones.
    """
    prices, of_programme = best_prices(N_PRICED_STEPS)
    bound = priced_bound(restless_arms(), ALL_RESTED, 1.0, prices)
    assert bound == pytest.approx(of_programme, abs=1e-6)  # duality: no better prices exist
    assert float(restless_world().solution.values[0]) < bound < restless_bound() - 0.5
    exact_gap = bound - restless_baselines()["Whittle index"]
    one, one_error = whittle_value(1, 1000, seed=1)
    assert abs(one - restless_baselines()["Whittle index"]) < Z * one_error + 0.001  # the play is that of the policy
    few, few_error = whittle_value(8, 250, seed=2)
    many, many_error = whittle_value(100, 40, seed=3)
    assert bound - few + Z * few_error < 0.7 * exact_gap
    assert bound - many + Z * many_error < 0.3 * exact_gap
    assert bound - many > -Z * many_error
