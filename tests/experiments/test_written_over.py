"""Values written over a config leave everything else as it is, however their path is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config import ConfigError, load_scenario, scenario_tree
from experiments.offline.logs.mapping import load_mapping
from experiments.run.source import load_experiment
from experiments.sweep.source import load_sweep
from experiments.training.source import load_training
from simulator.presets import preset_names

PATH, VALUE = "behaviour.fatigue.fatigue_hours", 77.0
BASE = """\
kind: experiment
name: x
scenario: news
reference: silence
contenders: [{kind: silence, name: silence}]
"""
FORMS = {
    "in one": "settings: {behaviour.fatigue.fatigue_hours: 77}\n",
    "as sections": "settings:\n  behaviour:\n    fatigue:\n      fatigue_hours: 77\n",
    "half": "settings: {behaviour.fatigue: {fatigue_hours: 77}}\n",
}


def values(tree: dict[str, Any], above: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= values(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def changes(changed: Any, preset: str) -> dict[str, object]:
    before = values(scenario_tree(load_scenario(preset)))
    return {path: value for path, value in values(scenario_tree(changed)).items() if before[path] != value}


@pytest.mark.parametrize("preset", preset_names())
def test_one_setting_changes_one_value(preset: str) -> None:
    for overrides in ({PATH: VALUE}, {"behaviour": {"fatigue": {"fatigue_hours": VALUE}}}):
        assert changes(load_scenario(preset, overrides), preset) == {PATH: VALUE}
    typed = load_experiment("quick", {"scenario": preset, f"settings.{PATH}": VALUE, "horizon_days": None})
    assert changes(typed.scenario, preset) == {PATH: VALUE}
    training = load_training(
        "users-linear-thompson", {"environment.scenario": preset, f"environment.settings.{PATH}": VALUE}
    )
    assert changes(training.scenario, preset) == {PATH: VALUE}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_file_may_write_a_path_in_one_or_as_sections(form: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BASE + form, "utf-8")
    assert changes(load_experiment(path).scenario, "news") == {PATH: VALUE}
    other = load_experiment(path, {"settings.behaviour.response.novelty": 0.25, f"settings.{PATH}": 99.0})
    assert changes(other.scenario, "news") == {PATH: 99.0, "behaviour.response.novelty": 0.25}
    path.write_text(BASE + form.replace("fatigue_hours", "fatige_hours"), "utf-8")
    with pytest.raises(ConfigError) as error:
        load_experiment(path)
    line = 6 + form.count("\n") - 1
    told = f"{path}:{line}: settings.behaviour.fatigue.fatige_hours: unknown key. Did you mean 'fatigue_hours'?"
    assert str(error.value) == told


def test_a_path_that_a_file_writes_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    twice = "settings:\n  behaviour: {fatigue: {fatigue_hours: 77}}\n  behaviour.fatigue.fatigue_hours: 78\n"
    path.write_text(BASE + twice, "utf-8")
    with pytest.raises(ConfigError, match=r"x.yaml:8: .*fatigue_hours is written on line 7 already"):
        load_experiment(path)
    reordered = "settings:\n  behaviour.fatigue.fatigue_hours: 78\n"
    path.write_text(BASE + reordered, "utf-8")
    assert changes(load_experiment(path, {f"settings.{PATH}": VALUE}).scenario, "news") == {PATH: VALUE}


def test_a_section_that_says_its_kind_takes_the_place_of_another() -> None:
    agent = {"kind": "linucb"}
    found = load_experiment("quick", {"contenders.linear-thompson.agent": agent})
    assert found.config.contenders[2].model_dump()["agent"]["kind"] == "linucb"


def test_a_section_is_written_over_value_by_value() -> None:
    found = load_experiment("quick", {"evaluation": {"seed": 7}, "robustness": {"n_users": 32}})
    assert (found.config.evaluation.n_users, found.config.evaluation.seed) == (256, 7)
    assert found.config.robustness is not None
    assert (found.config.robustness.worlds, found.config.robustness.n_users) == (("fatigue-twice",), 32)
    made = load_experiment("quick", {"offline": None, "exports": {"forms": ["sql"]}})
    assert made.config.offline is None
    assert made.config.exports is not None
    assert made.config.exports.forms == ("sql",)


def test_a_section_takes_the_place_of_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "kind: sweep\nname: s\nbase: quick\nsearch: {kind: random, n: 2, fields: {n_slots: [2, 4]}}\n", "utf-8"
    )
    found = load_sweep(path, {"search.fields.n_slots": {"low": 2, "high": 6, "whole": True}})
    assert found.config.search.model_dump()["fields"]["n_slots"]["high"] == 6


def test_where_keys_are_names_a_section_takes_the_place_of_another() -> None:
    shares = {"Mens E-Mail": 0.5, "No E-Mail": 0.5}
    assert load_mapping("hillstrom", {"probabilities": shares}).model_dump()["probabilities"] == shares
