"""Marginalised importance sampling: ratios of how often states are met, instead of products over what led there.

What product of ratios led to a state says nothing once the state is known, if states are Markov: averaging it over all
episodes that meet in the state takes its variance away. States must be few enough to be met often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import Floats, Ints
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.weighed_trajectories import WeighedTrajectories


def marginalised_is(weighed: WeighedTrajectories, states: Ints, *, is_normalised: bool = False) -> Terms:
    """mean(sum_t w_t(s_t) D_t rho_t r_t), with w_t(s) the target's frequency of a state at a step over the log's.

    The ratios are estimated from step to step, w_{t+1}(s') = mean of w_t(s_t) rho_t over episodes that are in s' at
    t + 1; the same number comes out backwards, V_t(s) = mean of rho_t (r_t + gamma_t V_{t+1}(s_{t+1})) over those in s
    at t. Terms are V_0(s_0) + sum_t D_t w_t(s_t) (rho_t (r_t + gamma_t V_{t+1}) - V_t(s_t)): the second part is 0 over
    all episodes, and makes the standard error know that the ratios are estimated.

    Unbiased only as every state is met often; where states leave out what matters, it is biased towards `one_step`.
    With a discount by the hour, how long a step takes must depend on state and action alone, like what it earns.

    Source: Xie, Ma & Wang, "Towards optimal off-policy evaluation for reinforcement learning with marginalized
    importance sampling" (NeurIPS 2019).

    Args:
        weighed: the log beside the target policy.
        states: any integers, the same where states are the same, shape (N,).
        is_normalised: whether ratios are divided by their mean in each state and step. Estimates are then within the
            range of what could be earned, of lower variance at long horizons, and biased by the order 1 / E.

    Raises:
        ValueError: states of another shape or type.
    """
    log, states = weighed.log, _checked(states, weighed.log)
    by_step = _by_step(log)
    ratios = _normalised(weighed.ratios, _cell_means(weighed, states)) if is_normalised else weighed.ratios
    weights = _weights(log, states, ratios, by_step, log.step_discounts)
    values, backed = np.zeros(len(log)), np.zeros(len(log))
    following = np.where(log.is_last, 0, np.arange(1, len(log) + 1))
    for rows in reversed(by_step):
        after = np.where(log.is_last[rows], 0.0, values[following[rows]])
        backed[rows] = ratios[rows] * (log.rewards[rows] + log.step_discounts[rows] * after)
        values[rows] = _means_by(states[rows], backed[rows])
    correction: Floats = np.bincount(
        log.episode_of, weights * (backed - (ratios if is_normalised else 1.0) * values), log.n_episodes
    ).astype(np.float64)
    return Terms(direct=values[log.starts], correction=correction)


def lost_share(weighed: WeighedTrajectories, states: Ints) -> float:
    """Return the share of the target's episodes that normalised ratios lose.

    A mean cannot be divided by where all ratios of a state and step are 0: nobody who was there did what the target
    would do. What the target does from there on is then missing, and the estimate knows nothing of it.

    Args:
        weighed, states: as of `marginalised_is`.
    """
    log, states = weighed.log, _checked(states, weighed.log)
    means = _cell_means(weighed, states)
    weights = _weights(log, states, _normalised(weighed.ratios, means), _by_step(log), np.ones(len(log)))
    return float(weights[means == 0.0].sum()) / log.n_episodes


def same_states(observations: Floats) -> Ints:
    """Return a number for each different row of observations, shape (N,)."""
    _, codes = np.unique(observations, axis=0, return_inverse=True)
    return codes.ravel().astype(np.int64)


def aggregated_states(observations: Floats, n_bins: int) -> Ints:
    """Return states that hold together rows in the same quantile bins of every feature, shape (N,).

    Args:
        observations: shape (N, K).
        n_bins: of each feature, at least 1; K features make up to n_bins ** K states, of which only those met count.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins: expected at least 1, got {n_bins}")
    edges = np.quantile(observations, np.arange(1, n_bins) / n_bins, axis=0)
    bins = [np.searchsorted(edges[:, k], column, side="right") for k, column in enumerate(observations.T)]
    return same_states(np.column_stack(bins)) if bins else np.zeros(len(observations), np.int64)


def _checked(states: Ints, log: LoggedTrajectories) -> Ints:
    states = np.asarray(states)
    if states.shape != (len(log),) or states.dtype.kind not in "iu":
        raise ValueError(f"states: expected integers of shape {(len(log),)}, got {states.dtype} of {states.shape}")
    return states


def _by_step(log: LoggedTrajectories) -> list[Ints]:
    """Return the rows of each step, each row's predecessor in its episode being the row above it."""
    return np.split(np.argsort(log.steps, kind="stable"), np.cumsum(np.bincount(log.steps))[:-1])


def _cell_means(weighed: WeighedTrajectories, states: Ints) -> Floats:
    """Return the mean ratio of each row's state and step, shape (N,)."""
    return _means_by(same_states(np.column_stack([weighed.log.steps, states])), weighed.ratios)


def _normalised(ratios: Floats, means: Floats) -> Floats:
    """Return ratios divided by their mean in each state and step, 0 where that is 0; shape (N,)."""
    return np.divide(ratios, means, out=np.zeros(len(means)), where=means > 0.0)


def _weights(
    log: LoggedTrajectories, states: Ints, ratios: Floats, by_step: list[Ints], step_discounts: Floats
) -> Floats:
    """Return the target's frequency of each row's state at its step over the log's, times the discount; shape (N,)."""
    weights = np.ones(len(log))
    for rows in by_step[1:]:
        arriving = (weights * ratios * step_discounts)[rows - 1]  # D_t is in the weights: hours may differ
        weights[rows] = _means_by(states[rows], arriving)
    return weights


def _means_by(groups: npt.NDArray[np.integer], values: Floats) -> Floats:
    """Return for each value the mean of its group, shape (N,)."""
    _, codes = np.unique(groups, return_inverse=True)
    means: Floats = np.bincount(codes, values) / np.bincount(codes)
    return means[codes]
