"""Models of the reward of each action in each context, cross-fitted.

`additive`: context plus action, by ridge regression, or logistic where rewards are 0 and 1; no action has weights of
its own, so it does well with many actions and little data. `by_action`: the same, of each action's rounds alone.
`boosted`: gradient boosted trees on context and action. All by scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.offline.logs.logged import Floats, Ints, LoggedRounds
from experiments.offline.models.folds import folds

Fit = Literal["plain", "weighted", "mrdr"]
MOST_BOOSTED_CATEGORIES = 255


class RewardModel(Protocol):
    """Learns from some rounds, and predicts others."""

    def fit(self, context: Floats, actions: Ints, rewards: Floats, weights: Floats | None) -> None:
        """Learn; shapes (N, K), (N,), (N,), (N,)."""
        ...

    def predict(self, context: Floats) -> Floats:
        """Return the reward of each action, shape (N, A)."""
        ...


class Additive:
    """Context and action side by side in one linear or logistic model."""

    def __init__(self, n_actions: int, is_binary: bool) -> None:
        self._n_actions, self._is_binary = n_actions, is_binary
        self._constant: float | None = None
        self._model: Any = None

    def fit(self, context: Floats, actions: Ints, rewards: Floats, weights: Floats | None) -> None:
        """Learn; rewards that are all the same are predicted as such."""
        self._constant = float(rewards[0]) if np.all(rewards == rewards[0]) else None
        if self._constant is None:
            self._model = _linear(self._is_binary)
            rows = np.column_stack([context, np.eye(self._n_actions)[actions]])
            _fit(self._model, rows, rewards, weights)

    def predict(self, context: Floats) -> Floats:
        """Return the reward of each action, shape (N, A)."""
        found = np.empty((len(context), self._n_actions))
        if self._constant is not None:
            found[:] = self._constant
            return found
        for action, indicator in enumerate(np.eye(self._n_actions)):
            rows = np.column_stack([context, np.broadcast_to(indicator, (len(context), self._n_actions))])
            found[:, action] = _predicted(self._model, rows)
        return found


class ByAction:
    """A model of each action; of one that was never taken, the mean of all."""

    def __init__(self, n_actions: int, is_binary: bool) -> None:
        self._models = [Additive(1, is_binary) for _ in range(n_actions)]
        self._mean, self._is_seen = 0.0, np.zeros(n_actions, np.bool_)

    def fit(self, context: Floats, actions: Ints, rewards: Floats, weights: Floats | None) -> None:
        """Learn."""
        self._mean = float(np.average(rewards, weights=weights)) if weights is None or weights.any() else 0.0
        for action, model in enumerate(self._models):
            rows = actions == action
            self._is_seen[action] = rows.any()
            if rows.any():
                model.fit(
                    context[rows], np.zeros(int(rows.sum()), np.int64), rewards[rows],
                    None if weights is None else weights[rows],
                )  # fmt: skip

    def predict(self, context: Floats) -> Floats:
        """Return the reward of each action, shape (N, A)."""
        return np.column_stack(
            [
                model.predict(context)[:, 0] if seen else np.full(len(context), self._mean)
                for model, seen in zip(self._models, self._is_seen, strict=True)
            ]
        )


class Boosted:
    """Trees that split on context and action alike."""

    def __init__(self, n_actions: int, is_binary: bool) -> None:
        if n_actions > MOST_BOOSTED_CATEGORIES:
            raise ValueError(f"boosted: expected at most {MOST_BOOSTED_CATEGORIES} actions, got {n_actions}")
        self._n_actions, self._is_binary = n_actions, is_binary
        self._model: Any = None

    def fit(self, context: Floats, actions: Ints, rewards: Floats, weights: Floats | None) -> None:
        """Learn."""
        kind = HistGradientBoostingClassifier if self._is_binary and len(np.unique(rewards)) > 1 else None
        kind = kind or HistGradientBoostingRegressor
        self._model = kind(
            max_iter=100, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0,
            categorical_features=[context.shape[1]], random_state=0,
        )  # fmt: skip
        self._model.fit(np.column_stack([context, actions]), rewards, sample_weight=weights)

    def predict(self, context: Floats) -> Floats:
        """Return the reward of each action, shape (N, A)."""
        columns = [
            _predicted(self._model, np.column_stack([context, np.full(len(context), action)]))
            for action in range(self._n_actions)
        ]
        return np.column_stack(columns)


MODELS: Mapping[str, type[Additive] | type[ByAction] | type[Boosted]] = MappingProxyType(
    {"additive": Additive, "by_action": ByAction, "boosted": Boosted}
)


def cross_fitted(
    rounds: LoggedRounds,
    model: str = "additive",
    *,
    target: Floats | None = None,
    fit: Fit = "plain",
    n_folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Return each action's predicted reward, shape (N, A); a round's by a model of other users.

    Args:
        rounds: the log; without context the models know the action alone.
        model: of `MODELS`.
        target: the target policy's probabilities, shape (N, A), for the last two ways to fit.
        fit: `plain`; `weighted`: rounds count w = pi / p, so that the model is best where the target policy goes;
            `mrdr`: they count pi (1 - p) / p^2, by which the variance of the doubly robust estimate is least
            (Farajtabar, Chow & Ghavamzadeh, ICML 2018).
        n_folds: models.
        seed: of the folds.

    Raises:
        ValueError: an unknown model, or weights asked for without target or propensities.
    """
    if model not in MODELS:
        raise ValueError(f"reward model {model!r}: expected one of {', '.join(MODELS)}")
    weights = None if fit == "plain" else _fit_weights(rounds, target, fit)
    context = np.zeros((len(rounds), 0)) if rounds.context is None else rounds.context
    is_binary = bool(np.isin(rounds.rewards, (0.0, 1.0)).all())
    found = np.empty((len(rounds), rounds.n_actions))
    fold_of = folds(len(rounds), rounds.clusters, n_folds, seed)
    for fold in range(n_folds):
        held_out = fold_of == fold
        learner: RewardModel = MODELS[model](rounds.n_actions, is_binary)
        learner.fit(
            context[~held_out], rounds.actions[~held_out], rounds.rewards[~held_out],
            None if weights is None else weights[~held_out],
        )  # fmt: skip
        found[held_out] = learner.predict(context[held_out])
    return found


def _fit_weights(rounds: LoggedRounds, target: Floats | None, fit: Fit) -> Floats:
    if target is None or rounds.propensities is None:
        raise ValueError(f"fit {fit!r}: expected a target policy and a log with propensities")
    chosen = target[np.arange(len(rounds)), rounds.actions]
    p = rounds.propensities
    weights: Floats = chosen / p if fit == "weighted" else chosen * (1.0 - p) / p**2
    mean = float(weights.mean())
    return weights / mean if mean else np.ones(len(rounds))


def _linear(is_binary: bool) -> Any:
    learner = LogisticRegression(C=1.0, max_iter=1000) if is_binary else Ridge(alpha=1.0)
    return make_pipeline(StandardScaler(), learner)


def _fit(model: Any, rows: Floats, rewards: Floats, weights: Floats | None) -> None:
    name = model.steps[-1][0]
    model.fit(rows, rewards, **{f"{name}__sample_weight": weights})


def _predicted(model: Any, rows: Floats) -> Floats:
    if hasattr(model, "predict_proba"):
        found: Floats = model.predict_proba(rows)[:, list(model.classes_).index(1.0)]
        return found
    return np.asarray(model.predict(rows), np.float64)
