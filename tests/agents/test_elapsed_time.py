"""Advantages that discount by elapsed time: against definitions, a chain whose value is known, and SB3 itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from gymnasium.wrappers.vector import NormalizeReward
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecNormalize

from agents.elapsed_time import ElapsedDiscounts, ElapsedMaskableRolloutBuffer, ElapsedRolloutBuffer
from agents.vec_env import FleetVecEnv, LastStep
from tests.agents.rollouts import Keeper, Rollout, assert_same, learnt
from tests.agents.walk import ACTIONS, OBSERVATIONS, WalkVectorEnv

N = 6
GAMMA = 0.9
BOTH = [(PPO, ElapsedRolloutBuffer), (MaskablePPO, ElapsedMaskableRolloutBuffer)]
Float64s = npt.NDArray[np.float64]


class KeepsHours(Keeper):
    """Keeps the elapsed hours of all steps, too."""

    def __init__(self, venv: FleetVecEnv) -> None:
        super().__init__()
        self.venv = venv
        self.hours: list[Any] = []

    def _on_step(self) -> bool:
        self.hours.append(self.venv.vector_infos["elapsed_hours"].copy())
        return super()._on_step()


def settings(venv: FleetVecEnv, buffer: type[Any], unit_hours: float = 1.0) -> dict[str, Any]:
    return {
        "rollout_buffer_class": buffer,
        "rollout_buffer_kwargs": {"last_step": venv.last_step, "unit_hours": unit_hours},
    }


def by_definition(rollout: Rollout, discounts: Float64s, gae_lambda: float) -> Float64s:
    """Return the advantages, shape (T, E): the sum over all later steps of the episode, term by term, in float64."""
    values = np.concatenate([rollout["values"], rollout["last_values"][None]]).astype(np.float64)
    out = np.zeros_like(discounts)
    for t, i in np.ndindex(*discounts.shape):
        weight = 1.0
        for k in range(t, len(discounts)):
            if rollout["terminations"][k, i]:
                next_value = 0.0
            elif rollout["truncations"][k, i]:
                next_value = rollout["end_values"][k, i]
            else:
                next_value = values[k + 1, i]
            delta = rollout["step_rewards"][k, i] + discounts[k, i] * next_value - values[k, i]
            out[t, i] += weight * delta
            weight *= discounts[k, i] * gae_lambda
            if rollout["terminations"][k, i] or rollout["truncations"][k, i]:
                break
    return out


@pytest.mark.parametrize(("algorithm", "buffer"), BOTH)
@pytest.mark.parametrize("gae_lambda", [0.0, 0.9, 1.0])
def test_advantages_are_those_of_the_definition(algorithm: type[Any], buffer: type[Any], gae_lambda: float) -> None:
    venv = FleetVecEnv(WalkVectorEnv(N))
    model = algorithm(
        *("MlpPolicy", venv), n_steps=64, batch_size=64, gamma=GAMMA, gae_lambda=gae_lambda, seed=2, device="cpu",
        learning_rate=0.02, **settings(venv, buffer, unit_hours=1.5),
    )  # fmt: skip
    keeper = KeepsHours(venv)
    model.learn(3 * 64 * N, callback=keeper)
    n_terminations = n_truncations = 0
    for k, rollout in enumerate(keeper.rollouts):
        hours = np.array(keeper.hours[k * 64 : (k + 1) * 64])
        assert len(np.unique(hours)) == 4
        expected = by_definition(rollout, GAMMA ** (hours / 1.5), gae_lambda)
        np.testing.assert_allclose(rollout["advantages"], expected, rtol=0, atol=2e-5)
        np.testing.assert_allclose(rollout["returns"], expected + rollout["values"], rtol=0, atol=2e-5)
        wrong = by_definition(rollout, np.full_like(hours, GAMMA), gae_lambda)
        assert np.abs(wrong - expected).max() > 0.05, "the hours make no difference: the test could not fail"
        n_terminations += rollout["terminations"].sum()
        n_truncations += (rollout["truncations"] & (np.abs(rollout["end_values"]) > 0.05)).sum()
    assert min(n_terminations, n_truncations) > 20


@pytest.mark.parametrize(("algorithm", "buffer"), BOTH)
@pytest.mark.parametrize("hours", [2.5, 3.3, 5.0])
def test_steps_of_the_unit_give_the_rollouts_of_the_library(
    algorithm: type[Any], buffer: type[Any], hours: float
) -> None:
    """To the last bit, over updates that would carry a difference on."""
    venv = FleetVecEnv(WalkVectorEnv(N, (hours,)))
    _, ours = learnt(algorithm, venv, 4, **settings(venv, buffer, unit_hours=hours))
    _, theirs = learnt(algorithm, FleetVecEnv(WalkVectorEnv(N, (hours,))), 4)
    assert_same(ours, theirs)


def test_a_chain_of_two_states_is_worth_what_renewal_says() -> None:
    """From A, 1 is earned and 3 h pass; from B, 2 and 0.5 h; so V_A = (1 + 2 d^3) / (1 - d^3.5), d the hourly discount.

    With lambda = 1 the returns are sums of rewards to the end of the rollout, whatever the value estimates in between:
    they must be V exactly, though an episode is truncated (and bootstrapped as SB3 does) at every fifth step.
    """
    n_steps, unit_hours = 40, 24.0
    hours, earned = np.array([3.0, 0.5]), np.array([1.0, 2.0])
    d = GAMMA ** (hours / unit_hours)
    value = (earned + d * earned[::-1]) / (1 - d.prod())
    last_step = LastStep(0, np.zeros(2, np.float32), None, np.zeros(2, bool))
    buffer = ElapsedRolloutBuffer(
        *(n_steps, OBSERVATIONS, ACTIONS, "cpu"),
        gae_lambda=1.0, gamma=GAMMA, n_envs=2, last_step=last_step, unit_hours=unit_hours,
    )  # fmt: skip
    state = np.array([0, 1])
    rng = np.random.default_rng(1)
    starts = np.ones(2, bool)
    for step in range(n_steps):
        last_step.n_steps += 1
        last_step.rewards = earned[state].astype(np.float32)
        last_step.elapsed_hours = hours[state]
        last_step.is_truncated = np.array([step % 5 == 4, False])
        reward = last_step.rewards + (last_step.is_truncated * GAMMA * value[1 - state]).astype(np.float32)
        guesses = torch.tensor(rng.normal(size=2), dtype=torch.float32)
        buffer.add(np.zeros((2, 3), np.float32), np.zeros((2, 1)), reward, starts, guesses, torch.zeros(2))
        starts = last_step.is_truncated
        state = 1 - state
    buffer.compute_returns_and_advantage(torch.tensor(value[state], dtype=torch.float32), starts)
    expected = value[(np.arange(n_steps)[:, None] + [0, 1]) % 2]
    np.testing.assert_allclose(buffer.returns, expected, rtol=2e-6)


def test_long_steps_are_worth_what_hourly_steps_with_silence_in_between_are() -> None:
    """The same rewards at the same hours: SB3's own hourly buffer gives the same returns at the epochs (lambda = 1)."""
    rng = np.random.default_rng(3)
    n_steps, n_envs = 30, 1
    hours, earned = rng.integers(1, 7, n_steps), rng.normal(size=n_steps).astype(np.float32)
    last_step = LastStep(0, np.zeros(n_envs, np.float32), None, np.zeros(n_envs, bool))
    shape: dict[str, Any] = {"gae_lambda": 1.0, "gamma": 0.97, "n_envs": n_envs}
    long = ElapsedRolloutBuffer(n_steps, OBSERVATIONS, ACTIONS, "cpu", **shape, last_step=last_step, unit_hours=1.0)
    hourly = RolloutBuffer(int(hours.sum()), OBSERVATIONS, ACTIONS, "cpu", **shape)
    epochs = []

    def add(buffer: RolloutBuffer, reward: float) -> None:
        guess = torch.tensor(rng.normal(size=n_envs), dtype=torch.float32)
        rewards = np.array([reward], np.float32)
        buffer.add(np.zeros((1, 3)), np.zeros((1, 1)), rewards, np.zeros(1), guess, torch.zeros(1))

    for elapsed, reward in zip(hours.tolist(), earned.tolist(), strict=True):
        last_step.n_steps += 1
        last_step.rewards, last_step.elapsed_hours = np.array([reward], np.float32), np.array([float(elapsed)])
        add(long, reward)
        epochs.append(hourly.pos)
        for hour in range(elapsed):
            add(hourly, reward if hour == 0 else 0.0)
    for buffer in (long, hourly):
        buffer.compute_returns_and_advantage(torch.tensor([2.0]), np.zeros(1, bool))
    np.testing.assert_allclose(long.returns, hourly.returns[epochs], rtol=0, atol=1e-5)


