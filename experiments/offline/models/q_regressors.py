"""Regressors of an action's value on what is known, as fitted Q evaluation asks them: the same rows, ever new targets.

`ridge`: linear in the features, each action by itself. `boosted`: trees of scikit-learn on features and action.
`tabular`: means of states and actions, for features that are integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from experiments.offline.logs.logged import Bools, Floats, Ints
from experiments.offline.models.standardise import centre_and_spread

MOST_CATEGORIES = 255  # of scikit-learn's trees
ITERATIONS_BETWEEN_LOOKS = 10  # at how far the values still move
PENALTY = 1.0  # ridge, on standardised features; scikit-learn's default


class QRegressor(Protocol):
    """Made with the rows that it learns from; each `fit` forgets the last."""

    def __init__(self, observations: Floats, actions: Ints, n_actions: int) -> None:
        """Keep rows of shapes (N, K) and (N,)."""
        ...

    def fit(self, targets: Floats) -> None:
        """Learn the rows' targets, shape (N,)."""
        ...

    def predict(self, observations: Floats) -> Floats:
        """Return the value of each action, shape (M, A), for rows of shape (M, K)."""
        ...


@dataclass(frozen=True, eq=False)
class Following:
    """What follows the rows that a regressor learns from.

    Attributes:
        rewards: shape (N,).
        discounts: of what follows, 0 where nothing does, shape (N,).
        observations: of the next decision, anything where nothing follows, shape (N, K).
        target: the target policy's probabilities there, shape (N, A).
        most: a value beyond which the iteration has run away.
    """

    rewards: Floats
    discounts: Floats
    observations: Floats
    target: Floats
    most: float


class RidgeByAction:
    """Of an action that was never taken, the mean of all targets."""

    def __init__(self, observations: Floats, actions: Ints, n_actions: int) -> None:
        self._centre, self._spread = centre_and_spread(observations)
        design = self._design(observations)
        self._rows = [np.flatnonzero(actions == action) for action in range(n_actions)]
        # What stays the same from one iteration to the next: (X'X + penalty)^-1 X'. The level is not shrunk.
        penalty = np.diag([0.0] + [PENALTY] * observations.shape[1])
        self._solvers = [
            np.linalg.solve(design[rows].T @ design[rows] + penalty, design[rows].T) if len(rows) else None
            for rows in self._rows
        ]
        self._coefficients = np.zeros((observations.shape[1] + 1, n_actions))

    def fit(self, targets: Floats) -> None:
        """Solve for each action."""
        self._coefficients[:] = 0.0
        for action, (rows, solver) in enumerate(zip(self._rows, self._solvers, strict=True)):
            if solver is None:
                self._coefficients[0, action] = targets.mean()
            else:
                self._coefficients[:, action] = solver @ targets[rows]

    def predict(self, observations: Floats) -> Floats:
        """Return the value of each action, shape (M, A)."""
        found: Floats = self._design(observations) @ self._coefficients
        return found

    def settle(self, following: Following, n_iterations: int, tolerance: float) -> float:
        """Fit rewards plus discounted values of what follows, again and again, without going through the rows again.

        A linear regression's coefficients are linear in its targets, and these in the coefficients: with features x of
        the rows in which action a was taken and z of what follows them,

            theta_a <- (X'X + penalty)^-1 (X' r + sum_b (sum_i gamma_i pi_b(z_i) x_i z_i') theta_b).

        So an iteration costs A^2 K^2 instead of N A K (Lagoudakis & Parr, "Least-squares policy iteration", JMLR 2003,
        where the fixed point is solved for).

        Returns:
            By how much the last iteration moved a target.
        """
        n_actions, width = len(self._rows), self._coefficients.shape[0]
        z = self._design(following.observations)
        base, step = np.zeros((n_actions, width)), np.zeros((n_actions, width, n_actions, width))
        mean, mean_step = float(following.rewards.mean()), np.zeros((n_actions, width))
        for b in range(n_actions):
            weighted = (following.discounts * following.target[:, b])[:, None] * z
            mean_step[b] = weighted.mean(axis=0)
            for a, (rows, solver) in enumerate(zip(self._rows, self._solvers, strict=True)):
                if solver is not None:
                    step[a, :, b] = solver @ weighted[rows]
        for a, (rows, solver) in enumerate(zip(self._rows, self._solvers, strict=True)):
            if solver is None:
                base[a, 0], step[a, 0] = mean, mean_step
            else:
                base[a] = solver @ following.rewards[rows]
        flat = step.reshape(n_actions * width, n_actions * width)
        found = base.ravel()
        moved = math.inf
        for iteration in range(1, n_iterations):
            previous, found = found, base.ravel() + flat @ found
            if iteration % ITERATIONS_BETWEEN_LOOKS and iteration + 1 < n_iterations:
                continue
            if not np.isfinite(found).all():
                moved = math.inf
                break
            change = (found - previous).reshape(n_actions, width)
            moved = float(np.abs(following.discounts * (following.target * (z @ change.T)).sum(axis=1)).max())
            values = (following.target * (z @ found.reshape(n_actions, width).T)).sum(axis=1)
            size = float(np.abs(following.rewards + following.discounts * values).max())
            if moved <= tolerance * size or not size <= following.most:
                break
        self._coefficients = found.reshape(n_actions, width).T.copy()
        return moved if n_iterations > 1 else float(np.abs(following.rewards).max())

    def _design(self, observations: Floats) -> Floats:
        return np.column_stack([np.ones(len(observations)), (observations - self._centre) / self._spread])


