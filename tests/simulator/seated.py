"""Environments small enough for tests, and random actions that they allow."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from experiments.config import load_scenario
from simulator.config import Scenario
from simulator.environments import IDS

SINGLE_IDS = tuple(IDS)
POPULATION = "kairos/Population-v0"
N = 6


def scenario(preset: str = "ecommerce", **overrides: Any) -> Scenario:
    """A preset without budgets, small and short; overrides by dotted path."""
    small = {"population.n_users": 200, "calendar.horizon_days": 12} | {
        key.replace("__", "."): value for key, value in overrides.items()
    }
    world = load_scenario(preset, overrides=small)
    return world.model_copy(update={"campaigns": tuple(c for c in world.campaigns if c.budget_eur is None)})


def vector(name: str, num_envs: int = N, **arguments: Any) -> Any:
    return gymnasium.make_vec(name, num_envs, vectorization_mode="vector_entry_point", **arguments)


def random_actions(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    """One eligible action each, uniformly; sends are preferred to silence where there are any."""
    chosen: np.ndarray = (rng.random(masks.shape) * masks).argmax(axis=1)
    return chosen
