"""Value iteration and exact evaluation against closed forms, enumeration of all policies, and long sums."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.exact.finite import FiniteModel, Floats, action_probabilities, policy_value, start_value, value_iteration
from simulator.exact.sampling import Sampler, cumulated


def random_model(seed: int, sizes: tuple[int, ...] = (4,), n_actions: int = 2, discount: float = 0.9) -> FiniteModel:
    """A problem of nothing but random numbers; its last state is final when there is one part."""
    generator = np.random.default_rng(seed)
    kernels = [generator.dirichlet(np.ones(size), (n_actions, size)) for size in sizes]
    n_states = int(np.prod(sizes))
    is_final = np.zeros(n_states, np.bool_)
    if len(sizes) == 1:
        is_final[-1] = True
        kernels[0][:, -1] = np.eye(n_states)[-1]
    is_live = ~is_final[:, None]
    return FiniteModel(
        kernels=tuple(kernels),
        win_prob=generator.random((n_states, n_actions)),
        win=generator.normal(size=(n_states, n_actions)) * is_live,
        cost=generator.random((n_states, n_actions)) * is_live,
        is_allowed=np.ones((n_states, n_actions), np.bool_),
        is_final=is_final,
        start=generator.dirichlet(np.ones(n_states)),
        discount=discount,
    )


def one_action(stay_prob: float, reward: float, discount: float) -> FiniteModel:
    """Earn `reward` a step until it ends."""
    kernel = np.asarray([[[stay_prob, 1.0 - stay_prob], [0.0, 1.0]]])
    return FiniteModel(
        kernels=(kernel,),
        win_prob=np.ones((2, 1)),
        win=np.asarray([[reward], [0.0]]),
        cost=np.zeros((2, 1)),
        is_allowed=np.ones((2, 1), np.bool_),
        is_final=np.asarray([False, True]),
        start=np.asarray([1.0, 0.0]),
        discount=discount,
    )


@given(st.floats(0.0, 1.0), st.floats(-5.0, 5.0), st.floats(0.0, 0.999))
@settings(deadline=None)
def test_a_reward_until_the_end_is_a_geometric_sum(stay_prob, reward, discount):
    value = start_value(one_action(stay_prob, reward, discount), np.zeros(2, np.int64))
    assert value == pytest.approx(reward / (1.0 - discount * stay_prob), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_value_iteration_finds_the_best_of_all_policies(seed):
    model = random_model(seed)
    values = [policy_value(model, np.asarray([*p, 0])) for p in itertools.product((0, 1), repeat=3)]
    solution = value_iteration(model)
    np.testing.assert_allclose(solution.values, np.max(values, axis=0), atol=1e-12)


def test_no_action_improves_on_the_optimum():
    model = random_model(3, (3, 4), 5)
    solution = value_iteration(model)
    np.testing.assert_allclose(model.action_values(solution.values).max(axis=1), solution.values, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_stochastic_policy_is_worth_its_long_sum(seed):
    model = random_model(seed, (2, 3), 3)
    probs = np.random.default_rng(seed + 100).dirichlet(np.ones(3), 6)
    ahead = model.start.copy()
    total = 0.0
    for step in range(400):
        total += model.discount**step * float(ahead @ (probs * model.reward).sum(axis=1))
        ahead = sum(((ahead * probs[:, a]) @ model.rows(np.arange(6), a) for a in range(3)), np.zeros(6))
    assert start_value(model, probs) == pytest.approx(total, abs=1e-12)


def test_a_certain_policy_is_the_same_as_actions_and_as_probabilities():
    model = random_model(0)
    actions = np.asarray([1, 0, 1, 0])
    np.testing.assert_array_equal(policy_value(model, np.eye(2)[actions]), policy_value(model, actions))


def test_probabilities_in_float32_are_taken_for_what_they_mean():
    model = random_model(0, (30,), 3)
    probs = np.random.default_rng(1).dirichlet(np.ones(3), 30)
    rounded = probs.astype(np.float32)
    assert (rounded.sum(axis=1) != 1.0).any()
    np.testing.assert_allclose(policy_value(model, rounded), policy_value(model, probs), atol=1e-5)


def test_parts_make_the_kronecker_product():
    model = random_model(1, (2, 3, 2), 4)
    values = np.random.default_rng(0).normal(size=12)
    expected = np.empty((12, 4))
    for action in range(4):
        full = np.kron(np.kron(model.kernels[0][action], model.kernels[1][action]), model.kernels[2][action])
        np.testing.assert_allclose(model.rows(np.arange(12), action), full, atol=1e-15)
        expected[:, action] = model.reward[:, action] + model.discount * full @ values
    np.testing.assert_allclose(model.action_values(values), expected, atol=1e-14)
    np.testing.assert_array_equal(model.state(model.parts), np.arange(12))


def test_a_barred_action_is_never_optimal():
    model = random_model(2)
    best = value_iteration(model).actions
    is_allowed = np.ones((4, 2), np.bool_)
    is_allowed[np.arange(3), 1] = best[:3] == 0
    barred = dataclasses.replace(model, is_allowed=is_allowed)
    assert (best[:3] == 1).any()
    assert (value_iteration(barred).actions == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discount": 1.0}, r"discount: expected 0 <= discount < 1, got 1\.0"),
        ({"win": np.zeros((3, 2))}, r"win: expected shape \(4, 2\), got \(3, 2\)"),
        ({"is_final": np.zeros(3, np.bool_)}, r"is_final: expected shape \(4,\), got \(3,\)"),
        ({"win_prob": np.full((4, 2), 1.5)}, r"win_prob: expected 0 to 1, got 1\.5 to 1\.5"),
        ({"is_final": np.ones(4, np.bool_)}, r"is_final: state 0 must absorb and earn nothing"),
        ({"start": np.full(4, 0.3)}, r"start: expected probabilities that sum to 1, got the sum 1\.2"),
        ({"start": np.full(4, np.nan)}, r"start: expected probabilities that sum to 1, got the sum nan"),
        ({"kernels": (np.full((2, 4, 4), 0.2),)}, r"kernels\[0\]\[0\]\[0\]: expected probabilities that sum to 1"),
        ({"kernels": (np.ones((2, 4)),)}, r"kernels\[0\]: expected shape \(2, S_f, S_f\), got \(2, 4\)"),
        ({"is_allowed": np.eye(4, 2) == 1}, r"is_allowed: action 0 must be allowed, state 1 bars it"),
    ],
)
def test_a_contradictory_model_is_refused(change: dict[str, Any], message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(random_model(0), **change)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.zeros(3, np.int64), r"policy: expected integer actions of shape \(4,\) .* got int64 of shape \(3,\)"),
        (np.zeros(4), r"policy: .* or float probabilities of shape \(4, 2\), got float64 of shape \(4,\)"),
        (np.asarray([0, 2, 0, 0]), r"policy\[1\]: expected an action 0 to 1, got 2"),
        (np.full((4, 2), 0.4), r"policy\[0\]: expected probabilities that sum to 1, got the sum 0\.8"),
        (np.asarray([[2.0, -1.0]] * 4), r"policy\[0\]: expected probabilities that sum to 1, got the sum 1\.0"),
        (np.asarray([0, 1, 1, 1]), r"policy\[1\]: action 1 is not allowed there, \[0\] are; 2 such pairs in all"),
    ],
)
def test_a_policy_that_is_none_is_refused(policy: Floats, message):
    is_allowed = np.ones((4, 2), np.bool_)
    is_allowed[1:, 1] = False
    model = dataclasses.replace(random_model(0), is_allowed=is_allowed)
    with pytest.raises(ValueError, match=message):
        action_probabilities(model, policy)


def test_a_tolerance_below_resolution_is_refused():
    with pytest.raises(ValueError, match=r"tolerance: expected a change that float64 can resolve, got 0\.0"):
        value_iteration(random_model(0), 0.0)


def test_an_impossible_outcome_is_never_drawn():
    """Not even at the edges, where a rounded sum ends just below or at 1."""
    probs = np.asarray([0.0, *[0.1] * 10, 0.0])
    assert np.cumsum(probs)[-1] != 1.0
    assert cumulated(probs)[-2] == 1.0
    model = random_model(0)
    sampler = Sampler(dataclasses.replace(model, start=np.asarray([0.0, 0.5, 0.5, 0.0])), False)
    edges = np.asarray([[0.0], [np.nextafter(0.5, 0)], [0.5], [np.nextafter(1.0, 0)]])
    assert sampler.start(edges).tolist() == [1, 1, 2, 2]
