"""Logs larger than memory: read part by part, of which only sums are kept.

IPS, SNIPS and, with a reward model that was fitted before, DR, with standard errors by user. Each round adds the row
m = (1, w, w r, d); with S the sum of m m' over users (of whose rounds the rows are added up first), the influence of a
user on an estimate is a' m, and its variance a' S a / N^2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.compare import Estimate
from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.logs.mapping import LogMapping
from experiments.offline.logs.tables import ROWS_A_PART, read_parts
from experiments.offline.weighed import weigh

Target = Callable[[LoggedRounds], Floats]
ONE, WEIGHT, WEIGHTED, DOUBLY = range(4)


@dataclass(frozen=True)
class Streamed:
    """What a pass over a log came to.

    Attributes:
        rounds, users: read; users are rounds where the mapping names none.
        logged: the log's own mean reward.
        estimates: `ips`, `snips`, and `dr` where there is a reward model.
        effective: sample size, (sum w)^2 / sum w^2.
        largest_weight: of one round.
    """

    rounds: int
    users: int
    logged: float
    estimates: dict[str, Estimate]
    effective: float
    largest_weight: float


def stream_estimates(
    source: str | os.PathLike[str] | Any,
    mapping: LogMapping,
    target_of: Target,
    model: Callable[[LoggedRounds], Floats] | None = None,
    *,
    rows: int = ROWS_A_PART,
    on_part: Callable[[int], None] | None = None,
) -> Streamed:
    """Return the value of a policy from a log that is read once, part by part.

    Args:
        source, mapping: as of `tables.read_log`; a user's rounds may lie in several parts.
        target_of: the policy: from a part to probabilities, shape (n, A).
        model: a reward model that has not seen the log: from a part to each action's reward, shape (n, A).
        rows: in memory at a time.
        on_part: called after each part with the rounds read so far.

    Raises:
        LogError: as `tables.read_parts`, with rows numbered from the table's beginning.
        ValueError: there is no round at all.
    """
    second, by_user = np.zeros((4, 4)), []
    n, total, largest, squares = 0, 0.0, 0.0, 0.0
    for part in read_parts(source, mapping, rows):
        weighed = weigh(part, target_of(part), None if model is None else model(part))
        row = _rows(weighed.weights, part.rewards, None if model is None else weighed.model)
        if part.users is None:
            second += row.T @ row
        else:
            by_user.append(_sums_by(part.users, row))
        n, total = n + len(part), total + float(part.rewards.sum())
        largest = max(largest, float(weighed.weights.max()))
        squares += float(weighed.weights @ weighed.weights)
        if on_part is not None:
            on_part(n)
    if not n:
        raise ValueError("stream_estimates: expected at least one round, got an empty table")
    first, n_users = np.zeros(4), n
    if by_user:
        users, sums = (np.concatenate(of) for of in zip(*by_user, strict=True))
        _, merged = _sums_by(users, sums)
        second, first, n_users = merged.T @ merged, merged.sum(axis=0), len(merged)
    else:
        first = second[ONE]  # the column of ones times each column
    estimates = dict(_estimates(first, second, n, n_users, has_model=model is not None))
    effective = float(first[WEIGHT]) ** 2 / squares if squares else 0.0
    return Streamed(n, n_users, total / n, estimates, effective, largest)


def _rows(weights: Floats, rewards: Floats, model: tuple[Floats, Floats] | None) -> Floats:
    """Return m of each round, shape (n, 4)."""
    doubly = np.zeros(len(weights)) if model is None else model[1] + weights * (rewards - model[0])
    return np.column_stack([np.ones(len(weights)), weights, weights * rewards, doubly])


def _sums_by(users: Any, rows: Floats) -> tuple[Any, Floats]:
    """Return the users, and the sums of their rows."""
    found, codes = np.unique(users, return_inverse=True)
    return found, np.column_stack([np.bincount(codes, column, len(found)) for column in rows.T])


def _estimates(
    first: Floats, second: Floats, n: int, n_users: int, *, has_model: bool
) -> Iterator[tuple[str, Estimate]]:
    def estimate(value: float, moves: Floats, scale: float) -> Estimate:
        if n_users < 2 or not scale:
            return Estimate(value, math.nan)
        return Estimate(value, math.sqrt(max(float(moves @ second @ moves), 0.0) * n_users / (n_users - 1)) / scale)

    unit = np.eye(4)
    yield "ips", estimate(first[WEIGHTED] / n, unit[WEIGHTED] - first[WEIGHTED] / n * unit[ONE], n)
    ratio = first[WEIGHTED] / first[WEIGHT] if first[WEIGHT] else math.nan
    yield "snips", estimate(ratio, unit[WEIGHTED] - ratio * unit[WEIGHT], float(first[WEIGHT]))
    if has_model:
        yield "dr", estimate(first[DOUBLY] / n, unit[DOUBLY] - first[DOUBLY] / n * unit[ONE], n)
