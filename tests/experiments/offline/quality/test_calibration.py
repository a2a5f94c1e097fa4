"""Calibration: scikit-learn's bins and fits, SciPy's intervals, and worlds that are off by a known line."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from experiments.offline.quality.calibration import (
    Calibration,
    ReliabilityBin,
    calibration,
    reliability,
    spiegelhalter_z,
    wilson_interval,
)
from experiments.offline.quality.recalibration import Recalibration, recalibrated, recalibration
from experiments.offline.quality.rows import ScoredLabels

Floats = npt.NDArray[np.float64]


def expit(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found


def world(n: int, seed: int, intercept: float = 0.0, slope: float = 1.0) -> ScoredLabels:
    """Scores whose log-odds need this line."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1.0, 1.0, n)
    return ScoredLabels.of(rng.random(n) < expit(intercept + slope * log_odds), expit(log_odds))


def test_bins_are_scikit_learns_quantile_bins() -> None:
    scored = world(1_000, 1)
    rates, means = calibration_curve(scored.labels, scored.scores, n_bins=10, strategy="quantile")
    bins = reliability(scored, 10)
    assert [each.n_rows for each in bins] == [100] * 10
    np.testing.assert_allclose([each.rate for each in bins], rates, atol=1e-12)
    np.testing.assert_allclose([each.mean_score for each in bins], means, atol=1e-12)
    gaps = 0.1 * np.abs(rates - means).sum()
    assert calibration(scored, 10).expected_calibration_error == pytest.approx(gaps, abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (40, 1000)])
