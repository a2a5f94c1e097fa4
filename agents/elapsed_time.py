"""Rollout buffers for a semi-Markov problem: a step that takes longer discounts more.

SB3 and sb3-contrib discount every step by gamma. Where the policy acts when something happens, steps last unequally
long, and the value of the next state counts gamma ** (elapsed hours / unit hours): Bradtke & Duff (NIPS 1994);
Sutton, Precup & Singh (1999), section 3. What is earned in a step counts undiscounted at its beginning.

    venv = FleetVecEnv(env)
    MaskablePPO(
        "MlpPolicy",
        venv,
        gamma=0.99,  # a day
        rollout_buffer_class=ElapsedMaskableRolloutBuffer,
        rollout_buffer_kwargs={"last_step": venv.last_step, "unit_hours": 24.0},
    )

A model that is loaded needs the `rollout_buffer_kwargs` again, with the `last_step` of its new environment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.training_extra import missing
from agents.vec_env import LastStep

try:
    import torch
    from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
    from stable_baselines3.common.buffers import RolloutBuffer
except ModuleNotFoundError as error:
    raise missing(error) from error

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]


class ElapsedDiscounts:
    """The discount of every step of a rollout.

    Args:
        last_step: of the `FleetVecEnv` that is stepped.
        unit_hours: hours over which gamma discounts once, > 0.

    Attributes:
        discounts: gamma ** (elapsed / unit), shape (T, E).
    """

    def __init__(self, last_step: LastStep, unit_hours: float) -> None:
        if not isinstance(last_step, LastStep):
            raise TypeError(f"last_step: expected FleetVecEnv.last_step, got {type(last_step).__name__}")
        if not (math.isfinite(unit_hours) and unit_hours > 0):
            raise ValueError(f"unit_hours: expected hours > 0, got {unit_hours}")
        self.last_step = last_step
        self.unit_hours = unit_hours
        self.gamma = 1.0
        self.discounts: Float64s = np.ones((0, 0))
        self._n_steps_seen = last_step.n_steps

    def begin(self, n_steps: int, n_envs: int, gamma: float) -> None:
        """Begin a rollout of shape (T, E)."""
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma: expected 0 < gamma <= 1 to discount by elapsed time, got {gamma}")
        if n_envs != len(self.last_step.rewards):
            raise ValueError(
                f"last_step: expected that of the {n_envs} environments being stepped, got one of "
                f"{len(self.last_step.rewards)}"
            )
        self.gamma = gamma
        self.discounts = np.ones((n_steps, n_envs))
        self._n_steps_seen = self.last_step.n_steps

    def take(self, step: int, rewards: npt.NDArray[np.floating[Any]]) -> Float32s:
        """Keep the discounts of the step just made, and return its rewards with the right bootstrap.

        To the reward of a truncated step SB3 has added gamma * V(last observation): gamma ** dt is due.

        Args:
            step: index in the rollout.
            rewards: as SB3 hands them to a buffer, shape (E,).

        Returns:
            Rewards, shape (E,).

        Raises:
            RuntimeError: the environment stepped is not the one of `last_step`, or something in between changed
                rewards.
            ValueError: the environment does not tell the elapsed hours, or they are negative or not finite.
        """
        last = self.last_step
        if last.n_steps != self._n_steps_seen + 1:
            raise RuntimeError(
                f"last_step: expected one step of its environment for each step of the rollout, got "
                f"{last.n_steps - self._n_steps_seen}. Give rollout_buffer_kwargs the last_step of the FleetVecEnv "
                f"that is stepped, and give them to load, too, when a model is loaded"
            )
        self._n_steps_seen = last.n_steps
        exponents = self._units(last.elapsed_hours)
        self.discounts[step] = self.gamma**exponents
        bonus = rewards.astype(np.float64) - last.rewards
        if bonus[~last.is_truncated].any():
            raise RuntimeError(
                "rewards: expected those that FleetVecEnv returned; a wrapper around it changes them (VecNormalize?). "
                "Wrap the VectorEnv inside it instead: gymnasium.wrappers.vector.NormalizeReward"
            )
        return (last.rewards + bonus * self.gamma ** (exponents - 1.0)).astype(np.float32)

    def _units(self, elapsed_hours: Float64s | None) -> Float64s:
        if elapsed_hours is None:
            raise ValueError("elapsed_hours: expected in the infos of every step, got none")
        is_right = np.isfinite(elapsed_hours) & (elapsed_hours >= 0)
        if not is_right.all():
            i = int(np.argmin(is_right))
            raise ValueError(f"elapsed_hours: expected finite hours >= 0, got {elapsed_hours[i]} of environment {i}")
        return elapsed_hours / self.unit_hours


def advantages(
    rewards: Float32s,
    values: Float32s,
    episode_starts: Float32s,
    last_values: Float32s,
    dones: npt.NDArray[np.bool_],
    discounts: Float64s,
    gae_lambda: float,
) -> Float32s:
    """Return generalised advantage estimates with a discount of each step's own.

    delta_t = r_t + d_t V_{t+1} - V_t and A_t = delta_t + d_t lambda A_{t+1}, cut where an episode ends: Schulman et
    al. (ICLR 2016), eq. 16, with d_t in the place of gamma. In float32 and in SB3's order, so that equal discounts
    give SB3's results to the last bit.

    Args:
        rewards: with the bootstrap of truncated episodes in them, shape (T, E).
        values: of the observations acted on, shape (T, E).
        episode_starts: 1 where an observation is the first of an episode, shape (T, E).
        last_values: of the observations after the last step, shape (E,).
        dones: whether the last step ended an episode, shape (E,).
        discounts: d, shape (T, E).
        gae_lambda: in [0, 1].
    """
    one_step, traced = discounts.astype(np.float32), (discounts * gae_lambda).astype(np.float32)
    goes_on = 1.0 - np.concatenate([episode_starts[1:], dones[None]]).astype(np.float32)
    next_values = np.concatenate([values[1:], last_values[None]])
    deltas = rewards + one_step * next_values * goes_on - values
    traced = traced * goes_on
    out: Float32s = np.empty_like(deltas)
    later = np.zeros_like(last_values)
    for step in reversed(range(len(deltas))):
        later = out[step] = deltas[step] + traced[step] * later
    return out


class ElapsedRolloutBuffer(RolloutBuffer):
    """SB3's rollout buffer, discounting by elapsed time; for PPO and A2C.

    Args:
        last_step, unit_hours: see `ElapsedDiscounts`; all others are SB3's.
    """

    def __init__(self, *args: Any, last_step: LastStep, unit_hours: float, **kwargs: Any) -> None:
        self.elapsed = ElapsedDiscounts(last_step, unit_hours)
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Begin a rollout."""
        super().reset()
        self.elapsed.begin(self.buffer_size, self.n_envs, self.gamma)

    def add(
        self,
        obs: npt.NDArray[Any],
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        episode_start: npt.NDArray[Any],
        value: torch.Tensor,
        log_prob: torch.Tensor,
    ) -> None:
        """Keep a step, as SB3 does, and how long it took."""
        super().add(obs, action, self.elapsed.take(self.pos, reward), episode_start, value, log_prob)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[np.bool_]) -> None:
        """Fill in `advantages` and `returns`, shape (T, E)."""
        _finish(self, self.elapsed.discounts, last_values, dones)


