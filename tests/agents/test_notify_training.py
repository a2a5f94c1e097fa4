"""SB3 over the simulator's own environments: what it stores is what it would store over single ones."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.vec_env import FleetVecEnv
from simulator.environments import IDS
from simulator.presets import scenario_of
from tests.agents.rollouts import assert_same, learnt

N = 12
HORIZON_DAYS = {"kairos/Notify-v0": 2, "kairos/NotifyCandidates-v0": 4, "kairos/NotifyDaily-v0": 9}


def restless_world(horizon_days: int) -> dict[str, Any]:
    """Users who leave within days: churn and the horizon end about as many episodes."""
    world = scenario_of("ecommerce").model_dump(mode="json")
    world["calendar"]["horizon_days"] = horizon_days
    world["population"] |= {"churn_scale_days": 1.5, "mature_age_days": 5.0, "mature_share": 1.0}
    return world


def fleet(name: str, **arguments: Any) -> FleetVecEnv:
    world = restless_world(HORIZON_DAYS[name])
    return FleetVecEnv(
        gymnasium.make_vec(name, N, vectorization_mode="vector_entry_point", scenario=world, **arguments)
    )


def singles(name: str, **arguments: Any) -> DummyVecEnv:
    world = restless_world(HORIZON_DAYS[name])
    return DummyVecEnv([lambda: Monitor(gymnasium.make(name, scenario=world, **arguments))] * N)


@pytest.mark.parametrize(("algorithm", "on_ineligible"), [(PPO, "no_send"), (MaskablePPO, "error")])
@pytest.mark.parametrize("name", IDS)
def test_rollouts_over_the_fleet_equal_those_over_single_environments(
    name: str, algorithm: type[Any], on_ineligible: str
) -> None:
    """All fields, to the last bit, over updates that would carry a difference on."""
    model, ours = learnt(algorithm, fleet(name, on_ineligible=on_ineligible), 6)
    reference, theirs = learnt(algorithm, singles(name, on_ineligible=on_ineligible), 6)
    assert_same(ours, theirs)
    for key, weights in model.policy.state_dict().items():
        assert torch.equal(weights, reference.policy.state_dict()[key]), key
    episodes = [(episode["r"], episode["l"]) for episode in model.ep_info_buffer]
    assert episodes == [(episode["r"], episode["l"]) for episode in reference.ep_info_buffer]


@pytest.mark.parametrize("name", IDS)
def test_a_masked_action_is_never_taken(name: str) -> None:
    """The environment would raise at one; the masks stored with the actions show that there was something to bar."""
    _, rollouts = learnt(MaskablePPO, fleet(name), 4)
    masks = np.concatenate([rollout["action_masks"] for rollout in rollouts])
    actions = np.concatenate([rollout["actions"] for rollout in rollouts])
    assert np.take_along_axis(masks, actions, 2).all()
    assert 0.0 < masks[..., 1:].mean() < 0.9
    assert (actions > 0).mean() > 0.1, "it sends"