def test_wilson_intervals_are_scipys(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson_interval(k / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_equal_scores_share_a_bin_whatever_the_order_of_rows() -> None:
    scores = np.asarray([0.1] * 7 + [0.2] * 1 + [0.6] * 2)
    labels = np.asarray([0, 0, 0, 0, 0, 1, 0, 1, 0, 1])
    bins = reliability(ScoredLabels.of(labels, scores), 5)
    assert [each.n_rows for each in bins] == [7, 1, 2]
    assert [each.mean_score for each in bins] == pytest.approx([0.1, 0.2, 0.6], abs=1e-12)
    turned = np.random.default_rng(1).permutation(10)
    assert reliability(ScoredLabels.of(labels[turned], scores[turned]), 5) == bins


def test_weights_stand_for_rows_in_bins() -> None:
    scored = world(200, 2)
    often = np.random.default_rng(5).integers(0, 4, 200)
    repeated = reliability(ScoredLabels.of(np.repeat(scored.labels, often), np.repeat(scored.scores, often)), 7)
    weighted = reliability(ScoredLabels.of(scored.labels, scored.scores, often), 7)
    for one, other in zip(repeated, weighted, strict=True):
        assert (one.weight_share, one.mean_score, one.rate) == (
            pytest.approx((other.weight_share, other.mean_score, other.rate), abs=1e-12)
        )
        assert one.high - one.low < other.high - other.low  # repeated rows are counted as more rows than there are


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_line_is_the_most_likely_one(is_weighted: bool) -> None:
    scored = world(3_000, 3, intercept=0.4, slope=0.7)
    weights = np.random.default_rng(6).exponential(1.0, 3_000) if is_weighted else np.ones(3_000)
    found = recalibration(ScoredLabels.of(scored.labels, scored.scores, weights))
    log_odds = np.log(scored.scores / (1 - scored.scores))
    theirs = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky")
    theirs.fit(log_odds[:, None], scored.labels, sample_weight=weights)
    assert found.intercept.mean == pytest.approx(theirs.intercept_[0], abs=1e-6)
    assert found.slope.mean == pytest.approx(theirs.coef_[0, 0], abs=1e-6)
    # The equation of the intercept alone: weighted residuals at slope 1 sum to nothing.
    at_one = expit(found.in_the_large.mean + log_odds)
    assert float(weights @ (scored.labels - at_one)) / weights.sum() == pytest.approx(0.0, abs=1e-10)


def test_errors_are_those_of_repeated_worlds() -> None:
    """Over 300 worlds a spread has an error of 4.1 %, 6 of which are 25 %; the mean p-value is 1/2 give or take .1."""
    lines = [recalibration(world(400, seed)) for seed in range(300)]
    for pick in ("intercept", "slope", "in_the_large"):
        estimates = [getattr(line, pick) for line in lines]
        spread = np.std([each.mean for each in estimates])
        assert np.mean([each.standard_error for each in estimates]) == pytest.approx(spread, rel=0.25), pick
    p_values = [line.p_value for line in lines]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)
    # Worlds as calibrated as these are taken for miscalibrated in 1 of 100: more than 14 of 300 once in a million.
    assert sum(p < 0.01 for p in p_values) <= 14


def test_true_scores_have_the_z_and_the_error_of_chance() -> None:
    worlds = [world(400, seed) for seed in range(1_000, 1_300)]
    z = np.asarray([spiegelhalter_z(each) for each in worlds])
    assert abs(z.mean()) < 5 / math.sqrt(300)
    assert z.std() == pytest.approx(1.0, rel=0.25)
    found = [calibration(each, 8) for each in worlds]
    seen = np.mean([each.expected_calibration_error for each in found])
    assert np.mean([each.error_by_chance for each in found]) == pytest.approx(seen, rel=0.06)


def test_spiegelhalters_z_by_hand() -> None:
    # (1 - .2)(1 - .4) + (0 - .7)(1 - 1.4) = .76; sqrt(.36 * .16 + .16 * .21) = .302...
    assert spiegelhalter_z(ScoredLabels.of([1, 0], [0.2, 0.7])) == pytest.approx(0.76 / math.sqrt(0.0912), abs=1e-12)
    assert math.isnan(spiegelhalter_z(ScoredLabels.of([1, 0], [0.5, 0.5])))


@pytest.mark.parametrize(
    ("line", "words", "is_bad"),
    [
        ((0.0, 1.0), "No miscalibration beyond luck in 20,000 rows: mean score", False),
        ((0.0, 0.5), "Badly calibrated, scores are too low and too extreme: mean score", True),
        ((-0.8, 1.0), "Badly calibrated, scores are too high: mean score", True),
        ((0.7, 1.0), "Badly calibrated, scores are too low: mean score", True),
        ((0.9, 1.6), "too alike", True),
        ((-2.0, -1.0), "the wrong way round", True),
        ((0.11, 1.0), "Slightly miscalibrated, beyond luck but within bounds: mean score", False),
    ],
)
def test_the_verdict_says_what_is_wrong(line: tuple[float, float], words: str, is_bad: bool) -> None:
    found = calibration(world(20_000, 11, *line))
    assert words in found.verdict
    assert found.is_bad == is_bad
    assert found.is_miscalibrated == ("No miscalibration" not in words)
    intercept, slope = found.recalibration.intercept, found.recalibration.slope
    assert intercept.mean == pytest.approx(line[0], abs=5 * intercept.standard_error)
    assert slope.mean == pytest.approx(line[1], abs=5 * slope.standard_error)


def test_scores_moved_onto_the_line_come_true() -> None:
    fitted, fresh = world(20_000, 12, 0.5, 0.6), world(20_000, 13, 0.5, 0.6)
    assert calibration(fresh).is_bad
    moved = recalibrated(fresh.scores, recalibration(fitted))
    assert not calibration(ScoredLabels.of(fresh.labels, moved)).is_miscalibrated
    again = recalibration(ScoredLabels.of(fitted.labels, recalibrated(fitted.scores, recalibration(fitted))))
    assert (again.intercept.mean, again.slope.mean) == pytest.approx((0.0, 1.0), abs=1e-7)


def test_repeated_rows_of_a_user_tell_nothing_new() -> None:
    scored = world(500, 14)
    fourfold = [np.repeat(column, 4) for column in (scored.labels, scored.scores, np.arange(500))]
    one, four = recalibration(scored), recalibration(ScoredLabels.of(fourfold[0], fourfold[1], clusters=fourfold[2]))
    for pick in ("intercept", "slope", "in_the_large"):
        ours, theirs = getattr(four, pick), getattr(one, pick)
        assert (ours.mean, ours.standard_error) == pytest.approx((theirs.mean, theirs.standard_error), rel=1e-6)
    assert four.p_value == pytest.approx(one.p_value, rel=1e-6)


def test_scores_that_have_no_line() -> None:
    constant = calibration(ScoredLabels.of([0, 1] * 500, [0.2] * 1_000))
    assert math.isnan(constant.recalibration.slope.mean)
    assert constant.recalibration.in_the_large.mean == pytest.approx(math.log(4), abs=1e-9)
    assert constant.is_bad
    assert "too low: mean score 0.2, rate 0.5." in constant.verdict
    assert not calibration(ScoredLabels.of([0, 1] * 500, [0.5] * 1_000)).is_miscalibrated
    for labels, slope in (([0, 0, 1, 1], math.inf), ([1, 1, 0, 0], -math.inf)):
        found = recalibration(ScoredLabels.of(labels, [0.1, 0.2, 0.2, 0.4]))
        assert found.slope.mean == slope
        assert math.isnan(found.intercept.mean)
        assert math.isnan(found.p_value)


def test_extreme_scores_settle() -> None:
    scores = np.asarray([1e-12, 1e-9, 0.5, 1 - 1e-9, 1 - 1e-12] * 20)
    labels = np.asarray([0, 0, 1, 1, 1] * 19 + [1, 1, 0, 0, 0])
    found = recalibration(ScoredLabels.of(labels, scores))
    assert 0 < found.slope.mean < 0.5
    assert math.isfinite(found.slope.standard_error)


def test_plain_data_is_json() -> None:
    found = calibration(world(500, 15))
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["verdict"] == found.verdict
    assert len(text["bins"]) == 10
    assert text["recalibration"]["slope"]["mean"] == found.recalibration.slope.mean
    assert [type(each) for each in (found, found.bins[0], found.recalibration)] == (
        [Calibration, ReliabilityBin, Recalibration]
    )
    off = ReliabilityBin(10, 0.1, 0.5, 0.2, 0.1, 0.4)
    assert off.is_off
    json.dumps(calibration(ScoredLabels.of([0, 1], [0.2, 0.3])).to_dict(), allow_nan=False)


def stepped(n: int, seed: int, rate: float) -> ScoredLabels:
    """Scores by the best line of a world in which the rate is a step: no line through them is any better."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=2 * n)
    labels = rng.random(2 * n) < np.where(x > 0, rate, 1.0 - rate)
    fitted = LogisticRegression().fit(x[:n, None], labels[:n])
    return ScoredLabels.of(labels[n:].astype(np.int64), fitted.predict_proba(x[n:, None])[:, 1])


def test_bins_see_what_no_line_shows() -> None:
    found = calibration(stepped(5_000, 3, 0.75))
    assert found.p_value > 0.01
    assert found.bins_p_value < 1e-6
    assert found.is_bad
    assert re.search(r"^Badly calibrated, scores are bent, 0\.\d+ off on average: mean score", found.verdict)


def test_bins_by_closed_form() -> None:
    """Two bins of a hundred with scores .2 and .6, in which 30 and 50 came true: (10^2 / 16 + 10^2 / 24), two bins."""
    labels = [1] * 30 + [0] * 70 + [1] * 50 + [0] * 50
    found = calibration(ScoredLabels.of(labels, [0.2] * 100 + [0.6] * 100), n_bins=2)
    assert found.bins_p_value == pytest.approx(math.exp(-(100 / 16 + 100 / 24) / 2), rel=1e-12)  # chi2.sf(x, 2)


def test_true_scores_are_found_bent_as_seldom_as_the_bins_say() -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        scores = rng.uniform(0.001, 0.2, 2_000)
        found.append(calibration(ScoredLabels.of((rng.random(2_000) < scores).astype(np.int64), scores)).bins_p_value)
    assert stats.kstest(found, "uniform").pvalue > 1e-4
