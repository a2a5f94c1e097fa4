"""Propensities of a log that kept none: estimated, with their calibration shown, and a warning that cannot be missed.

An estimate by such weights is right only if everything that decided the action is in the context. No data can tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.models.folds import folds
from experiments.offline.quality.calibration import Calibration, calibration
from experiments.offline.quality.rows import ScoredLabels

LEAST = 1e-6  # below which an estimated probability is no longer told from 0

WARNING = (
    "PROPENSITIES ARE ESTIMATED: the log has none. If anything that decided the action is missing from the features, "
    "every estimate below is biased, and nothing in the data can show it."
)


@dataclass(frozen=True)
class EstimatedPropensities:
    """A log with propensities of a model, and how well these came true.

    Attributes:
        rounds: the log, with probabilities and propensities.
        calibration: of each action's probability, by action.
        warnings: first of all, that they are estimated.
    """

    rounds: LoggedRounds
    calibration: dict[str, Calibration]
    warnings: tuple[str, ...]


def with_propensities(rounds: LoggedRounds, *, n_folds: int = 5, seed: int = 0) -> EstimatedPropensities:
    """Return a log with propensities by multinomial logistic regression on its context, cross-fitted by user.

    Probabilities are those of the eligible actions alone, made to sum to 1.

    Args:
        rounds: without propensities; with context.
        n_folds, seed: of cross-fitting.

    Raises:
        ValueError: it has propensities, or no context, or an action that was taken never or always.
    """
    if rounds.propensities is not None:
        raise ValueError("with_propensities: expected a log without propensities, got one that has them")
    if rounds.context is None or not rounds.features:
        raise ValueError("with_propensities: expected features that the action may have depended on, got none")
    counts = np.bincount(rounds.actions, minlength=rounds.n_actions)
    if (counts == 0).any():
        name = rounds.action_names[int(counts.argmin())]
        raise ValueError(f"with_propensities: expected every action to have been taken, but {name!r} never was")
    probabilities = np.empty((len(rounds), rounds.n_actions))
    fold_of = folds(len(rounds), rounds.clusters, n_folds, seed)
    for fold in range(n_folds):
        held_out = fold_of == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, max_iter=1000))
        model.fit(rounds.context[~held_out], rounds.actions[~held_out])
        probabilities[held_out] = _all_actions(model, rounds.context[held_out], rounds.n_actions)
    probabilities = np.where(rounds.eligibility, np.maximum(probabilities, LEAST), 0.0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    propensities = probabilities[np.arange(len(rounds)), rounds.actions]
    found = replace(rounds, probabilities=probabilities, propensities=propensities)
    told = {name: _calibration(rounds, probabilities, k) for k, name in enumerate(rounds.action_names)}
    bad = [name for name, each in told.items() if each.is_bad]
    warnings = [WARNING]
    if bad:
        warnings.append(
            f"The estimated propensities of {', '.join(map(repr, bad))} do not come true: {told[bad[0]].verdict}"
        )
    return EstimatedPropensities(found, told, tuple(warnings))


def _all_actions(model: Any, context: Floats, n_actions: int) -> Floats:
    """Return probabilities of all actions; 0 for those that a fold never saw."""
    found = np.zeros((len(context), n_actions))
    found[:, model.classes_.astype(np.int64)] = model.predict_proba(context)
    return found


def _calibration(rounds: LoggedRounds, probabilities: Floats, action: int) -> Calibration:
    scores = np.clip(probabilities[:, action], LEAST, 1.0 - LEAST)
    return calibration(ScoredLabels.of(rounds.actions == action, scores))
