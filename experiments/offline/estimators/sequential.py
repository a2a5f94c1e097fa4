"""Estimators of a policy's value from whole episodes of another: products of importance ratios, with or without a Q.

The value is the expected discounted sum of an episode's rewards. Terms are of episodes, so standard errors, intervals
and leverage are those of one-step estimators, with `LoggedTrajectories.clusters` where a user has several episodes.
Notation: `experiments.offline.weighed_trajectories`; D_t is the discount of step t, E the number of episodes.

An episode that ends early stays in the sums over episodes with its last product: it is in an absorbing state where
nothing is chosen and nothing is earned. Without that, self-normalised forms would compare survivors with each other.
"""

from __future__ import annotations

import numpy as np

from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import Floats
from experiments.offline.weighed_trajectories import WeighedTrajectories


def one_step(weighed: WeighedTrajectories) -> Terms:
    """mean(sum_t D_t rho_t r_t): each decision by itself, in the states that the logging policy led to.

    Biased wherever actions change later states, and of the least variance. It ends where sequences begin: a bound to
    hold the others against.
    """
    log = weighed.log
    return Terms(correction=log.padded(weighed.ratios * log.discounts * log.rewards, 0.0).sum(axis=1))


def trajectory_is(weighed: WeighedTrajectories) -> Terms:
    """Trajectory-wise importance sampling, mean(rho_{0:T} sum_t D_t r_t): unbiased, of variance exponential in T.

    Source: Precup, Sutton & Singh (ICML 2000).
    """
    return Terms(correction=weighed.products[:, -1] * weighed.rewards.sum(axis=1))


def weighted_trajectory_is(weighed: WeighedTrajectories) -> Terms:
    """Self-normalised, sum(rho_{0:T} G) / sum(rho_{0:T}): within the range of the returns G, biased by the order 1 / E.

    Source: Precup, Sutton & Singh (ICML 2000).
    """
    weights = weighed.products[:, -1]
    return Terms(correction=weights * weighed.rewards.sum(axis=1), scale=weights)


def per_decision_is(weighed: WeighedTrajectories) -> Terms:
    """Per-decision importance sampling, mean(sum_t D_t rho_{0:t} r_t): no reward is weighed by what came after it.

    Source: Precup, Sutton & Singh (ICML 2000).
    """
    return Terms(correction=(weighed.products * weighed.rewards).sum(axis=1))


def weighted_per_decision_is(weighed: WeighedTrajectories) -> Terms:
    """Self-normalised at each step, sum_t (sum_i rho_{0:t} D_t r_t / sum_i rho_{0:t}); NaN where a step has no weight.

    Terms hold the value and what each episode moves it by: see `_sum_of_ratios`. The form in Precup, Sutton & Singh,
    with one ratio for all steps, is not consistent.

    Source: Thomas, "Safe reinforcement learning" (PhD thesis, 2015), where it is called CWPDIS.
    """
    return _sum_of_ratios(np.zeros(weighed.log.n_episodes), weighed.products * weighed.rewards, weighed.products)


def direct_method(weighed: WeighedTrajectories) -> Terms:
    """mean(v_0): as right as Q; its standard error knows nothing of Q's error.

    Source: Le, Voloshin & Yue (ICML 2019), where Q is fitted Q evaluation's.
    """
    return Terms(direct=weighed.initial_values)


def sequential_dr(weighed: WeighedTrajectories) -> Terms:
    """Doubly robust, mean(v_0 + sum_t rho_{0:t} D_t (r_t + gamma_t v_{t+1} - q_t)): unbiased, however wrong Q.

    The recursion v_t + rho_t (r_t + gamma_t V_{t+1} - q_t), summed. After a truncated episode stands Q's own value of
    what follows, if it has one: the estimate is then of episodes that go on.

    Source: Jiang & Li (ICML 2016), eq. 10.
    """
    return Terms(direct=weighed.initial_values, correction=(weighed.products * weighed.surprises).sum(axis=1))


def weighted_dr(weighed: WeighedTrajectories) -> Terms:
    """Weighted doubly robust: `sequential_dr` with rho_{0:t} over its mean at each step; NaN where one has no weight.

    Terms hold the value and what each episode moves it by: see `_sum_of_ratios`.

    Source: Thomas & Brunskill (ICML 2016), where it is called WDR.
    """
    return _sum_of_ratios(weighed.initial_values, weighed.products * weighed.surprises, weighed.products)


def _sum_of_ratios(direct: Floats, numerators: Floats, weights: Floats) -> Terms:
    """Return the terms of mean(direct) + sum_t (sum_i numerator_it / sum_i weight_it).

    A ratio a step has no three columns. Each episode is given value + influence, by the delta method: mean, standard
    error and leverage of these are those of the estimate; their bootstrap is that of its linearisation.

    Args:
        direct: shape (E,).
        numerators, weights: shape (E, T).
    """
    means = weights.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = numerators.mean(axis=0) / means
        moved = ((numerators - ratios * weights) / means).sum(axis=1)
    return Terms(direct=direct + ratios.sum() + moved)
