"""States of vector environments: whoever takes one up goes on to the last bit as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from simulator.environments.lenses import (
    CLICKS,
    History,
    Normalisation,
    OracleObservation,
    RewardParts,
    RunningNormalisation,
    Shaping,
    wrap,
)
from simulator.exact.fatigue import FatigueVectorEnv
from simulator.exact.restless import RestlessVectorEnv
from simulator.exact.segments import SegmentVectorEnv
from tests.simulator.lens_worlds import eligible, lively, vector

N_BEFORE, N_AFTER, N = 23, 100, 5


def fleet(name: str = "kairos/Notify-v0", days: int = 2, **arguments: Any) -> Callable[[], Any]:
    return lambda: vector(name, N, scenario=lively(days), **arguments)


def seen_through(*lenses: Any, days: int = 2) -> Callable[[], Any]:
    return lambda: wrap(fleet(days=days)(), *lenses)


WORLDS: dict[str, Callable[[], Any]] = {
    "notify": fleet(),
    "daily": fleet("kairos/NotifyDaily-v0", days=4),
    "queue": fleet("kairos/NotifyCandidates-v0", days=3),
    "event": fleet(trigger="event", spread_hours=12),
    "A": lambda: FatigueVectorEnv(N, max_steps=30),
    "B": lambda: SegmentVectorEnv(N, reward="sampled"),
    "D": lambda: RestlessVectorEnv(N, max_steps=17),
    "parts": seen_through(RewardParts(CLICKS)),
    "lenses": seen_through(
        OracleObservation(), Shaping(0.9999, {"push": 0.01}), History(3), Normalisation(), RunningNormalisation()
    ),
}


def lived(env: Any, rng: np.random.Generator, masks: Any, n_steps: int) -> tuple[list[Any], Any, int]:
    """Return copies of all that some steps gave, the last masks, and how many episodes ended."""
    trace, n_ends = [], 0
    for _ in range(n_steps):
        observations, rewards, terminated, truncated, infos = env.step(eligible(rng, masks))
        masks = infos["action_mask"].copy()
        trace.append(flat((observations, rewards, terminated, truncated, infos)))
        n_ends += int((terminated | truncated).sum())
    return trace, masks, n_ends


def flat(value: Any) -> Any:
    """Return nested results as bytes, so that equality is to the last bit."""
    if isinstance(value, dict):
        return {name: flat(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [flat(entry) for entry in value]
    array = np.asarray(value)
    return (
        [flat(entry) for entry in array] if array.dtype == object else (array.dtype.str, array.shape, array.tobytes())
    )


@pytest.mark.parametrize("name", WORLDS)
def test_a_restored_environment_goes_on_to_the_last_bit(name: str) -> None:
    """100 steps with ends of episodes, all that they return; in one that lived otherwise and in a new one."""
    first, other = WORLDS[name](), WORLDS[name]()
    _, infos = first.reset(seed=3)
    _, masks, _ = lived(first, np.random.default_rng(1), infos["action_mask"].copy(), N_BEFORE)
    state = first.state()
    assert all(array.dtype.kind in "biufV" for array in state.values()), "numbers and records only"
    expected, _, n_ends = lived(first, np.random.default_rng(2), masks, N_AFTER)
    if name != "B":
        assert n_ends > 5
    other.reset(seed=99)
    lived(other, np.random.default_rng(7), other.reset(seed=99)[1]["action_mask"].copy(), 3)
    other.restore(state)
    assert lived(other, np.random.default_rng(2), masks, N_AFTER)[0] == expected
    fresh = WORLDS[name]()
    fresh.restore(state)
    assert lived(fresh, np.random.default_rng(2), masks, N_AFTER)[0] == expected, "one that was never reset"


def test_a_state_is_a_copy() -> None:
    env = fleet()()
    _, infos = env.reset(seed=1)
    state = env.state()
    before = {name: array.tobytes() for name, array in state.items()}
    lived(env, np.random.default_rng(1), infos["action_mask"].copy(), 10)
    assert {name: array.tobytes() for name, array in state.items()} == before


def test_the_books_go_with_the_users() -> None:
    env, other = fleet()(), fleet()()
    lived(env, np.random.default_rng(1), env.reset(seed=1)[1]["action_mask"].copy(), 30)
    assert env.books.by_hour.sum() > 0
    other.restore(env.state())
    assert (other.books.by_day.sum(axis=0) == env.books.by_day.sum(axis=0)).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (fleet(days=3), r"state: about.options.end_hour: expected 72, got 48: it is of another environment"),
        (fleet("kairos/NotifyCandidates-v0"), r"state: about.options.epoch_hours: expected 4, got 1"),
        (lambda: vector(num_envs=2, scenario=lively(2)), "state: about.num_envs: expected 2, got 5"),
        (lambda: FatigueVectorEnv(N), "state: about.ineligible: expected 'error', got None"),
        (seen_through(History(2)), "state: missing .*layer._last"),
    ],
)
def test_a_state_of_another_environment_is_refused(other: Callable[[], Any], message: str) -> None:
    env = fleet()()
    env.reset(seed=1)
    stranger = other()
    stranger.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        stranger.restore(env.state())


def test_a_history_of_another_length_is_refused() -> None:
    env, other = seen_through(History(2))(), seen_through(History(3))()
    env.reset(seed=1)
    with pytest.raises(
        ValueError, match=r"state: layer._past: expected float32 of shape \(5, 3, 66\), got .*\(5, 2, 66"
    ):
        other.restore(env.state())


def test_a_layer_that_does_not_tell_what_it_keeps_is_refused() -> None:
    env = seen_through(History(2))()
    env.reset(seed=1)
    env.layer = type("Silent", (), {})()
    with pytest.raises(TypeError, match="History: expected a layer that names what it keeps"):
        env.state()


def test_before_the_first_reset_there_is_no_state() -> None:
    for make in (fleet(), lambda: FatigueVectorEnv(N)):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
            make().state()
