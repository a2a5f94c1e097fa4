"""What runs with other seeds say together: the mean of their results, with an interval over runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class OverSeeds:
    """A mean over runs with its 95 % interval by Student's t; the interval is NaN of a single run.

    Attributes:
        mean, low, high: in the unit of what is measured.
        n_runs: how many.
    """

    mean: float
    low: float
    high: float
    n_runs: int


def over_seeds(results: Sequence[float]) -> OverSeeds:
    """Return the mean of independent runs' results, each of which counts the same.

    Raises:
        ValueError: there is none.
    """
    if not len(results):
        raise ValueError("over_seeds: expected at least one run, got none")
    values = np.asarray(results, np.float64)
    n, mean = len(values), float(values.mean())
    if n == 1:
        return OverSeeds(mean, math.nan, math.nan, 1)
    from scipy.stats import t

    half = float(t.ppf(0.975, n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    return OverSeeds(mean, mean - half, mean + half, n)


@lru_cache
def studentized_range(n_means: int, n_free: int) -> float:
    """Return the 95 % point of the range of n means over their standard error, of so many degrees of freedom.

    Source: Tukey, The problem of multiple comparisons (1953); scipy.stats.studentized_range.
    """
    from scipy.stats import studentized_range as law

    return float(law.ppf(0.95, n_means, n_free))
