"""The probability that each of some independent normal draws is the highest: propensities of Thompson sampling.

P(a is highest) = integral of phi_a(t) prod_{b != a} Phi_b(t) dt, phi_a and Phi_b density and distribution function of
N(mean, sd^2); a draw with sd 0 is its mean, and of several such with equal means the first wins, as in `argmax`.

The quadrature is that of `policies.best_of_normals`, whose docstring describes it, so that documents agree; here it is
compiled, for many rows. Errors are below 1e-6 however unequal the standard deviations.
"""

from __future__ import annotations

import math

import numpy as np

from agents.agent import Bools, Floats
from agents.compiled import compiled
from policies.best_of_normals import REACH, STEP
from policies.legendre import NODES, WEIGHTS

PLACES, SHARES = np.array(NODES), np.array(WEIGHTS)
ROOT_HALF = math.sqrt(0.5)
DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)


@compiled
def best_of_normals(means: Floats, sds: Floats, masks: Bools, found: Floats) -> None:
    """Write the probability that each draw is the highest of its row's eligible; rows sum to 1, errors are below 1e-6.

    Args:
        means, sds: of the draws, sds >= 0, shape (U, A).
        masks: which draws take part, at least one a row, shape (U, A).
        found: to be written, shape (U, A).
    """
    n_rows, n = means.shape
    running = np.empty(n, np.int64)
    below = np.empty(n)
    rate = np.empty(n)
    for row in range(n_rows):
        first = -1
        for a in range(n):
            found[row, a] = 0.0
            if masks[row, a] and (
                first < 0 or means[row, a] - REACH * sds[row, a] > means[row, first] - REACH * sds[row, first]
            ):
                first = a
        # Positions count from this draw's mean, so that little is lost to rounding where it is much narrower.
        origin = means[row, first]
        x = -REACH * sds[row, first]
        n_running = 0
        for a in range(n):
            if masks[row, a] and means[row, a] - origin + REACH * sds[row, a] > x:
                running[n_running] = a
                n_running += 1
        if sds[row, first] == 0.0:
            share = 1.0
            for k in range(n_running):
                a = running[k]
                share *= 0.5 * math.erfc((means[row, a] - origin) / sds[row, a] * ROOT_HALF)
            found[row, first] = share
        while n_running > 0:
            least, highest = np.inf, -np.inf
            for k in range(n_running):
                a = running[k]
                least = min(least, sds[row, a])
                highest = max(highest, means[row, a] - origin + REACH * sds[row, a])
            half = 0.5 * min(STEP * least, highest - x)
            for node in range(len(PLACES)):
                at = x + half * (1.0 + PLACES[node])
                everyone = half * SHARES[node] * DENSITY_AT_0
                for k in range(n_running):
                    a = running[k]
                    z = (at - (means[row, a] - origin)) / sds[row, a]
                    below[k] = 0.5 * math.erfc(-z * ROOT_HALF)
                    rate[k] = math.exp(-0.5 * z * z) / sds[row, a] / below[k]
                    everyone *= below[k]
                for k in range(n_running):
                    found[row, running[k]] += rate[k] * everyone
            x = max(x + 2.0 * half, np.nextafter(x, np.inf))
            n_left = 0
            for k in range(n_running):
                a = running[k]
                if means[row, a] - origin + REACH * sds[row, a] > x:
                    running[n_left] = a
                    n_left += 1
            n_running = n_left
        total = 0.0
        for a in range(n):
            total += found[row, a]
        for a in range(n):
            found[row, a] /= total
