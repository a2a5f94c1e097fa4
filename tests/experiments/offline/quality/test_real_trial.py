"""The e-mail test of 2008 (Hillstrom's challenge): men's e-mail, women's e-mail or none at random, a third each."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.offline.quality.arms import ArmTrial, expected_response
from experiments.offline.quality.calibration import calibration
from experiments.offline.quality.classification import auc
from experiments.offline.quality.rows import ScoredLabels, Trial
from experiments.offline.quality.uplift import uplift_at, uplift_curve
from experiments.offline.quality.uplift_report import qini_difference, uplift_quality

Floats = npt.NDArray[np.float64]
ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
THIRDS = [1 / 3] * 3


@dataclass(frozen=True, eq=False)
class Log:
    arms: npt.NDArray[np.int64]  # place in ARMS, shape (N,)
    outcomes: dict[str, Floats]  # each of shape (N,)
    features: Floats  # with a column of ones, shape (N, K)
    recency_months: Floats
    truth: dict[str, Any]


@pytest.fixture(scope="module")
def log(real_logs: Path) -> Log:
    path = real_logs / "hillstrom.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the real logs in {real_logs}")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
    numbers = {name: columns[name].astype(float) for name in ("recency", "history", "mens", "womens", "newbie")}
    kinds = [columns["zip_code"] == "Urban", columns["zip_code"] == "Rural", columns["channel"] == "Web"]
    features: Floats = np.column_stack(
        [np.ones(len(rows)), *numbers.values(), np.log(numbers["history"]), numbers["mens"] * numbers["womens"], *kinds]
    )
    features[:, 1:] = (features[:, 1:] - features[:, 1:].mean(axis=0)) / features[:, 1:].std(axis=0)
    truth = json.loads((real_logs / "ground_truth_dev.json").read_text(encoding="utf-8"))
    return Log(
        np.asarray([ARMS.index(segment) for segment in columns["segment"]]),
        {name: columns[name].astype(float) for name in ("visit", "conversion", "spend")},
        features,
        numbers["recency"],
        truth["hillstrom"]["dev"],
    )


def fitted(features: Floats, outcomes: Floats) -> Floats:
    """Least squares with a little ridge, shape (K,)."""
    gram = features.T @ features + 10.0 * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ outcomes).astype(np.float64)


def cross_fitted_means(log: Log, arm: int, outcome: str) -> Floats:
    """What each row would answer to an arm, by a line fitted to the other fold, shape (N,)."""
    fold = np.arange(len(log.arms)) % 2
    means = np.zeros(len(log.arms))
    for each in (0, 1):
        others = (fold != each) & (log.arms == arm)
        means[fold == each] = log.features[fold == each] @ fitted(log.features[others], log.outcomes[outcome][others])
    return means


def cross_fitted_uplift(log: Log, arm: int) -> Floats:
    """Return visits more under an arm than under none, each fold's mean taken away, shape (N,)."""
    scores: Floats = cross_fitted_means(log, arm, "visit") - cross_fitted_means(log, 0, "visit")
    fold = np.arange(len(scores)) % 2
    means = np.asarray([scores[fold == each].mean() for each in (0, 1)])
    found: Floats = scores - means[fold]
    return found


def against_none(log: Log, arm: int, outcome: str, scores: Floats) -> Trial:
    is_of = (log.arms == 0) | (log.arms == arm)
    return Trial.of(log.outcomes[outcome][is_of], log.arms[is_of] == arm, scores[is_of])


@pytest.mark.parametrize(("arm", "printed"), [(1, 0.0760663), (2, 0.0480773)])
@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_treating_all_is_the_difference_of_the_arms(log: Log, arm: int, printed: float, outcome: str) -> None:
    known = log.truth["arms"]["effects_vs_none"][ARMS[arm]][outcome]
    trial = against_none(log, arm, outcome, log.recency_months)
    assert uplift_at(trial, 1.0) == pytest.approx(known["diff"], rel=1e-6)
    assert uplift_curve(trial, "uplift").effect == pytest.approx(known["diff"], rel=1e-6)
    if outcome == "visit":
        assert uplift_at(trial, 1.0) == pytest.approx(printed, abs=5e-8)