def test_learning_with_masks_and_elapsed_time_gives_no_warning() -> None:
    venv = FleetVecEnv(WalkVectorEnv(16))
    model = MaskablePPO(
        "MlpPolicy", venv, n_steps=64, seed=1, device="cpu", **settings(venv, ElapsedMaskableRolloutBuffer)
    )
    model.learn(4_096)
    assert model.num_timesteps == 4_096
    assert all(torch.isfinite(weights).all() for weights in model.policy.state_dict().values())


def test_other_learners_take_the_buffer_too() -> None:
    venv = FleetVecEnv(WalkVectorEnv(4))
    A2C("MlpPolicy", venv, seed=1, device="cpu", **settings(venv, ElapsedRolloutBuffer)).learn(200)


def test_rewards_may_be_normalised_inside() -> None:
    venv = FleetVecEnv(NormalizeReward(WalkVectorEnv(N)))
    _, rollouts = learnt(PPO, venv, 2, **settings(venv, ElapsedRolloutBuffer))
    assert len(rollouts) == 2


def test_rewards_normalised_around_are_refused() -> None:
    venv = FleetVecEnv(WalkVectorEnv(N))
    with pytest.raises(RuntimeError, match=r"a wrapper around it changes them .* gymnasium.wrappers.vector.NormalizeR"):
        learnt(PPO, VecNormalize(venv), 1, **settings(venv, ElapsedRolloutBuffer))


