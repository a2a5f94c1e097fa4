"""Let SB3 collect rollouts in which a script acts and a known function values: its own code in all that is tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from tests.agents.rollouts import Keeper, Rollout

Act = Callable[[npt.NDArray[np.float32], Any], npt.NDArray[np.int64]]
Value = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating[Any]]]


def collected(
    algorithm: type[PPO] | type[MaskablePPO],
    venv: VecEnv,
    n_steps: int,
    act: Act,
    value: Value,
    gamma: float,
    keeper: Keeper | None = None,
    seed: int = 7,
    **settings: Any,
) -> Rollout:
    """Return one rollout of n_steps, with lambda = 1.

    Args:
        act: maps observations (E, K) and masks (E, A), None for PPO, to actions (E,).
        value: maps observations (E, K) to values (E,), in the place of the critic.
        keeper: keeps the rollout.
        seed: of the environments.
    """
    model = algorithm(
        *("MlpPolicy", venv), device="cpu", seed=seed, n_steps=n_steps, batch_size=n_steps * venv.num_envs, n_epochs=1,
        gamma=gamma, gae_lambda=1.0, **settings,
    )  # fmt: skip
    policy: Any = model.policy

    def values_of(observations: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(value(observations.numpy()), dtype=torch.float32)[:, None]

    def forward(observations: torch.Tensor, deterministic: bool = False, action_masks: Any = None) -> Any:
        actions = torch.as_tensor(act(observations.numpy(), action_masks))
        return actions, values_of(observations), torch.zeros(len(actions))

    policy.forward, policy.predict_values = forward, values_of
    keeper = Keeper() if keeper is None else keeper
    model.learn(n_steps * venv.num_envs, callback=keeper)
    [rollout] = keeper.rollouts
    return rollout
