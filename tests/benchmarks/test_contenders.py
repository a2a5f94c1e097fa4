"""Both learn in the same environment; SB3 as it comes has its own defaults, and nothing of ours but what is shared."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.vec_env import FleetVecEnv
from experiments.training.environments import training_env
from experiments.training.source import Plan, load_training
from tests.benchmarks.contenders import N_SINGLE, Single, single_env, theirs, tuned

torch.set_num_threads(1)

SMALL = {"seed": 7, "environment.n_users": N_SINGLE, "environment.horizon_days": 10, "environment.spread_hours": 200}


def small_plan(**settings: Any) -> Plan:
    return load_training("users-maskable-ppo", SMALL | settings)


def test_single_users_see_and_earn_what_the_users_side_by_side_do() -> None:
    """To the last bit, over ends of episodes, by actions drawn among those eligible."""
    plan = small_plan()
    ours, singles = FleetVecEnv(training_env(plan)), DummyVecEnv([lambda: single_env(plan)] * N_SINGLE)
    rng = np.random.default_rng(1)
    for env in (ours, singles):
        env.seed(7)
    np.testing.assert_array_equal(ours.reset(), singles.reset())
    n_ended = n_sent = 0
    for _ in range(300):
        masks = np.stack(singles.env_method("action_masks"))
        np.testing.assert_array_equal(np.stack(ours.env_method("action_masks")), masks)
        actions = np.where(rng.uniform(size=N_SINGLE) < 0.1, (rng.uniform(size=masks.shape) * masks).argmax(axis=1), 0)
        n_sent += int(np.count_nonzero(actions))
        observations, rewards, dones, _ = singles.step(actions)
        of_ours = ours.step(actions)
        np.testing.assert_array_equal(of_ours[0], observations)
        np.testing.assert_array_equal(of_ours[1], rewards)
        np.testing.assert_array_equal(of_ours[2], dones)
        n_ended += int(np.count_nonzero(dones))
    assert n_ended >= N_SINGLE
    assert n_sent > 50


def test_rewards_are_scaled_as_the_agents_are() -> None:
    plain, scaled = single_env(small_plan()), single_env(small_plan(**{"agent.reward_scale": 4.0}))
    earned = []
    for env in (plain, scaled):
        env.reset(seed=11)
        earned.append([float(env.step(0 if k % 24 else int(_last_eligible(env)))[1]) for k in range(40)])
    assert np.any(earned[0])
    np.testing.assert_array_equal(4.0 * np.asarray(earned[0]), earned[1])


def _last_eligible(env: Any) -> Any:
    return np.flatnonzero(env.get_wrapper_attr("action_masks")())[-1]


@pytest.fixture(scope="module")
def theirs_small() -> Single:
    return theirs(small_plan())


def test_theirs_has_the_defaults_of_sb3(theirs_small: Single) -> None:
    model, signature = theirs_small.model, inspect.signature(MaskablePPO.__init__).parameters
    for name in ("n_steps", "batch_size", "n_epochs", "gae_lambda", "ent_coef", "vf_coef", "learning_rate"):
        assert getattr(model, name) == signature[name].default, name
    assert model.n_envs == 8
    bias = model.policy.get_parameter("action_net.bias").detach().numpy()
    np.testing.assert_array_equal(bias, np.zeros_like(bias))


def test_theirs_shares_discount_and_network(theirs_small: Single) -> None:
    assert theirs_small.model.gamma**12 == pytest.approx(0.99, rel=1e-12), "a decision every two hours"
    shapes = {tuple(weights.shape) for weights in theirs_small.model.policy.mlp_extractor.parameters()}
    n_features = theirs_small.agent.problem.n_features
    assert shapes == {(64, n_features), (64,), (64, 64)}


def test_tuned_has_the_rollouts_and_the_start_of_the_config() -> None:
    small = tuned(small_plan(**{"agent.n_steps": 32, "agent.batch_size": 64}))
    assert small.model.n_steps * small.model.n_envs == 32 * N_SINGLE
    assert small.model.n_epochs == 4
    assert small.model.policy.get_parameter("action_net.bias").detach().numpy()[0] > 0.0
    small.learn()
    assert small.n_steps == 32 * N_SINGLE
    assert small.model._n_updates == 4
