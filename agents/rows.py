"""Rows of observations, compiled: are they as they should be, and what a linear model reads of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.compiled import compiled

Observations = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@compiled
def all_as_expected(
    observations: Observations, masks: npt.NDArray[np.bool_], low: Observations, high: Observations
) -> bool:
    """Return whether all entries are within their ranges, which NaN is not, and something is eligible in each row.

    One pass over memory, where NumPy needs six.

    Args:
        observations: shape (U, K).
        masks: shape (U, A).
        low, high: shape (K,).
    """
    n_features, n_actions = len(low), masks.shape[1]
    for row in range(len(observations)):
        n_within, is_open = 0, False
        for k in range(n_features):
            value = observations[row, k]
            n_within += (value >= low[k]) & (value <= high[k])
        for a in range(n_actions):
            is_open |= masks[row, a]
        if n_within < n_features or not is_open:
            return False
    return True


@compiled
def standardise(observations: Observations, mean: Floats, scale: Floats, rows: Floats) -> None:
    """Write [1, (x - mean) / scale] for each observation.

    Args:
        observations: shape (N, K).
        mean, scale: shape (K,).
        rows: to be written, shape (N, 1 + K).
    """
    for row in range(len(observations)):
        rows[row, 0] = 1.0
        for k in range(len(mean)):
            rows[row, 1 + k] = (observations[row, k] - mean[k]) / scale[k]
