"""The exact worlds as environments: the vector form against the single one, manners, errors."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import simulator.exact
from simulator.exact.environment import FiniteEnv
from simulator.exact.fatigue import FatigueEnv, fatigue_world
from simulator.exact.registration import ENTRY_POINTS, register_exact
from simulator.exact.restless import OUT, RestlessEnv, restless_world, whittle_actions
from simulator.exact.segments import SegmentEnv, segment_world
from simulator.exact.standing import standing, value_of
from simulator.exact.waiting import WaitingEnv
from simulator.exact.world import World
from tests.simulator.bare import mean_agrees

IDS = sorted(ENTRY_POINTS)
TABLES = [name for name, (_, vector) in ENTRY_POINTS.items() if vector is not None]
OF_STEP = {"elapsed_hours", "_elapsed_hours", "is_ineligible", "_is_ineligible"}


def finite(name: str, **options: Any) -> FiniteEnv:
    env = gymnasium.make(name, **options).unwrapped
    assert isinstance(env, FiniteEnv)
    return env


def vector(name: str, num_envs: int, **options: Any) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def allowed_actions(masks: Any, generator: np.random.Generator) -> Any:
    """One allowed action drawn for each row of masks, shape (n,)."""
    return (masks * generator.random(masks.shape)).argmax(axis=1)


def test_registering_twice_changes_nothing():
    before = {name: gymnasium.registry[name] for name in IDS}
    register_exact()
    assert all(gymnasium.registry[name] is spec for name, spec in before.items())
    assert simulator.exact.register_exact is register_exact


@pytest.mark.parametrize("name", TABLES)
def test_observations_tell_states_and_lie_within_the_space(name):
    env = finite(name)
    for state in range(env.model.n_states):
        observation = env.observe(state)
        assert observation in env.observation_space
        assert env.state_of(observation) == state
    np.testing.assert_array_equal(env.all_action_masks(), env.model.is_allowed)


@pytest.mark.parametrize("env", [FatigueEnv(), SegmentEnv(), WaitingEnv(), RestlessEnv()], ids=IDS)
def test_the_data_sheet_lists_the_features_with_unit_and_range(env):
    features = env.features if isinstance(env, WaitingEnv) else env.world.features
    sheet = type(env).__doc__ or ""
    for index, feature in enumerate(features):
        unit = f"ln(1 + {feature.unit})" if feature.encoding == "log1p" else feature.unit
        row = f"| {index} | {feature.name} | {unit} | {feature.low:g} | {feature.high:g} |"
        assert row.replace("|  |", "| |") in sheet
    assert f"| {len(features)} |" not in sheet
    assert f"Discrete({env.action_space.n})" in sheet


@pytest.mark.parametrize("reward", ["expected", "sampled"])
@pytest.mark.parametrize("name", TABLES)
def test_the_vector_form_lives_as_gymnasiums_over_single_environments(name, reward):
    """Sub-environment i under seed s equals the single one under s + i: observations, rewards, ends and infos."""
    n_envs, seed = 7, 5
    options = {"reward": reward} if "ExactB" in name else {"reward": reward, "max_steps": 30}
    ours: Any = vector(name, n_envs, **options)
    theirs: Any = SyncVectorEnv([lambda: finite(name, **options)] * n_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    observations, infos = ours.reset(seed=seed)
    expected, expected_infos = theirs.reset(seed=seed)
    np.testing.assert_array_equal(observations, expected)
    same_infos(infos, expected_infos)
    assert ours.np_random_seed == theirs.np_random_seed
    generator = np.random.default_rng(0)
    n_ended = 0
    for step in range(250):
        actions = allowed_actions(infos["action_mask"], generator)
        assert observations.dtype == np.float32
        observations, *rest, infos = ours.step(actions)
        expected, *expected_rest, expected_infos = theirs.step(actions)
        np.testing.assert_array_equal(observations, expected)
        for got, want in zip(rest, expected_rest, strict=True):
            np.testing.assert_array_equal(got, want)
            assert got.dtype == want.dtype
        same_infos(infos, expected_infos)
        n_ended += int((rest[1] | rest[2]).sum())
        if step == 120:  # goes on with the luck at hand
            np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])
            infos["action_mask"] = np.stack([env.action_masks() for env in theirs.envs])
    assert n_ended > 30


def same_infos(got: dict[str, Any], want: dict[str, Any]) -> None:
    """Equal but for what tells of a step: Gymnasium drops it where the step ended an episode, ours keeps it."""
    assert set(want) - OF_STEP == set(got) - OF_STEP
    for key in set(want) - OF_STEP:
        if key == "final_info":
            assert set(got[key]) == set(want[key])
            for inner in want[key]:
                np.testing.assert_array_equal(got[key][inner], want[key][inner])
                assert got[key][inner].dtype == want[key][inner].dtype
        elif key == "final_obs":
            assert [x is None for x in got[key]] == [x is None for x in want[key]]
            for ours, theirs in zip(got[key], want[key], strict=True):
                np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_array_equal(got[key], want[key])
            assert got[key].dtype == want[key].dtype


@pytest.mark.parametrize("name", TABLES)
def test_what_tells_of_a_step_tells_of_every_row(name):
    env: Any = vector(name, 50)
    _, infos = env.reset(seed=0)
    for _ in range(300):
        _, _, terminations, _, infos = env.step(allowed_actions(infos["action_mask"], np.random.default_rng(1)))
        assert (infos["elapsed_hours"] == (4.0 if "ExactA" in name else 1.0)).all()
        assert infos["_elapsed_hours"].all()
        assert infos["action_mask"].shape == (50, env.single_action_space.n)
        assert infos["action_mask"].dtype == np.int8
        if terminations.any():
            np.testing.assert_array_equal(infos["_final_obs"], terminations)
            return
    pytest.fail("no episode ended")


def test_arrays_once_returned_stay_as_they_are():
    env = vector("kairos/ExactA-v0", 20)
    kept = [env.reset(seed=0)]
    copies = [(kept[0][0].copy(), kept[0][1]["action_mask"].copy())]
    for _ in range(30):
        observations, _, _, _, infos = env.step(np.ones(20, np.int64))
        kept.append((observations, infos))
        copies.append((observations.copy(), infos["action_mask"].copy()))
        observations.flags.writeable = True  # ours to give away: not a view of the world's table
    for (observations, infos), (observation_copy, mask_copy) in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(observations, observation_copy)
        np.testing.assert_array_equal(infos["action_mask"], mask_copy)


@pytest.mark.parametrize("reward", ["expected", "sampled"])
@pytest.mark.parametrize(("world", "n_steps"), [(fatigue_world, 60), (restless_world, 60), (segment_world, 1)])
def test_played_lives_earn_the_exact_value(world, n_steps, reward):
    """The first steps' discounted reward under the optimal policy, against its expectation from the model."""
    world = world()
    model, actions = world.model, world.solution.actions
    ahead, expected = model.start.copy(), 0.0
    transition = np.zeros((model.n_states, model.n_states))
    for action in range(model.n_actions):
        states = np.flatnonzero(actions == action)
        transition[states] = model.rows(states, action)
    for step in range(n_steps):
        expected += model.discount**step * float(ahead @ model.reward[np.arange(model.n_states), actions])
        ahead = ahead @ transition
    env = vector(f"{world.name}-v0", 2500, reward=reward)
    observations, _ = env.reset(seed=11)
    total, is_first_life = np.zeros(2500), np.ones(2500, np.bool_)
    for step in range(n_steps):
        observations, rewards, terminations, _, _ = env.step(actions[world.states_of(observations)])
        total += model.discount**step * rewards * is_first_life
        is_first_life &= ~terminations
    mean_agrees(total, expected, catches=0.8 if reward == "sampled" else 0.2)


