"""Whether a model's probabilities come true: reliability by bins, their mean gap, the line they need, and a verdict.

found = calibration(ScoredLabels.of(is_opened, model_probs))
found.is_bad, found.verdict
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from agents.agent import Ints
from experiments.compare import Z_95
from experiments.offline.quality.recalibration import Recalibration, recalibration
from experiments.offline.quality.rows import ScoredLabels
from simulator.measures import plain

# What the verdict goes by; modelling choices. Beyond luck: at this p-value. Bad: so far off as to change decisions.
CLEAR_P_VALUE = 0.01
MOST_RATIO = 1.1  # of the rate to the mean score, or the other way round
LEAST_SLOPE, MOST_SLOPE = 0.8, 1.25
CLEAR_BY_BINS = 0.001  # p-value of the bins, which ask many questions of small samples
LEAST_EXPECTED = 5.0  # rows of either class in a bin
MOST_BENT = 0.1  # mean error of the bins beyond luck, as a share of the rarer class's rate


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows with neighbouring scores.

    Attributes:
        n_rows: with weight.
        weight_share: of all weight.
        mean_score: weighted.
        rate: weighted share of label 1.
        low, high: 95 % Wilson interval of the rate.
    """

    n_rows: int
    weight_share: float
    mean_score: float
    rate: float
    low: float
    high: float

    @property
    def is_off(self) -> bool:
        """Whether the interval leaves out the mean score."""
        return not self.low <= self.mean_score <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "n_rows": self.n_rows,
            "weight_share": self.weight_share,
            "mean_score": self.mean_score,
            "rate": self.rate,
            "low_95": self.low,
            "high_95": self.high,
        }


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities come true.

    Attributes:
        n_rows: judged on.
        mean_score: weighted.
        rate: weighted share of label 1.
        bins: by rising score.
        expected_calibration_error: weighted mean over bins of |rate - mean score|.
        error_by_chance: what that would be on average if all scores were true.
        recalibration: the line in log-odds.
        bins_p_value: of the scores being true, by the chi-squared of all bins together.
        spiegelhalter_z: standard normal if all scores are true, rows independent; NaN where scores are all 0, 1/2 or 1.
    """

    n_rows: int
    mean_score: float
    rate: float
    bins: tuple[ReliabilityBin, ...]
    expected_calibration_error: float
    error_by_chance: float
    recalibration: Recalibration
    bins_p_value: float
    spiegelhalter_z: float

    @property
    def spiegelhalter_p_value(self) -> float:
        """Two-sided p-value of Spiegelhalter's z."""
        return _two_sided(self.spiegelhalter_z)

    @property
    def p_value(self) -> float:
        """Of the scores being true: that of the line, else of its height at slope 1 where there is no line."""
        if math.isfinite(self.recalibration.p_value):
            return self.recalibration.p_value
        height = self.recalibration.in_the_large
        return _two_sided(height.mean / height.standard_error) if height.standard_error > 0 else math.nan

    @property
    def is_miscalibrated(self) -> bool:
        """Whether scores are off by more than luck: by the line, or by the bins where no line would show it."""
        return self.p_value < CLEAR_P_VALUE or self.bins_p_value < CLEAR_BY_BINS

    @property
    def is_bad(self) -> bool:
        """Whether they are off by more than luck, and so far that decisions by them would be others.

        So far: the rate is not within a tenth of the mean score, the slope not within 0.8 and 1.25, or bins are off by
        a tenth of the rarer class's rate on average, beyond what luck does to them.
        """
        is_by_line = self.p_value < CLEAR_P_VALUE and (self._is_far_in_height or self._is_far_in_slope)
        return is_by_line or (self.bins_p_value < CLEAR_BY_BINS and self._is_bent)

    @property
    def verdict(self) -> str:
        """One sentence: how calibrated, and what is wrong."""
        figures = f"mean score {self.mean_score:.3g}, rate {self.rate:.3g}"
        slope = self.recalibration.slope.mean
        if not math.isnan(slope):
            figures += f", slope {slope:.2f}"
        if not self.is_miscalibrated:
            return f"No miscalibration beyond luck in {self.n_rows:,} rows: {figures}."
        faults = []
        if self._is_far_in_height:
            faults.append("too high" if self.mean_score > self.rate else "too low")
        if self._is_far_in_slope:
            faults.append("the wrong way round" if slope < 0 else "too extreme" if slope < LEAST_SLOPE else "too alike")
        if self._is_bent and not faults:
            faults.append(f"bent, {self.expected_calibration_error:.2g} off on average")
        if not faults:
            return f"Slightly miscalibrated, beyond luck but within bounds: {figures}."
        return f"Badly calibrated, scores are {' and '.join(faults)}: {figures}."

    @property
    def _is_bent(self) -> bool:
        beyond = self.expected_calibration_error - self.error_by_chance
        return beyond > MOST_BENT * min(self.rate, 1.0 - self.rate)

    @property
    def _is_far_in_height(self) -> bool:
        return not self.mean_score / MOST_RATIO <= self.rate <= self.mean_score * MOST_RATIO

    @property
    def _is_far_in_slope(self) -> bool:
        return self.recalibration.slope.mean < LEAST_SLOPE or self.recalibration.slope.mean > MOST_SLOPE

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "calibration",
            "version": 1,
            "verdict": self.verdict,
            "is_miscalibrated": self.is_miscalibrated,
            "is_bad": self.is_bad,
            "n_rows": self.n_rows,
            "mean_score": self.mean_score,
            "rate": self.rate,
            "expected_calibration_error": self.expected_calibration_error,
            "error_by_chance": self.error_by_chance,
            "recalibration": self.recalibration.to_dict(),
            "p_value": plain(self.p_value),
            "bins_p_value": plain(self.bins_p_value),
            "spiegelhalter_z": plain(self.spiegelhalter_z),
            "spiegelhalter_p_value": plain(self.spiegelhalter_p_value),
            "bins": [each.to_dict() for each in self.bins],
        }


