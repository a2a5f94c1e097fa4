"""Worlds and walks for the tests of lenses: short lives with much happening, and random eligible actions."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from simulator.presets import scenario_of
from tests.simulator.bare import merged

Arrays = npt.NDArray[Any]


def lively(days: int = 4, **changes: Any) -> dict[str, Any]:
    """Return a preset whose users use, order, irritate and leave in days; nested changes as in a scenario file."""
    tree = scenario_of("ecommerce").model_dump(mode="json")
    tree["campaigns"] = [c for c in tree["campaigns"] if c["budget_eur"] is None]
    much: dict[str, Any] = {
        "calendar": {"horizon_days": days},
        "population": {"n_users": 40, "churn_scale_days": 12, "sessions_per_day": 2.0, "mature_share": 0.6},
        "behaviour": {"conversion": {"organic_prob": 0.2, "driven_logit": 0.0}, "withdrawal": {"push_prob": 0.05}},
    }
    return merged(merged(tree, much), changes)


def single(name: str = "kairos/Notify-v0", **arguments: Any) -> Any:
    return gymnasium.make(name, **arguments)


def vector(name: str = "kairos/Notify-v0", num_envs: int = 3, **arguments: Any) -> Any:
    return gymnasium.make_vec(name, num_envs, vectorization_mode="vector_entry_point", **arguments)


def eligible(rng: np.random.Generator, masks: Arrays) -> Arrays:
    """Return one eligible action each, uniformly, shape (U,)."""
    chosen: Arrays = (rng.random(masks.shape) * masks).argmax(axis=1)
    return chosen