class ElapsedMaskableRolloutBuffer(MaskableRolloutBuffer):
    """sb3-contrib's maskable rollout buffer, discounting by elapsed time; for MaskablePPO.

    Args:
        last_step, unit_hours: see `ElapsedDiscounts`; all others are sb3-contrib's.
    """

    def __init__(self, *args: Any, last_step: LastStep, unit_hours: float, **kwargs: Any) -> None:
        self.elapsed = ElapsedDiscounts(last_step, unit_hours)
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Begin a rollout."""
        super().reset()
        self.elapsed.begin(self.buffer_size, self.n_envs, self.gamma)

    def add(  # type: ignore[override] # sb3-contrib takes *args and hands them on to SB3's buffer
        self,
        obs: npt.NDArray[Any],
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        episode_start: npt.NDArray[Any],
        value: torch.Tensor,
        log_prob: torch.Tensor,
        action_masks: npt.NDArray[Any] | None = None,
    ) -> None:
        """Keep a step, as sb3-contrib does, and how long it took."""
        reward = self.elapsed.take(self.pos, reward)
        super().add(obs, action, reward, episode_start, value, log_prob, action_masks=action_masks)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[np.bool_]) -> None:
        """Fill in `advantages` and `returns`, shape (T, E)."""
        _finish(self, self.elapsed.discounts, last_values, dones)


def _finish(
    buffer: RolloutBuffer, discounts: Float64s, last_values: torch.Tensor, dones: npt.NDArray[np.bool_]
) -> None:
    last = last_values.detach().cpu().numpy().flatten()
    buffer.advantages = advantages(
        buffer.rewards, buffer.values, buffer.episode_starts, last, dones, discounts, buffer.gae_lambda
    )
    buffer.returns = buffer.advantages + buffer.values
