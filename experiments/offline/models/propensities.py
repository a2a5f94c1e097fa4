"""Propensities of a log that kept none: estimated, with their calibration shown, and a warning that cannot be missed.

An estimate by such weights is right only if everything that decided the action is in the context. No data can tell.
What data can tell is told: an action of which the model is nearly certain that it would not have been taken was not
tried there, and propensities that do not come true answer for no policy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.offline.logs.logged import Bools, Floats, Ints, LoggedRounds
from experiments.offline.models.choices import CHOICES, ChoiceModel
from experiments.offline.models.folds import folds
from experiments.offline.quality.calibration import CLEAR_P_VALUE, Calibration, calibration
from experiments.offline.quality.rows import ScoredLabels

LEAST = 1e-6  # below which an estimated probability is no longer told from 0
LEAST_TRIED = 0.005  # a share below it, and below a twentieth of an equal one, is what a logistic curve says of never
LEAST_OF_EQUAL = 0.05
MOST_FOR_TREES = 20  # actions

WARNING = (
    "PROPENSITIES ARE ESTIMATED: the log has none. If anything that decided the action is missing from the features, "
    "every estimate below is biased, and nothing in the data can show it."
)


@dataclass(frozen=True)
class EstimatedPropensities:
    """A log with propensities of a model, and how well these came true.

    Attributes:
        rounds: the log, with probabilities and propensities; 0 for what was not tried.
        calibration: of each action's probability where it was eligible, by action.
        warnings: first of all, that they are estimated.
        refusals: why nothing can be judged by them; empty: something can.
    """

    rounds: LoggedRounds
    calibration: dict[str, Calibration]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...] = ()


def with_propensities(
    rounds: LoggedRounds, model: str | None = None, *, n_folds: int = 5, seed: int = 0
) -> EstimatedPropensities:
    """Return a log with propensities by a model of its context and of what was eligible, cross-fitted by user.

    Where an action was not taken and its share is below LEAST_TRIED, and below a twentieth of an equal share, it counts
    as not tried: probability 0, and what a policy would do there has no support. A rule leaves such a log.

    Args:
        rounds: without propensities; with context.
        model: of `choices.CHOICES`; None: that by which the actions of other users were likeliest.
        n_folds, seed: of cross-fitting.

    Raises:
        ValueError: an unknown model; it has propensities, or no context, or an action that was never taken, or by too
            few users for every fold to be predicted by others.
    """
    if rounds.propensities is not None:
        raise ValueError("with_propensities: expected a log without propensities, got one that has them")
    if rounds.context is None or not rounds.features:
        raise ValueError("with_propensities: expected features that the action may have depended on, got none")
    fold_of = folds(len(rounds), rounds.clusters, n_folds, seed)
    _require_taken(rounds, fold_of, n_folds)
    names = _candidates(rounds.n_actions) if model is None else (model,)
    if unknown := [name for name in names if name not in CHOICES]:
        raise ValueError(f"model {unknown[0]!r}: expected one of {', '.join(CHOICES)}")
    by_model = {name: _cross_fitted(rounds, CHOICES[name], fold_of) for name in names}
    losses = {name: _loss(rounds, shares) for name, shares in by_model.items()}
    best = min(losses, key=losses.__getitem__)
    shares = by_model[best]
    told = {name: _calibration(rounds, shares, k) for k, name in enumerate(rounds.action_names)}
    probabilities = np.where(_is_tried(rounds, shares), np.maximum(shares, LEAST), 0.0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    propensities = probabilities[np.arange(len(rounds)), rounds.actions]
    found = replace(rounds, probabilities=probabilities, propensities=propensities, estimated_by=best)
    bad = [name for name, each in told.items() if each.is_bad]
    certain = [name for name in bad if _p_value(told[name]) < CLEAR_P_VALUE / rounds.n_actions]
    warnings, refusals = [WARNING], []
    if len(losses) > 1 and best != names[0]:
        warnings.append(
            f"The propensities are those of {best}, by which other users' actions were likelier than by a {names[0]} "
            f"({losses[best]:.4f} against {losses[names[0]]:.4f} nats an action)."
        )
    if certain:
        refusals.append(
            f"The propensities had to be estimated, and those of {', '.join(map(repr, certain))} do not come true, so "
            f"that no weight can be believed: {told[certain[0]].verdict} Add the features by which it was decided."
        )
    elif bad:
        warnings.append(
            f"The estimated propensities of {', '.join(map(repr, bad))} do not come true: {told[bad[0]].verdict}"
        )
    return EstimatedPropensities(found, told, tuple(warnings), tuple(refusals))


def _candidates(n_actions: int) -> tuple[str, ...]:
    """Return the models that are tried; trees grow a set for each action, which takes its time."""
    return tuple(CHOICES) if n_actions <= MOST_FOR_TREES else tuple(CHOICES)[:1]


def _cross_fitted(rounds: LoggedRounds, model: type[ChoiceModel], fold_of: Ints) -> Floats:
    assert rounds.context is not None
    shares = np.empty((len(rounds), rounds.n_actions))
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        learner = model(rounds.n_actions)
        learner.fit(rounds.context[~held_out], rounds.actions[~held_out], rounds.eligibility[~held_out])
        shares[held_out] = learner.predict(rounds.context[held_out], rounds.eligibility[held_out])
    return shares


def _loss(rounds: LoggedRounds, shares: Floats) -> float:
    """Return the mean of -log of what each action taken was given."""
    return -float(np.log(np.maximum(shares[np.arange(len(rounds)), rounds.actions], LEAST)).mean())


def _p_value(told: Calibration) -> float:
    return float(np.nanmin([told.p_value, told.bins_p_value, 1.0]))


def _require_taken(rounds: LoggedRounds, fold_of: Ints, n_folds: int) -> None:
    counts = np.bincount(rounds.actions, minlength=rounds.n_actions)
    if (counts == 0).any():
        name = rounds.action_names[int(counts.argmin())]
        raise ValueError(f"with_propensities: expected every action to have been taken, but {name!r} never was")
    by_fold = np.zeros((n_folds, rounds.n_actions), np.int64)
    np.add.at(by_fold, (fold_of, rounds.actions), 1)
    if (only := (by_fold == counts).any(axis=0)).any():
        name = rounds.action_names[int(only.argmax())]
        n = int(counts[only.argmax()])
        raise ValueError(
            f"with_propensities: expected every action to have been taken by enough users that each can be predicted "
            f"by others, but {name!r} was taken {n:,} time{'s' if n > 1 else ''}, by users of one fold of {n_folds}: "
            f"leave it out, or join it with another"
        )


def _is_tried(rounds: LoggedRounds, shares: Floats) -> Bools:
    """Return which actions could have been taken, as far as the log shows, shape (N, A)."""
    equal = 1.0 / rounds.eligibility.sum(axis=1, keepdims=True)
    found: Bools = rounds.eligibility & (shares >= np.minimum(LEAST_TRIED, LEAST_OF_EQUAL * equal))
    found[np.arange(len(rounds)), rounds.actions] = True
    return found


def _calibration(rounds: LoggedRounds, shares: Floats, action: int) -> Calibration:
    rows = rounds.eligibility[:, action]
    scores = np.clip(shares[rows, action], LEAST, 1.0 - LEAST)
    return calibration(ScoredLabels.of(rounds.actions[rows] == action, scores))
