"""Logistic regression with a normal prior, approximated by a normal distribution around its mode."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from agents.agent import Floats, Ints
from agents.bandits.beliefs.kernels import add_rows

MOST_STEPS = 200
TOLERANCE = 1e-10  # of what a further Newton step would gain, in nats


def laplace(rows: Floats, heads: Ints, targets: Floats, mean: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Return each head's mode, shape (H, D), and the curvature sum p (1 - p) x x' there, shape (H, D, D).

    The mode minimises (w - mean)' precision (w - mean) / 2 - sum [y ln p + (1 - y) ln(1 - p)], p = 1 / (1 + exp(-w'x)),
    by Newton's method; a step that does not lower it is halved, and one that
    does lets the next be twice as long.

    Args:
        rows: x, shape (N, D).
        heads: whose each row is, shape (N,).
        targets: y in [0, 1], shape (N,).
        mean, precision: the prior's, shapes (H, D) and (H, D, D).

    Source: MacKay (1992); Bishop, Pattern Recognition and Machine Learning (2006), section 4.5.1.
    """
    mode, step, share = mean.copy(), np.zeros_like(mean), np.ones(len(mean))
    least = np.full(len(mean), np.inf)
    curvature, ascent = np.zeros(precision.shape), np.zeros(mean.shape)
    for _ in range(MOST_STEPS):
        tried = mode + share[:, None] * step
        loss = _losses(rows, heads, targets, tried, mean, precision)
        is_better = loss <= least
        share = np.where(is_better, np.minimum(2.0 * share, 1.0), share / 2)
        mode = np.where(is_better[:, None], tried, mode)
        least = np.where(is_better, loss, least)
        curvature, ascent = _derivatives(rows, heads, targets, mode)
        gradient = np.einsum("hij,hj->hi", precision, mode - mean) - ascent
        step = -np.linalg.solve(precision + curvature, gradient[:, :, None])[:, :, 0]
        if (-(step * gradient).sum(axis=1) <= TOLERANCE * np.maximum(1.0, least)).all():
            break
    return mode, curvature


def _losses(rows: Floats, heads: Ints, targets: Floats, mode: Floats, mean: Floats, precision: Floats) -> Floats:
    """Return what each head minimises, shape (H,)."""
    logits = np.einsum("nd,nd->n", rows, mode[heads])
    of_rows = np.bincount(heads, np.logaddexp(0.0, logits) - targets * logits, len(mode))
    away = mode - mean
    found: Floats = of_rows + np.einsum("hi,hij,hj->h", away, precision, away) / 2
    return found


def _derivatives(rows: Floats, heads: Ints, targets: Floats, mode: Floats) -> tuple[Floats, Floats]:
    """Return sum p (1 - p) x x' and sum (y - p) x of each head."""
    chances = expit(np.einsum("nd,nd->n", rows, mode[heads]))
    n_heads, n_inputs = mode.shape
    outer, moment = np.zeros((n_heads, n_inputs, n_inputs)), np.zeros((n_heads, n_inputs))
    add_rows(rows, heads, chances * (1.0 - chances), targets - chances, outer, moment)
    lower = np.tril(outer)
    return lower + np.tril(lower, -1).transpose(0, 2, 1), moment
