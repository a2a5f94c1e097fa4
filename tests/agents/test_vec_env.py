"""Stable-Baselines3 over a vector environment: what it stores, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_with_masks
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.vec_env import FleetVecEnv
from tests.agents.rollouts import assert_same, learnt
from tests.agents.walk import WalkEnv, WalkVectorEnv
from tests.architecture.imports import ROOT

N = 6
SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


def vector(**changes: Any) -> FleetVecEnv:
    return FleetVecEnv(WalkVectorEnv(N, **changes))


def stepped(venv: FleetVecEnv, n_steps: int) -> list[dict[str, Any]]:
    """Return the infos of all steps, with every walker staying where it is."""
    venv.reset()
    return [info for _ in range(n_steps) for info in venv.step(np.ones(N, np.int64))[3]]


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
@pytest.mark.parametrize(
    "make",
    [
        lambda: WalkVectorEnv(N),
        lambda: WalkVectorEnv(N, has_float_finals=True),
        lambda: SyncVectorEnv([WalkEnv] * N, autoreset_mode=AutoresetMode.SAME_STEP),
    ],
    ids=["object finals", "float finals", "Gymnasium's own"],
)
def test_rollouts_equal_those_over_single_environments(
    algorithm: type[Any], make: Callable[[], VectorEnv[Any, Any, Any]]
) -> None:
    model, ours = learnt(algorithm, FleetVecEnv(make()), 5)
    reference, theirs = learnt(algorithm, DummyVecEnv([lambda: Monitor(WalkEnv())] * N), 5)
    assert_same(ours, theirs)
    for key, weights in model.policy.state_dict().items():
        assert torch.equal(weights, reference.policy.state_dict()[key]), key
    episodes = [(episode["r"], episode["l"]) for episode in model.ep_info_buffer]
    assert episodes == [(episode["r"], episode["l"]) for episode in reference.ep_info_buffer]
    assert len(episodes) > 20


def test_masks_are_obeyed_and_stored() -> None:
    _, rollouts = learnt(MaskablePPO, vector(), 3)
    for rollout in rollouts:
        assert 0.0 < rollout["action_masks"].mean() < 1.0
        assert np.take_along_axis(rollout["action_masks"], rollout["actions"], 2).all()


def test_a_vector_environment_of_others_works() -> None:
    env = gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs=SAME_STEP)
    _, ours = learnt(PPO, FleetVecEnv(env), 2)
    _, theirs = learnt(PPO, DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 4), 2)
    for our, their in zip(ours, theirs, strict=True):
        for name in our:
            np.testing.assert_array_equal(our[name], their[name], err_msg=name)


def test_the_single_environment_passes_the_checker() -> None:
    check_env(WalkEnv())


def test_one_buffer_in_place_of_two_is_refused() -> None:
    with pytest.raises(RuntimeError, match="two successive observations in the same memory; expected two alternating"):
        learnt(PPO, vector(n_buffers=1), 1)


def test_one_buffer_would_corrupt_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the refusal would guard against nothing, and the comparison of rollouts could not see a missing copy."""
    monkeypatch.setattr(np, "shares_memory", lambda *_: False)
    _, ours = learnt(PPO, vector(n_buffers=1), 1)
    _, theirs = learnt(PPO, vector(), 1)
    with pytest.raises(AssertionError, match="rollout 0, observations"):
        assert_same(ours, theirs)


