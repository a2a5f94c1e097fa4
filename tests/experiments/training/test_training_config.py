"""Configs of trainings: every fault at once with its line, those that come with the package, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.kinds import KINDS, kind_of
from experiments.config import load_scenario
from experiments.faults import ConfigError
from experiments.training.environments import training_env
from experiments.training.source import load_training, training_names, training_path, training_schema
from simulator.presets import preset_folders

BAD = """\
kind: training
name: Bad Name
environment:
  id: kairos/Notify-v0
  scenario: nws
  n_user: 5
  epoch_hours: 5
  settings: {}
  lenses:
    - kind: shapping
    - kind: history
agent:
  kind: linucb
  alfa: 1.0
credit:
  window_hours: 0
training:
  n_steps: 1e6
  evaluate_every: 0
  patience: nine
"""


def faults(text: str, folder: Path, overrides: dict[str, Any] | None = None) -> list[str]:
    (folder / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as found:
        load_training(folder / "bad.yaml", overrides)
    return [str(fault).replace(f"{folder}/", "") for fault in found.value.faults]


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    assert faults(BAD, tmp_path) == [
        "bad.yaml:2: name: expected a name of lower-case letters, digits, - and _, got 'Bad Name'",
        (
            "bad.yaml:5: environment.scenario: nws: no such preset; known: ecommerce, games, learning, news. "
            "Did you mean 'news'?"
        ),
        "bad.yaml:6: environment.n_user: unknown key. Did you mean 'n_users'?",
        "bad.yaml:7: environment.epoch_hours: expected one of 1, 2, 3, 4, 6, 8, 12, 24, got 5",
        (
            "bad.yaml:10: environment.lenses.0.kind: expected one of 'expected_conversion', 'reward_parts', 'shaping', "
            "'against_silence', 'history', 'normalisation', 'oracle', got 'shapping'. Did you mean 'shaping'?"
        ),
        "bad.yaml:11: environment.lenses.1.n: this key is missing and has no default",
        "bad.yaml:14: agent.alfa: unknown key. Did you mean 'alpha'?",
        "bad.yaml:16: credit.window_hours: expected a number > 0, got 0",
        "bad.yaml:19: training.evaluate_every: expected a whole number >= 1, got 0",
        "bad.yaml:20: training.patience: expected a whole number, got 'nine'",
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "environment.id",
            "kairos/Notfy-v0",
            (
                "--set: environment.id: expected one of 'kairos/Notify-v0', 'kairos/NotifyDaily-v0', "
                "'kairos/NotifyCandidates-v0', 'kairos/ExactA-v0', 'kairos/ExactB-v0', 'kairos/ExactD-v0', got "
                "'kairos/Notfy-v0'. Did you mean 'kairos/Notify-v0'?"
            ),
        ),
        ("environment.max_steps", 9, "--set: environment.max_steps: an episode of kairos/ExactB-v0 is one step"),
        ("environment.carry_over", 0.5, "--set: environment.carry_over: only kairos/ExactA-v0 has one"),
        ("environment.carry_over", -1, "--set: environment.carry_over: expected a number >= 0, got -1"),
        ("environment.scenario", "news", "--set: environment.scenario: unknown key."),
        ("credit", {"window_hours": 5}, "--set: credit: an agent of kind 'ridge' learns by its own discount"),
        ("agent", 5, "--set: agent: expected a section (key: value lines), got 5"),
        ("agent.kind", None, "--set: agent.kind: expected one of "),
        ("seed", -1, "--set: seed: expected a whole number >= 0, got -1"),
    ],
)
def test_a_fault_of_an_override_is_told_as_such(folder: Path, path: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as found:
        load_training("b.yaml", {path: value})
    assert any(str(fault).startswith(message) for fault in found.value.faults), str(found.value)


def test_faults_of_the_scenario_and_of_its_settings_are_told(folder: Path) -> None:
    with pytest.raises(ConfigError) as found:
        load_training("users.yaml", {"environment.settings": {"calendar.horizon_day": 5, "population.n_users": 0}})
    assert [fault.message for fault in found.value.faults] == [
        "unknown key. Did you mean 'horizon_days'?",
        "expected a whole number >= 1, got 0",
    ]
    assert {fault.path for fault in found.value.faults} == {
        "environment.settings.calendar.horizon_day",
        "environment.settings.population.n_users",
    }
    Path("shop.yaml").write_text("kind: scenario\nnme: x\n", "utf-8")
    with pytest.raises(ConfigError, match=r"shop.yaml:2: nme: unknown key. Did you mean 'name'\?"):
        load_training("users.yaml", {"environment.scenario": "./shop.yaml"})


def test_paths_of_scenarios_start_at_the_config(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    text = Path("users.yaml").read_text("utf-8").replace("scenario: learning", "scenario: shops/mine.yaml")
    (away / "shops").mkdir()
    (away / "shops" / "mine.yaml").write_text(training_free("news"), "utf-8")
    (away / "t.yaml").write_text(text, "utf-8")
    plan = load_training(away / "t.yaml")
    assert plan.scenario is not None
    assert (plan.scenario.name, plan.scenario.calendar.holidays) == ("news", ())


def test_a_path_that_was_typed_starts_where_it_was_typed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    (away / "t.yaml").write_text(Path("users.yaml").read_text("utf-8"), "utf-8")
    Path("mine.yaml").write_text(training_free("news"), "utf-8")
    plan = load_training(away / "t.yaml", {"environment.scenario": "./mine.yaml"})
    assert plan.scenario is not None
    assert plan.scenario.name == "news"


@pytest.mark.parametrize("kind", ["linucb", "softmax"])
def test_a_bandit_behind_a_normalisation_is_refused(folder: Path, kind: str) -> None:
    lenses = [{"kind": "expected_conversion"}, {"kind": "normalisation"}]
    with pytest.raises(ConfigError, match=r"environment\.lenses\.1: bandits scale what they read themselves"):
        load_training("users.yaml", {"agent": {"kind": kind}, "environment.lenses": lenses})


def training_free(name: str) -> str:
    return yaml.safe_dump(json.loads(load_scenario(name).model_dump_json()))


def test_a_resolved_config_loads_back_equal(folder: Path) -> None:
    plan = load_training("users.yaml", {"seed": 8, "environment.settings": {"population.sessions_per_day": 0.5}})
    Path("out").mkdir()
    Path("out/config.yaml").write_text(plan.to_yaml(), "utf-8")
    assert plan.scenario is not None
    Path("out/scenario.yaml").write_text(yaml.safe_dump(json.loads(plan.scenario.model_dump_json())), "utf-8")
    again = load_training("out/config.yaml")
    assert again.to_data() == plan.to_data()
    assert again.config.agent == plan.config.agent


@pytest.mark.parametrize("name", training_names())
def test_those_that_come_with_the_package_are_sound(name: str) -> None:
    path = training_path(name)
    assert path.read_text("utf-8").splitlines()[0] == "# yaml-language-server: $schema=../training.schema.json"
    plan = load_training(name)
    assert plan.config.name == name
    assert plan.config.title
    assert kind_of(plan.config.agent) in KINDS
    env = training_env(load_training(name, {"environment.n_users": 3}))
    observations, infos = env.reset(seed=0)
    assert observations.shape[0] == 3
    assert "action_mask" in infos


def test_there_are_some() -> None:
    assert {"exact-a-ppo", "exact-b-linucb", "users-maskable-ppo"} <= set(training_names())
    with pytest.raises(ConfigError, match=r"exact-a-pp: no such training; known: .* Did you mean 'exact-a-ppo'\?"):
        load_training("exact-a-pp")


def test_the_schema_on_disk_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "ridge")
    [folder] = preset_folders()
    on_disk = json.loads(folder.joinpath("training.schema.json").read_text("utf-8"))
    stale = "stale: run kairos config schema training --out configs/training.schema.json"
    assert on_disk == json.loads(json.dumps(training_schema())), stale


def test_the_schema_knows_every_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "ridge")
    arms = training_schema()["properties"]["agent"]["discriminator"]["mapping"]
    assert arms.keys() == KINDS.keys()
