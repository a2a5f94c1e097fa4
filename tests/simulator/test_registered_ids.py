"""Every id that the package registers, found in Gymnasium's registry, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from simulator.environments import IDS, register
from simulator.environments.vector import NotifyVectorEnv
from simulator.exact.registration import ENTRY_POINTS
from simulator.presets import scenario_of
from tests.architecture.imports import ROOT, python_files

SPECS = {name: spec for name, spec in sorted(gymnasium.registry.items()) if name.startswith("kairos/")}
SINGLES = [name for name, spec in SPECS.items() if spec.entry_point is not None]
VECTORS = [name for name, spec in SPECS.items() if spec.vector_entry_point is not None]
SMALL: dict[str, Any] = {"scenario": scenario_of("learning").model_dump(mode="json"), "horizon_days": 3}
N = 3


def arguments(name: str) -> dict[str, Any]:
    """What makes a small one: data that JSON can hold."""
    return {} if name in ENTRY_POINTS else dict(SMALL)


def vector(name: str | EnvSpec, num_envs: int = N, **more: Any) -> Any:
    return gymnasium.make_vec(name, num_envs, vectorization_mode="vector_entry_point", **more)


def single_that_forgives(name: str) -> gymnasium.Env[Any, Any]:
    """Checkers act without looking at masks."""
    if name == "kairos/ExactD-v0":  # the only exact world with a mask; checkers sample actions without looking at it
        return gymnasium.make(name, ineligible="no_send")
    return gymnasium.make(name) if name in ENTRY_POINTS else gymnasium.make(name, on_ineligible="no_send")


def walk(env: Any, n_steps: int) -> list[bytes]:
    """Return what an environment shows and pays, first eligible sends from the last slot on."""
    observations, infos = env.reset(seed=11)
    seen = [observations.tobytes()]
    for _ in range(n_steps):
        mask = infos["action_mask"]
        action = mask.shape[-1] - 1 - mask[..., ::-1].argmax(axis=-1)
        observations, rewards, terminated, truncated, infos = env.step(action)
        seen += [observations.tobytes(), np.asarray(rewards).tobytes()]
        if np.all(terminated | truncated):
            break
    return seen


def test_all_ids_are_registered_by_one_import_and_once() -> None:
    assert set(SPECS) == {*IDS, *ENTRY_POINTS, "kairos/Population-v0"}
    before = dict(gymnasium.registry)
    register()
    assert all(gymnasium.registry[name] is spec for name, spec in before.items())


def test_an_id_that_is_spoken_of_exists() -> None:
    """In the sources, their docstrings and messages: a new environment or version is registered with the others."""
    spoken = {
        name
        for path in python_files(ROOT)
        for name in re.findall(r"kairos/[A-Z]\w*-v\d+", path.read_text(encoding="utf-8"))
    }
    assert spoken == set(SPECS)


@pytest.mark.parametrize("name", SINGLES)
def test_gymnasiums_checker_is_content(name: str) -> None:
    check_env(single_that_forgives(name).unwrapped)


@pytest.mark.parametrize("name", SINGLES)
def test_stable_baselines_checker_is_content(name: str) -> None:
    check_env_for_sb3(single_that_forgives(name))


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_form_declares_how_it_goes_on_and_batches_its_spaces(name: str) -> None:
    env = vector(name, **arguments(name))
    expected = AutoresetMode.DISABLED if name == "kairos/Population-v0" else AutoresetMode.SAME_STEP
    assert env.metadata["autoreset_mode"] is expected
    assert env.num_envs == N
    assert env.observation_space == gymnasium.vector.utils.batch_space(env.single_observation_space, N)
    assert env.action_space == gymnasium.vector.utils.batch_space(env.single_action_space, N)
    observations, infos = env.reset(seed=1)
    assert observations in env.observation_space
    assert infos["action_mask"].shape == (N, env.single_action_space.n)
    if name in SINGLES:
        single = gymnasium.make(name, **arguments(name))
        assert env.single_observation_space == single.observation_space
        assert env.single_action_space == single.action_space


@pytest.mark.parametrize("name", SINGLES)
def test_a_specification_goes_through_json_and_rebuilds_its_environment(name: str) -> None:
    env = gymnasium.make(name, **arguments(name))
    assert env.spec is not None
    spec = EnvSpec.from_json(env.spec.to_json())
    assert spec == env.spec
    again = gymnasium.make(spec)
    assert (again.observation_space, again.action_space) == (env.observation_space, env.action_space)
    assert walk(again, 30) == walk(env, 30)


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_forms_specification_does_too_with_its_size(name: str) -> None:
    env = vector(name, **arguments(name))
    assert env.spec is not None
    again: Any = gymnasium.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.num_envs == N
    assert walk(again, 30) == walk(env, 30)


def test_a_population_without_a_number_has_its_scenarios() -> None:
    env = gymnasium.make_vec("kairos/Population-v0", None, vectorization_mode="vector_entry_point", **SMALL)  # type: ignore[arg-type]
    assert env.num_envs == scenario_of("learning").population.n_users
    assert env.spec is not None
    assert gymnasium.make_vec(EnvSpec.from_json(env.spec.to_json())).num_envs == env.num_envs


@pytest.mark.parametrize("name", [*IDS, "kairos/Population-v0"])
def test_a_scenario_as_an_object_goes_through_json_too(name: str) -> None:
    scenario = scenario_of(SMALL["scenario"])
    makers: list[Any] = [vector, gymnasium.make] if name in IDS else [vector]
    for make in makers:
        env: Any = make(name, scenario=scenario, horizon_days=3)
        again: Any = (gymnasium.make_vec if make is vector else gymnasium.make)(EnvSpec.from_json(env.spec.to_json()))
        assert again.spec == env.spec
        assert walk(again, 5) == walk(env, 5)


def test_a_specification_belongs_to_its_environment() -> None:
    """Not to the class, nor to the registry."""
    one, other = (gymnasium.make("kairos/Notify-v0", n_slots=n, **SMALL) for n in (1, 2))
    assert (one.spec.kwargs["n_slots"], other.spec.kwargs["n_slots"]) == (1, 2)  # type: ignore[union-attr]
    assert gymnasium.spec("kairos/Notify-v0").kwargs == {}
    assert NotifyVectorEnv(1).spec is None
    assert NotifyVectorEnv.spec is None


@pytest.mark.parametrize("make", [gymnasium.make, vector])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kairos/Notfy-v0", r"`Notfy` doesn't exist in namespace kairos. Did you mean: `Notify`\?"),
        ("kairos/ExctA-v0", r"`ExctA` doesn't exist in namespace kairos. Did you mean: `ExactA`\?"),
        ("kiros/Notify-v0", r"Namespace kiros not found. Did you mean: `kairos`\?"),
        ("kairos/Notify-v7", r"version `v7` for environment `kairos/Notify` doesn't exist. .* versioned .* `v0`"),
    ],
)
def test_an_unknown_id_is_told_with_the_nearest(make: Any, name: str, message: str) -> None:
    with pytest.raises(gymnasium.error.UnregisteredEnv, match=message):
        make(name)


def test_a_population_is_no_single_environment() -> None:
    with pytest.raises(gymnasium.error.Error, match="kairos/Population-v0 registered but entry_point is not specified"):
        gymnasium.make("kairos/Population-v0")


@pytest.mark.parametrize("name", [name for name in SINGLES if name in IDS])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (0.0, "actions: expected integers, got float64"),
        (True, "actions: expected integers, got bool"),
        ("no_send", "actions: expected integers, got <U7"),
        (None, "actions: expected integers, got object"),
        (np.float32(1), "actions: expected integers, got float32"),
        ([0, 1], r"action: expected one integer, got an array of shape \(2,\)"),
        (np.zeros(0, np.int64), r"action: expected one integer, got an array of shape \(0,\)"),
        (-1, r"actions: expected 0 to \d+, got -1 at sub-environment 0"),
        (10_000, r"actions: expected 0 to \d+, got 10000 at sub-environment 0"),
        (2**64, r"actions: expected integers, got object"),
        (np.uint64(2**63), r"actions: expected 0 to \d+, got 9223372036854775808 at sub-environment 0"),
    ],
)
def test_an_action_of_the_wrong_kind_is_told(name: str, action: Any, message: str) -> None:
    env = gymnasium.make(name, **SMALL)
    env.reset(seed=1)
    with pytest.raises(ValueError, match=message):
        env.step(action)