class Boosted:
    """Trees that split on features and action alike."""

    def __init__(self, observations: Floats, actions: Ints, n_actions: int) -> None:
        if n_actions > MOST_CATEGORIES:
            raise ValueError(f"boosted: expected at most {MOST_CATEGORIES} actions, got {n_actions}")
        self._design, self._n_actions = np.column_stack([observations, actions]), n_actions
        self._model: Any = None

    def fit(self, targets: Floats) -> None:
        """Grow new trees."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._model = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0,
            early_stopping=False, categorical_features=[self._design.shape[1] - 1], random_state=0,
        )  # fmt: skip
        self._model.fit(self._design, targets)

    def predict(self, observations: Floats) -> Floats:
        """Return the value of each action, shape (M, A)."""
        n = len(observations)
        columns = [
            self._model.predict(np.column_stack([observations, np.full(n, float(action))]))
            for action in range(self._n_actions)
        ]
        return np.column_stack(columns)


class Tabular:
    """A mean for each state and action; of a pair that was never met, the mean of all targets."""

    def __init__(self, observations: Floats, actions: Ints, n_actions: int) -> None:
        _require_integers(observations)
        self._lows, highs = observations.min(axis=0), observations.max(axis=0)
        self._sizes = (highs - self._lows + 1.0).astype(np.int64)
        if float(np.prod(self._sizes.astype(np.float64))) > 2.0**62:
            raise ValueError(f"tabular: expected states that can be numbered, got ranges of {self._sizes.tolist()}")
        self._states, code = np.unique(self._numbers(observations)[0], return_inverse=True)
        self._cells = code * n_actions + actions
        self._counts = np.bincount(self._cells, minlength=len(self._states) * n_actions)
        self._table = np.zeros((len(self._states), n_actions))
        self._mean = 0.0

    def fit(self, targets: Floats) -> None:
        """Take the means."""
        self._mean = float(targets.mean())
        sums = np.bincount(self._cells, targets, len(self._counts))
        means = np.where(self._counts > 0, sums / np.maximum(self._counts, 1), self._mean)
        self._table = means.reshape(self._table.shape)

    def predict(self, observations: Floats) -> Floats:
        """Return the value of each action, shape (M, A)."""
        _require_integers(observations)
        numbers, is_inside = self._numbers(observations)
        at = np.minimum(np.searchsorted(self._states, numbers), len(self._states) - 1)
        is_known = is_inside & (self._states[at] == numbers)
        found: Floats = np.where(is_known[:, None], self._table[at], self._mean)
        return found

    def _numbers(self, observations: Floats) -> tuple[Ints, Bools]:
        """Return a number for each state, and whether it lies in the ranges that are numbered."""
        places = observations - self._lows
        is_inside: Bools = ((places >= 0.0) & (places < self._sizes)).all(axis=1)
        numbers = np.zeros(len(observations), np.int64)
        for k, size in enumerate(self._sizes.tolist()):
            numbers = numbers * size + np.where(is_inside, places[:, k], 0.0).astype(np.int64)
        return numbers, is_inside


REGRESSORS: Mapping[str, type[RidgeByAction] | type[Boosted] | type[Tabular]] = MappingProxyType(
    {"ridge": RidgeByAction, "boosted": Boosted, "tabular": Tabular}
)


def _require_integers(observations: Floats) -> None:
    is_odd = observations != np.rint(observations)
    if is_odd.any():
        row, k = np.argwhere(is_odd)[0].tolist()
        raise ValueError(
            f"tabular: expected features that are integers, got {observations[row, k]:g} in row {row}, column {k}: "
            f"aggregate them (experiments.offline.estimators.marginalised.aggregated_states), or use 'ridge'"
        )
