"""Intervals of uplift: closed forms, coverage of a known truth, and users whose rows belong together."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from experiments.offline.quality.rows import Trial
from experiments.offline.quality.uplift import perfect_curve, uplift_at, uplift_curve
from experiments.offline.quality.uplift_report import qini_difference, uplift_quality


def two_kinds(n: int, seed: int) -> Trial:
    """Half the users gain .3, the others nothing; the score tells them apart. Qini measure: .5 * .5 * .15 = .0375."""
    rng = np.random.default_rng(seed)
    is_moved, is_treated = rng.random(n) < 0.5, rng.random(n) < 0.4
    return Trial.of(rng.random(n) < 0.2 + 0.3 * (is_moved & is_treated), is_treated, is_moved)


TRUE_QINI = 0.0375


def test_values_are_those_of_the_curves() -> None:
    trial = two_kinds(500, 1)
    found = uplift_quality(trial, shares=[0.5, 0.2, 1], n_replicates=20)
    qini, perfect = uplift_curve(trial, "qini"), perfect_curve(trial, "qini")
    assert found.qini.value == qini.over_random
    assert found.qini_coefficient.value == pytest.approx(qini.over_random / perfect.over_random, rel=1e-12)
    assert found.auuc.value == uplift_curve(trial, "uplift").area
    assert found.perfect_auuc == perfect_curve(trial, "uplift").area
    assert found.random_auuc == pytest.approx(uplift_at(trial, 1.0) / 2, rel=1e-12)
    assert [each.share for each in found.at_shares] == [0.2, 0.5, 1]
    for each in found.at_shares:
        assert each.uplift.value == pytest.approx(uplift_at(trial, each.share), rel=1e-12)
        assert each.qini.value == qini.at(each.share)
    known = uplift_quality(Trial.of(trial.outcomes, trial.is_treated, perfect_scores(trial)), n_replicates=20)
    assert known.qini_coefficient.value == pytest.approx(1.0, rel=1e-12)


def perfect_scores(trial: Trial) -> list[int]:
    return [int(y) * (1 if t else -1) for y, t in zip(trial.outcomes, trial.is_treated, strict=True)]


def test_the_error_of_a_difference_in_means() -> None:
    """Over 800 resamples a standard deviation has an error of 2.5 %, 6 of which are 15 %."""
    trial = two_kinds(2_000, 2)
    found = uplift_quality(trial, shares=[1.0], n_replicates=800)
    arms = [trial.outcomes[is_of] for is_of in (trial.is_treated, ~trial.is_treated)]
    expected = math.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms))
    assert found.effect.standard_error == pytest.approx(expected, rel=0.15)
    assert found.effect.high - found.effect.low == pytest.approx(2 * 1.96 * expected, rel=0.2)
    assert found.at_shares[0].uplift.low == pytest.approx(found.effect.low, rel=1e-9)


def test_intervals_cover_the_truth() -> None:
    """60 worlds, of whose intervals 57 should cover; fewer than 46 once in a million. Half as wide would cover 40."""
    covered = 0
    for seed in range(60):
        found = uplift_quality(two_kinds(400, 100 + seed), shares=[0.5], n_replicates=100, seed=seed).qini
        covered += found.low <= TRUE_QINI <= found.high
    assert covered >= 46


def test_rows_of_a_user_are_drawn_together() -> None:
    trial = two_kinds(300, 3)
    users = np.arange(300)
    outcomes, treated, scores = (np.repeat(column, 4) for column in (trial.outcomes, trial.is_treated, trial.scores))
    one = uplift_quality(trial, shares=[0.5, 1.0], n_replicates=50, seed=9)
    together = Trial.of(outcomes, treated, scores, clusters=np.repeat(users, 4))
    four = uplift_quality(together, shares=[0.5, 1.0], n_replicates=50, seed=9)
    apart = uplift_quality(Trial.of(outcomes, treated, scores), shares=[0.5, 1.0], n_replicates=200, seed=9)
    assert (four.n_rows, four.n_clusters) == (1_200, 300)
    for ours, theirs in zip(four.at_shares, one.at_shares, strict=True):
        assert list(ours.uplift.to_dict().values()) == pytest.approx(list(theirs.uplift.to_dict().values()), rel=1e-9)
    assert apart.effect.standard_error < 0.7 * four.effect.standard_error


def test_scores_are_held_against_random_and_each_other() -> None:
    trial = two_kinds(3_000, 4)
    noise = np.random.default_rng(5).random(3_000)
    random = Trial.of(trial.outcomes, trial.is_treated, noise)
    good, none = (uplift_quality(each, shares=[0.3], n_replicates=100) for each in (trial, random))
    assert good.is_better_than_random
    assert not none.is_better_than_random
    difference = qini_difference(trial, random, n_replicates=100)
    assert difference.low > 0
    assert difference.value == pytest.approx(good.qini.value - none.qini.value, rel=1e-12)
    backwards = qini_difference(random, trial, n_replicates=100)
    assert backwards.high == pytest.approx(-difference.low, rel=1e-9)
    assert qini_difference(trial, trial, n_replicates=20).to_dict() == {
        "value": 0.0,
        "standard_error": 0.0,
        "low_95": 0.0,
        "high_95": 0.0,
    }


def test_the_seed_alone_decides() -> None:
    trial = two_kinds(200, 6)
    one, same, other = (uplift_quality(trial, n_replicates=20, seed=seed) for seed in (1, 1, 2))
    assert one.qini == same.qini
    assert one.qini != other.qini


def test_a_tiny_trial_is_honest() -> None:
    found = uplift_quality(Trial.of([1, 0, 1], [1, 0, 0], [3, 2, 1]), shares=[0.1, 1], n_replicates=40)
    assert math.isnan(found.at_shares[0].uplift.value)  # only a treated row is there
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["at_shares"][0]["uplift"]["value"] is None
    assert text["effect"]["value"] == pytest.approx(0.5)
    nothing = uplift_quality(Trial.of([0, 0, 0, 0], [1, 0, 1, 0], [3, 2, 1, 0]), n_replicates=20)
    assert nothing.qini.value == 0.0
    assert math.isnan(nothing.qini_coefficient.value)  # nothing can be gained even knowing all
