"""The probability that each of some independent Beta draws is the highest: propensities of Beta-Bernoulli Thompson.

P(a is highest) = integral of f_a(t) prod_{b != a} F_b(t) dt over [0, 1]. The line is cut at the quantiles of every draw
that lie half a normal sd apart, so that no density changes much within a panel, and each panel has 8 Gauss-Legendre
nodes. The draws are the same for every user, so this is computed once for each set of eligible actions.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaincinv, betaln, ndtr, xlog1py, xlogy

from agents.agent import Bools, Floats

SHARES = ndtr(np.linspace(-7.0, 7.0, 29))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def best_of_betas(successes: Floats, failures: Floats, masks: Bools) -> Floats:
    """Return the probability that each eligible draw is the highest, shape (U, A); errors are below 1e-6.

    Args:
        successes, failures: of the Beta distributions, >= 1, shape (A,).
        masks: which draws take part, at least one a row, shape (U, A).
    """
    kinds, which = np.unique(masks, axis=0, return_inverse=True)
    found = np.zeros(kinds.shape)
    for row, mask in enumerate(kinds):
        found[row, mask] = _best(successes[mask], failures[mask])
    everyone: Floats = found[which.reshape(-1)]
    return everyone


def _best(successes: Floats, failures: Floats) -> Floats:
    """Return the probability that each of all draws is the highest, shape (A,)."""
    a, b = successes[:, None], failures[:, None]
    cuts = np.unique(np.concatenate([[0.0, 1.0], betaincinv(a, b, SHARES).ravel()]))
    half = np.diff(cuts)[:, None] / 2
    t = (cuts[:-1, None] + half * (1 + NODES)).ravel()
    below = betainc(a, b, t)
    densities = np.exp(xlogy(a - 1, t) + xlog1py(b - 1, -t) - betaln(a, b)) * (half * WEIGHTS).ravel()
    # Products over all others, from both ends: a quotient fails where a share is 0.
    before = np.cumprod(np.vstack([np.ones_like(t), below[:-1]]), axis=0)
    after = np.cumprod(np.vstack([np.ones_like(t), below[:0:-1]]), axis=0)[::-1]
    found = (densities * before * after).sum(axis=1)
    shares: Floats = found / found.sum()
    return shares
