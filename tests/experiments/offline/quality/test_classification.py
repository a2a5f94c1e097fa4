"""ROC, AUC, rates and losses: scikit-learn's to 1e-12, DeLong's by his own double sum and the figures printed since."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics

from experiments.offline.quality.classification import (
    MOST_POINTS,
    auc,
    auc_difference,
    brier_score,
    classification,
    confusion,
    log_loss,
    roc_curve,
)
from experiments.offline.quality.rows import ScoredLabels

# Albumin, total protein, 10 - K-G score, and whether surgery did not help: 43 patients of DeLong, DeLong &
# Clarke-Pearson (1988), as printed in the manual of SAS/STAT, PROC LOGISTIC, "Comparing ROC curves".
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
Floats = npt.NDArray[np.float64]


def made_up(kind: str) -> ScoredLabels:
    rng = np.random.default_rng(7)
    n = 300
    scores = rng.beta(2, 5, n)
    labels = rng.random(n) < scores
    weights = rng.exponential(1.0, n) * (rng.random(n) < 0.8) if "weights" in kind else None
    if "ties" in kind:
        scores = np.round(scores, 1) * 0.9 + 0.05
    if "constant" in kind:
        scores = np.full(n, 0.3)
    return ScoredLabels.of(labels, scores, weights)


KINDS = ("plain", "ties", "constant", "weights", "ties and weights", "constant and weights")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_scikit_learns(kind: str) -> None:
    scored = made_up(kind)
    labels, scores, weights = scored.labels, scored.scores, scored.weights
    curve = roc_curve(scored)
    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    for ours, theirs in (
        (curve.false_positive_rates, fpr),
        (curve.true_positive_rates, tpr),
        (curve.thresholds, thresholds),
        (auc(scored).mean, metrics.roc_auc_score(labels, scores, sample_weight=weights)),
        (float(np.trapezoid(tpr, fpr)), auc(scored).mean),
        (log_loss(scored), metrics.log_loss(labels, scores, sample_weight=weights)),
        (brier_score(scored), metrics.brier_score_loss(labels, scores, sample_weight=weights)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    for threshold in (0.0, 0.2, 0.3, float(scores[5]), 0.45, 1.0):
        found = confusion(scored, threshold)
        taken = scores >= threshold
        table = metrics.confusion_matrix(labels, taken, sample_weight=weights, labels=[0, 1])
        assert [found.true_negatives, found.false_positives, found.false_negatives, found.true_positives] == (
            pytest.approx(table.ravel().tolist(), abs=1e-11)
        )
        for name, value in (("precision", found.precision), ("recall", found.recall), ("f1", found.f1)):
            theirs = getattr(metrics, f"{name}_score")(labels, taken, sample_weight=weights, zero_division=np.nan)
            assert value == pytest.approx(theirs, abs=1e-12, nan_ok=True), name


def printed() -> tuple[Floats, dict[str, Floats]]:
    table = np.asarray(OVARIAN.split(), np.float64).reshape(-1, 4)
    return table[:, 3], {"albumin": table[:, 0], "protein": table[:, 1], "k_g": -table[:, 2]}


@pytest.mark.parametrize(
    ("test", "area", "error"), [("albumin", 0.7366, 0.0927), ("protein", 0.6478, 0.1000), ("k_g", 0.7258, 0.1028)]
)
def test_delongs_patients(test: str, area: float, error: float) -> None:
    labels, tests = printed()
    found = auc(ScoredLabels.of(labels, tests[test]))
    assert (round(found.mean, 4), round(found.standard_error, 4)) == (area, error)


def test_delongs_patients_by_two_tests() -> None:
    labels, tests = printed()
    scored = {name: ScoredLabels.of(labels, scores) for name, scores in tests.items()}
    protein, albumin = (auc_difference(scored[name], scored["k_g"]) for name in ("protein", "albumin"))
    assert (round(protein.mean, 4), round(protein.standard_error, 4)) == (-0.0780, 0.1046)
    assert (round(albumin.mean, 4), round(albumin.standard_error, 4)) == (0.0108, 0.0953)
    nothing = auc_difference(scored["k_g"], scored["k_g"])
    assert (nothing.mean, nothing.standard_error) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["plain", "ties", "constant"])
def test_delong_by_his_double_sum(kind: str) -> None:
    scored = made_up(kind)
    x, y = scored.scores[scored.labels], scored.scores[~scored.labels]
    psi = (x[:, None] > y).astype(float) + 0.5 * (x[:, None] == y)
    variance = psi.mean(axis=1).var(ddof=1) / len(x) + psi.mean(axis=0).var(ddof=1) / len(y)
    found = auc(scored)
    assert found.mean == pytest.approx(psi.mean(), abs=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt(variance), abs=1e-12)


def test_weights_are_of_importance() -> None:
    scored = made_up("weights")
    scaled = ScoredLabels.of(scored.labels, scored.scores, 5 * scored.weights)
    assert auc(scaled).standard_error == pytest.approx(auc(scored).standard_error, rel=1e-12)
    kept = scored.weights > 0  # rows without weight are as good as absent
    fewer = ScoredLabels.of(scored.labels[kept], scored.scores[kept], scored.weights[kept])
    assert auc(fewer).standard_error == pytest.approx(auc(scored).standard_error, rel=1e-12)
    ones = ScoredLabels.of(scored.labels, scored.scores, np.full(len(scored), 3.0))
    plain = auc(ScoredLabels.of(scored.labels, scored.scores))
    assert auc(ones).standard_error == pytest.approx(plain.standard_error, rel=1e-12)


def test_the_weighted_error_is_that_of_resampling() -> None:
    """Over 2,000 resamples of rows the spread of the weighted AUC has itself an error of 1.6 %; 6 of these: 10 %."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=400)
    labels = rng.random(400) < 1 / (1 + np.exp(1 - scores))
    weights = rng.exponential(1.0, 400)
    drawn = rng.integers(400, size=(2_000, 400))
    areas = [auc(ScoredLabels.of(labels[k], scores[k], weights[k])).mean for k in drawn]
    assert auc(ScoredLabels.of(labels, scores, weights)).standard_error == pytest.approx(np.std(areas), rel=0.10)


