"""Problems, configs and experience that the tests of bandits share."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.agent import Experience
from agents.bandits.settings import (
    BetaThompsonSettings,
    Discounted,
    EpsilonGreedySettings,
    Forever,
    LinearThompsonSettings,
    LinUCBSettings,
    LogisticThompsonSettings,
    NeuralLinearSettings,
    RecoveringSoftmaxSettings,
    SendCostSettings,
    SoftmaxSettings,
    UCB1Settings,
    Window,
)
from agents.problem import Problem, vocabulary_problem

FORGETTINGS = (Forever(), Discounted(factor=0.7), Window(n_updates=2))
NEURAL = NeuralLinearSettings(
    n_hidden=6, noise_sd=0.5, updates_a_training=2, steps_a_training=5, n_batch=16, n_memory=90
)
SETTINGS: dict[str, Any] = {
    settings.kind: settings
    for settings in (
        EpsilonGreedySettings(epsilon=0.2),
        UCB1Settings(),
        BetaThompsonSettings(),
        SoftmaxSettings(temperature=0.3),
        RecoveringSoftmaxSettings(temperature=0.5, recency_penalty=0.4),
        LinUCBSettings(alpha=0.7),
        LinearThompsonSettings(noise_sd=0.5),
        LogisticThompsonSettings(),
        NEURAL,
        SendCostSettings(cost=0.1, noise_sd=0.5),
    )
}
# What these learn of two batches is the sum of what they learn of each; the others' batches are a step each.
ADDITIVE = ("epsilon_greedy", "ucb1", "beta_thompson", "softmax", "recovering_softmax", "linucb", "linear_thompson")


def plain_problem(n_features: int = 5, n_actions: int = 4) -> Problem:
    """Return a problem that is none of the vocabulary's, its features in [-1, 3]."""
    low, high = np.full(n_features, -1, np.float32), np.full(n_features, 3, np.float32)
    return Problem(tuple(f"x{k}" for k in range(n_features)), low, high, tuple(f"a{k}" for k in range(n_actions)))


PROBLEMS = {"plain": plain_problem(), "vocabulary": vocabulary_problem(2)}


def situations(problem: Problem, n: int, seed: int) -> tuple[Any, Any]:
    """Return random observations and masks, in a quarter of which a single action is eligible."""
    rng = np.random.default_rng(seed)
    observations = rng.uniform(problem.low, problem.high, (n, problem.n_features)).astype(np.float32)
    masks = rng.random((n, problem.n_actions)) < 0.6
    masks[:, 0] |= ~masks.any(axis=1)
    lonely = np.flatnonzero(rng.random(n) < 0.25)
    masks[lonely] = False
    masks[lonely, rng.integers(0, problem.n_actions, len(lonely))] = True
    return observations, masks


def experience(problem: Problem, n: int, seed: int) -> Experience:
    """Return random decisions with rewards of 0 and 1, and the probabilities that they were taken with."""
    observations, masks = situations(problem, n, seed)
    rng = np.random.default_rng(seed + 1)
    weights = np.where(masks, rng.random(masks.shape) + 0.1, 0.0)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    actions = (rng.random((n, 1)) < probabilities.cumsum(axis=1)).argmax(axis=1)
    chance = 0.2 + 0.5 * (observations[:, 0] > problem.low[0]) * (actions % 2)
    rewards = (rng.random(n) < chance).astype(np.float64)
    return Experience(observations, masks, actions, rewards, probabilities)


def part(whole: Experience, rows: Any) -> Experience:
    """Return some rows of experience."""
    probabilities = None if whole.probabilities is None else whole.probabilities[rows]
    return Experience(
        whole.observations[rows], whole.masks[rows], whole.actions[rows], whole.rewards[rows], probabilities
    )


def with_forgetting(settings: Any, forgetting: Any) -> Any:
    """Return the config with another forgetting."""
    return type(settings)(**{**dict(settings), "forgetting": forgetting})