def test_what_a_step_returns_stays_as_it_is() -> None:
    venv = vector(has_float_finals=True)
    venv.seed(1)
    venv.reset()
    kept, copies = [], []
    for _ in range(30):
        _, rewards, dones, infos = venv.step(np.ones(N, np.int64))
        ends = [info["terminal_observation"] for info in infos if info]
        kept.append([rewards, dones, *ends])
        copies.append([array.copy() for array in kept[-1]])
    assert sum(map(len, kept)) > 70, "too few episodes ended"
    for arrays, as_returned in zip(kept, copies, strict=True):
        for array, copy in zip(arrays, as_returned, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_infos_are_empty_but_for_ended_episodes() -> None:
    infos = stepped(vector(), 40)
    ended = [info for info in infos if info]
    assert 0 < len(ended) < len(infos)
    assert all(set(info) == {"terminal_observation", "TimeLimit.truncated", "episode"} for info in ended)
    assert sum(info["episode"]["l"] for info in ended) <= len(infos)


def test_a_reset_in_the_middle_of_an_episode_counts_anew() -> None:
    venv = FleetVecEnv(WalkVectorEnv(N, (5.0,)))  # lasts at most 4 steps
    venv.reset()
    venv.step(np.ones(N, np.int64))
    venv.reset()
    infos, rewards = [], []
    for _ in range(4):
        _, reward, _, new = venv.step(np.ones(N, np.int64))
        infos.append(new)
        rewards.append(reward)
    for i in range(N):
        first = next(k for k in range(4) if infos[k][i])
        assert infos[first][i]["episode"]["l"] == first + 1
        total = sum(reward[i] for reward in rewards[: first + 1])
        assert infos[first][i]["episode"]["r"] == pytest.approx(total, abs=1e-6)  # told to six places


def test_seeds_reach_the_next_reset_only() -> None:
    venv, singles = vector(), [WalkEnv() for _ in range(N)]
    assert venv.seed(5) == [5 + i for i in range(N)]
    expected = [env.reset(seed=5 + i)[0] for i, env in enumerate(singles)]
    np.testing.assert_array_equal(venv.reset(), expected)
    np.testing.assert_array_equal(venv.reset(), [env.reset()[0] for env in singles])


def test_options_reach_the_next_reset_only() -> None:
    venv = vector()
    env: Any = venv.env
    venv.set_options({"day": 3})
    venv.reset()
    assert env.options == {"day": 3}
    venv.reset()
    assert env.options is None
    venv.set_options([{"day": i} for i in range(N)])
    with pytest.raises(ValueError, match="the same options for all environments, got several"):
        venv.reset()


def test_masks_of_all_and_of_some() -> None:
    venv = vector()
    venv.reset()
    expected = venv.vector_infos["action_mask"].astype(bool)
    assert is_masking_supported(venv)
    np.testing.assert_array_equal([mask() for mask in venv.get_attr("action_masks")], expected)
    masks = get_action_masks(venv)
    np.testing.assert_array_equal(masks, expected)
    assert type(masks) is np.ndarray
    assert not np.shares_memory(masks, venv.env_method("action_masks")[0])
    rows = venv.env_method("action_masks")
    assert len(rows) == N
    np.testing.assert_array_equal(np.stack(list(rows)), expected)
    np.testing.assert_array_equal(np.stack(rows, axis=1), expected.T)
    np.testing.assert_array_equal(np.concatenate([rows[0], rows[1]]), expected[:2].ravel())
    np.testing.assert_array_equal(venv.env_method("action_masks", indices=[4, 0]), expected[[4, 0]])
    np.testing.assert_array_equal(venv.env_method("action_masks", indices=2), expected[[2]])


def test_attributes_and_methods_are_those_of_the_vector_environment() -> None:
    venv = vector()
    assert venv.get_attr("has_masks", indices=[0, 3]) == [True, True]
    assert venv.env_method("n_walks", plus=2) == [N + 2] * N
    venv.set_attr("has_masks", False)
    assert venv.get_attr("has_masks") == [False] * N
    assert venv.has_attr("walks")
    assert not venv.has_attr("runs")
    with pytest.raises(AttributeError, match=r"no attribute 'has_mask'\. Did you mean 'has_masks'\?"):
        venv.get_attr("has_mask")
    with pytest.raises(AttributeError, match=r"no attribute 'n_walk'\. Did you mean 'n_walks'\?"):
        venv.env_method("n_walk")
    with pytest.raises(ValueError, match=r"set_attr\('has_masks'\): the environments share one state"):
        venv.set_attr("has_masks", True, indices=0)
    with pytest.raises(ValueError, match=r"env_method\('n_walks'\): the environments share one state"):
        venv.env_method("n_walks", indices=[0, 1])


def test_evaluation_counts_episodes_without_a_warning() -> None:
    venv = vector()
    model = PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=3, device="cpu")
    _, lengths = evaluate_policy(model, venv, n_eval_episodes=12, return_episode_rewards=True)
    assert isinstance(lengths, list)
    assert len(lengths) == 12
    assert min(lengths) >= 1


def test_evaluation_with_masks_may_come_before_any_reset() -> None:
    model, _ = learnt(MaskablePPO, vector(), 1)
    _, lengths = evaluate_with_masks(model, vector(), n_eval_episodes=12, return_episode_rewards=True)
    assert isinstance(lengths, list)
    assert len(lengths) == 12
    with pytest.raises(AttributeError, match="gave no 'action_mask'"):
        evaluate_with_masks(model, vector(has_masks=False))


def test_off_policy_learners_store_what_they_would_over_single_environments() -> None:
    stored: list[Any] = []
    for venv in (vector(), DummyVecEnv([WalkEnv] * N)):
        model = DQN("MlpPolicy", venv, seed=1, device="cpu", learning_starts=50, train_freq=1, buffer_size=5_000)
        model.learn(600)
        stored.append(model.replay_buffer)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        np.testing.assert_array_equal(getattr(stored[0], name), getattr(stored[1], name), err_msg=name)
    assert stored[0].timeouts.any()


