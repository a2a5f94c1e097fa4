"""How well scores tell what happens from what does not: ROC curve, AUC with its error, rates at a threshold, losses.

    scored = ScoredLabels.of(is_opened, model_probs)
    auc(scored).mean, confusion(scored, threshold=0.2).precision

A rate whose denominator is zero is NaN: nobody was there to ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.agent import Bools, Floats, Ints
from experiments.compare import Estimate
from experiments.offline.quality.rows import ScoredLabels, cluster_sums
from simulator.measures import plain

MOST_POINTS = 1_000  # of a curve in plain data; a picture has fewer dots across


@dataclass(frozen=True, eq=False)
class RocCurve:
    """True against false positive rate as the threshold falls.

    Attributes:
        thresholds: a row is taken for positive from this score on, falling, the first infinite (none is), shape (M,).
        false_positive_rates: rising from 0 to 1, shape (M,).
        true_positive_rates: rising from 0 to 1, shape (M,).
        auc: the area under the curve.
    """

    thresholds: Floats
    false_positive_rates: Floats
    true_positive_rates: Floats
    auc: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: at most MOST_POINTS points, the ends among them."""
        last = len(self.thresholds) - 1
        places = np.unique(np.linspace(0, last, min(last + 1, MOST_POINTS)).round().astype(np.int64))
        return {
            "auc": self.auc.to_dict(),
            "thresholds": [plain(value) for value in self.thresholds[places].tolist()],
            "false_positive_rates": self.false_positive_rates[places].tolist(),
            "true_positive_rates": self.true_positive_rates[places].tolist(),
        }


