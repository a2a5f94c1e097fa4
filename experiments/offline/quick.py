"""IPS, SNIPS and DR with their standard errors in one pass over the log: for many candidate policies.

The same numbers as `estimators`, from sums instead of columns; rounds count as independent.
"""

from __future__ import annotations

import math

import numpy as np

from experiments.compare import Estimate
from experiments.offline.kernels import BLOCK, moment_rows
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, LoggedRounds, probability_faults


def quick_estimates(rounds: LoggedRounds, target: Floats, rewards_of: Floats) -> dict[str, Estimate]:
    """Return `ips`, `snips` and `dr`.

    Args:
        rounds: with propensities; two or more.
        target: the target policy's probabilities, contiguous float64, shape (N, A).
        rewards_of: a model's reward of each action, of the same shape and type.

    Raises:
        LogError: the target's rows are no probabilities, or give some to what was not eligible.
        ValueError: the log has no propensities, or a shape is wrong.
    """
    shape, n = (len(rounds), rounds.n_actions), len(rounds)
    if rounds.propensities is None:
        raise ValueError("quick_estimates: expected a log with propensities, got one without")
    for name, array in (("target", target), ("rewards_of", rewards_of)):
        if array.shape != shape or array.dtype != np.float64:
            raise ValueError(f"{name}: expected float64 of shape {shape}, got {array.dtype} of shape {array.shape}")
    sums = np.empty((-(-n // BLOCK), 8))
    shift = float(rounds.rewards[0])
    moment_rows(target, rewards_of, rounds.actions, rounds.propensities, rounds.rewards, shift, sums)
    w1, w2, c1, c2, cw, d1, d2, n_odd = sums.sum(axis=0).tolist()
    if n_odd or (rounds.eligible is not None and bool((target[~rounds.eligible] != 0.0).any())):
        raise LogError(probability_faults(target, rounds.eligible, rounds.action_names, "target"))
    ratio = c1 / w1 if w1 else math.nan
    spread = c2 - 2.0 * ratio * cw + ratio**2 * w2  # sum of (c - R w)^2
    # w r is c + shift w.
    whole = c2 - c1**2 / n + 2.0 * shift * (cw - c1 * w1 / n) + shift**2 * (w2 - w1**2 / n)
    return {
        "ips": Estimate((c1 + shift * w1) / n, _error(whole, n)),
        "snips": Estimate(shift + ratio, _error(spread, n) / (w1 / n) if w1 else math.nan),
        "dr": Estimate(shift + d1 / n, _error(d2 - d1**2 / n, n)),
    }


def _error(squares: float, n: int) -> float:
    """Return the standard error of a mean from the sum of squared deviations."""
    return math.sqrt(max(squares, 0.0) / (n - 1) / n) if n > 1 else math.nan
