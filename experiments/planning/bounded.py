"""A confidence sequence of a mean whose observations lie in [0, 1], exact for any number of them."""

from __future__ import annotations

import math

import numpy as np

from experiments.planning.trial import Floats, require_inside

MOST_BET = 0.5  # truncation c of the bets, in (0, 1); 1/2 or 3/4 are the paper's


def bounded_mean_bounds(values: Floats, *, level: float = 0.05, planned: int | None = None) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of the mean after each value, within [0, 1], shape (N,) each.

    With bets b_t that depend only on what came before, psi(b) = -log(1 - b) - b:

        sum b_i x_i / sum b_i  +-  (log(2 / level) + sum (x_i - m_(i-1))^2 psi(b_i)) / sum b_i
        b_t = min(c, sqrt(2 log(2 / level) / (s_(t-1)^2 t log(1 + t))))
        m_t = (1/2 + sum x_i) / (t + 1),  s_t^2 = (1/4 + sum (x_i - m_i)^2) / (t + 1)

    The paper's psi_E is a quarter of psi and its v_i four times the squares. It holds for values whose conditional mean
    is the same given what came before: they need be neither independent nor alike.

    Args:
        values: in [0, 1], in order, shape (N,).
        level: two-sided.
        planned: number of values at which to be tightest, in place of t log(1 + t); None: no plan.

    Raises:
        ValueError: a value outside [0, 1].

    Source: Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting (JRSS B 2024; arXiv
    2010.09686), theorem 2 and, for `planned`, its remark on a fixed number.
    """
    require_inside("bounded_mean_bounds: level", level)
    if planned is not None and planned < 1:
        raise ValueError(f"bounded_mean_bounds: planned: expected at least 1, got {planned}")
    x = np.asarray(values, np.float64)
    # The values may have been scaled: a bit too much at the edge is rounding.
    bad = np.flatnonzero(~((x >= -1e-12) & (x <= 1 + 1e-12)))
    if len(bad):
        raise ValueError(f"bounded_mean_bounds: values: expected 0 to 1, got {x[bad[0]]:g} in row {bad[0]}")
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    means_before = np.concatenate([[0.5], means[:-1]])
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    variances_before = np.concatenate([[0.25], variances[:-1]])
    chances = math.log(2 / level)
    pace = t * np.log1p(t) if planned is None else float(planned)
    bets = np.minimum(MOST_BET, np.sqrt(2 * chances / (variances_before * pace)))
    sums = np.cumsum(bets)
    centre = np.cumsum(bets * x) / sums
    margin = (chances + np.cumsum((x - means_before) ** 2 * (-np.log1p(-bets) - bets))) / sums
    low: Floats = np.clip(centre - margin, 0.0, 1.0)
    high: Floats = np.clip(centre + margin, 0.0, 1.0)
    return low, high
