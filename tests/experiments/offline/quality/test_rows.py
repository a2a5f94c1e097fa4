"""What is refused, and that the message says which column, where, what was got and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.offline.quality.arms import ArmTrial, expected_response, response_curve
from experiments.offline.quality.calibration import calibration, reliability
from experiments.offline.quality.classification import auc, auc_difference, brier_score, confusion, log_loss, roc_curve
from experiments.offline.quality.recalibration import recalibrated, recalibration
from experiments.offline.quality.rows import ScoredLabels, Trial
from experiments.offline.quality.uplift import uplift_at, uplift_curve
from experiments.offline.quality.uplift_report import qini_difference, uplift_quality

GOOD_LABELS: dict[str, Any] = {"labels": [0, 1, 1], "scores": [0.1, 0.2, 0.3]}
GOOD_TRIAL: dict[str, Any] = {"outcomes": [0, 1, 3.5], "is_treated": [0, 1, 1], "scores": [1, 2, 3]}
GOOD_ARMS: dict[str, Any] = {
    "outcomes": [0, 1, 3.5],
    "arms": [0, 1, 1],
    "scores": [[1, 2], [3, 4], [5, 5]],
    "propensities": [0.4, 0.6],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 2]}, r"labels\[2\] is 2 \(1 such of 3 rows\): expected 0 or 1"),
        ({"labels": [0, 1]}, r"labels: expected shape \(3,\), as the other columns, got \(2,\)"),
        ({"labels": [0, np.nan, 1]}, r"labels\[1\]: expected a finite number, got nan"),
        ({"scores": [0.1, np.nan, 0.3]}, r"scores\[1\]: expected a finite number, got nan; 1 of 3"),
        ({"scores": [[0.1, 0.2, 0.3]]}, r"scores: expected shape \(N,\) with N at least 1, got \(1, 3\)"),
        ({"scores": [], "labels": []}, r"scores: expected shape \(N,\) with N at least 1, got \(0,\)"),
        ({"weights": [1, -2, -1]}, r"weights\[1\] is -2 \(2 such of 3 rows\): expected at least 0; drop rows"),
        ({"weights": [0, 0, 0]}, "weights: expected one above 0, got 3 of 0"),
        ({"weights": [1, np.inf, 1]}, r"weights\[1\]: expected a finite number, got inf"),
        ({"clusters": ["ada", "bo"]}, r"clusters: expected shape \(3,\), as the other columns, got \(2,\)"),
    ],
)
def test_scored_labels_refuse(changes: dict[str, Any], message: str) -> None:
    ScoredLabels.of(**GOOD_LABELS)
    with pytest.raises(ValueError, match=message):
        ScoredLabels.of(**(GOOD_LABELS | changes))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(
    ("measure", "name"),
    [(auc, "auc"), (roc_curve, "roc_curve"), (recalibration, "recalibration"), (calibration, "recalibration")],
)
def test_one_class_is_too_few(measure: Any, name: str, label: int) -> None:
    scored = ScoredLabels.of([label, label, 1 - label], [0.1, 0.2, 0.3], weights=[1, 1, 0])
    with pytest.raises(ValueError, match=f"{name}: labels: expected both 0 and 1, got only {label} in 3 rows"):
        measure(scored)


@pytest.mark.parametrize(
    ("measure", "score", "message"),
    [
        (log_loss, 1.2, r"log_loss: scores\[2\] is 1.2 .*: expected probabilities from 0 to 1"),
        (brier_score, -0.5, r"brier_score: scores\[2\] is -0.5"),
        (reliability, -0.5, r"reliability: scores\[2\] is -0.5"),
        (
            recalibration,
            1.0,
            r"recalibration: scores\[2\] is 1 .*above 0 and below 1; clip them, for instance to \[1e-6",
        ),
        (calibration, 0.0, r"recalibration: scores\[2\] is 0 "),
    ],
)
def test_scores_that_are_no_probabilities(measure: Any, score: float, message: str) -> None:
    scored = ScoredLabels.of([0, 1, 0], [0.1, 0.2, score])
    with pytest.raises(ValueError, match=message):
        measure(scored)


def test_further_refusals_of_scored_labels() -> None:
    scored = ScoredLabels.of([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match="confusion: threshold: expected a number, got nan"):
        confusion(scored, float("nan"))
    with pytest.raises(ValueError, match="n_bins: expected at least 1, got 0"):
        reliability(scored, 0)
    for changes, name in (({"labels": [1, 1, 0, 0]}, "labels"), ({"weights": [1, 1, 1, 2]}, "weights")):
        other = ScoredLabels.of(**({"labels": [0, 1, 0, 1], "scores": [1, 2, 3, 4]} | changes))
        with pytest.raises(ValueError, match=f"auc_difference: {name}: expected the same rows in the same order"):
            auc_difference(scored, other)
    separated = recalibration(ScoredLabels.of([0, 1], [0.1, 0.2]))
    with pytest.raises(ValueError, match="expected a line with finite intercept and slope, got nan and inf"):
        recalibrated(np.asarray([0.5]), separated)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_treated": [0, 0, 0]}, "is_treated: expected treated rows too.* of 3 rows none is treated"),
        ({"is_treated": [1, 1, 1]}, "is_treated: expected untreated rows too.* of 3 rows all are treated"),
        ({"is_treated": [0, 1, 2]}, r"is_treated\[2\] is 2 \(1 such of 3 rows\): expected 0 or 1"),
        ({"outcomes": [0, 1, np.inf]}, r"outcomes\[2\]: expected a finite number, got inf"),
        ({"scores": [0, np.nan, 1]}, r"scores\[1\]: expected a finite number, got nan"),
        ({"scores": [0, 1]}, r"scores: expected shape \(3,\)"),
        (
            {"propensities": [0.5, 0.5, 1]},
            r"propensities\[2\] is 1 .*above 0 and below 1 of being treated; 0 and 1 leave",
        ),
        ({"clusters": [[0], [1], [2]]}, r"clusters: expected shape \(3,\)"),
    ],
)
def test_trials_refuse(changes: dict[str, Any], message: str) -> None:
    Trial.of(**GOOD_TRIAL)
    with pytest.raises(ValueError, match=message):
        Trial.of(**(GOOD_TRIAL | changes))


def test_refusals_of_uplift() -> None:
    trial = Trial.of(**GOOD_TRIAL)
    with pytest.raises(ValueError, match=r"share: expected above 0 and at most 1, got 20; 20 % is 0.2"):
        uplift_at(trial, 20)
    with pytest.raises(ValueError, match="share: expected above 0 and at most 1, got 0"):
        uplift_at(trial, 0.0)
    with pytest.raises(
        ValueError, match=r"share 0.5 of 3 rows: expected treated and untreated rows in it, got one arm"
    ):
        uplift_at(trial, 0.5)
    with pytest.raises(ValueError, match="form: expected one of qini, uplift, gain; got 'quini'"):
        uplift_curve(trial, "quini")  # type: ignore[arg-type]  # a misspelt name
    with pytest.raises(ValueError, match="n_replicates: expected at least 20, got 1"):
        uplift_quality(trial, n_replicates=1)
    with pytest.raises(
        ValueError, match=r"uplift_quality: shares: expected above 0 and at most 1, got 1.5; 1.5 % is 0.015"
    ):
        uplift_quality(trial, shares=[0.5, 1.5])
    with pytest.raises(ValueError, match="clusters: expected at least 2 to draw from, got 1 for all 3 rows"):
        uplift_quality(Trial.of(**GOOD_TRIAL, clusters=["ada"] * 3))
    other = Trial.of(**(GOOD_TRIAL | {"outcomes": [0, 1, 0]}))
    with pytest.raises(ValueError, match="qini_difference: outcomes: expected the same rows in the same order"):
        qini_difference(trial, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": [0, 1, 2]}, r"arms\[2\]: expected a whole number from 0 to 1, got 2"),
        ({"arms": [0, 0.5, 1]}, r"arms\[1\]: expected a whole number from 0 to 1, got 0.5"),
        ({"scores": [1, 2, 3]}, r"scores: expected shape \(3, A\) with A at least 2, got \(3,\)"),
        ({"scores": [[1, 2], [3, np.nan], [5, 6]]}, r"scores\[1, 1\]: expected a finite number"),
        ({"propensities": [0.4, 0.7]}, r"sum to 1 over the arms, got \[0.4, 0.7\] in row 0"),
        ({"propensities": [-0.5, 1.5]}, r"at least 0 that sum to 1 over the arms, got \[-0.5, 1.5\] in row 0"),
        ({"propensities": [1.0]}, r"propensities: expected shape \(2,\) or \(3, 2\), got \(1,\)"),
        ({"propensities": [1.0, 0.0]}, r"propensities\[1\]: expected above 0 for arm 1, which was given, got 0"),
    ],
)
def test_arm_trials_refuse(changes: dict[str, Any], message: str) -> None:
    expected_response(ArmTrial.of(**GOOD_ARMS))
    with pytest.raises(ValueError, match=message):
        ArmTrial.of(**(GOOD_ARMS | changes))


def test_refusals_of_response_curves() -> None:
    trial = ArmTrial.of(**GOOD_ARMS)
    with pytest.raises(ValueError, match="control: expected an arm from 0 to 1, got 2"):
        response_curve(trial, control=2)
    with pytest.raises(ValueError, match=r"response_curve: shares: expected above 0 and at most 1, got -0.1"):
        response_curve(trial, shares=[-0.1])
