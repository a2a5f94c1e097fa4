"""Logs that tests of offline evaluation share: made up at random, and a world small enough to be enumerated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.offline.logs.logged import Floats, LoggedRounds

NAMES = ("none", "push", "email", "both")


def made_up(
    n: int, seed: int, *, n_actions: int = 4, n_users: int | None = None
) -> tuple[LoggedRounds, Floats, Floats]:
    """Return a log of an exploring policy, a target policy and a reward model that is a little wrong."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(n, 3))
    eligible = rng.random((n, n_actions)) < 0.8
    eligible[:, 0] = True
    logging = _softmax(context @ rng.normal(size=(3, n_actions)) * 0.5, eligible)
    target = _softmax(context @ rng.normal(size=(3, n_actions)) * 0.5, eligible)
    actions = (logging.cumsum(axis=1) < rng.random((n, 1)) * (1 - 1e-9)).sum(axis=1)
    means = 1.0 / (1.0 + np.exp(-(context @ rng.normal(size=(3, n_actions)) * 0.5 - 0.5)))
    rewards = (rng.random(n) < means[np.arange(n), actions]).astype(np.float64)
    rounds = LoggedRounds(
        actions, rewards, NAMES[:n_actions], propensities=logging[np.arange(n), actions], probabilities=logging,
        eligible=eligible, context=context, features=("x", "y", "z"),
        users=None if n_users is None else rng.integers(0, n_users, n),
    )  # fmt: skip
    return rounds, target, np.clip(means + rng.normal(0.0, 0.2, means.shape), 0.0, 1.0)


def _softmax(scores: Floats, eligible: object) -> Floats:
    odds = np.exp(scores) * np.asarray(eligible)
    shares: Floats = odds / odds.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class TinyWorld:
    """Two contexts, three actions, rewards 0 or 1: every log of n rounds can be written down with its probability.

    Attributes:
        of_context: probability of each context.
        logging, target: of each action in each context.
        means: of the reward.
    """

    of_context: tuple[float, float] = (0.3, 0.7)
    logging: tuple[tuple[float, ...], ...] = ((0.2, 0.5, 0.3), (0.6, 0.3, 0.1))
    target: tuple[tuple[float, ...], ...] = ((0.1, 0.1, 0.8), (0.0, 0.75, 0.25))
    means: tuple[tuple[float, ...], ...] = ((0.1, 0.6, 0.9), (0.5, 0.2, 0.7))

    @property
    def value(self) -> float:
        """Of the target policy, exactly."""
        return math.fsum(
            p * self.target[x][a] * self.means[x][a] for x, p in enumerate(self.of_context) for a in range(3)
        )

    def logs(self, n: int) -> Iterator[tuple[float, LoggedRounds, Floats]]:
        """Yield each log of n rounds with its probability and the target's probabilities in it."""
        outcomes = [
            (self.of_context[x] * self.logging[x][a] * (self.means[x][a] if r else 1.0 - self.means[x][a]), x, a, r)
            for x, a, r in itertools.product(range(2), range(3), range(2))
        ]
        for rows in itertools.product(outcomes, repeat=n):
            contexts = [x for _, x, _, _ in rows]
            actions = np.asarray([a for _, _, a, _ in rows])
            logging = np.asarray([self.logging[x] for x in contexts])
            rounds = LoggedRounds(
                actions, np.asarray([float(r) for *_, r in rows]), NAMES[:3],
                propensities=logging[np.arange(n), actions], probabilities=logging,
                context=np.asarray(contexts, np.float64)[:, None], features=("x",),
            )  # fmt: skip
            yield math.prod(p for p, *_ in rows), rounds, np.asarray([self.target[x] for x in contexts])
