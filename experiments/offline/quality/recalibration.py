"""Logistic recalibration: the line that log-odds of a model's probabilities would need to fit what happened.

    log-odds of the outcome = intercept + slope * log-odds of the score

A calibrated model has intercept 0 and slope 1. A slope below 1 says that the scores are too extreme, as those of an
overfitted model are; a positive intercept at slope 1 that they are too low.

Source: Cox, Two further applications of a model for binary regression (Biometrika 1958); intercept at slope 1
("calibration in the large"): Steyerberg, Clinical Prediction Models (2009), chapter 15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.agent import Floats
from experiments.compare import Estimate
from experiments.offline.quality.rows import ScoredLabels, cluster_sums
from simulator.measures import plain

MOST_STEPS = 100
TOLERANCE = 1e-10  # of a Newton step, in log-odds
SURE_STEP = 1e-6  # taken as it is: what it gains is lost in the rounding of the likelihood
UNKNOWN = Estimate(math.nan, math.nan)


@dataclass(frozen=True)
class Recalibration:
    """The line, and whether it is clear of the one that a calibrated model has.

    Attributes:
        intercept, slope: fitted together, log-odds. Constant scores have neither (NaN). Where the scores separate the
            labels entirely the slope is infinite, and the intercept NaN.
        in_the_large: intercept with the slope held at 1, log-odds.
        p_value: of intercept 0 and slope 1 together, by the Wald statistic with two degrees of freedom; NaN where
            there is no line.
    """

    intercept: Estimate
    slope: Estimate
    in_the_large: Estimate
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "intercept": self.intercept.to_dict(),
            "slope": self.slope.to_dict(),
            "in_the_large": self.in_the_large.to_dict(),
            "p_value": plain(self.p_value),
        }


def recalibration(scored: ScoredLabels) -> Recalibration:
    """Return the line that the scores would need, with standard errors.

    By maximum weighted likelihood, Newton's method with halved steps. Errors are of the sandwich form
    H^-1 (sum_i w_i^2 r_i^2 x_i x_i') H^-1, r the residuals, summed within clusters first where there are any: right
    with weights, and where the line itself is not quite.

    Source: White, Maximum likelihood estimation of misspecified models (Econometrica 1982); Liang & Zeger (Biometrika
    1986) for clusters.

    Raises:
        ValueError: there is one class only, or scores are not strictly between 0 and 1.
    """
    scored.require_both_classes("recalibration")
    scored.require_probabilities("recalibration", is_open=True)
    log_odds = np.log(scored.scores) - np.log1p(-scored.scores)
    ones = np.ones((len(scored), 1))
    shift, spread = _fit(scored, ones, log_odds, np.zeros(1))
    in_the_large = Estimate(float(shift[0]), math.sqrt(spread[0, 0]))
    separated = _slope_of_separated(scored)
    if separated is not None:
        return Recalibration(UNKNOWN, Estimate(separated, math.nan), in_the_large, math.nan)
    design = np.column_stack([ones, log_odds])
    line, spread = _fit(scored, design, np.zeros(len(scored)), np.asarray([0.0, 1.0]))
    intercept, slope = (Estimate(float(line[k]), math.sqrt(spread[k, k])) for k in (0, 1))
    off = line - [0.0, 1.0]
    # The chi-squared distribution with two degrees of freedom is exponential: P(X > x) = exp(-x / 2).
    p_value = math.exp(-0.5 * float(off @ np.linalg.solve(spread, off))) if np.linalg.det(spread) > 0 else math.nan
    return Recalibration(intercept, slope, in_the_large, p_value)


def recalibrated(scores: Floats, line: Recalibration) -> Floats:
    """Return scores moved onto the line: what the model should have said, shape (N,).

    Args:
        scores: strictly between 0 and 1, shape (N,); as a rule of other rows than those that the line was fitted to.
        line: with a finite slope.

    Raises:
        ValueError: the line has none.
    """
    if not (math.isfinite(line.slope.mean) and math.isfinite(line.intercept.mean)):
        raise ValueError(
            f"recalibrated: expected a line with finite intercept and slope, got {line.intercept.mean} and "
            f"{line.slope.mean}: its scores were constant, or separated the labels"
        )
    return _expit(line.intercept.mean + line.slope.mean * (np.log(scores) - np.log1p(-scores)))


def _slope_of_separated(scored: ScoredLabels) -> float | None:
    """Return the slope where no finite one is most likely: NaN of constant scores, else plus or minus infinity."""
    has_weight = scored.weights > 0
    positive, negative = (scored.scores[has_weight & is_of] for is_of in (scored.labels, ~scored.labels))
    if max(positive.max(), negative.max()) == min(positive.min(), negative.min()):
        return math.nan
    if negative.max() <= positive.min():
        return math.inf
    return -math.inf if positive.max() <= negative.min() else None


def _fit(scored: ScoredLabels, design: Floats, offset: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return the most likely coefficients, shape (P,), and their sandwich covariance, shape (P, P)."""
    labels, weights = scored.labels.astype(np.float64), scored.weights / scored.weights.sum()

    def loss(at: Floats) -> float:
        eta = offset + design @ at
        return float(weights @ (np.logaddexp(0.0, eta) - labels * eta))

    found, value = start, loss(start)
    for _ in range(MOST_STEPS):
        probs = _expit(offset + design @ found)
        gradient = design.T @ (weights * (labels - probs))
        hessian = design.T @ (design * (weights * probs * (1 - probs))[:, None])
        step = np.linalg.solve(hessian, gradient)
        after = loss(found + step)
        while after > value and np.abs(step).max() > SURE_STEP:
            step = step / 2
            after = loss(found + step)
        found, value = found + step, after
        if np.abs(step).max() < TOLERANCE:
            break
    else:
        raise ValueError(
            f"recalibration: Newton's method did not settle in {MOST_STEPS} steps, at {found.tolist()}: the scores "
            f"nearly separate the labels"
        )
    probs = _expit(offset + design @ found)
    bread = np.linalg.inv(design.T @ (design * (weights * probs * (1 - probs))[:, None]))
    pull = cluster_sums(design * (weights * (labels - probs))[:, None], scored.clusters)
    return found, bread @ (pull.T @ pull) @ bread


def _expit(eta: Floats) -> Floats:
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * eta))  # does not overflow
    return found