def test_opting_out_terminates_world_a_and_the_observation_says_so():
    env = finite("kairos/ExactA-v0")
    env.reset(seed=3)
    for _ in range(5000):
        observation, reward, terminated, truncated, _ = env.step(1)
        assert reward != 0.0  # also of the send that makes the user opt out
        if terminated:
            break
    assert terminated
    assert not truncated
    assert observation.tolist() == [0.0] * 7 + [1.0]
    with pytest.raises(ResetNeeded, match=r"kairos/ExactA: the episode has ended; call reset\(\) before step\(\)"):
        env.step(1)


def test_users_of_world_d_opt_out_one_by_one_and_the_last_one_terminates():
    env = finite("kairos/ExactD-v0")
    _, info = env.reset(seed=3)
    n_in = [4]
    terminated = False
    generator = np.random.default_rng(0)
    while not terminated:
        action = 1 + int((info["action_mask"][1:] * generator.random(4)).argmax())
        _, _, terminated, _, info = env.step(action)
        n_in.append(int(info["action_mask"][1:].sum()))
        assert (env.model.parts[env.state] != OUT).sum() == n_in[-1]
    assert set(np.diff(n_in).tolist()) == {0, -1}
    assert n_in[-1] == 0
    assert info["action_mask"].tolist() == [1, 0, 0, 0, 0]


