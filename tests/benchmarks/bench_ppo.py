"""MaskablePPO over the real environment, beside the same learner over an environment that only returns constants.

The environment of constants has the spaces of the real one at C = 4, so what it leaves is the cost of learning itself.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from agents.vec_env import FleetVecEnv
from policies.vocabulary import n_actions, n_features
from tests.benchmarks import Row

N_ENVS = 1_024
N_SLOTS = 4
OBSERVATIONS = gymnasium.spaces.Box(-3.0, 10.0, (n_features(N_SLOTS),), np.float32)
ACTIONS = gymnasium.spaces.Discrete(n_actions(N_SLOTS))
LEAST_RATIO = 0.85
LARGE = {"n_steps": 16, "batch_size": 4_096, "n_epochs": 4}
DEFAULTS = {"n_steps": 2_048, "batch_size": 64, "n_epochs": 10}


class ConstantVectorEnv(VectorEnv[Any, Any, Any]):
    """Returns the same two observations and masks in turn; no episode ends."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(self, num_envs: int) -> None:
        rng = np.random.default_rng(1)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = OBSERVATIONS, ACTIONS
        self.observations = [rng.uniform(0, 1, (num_envs, *OBSERVATIONS.shape)).astype(np.float32) for _ in range(2)]
        self.masks = [rng.integers(0, 2, (num_envs, int(ACTIONS.n)), np.int8) for _ in range(2)]
        for mask in self.masks:
            mask[:, 0] = 1
        self.rewards, self.hours = rng.uniform(0, 1, num_envs), np.ones(num_envs)
        self.ends = np.zeros(num_envs, np.bool_)
        self.n_steps = 0

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.observations[self.n_steps % 2], {"action_mask": self.masks[self.n_steps % 2]}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        assert self.masks[self.n_steps % 2][np.arange(self.num_envs), actions].all(), "a masked action was chosen"
        self.n_steps += 1
        observation, infos = self.reset()
        return observation, self.rewards, self.ends, self.ends, {**infos, "elapsed_hours": self.hours}


class ConstantEnv(gymnasium.Env[Any, Any]):
    """One of the environments of constants."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = OBSERVATIONS, ACTIONS
        self.constants = ConstantVectorEnv(1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.constants.observations[0][0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.constants.observations[0][0], 1.0, False, False, {}

    def action_masks(self) -> Any:
        return self.constants.masks[0][0]


class Learner:
    """MaskablePPO, two layers of 64 tanh, which is timed rollout by rollout, updates included."""

    def __init__(self, venv: VecEnv, shape: dict[str, int], is_warmed: bool = True) -> None:
        self.model = MaskablePPO("MlpPolicy", venv, seed=1, device="cpu", **shape)  # type: ignore[arg-type]
        self.n_a_rollout = shape["n_steps"] * venv.num_envs
        self.rate = 0.0
        if is_warmed:
            self.learn()

    def learn(self) -> None:
        """Learn from one rollout, and keep the best rate in environment steps a second."""
        before, updates = self.model.num_timesteps, self.model._n_updates
        start = time.perf_counter()
        self.model.learn(self.n_a_rollout, reset_num_timesteps=False)
        self.rate = max(self.rate, self.n_a_rollout / (time.perf_counter() - start))
        assert self.model.num_timesteps - before == self.n_a_rollout
        assert self.model._n_updates - updates == self.model.n_epochs


def real_env() -> VectorEnv[Any, Any, Any]:
    importlib.import_module("simulator.environments")  # registers the ids
    return gymnasium.make_vec(
        "kairos/Notify-v0", num_envs=N_ENVS, vectorization_mode="vector_entry_point", scenario="ecommerce"
    )


def run(quick: bool) -> list[Row]:
    """Return the figures of learning."""
    turns = 10 if quick else 40
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        constants, real = (
            Learner(FleetVecEnv(ConstantVectorEnv(N_ENVS)), LARGE),
            Learner(FleetVecEnv(real_env()), LARGE),
        )
        # In turns, and the best of each: a shared machine changes its speed by the minute.
        for _ in range(turns):
            constants.learn()
            real.learn()
        defaults = Learner(DummyVecEnv([ConstantEnv] * 8), DEFAULTS, is_warmed=False)
        defaults.learn()
    finally:
        torch.set_num_threads(n_threads)
    note = f"ecommerce, {N_ENVS:,} users, rollouts of {constants.n_a_rollout:,}, 4 epochs of 4,096, torch on 1 thread"
    ratio, gain = real.rate / constants.rate, constants.rate / defaults.rate
    return [
        Row("MaskablePPO", "steps/s", real.rate, "constants", constants.rate, ratio, LEAST_RATIO, note),
        Row(
            *("MaskablePPO, constants", "steps/s", constants.rate, "SB3's defaults", defaults.rate, gain, None),
            "defaults: DummyVecEnv(8), n_steps 2,048, 10 epochs of 64, over the same constants",
        ),
    ]