def test_repeated_rows_of_a_user_tell_nothing_new() -> None:
    scored = made_up("ties")
    one_each = ScoredLabels.of(scored.labels, scored.scores, clusters=np.arange(len(scored)))
    assert auc(one_each).standard_error == pytest.approx(auc(scored).standard_error, rel=0.01)
    fourfold = [np.repeat(column, 4) for column in (scored.labels, scored.scores, np.arange(len(scored)))]
    clustered = ScoredLabels.of(fourfold[0], fourfold[1], clusters=fourfold[2])
    assert auc(clustered).mean == pytest.approx(auc(scored).mean, abs=1e-12)
    assert auc(clustered).standard_error == pytest.approx(auc(one_each).standard_error, rel=1e-12)
    assert auc(ScoredLabels.of(*fourfold[:2])).standard_error < 0.51 * auc(scored).standard_error


def test_a_single_row_of_a_class_has_no_error() -> None:
    found = auc(ScoredLabels.of([1, 0, 0], [3, 1, 2]))
    assert found.mean == 1.0
    assert math.isnan(found.standard_error)


def test_losses_of_certainty() -> None:
    right = ScoredLabels.of([0, 1, 1], [0.0, 1.0, 0.5])
    assert log_loss(right) == pytest.approx(math.log(2) / 3, abs=1e-15)
    wrong = ScoredLabels.of([0, 1], [1.0, 0.5])
    assert log_loss(wrong) == math.inf
    assert log_loss(ScoredLabels.of([0, 1], [1.0, 0.5], [0, 1])) == pytest.approx(math.log(2), abs=1e-15)
    assert classification(wrong).to_dict()["log_loss"] is None


def test_rates_with_nobody_to_ask_are_nan() -> None:
    found = confusion(ScoredLabels.of([0, 1, 1], [0.1, 0.2, 0.3]), 0.9)
    assert math.isnan(found.precision)
    assert (found.recall, found.f1, found.false_positive_rate) == (0.0, 0.0, 0.0)
    nobody = confusion(ScoredLabels.of([0, 0], [0.1, 0.2]), 0.9)
    assert math.isnan(nobody.recall)
    assert math.isnan(nobody.f1)
    assert nobody.to_dict()["f1"] is None


def test_plain_data_is_json_and_small() -> None:
    rng = np.random.default_rng(1)
    scored = ScoredLabels.of(rng.random(5_000) < 0.3, rng.random(5_000))
    points = roc_curve(scored).to_dict()
    assert len(points["thresholds"]) == MOST_POINTS
    assert points["thresholds"][0] is None  # infinite
    assert (points["true_positive_rates"][0], points["true_positive_rates"][-1]) == (0.0, 1.0)
    found = classification(scored, threshold=0.4)
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["kind"] == "classification"
    assert text["auc"]["mean"] == found.auc.mean
    assert text["confusion"]["threshold"] == 0.4


def test_the_auc_by_hand() -> None:
    """All 64 orders of labels over the scores 1, 2, 2, 3, 4, 4: pairs ranked rightly, ties a half."""
    scores = [1, 2, 2, 3, 4, 4]
    n_checked = 0
    for labels in product([0, 1], repeat=6):
        if 0 < sum(labels) < 6:
            pairs = [(a, b) for a, up in zip(scores, labels, strict=True) for b, on in zip(scores, labels, strict=True)
                     if up and not on]  # fmt: skip
            expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
            assert auc(ScoredLabels.of(labels, scores)).mean == pytest.approx(expected, abs=1e-12)
            n_checked += 1
    assert n_checked == 62
