"""Replay of agents that learn: the same distribution as online, from uniform logs and from others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.agent import Experience
from agents.bandits.settings import EpsilonGreedySettings, LinUCBSettings
from agents.kinds import bandit, settings_class
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.replay import problem_of_rounds, replay

MEANS = np.asarray([[0.8, 0.2, 0.5], [0.2, 0.8, 0.5]])  # of the reward, by context and action
N_ONLINE = 60


def log(n: int, seed: int, shares: tuple[float, ...]) -> LoggedRounds:
    """Return a log in which actions are drawn with these shares, in the other order where x is 1."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, n)
    p = np.where(x[:, None] == 1, shares[::-1], shares)
    actions = (p.cumsum(axis=1) < rng.random((n, 1)) * (1 - 1e-9)).sum(axis=1)
    rewards = (rng.random(n) < MEANS[x, actions]).astype(np.float64)
    return LoggedRounds(
        actions, rewards, ("a", "b", "c"), propensities=p[np.arange(n), actions], probabilities=p,
        context=x[:, None].astype(np.float64), features=("x",),
    )  # fmt: skip


def online(settings: Any, n: int, seed: int) -> float:
    """Return the mean reward of a bandit's first n rounds, when it decides itself."""
    rng = np.random.default_rng(seed)
    agent = bandit(settings, problem_of_rounds(log(100, 0, (1 / 3,) * 3)))
    rewards = np.empty(n)
    for k in range(n):
        x = rng.integers(0, 2)
        observations, masks = np.asarray([[x]], np.float32), np.ones((1, 3), np.bool_)
        action = agent.act(observations, masks, rng).actions
        rewards[k] = rng.random() < MEANS[x, action[0]]
        agent.update(Experience(observations, masks, action, rewards[k : k + 1]))
    return float(rewards.mean())


@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.2, 0.3, 0.5)])
def test_what_counts_is_what_would_have_been_met_online(shares: tuple[float, ...]) -> None:
    """The mean of a learner's first rounds, over many logs and over many runs online, within four standard errors.

    A matched mean without the coin would, on the second log, learn most where it was logged most.
    """
    settings = LinUCBSettings(alpha=0.3)
    found = [replay(log(int(N_ONLINE / min(shares)), seed, shares), settings, seed=seed) for seed in range(150)]
    told = np.asarray([each.value.value for each in found])
    assert abs(np.mean([each.n_counted for each in found]) / N_ONLINE - 1.0) < 0.05
    truth = np.asarray([online(settings, N_ONLINE, 1_000 + seed) for seed in range(150)])
    error = np.sqrt(told.var(ddof=1) / 150 + truth.var(ddof=1) / 150)
    assert abs(told.mean() - truth.mean()) < 4 * error
    assert truth.mean() > 0.6  # it learns: the log's own mean is .5


def test_the_same_seed_is_the_same_path_and_batches_learn_later() -> None:
    rounds = log(3_000, 1, (0.2, 0.3, 0.5))
    one, again = (replay(rounds, EpsilonGreedySettings(), seed=3) for _ in range(2))
    assert one == again
    assert one.in_words().startswith("epsilon_greedy, learning as it goes: ")
    assert one.to_dict()["n_counted"] == one.n_counted
    calls: list[tuple[int, int]] = []
    whole = replay(rounds, EpsilonGreedySettings(), seed=3, batch=5_000, on_rows=lambda *told: calls.append(told))
    assert whole.value.value == pytest.approx(0.5, abs=0.1)  # it has learned nothing before it is over
    assert one.value.value > whole.value.value
    assert not calls


def test_a_log_without_features_and_with_ineligible_actions() -> None:
    rng = np.random.default_rng(0)
    eligible = np.ones((900, 3), np.bool_)
    eligible[::2, 2] = False
    p = eligible / eligible.sum(axis=1, keepdims=True)
    actions = (p.cumsum(axis=1) < rng.random((900, 1)) * (1 - 1e-9)).sum(axis=1)
    rounds = LoggedRounds(
        actions, (actions == 1).astype(np.float64), ("a", "b", "c"), probabilities=p, eligible=eligible
    )
    assert replay(rounds, LinUCBSettings(alpha=0.1)).value.value > 0.9


def test_messages() -> None:
    rounds = log(100, 1, (0.2, 0.3, 0.5))
    with pytest.raises(ValueError, match=r"replay: expected a bandit, got dqn: it learns from states that follow"):
        replay(rounds, settings_class("dqn")())
    with pytest.raises(ValueError, match=r"expected at least two rounds that count, got 0 of 3: .* the log, 0\.2"):
        replay(rounds.take(np.flatnonzero(rounds.actions == 2)[:3]), LinUCBSettings())  # its first choice is a
    with pytest.raises(ValueError, match=r"batch: expected at least 1, got 0"):
        replay(rounds, LinUCBSettings(), batch=0)
    bare = LoggedRounds(rounds.actions, rounds.rewards, rounds.action_names)
    with pytest.raises(ValueError, match=r"expected a log with propensities"):
        replay(bare, LinUCBSettings())
