"""All that an SB3 model carries from one portion of training to the next, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import State, require_state
from agents.reinforcement.dqn import MaskedDQN, MaskedReplayBuffer
from agents.training_extra import missing

try:
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm
except ModuleNotFoundError as error:
    raise missing(error) from error

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
DQN_COUNTERS = ("_n_calls", "exploration_rate")
REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "next_masks")
OPTIMIZER = "optimizer."


def model_state(model: BaseAlgorithm) -> State:
    """Return weights, the optimizer's moments, counters, the last observations, and what is remembered for replay.

    A rollout of PPO is used up when a portion ends, and is not kept.
    """
    policy: Any = model.policy
    state: State = {f"policy.{name}": weights.numpy().copy() for name, weights in policy.state_dict().items()}
    for k, moments in policy.optimizer.state_dict()["state"].items():
        state |= {f"{OPTIMIZER}{k}.{name}": value.numpy().copy() for name, value in moments.items()}
    state |= {name: np.asarray(getattr(model, name)) for name in _counters(model)}
    state["last_observations"] = np.array(model._last_obs)
    state["last_episode_starts"] = np.array(model._last_episode_starts)
    if isinstance(model, MaskedDQN):
        buffer = model.replay_buffer
        state |= {"replay.pos": np.asarray(buffer.pos), "replay.full": np.asarray(buffer.full)}
        state |= {f"replay.{name}": _used(buffer, name).copy() for name in (*REPLAY, "next_discounts")}
    return state


def restore_model(model: BaseAlgorithm, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Take up what `model_state` returned.

    Raises:
        ValueError: arrays are missing, unknown or of another shape; nothing has been taken up then.
    """
    plain = {name: array for name, array in state.items() if not name.startswith((OPTIMIZER, "replay."))}
    expected = {name: a.shape for name, a in model_state(model).items() if not name.startswith((OPTIMIZER, "replay."))}
    require_state(expected, plain)
    if isinstance(model, MaskedDQN):
        wanted = {f"replay.{name}" for name in ("pos", "full", *REPLAY, "next_discounts")}
        if missing := sorted(wanted - state.keys()):
            raise ValueError(f"state: expected {sorted(wanted)}; missing {missing}")
    policy: Any = model.policy
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in state.items():
        if name.startswith(OPTIMIZER):
            k, _, moment = name.removeprefix(OPTIMIZER).partition(".")
            moments.setdefault(int(k), {})[moment] = torch.from_numpy(np.array(array))
    policy.load_state_dict(
        {name[7:]: torch.from_numpy(np.array(array)) for name, array in plain.items() if name.startswith("policy.")}
    )
    groups = policy.optimizer.state_dict()["param_groups"]
    policy.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    for name in _counters(model):
        setattr(model, name, state[name].item())
    model._last_obs = np.array(state["last_observations"])
    model._last_episode_starts = np.array(state["last_episode_starts"])
    if isinstance(model, MaskedDQN):
        buffer = model.replay_buffer
        buffer.pos, buffer.full = int(state["replay.pos"]), bool(state["replay.full"])
        for name in (*REPLAY, "next_discounts"):
            _used(buffer, name)[:] = state[f"replay.{name}"]


def _counters(model: BaseAlgorithm) -> tuple[str, ...]:
    return (*COUNTERS, *DQN_COUNTERS) if isinstance(model, MaskedDQN) else COUNTERS


def _used(buffer: MaskedReplayBuffer, name: str) -> npt.NDArray[Any]:
    """Return the part of a buffer's array that has been written."""
    array: npt.NDArray[Any] = getattr(buffer, name)
    return array if buffer.full else array[: buffer.pos]