@dataclass(frozen=True)
class Confusion:
    """What a threshold makes of the rows; sums of weights, which are counts where weights are 1.

    Attributes:
        threshold: a row is taken for positive from this score on.
        true_positives, false_positives, false_negatives, true_negatives: sums of weights.
    """

    threshold: float
    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def precision(self) -> float:
        """Share of those taken for positive that are."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the positive that are taken for it: the true positive rate."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def false_positive_rate(self) -> float:
        """Share of the negative that are taken for positive."""
        return _share(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        both = 2 * self.true_positives
        return _share(both, both + self.false_positives + self.false_negatives)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "threshold": self.threshold,
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
            "true_negatives": self.true_negatives,
            "precision": plain(self.precision),
            "recall": plain(self.recall),
            "false_positive_rate": plain(self.false_positive_rate),
            "f1": plain(self.f1),
        }


@dataclass(frozen=True)
class Classification:
    """Everything about one model's probabilities.

    Attributes:
        n_rows: judged on.
        positive_share: weighted.
        auc: with DeLong's error.
        log_loss: nats a row.
        brier_score: mean squared error of the probabilities.
        confusion: at the threshold asked for.
    """

    n_rows: int
    positive_share: float
    auc: Estimate
    log_loss: float
    brier_score: float
    confusion: Confusion

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "classification",
            "version": 1,
            "n_rows": self.n_rows,
            "positive_share": self.positive_share,
            "auc": self.auc.to_dict(),
            "log_loss": plain(self.log_loss),
            "brier_score": self.brier_score,
            "confusion": self.confusion.to_dict(),
        }


def classification(scored: ScoredLabels, threshold: float = 0.5) -> Classification:
    """Return everything about one model's probabilities.

    Raises:
        ValueError: there is one class only, or scores are no probabilities.
    """
    return Classification(
        n_rows=len(scored),
        positive_share=scored.positive_share,
        auc=auc(scored),
        log_loss=log_loss(scored),
        brier_score=brier_score(scored),
        confusion=confusion(scored, threshold),
    )


def roc_curve(scored: ScoredLabels) -> RocCurve:
    """Return the ROC curve, a point for each distinct score that has weight.

    Source: Fawcett, An introduction to ROC analysis (Pattern Recognition Letters 2006), algorithm 1.

    Raises:
        ValueError: there is one class only.
    """
    scored.require_both_classes("roc_curve")
    has_weight = scored.weights > 0
    levels, level_of = np.unique(scored.scores[has_weight], return_inverse=True)
    positive, negative = _weights_by_level(scored.labels[has_weight], scored.weights[has_weight], level_of, len(levels))
    true, false = (np.concatenate([[0.0], np.cumsum(part[::-1])]) for part in (positive, negative))
    thresholds = np.concatenate([[np.inf], levels[::-1]])
    return RocCurve(thresholds, false / false[-1], true / true[-1], auc(scored))


def auc(scored: ScoredLabels) -> Estimate:
    """Return the area under the ROC curve with its standard error.

    A = sum_ij w_i w_j psi(x_i, x_j) / (sum_i w_i sum_j w_j) over positive rows i and negative rows j, psi 1 where the
    positive one scores higher, 1/2 in a tie: the Mann-Whitney statistic. With V_i the share of negative rows below
    positive row i and V_j the share of positive rows above negative row j, the variance is

        m / (m - 1) sum_i (w_i (V_i - A) / sum w)^2 + n / (n - 1) sum_j (w_j (V_j - A) / sum w)^2

    over the m positive and n negative rows with weight: DeLong's where weights are 1; with weights, the same
    linearisation of a ratio. With clusters the terms are first added within each, positive and negative together, so
    that what a user's rows have in common is counted.

    Source: DeLong, DeLong & Clarke-Pearson (Biometrics 1988); all V by one sort as Sun & Xu (IEEE Signal
    Processing Letters 2014); clusters: Obuchowski (Biometrics 1997).

    Raises:
        ValueError: there is one class only.
    """
    scored.require_both_classes("auc")
    area, influence = _auc_influence(scored)
    return Estimate(area, _standard_error(scored, influence))


def auc_difference(scored: ScoredLabels, other: ScoredLabels) -> Estimate:
    """Return the AUC of one model less that of another on the same rows, with its standard error.

    The rows are the same, so the two areas are correlated; the error of the difference knows it.

    Source: DeLong, DeLong & Clarke-Pearson (Biometrics 1988), with the contrast (1, -1).

    Raises:
        ValueError: the rows differ in labels, weights or clusters, or there is one class only.
    """
    for name in ("labels", "weights", "clusters"):
        if not np.array_equal(getattr(scored, name), getattr(other, name)):
            raise ValueError(f"auc_difference: {name}: expected the same rows in the same order, got others")
    scored.require_both_classes("auc_difference")
    (one, influence), (two, other_influence) = _auc_influence(scored), _auc_influence(other)
    return Estimate(one - two, _standard_error(scored, influence - other_influence))


def confusion(scored: ScoredLabels, threshold: float) -> Confusion:
    """Return what becomes of the rows if those with a score of at least the threshold are taken for positive.

    Raises:
        ValueError: the threshold is NaN.
    """
    if math.isnan(threshold):
        raise ValueError("confusion: threshold: expected a number, got nan")
    is_taken = scored.scores >= threshold
    cells = [
        float(scored.weights[(scored.labels == label) & (is_taken == taken)].sum())
        for label, taken in ((True, True), (False, True), (True, False), (False, False))
    ]
    return Confusion(float(threshold), *cells)


def log_loss(scored: ScoredLabels) -> float:
    """Return the weighted mean of -ln(probability given to what happened), nats a row.

    Infinite where a probability of 0 or 1 was wrong: such a model cannot be repaired by averaging.

    Source: Good, Rational decisions (JRSS B 1952).

    Raises:
        ValueError: scores are not from 0 to 1.
    """
    scored.require_probabilities("log_loss")
    has_weight = scored.weights > 0
    given = np.where(scored.labels, scored.scores, 1.0 - scored.scores)[has_weight]
    if not given.all():
        return math.inf
    return float(np.average(-np.log(given), weights=scored.weights[has_weight]))


def brier_score(scored: ScoredLabels) -> float:
    """Return the weighted mean of (score - label)^2.

    Source: Brier (Monthly Weather Review 1950), its half for two classes, as is usual now.

    Raises:
        ValueError: scores are not from 0 to 1.
    """
    scored.require_probabilities("brier_score")
    return float(np.average((scored.scores - scored.labels) ** 2, weights=scored.weights))


def _auc_influence(scored: ScoredLabels) -> tuple[float, Floats]:
    """Return the area, and what each row moves it by, w (V - A) / sum of its class's w, shape (N,)."""
    labels, weights = scored.labels, scored.weights
    levels, level_of = np.unique(scored.scores, return_inverse=True)
    positive, negative = _weights_by_level(labels, weights, level_of, len(levels))
    # Weight strictly below each level, and half of what is at it: ties count a half.
    below = (np.cumsum(negative) - negative / 2) / negative.sum()
    above = 1.0 - (np.cumsum(positive) - positive / 2) / positive.sum()
    shares = np.where(labels, below[level_of], above[level_of])
    area = float(positive @ below / positive.sum())
    totals = np.where(labels, positive.sum(), negative.sum())
    return area, weights * (shares - area) / totals


def _weights_by_level(labels: Bools, weights: Floats, level_of: Ints, n_levels: int) -> tuple[Floats, Floats]:
    """Return the weight of positive and of negative rows at each distinct score, each of shape (n_levels,)."""
    positive: Floats = np.bincount(level_of, weights * labels, n_levels).astype(np.float64)
    negative: Floats = np.bincount(level_of, weights * ~labels, n_levels).astype(np.float64)
    return positive, negative


def _standard_error(scored: ScoredLabels, influence: Floats) -> float:
    """Return the root of the summed squares of what rows, or clusters, move; NaN with one of a kind."""
    if scored.clusters is not None:
        moved = cluster_sums(influence, scored.clusters)
        n = len(moved)
        return math.sqrt(float(moved @ moved) * n / (n - 1)) if n > 1 else math.nan
    variance = 0.0
    for is_of_class in (scored.labels, ~scored.labels):
        moved = influence[is_of_class & (scored.weights > 0)]
        n = len(moved)
        variance += float(moved @ moved) * n / (n - 1) if n > 1 else math.nan
    return math.sqrt(variance)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
