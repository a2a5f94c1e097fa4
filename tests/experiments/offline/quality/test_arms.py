"""Several arms: over all assignments that chance could have made, in exact worlds, and with errors by hand."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest

from experiments.offline.quality.arms import ArmTrial, expected_response, response_curve

# Four rows, three arms: what each row would answer to each arm, and scores that err in the last row.
ANSWERS = np.asarray([[0.0, 1.0, 0.5], [1.0, 0.0, 2.0], [0.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
SCORES = np.asarray([[0.0, 2.0, 1.0], [0.0, -1.0, 0.5], [0.0, -1.0, -1.0], [0.0, 0.0, 3.0]])
CHANCES = np.asarray([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])


def test_unbiased_over_all_assignments() -> None:
    """The mean over all 81 assignments, by their probabilities, is what the recommended arms bring."""
    rows = np.arange(4)
    means, curves = 0.0, np.zeros(3)
    for arms in product(range(3), repeat=4):
        trial = ArmTrial.of(ANSWERS[rows, arms], arms, SCORES, CHANCES)
        chance = float(CHANCES[rows, arms].prod())
        means += chance * expected_response(trial).estimate.mean
        curves += chance * np.asarray([r.estimate.mean for r in response_curve(trial, (0, 0.5, 0.625)).responses])
    assert means == pytest.approx(ANSWERS[rows, [1, 2, 0, 2]].mean(), abs=1e-12)
    # To gain: rows 3, 0, 1, then 2. None follow; two follow; two and half of the next.
    assert curves[0] == pytest.approx(ANSWERS[:, 0].mean(), abs=1e-12)
    assert curves[1] == pytest.approx(ANSWERS[rows, [1, 0, 0, 2]].mean(), abs=1e-12)
    assert curves[2] == pytest.approx((1.0 + (1.0 + 2.0) / 2 + 0.0 + 0.0) / 4, abs=1e-12)


def test_a_rule_in_an_exact_world() -> None:
    """Two kinds of user, three arms at a third each, 30 rows a cell: responders are exactly as many as expected."""
    rates = {0: (0.1, 0.5, 0.2), 1: (0.3, 0.1, 0.6)}
    rows = [(kind, arm, k < 30 * rate) for kind in rates for arm, rate in enumerate(rates[kind]) for k in range(30)]
    kinds, arms, outcomes = (np.asarray(column) for column in zip(*rows, strict=True))
    scores = np.asarray([rates[kind] for kind in kinds])
    found = expected_response(ArmTrial.of(outcomes, arms, scores, [1 / 3] * 3))
    assert found.estimate.mean == pytest.approx((0.5 + 0.6) / 2, abs=1e-12)
    assert found.normalised.mean == pytest.approx((0.5 + 0.6) / 2, abs=1e-12)
    assert found.arm_shares == pytest.approx((0.0, 0.5, 0.5))
    assert found.effective_n == pytest.approx(60)
    answers = 3.0 * outcomes * (arms == scores.argmax(axis=1))
    assert found.estimate.standard_error == pytest.approx(answers.std(ddof=1) / math.sqrt(180), rel=1e-12)


def test_arms_with_equal_scores_share_the_row() -> None:
    trial = ArmTrial.of([1.0, 5.0], [0, 1], np.zeros((2, 2)), [0.25, 0.75])
    assert expected_response(trial).estimate.mean == pytest.approx((1.0 / 0.25 + 5.0 / 0.75) / 4)
    assert expected_response(trial).arm_shares == (0.5, 0.5)


def test_rows_with_equal_gains_follow_in_equal_parts() -> None:
    """Two of four follow: the first, and one of the three others, whichever: the mean over the three choices."""
    scores = np.asarray([[0.0, 2.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    outcomes, arms, chances = np.asarray([1.0, 2.0, 3.0, 4.0]), np.asarray([1, 0, 1, 1]), [0.25, 0.75]
    found = response_curve(ArmTrial.of(outcomes, arms, scores, chances), [0.5]).responses[0]
    choices = []
    for other in (1, 2, 3):
        rule = np.asarray([1 if row in (0, other) else 0 for row in range(4)])
        choices.append(np.mean(outcomes * (arms == rule) / np.asarray(chances)[arms]))
    assert found.estimate.mean == pytest.approx(float(np.mean(choices)), abs=1e-12)
    assert found.arm_shares == pytest.approx((0.5, 0.5))


def test_a_curve_goes_from_control_to_the_recommendation() -> None:
    rng = np.random.default_rng(2)
    arms = rng.integers(0, 3, 600)
    trial = ArmTrial.of(rng.random(600), arms, rng.normal(size=(600, 3)).round(1), [1 / 3] * 3)
    curve = response_curve(trial, control=1)
    control = np.where(arms == 1, trial.outcomes * 3, 0.0)
    assert curve.responses[0].estimate.mean == pytest.approx(control.mean())
    assert curve.responses[0].arm_shares == (0.0, 1.0, 0.0)
    assert curve.responses[-1] == expected_response(trial)
    shares = [1 - response.arm_shares[1] for response in curve.responses]
    assert shares == sorted(shares)


def test_repeated_rows_of_a_user_tell_nothing_new() -> None:
    rng = np.random.default_rng(3)
    outcomes, arms, scores = rng.random(200), rng.integers(0, 2, 200), rng.normal(size=(200, 2))
    one = expected_response(ArmTrial.of(outcomes, arms, scores, [0.5, 0.5]))
    rows = np.repeat(np.arange(200), 4)
    four = expected_response(ArmTrial.of(outcomes[rows], arms[rows], scores[rows], [0.5, 0.5], clusters=rows))
    for ours, theirs in ((four.estimate, one.estimate), (four.normalised, one.normalised)):
        assert (ours.mean, ours.standard_error) == pytest.approx((theirs.mean, theirs.standard_error), rel=1e-12)


def test_a_rule_that_nobody_followed() -> None:
    found = expected_response(ArmTrial.of([1, 2], [0, 0], [[0, 1], [0, 1]], [0.5, 0.5]))
    assert found.estimate.mean == 0.0
    assert math.isnan(found.normalised.mean)
    assert found.effective_n == 0.0
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["normalised"]["mean"] is None
    single = response_curve(ArmTrial.of([1], [0], [[0, 1]], [0.5, 0.5]), [0, 1]).to_dict()
    assert json.loads(json.dumps(single, allow_nan=False))["shares"] == [0, 1]
