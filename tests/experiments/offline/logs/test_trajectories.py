"""Logs of episodes are checked once: every fault named with row and column; what follows from them in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.weighed_trajectories import QValues, weigh_trajectories

YES, NO = True, False
FINE: dict[str, Any] = {
    "actions": [0, 1, 1, 0, 1],
    "rewards": [0.0, 1.0, 0.5, 2.0, 3.0],
    "action_names": ("none", "push"),
    "observations": [[1.0], [2.0], [3.0], [4.0], [5.0]],
    "features": ("age",),
    "episodes": [7, 7, 7, 3, 3],
    "steps": [0, 1, 2, 0, 1],
    "is_terminated": [NO, NO, YES, NO, NO],
    "is_truncated": [NO, NO, NO, NO, YES],
    "propensities": [0.5, 0.5, 0.25, 1.0, 0.5],
    "probabilities": [[0.5, 0.5], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0], [0.5, 0.5]],
    "eligible": [[1, 1], [1, 1], [1, 1], [1, 0], [1, 1]],
    "elapsed_hours": [1.0, 2.0, 5.0, 3.0, 1.0],
    "final_observations": [[np.nan], [6.0]],
    "final_eligible": [[0, 0], [1, 1]],
    "users": [4, 4, 4, 4, 4],
    "discount_per_hour": 0.5,
}


def made(**changes: Any) -> LoggedTrajectories:
    told = FINE | changes
    as_they_are = ("action_names", "features", "discount_per_hour")
    return LoggedTrajectories(
        **{k: v if k in as_they_are or v is None else np.asarray(v) for k, v in told.items()}  # type: ignore[arg-type]
    )


def test_a_log_that_is_fine() -> None:
    log = made()
    assert repr(log) == "LoggedTrajectories(2 episodes, 5 decisions, 2 actions, 1 features, up to 3 steps)"
    assert (len(log), log.n_episodes, log.horizon, log.n_actions) == (5, 2, 3, 2)
    assert log.starts.tolist() == [0, 3]
    assert log.ends.tolist() == [2, 4]
    assert log.episode_of.tolist() == [0, 0, 0, 1, 1]
    assert log.hours.tolist() == [0.0, 1.0, 3.0, 0.0, 3.0]
    assert log.discounts.tolist() == [1.0, 0.5, 0.125, 1.0, 0.125]
    assert log.step_discounts.tolist() == [0.5, 0.25, 1 / 32, 0.125, 0.5]
    assert log.returns.tolist() == [0.5 + 0.0625, 2.0 + 0.375]
    assert log.padded(log.rewards, -1.0).tolist() == [[0.0, 1.0, 0.5], [2.0, 3.0, -1.0]]
    assert log.clusters is not None
    assert log.clusters.tolist() == [0, 0]
    assert made(users=None).clusters is None
    assert made(elapsed_hours=None).hours.tolist() == [0.0, 1.0, 2.0, 0.0, 1.0]
    assert made(eligible=None).eligibility.all()


def test_some_episodes() -> None:
    second = made().take(np.asarray([NO, YES]))
    assert second.rewards.tolist() == [2.0, 3.0]
    assert second.final_observations is not None
    assert second.final_observations.tolist() == [[6.0]]
    assert second.action_names == ("none", "push")


def test_as_rounds() -> None:
    rounds = made().to_rounds()
    assert rounds.users is not None
    assert rounds.users.tolist() == [4] * 5
    assert rounds.hours is None  # of two episodes of one user nobody knows which was when
    alone = made(users=None).to_rounds()
    assert alone.users is not None
    assert alone.users.tolist() == [7, 7, 7, 3, 3]
    assert alone.hours is not None
    assert alone.hours.tolist() == [0.0, 1.0, 3.0, 0.0, 3.0]
    assert alone.features == ("age",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensities": [0.5, 0.0, 0.25, 1.0, 1.5]}, r"row 1: propensity: .* at most 1, got 0\.0\nrow 4: propensity"),
        ({"rewards": [0.0, np.inf, 0.5, 2.0, 3.0]}, "row 1: reward: expected a finite number, got inf"),
        ({"observations": [[1.0], [2.0], [np.nan], [4.0], [5.0]]}, "row 2: age: expected a finite number, got nan"),
        ({"actions": [0, 1, 1, 1, 1]}, r"row 3: action: expected one that was eligible, got 'push'"),
        ({"steps": [0, 1, 3, 0, 1]}, r"row 2: step: expected 0, 1, 2, .*, got 3 as number 2 of episode 7"),
        ({"steps": [1, 2, 3, 0, 1]}, "row 0: step: .*, got 1 as number 0 of episode 7"),
        ({"steps": [0, 1, 0, 0, 1]}, "row 2: step: .*, got 0 as number 2 of episode 7"),
        ({"elapsed_hours": [1.0, -2.0, 5.0, 3.0, 1.0]}, "row 1: elapsed_hours: .* at least 0, got -2"),
        ({"elapsed_hours": [1.0, 2.0, 5.0, 3.0, np.inf]}, "row 4: elapsed_hours: .* at least 0, got inf"),
        ({"is_terminated": [NO, YES, YES, NO, NO]}, "row 1: is_terminated: expected false .*, got true, and row 2"),
        ({"is_truncated": [YES, NO, NO, NO, YES]}, "row 0: is_truncated: .* goes on with episode 7"),
        ({"is_truncated": [NO] * 5}, "row 4: is_truncated: .* terminated or truncated, got neither for episode 3"),
        ({"users": [4, 4, 5, 4, 4]}, "row 2: user: expected the same through an .*, got 5, and episode 7 began with 4"),
        ({"final_observations": [[0.0], [np.nan]]}, "row 1: final_observations: age: .* finite number, got nan"),
        ({"final_eligible": [[1, 1], [0, 0]]}, "row 1: final_eligible: expected an eligible action, got none"),
        ({"final_observations": [[0.0]]}, r"final_observations: expected shape \(2, 1\), .*, got \(1, 1\)"),
        ({"features": ("age", "sex")}, r"observations: expected shape \(5, 2\), got \(5, 1\)"),
        ({"steps": [0, 1]}, r"steps: expected shape \(5,\), got \(2,\)"),
        ({"discount_per_hour": 0.0}, r"discount_per_hour: expected above 0 and at most 1, got 0\.0"),
        ({"discount_per_hour": np.nan}, "discount_per_hour: expected above 0 and at most 1, got nan"),
        ({"episodes": [7.0, 7.0, 7.0, 3.0, 3.0]}, r"row 0: episodes: expected whole numbers, got 7\.0"),
    ],
)  # fmt: skip
def test_a_fault_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LogError, match=message):
        made(**changes)


def test_an_episode_that_comes_back() -> None:
    with pytest.raises(
        LogError, match=r"row 3: episode: expected all rows of an episode together, got episode 7 again"
    ):
        made(
            episodes=[7, 7, 3, 7, 7], is_terminated=[NO, YES, YES, NO, NO], steps=[0, 1, 0, 2, 3],
            final_observations=None, final_eligible=None,
        )  # fmt: skip


def test_all_faults_at_once() -> None:
    with pytest.raises(LogError) as caught:
        made(
            rewards=[np.nan] * 5, steps=[0, 1, 1, 0, 1], elapsed_hours=[-1.0] * 5, is_truncated=[NO] * 5,
            users=[4, 4, 4, 4, 5],
        )  # fmt: skip
    columns = [fault.split(": ")[1] for fault in caught.value.faults]
    assert columns == ["reward"] * 5 + ["step", "is_truncated"] + ["elapsed_hours"] * 5 + ["user"]


def test_what_is_weighed_is_checked() -> None:
    log, target = made(), np.asarray(FINE["probabilities"])
    with pytest.raises(ValueError, match=r"target: expected probabilities of shape \(5, 2\), got \(4, 2\)"):
        weigh_trajectories(log, target[:4])
    with pytest.raises(LogError, match=r"row 3: target: expected 0 for what is not eligible, got 0\.5 for 'push'"):
        weigh_trajectories(log, np.full((5, 2), 0.5))
    with pytest.raises(ValueError, match="expected a log with propensities, got one without"):
        weigh_trajectories(made(propensities=None), target)
    with pytest.raises(ValueError, match=r"q: values: expected shape \(5, 2\), got \(5,\)"):
        weigh_trajectories(log, target, QValues(np.zeros(5)))
    with pytest.raises(ValueError, match=r"q: values: expected finite values, got \[nan, 0\.0\] in row 2"):
        weigh_trajectories(log, target, QValues(np.where(np.arange(10).reshape(5, 2) == 4, np.nan, 0.0)))
    with pytest.raises(ValueError, match="q: final: expected 0 after termination, got another value in episode 7"):
        weigh_trajectories(log, target, QValues(np.zeros((5, 2)), np.ones(2)))
    with pytest.raises(ValueError, match=r"expected Q values, got none: see experiments\.offline\.models\.fqe"):
        _ = weigh_trajectories(log, target).initial_values


def test_products_that_are_no_numbers() -> None:
    n = 400
    steps = np.arange(n)
    log = LoggedTrajectories(
        np.ones(n, np.int64), np.ones(n), ("none", "push"), np.zeros((n, 0)), (), np.full(n, 5), steps,
        np.zeros(n, np.bool_), steps == n - 1, propensities=np.full(n, 0.2),
    )  # fmt: skip
    weighed = weigh_trajectories(log, np.tile([0.0, 1.0], (n, 1)))
    # 5 ** 144 is the first power above 1e100.
    told = r"at most 1e\+100, got 4.48e\+100 in episode 5 at step 143: horizons like this need marginalised_is"
    with pytest.raises(ValueError, match=told):
        _ = weighed.products