def test_max_steps_truncates():
    env = finite("kairos/ExactA-v0", max_steps=3)
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]
    env.reset()
    assert env.step(0)[3] is False


def test_an_opt_out_at_the_last_step_terminates_and_does_not_truncate():
    env = finite("kairos/ExactA-v0")
    env.reset(seed=3)
    n_steps = 1
    while not env.step(1)[2]:
        n_steps += 1
    cut = finite("kairos/ExactA-v0", max_steps=n_steps)
    cut.reset(seed=3)
    ends = [cut.step(1)[2:4] for _ in range(n_steps)]
    assert ends == [(False, False)] * (n_steps - 1) + [(True, False)]
    many = vector("kairos/ExactA-v0", 1, max_steps=n_steps)
    many.reset(seed=3)
    for expected in ends:
        _, _, terminations, truncations, _ = many.step(np.ones(1, np.int64))
        assert (terminations[0], truncations[0]) == expected


@pytest.mark.parametrize("name", TABLES)
def test_a_sampled_reward_is_the_win_or_nothing_less_the_cost(name):
    env: Any = vector(name, 200, reward="sampled")
    _, infos = env.reset(seed=0)
    has_won = []
    for _ in range(20):
        actions = allowed_actions(infos["action_mask"], np.random.default_rng(1))
        states = env.states.copy()
        _, rewards, _, _, infos = env.step(actions)
        win, cost = env.model.win[states, actions], env.model.cost[states, actions]
        assert ((rewards == win - cost) | (rewards == -cost)).all()
        has_won.append((rewards == win - cost)[win > 0.0])
    assert set(np.concatenate(has_won).tolist()) == {True, False}


def out_of_one(**options: Any) -> tuple[FiniteEnv, int]:
    """World D where user 2 has opted out."""
    state = int(restless_world().model.state(np.asarray([[0, OUT, 0, 0]]))[0])
    env = finite("kairos/ExactD-v0", **options)
    env.reset(seed=0, options={"state": state})
    assert env.state == state
    return env, state


def test_a_send_to_a_user_who_is_out_is_an_error_that_says_what_is_eligible():
    env, state = out_of_one()
    assert env.action_masks().tolist() == [1, 1, 0, 1, 1]
    expected = (
        rf"kairos/ExactD: action: 2 user2 is not eligible in state {state}; eligible: 0 no_send, 1 user1, 3 user3"
    )
    with pytest.raises(ValueError, match=expected):
        env.step(2)
    many = vector("kairos/ExactD-v0", 3)
    many.reset(seed=0, options={"state": state})
    with pytest.raises(ValueError, match=r"kairos/ExactD: actions\[1\]: 2 user2 is not eligible"):
        many.step(np.asarray([0, 2, 1]))


def test_a_send_to_a_user_who_is_out_can_count_as_none_and_info_tells():
    env, _ = out_of_one(ineligible="no_send")
    _, reward, _, _, info = env.step(2)
    assert reward == 0.0
    assert info["is_ineligible"]
    assert not env.step(1)[4]["is_ineligible"]
    always_user1 = np.ones(2401, np.int64)
    masked = np.where(restless_world().model.is_allowed[:, 1], 1, 0)
    np.testing.assert_array_equal(env.policy_of(lambda _: always_user1), masked)
    np.testing.assert_array_equal(env.policy_of(lambda _: np.eye(5)[always_user1]), np.eye(5)[masked])
    with pytest.raises(ValueError, match=r"policy\[\d+\]: action 1 is not allowed there"):
        value_of(finite("kairos/ExactD-v0"), lambda _: always_user1)


@pytest.mark.parametrize("name", TABLES)
def test_an_optimal_agent_stands_at_one(name):
    env = gymnasium.make(name)
    world = env.unwrapped.world  # type: ignore[attr-defined]

    def act(observations: Any) -> Any:
        return world.solution.actions[world.states_of(observations)]

    found = standing(env, act)
    assert found.value == pytest.approx(found.optimum, abs=1e-12)
    assert found.share_of_optimum == pytest.approx(1.0, abs=1e-12)
    assert found.gap_closed == pytest.approx(1.0, abs=1e-9)


def test_the_best_simple_rule_stands_at_zero():
    env = gymnasium.make("kairos/ExactD-v0")
    whittle = standing(env, lambda _: whittle_actions())
    assert whittle.gap_closed == 0.0
    assert f"{whittle.share_of_optimum:.4f}" == "0.9962"


