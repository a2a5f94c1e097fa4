"""A walk whose steps last unequally long: single, and as a vector environment in the form that the simulator's have.

The two share one law and one use of random numbers, so environment i of the vector is the single one, seeded i further.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

N_ACTIONS = 3
HORIZON_HOURS = 20.0
EDGE = 3
UNEQUAL_HOURS = (0.5, 1.0, 2.0, 5.0)
OBSERVATIONS = gymnasium.spaces.Box(-1.0, 2.0, (3,), np.float32)
ACTIONS = gymnasium.spaces.Discrete(N_ACTIONS)


class Walk:
    """One walker: down, stay or up; over either edge it is lost (terminated), and its time is limited (truncated)."""

    def __init__(self, hours: tuple[float, ...]) -> None:
        self.hours = hours
        self.rng = np.random.default_rng()
        self.position = 0
        self.now_hours = 0.0

    def begin(self) -> None:
        self.position = int(self.rng.integers(-1, 2))
        self.now_hours = 0.0

    def observe(self) -> npt.NDArray[np.float32]:
        values = (self.position / EDGE, self.now_hours / HORIZON_HOURS, self.rng.uniform(-1, 1))
        return np.clip(np.array(values, np.float32), -1, 2)

    def mask(self) -> npt.NDArray[np.int8]:
        return np.array([1, self.position != 0, self.position < 2], np.int8)

    def act(self, action: int) -> tuple[float, float, bool, bool]:
        """Return reward, elapsed hours, terminated, truncated."""
        elapsed_hours = float(self.rng.choice(self.hours))
        self.position += action - 1 + int(self.rng.integers(-1, 2))
        self.now_hours += elapsed_hours
        reward = 1.0 - abs(self.position) / 7 + self.rng.normal()
        return reward, elapsed_hours, abs(self.position) >= EDGE, self.now_hours >= HORIZON_HOURS


class WalkEnv(gymnasium.Env[npt.NDArray[np.float32], np.int64]):
    """One walker as a Gymnasium environment."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it an attribute of the instance

    def __init__(self, hours: tuple[float, ...] = UNEQUAL_HOURS) -> None:
        self.observation_space = OBSERVATIONS
        self.action_space = ACTIONS
        self.walk = Walk(hours)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.walk.rng = np.random.default_rng(seed)
        self.walk.begin()
        return self.walk.observe(), {"action_mask": self.walk.mask()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward, elapsed_hours, terminated, truncated = self.walk.act(int(action))
        infos = {"action_mask": self.walk.mask(), "elapsed_hours": elapsed_hours}
        return self.walk.observe(), reward, terminated, truncated, infos

    def action_masks(self) -> npt.NDArray[np.int8]:
        return self.walk.mask()


class WalkVectorEnv(VectorEnv[npt.NDArray[np.float32], Any, Any]):
    """Walkers in two alternating buffers, last observations in an object array or in a float one that is reused.

    The keyword arguments but `hours` break the contract, or keep it in another way, for a test to see what follows.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - as above

    def __init__(
        self,
        num_envs: int,
        hours: tuple[float, ...] = UNEQUAL_HOURS,
        *,
        n_buffers: int = 2,
        has_float_finals: bool = False,
        has_masks: bool = True,
        has_hours: bool = True,
        has_finals: bool = True,
        reward_of_env_1: float | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = OBSERVATIONS, ACTIONS
        self.observation_space = gymnasium.vector.utils.batch_space(OBSERVATIONS, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(ACTIONS, num_envs)
        self.walks = [Walk(hours) for _ in range(num_envs)]
        self.observations = [np.zeros((num_envs, 3), np.float32) for _ in range(n_buffers)]
        self.masks = [np.zeros((num_envs, N_ACTIONS), np.int8) for _ in range(n_buffers)]
        self.finals = np.zeros((num_envs, 3), np.float32)
        self.n_written = 0
        self.has_float_finals, self.has_finals = has_float_finals, has_finals
        self.has_masks, self.has_hours = has_masks, has_hours
        self.reward_of_env_1 = reward_of_env_1
        self.options: dict[str, Any] | None = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.options = options
        for i, walk in enumerate(self.walks):
            if seed is not None:
                walk.rng = np.random.default_rng(seed + i)
            walk.begin()
        return self._written([walk.observe() for walk in self.walks])

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        outcomes = [walk.act(int(action)) for walk, action in zip(self.walks, actions, strict=True)]
        rewards, hours, terminations, truncations = (np.array(column) for column in zip(*outcomes, strict=True))
        finals = np.full(self.num_envs, None, object)
        observations = [walk.observe() for walk in self.walks]
        for i in np.flatnonzero(terminations | truncations):
            finals[i] = self.finals[i] = observations[i]
            self.walks[i].begin()
            observations[i] = self.walks[i].observe()
        observation, infos = self._written(observations)
        if self.has_hours:
            infos["elapsed_hours"] = hours
        if self.has_finals and (terminations | truncations).any():
            infos["final_obs"] = self.finals if self.has_float_finals else finals
            infos["_final_obs"] = terminations | truncations
        if self.reward_of_env_1 is not None:
            rewards[1] = self.reward_of_env_1
        return observation, rewards, terminations, truncations, infos

    def n_walks(self, plus: int = 0) -> int:
        return len(self.walks) + plus

    def _written(self, observations: list[npt.NDArray[np.float32]]) -> tuple[Any, dict[str, Any]]:
        k = self.n_written % len(self.observations)
        self.n_written += 1
        self.observations[k][:] = observations
        self.masks[k][:] = [walk.mask() for walk in self.walks]
        return self.observations[k], {"action_mask": self.masks[k]} if self.has_masks else {}
