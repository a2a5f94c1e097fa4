"""The pieces that nonlinear bandits are made of, against general-purpose methods."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from agents.agent import Experience
from agents.bandits.beliefs.laplace import laplace
from agents.bandits.beliefs.perceptron import fit, gradients, hidden_rows, initial_weights
from agents.bandits.logistic_thompson import LogisticThompson
from agents.bandits.neural_linear import NeuralLinear
from agents.bandits.recovering_softmax import RecoveringSoftmax
from agents.bandits.settings import (
    Discounted,
    Forever,
    LogisticThompsonSettings,
    NeuralLinearSettings,
    RecoveringSoftmaxSettings,
    Window,
)
from agents.problem import Problem
from tests.agents.bandits.worlds import NEURAL, PROBLEMS, experience, part, plain_problem, situations, with_forgetting


def test_the_laplace_mode_is_where_a_general_minimiser_arrives() -> None:
    rng = np.random.default_rng(1)
    rows, heads, targets = rng.normal(size=(200, 4)) * 3, rng.integers(0, 3, 200), rng.random(200)
    mean = rng.normal(size=(3, 4))
    precision = np.stack([np.diag(rng.random(4) + 0.1) for _ in range(3)])
    mode, curvature = laplace(rows, heads, targets, mean, precision)
    for h in range(3):
        x, y = rows[heads == h], targets[heads == h]

        def loss(w: np.ndarray, x: np.ndarray = x, y: np.ndarray = y, h: int = h) -> float:
            away = w - mean[h]
            return float(away @ precision[h] @ away / 2 + (np.logaddexp(0, x @ w) - y * (x @ w)).sum())

        found = minimize(loss, mean[h], method="BFGS", options={"gtol": 1e-7})
        np.testing.assert_allclose(mode[h], found.x, atol=1e-5)
        p = 1 / (1 + np.exp(-x @ mode[h]))
        np.testing.assert_allclose(curvature[h], (x * (p * (1 - p))[:, None]).T @ x, rtol=1e-9)


def test_the_laplace_mode_is_found_where_newtons_full_step_diverges() -> None:
    """From far out on the flat part of the curve a full step overshoots without end."""
    rows, heads = np.ones((50, 1)), np.zeros(50, np.int64)
    mode, _ = laplace(rows, heads, np.full(50, 0.9), np.array([[-12.0]]), np.array([[[1e-6]]]))
    assert mode[0, 0] == pytest.approx(np.log(9.0), abs=1e-4)


def test_a_logistic_posterior_after_one_batch_is_the_laplace_approximation() -> None:
    problem = plain_problem()
    agent = LogisticThompson(LogisticThompsonSettings(prior_sd=2.0, reward_low=-1.0, reward_high=3.0), problem)
    seen = experience(problem, 300, 1)
    agent.update(Experience(seen.observations, seen.masks, seen.actions, 4 * seen.rewards - 1))
    rows, heads = agent.memory.design.taken(seen.observations, seen.actions)
    mean, precision = np.zeros((4, 6)), np.broadcast_to(np.eye(6) / 4, (4, 6, 6))
    mode, curvature = laplace(rows, heads, seen.rewards, mean, precision)
    np.testing.assert_allclose(agent.memory.theta, mode, atol=1e-9)
    np.testing.assert_allclose(agent.memory.precision, precision + curvature, atol=1e-9)


def test_slopes_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(2)
    weights = initial_weights(4, 5, 3, rng)
    weights["output"] = rng.normal(size=(3, 6))
    rows, heads, targets = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.normal(size=20)

    def loss() -> float:
        output = (hidden_rows(weights, rows) * weights["output"][heads]).sum(axis=1)
        return float(((output - targets) ** 2).mean() / 2)

    slopes = gradients(weights, rows, heads, targets)
    for name, values in weights.items():
        for place in np.ndindex(values.shape):
            kept = values[place]
            values[place] = kept + 1e-6
            above = loss()
            values[place] = kept - 1e-6
            below = loss()
            values[place] = kept
            assert slopes[name][place] == pytest.approx((above - below) / 2e-6, abs=1e-8)


def test_a_network_learns_what_no_line_can() -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack([np.ones(2_000), rng.uniform(-1, 1, (2_000, 2))])
    targets = np.sign(rows[:, 1] * rows[:, 2])
    heads = np.zeros(2_000, np.int64)
    weights = fit(initial_weights(3, 16, 1, rng), rows, heads, targets, rng, 2_000, 128, 0.01)
    errors = targets - hidden_rows(weights, rows) @ weights["output"][0]
    assert (errors**2).mean() < 0.3  # the best line leaves 1


@pytest.mark.parametrize("forgetting", [Forever(), Discounted(factor=0.8), Window(n_updates=3)])
def test_the_linear_models_after_training_are_as_if_learned_with_the_new_network(forgetting) -> None:
    problem = PROBLEMS["vocabulary"]
    agent = NeuralLinear(with_forgetting(NEURAL, forgetting), problem)
    whole = experience(problem, 80, 1)
    batches = [part(whole, rows) for rows in np.array_split(np.arange(80), 4)]
    for batch in batches:
        agent.update(batch)  # trained after the second and the fourth
    settings = NeuralLinearSettings(**{**dict(agent.settings), "updates_a_training": 100})
    other = NeuralLinear(settings, problem)
    other.memory.design.weights = agent.memory.design.weights
    for batch in batches:
        other.update(batch)
    observations, _ = situations(problem, 30, 2)
    for found, expected in zip(agent.beliefs(observations), other.beliefs(observations), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def recency_problem() -> Problem:
    names = ("x", "b.recency", "c.recency")
    return Problem(names, np.zeros(3, np.float32), np.ones(3, np.float32), ("a", "b", "c"))


def test_differences_are_unbiased_under_a_logging_policy_that_favours_the_willing() -> None:
    """Users are willing (mean reward .5) or not (.1), b adds .2 to all; the log sends b mostly to the willing.

    Unweighted means would credit b with the willing: (.66 - .18) / .18 instead of (.5 - .3) / .3. Rewards are here
    their expectations, and the log holds every case in proportion, so the weighted result is exact.
    """
    cases = [  # share, reward without b, probability of b
        (0.5, 0.5, 0.9),
        (0.5, 0.1, 0.1),
    ]
    rows = []
    for share, base, p in cases:
        n = round(1_000 * share)
        n_b = round(n * p)
        rows += [(1, base + 0.2, p)] * n_b + [(0, base, p)] * (n - n_b)
    actions, rewards, chances = (np.array(column) for column in zip(*rows, strict=True))
    probabilities = np.column_stack([1 - chances, chances, np.zeros(len(rows))])
    masks = np.tile([True, True, False], (len(rows), 1))
    observations = np.zeros((len(rows), 3), np.float32)
    agent = RecoveringSoftmax(RecoveringSoftmaxSettings(), recency_problem())
    agent.update(Experience(observations, masks, actions, rewards, probabilities))
    np.testing.assert_allclose(agent.differences(), [(0.3 - 0.5) / 0.5, (0.5 - 0.3) / 0.3, 0.0], rtol=1e-9)


def test_the_penalty_recovers_with_its_half_life() -> None:
    agent = RecoveringSoftmax(
        RecoveringSoftmaxSettings(recency_penalty=0.4, temperature=0.1, half_life_days=5.0), recency_problem()
    )
    days = np.array([0.0, 5.0, 15.0])
    observations = np.column_stack([np.zeros(3), 2.0 ** (-days / 15.0), np.zeros(3)]).astype(np.float32)
    penalty = 0.4 * np.array([1.0, 0.5, 0.125])
    expected = np.column_stack([np.zeros(3), -penalty, np.zeros(3)])
    np.testing.assert_allclose(agent.values(observations), expected, atol=1e-7)
    weights = np.exp(expected / 0.1)
    masks = np.ones((3, 3), np.bool_)
    shares = agent.probabilities(observations, masks)
    np.testing.assert_allclose(shares, weights / weights.sum(axis=1, keepdims=True), atol=1e-6)


def test_over_the_vocabulary_arms_are_channels_and_slots_recover_each_by_itself() -> None:
    problem = PROBLEMS["vocabulary"]
    agent = RecoveringSoftmax(RecoveringSoftmaxSettings(recency_penalty=0.4), problem)
    agent.update(experience(problem, 300, 1))
    observations = np.zeros((1, problem.n_features), np.float32)
    observations[0, problem.features.index("season_index")] = 1.0
    observations[0, problem.features.index("slot1.bucket_recency")] = 0.5
    silence, push, email = agent.differences()
    expected = [silence, push, email, push - 0.2, email - 0.2]
    np.testing.assert_allclose(agent.values(observations)[0], expected, atol=1e-12)
