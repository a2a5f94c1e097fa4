"""A twin of a log, simulated: its users and contexts, its size and its logging policy; rewards from a model of them.

So the truth is known. (A plasmode simulation: Franklin, Schneeweiss, Polinski & Rassen, "Plasmode simulation for the
evaluation of pharmacoepidemiologic methods", CSDA 2014.)

The twin is kinder than the world: what decided an action is in its context, and a user's rounds depend on each other
only through it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.offline.logs.logged import Floats, Ints, LoggedRounds
from experiments.offline.models.propensities import with_propensities
from experiments.offline.models.reward_models import cross_fitted


@dataclass(frozen=True, eq=False)
class Twin:
    """A world made of a log: draw logs from it, and know the truth.

    Attributes:
        rounds: the log, with the probabilities of each action.
        means: reward of each action in each round, shape (N, A).
        noise: of the rewards around them: the residual of each round's own action, shape (N,); None: rewards are 0 and
            1. An action's rewards scatter as its own did.
    """

    rounds: LoggedRounds
    means: Floats
    noise: Floats | None

    def value(self, target: Floats) -> float:
        """Return a policy's value, exactly: over the log's contexts, each as likely as the others.

        Args:
            target: probabilities, shape (N, A).
        """
        return float((target * self.means).sum(axis=1).mean())

    def draw(self, rng: np.random.Generator) -> tuple[LoggedRounds, Ints]:
        """Return a log of the twin, and which round each of its rounds was made of.

        Users are drawn with replacement, with all their rounds; one who is drawn twice counts as two.
        """
        rounds = self.rounds
        rows, users = _drawn_rows(rounds, rng)
        assert rounds.probabilities is not None
        shares = rounds.probabilities[rows]
        edges = np.cumsum(shares, axis=1)
        actions = (edges <= rng.random((len(rows), 1)) * edges[:, -1:]).sum(axis=1)
        means = self.means[rows, actions]
        if self.noise is None:
            rewards = (rng.random(len(rows)) < means).astype(np.float64)
        else:
            rewards = means + self._noise_of(actions, rng)
        # A user's rounds keep their order; their hours may not, where one comes twice, so these are left behind.
        drawn = replace(rounds, hours=None).take(rows)
        propensities = shares[np.arange(len(rows)), actions]
        return replace(drawn, actions=actions, rewards=rewards, propensities=propensities, users=users), rows

    def _noise_of(self, actions: Ints, rng: np.random.Generator) -> Floats:
        assert self.noise is not None
        found = np.zeros(len(actions))
        for action in range(self.rounds.n_actions):
            its, wanted = self.noise[self.rounds.actions == action], actions == action
            if len(its):
                found[wanted] = rng.choice(its, int(wanted.sum()))
        return found


def twin_of(rounds: LoggedRounds, model: str = "boosted", *, n_folds: int = 5, seed: int = 0) -> Twin:
    """Return a log's twin.

    Args:
        rounds: where only the propensities of the actions taken are known, or none, all actions' probabilities are
            those of a model of the log.
        model: of rewards, of `reward_models.MODELS`; other than the one that the estimators use, else the twin would
            be a world in which their model is right.
        n_folds, seed: of its cross-fitting.

    Raises:
        ValueError: neither the probabilities of all actions are known nor features to estimate them from.
    """
    if rounds.probabilities is None:
        if not rounds.features:
            raise ValueError(
                "twin_of: expected the logging policy's probability of every action, or features from which a model "
                "of it can be made; got the probabilities of the actions taken alone: name `probabilities` or "
                "`features` in the mapping"
            )
        estimated = with_propensities(replace(rounds, propensities=None), n_folds=n_folds, seed=seed).rounds
        rounds = replace(estimated, estimated_by=rounds.estimated_by)
    means = cross_fitted(rounds, model, n_folds=n_folds, seed=seed)
    if np.isin(rounds.rewards, (0.0, 1.0)).all():
        return Twin(rounds, np.clip(means, 0.0, 1.0), None)
    residuals = rounds.rewards - means[np.arange(len(rounds)), rounds.actions]
    taken = np.maximum(np.bincount(rounds.actions, minlength=rounds.n_actions), 1)
    by_action = np.bincount(rounds.actions, residuals, rounds.n_actions) / taken
    return Twin(rounds, means, residuals - by_action[rounds.actions])


def _drawn_rows(rounds: LoggedRounds, rng: np.random.Generator) -> tuple[Ints, Ints | None]:
    """Return rows of users that are drawn with replacement, and a number for each draw's user."""
    if rounds.clusters is None:
        return rng.integers(0, len(rounds), len(rounds)), None
    order = np.argsort(rounds.clusters, kind="stable")
    sizes = np.bincount(rounds.clusters)
    starts = np.cumsum(sizes) - sizes
    drawn = rng.integers(0, len(sizes), len(sizes))
    rows = np.concatenate([order[starts[user] : starts[user] + sizes[user]] for user in drawn])
    return rows, np.repeat(np.arange(len(drawn)), sizes[drawn])
