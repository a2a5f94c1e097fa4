"""Runs that are cut and taken up again, and runs side by side: the same weights, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings, PPOSettings
from agents.reinforcement.trainer import SB3Trainer
from agents.saved_state import load, save
from simulator.environments.lenses import History, RunningNormalisation, Shaping, wrap
from simulator.exact.fatigue import FatigueVectorEnv
from simulator.exact.restless import RestlessVectorEnv
from tests.simulator.lens_worlds import lively, vector

SMALL: dict[str, Any] = {"hidden_sizes": (16,), "anneal_steps": 2_000, "batch_size": 64}
DQN: dict[str, Any] = {**SMALL, "learning_starts": 64, "target_update_steps": 64, "buffer_size": 400}


def notify() -> Any:
    env = vector(num_envs=16, scenario=lively(2), trigger="event")
    return wrap(env, Shaping(0.999, {"push": 0.01}), RunningNormalisation(), History(2))


TRAINERS: dict[str, Callable[[int], SB3Trainer]] = {
    "ppo": lambda seed: SB3Trainer(PPOSettings(n_steps=8, **SMALL), FatigueVectorEnv(16, max_steps=20), seed),
    "maskable_ppo": lambda seed: SB3Trainer(MaskablePPOSettings(n_steps=8, reward_scale=3.0, **SMALL), notify(), seed),
    "dqn": lambda seed: SB3Trainer(DQNSettings(**DQN), RestlessVectorEnv(16, max_steps=20), seed),
    "averaged dqn": lambda seed: SB3Trainer(
        DQNSettings(average_from_share=0.2, **DQN), RestlessVectorEnv(16, max_steps=20), seed
    ),
}


def assert_equal(ours: SB3Trainer, theirs: SB3Trainer) -> None:
    """Assert that all that two trainers go on from is the same."""
    first, second = ours.state(), theirs.state()
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("kind", TRAINERS)
def test_a_run_that_was_cut_ends_as_one_that_was_not(kind: str, tmp_path: Path) -> None:
    """Through a file, in a trainer that was seeded otherwise; DQN's buffer has been round by then."""
    whole, cut = TRAINERS[kind](5), TRAINERS[kind](5)
    begun = {name: array.copy() for name, array in whole.agent.state().items()}
    for _ in range(4):
        whole.advance(256)
    cut.advance(256)
    cut.advance(256)
    save(tmp_path / "state", cut.state(), {"kind": kind})
    again = TRAINERS[kind](77)
    again.restore(load(tmp_path / "state", {"kind": kind}))
    assert again.n_steps == cut.n_steps
    figures = [again.advance(256), again.advance(256)]
    assert figures[1].keys() >= {"reward", "sends"}
    assert_equal(again, whole)
    assert any((array != begun[name]).any() for name, array in whole.agent.state().items()), "it has learned"


@pytest.mark.parametrize("kind", TRAINERS)
def test_runs_side_by_side_do_not_disturb_each_other(kind: str) -> None:
    alone, beside, other = (TRAINERS[kind](seed) for seed in (5, 5, 6))
    alone.advance(200)
    alone.advance(200)
    for _ in range(2):
        beside.advance(200)
        other.advance(200)
    assert_equal(alone, beside)
    name = next(name for name in alone.agent.state() if name.endswith("weight"))
    assert (alone.agent.state()[name] != other.agent.state()[name]).any(), "another seed learns otherwise"


@pytest.mark.parametrize("kind", TRAINERS)
def test_global_generators_are_left_as_they_were(kind: str) -> None:
    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(1)), float(np.random.random_sample()), random.random()  # noqa: NPY002

    def seeded() -> None:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)

    seeded()
    expected = drawn()
    seeded()
    TRAINERS[kind](3).advance(200)
    assert drawn() == expected


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: SB3Trainer(PPOSettings(n_steps=8, **SMALL), FatigueVectorEnv(16), 5),
            "about.max_steps: expected None",
        ),
        (
            lambda: SB3Trainer(PPOSettings(n_steps=8, **SMALL), FatigueVectorEnv(8), 5),
            "state.n_users: expected 8, got 16: it is of another environment or config",
        ),
        (
            lambda: SB3Trainer(PPOSettings(n_steps=8, **SMALL), RestlessVectorEnv(16, max_steps=20), 5),
            r"state.environment: expected .*Restless.*, got .*Fatigue",
        ),
        (
            lambda: SB3Trainer(PPOSettings(n_steps=12, **SMALL), FatigueVectorEnv(16, max_steps=20), 5),
            "state.settings.n_steps: expected 12, got 8",
        ),
        (lambda: TRAINERS["dqn"](5), "state.environment: expected"),
    ],
)
def test_a_state_of_another_run_is_refused(other: Callable[[], SB3Trainer], message: str) -> None:
    trainer = TRAINERS["ppo"](5)
    trainer.advance(128)
    stranger = other()
    before = stranger.state()
    with pytest.raises(ValueError, match=message):
        stranger.restore(trainer.state())
    assert all(array.tobytes() == before[name].tobytes() for name, array in stranger.state().items())


@pytest.mark.parametrize(
    ("kind", "spoil", "message"),
    [
        ("ppo", lambda state: state["model.policy.action_net.bias"].fill(np.nan), r"action_net.bias\[0\]: .* got nan"),
        ("averaged dqn", lambda state: state.pop("model.replay.rewards"), r"missing \['replay.rewards'\]"),
        ("averaged dqn", lambda state: state.pop("average.n_averaged"), "n_averaged"),
    ],
)
def test_a_damaged_state_changes_nothing(kind: str, spoil: Callable[[Any], object], message: str) -> None:
    """The environment is taken up before the model, and put back."""
    trainer, other = TRAINERS[kind](5), TRAINERS[kind](6)
    trainer.advance(256)
    other.advance(128)
    state, before = dict(trainer.state()), other.state()
    spoil(state)
    with pytest.raises((ValueError, KeyError), match=message):
        other.restore(state)
    assert all(array.tobytes() == before[name].tobytes() for name, array in other.state().items())


def test_an_environment_that_keeps_no_state_cannot_be_saved() -> None:
    trainer = SB3Trainer(PPOSettings(n_steps=8, **SMALL), plain_wrapper(FatigueVectorEnv(16)), 5)
    with pytest.raises(AttributeError, match=r"NormalizeReward.* has no `state`: a run over it cannot be saved"):
        trainer.state()


def plain_wrapper(env: Any) -> Any:
    return gymnasium.wrappers.vector.NormalizeReward(env)
