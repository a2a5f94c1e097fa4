"""What the environments say of bad input: what was expected, what was got, where; and nothing happens silently."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from simulator.environments.vector import NotifyVectorEnv
from tests.simulator.seated import POPULATION, SINGLE_IDS, N, scenario, vector


def test_an_ineligible_action_is_an_error_that_says_why():
    env = vector("kairos/Notify-v0", scenario=scenario())
    _, infos = env.reset(seed=1)
    i, action = np.argwhere(infos["action_mask"] == 0)[0]
    actions = np.zeros(N, np.int64)
    actions[i] = action
    with pytest.raises(
        ValueError, match=rf"sub-environment {i}: action {action} \(slot\d.(push|email)\) is not eligible: "
    ):
        env.step(actions)
    hour = infos["hour"].copy()
    assert np.array_equal(env.reset(options={"reset_mask": np.zeros(N, np.bool_)})[1]["hour"], hour), "nothing happened"


@pytest.mark.parametrize("name", [*SINGLE_IDS, POPULATION])
def test_an_ineligible_action_is_a_told_silence_if_so_configured(name):
    """It earns and costs what silence does, and the reason is told."""
    arguments: dict[str, Any] = {"scenario": scenario(population__n_users=N), "on_ineligible": "no_send"}
    env, silent = vector(name, **arguments), vector(name, **arguments)
    _, infos = env.reset(seed=6)
    silent.reset(seed=6)
    for _ in range(40):
        masked = (infos["action_mask"] == 0).argmax(axis=1)
        assert masked.any()
        expected = infos["reasons"][np.arange(N), masked]
        observations, rewards, terminated, truncated, infos = env.step(masked)
        plain, silent_rewards, *_ = silent.step(np.zeros(N, np.int64))
        assert np.array_equal(infos["refusals"], np.where(masked > 0, expected, 0))
        assert np.array_equal(rewards, silent_rewards)
        assert np.array_equal(observations, plain)
        if name == POPULATION and (terminated | truncated).all():
            break


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros(N), r"actions: expected integers, got float64"),
        (np.zeros(N - 1, int), rf"actions: expected shape \({N},\), got \({N - 1},\)"),
        (np.zeros((N, 1), int), rf"actions: expected shape \({N},\), got \({N}, 1\)"),
        (np.full(N, 9), r"actions: expected 0 to 8, got 9 at sub-environment 0"),
        (np.full(N, -1), r"actions: expected 0 to 8, got -1 at sub-environment 0"),
    ],
)
@pytest.mark.parametrize("name", ["kairos/Notify-v0", POPULATION])
def test_actions_of_the_wrong_kind_are_told(name, actions, message):
    env = vector(name, scenario=scenario())
    env.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        env.step(actions)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scenario": "ecomerce"}, ValueError, r"no preset 'ecomerce'; known: ecommerce, .*Did you mean 'ecommerce'\?"),
        ({"scenario": "my.yaml"}, ValueError, r"Read a file with experiments.config.load_scenario"),
        ({"scenario": 3}, TypeError, r"expected a preset's name, a Scenario or its data, got int"),
        ({"mode": "daily", "epoch_hours": 4}, ValueError, r"epoch_hours: expected 24 for mode 'daily', got 4"),
        ({"epoch_hours": 5}, ValueError, r"epoch_hours: expected 1, 2, 3, 4, 6, 8, 12, 24 for mode 'notify', got 5"),
        ({"n_slots": 0}, ValueError, r"n_slots: expected a whole number from 1 to 64, got 0"),
        ({"n_slots": 2.0}, ValueError, r"n_slots: expected a whole number from 1 to 64, got 2.0"),
        ({"on_ineligible": "ignore"}, ValueError, r"on_ineligible: expected 'error' or 'no_send', got 'ignore'"),
        (
            {"trigger": "events"},
            ValueError,
            r"trigger: expected 'clock' or 'event', got 'events'. Did you mean 'event'\?",
        ),
        ({"discount_per_hour": 0.0}, ValueError, r"discount_per_hour: expected above 0 and at most 1, got 0.0"),
        ({"most_wait_hours": 0}, ValueError, r"most_wait_hours: expected a whole number from 1 to 744, got 0"),
        ({"render_mode": "human"}, ValueError, r"there is nothing to render; expected None, got 'human'"),
    ],
)
def test_bad_arguments_are_told(arguments, error, message):
    with pytest.raises(error, match=message):
        NotifyVectorEnv(2, **arguments)


def test_a_seed_or_an_option_of_the_wrong_kind_is_told():
    env = vector("kairos/Notify-v0", scenario=scenario())
    with pytest.raises(ValueError, match=rf"seed: expected one integer or {N}, got 2"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"seed: expected 0 to 2\*\*63 - 1, got -6"):
        env.reset(seed=-6)
    with pytest.raises(ValueError, match=r"options: expected 'reset_mask' or nothing, got 'mask'"):
        env.reset(options={"mask": None})
    with pytest.raises(
        ValueError, match=rf"options\['reset_mask'\]: expected bool of shape \({N},\), got int64 of \(3,\)"
    ):
        env.reset(options={"reset_mask": np.ones(3, np.int64)})


def test_stepping_too_early_or_too_late_is_told():
    env = gymnasium.make("kairos/Notify-v0", horizon_days=1)
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        env.step(0)
    env.reset(seed=1)
    while not any(env.step(0)[2:4]):
        pass
    with pytest.raises(gymnasium.error.ResetNeeded, match="this episode is over; call reset"):
        env.step(0)
