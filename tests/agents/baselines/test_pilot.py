"""The pilots against the environment's own steps and books, summed anew by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.baselines.pilot import pilot
from agents.baselines.volume import pilot_volumes
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import Metric
from tests.simulator.seated import scenario

WINDOWS = (5, 30)
WINDOW = WINDOWS[-1]
STEPS = 120
USERS = 40


class Watched:
    """An environment whose every step is kept, with the sessions that the books count in it."""

    def __init__(self, env: NotifyVectorEnv) -> None:
        self.env = env
        self.steps: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, seed: int) -> Any:
        self.shown = self.env.reset(seed=seed)
        return self.shown

    def step(self, actions: Any) -> Any:
        observations = self.shown[0].copy()
        masks = self.env.action_masks().copy()
        before = self._sessions()
        found = self.env.step(actions)
        self.shown = (found[0], found[4])
        came = self._sessions() - before
        self.steps.append(
            {
                "observations": observations, "masks": masks, "actions": actions.copy(), "rewards": found[1].copy(),
                "terminated": found[2].copy(), "truncated": found[3].copy(), "clicks": found[4]["clicks"].copy(),
                "came": came, "after": found[0].copy(),
            }
        )  # fmt: skip
        return found

    def _sessions(self) -> Any:
        counts = self.env.seats.tally["counts"]
        return counts[:, Metric.SESSIONS_ORGANIC].astype(int) + counts[:, Metric.SESSIONS_DRIVEN]


def watched(days: int = 12, n: int = USERS, **arguments: Any) -> Watched:
    return Watched(NotifyVectorEnv(n, scenario(calendar__horizon_days=days), n_slots=2, **arguments))


def test_windows_hold_what_the_environment_did_after_each_decision() -> None:
    # A horizon of four days: episodes end, and users are reseated, within the pilot.
    env = watched(days=4)
    found = pilot(
        env, STEPS, send_prob=0.2, windows_hours=WINDOWS, rng=np.random.default_rng(1), seed=3, silent_keep_prob=1.0
    )
    row, n_left, n_last = 0, 0, 0
    for t in range(STEPS - WINDOW + 1):
        for seat in range(USERS):
            first = env.steps[t]
            if not first["masks"][seat, 1:].any():
                continue
            rewards, clicks, to_visit, fate = np.zeros(2), np.zeros(2), WINDOW + 1, ""
            for k, step in enumerate(env.steps[t : t + WINDOW]):
                is_within = k < np.asarray(WINDOWS)
                rewards[is_within] += step["rewards"][seat]
                clicks[is_within] += step["clicks"][seat]
                is_end = step["terminated"][seat] or step["truncated"][seat]
                # The books of a user who ended are gone; who left had its last session before or within the step.
                if not is_end and step["came"][seat]:
                    to_visit = min(to_visit, k + 1)
                if is_end:
                    is_last = k == WINDOW - 1
                    fate = "left" if step["terminated"][seat] else "ends with it" if is_last else "cut"
                    break
            if fate == "cut":
                continue
            n_left += fate == "left"
            n_last += fate == "ends with it"
            np.testing.assert_array_equal(found.observations[row], first["observations"][seat])
            np.testing.assert_array_equal(found.masks[row], first["masks"][seat] != 0)
            assert found.actions[row] == first["actions"][seat]
            np.testing.assert_allclose(found.rewards[row], rewards, atol=1e-12)
            np.testing.assert_array_equal(found.clicks[row], clicks)
            if fate == "":
                assert found.hours_to_visit[row] == to_visit
            row += 1
    assert row == len(found) > 300
    assert n_left > 0
    assert n_last > 0
    for k, hours in enumerate(WINDOWS):
        np.testing.assert_array_equal(found.rewards_within(hours), found.rewards[:, k])
        np.testing.assert_array_equal(found.clicks_within(hours), found.clicks[:, k])
    np.testing.assert_array_equal(found.came_within(7), found.hours_to_visit <= 7)
    with pytest.raises(ValueError, match="pilot: window_hours: expected one of 5, 30, got 24"):
        found.rewards_within(24)
    assert (found.weights == 1.0).all()


def test_silent_rows_stand_for_those_that_were_not_kept() -> None:
    arguments: dict[str, Any] = {"send_prob": 0.1, "windows_hours": (2, 5), "seed": 3}
    all_rows = pilot(watched(), 100, rng=np.random.default_rng(1), silent_keep_prob=1.0, **arguments)
    some = pilot(watched(), 100, rng=np.random.default_rng(1), **arguments)
    n_silent = int((some.actions == 0).sum())
    assert n_silent < len(all_rows) / 5
    # The number kept is binomial; five standard errors of the total it stands for.
    total, expected = some.weights.sum(), float((~some.is_send).sum()) * 9 + some.is_send.sum()
    assert total == pytest.approx(expected)
    assert abs(total - len(all_rows)) < 5 * 9 * np.sqrt(n_silent) + 0.02 * len(all_rows)


def test_what_cannot_be_piloted_is_refused() -> None:
    arguments: dict[str, Any] = {"send_prob": 0.1, "windows_hours": (2, 5), "seed": 3, "rng": np.random.default_rng(0)}
    for changed, message in (
        ({"send_prob": 1.0}, "pilot: send_prob: expected above 0 and below 1, got 1.0"),
        ({"windows_hours": (5, 20)}, r"pilot: windows_hours: expected rising ones of 1 to n_hours = 10, got \(5, 20\)"),
        ({"windows_hours": (5, 2)}, r"pilot: windows_hours: expected rising ones of 1 to n_hours = 10, got \(5, 2\)"),
        ({"windows_hours": ()}, r"pilot: windows_hours: expected rising ones of 1 to n_hours = 10, got \(\)"),
        ({"silent_keep_prob": 0.0}, "pilot: silent_keep_prob: expected above 0 and at most 1"),
    ):
        with pytest.raises(ValueError, match=message):
            pilot(watched(), 10, **(arguments | changed))
    with pytest.raises(ValueError, match="pilot: expected complete windows of 5 hours with sends and without, got 0"):
        pilot(watched(n=2), 10, **(arguments | {"send_prob": 1e-9}))
    with pytest.raises(ValueError, match="expected an environment with the vocabulary's features"):
        pilot(watched(mode="daily"), 10, **arguments)
    with pytest.raises(ValueError, match="pilot: expected an environment with steps of 1 hour, got one of 6"):
        pilot(watched(epoch_hours=6), 10, **arguments)


def test_users_keep_the_volume_that_they_were_assigned() -> None:
    env = watched(days=15, n=60)
    found = pilot_volumes(env, 14 * 24, rng=np.random.default_rng(5), seed=8, volumes=(0, 2, 7))
    sends = np.stack([step["actions"] > 0 for step in env.steps])  # (T, U)
    pushes = np.stack([step["actions"] % 2 == 1 for step in env.steps])
    ended = np.stack([step["terminated"] | step["truncated"] for step in env.steps])
    # A step counts until the one, inclusive, in which the user ends.
    is_there = np.cumsum(ended, axis=0) - ended == 0
    assert not (sends & ~is_there).any()
    rewards = np.stack([step["rewards"] for step in env.steps])
    np.testing.assert_allclose(found.returns, (rewards * is_there).sum(axis=0), atol=1e-12)
    for volume in (0, 2, 7):
        weekly = sends[:168, found.volumes == volume].sum(axis=0)
        # Days of a gap do not always divide a week, and e-mails are held by the gap alone.
        assert weekly.max(initial=0) <= volume + (volume > 0)
        assert pushes[:168, found.volumes == volume].sum(axis=0).max(initial=0) <= volume
        assert (weekly > 0).any() == (volume > 0)
