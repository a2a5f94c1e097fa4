"""Which fields matter: what share of all that varies between trials each field explains, alone and with another.

An analysis of variance over the trials. With k groups by a field's levels, n trials, SS_b between the groups and SS_w
within them, the share is epsilon squared, (SS_b - (k - 1) SS_w / (n - k)) / SS_t: unlike the plain SS_b / SS_t it is
0 on average for a field that does nothing, however many levels it has. An interaction of two fields is the share of
their cells less both fields' own.

Source: Kelley (1935) for epsilon squared; Okada (2013), which finds it the least biased of its kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from experiments.report.sweeps.reading import Level, shown

MOST_LEVELS = 6  # of a numeric field; more are put into groups of the same size
N_GROUPS = 4


@dataclass(frozen=True, eq=False)
class Grouping:
    """Trials by the levels of a field.

    Attributes:
        field: its dotted path.
        names: of its groups, in rising order where they are numbers, shape (K,).
        group: each trial's, shape (N,).
    """

    field: str
    names: tuple[str, ...]
    group: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """What one field does, or two together.

    Attributes:
        fields: one or two dotted paths.
        share: of the variance that it explains, 0 to 1; NaN where there are too few trials to tell.
        p_value: chance of an F as great where it does nothing, under normal errors; NaN where it cannot be told.
    """

    fields: tuple[str, ...]
    share: float
    p_value: float


def groupings(fields: Sequence[str], columns: Sequence[Sequence[Level]]) -> list[Grouping]:
    """Return trials by the levels of each field that has at least two.

    Args:
        columns: one a field, a level a trial.
    """
    found = [_grouping(field, column) for field, column in zip(fields, columns, strict=True)]
    return [each for each in found if len(each.names) > 1]


def within_seeds(results: npt.NDArray[np.float64], seeds: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], int]:
    """Return results less their seed's mean, and the degrees of freedom that this takes.

    Users of a seed are worth more or less to every setting alike: a block, not noise.
    """
    used, block = np.unique(seeds, return_inverse=True)
    means = np.bincount(block, results) / np.bincount(block)
    return results - means[block], len(used) - 1


def main_effects(by: Sequence[Grouping], results: npt.NDArray[np.float64], df_taken: int = 0) -> list[Effect]:
    """Return what each field explains alone, the greatest share first.

    Args:
        results: a trial each.
        df_taken: degrees of freedom that blocks have taken, see `within_seeds`.
    """
    found = [Effect((each.field,), *_epsilon(each.group, results, df_taken)) for each in by]
    return sorted(found, key=_by_share)


def interactions(by: Sequence[Grouping], results: npt.NDArray[np.float64], df_taken: int = 0) -> list[Effect]:
    """Return what pairs of fields explain beyond each alone, the greatest share first; see `main_effects`."""
    alone = {each.field: _epsilon(each.group, results, df_taken)[0] for each in by}
    found = []
    for one, other in combinations(by, 2):
        cells = one.group * len(other.names) + other.group
        together, _ = _epsilon(cells, results, df_taken)
        share = together - alone[one.field] - alone[other.field]
        p_value = _interaction_p(one, other, results, df_taken)
        is_told = math.isfinite(share) and math.isfinite(p_value)  # else nothing but noise is left, or no cell is
        found.append(Effect((one.field, other.field), max(share, 0.0) if is_told else math.nan, p_value))
    return sorted(found, key=_by_share)


def _by_share(effect: Effect) -> float:
    return -effect.share if math.isfinite(effect.share) else math.inf


def _grouping(field: str, column: Sequence[Level]) -> Grouping:
    levels = list(dict.fromkeys(column))
    numeric = all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)
    if numeric and len(levels) > MOST_LEVELS:
        values = np.asarray(column, np.float64)
        cuts = np.unique(np.quantile(values, np.arange(1, N_GROUPS) / N_GROUPS))
        group = np.searchsorted(cuts, values, side="right")
        used, group = np.unique(group, return_inverse=True)
        names = [f"{shown(float(values[group == k].min()))} to {shown(float(values[group == k].max()))}"
                 for k in range(len(used))]  # fmt: skip
        return Grouping(field, tuple(names), group.astype(np.int64))
    if numeric:
        levels.sort(key=lambda level: float(level or 0))
    place = {level: k for k, level in enumerate(levels)}
    group = np.asarray([place[level] for level in column], np.int64)
    return Grouping(field, tuple(shown(level) for level in levels), group)


def _epsilon(group: npt.NDArray[np.int64], results: npt.NDArray[np.float64], df_taken: int = 0) -> tuple[float, float]:
    """Return epsilon squared, at least 0, and the p-value of the F test."""
    used, group = np.unique(group, return_inverse=True)
    n, k = len(results) - df_taken, len(used)
    if n - k < 1 or k < 2:
        return math.nan, math.nan
    means = np.bincount(group, results) / np.bincount(group)
    within = float(((results - means[group]) ** 2).sum())
    total = float(((results - results.mean()) ** 2).sum())
    if total <= 0.0:
        return 0.0, 1.0
    noise = within / (n - k)
    share = max((total - within - (k - 1) * noise) / total, 0.0)
    return share, _tail((total - within) / (k - 1), noise, k - 1, n - k)


def _interaction_p(one: Grouping, other: Grouping, results: npt.NDArray[np.float64], df_taken: int) -> float:
    """Return the p-value of what the cells' means add to sums of both fields' own effects."""
    n = len(results)
    cells = one.group * len(other.names) + other.group
    sums = np.ones((n, 1))
    for grouping in (one, other):
        sums = np.hstack([sums, (grouping.group[:, None] == np.arange(1, len(grouping.names))).astype(np.float64)])
    full = (cells[:, None] == np.unique(cells)).astype(np.float64)
    left = [float(((results - x @ np.linalg.lstsq(x, results)[0]) ** 2).sum()) for x in (sums, full)]
    rank = [int(np.linalg.matrix_rank(x)) for x in (sums, full)]
    n_free = n - rank[1] - df_taken
    if rank[1] <= rank[0] or n_free < 1:
        return math.nan
    return _tail((left[0] - left[1]) / (rank[1] - rank[0]), left[1] / n_free, rank[1] - rank[0], n_free)


def _tail(explained: float, noise: float, df: int, df_noise: int) -> float:
    from scipy.stats import f

    if noise <= 0.0:
        return 0.0 if explained > 0.0 else 1.0
    return float(f.sf(explained / noise, df, df_noise))