def calibration(scored: ScoredLabels, n_bins: int = 10) -> Calibration:
    """Return whether a model's probabilities come true.

    The expected calibration error is not 0 for true scores, since every bin has luck of its own: it is to be held
    against `error_by_chance`, sum_b share_b sqrt(2 / pi) sigma_b with sigma_b the error of bin b's rate if its scores
    are true, the mean of a half-normal.

    Args:
        scored: probabilities strictly between 0 and 1, both classes.
        n_bins: at least 1.

    Source: expected calibration error: Naeini, Cooper & Hauskrecht (AAAI 2015), here with bins of equal weight; its
    bias: Roelofs et al., Mitigating bias in calibration error estimation (AISTATS 2022).

    Raises:
        ValueError: there is one class only, or a score is not such a probability.
    """
    line = recalibration(scored)
    bins = reliability(scored, n_bins)
    return Calibration(
        n_rows=len(scored),
        mean_score=float(np.average(scored.scores, weights=scored.weights)),
        rate=scored.positive_share,
        bins=bins,
        expected_calibration_error=sum(each.weight_share * abs(each.rate - each.mean_score) for each in bins),
        error_by_chance=_error_by_chance(scored, n_bins),
        recalibration=line,
        bins_p_value=_bins_p_value(scored, n_bins),
        spiegelhalter_z=spiegelhalter_z(scored),
    )


