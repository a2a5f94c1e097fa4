"""The probability that each of some independent normal draws is the highest: propensities of Thompson sampling.

P(a is highest) = integral of phi_a(t) prod_{b != a} Phi_b(t) dt, phi_a and Phi_b density and distribution function of
N(mean, sd^2); a draw with sd 0 is its mean, and of several such with equal means the first wins, as in `argmax`.

Quadrature: nothing happens below the highest of mean - 6 sd, where some draw is surely higher, nor beyond the highest
of mean + 6 sd. In between, the line is cut where a draw's own range begins or ends, and each piece into panels of at
most 2.5 times the smallest sd of the draws whose range it is in, with 10 Gauss-Legendre nodes each; all integrals use
the same nodes. The tails cut off weigh 1e-9 a draw. Modelling choice: this form, rather than adaptive quadrature,
because its cost is nearly the same for every row and the error does not depend on how unequal the sds are.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr

from agents.agent import Bools, Floats
from agents.compiled import compiled

REACH = 6.0  # sds
PANEL = 2.5  # sds
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)
ROOT_2 = math.sqrt(2.0)
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
    cuts = np.empty(2 * n + 2)
    running = np.empty(n, np.int64)
    below = np.empty(n)
    hazard = np.empty(n)
    for row in range(n_rows):
        low, high, certain, first = -np.inf, -np.inf, -np.inf, -1
        for a in range(n):
            found[row, a] = 0.0
            if masks[row, a]:
                low = max(low, means[row, a] - REACH * sds[row, a])
                high = max(high, means[row, a] + REACH * sds[row, a])
                if sds[row, a] == 0.0 and means[row, a] > certain:
                    certain, first = means[row, a], a
        n_cuts = 2
        cuts[0], cuts[1] = low, high
        for a in range(n):
            if masks[row, a] and sds[row, a] > 0.0:
                for cut in (means[row, a] - REACH * sds[row, a], means[row, a] + REACH * sds[row, a]):
                    if low < cut < high:
                        cuts[n_cuts] = cut
                        n_cuts += 1
        if first >= 0:
            share = 1.0
            for a in range(n):
                if masks[row, a] and sds[row, a] > 0.0:
                    share *= 0.5 * math.erfc((means[row, a] - certain) / sds[row, a] / ROOT_2)
            found[row, first] = share
        ordered = np.sort(cuts[:n_cuts])
        for piece in range(n_cuts - 1):
            start, width = ordered[piece], ordered[piece + 1] - ordered[piece]
            middle = start + 0.5 * width
            n_running, least = 0, np.inf
            for a in range(n):
                if masks[row, a] and sds[row, a] > 0.0 and abs(middle - means[row, a]) < REACH * sds[row, a]:
                    running[n_running] = a
                    n_running += 1
                    least = min(least, sds[row, a])
            if n_running == 0 or width <= 0.0:
                continue
            n_panels = int(math.ceil(width / (PANEL * least)))
            half = 0.5 * width / n_panels
            for panel in range(n_panels):
                for node in range(len(NODES)):
                    t = start + half * (2 * panel + 1 + NODES[node])
                    everyone = half * WEIGHTS[node]
                    for k in range(n_running):
                        a = running[k]
                        z = (t - means[row, a]) / sds[row, a]
                        below[k] = 0.5 * math.erfc(-z / ROOT_2)
                        hazard[k] = DENSITY_AT_0 * math.exp(-0.5 * z * z) / (sds[row, a] * below[k])
                        everyone *= below[k]
                    for k in range(n_running):
                        found[row, running[k]] += hazard[k] * everyone
        total = 0.0
        for a in range(n):
            total += found[row, a]
        for a in range(n):
            found[row, a] /= total


def best_of_normals_reference(means: Floats, sds: Floats, masks: Bools) -> Floats:
    """Return the same in NumPy, by other nodes: in each draw's own range, cut at every draw's every half sd.

    Slow, about a thousandth of the speed, and only for sds > 0; what the compiled form is tested against.
    """
    n_rows = len(means)
    steps = np.linspace(-8.0, 8.0, 33)
    inner, weights = np.polynomial.legendre.leggauss(8)
    knots = np.where(masks[:, :, None], means[:, :, None] + sds[:, :, None] * steps, means.max(axis=1)[:, None, None])
    knots = np.sort(knots.reshape(n_rows, -1), axis=1)
    half = np.diff(knots, axis=1)[:, :, None] / 2
    t = (knots[:, :-1, None] + half * (1 + inner)).reshape(n_rows, -1)
    share = (half * weights).reshape(n_rows, -1)
    z = (t[:, None, :] - means[:, :, None]) / sds[:, :, None]
    logs = np.where(masks[:, :, None], log_ndtr(z), 0.0)
    others = np.exp(logs.sum(axis=1)[:, None, :] - logs)
    densities = DENSITY_AT_0 * np.exp(-0.5 * z**2) / sds[:, :, None]
    found: Floats = np.where(masks, (densities * others * share[:, None, :]).sum(axis=2), 0.0)
    return found
