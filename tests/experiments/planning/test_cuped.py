"""CUPED against least squares, against its own standard error over many experiments, and against 1 - r^2."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import chi2, norm

from experiments.planning.cuped import cuped
from experiments.planning.trial import Floats, Trial

EFFECT = 0.3


def experiment(
    seed: int, n: int = 400, share: float = 0.5, correlation: float = 0.7, steeper: float = 0.0
) -> tuple[Trial, Floats]:
    """Users whose past predicts them; `steeper` is how much more the treated follow it."""
    rng = np.random.default_rng([seed, 5])
    past = rng.normal(10.0, 3.0, size=n)
    is_treated = rng.random(n) < share
    noise = rng.normal(0.0, math.sqrt(1 - correlation**2), size=n)
    outcomes = correlation * (past - 10) / 3 + noise + is_treated * (EFFECT + steeper * (past - 10) / 3)
    return Trial(is_treated, outcomes, share), past


def least_squares(trial: Trial, past: Floats, *, interacts: bool) -> Floats:
    centred = past - past.mean()
    columns = [np.ones(len(trial)), trial.is_treated * 1.0, centred]
    if interacts:
        columns.append(centred * trial.is_treated)
    found: Floats = np.linalg.lstsq(np.stack(columns, axis=1), trial.outcomes, rcond=None)[0]
    return found


@pytest.mark.parametrize("share", [0.5, 0.85])
@pytest.mark.parametrize("has_arm_slopes", [False, True])
def test_it_is_least_squares_with_a_centred_covariate(has_arm_slopes: bool, share: float) -> None:
    trial, past = experiment(1, share=share, steeper=0.4)
    found = cuped(trial, past, has_arm_slopes=has_arm_slopes)
    fit = least_squares(trial, past, interacts=has_arm_slopes)
    assert found.adjusted.mean == pytest.approx(float(fit[1]), abs=1e-9)
    assert found.slopes[1] == pytest.approx(float(fit[2]), abs=1e-9)
    assert found.slopes[0] == pytest.approx(float(fit[2] + (fit[3] if has_arm_slopes else 0.0)), abs=1e-9)
    assert found.unadjusted.mean == pytest.approx(trial.treated.mean - trial.control.mean, abs=1e-12)


def test_the_standard_error_with_arm_slopes_is_two_regressions_and_the_unknown_mean_of_the_past() -> None:
    trial, past = experiment(6, n=25, share=0.6, steeper=1.0)
    variance, slopes = 0.0, []
    for rows in _arms(trial):
        coefficients, squares, *_ = np.polyfit(past[rows], trial.outcomes[rows], 1, full=True)
        variance += float(squares[0]) / (rows.sum() - 2) / rows.sum()
        slopes.append(coefficients[0])
    variance += (slopes[0] - slopes[1]) ** 2 * past.var(ddof=1) / 25
    found = cuped(trial, past, has_arm_slopes=True)
    assert found.adjusted.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_the_pooled_standard_error_is_that_of_least_squares_where_the_arms_are_twins() -> None:
    rng = np.random.default_rng(9)
    past = np.tile(rng.normal(size=8), 2)
    trial = Trial(np.arange(16) < 8, past + rng.normal(size=16))
    design = np.stack([np.ones(16), trial.is_treated * 1.0, past - past.mean()], axis=1)
    _, squares, *_ = np.linalg.lstsq(design, trial.outcomes, rcond=None)
    covariance = float(squares[0]) / (16 - 3) * np.linalg.inv(design.T @ design)
    assert cuped(trial, past).adjusted.standard_error == pytest.approx(math.sqrt(covariance[1, 1]), rel=1e-9)


@pytest.mark.parametrize("has_arm_slopes", [False, True])
def test_the_effect_is_unbiased_and_the_standard_error_is_true(has_arm_slopes: bool) -> None:
    n_experiments = 1500
    found = [
        cuped(*experiment(seed, n=150, share=0.8, steeper=2.0), has_arm_slopes=has_arm_slopes)
        for seed in range(n_experiments)
    ]
    means = np.asarray([each.adjusted.mean for each in found])
    spread = means.std(ddof=1)
    # False-alarm rate of 1e-6; it would catch a bias of an eighth of a standard error.
    assert abs(means.mean() - EFFECT) < norm.isf(5e-7) * spread / math.sqrt(n_experiments)
    stated = math.sqrt(np.mean([each.adjusted.standard_error**2 for each in found]))
    low, high = chi2.ppf([5e-7, 1 - 5e-7], n_experiments - 1) / (n_experiments - 1)
    assert low - 0.06 < (spread / stated) ** 2 < high + 0.06  # to a few in a hundred in an arm of 30


def test_the_variance_left_is_one_minus_the_squared_correlation() -> None:
    for correlation in (0.0, 0.5, 0.9):
        trial, past = experiment(7, n=60_000, correlation=correlation)
        # The outcome's variance within arms is 1.
        assert cuped(trial, past).variance_ratio == pytest.approx(1 - correlation**2, abs=0.02)
        within = np.concatenate([trial.outcomes[rows] - trial.outcomes[rows].mean() for rows in _arms(trial)])
        pasts = np.concatenate([past[rows] - past[rows].mean() for rows in _arms(trial)])
        r = float(np.corrcoef(within, pasts)[0, 1])
        assert cuped(trial, past).variance_ratio == pytest.approx(1 - r**2, rel=1e-2)


def test_a_small_arm_with_another_slope_wants_slopes_of_its_own() -> None:
    trial, past = experiment(11, n=40_000, share=0.9, steeper=1.0)
    pooled, own = (cuped(trial, past, has_arm_slopes=each).adjusted.standard_error for each in (False, True))
    assert own < 0.9 * pooled


def test_shifting_and_scaling_the_past_changes_nothing() -> None:
    trial, past = experiment(2)
    one, other = cuped(trial, past), cuped(trial, 1e4 - 50 * past)
    assert one.adjusted.mean == pytest.approx(other.adjusted.mean, abs=1e-9)
    assert one.adjusted.standard_error == pytest.approx(other.adjusted.standard_error, rel=1e-9)


def test_words_and_plain_data() -> None:
    trial, past = experiment(3)
    found = cuped(trial, past, level=0.1)
    assert f"leaves {100 * found.variance_ratio:.0f} % of the variance" in found.in_words()
    assert "90 %" in found.in_words()
    assert json.loads(json.dumps(found.to_dict()))["adjusted"]["mean"] == found.adjusted.mean


def test_refusals() -> None:
    trial, past = experiment(4, n=20)
    holes = past.copy()
    holes[[3, 5]] = np.nan
    with pytest.raises(ValueError, match=r"got 2 that are not, in rows 3, 5. Of users without a past take 0"):
        cuped(trial, holes)
    with pytest.raises(ValueError, match=r"cuped: covariate: expected shape \(20,\), got \(19,\)"):
        cuped(trial, past[:-1])
    with pytest.raises(ValueError, match="differs between users of an arm, got a constant"):
        cuped(trial, np.full(20, 3.0))
    few = Trial(np.arange(20) < 2, trial.outcomes)
    with pytest.raises(ValueError, match="at least 3 users in each arm, got 2 treated and 18 others"):
        cuped(few, past)


def _arms(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    return trial.is_treated, ~trial.is_treated