def reliability(scored: ScoredLabels, n_bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Return bins of equal weight, by rising score.

    Equal scores share a bin, whatever the order of rows, so bins are fewer or unequal where there are many ties. With
    weights the interval counts (sum w)^2 / sum w^2 rows (Kish, Survey Sampling 1965).

    Raises:
        ValueError: scores are not from 0 to 1, or n_bins is below 1.
    """
    scored.require_probabilities("reliability")
    bin_of, has_weight = _bins(scored, n_bins), scored.weights > 0
    found = []
    total = scored.weights.sum()
    for each in np.unique(bin_of[has_weight]):
        is_in = has_weight & (bin_of == each)
        weights = scored.weights[is_in]
        rate = float(np.average(scored.labels[is_in], weights=weights))
        low, high = wilson_interval(rate, float(weights.sum() ** 2 / (weights @ weights)))
        mean_score = float(np.average(scored.scores[is_in], weights=weights))
        found.append(
            ReliabilityBin(int(is_in.sum()), float(weights.sum() / total), mean_score, rate, low, high),
        )
    return tuple(found)


def wilson_interval(rate: float, n_rows: float) -> tuple[float, float]:
    """Return the 95 % interval of a rate seen in n_rows independent rows.

    Source: Wilson, Probable inference (JASA 1927).
    """
    z2 = Z_95**2
    middle = (rate + z2 / (2 * n_rows)) / (1 + z2 / n_rows)
    half = Z_95 * math.sqrt(rate * (1 - rate) / n_rows + z2 / (4 * n_rows**2)) / (1 + z2 / n_rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def spiegelhalter_z(scored: ScoredLabels) -> float:
    """Return Spiegelhalter's z: the Brier score against what it would be if all scores were true.

    z = sum w (y - p)(1 - 2p) / sqrt(sum w^2 (1 - 2p)^2 p (1 - p)); rows are taken for independent.

    Source: Spiegelhalter, Probabilistic prediction in patient management (Statistics in Medicine 1986).

    Raises:
        ValueError: scores are not from 0 to 1.
    """
    scored.require_probabilities("spiegelhalter_z")
    probs = scored.scores
    pulls = scored.weights * (1 - 2 * probs)
    variance = float(pulls**2 @ (probs * (1 - probs)))
    return float(pulls @ (scored.labels - probs)) / math.sqrt(variance) if variance > 0 else math.nan


def _bins(scored: ScoredLabels, n_bins: int) -> Ints:
    """Return the bin of each row: where the middle of the weight at its score lies, shape (N,)."""
    if n_bins < 1:
        raise ValueError(f"n_bins: expected at least 1, got {n_bins}")
    _, level_of = np.unique(scored.scores, return_inverse=True)
    at_level = np.bincount(level_of, scored.weights)
    middles = (np.cumsum(at_level) - at_level / 2) / at_level.sum()
    bins: Ints = np.minimum((middles * n_bins).astype(np.int64), n_bins - 1)[level_of]
    return bins


def _error_by_chance(scored: ScoredLabels, n_bins: int) -> float:
    """Return the mean of the expected calibration error if scores are true, by the normal approximation."""
    variances = np.bincount(_bins(scored, n_bins), scored.weights**2 * scored.scores * (1 - scored.scores))
    return float(math.sqrt(2 / math.pi) * np.sqrt(variances).sum() / scored.weights.sum())


def _bins_p_value(scored: ScoredLabels, n_bins: int) -> float:
    """Return the p-value of the scores being true: sum over bins of (seen - expected)^2 / variance, chi-squared.

    As many degrees of freedom as bins, since the scores were not fitted to these rows. A bin in which less than five
    are expected of either class joins its neighbour, so that the normal law holds.

    Source: Hosmer & Lemeshow, Goodness of fit tests for the multiple logistic regression model (1980).
    """
    bins, p = _bins(scored, n_bins), scored.scores
    columns = (scored.weights * (scored.labels - p), scored.weights**2 * p * (1 - p), p, 1 - p)
    sums = np.array([np.bincount(bins, column, n_bins) for column in columns])
    joined: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for column in sums.T:
        if joined and min(joined[-1][2:]) < LEAST_EXPECTED:
            joined[-1] = joined[-1] + column
        else:
            joined.append(column)
    if len(joined) > 1 and min(joined[-1][2:]) < LEAST_EXPECTED:
        joined[-2:] = [joined[-2] + joined[-1]]
    found = [(off, variance) for off, variance, *_ in joined if variance > 0]
    return float(chi2.sf(sum(off**2 / variance for off, variance in found), len(found))) if found else math.nan


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))