def test_observations_may_be_normalised_around_it() -> None:
    _, ours = learnt(PPO, VecNormalize(vector(), norm_reward=False), 2)
    _, theirs = learnt(PPO, VecNormalize(DummyVecEnv([WalkEnv] * N), norm_reward=False), 2)
    for our, their in zip(ours, theirs, strict=True):
        for name in our:
            np.testing.assert_array_equal(our[name], their[name], err_msg=name)


def test_other_autoreset_modes_are_refused() -> None:
    env = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"to be AutoresetMode.SAME_STEP, got AutoresetMode.NEXT_STEP from .*CartPole"):
        FleetVecEnv(env)


def test_a_single_environment_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a gymnasium.vector.VectorEnv, got WalkEnv; SB3 wraps"):
        FleetVecEnv(WalkEnv())  # type: ignore[arg-type]


def test_spaces_of_another_kind_are_refused() -> None:
    env = gymnasium.make_vec("Pendulum-v1", 2, vectorization_mode="sync", vector_kwargs=SAME_STEP)
    with pytest.raises(TypeError, match=r"expected Box observations and Discrete actions, got Box.* and Box"):
        FleetVecEnv(env)


@pytest.mark.parametrize(
    ("actions", "got"),
    [
        (np.zeros((N, 1), np.int64), r"int64 of shape \(6, 1\)"),
        (np.zeros(N - 1, np.int64), r"int64 of shape \(5,\)"),
        (np.zeros(N), r"float64 of shape \(6,\)"),
        (np.zeros(N, bool), r"bool of shape \(6,\)"),
    ],
)
def test_actions_of_a_wrong_shape_or_kind_are_refused(actions: Any, got: str) -> None:
    venv = vector()
    venv.reset()
    with pytest.raises(ValueError, match=rf"integers of shape \(6,\), one an environment; got {got}"):
        venv.step(actions)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"step 1: expected finite rewards; 1 of 6 are not, the first {wrong} of .* 1"):
        learnt(PPO, vector(reward_of_env_1=wrong), 1)


def test_a_step_before_the_reset_is_refused() -> None:
    with pytest.raises(RuntimeError, match="call reset first"):
        vector().step(np.ones(N, np.int64))
    with pytest.raises(AttributeError, match="gave no 'action_mask' yet: call reset first"):
        vector().env_method("action_masks")


def test_an_end_without_its_last_observation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"episodes ended, and WalkVectorEnv.* gave no 'final_obs' in its infos"):
        stepped(vector(has_finals=False), 50)


def test_writing_into_the_shared_infos_is_refused() -> None:
    venv = vector()
    venv.reset()
    infos = venv.step(np.ones(N, np.int64))[3]
    infos[0]["note"] = 1
    with pytest.raises(RuntimeError, match=r"\['note'\] was written into the infos of an episode that goes on"):
        venv.step(np.ones(N, np.int64))


def test_a_mask_that_allows_nothing_is_refused() -> None:
    class Unmasked(WalkEnv):
        def reset(self, **named: Any) -> tuple[Any, dict[str, Any]]:
            return super().reset(**named)[0], {}

    venv = FleetVecEnv(SyncVectorEnv([Unmasked] * N, autoreset_mode=AutoresetMode.SAME_STEP))
    with pytest.raises(ValueError, match=r"'action_mask' that allows some action; that of environment . allows none"):
        stepped(venv, 50)


def test_elapsed_hours_of_ended_episodes_are_found_where_gymnasium_puts_them() -> None:
    venv = FleetVecEnv(SyncVectorEnv([lambda: WalkEnv((6.0,))], autoreset_mode=AutoresetMode.SAME_STEP))
    venv.seed(1)
    venv.reset()
    n_ended = 0
    for _ in range(50):
        n_ended += venv.step(np.ones(1, np.int64))[2].sum()
        assert venv.last_step.elapsed_hours is not None
        np.testing.assert_array_equal(venv.last_step.elapsed_hours, [6.0])
    assert n_ended > 10


def test_masking_without_masks_is_refused() -> None:
    venv = vector(has_masks=False)
    with pytest.raises(ValueError, match="does not support action masking"):
        learnt(MaskablePPO, venv, 1)
    with pytest.raises(AttributeError, match="gave no 'action_mask' in the infos of its last reset or step"):
        venv.env_method("action_masks")


@pytest.mark.parametrize("library", ["stable_baselines3", "sb3_contrib", "gymnasium"])
def test_a_missing_library_names_the_extra(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; sys.path.insert(0, {str(ROOT)!r}); import agents.elapsed_time"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'Training needs {library}, which is not installed: pip install "kairos-notify[train]"' in done.stderr