def test_a_cross_fitted_score_targets_womens_mail_better_than_random(log: Log) -> None:
    scores = cross_fitted_uplift(log, 2)
    trial = against_none(log, 2, "visit", scores)
    found = uplift_quality(trial, shares=[0.5, 1.0], n_replicates=100)
    assert found.is_better_than_random
    assert found.qini.low > 0.002
    known = log.truth["arms"]["effects_vs_none"]["Womens E-Mail"]["visit"]
    # Resampling arms of chance sizes, and 7 % error of 100 resamples: 6 of those are 43 %.
    assert found.effect.standard_error == pytest.approx(known["se"], rel=0.43)
    assert found.at_shares[0].uplift.low > known["diff"]  # the first half gain more than all do on average
    noise = against_none(log, 2, "visit", np.random.default_rng(1).random(len(scores)))
    assert not uplift_quality(noise, shares=[1.0], n_replicates=100).is_better_than_random
    assert qini_difference(trial, noise, n_replicates=100).low > 0
    backwards = uplift_quality(against_none(log, 2, "visit", -scores), shares=[1.0], n_replicates=100)
    assert backwards.qini.high < 0


def test_what_cannot_be_told_apart_is_not_claimed(log: Log) -> None:
    """Men's mail gains about as much with everybody: the same score finds nobody that it does more for."""
    found = uplift_quality(against_none(log, 1, "visit", cross_fitted_uplift(log, 1)), shares=[1.0], n_replicates=100)
    assert not found.is_better_than_random


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_values_of_rules_are_those_computed_apart(log: Log, outcome: str) -> None:
    n = len(log.arms)
    is_recent = log.recency_months <= 6
    rules = {
        "always_mens": np.tile([0.0, 1.0, 0.0], (n, 1)),
        "always_womens": np.tile([0.0, 0.0, 1.0], (n, 1)),
        "none": np.tile([1.0, 0.0, 0.0], (n, 1)),
        "recent6_mens_else_none": np.column_stack([~is_recent, is_recent, np.zeros(n)]),
    }
    for name, scores in rules.items():
        found = expected_response(ArmTrial.of(log.outcomes[outcome], log.arms, scores, THIRDS))
        known = log.truth["policies"][name][outcome]
        assert found.estimate.mean == pytest.approx(known["ips"]["mean"], rel=1e-5)
        assert found.estimate.standard_error == pytest.approx(known["ips"]["se"], rel=1e-5)
        assert found.normalised.mean == pytest.approx(known["snips"]["est"], rel=1e-5)
        assert found.normalised.standard_error == pytest.approx(known["snips"]["se"], rel=1e-4)
        assert found.effective_n == pytest.approx(known["snips"]["ess"], rel=1e-6)


def test_a_cross_fitted_visit_model_ranks_and_is_calibrated(log: Log) -> None:
    """A line of probabilities on its own arm: better than chance, and never far off in height."""
    scores = np.clip(cross_fitted_means(log, 1, "visit"), 0.01, 0.99)
    is_of = log.arms == 1
    scored = ScoredLabels.of(log.outcomes["visit"][is_of], scores[is_of])
    assert auc(scored).low > 0.55
    found = calibration(scored)
    assert found.rate == pytest.approx(log.truth["arms"]["Mens E-Mail"]["visit"]["rate"], rel=1e-5)
    assert abs(found.recalibration.in_the_large.mean) < 0.1
    elsewhere = log.arms == 0  # the same model on those who were sent nothing
    off = calibration(ScoredLabels.of(log.outcomes["visit"][elsewhere], scores[elsewhere]))
    assert off.is_bad
    assert "too high" in off.verdict
