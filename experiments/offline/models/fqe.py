"""Fitted Q evaluation: the target policy's value of each logged decision, by regression on what comes next.

    y = r + gamma ** elapsed_hours * sum_a pi(a | x') Q(x', a),   Q <- regression of y on (x, a),   again and again

Nothing follows a termination. Something follows a truncation: where the final observation was logged, Q answers for it.
No propensities are needed, and none can save an answer from a regression that is wrong: `sequential_dr` corrects it.
"""

from __future__ import annotations

import difflib
from typing import Literal

import numpy as np

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Bools, Floats, Ints, probability_faults
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.folds import folds
from experiments.offline.models.q_regressors import REGRESSORS, Following, QRegressor, RidgeByAction
from experiments.offline.weighed_trajectories import QValues, checked_target

Truncated = Literal["bootstrap", "end"]
MOST_GROWTH = 1e6  # of values over what an episode could earn at most, beyond which an iteration has run away


def fitted_q(
    log: LoggedTrajectories,
    target: Floats,
    *,
    final_target: Floats | None = None,
    regressor: str = "ridge",
    truncated: Truncated = "bootstrap",
    n_iterations: int = 200,
    tolerance: float = 1e-6,
    n_folds: int = 2,
    seed: int = 0,
) -> QValues:
    """Return the target policy's values; those of an episode by a model of other users' episodes.

    Q is the same at every step. Where a truncation is taken for an end, what is left of the episode belongs to the
    state: give the step as a feature.

    Args:
        log: propensities are not asked for.
        target: the target policy's probabilities, 0 for what is not eligible, shape (N, A).
        final_target: its probabilities at the final observations, shape (E, A); None: none was truncated, or
            `truncated` is "end".
        regressor: of `REGRESSORS`.
        truncated: "bootstrap": what follows is worth what Q says; "end": nothing follows that counts, as in an
            evaluation over a fixed horizon.
        n_iterations: at most; the k-th looks k steps ahead.
        tolerance: the iteration ends when no target moves by more, relative to the largest.
        n_folds: models; 1: one, of all episodes, which knows those that it is asked about.
        seed: of the folds.

    Raises:
        LogError: the target is no policy.
        ValueError: an unknown regressor; truncated episodes without final observations or final target; values that
            grow without bound.

    Source: Le, Voloshin & Yue, "Batch policy learning under constraints" (ICML 2019), algorithm 3.
    """
    if regressor not in REGRESSORS:
        near = difflib.get_close_matches(regressor, REGRESSORS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"regressor {regressor!r}: expected one of {', '.join(REGRESSORS)}.{hint}")
    if n_iterations < 1:
        raise ValueError(f"n_iterations: expected at least 1, got {n_iterations}")
    target = checked_target(log, target)
    follows = log.is_truncated[log.ends] & ~log.is_terminated[log.ends] & (truncated == "bootstrap")
    if follows.any():
        final_target = _checked_final(log, final_target, follows)
    fold_of = np.zeros(log.n_episodes, np.int64)
    if n_folds != 1:
        fold_of = folds(log.n_episodes, log.clusters, n_folds, seed)
    values, final, change = np.empty(target.shape), np.zeros(log.n_episodes), 0.0
    for fold in range(n_folds):
        is_asked = fold_of == fold
        is_learned = ~is_asked if n_folds > 1 else is_asked
        rows = is_learned[log.episode_of]
        model: QRegressor = REGRESSORS[regressor](log.observations[rows], log.actions[rows], log.n_actions)
        kept = log.take(is_learned)
        kept_final = None if final_target is None else final_target[is_learned]
        moved = _iterate(model, kept, target[rows], kept_final, follows[is_learned], n_iterations, tolerance)
        change = max(change, moved)
        asked_rows = is_asked[log.episode_of]
        values[asked_rows] = model.predict(log.observations[asked_rows])
        final[is_asked] = _final_values(model, log, final_target, is_asked & follows)[is_asked]
    return QValues(np.where(log.eligibility, values, 0.0), final, change)


def _iterate(
    model: QRegressor,
    log: LoggedTrajectories,
    target: Floats,
    final_target: Floats | None,
    follows: Bools,
    n_iterations: int,
    tolerance: float,
) -> float:
    """Fit again and again; return by how much the last iteration moved a target."""
    following = _following(log, target, final_target, follows)
    if isinstance(model, RidgeByAction):
        change = model.settle(following, n_iterations, tolerance)
        size = float(np.abs(log.rewards + following.discounts * _values_of(model, following)).max())
        _require_settling(size, following, n_iterations)
        return change
    targets, change = log.rewards, 0.0
    for iteration in range(n_iterations):
        model.fit(targets)
        after = log.rewards + following.discounts * _values_of(model, following)
        change = float(np.abs(after - targets).max())
        size = float(np.abs(after).max())
        _require_settling(size, following, iteration + 1)
        if change <= tolerance * size:
            break
        targets = after
    return change


def _values_of(model: QRegressor, following: Following) -> Floats:
    found: Floats = (following.target * model.predict(following.observations)).sum(axis=1)
    return found


def _require_settling(size: float, following: Following, n_iterations: int) -> None:
    if not size <= following.most:
        raise ValueError(
            f"fitted_q: expected values that settle, got {size:g} after {n_iterations} iterations where rewards are at "
            f"most {np.abs(following.rewards).max():g}: discount more, or use fewer features or 'tabular'"
        )


def _following(log: LoggedTrajectories, target: Floats, final_target: Floats | None, follows: Bools) -> Following:
    """Return what follows each row: the next of its episode, or the final observation where that counts."""
    observations, probabilities = np.roll(log.observations, -1, axis=0), np.roll(target, -1, axis=0)
    discounts = np.where(log.is_last, 0.0, log.step_discounts)
    if follows.any():
        assert log.final_observations is not None
        assert final_target is not None
        rows = log.ends[follows]
        observations[rows], probabilities[rows] = log.final_observations[follows], final_target[follows]
        discounts[rows] = log.step_discounts[rows]
    most = MOST_GROWTH * log.horizon * float(np.abs(log.rewards).max())
    return Following(log.rewards, discounts, observations, probabilities, most)


def _final_values(model: QRegressor, log: LoggedTrajectories, final_target: Floats | None, follows: Bools) -> Floats:
    """Return the target's value after each episode's last row, shape (E,); 0 where nothing follows."""
    found = np.zeros(log.n_episodes)
    if follows.any():
        assert log.final_observations is not None
        assert final_target is not None
        found[follows] = (final_target[follows] * model.predict(log.final_observations[follows])).sum(axis=1)
    return found


def _checked_final(log: LoggedTrajectories, final_target: Floats | None, follows: Bools) -> Floats:
    n = int(follows.sum())
    if log.final_observations is None or final_target is None:
        what = "final_observations in the log" if log.final_observations is None else "a final_target"
        raise ValueError(
            f"fitted_q: {n:,} of {log.n_episodes:,} episodes are truncated: expected {what}, got none. If nothing "
            f"after the log counts, say truncated='end'"
        )
    shape = (log.n_episodes, log.n_actions)
    if final_target.shape != shape:
        raise ValueError(f"final_target: expected probabilities of shape {shape}, got {final_target.shape}")
    episodes: Ints = np.flatnonzero(follows)
    eligible = None if log.final_eligible is None else log.final_eligible[episodes]
    if faults := probability_faults(final_target[episodes], eligible, log.action_names, "final_target"):
        raise LogError(faults)
    return np.where(follows[:, None], final_target, 0.0)
