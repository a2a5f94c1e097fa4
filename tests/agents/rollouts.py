"""Let SB3 learn, and keep what every rollout held."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

FIELDS = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs", "advantages", "returns")
N_STEPS = 32
Rollout = dict[str, npt.NDArray[Any]]


class Keeper(BaseCallback):
    """Keeps a copy of every rollout's fields, and of each step what a check of them needs.

    Attributes:
        rollouts: of each, SB3's fields and `last_values`, shape (E,), and of each step `step_rewards` (before the
            bootstrap), `terminations`, `truncations` and `end_values` (of an episode's last observation, else 0), shape
            (T, E).
    """

    def __init__(self) -> None:
        super().__init__()
        self.rollouts: list[Rollout] = []
        self.steps: list[tuple[Any, ...]] = []

    def _on_step(self) -> bool:
        infos, dones = self.locals["infos"], self.locals["dones"]
        is_truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        end_values = np.zeros(len(dones))
        for i in np.flatnonzero(dones):
            end_values[i] = self.value(infos[i]["terminal_observation"][None])[0]
        self.steps.append((self.locals["rewards"].copy(), dones & ~is_truncated, is_truncated, end_values))
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.model.rollout_buffer  # type: ignore[attr-defined]
        fields = (*FIELDS, "action_masks") if hasattr(buffer, "action_masks") else FIELDS
        rollout = {name: getattr(buffer, name).copy() for name in fields}
        names = ("step_rewards", "terminations", "truncations", "end_values")
        rollout |= {name: np.array(column) for name, column in zip(names, zip(*self.steps, strict=True), strict=True)}
        rollout["last_values"] = self.value(self.model._last_obs)
        self.rollouts.append(rollout)
        self.steps = []

    def value(self, observations: Any) -> npt.NDArray[np.float64]:
        policy: Any = self.model.policy
        tensor, _ = policy.obs_to_tensor(observations)
        values: npt.NDArray[np.float64] = policy.predict_values(tensor).detach().numpy().flatten().astype(np.float64)
        return values


def learnt(
    algorithm: type[PPO] | type[MaskablePPO], venv: VecEnv, n_rollouts: int, **settings: Any
) -> tuple[Any, list[Rollout]]:
    """Return the model after some rollouts and updates, and the rollouts."""
    settings = {"gamma": 0.9, "n_steps": N_STEPS, "batch_size": 64, "n_epochs": 2, "seed": 7, **settings}
    model = algorithm("MlpPolicy", venv, device="cpu", **settings)
    keeper = Keeper()
    model.learn(n_rollouts * N_STEPS * venv.num_envs, callback=keeper)
    assert len(keeper.rollouts) == n_rollouts
    return model, keeper.rollouts


def assert_same(ours: list[Rollout], theirs: list[Rollout]) -> None:
    """Assert that two lists of rollouts are equal to the last bit, with both kinds of ends inside."""
    for k, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our.keys() == their.keys()
        for name in our:
            np.testing.assert_array_equal(our[name], their[name], err_msg=f"rollout {k}, {name}")
            assert our[name].dtype == their[name].dtype, name
    assert sum(rollout["terminations"].sum() for rollout in ours) > 10
    assert sum(rollout["truncations"].sum() for rollout in ours) > 10