def test_a_uniform_agent_is_worth_what_the_model_says():
    env = gymnasium.make("kairos/ExactB-v0")
    assert f"{value_of(env, lambda observations: np.full((len(observations), 17), 1 / 17)):.6f}" == "0.013386"


@pytest.mark.parametrize("name", TABLES)
def test_a_model_cannot_be_changed_by_those_who_look(name):
    env = finite(name)
    with pytest.raises(ValueError, match="read-only"):
        env.model.win[0, 0] = 9.0
    with pytest.raises(ValueError, match="read-only"):
        env.world.observations[0, 0] = 9.0
    observations = env.observe(0)
    observations[:] = 9.0
    assert (env.observe(0) <= 1.0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: made(FatigueEnv, reward="expcted"),
            "ExactA: reward: .* expected, sampled, got 'expcted'. Did you mean 'exp",
        ),
        (lambda: made(RestlessEnv, ineligible="errors"), "ExactD: ineligible: .* got 'errors'. Did you mean 'error'"),
        (lambda: FatigueEnv(max_steps=0), "ExactA: max_steps: expected None or at least 1, got 0"),
        (lambda: started().step(2), "ExactA: action: expected an integer of 0 no_send, 1 send; got 2"),
        (lambda: started().step(-1), "ExactA: action: expected an integer .*; got -1"),
        (lambda: started().step(0.5), r"ExactA: action: expected an integer .*; got 0\.5"),
        (lambda: started().reset(options={"stat": 1}), "ExactA: reset: unknown option 'stat'; .* Did you mean 'state'"),
        (lambda: started().reset(options={"state": 150}), "ExactA: reset: state: expected 0 to 150 and not final, got"),
        (lambda: started().reset(options={"state": -1}), "ExactA: reset: state: expected 0 to 150 .* got -1"),
        (
            lambda: started().state_of(np.zeros(8, np.float32)),
            r"ExactA: observations\[0\]: .* that of no state; the nearest is state",
        ),
        (
            lambda: started().state_of(np.zeros(3, np.float32)),
            r"ExactA: observations: expected shape \(n, 8\), got \(1, 3\)",
        ),
        (
            lambda: many().step(np.zeros(2, int)),
            r"ExactA: actions: expected integers of shape \(3,\), got int64 of shape",
        ),
        (lambda: many().step(np.zeros(3)), r"ExactA: actions: expected integers of shape \(3,\), got float64"),
        (lambda: many().step(np.asarray([0, 1, 2])), r"ExactA: actions\[2\]: expected one of 0 no_send, 1 send; got 2"),
        (lambda: many().reset(seed=[1, 2]), "ExactA: seed: expected an integer or 3 of them, got 2"),  # type: ignore[arg-type]
        (lambda: vector("kairos/ExactA-v0", 0), "ExactA: num_envs: expected at least 1, got 0"),
    ],
)
def test_a_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def made(kind: Any, **options: Any) -> Any:
    return kind(**options)


def started() -> FatigueEnv:
    env = FatigueEnv()
    env.reset(seed=0)
    return env


def many() -> VectorEnv[Any, Any, Any]:
    env = vector("kairos/ExactA-v0", 3)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("name", IDS)
def test_a_step_before_the_first_reset_is_an_error(name):
    with pytest.raises(ResetNeeded, match=r"kairos/Exact.: no episode is under way; call reset\(\) first"):
        gymnasium.make(name).unwrapped.step(0)


def test_a_vector_step_before_the_first_reset_is_an_error():
    with pytest.raises(ResetNeeded, match=r"kairos/ExactA: no episode is under way; call reset\(\) first"):
        vector("kairos/ExactA-v0", 2).step(np.zeros(2, np.int64))


def test_an_environment_that_is_not_exact_has_no_exact_value():
    with pytest.raises(TypeError, match=r"env: expected an exact world \(kairos/ExactA-v0 to .*\), got <"):
        value_of(gymnasium.make("CartPole-v1"), lambda observations: observations)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": np.zeros((151, 8), np.float32)}, "w: observations: two states look the same"),
        ({"observations": np.zeros((151, 8))}, r"w: observations: expected float32 \(151, 8\), got float64 \(151, 8\)"),
        ({"observations": np.full((151, 8), 2, np.float32)}, "w: observations: outside the features' ranges"),
        ({"actions": ("no_send",)}, "w: actions: expected 2 names, got 1"),
    ],
)
def test_a_contradictory_world_is_refused(change, message):
    world = fatigue_world()
    parts = {name: getattr(world, name) for name in World.__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        World(**(parts | {"name": "w"} | change))
