"""`policies.best_of_normals` for many users: the same scheme, all users' panels side by side."""

from __future__ import annotations

import math

import numpy as np

from policies.batch.seen import Bools, Floats
from policies.best_of_normals import LARGEST, REACH, SHRINK, STEP
from policies.legendre import NODES, WEIGHTS

CHUNK = 512  # users at a time: their nodes stay in cache
_NODES = np.asarray(NODES)[:, None]
_WEIGHTS = np.asarray(WEIGHTS)[:, None] / math.sqrt(2.0 * math.pi)


def best_of_normals(means: Floats, sds: Floats, eligible: Bools) -> Floats:
    """Return the probability that each eligible arm is the highest of independent draws, 0 for others, shape (A, n).

    Args:
        means: finite where eligible, shape (A, n).
        sds: standard deviations, >= 0, where eligible, shape (A, n); where one is not finite, neither is the answer.
        eligible: at least one of each user, shape (A, n).
    """
    found = np.empty(means.shape)
    for start in range(0, means.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        found[:, part] = _best(
            np.where(eligible[:, part], means[:, part], -np.inf), np.where(eligible[:, part], sds[:, part], 0.0)
        )
    return found


def _best(means: Floats, sds: Floats) -> Floats:
    """Return the probabilities of a few users; a mean of -inf has none."""
    from scipy.special import ndtr

    found = np.zeros(means.shape)
    is_sound = np.isfinite(sds).all(axis=0)
    found[:, ~is_sound] = np.nan
    sds = np.where(is_sound, sds, 0.0)
    size = np.maximum(np.abs(np.where(np.isfinite(means), means, 0.0)).max(axis=0), sds.max(axis=0))
    shrink = np.where(size > LARGEST, SHRINK, 1.0)
    means, sds = shrink * means, shrink * sds
    every = np.arange(means.shape[1])
    first = (means - REACH * sds).argmax(axis=0)
    offsets = means - means[first, every]
    tops = offsets + REACH * sds
    x = -REACH * sds[first, every]
    is_known = is_sound & (sds[first, every] == 0.0)
    if is_known.any():
        on = tops > x
        z = np.where(on, -offsets / np.where(on, sds, 1.0), np.inf)
        found[first[is_known], every[is_known]] = ndtr(z[:, is_known]).prod(axis=0)
    rows = np.flatnonzero(is_sound & (tops > x).any(axis=0))
    while rows.size:
        of_rows, top, sd, begin = offsets[:, rows], tops[:, rows], sds[:, rows], x[rows]
        on = top > begin
        half = 0.5 * np.minimum(STEP * np.where(on, sd, np.inf).min(axis=0), top.max(axis=0) - begin)
        at = begin + half * (1.0 + _NODES)  # (16, rows)
        sd = np.where(on, sd, 1.0)
        z = np.where(on[:, None], (at - of_rows[:, None]) / sd[:, None], np.inf)  # (A, 16, rows)
        below = ndtr(z)
        mass = _WEIGHTS * below.prod(axis=0)
        found[:, rows] += half / sd * (mass * np.exp(-0.5 * z * z) / below).sum(axis=1)
        x[rows] = np.maximum(begin + 2.0 * half, np.nextafter(begin, np.inf))
        rows = rows[(top > x[rows]).any(axis=0)]
    found /= found.sum(axis=0)
    return found
