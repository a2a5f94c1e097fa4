"""Faults of an experiment's table: each is found, named by row, and all at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import binom, binomtest, chisquare

from experiments.planning.arms import MISMATCH_LEVEL, check_arms, split_p_value

HALVES = {"silence": 0.5, "policy": 0.5}


def test_a_sound_table() -> None:
    arms = ["silence", "policy"] * 50
    report = check_arms(np.arange(100), np.asarray(arms), HALVES)
    assert report.is_sound
    assert report.users == {"silence": 50, "policy": 50}
    assert report.in_words() == ("The table is sound: 50 in silence, 50 in policy; the split is as planned, p = 1.")
    report.require_sound()


def test_several_rows_of_one_user_in_one_arm_are_one_user() -> None:
    report = check_arms(["a", "a", "a", "b"], ["policy", "policy", "policy", "silence"], HALVES)
    assert report.is_sound
    assert report.users == {"silence": 1, "policy": 1}


def test_all_faults_at_once_with_their_rows() -> None:
    user_ids: list[object] = [1, 2, 1, None, 5, 6, float("nan"), ""]
    arms = ["silence", "silence", "policy", "policy", "polcy", "silence", "silence", "silence"]
    report = check_arms(user_ids, arms, {"silence": 0.4, "policy": 0.3, "weekly": 0.3})
    assert [fault.kind for fault in report.faults] == ["no_user", "unknown_arm", "both_arms", "missing_arm"]
    messages = [fault.message for fault in report.faults]
    assert messages[0] == "user_id: expected one in each row, got none in rows 3, 6, 7"
    assert messages[1].endswith("got 'polcy' in row 4. Did you mean 'policy'?")
    assert messages[2].endswith("got 1 in several: 1 (silence: row 0; policy: row 2)")
    assert messages[3] == "arm 'weekly': expected about 30 % of the users, got none in any row"
    assert report.faults[2].rows == (0, 2)
    assert report.users == {"silence": 2, "policy": 0, "weekly": 0}  # users 2 and 6
    assert "The table has 4 faults" in report.in_words()
    with pytest.raises(ValueError, match=r"(?s)rows 3, 6, 7.*polcy.*several.*weekly"):
        report.require_sound()
    assert json.loads(json.dumps(report.to_dict()))["faults"][2]["rows"] == [0, 2]


def test_an_unknown_arm_does_not_hide_a_missing_user() -> None:
    report = check_arms([None, 1, 2], ["nowhere", "policy", "silence"], HALVES)
    assert [(fault.kind, fault.rows) for fault in report.faults] == [("no_user", (0,)), ("unknown_arm", (0,))]


def test_long_lists_are_shortened_for_people_and_whole_for_programs() -> None:
    user_ids = [user for user in range(40) for _ in range(2)]
    report = check_arms(user_ids, ["silence", "policy"] * 40, HALVES)
    (fault,) = report.faults
    assert "got 40 in several" in fault.message
    assert fault.message.endswith(", and 30 more")
    assert len(fault.rows) == 80
    many = check_arms([None] * 9 + [1, 2], ["silence"] * 10 + ["policy"], HALVES)
    assert "in rows 0, 1, 2, 3, 4 and 4 more" in many.faults[0].message


def test_a_mismatch_is_named_exactly_below_its_threshold() -> None:
    # Of 10,000 users chi-square is (a - 5000)^2 / 2500; its .999 quantile 10.8276 is passed at 5,165, not at 5,164.
    for n_policy, is_sound in ((5164, True), (5165, False), (4836, True), (4835, False)):
        arms = ["policy"] * n_policy + ["silence"] * (10_000 - n_policy)
        report = check_arms(range(10_000), arms, HALVES)
        assert report.is_sound is is_sound
    (fault,) = report.faults
    assert fault.kind == "sample_ratio"
    assert "policy 48.35 % where 50 % were planned" in fault.message
    assert "below 0.001. Find out where users of an arm are lost" in fault.message


@pytest.mark.parametrize(
    ("counts", "shares"), [([480, 520], [0.5, 0.5]), ([90, 10, 7], [0.8, 0.1, 0.1]), ([9100, 900], [0.9, 0.1])]
)
def test_the_p_value_is_the_librarys(counts: list[int], shares: list[float]) -> None:
    expected = sum(counts) * np.asarray(shares)
    assert split_p_value(counts, shares) == pytest.approx(float(chisquare(counts, expected).pvalue), rel=1e-9)


def test_few_users_are_tested_exactly_or_not_at_all() -> None:
    assert split_p_value([30, 0], [0.9, 0.1]) == pytest.approx(float(binomtest(30, 30, 0.9).pvalue))
    assert split_p_value([3, 1, 2], [0.8, 0.1, 0.1]) is None
    assert split_p_value([0, 0], [0.5, 0.5]) is None
    assert "too few to test the split" in check_arms(["a", "b", "c"], ["x", "y", "z"], _thirds()).in_words()


def _thirds() -> dict[str, float]:
    return {"x": 1 / 3, "y": 1 / 3, "z": 1 / 3}


def test_right_splits_are_called_wrong_as_seldom_as_said() -> None:
    rng = np.random.default_rng(1)
    n_tables = 4000
    found = [split_p_value(rng.multinomial(900, [0.9, 0.1]).tolist(), [0.9, 0.1]) for _ in range(n_tables)]
    below = sum(p is not None and p < 0.05 for p in found)
    # A binomial's steps move the rate of .05 by a few thousandths.
    assert binom.ppf(5e-7, n_tables, 0.042) <= below <= binom.isf(5e-7, n_tables, 0.058)


def test_the_default_threshold_is_one_in_a_thousand() -> None:
    assert MISMATCH_LEVEL == 0.001


@pytest.mark.parametrize(
    ("arms", "shares", "level", "message"),
    [
        (["x"], HALVES, 0.001, "check_arms: arms: expected one for each of 2 rows, got 1"),
        (["x", "y"], {"x": 1.0}, 0.001, "expected_shares: expected two arms or more, got x"),
        (["x", "y"], {"x": 0.5, "y": 0.4}, 0.001, "expected_shares: expected a sum of 1, got 0.9"),
        (["x", "y"], {"x": 50, "y": 50}, 0.001, r"expected_shares: 'x': expected .* got 50; did you mean 0.5\?"),
        (["x", "y"], HALVES, 0.0, "check_arms: level: expected a number between 0 and 1"),
    ],
)
def test_refusals(arms: Sequence[str], shares: dict[str, float], level: float, message: str) -> None:
    call: Callable[[], object] = lambda: check_arms([1, 2], arms, shares, level=level)  # noqa: E731
    with pytest.raises(ValueError, match=message):
        call()
