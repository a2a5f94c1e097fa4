"""What every lens keeps of the environments' contract: checkers, spaces, names, autoreset, buffers, seeds, masks."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.vec_env import FleetVecEnv
from simulator.environments.lenses import (
    CLICKS,
    EXPECTED_CONVERSION,
    History,
    LensEnv,
    LensVectorEnv,
    Normalisation,
    OracleObservation,
    RewardParts,
    RunningNormalisation,
    Shaping,
    wrap,
)
from tests.simulator.lens_worlds import eligible, lively, single, vector

SHAPING = Shaping(0.9995, {"push": 0.002, "email": 0.0005})
LENSES: dict[str, tuple[Any, ...]] = {
    "oracle": (OracleObservation(),),
    "expected": (RewardParts(EXPECTED_CONVERSION),),
    "clicks": (RewardParts(CLICKS),),
    "shaping": (SHAPING,),
    "history": (History(3),),
    "normalised": (Normalisation(),),
    "all": (OracleObservation(), RewardParts(EXPECTED_CONVERSION), SHAPING, Normalisation(), History(2)),
}
RUNNING = (RunningNormalisation(),)
NAMES = ("kairos/Notify-v0", "kairos/NotifyDaily-v0", "kairos/NotifyCandidates-v0")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lenses", LENSES.values(), ids=LENSES.keys())
def test_gymnasiums_checker_is_content(name, lenses):
    env = wrap(single(name, scenario=lively(), on_ineligible="no_send"), *lenses)
    with warnings.catch_warnings():
        # The checker warns of every wrapper; this one is what is to be checked.
        warnings.filterwarnings("ignore", message=r".*is different from the unwrapped version")
        check_env(env)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lenses", LENSES.values(), ids=LENSES.keys())
def test_the_vector_form_is_the_single_form_user_by_user(name, lenses):
    """To the last bit, over several episodes, with the last observations of each and whatever the lens tells."""
    world = lively(days=6)
    env = wrap(vector(name, 3, scenario=world), *lenses)
    singles = [wrap(single(name, scenario=world), *lenses) for _ in range(3)]
    assert env.single_observation_space == singles[0].observation_space
    assert env.observation_names == singles[0].get_wrapper_attr("observation_names")
    observations, infos = env.reset(seed=40)
    for i, one in enumerate(singles):
        observation, info = one.reset(seed=40 + i)
        assert observation.tobytes() == observations[i].tobytes()
        assert_same_infos(info, infos, i)
    rng = np.random.default_rng(1)
    n_terminated = n_truncated = 0
    while n_terminated < 2 or n_truncated < 3:
        actions = eligible(rng, infos["action_mask"])
        observations, rewards, terminated, truncated, infos = env.step(actions)
        n_terminated, n_truncated = n_terminated + terminated.sum(), n_truncated + truncated.sum()
        for i, one in enumerate(singles):
            observation, reward, is_over, is_cut, info = one.step(actions[i])
            assert (reward, is_over, is_cut) == (rewards[i], terminated[i], truncated[i])
            for key in ("reward_items", "shaping"):
                assert np.array_equal(info.get(key, 0.0), infos[key][i] if key in infos else 0.0)
            if is_over or is_cut:
                assert infos["_final_obs"][i]
                assert observation.tobytes() == infos["final_obs"][i].tobytes()
                observation, info = one.reset()
                assert np.array_equal(
                    info.get("potential", 0.0), infos["potential"][i] if "potential" in infos else 0.0
                )
            else:
                assert_same_infos(info, infos, i)
            assert observation.tobytes() == observations[i].tobytes()
        if "final_obs" in infos:
            assert not infos["final_obs"][~infos["_final_obs"]].any()


def assert_same_infos(info: dict[str, Any], infos: dict[str, Any], i: int) -> None:
    for key, value in info.items():
        assert np.array_equal(value, infos[key][i]), key


@pytest.mark.parametrize("lenses", [*LENSES.values(), RUNNING], ids=[*LENSES.keys(), "running"])
def test_observations_lie_within_their_space_and_are_named(lenses):
    env = wrap(vector(num_envs=8, scenario=lively()), *lenses)
    assert len(env.observation_names) == len(set(env.observation_names)) == env.single_observation_space.shape[0]
    assert env.observation_space.shape == (8, len(env.observation_names))
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observations, infos = env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(150):
        assert observations.dtype == np.float32
        assert env.observation_space.contains(observations)
        assert np.array_equal(infos["action_mask"], env.action_masks())
        observations, rewards, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        assert (rewards.dtype, rewards.shape) == (np.float64, (8,))
        assert np.isfinite(rewards).all()
        if "final_obs" in infos:
            assert env.observation_space.contains(infos["final_obs"])


@pytest.mark.parametrize("lenses", [*LENSES.values(), RUNNING], ids=[*LENSES.keys(), "running"])
def test_what_a_step_returns_is_not_overwritten_by_the_next(lenses):
    env = wrap(vector(num_envs=8, scenario=lively(days=2)), *lenses)
    observations, infos = env.reset(seed=3)
    kept = observations, infos
    copies = observations.copy(), {key: np.copy(value) for key, value in infos.items()}
    rng = np.random.default_rng(0)
    for _ in range(60):
        observations, rewards, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        assert not np.shares_memory(observations, kept[0])
        assert np.array_equal(kept[0], copies[0])
        for key, value in copies[1].items():
            assert np.array_equal(kept[1][key], value), key
        kept = observations, {**infos, "rewards": rewards}
        copies = observations.copy(), {key: np.copy(value) for key, value in kept[1].items()}


@pytest.mark.parametrize("lenses", LENSES.values(), ids=LENSES.keys())
def test_a_lens_does_not_change_what_happens(lenses):
    plain, seen = vector(num_envs=8, scenario=lively()), wrap(vector(num_envs=8, scenario=lively()), *lenses)
    _, infos = plain.reset(seed=9)
    seen.reset(seed=9)
    rng = np.random.default_rng(4)
    for _ in range(200):
        actions = eligible(rng, infos["action_mask"])
        _, _, terminated, truncated, infos = plain.step(actions)
        _, _, seen_terminated, seen_truncated, seen_infos = seen.step(actions)
        assert np.array_equal(terminated, seen_terminated)
        assert np.array_equal(truncated, seen_truncated)
        for key, value in infos.items():
            if key != "final_obs":
                assert np.array_equal(value, seen_infos[key]), key
        for part in ("users", "history", "tally"):
            ours, theirs = getattr(plain.unwrapped.seats, part), getattr(seen.unwrapped.seats, part)
            assert ours.tobytes() == theirs.tobytes(), part


@pytest.mark.parametrize("lenses", [*LENSES.values(), RUNNING], ids=[*LENSES.keys(), "running"])
def test_a_reset_of_some_leaves_the_others_alone(lenses):
    """Autoreset DISABLED: the caller resets; the layers remember the rows that go on."""
    env = wrap(vector(num_envs=4, scenario=lively(), autoresets=False), *lenses)
    _, infos = env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        observations, _, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
    mask = np.asarray([False, True, False, True])
    if lenses is RUNNING:
        n_before = env.layer.count
    again, _ = env.reset(options={"reset_mask": mask})
    if lenses is RUNNING:  # its moments move with what is new, and with nothing else
        assert env.layer.count == n_before + mask.sum()
        return
    assert np.array_equal(again[~mask], observations[~mask])
    assert not (again[mask] == observations[mask]).all(axis=1).any()


@pytest.mark.parametrize("lenses", [LENSES["all"], RUNNING], ids=["all", "running"])
def test_equal_seeds_give_equal_walks(lenses):
    walks = []
    for _ in range(2):
        env = wrap(vector(num_envs=4, scenario=lively()), *lenses)
        observations, infos = env.reset(seed=[5, 6, 7, 8])
        rng = np.random.default_rng(0)
        walk = [observations.tobytes()]
        for _ in range(50):
            observations, rewards, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
            walk += [observations.tobytes(), rewards.tobytes()]
        walks.append(walk)
    assert walks[0] == walks[1]


def test_lenses_look_at_a_population_too():
    """Whose users all live one hour, stay where they are when they have left, and share a world."""
    env = wrap(
        vector("kairos/Population-v0", 40, scenario=lively(days=3, population={"churn_scale_days": 1})), *LENSES["all"]
    )
    observations, infos = env.reset(seed=2)
    rng = np.random.default_rng(0)
    discounted = np.zeros(40)
    first, hours = infos["potential"], 0.0
    while True:
        assert env.observation_space.contains(observations)
        observations, _, terminated, truncated, infos = env.step(eligible(rng, infos["action_mask"]))
        discounted += 0.9995**hours * infos["shaping"]
        hours += 1.0
        if truncated.any():
            break
    assert terminated.any()
    assert (infos["potential"][terminated] == 0).all()
    assert discounted == pytest.approx(0.9995**hours * infos["potential"] - first, abs=1e-9)


def test_sb3_sees_through_lenses():
    """With the last observation of an episode, to bootstrap on, and masks."""
    env = wrap(vector(num_envs=8, scenario=lively(days=2)), *LENSES["all"])
    other = wrap(vector(num_envs=8, scenario=lively(days=2)), *LENSES["all"])
    sb3 = FleetVecEnv(env)
    sb3.seed(4)
    assert np.array_equal(np.asarray(sb3.reset()), other.reset(seed=4)[0])
    n_ended = 0
    for _ in range(60):
        observations, _, dones, infos = sb3.step(np.zeros(8, np.int64))
        expected, _, _, _, seen = other.step(np.zeros(8, np.int64))
        assert np.array_equal(np.asarray(observations), expected)
        assert np.array_equal(np.stack(sb3.env_method("action_masks")), seen["action_mask"])
        for i in np.flatnonzero(dones):
            assert np.array_equal(infos[i]["terminal_observation"], seen["final_obs"][i])
            n_ended += 1
    assert n_ended >= 8


def test_the_specification_of_a_single_form_rebuilds_it():
    env = wrap(single(scenario=lively()), OracleObservation(), History(2))
    again = env.spec.make()
    assert isinstance(again, LensEnv)
    assert np.array_equal(env.reset(seed=3)[0], again.reset(seed=3)[0])


def test_names_and_masks_come_through_other_wrappers():
    env = wrap(gymnasium.wrappers.TimeLimit(single(scenario=lively()), 100), OracleObservation())
    env.reset(seed=1)
    assert env.observation_names[0] == "local_hour_sin"
    assert env.action_masks().shape == (9,)
    both = wrap(gymnasium.wrappers.vector.RecordEpisodeStatistics(vector(scenario=lively())), OracleObservation())
    both.reset(seed=1)
    assert both.observation_names == env.observation_names
    assert isinstance(both, LensVectorEnv)
    assert both.action_masks().shape == (3, 9)


def test_what_cannot_be_looked_at_is_refused():
    class Other(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Box(0, 1, (2,))
        action_space = gymnasium.spaces.Discrete(2)
        observation_names: tuple[str, ...] = ("a", "b")

    with pytest.raises(TypeError, match=r"^wrap: expected lenses, got the class OracleObservation; call it$"):
        wrap(single(), OracleObservation)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^wrap: expected lenses, got str$"):
        wrap(single(), "oracle")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^wrap: expected lenses, got none$"):
        wrap(single())
    with pytest.raises(TypeError, match=r"^wrap: expected a gymnasium.Env or a VectorEnv, got int$"):
        wrap(3, History(1))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^OracleObservation: expected an environment of users .* got Other$"):
        wrap(Other(), OracleObservation())
    assert wrap(Other(), History(1)).observation_names == (
        "a",
        "b",
        "past1.a",
        "past1.b",
        "past1.action0",
        "past1.action1",
    )
    Other.observation_names = ("a",)
    with pytest.raises(TypeError, match=r"^History: expected 1 entries an observation, as .* names them, got 2$"):
        wrap(Other(), History(1))
    del Other.observation_names
    with pytest.raises(TypeError, match=r"^History: expected an environment with `observation_names`, got"):
        wrap(Other(), History(1))
    Other.action_space = gymnasium.spaces.Discrete(2, start=1)
    Other.observation_names = ("a", "b")
    with pytest.raises(TypeError, match=r"^History: expected Discrete actions from 0, got Discrete\(2, start=1\)$"):
        wrap(Other(), History(1))
    Other.observation_space = gymnasium.spaces.Box(0, 1, (2, 2))
    with pytest.raises(TypeError, match=r"^History: expected flat Box observations of float32, got Box"):
        wrap(Other(), History(1))
    next_step = SyncVectorEnv([single])
    with pytest.raises(ValueError, match=r"^History: expected autoreset mode SAME_STEP or DISABLED, got .*NEXT_STEP$"):
        wrap(next_step, History(1))
