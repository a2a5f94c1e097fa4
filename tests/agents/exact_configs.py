"""Configs with which the exact worlds are learned, and how a run is judged there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agents.reinforcement.agent import AnySettings
from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings, PPOSettings
from agents.reinforcement.trainer import SB3Trainer
from simulator.exact.environment import FiniteEnv
from simulator.exact.fatigue import FatigueEnv, FatigueVectorEnv
from simulator.exact.restless import RestlessEnv, RestlessVectorEnv
from simulator.exact.standing import value_of

# The worlds' own discounts, stated per day: exp(-4 / 1440) in 4 hours, .98 in an hour.
DISCOUNT_A, DISCOUNT_D = math.exp(-24 / 1440), 0.98**24


@dataclass(frozen=True)
class ExactRun:
    """An algorithm in a world.

    Attributes:
        env: the world, single.
        users: the world, many users at once, by their number.
        simple, optimum: exact values from the start, as the world's sheet has them.
    """

    settings: AnySettings
    n_users: int
    env: Callable[[], FiniteEnv]
    users: Callable[[int], Any]
    simple: float
    optimum: float

    def trainer(self, seed: int, **changes: Any) -> SB3Trainer:
        settings = self.settings.model_copy(update=changes)
        return SB3Trainer(type(settings).model_validate(settings.model_dump()), self.users(self.n_users), seed)

    def gap_closed(self, trainer: SB3Trainer) -> float:
        """Return (V - V_simple) / (V* - V_simple) of the greedy policy, V computed exactly."""
        env, rng = self.env(), np.random.default_rng(0)
        masks: Any = env.all_action_masks()
        value = value_of(env, lambda seen: trainer.agent.act(seen, masks, rng, is_exploring=False).actions)
        return (value - self.simple) / (self.optimum - self.simple)


WORLD_A: Any = (FatigueEnv, FatigueVectorEnv, 1.20897, 1.24769)
WORLD_D: Any = (RestlessEnv, RestlessVectorEnv, 7.78799, 7.97196)

PPO_A = ExactRun(
    PPOSettings(
        discount_per_day=DISCOUNT_A,
        anneal_steps=1_500_000,
        learning_rate=3e-3,
        n_epochs=5,
        entropy_weight=0.005,
        initial_send_prob=0.3,
    ),
    512,
    *WORLD_A,
)
PPO_D = ExactRun(
    MaskablePPOSettings(
        discount_per_day=DISCOUNT_D,
        anneal_steps=800_000,
        learning_rate=3e-3,
        batch_size=3072,
        entropy_weight=0.005,
        initial_send_prob=0.8,
    ),
    256,
    *WORLD_D,
)
DQN_A = ExactRun(
    DQNSettings(
        discount_per_day=DISCOUNT_A,
        anneal_steps=500_000,
        hidden_sizes=(32, 32),
        learning_rate=1e-3,
        final_learning_rate_share=0.0,
        reward_scale=0.5,
        batch_size=2048,
        n_updates=1,
        return_steps=1,
        buffer_size=500_000,
        target_update_steps=64,
        target_update_share=0.1,
        final_epsilon=0.1,
    ),
    64,
    *WORLD_A,
)


def flip_advantages(trainer: SB3Trainer) -> None:
    """Let PPO learn from advantages of the wrong sign: what is good becomes rare."""
    buffer: Any = trainer.model.rollout_buffer  # type: ignore[union-attr]
    finish = buffer.compute_returns_and_advantage

    def finish_wrongly(last_values: torch.Tensor, dones: Any) -> None:
        finish(last_values, dones)
        buffer.advantages = -buffer.advantages

    buffer.compute_returns_and_advantage = finish_wrongly