def test_a_saved_model_goes_on_with_the_last_step_of_its_new_environment(tmp_path: Path) -> None:
    venv = FleetVecEnv(WalkVectorEnv(N))
    model, _ = learnt(MaskablePPO, venv, 1, **settings(venv, ElapsedMaskableRolloutBuffer))
    model.save(tmp_path / "model")
    new = FleetVecEnv(WalkVectorEnv(N))
    forgotten = MaskablePPO.load(tmp_path / "model", new, device="cpu")
    with pytest.raises(RuntimeError, match=r"one step of its environment for each step of the rollout, got 0\. Give"):
        forgotten.learn(64)
    loaded = MaskablePPO.load(tmp_path / "model", new, device="cpu", **settings(new, ElapsedMaskableRolloutBuffer))
    loaded.learn(64)
    loaded.learn(64, reset_num_timesteps=False)


def test_stopping_in_the_middle_of_a_rollout_does_no_harm() -> None:
    venv = FleetVecEnv(WalkVectorEnv(N))
    model = PPO("MlpPolicy", venv, n_steps=16, batch_size=16, device="cpu", **settings(venv, ElapsedRolloutBuffer))
    model.learn(96, callback=lambda *_: model.num_timesteps < 30)
    assert model.num_timesteps == 30
    model.learn(96, reset_num_timesteps=False)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_hours_that_cannot_be_are_refused(wrong: float) -> None:
    venv = FleetVecEnv(WalkVectorEnv(N, (wrong,)))
    with pytest.raises(ValueError, match=f"elapsed_hours: expected finite hours >= 0, got {wrong} of environment 0"):
        learnt(PPO, venv, 1, **settings(venv, ElapsedRolloutBuffer))


def test_missing_hours_are_refused() -> None:
    venv = FleetVecEnv(WalkVectorEnv(N, has_hours=False))
    with pytest.raises(ValueError, match="elapsed_hours: expected in the infos of every step, got none"):
        learnt(PPO, venv, 1, **settings(venv, ElapsedRolloutBuffer))


@pytest.mark.parametrize("gamma", [0.0, -0.5, 1.01])
def test_a_gamma_without_a_meaning_is_refused(gamma: float) -> None:
    venv = FleetVecEnv(WalkVectorEnv(N))
    with pytest.raises(ValueError, match=f"gamma: expected 0 < gamma <= 1 to discount by elapsed time, got {gamma}"):
        PPO("MlpPolicy", venv, gamma=gamma, n_steps=32, batch_size=64, **settings(venv, ElapsedRolloutBuffer))


@pytest.mark.parametrize("unit_hours", [0.0, -1.0, float("nan"), float("inf")])
def test_a_unit_without_a_length_is_refused(unit_hours: float) -> None:
    with pytest.raises(ValueError, match=f"unit_hours: expected hours > 0, got {unit_hours}"):
        ElapsedDiscounts(FleetVecEnv(WalkVectorEnv(N)).last_step, unit_hours)


def test_the_environment_in_place_of_its_last_step_is_refused() -> None:
    with pytest.raises(TypeError, match=r"last_step: expected FleetVecEnv.last_step, got FleetVecEnv"):
        ElapsedDiscounts(FleetVecEnv(WalkVectorEnv(N)), 1.0)  # type: ignore[arg-type]


def test_the_last_step_of_another_environment_is_refused() -> None:
    venv, other, smaller = (FleetVecEnv(WalkVectorEnv(n)) for n in (N, N, N - 1))
    with pytest.raises(RuntimeError, match="one step of its environment for each step of the rollout, got 0"):
        learnt(PPO, venv, 1, **settings(other, ElapsedRolloutBuffer))
    with pytest.raises(ValueError, match="expected that of the 6 environments being stepped, got one of 5"):
        learnt(PPO, venv, 1, **settings(smaller, ElapsedRolloutBuffer))
