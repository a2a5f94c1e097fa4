"""Logs are checked once, as they are made: every fault is named with its row and column, and nothing is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.weighed import weigh
from tests.experiments.offline.worlds import made_up

FINE: dict[str, Any] = {
    "actions": np.asarray([0, 1, 2, 1]),
    "rewards": np.asarray([0.0, 1.0, 0.5, 0.0]),
    "action_names": ("none", "push", "email"),
    "propensities": np.asarray([0.5, 0.25, 0.2, 1.0]),
    "probabilities": np.asarray([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.4, 0.4, 0.2], [0.0, 1.0, 0.0]]),
    "eligible": np.asarray([[1, 1, 0], [1, 1, 1], [1, 1, 1], [0, 1, 0]]),
    "context": np.zeros((4, 1)),
    "features": ("age",),
    "users": np.asarray([7, 7, 9, 7]),
    "hours": np.asarray([1.0, 2.0, 0.0, 2.0]),
    "segments": {"country": np.asarray(["de", "de", "at", "de"])},
}


def test_a_log_that_is_fine() -> None:
    rounds = LoggedRounds(**FINE)
    assert len(rounds) == 4
    assert rounds.n_actions == 3
    assert rounds.clusters is not None
    assert rounds.clusters.tolist() == [0, 0, 1, 0]
    assert rounds.n_clusters == 2
    few = rounds.take(np.asarray([3, 1])[:1])
    assert few.actions.tolist() == [1]
    assert few.segments is not None
    assert few.segments["country"].tolist() == ["de"]
    assert LoggedRounds(FINE["actions"], FINE["rewards"], FINE["action_names"]).eligibility.all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "propensities",
            [0.5, -0.25, 0.0, 1.0],
            r"row 1: propensity: expected above 0 and at most 1, got -0\.25\nrow 2",
        ),
        ("propensities", [0.5, np.nan, 0.2, 1.0], r"row 1: propensity: expected above 0 and at most 1, got nan"),
        ("propensities", [0.5, 0.35, 0.2, 1.0], r"row 1: propensity: .*, got 0\.35, and the probability is 0\.25"),
        ("rewards", [0.0, np.inf, 0.5, np.nan], r"row 1: reward: expected a finite number, got inf\nrow 3: reward"),
        ("actions", [0, 3, 2, -1], r"row 1: action: expected a number from 0 to 2, got 3\nrow 3: action: .* got -1"),
        (
            "actions",
            [2, 1, 2, 1],
            r"row 0: action: expected one that was eligible, got 'email'; eligible: \['none', 'push'",
        ),
        ("context", [[0.0], [np.nan], [0.0], [0.0]], "row 1: age: expected a finite number, got nan"),
        ("hours", [1.0, 0.5, 0.0, 2.0], r"row 1: hours: expected not before .* above, got 0\.5, and row 0 has 1"),
        ("hours", [1.0, 2.0, 0.0, 1.5], r"row 3: hours: expected not before .*, got 1\.5, and row 1 has 2"),
        ("rewards", ["0", "1", "oops", "0"], r"row 0: rewards: expected numbers, got '0'"),
        ("rewards", np.asarray([0.0, 1.0, "oops", 0.0], object), r"row 2: rewards: expected numbers, got 'oops'"),
        ("actions", [0.0, 1.0, 2.0, 1.0], r"row 0: actions: expected whole numbers, got 0\.0"),
        ("rewards", [0.0, 1.0], r"rewards: expected shape \(4,\), got \(2,\)"),
        ("features", ("age", "sex"), r"context: expected shape \(4, 2\), got \(4, 1\)"),
        ("action_names", ("none", "push", "push"), "action_names: expected each once, got 'push' more than once"),
        ("segments", {"country": np.asarray(["de"])}, r"segments: country: expected shape \(4,\), got \(1,\)"),
    ],
)
def test_a_fault_is_named(name: str, change: Any, message: str) -> None:
    with pytest.raises(LogError, match=message):
        LoggedRounds(**(FINE | {name: change if name == "segments" else _array(name, change)}))


def _array(name: str, change: Any) -> Any:
    return change if name in ("action_names", "features") or isinstance(change, np.ndarray) else np.asarray(change)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.25, 0.3], r"row 1: probabilities: expected a sum of 1, got 1\.05"),
        ([0.8, 0.25, -0.05], r"row 1: probabilities: expected numbers of at least 0, got -0\.05 for 'email'"),
        ([np.nan, 0.25, 0.3], r"row 1: probabilities: expected numbers of at least 0, got nan for 'none'"),
    ],
)
def test_a_row_of_probabilities_that_is_none(row: list[float], message: str) -> None:
    probabilities = FINE["probabilities"].copy()
    probabilities[1] = row
    with pytest.raises(LogError, match=message):
        LoggedRounds(**(FINE | {"probabilities": probabilities}))


def test_probabilities_of_what_was_not_eligible() -> None:
    probabilities = FINE["probabilities"].copy()
    probabilities[0] = [0.5, 0.25, 0.25]
    with pytest.raises(
        LogError, match=r"row 0: probabilities: expected 0 for what is not eligible, got 0\.25 for 'email'"
    ):
        LoggedRounds(**(FINE | {"probabilities": probabilities}))


def test_all_faults_at_once_and_many_are_counted() -> None:
    n = 100
    with pytest.raises(LogError) as caught:
        LoggedRounds(np.full(n, 5), np.full(n, np.nan), ("a", "b"), propensities=np.full(n, 2.0))
    assert len(caught.value.faults) == 3 * 6
    assert "action: 95 more rows like these" in str(caught.value)
    assert "row 4: reward: expected a finite number, got nan" in caught.value.faults


def test_a_target_policy_is_checked() -> None:
    rounds, target, rewards_of = made_up(50, 1)
    with pytest.raises(ValueError, match=r"target: expected probabilities of shape \(50, 4\), got \(50, 3\)"):
        weigh(rounds, target[:, :3])
    with pytest.raises(LogError, match=r"row 0: target: expected a sum of 1, got 0\.9"):
        weigh(rounds, 0.9 * target)
    barred = np.zeros_like(target)
    row = int(np.argmin(rounds.eligibility.all(axis=1)))
    barred[np.arange(50), np.where(np.arange(50) == row, rounds.eligibility[row].argmin(), 0)] = 1.0
    with pytest.raises(LogError, match=rf"row {row}: target: expected 0 for what is not eligible, got 1 for"):
        weigh(rounds, barred)
    with pytest.raises(ValueError, match=r"rewards_of: expected predictions of shape \(50, 4\), got \(50, 2\)"):
        weigh(rounds, target, rewards_of[:, :2])
    holed = rewards_of.copy()
    holed[3] = np.nan
    with pytest.raises(ValueError, match=r"rewards_of: expected finite predictions, got \[nan.* in row 3"):
        weigh(rounds, target, holed)
    unknown = LoggedRounds(rounds.actions, rounds.rewards, rounds.action_names)
    with pytest.raises(ValueError, match="weigh: expected a log with propensities, got one without"):
        weigh(unknown, target)
