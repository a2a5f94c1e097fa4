"""A sweep's config tells every fault at once, where it stands, those that its values make in the base among them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from experiments.config import ConfigError
from experiments.run.source import load_experiment
from experiments.shipped import shipped_path
from experiments.sweep.source import experiment_hash, load_sweep, sweep_names, sweep_schema
from tests.architecture.imports import ROOT
from tests.experiments.sweep.small import written_sweep

HEAD = "kind: sweep\nname: some\nbase: quick\n"


def told(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a sweep, each fault from its line on."""
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_sweep(str(path))
    return [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults]


def test_faults_of_the_sweep_and_of_the_base_together(tmp_path: Path) -> None:
    text = HEAD + (
        "seeds: [1, -2]\n"
        "titel: x\n"
        "settings: {evaluation.n_user: 10}\n"
        "search:\n"
        "  kind: grid\n"
        "  fields:\n"
        "    settings.behaviour.fatigue.fatigue_hour: [1]\n"
        "    n_slots: [2, 400, x]\n"
    )
    fields, hours = "search.fields.", "settings.behaviour.fatigue.fatigue_hour"
    assert told(tmp_path, text) == [
        "4: seeds.1: expected a whole number >= 0, got -2",
        "5: titel: unknown key. Did you mean 'title'?",
        "6: settings: in quick: evaluation.n_user: unknown key. Did you mean 'n_users'?",
        f"10: {fields}{hours}: in quick: {hours}: unknown key. Did you mean 'fatigue_hours'?",
        f"11: {fields}n_slots: in quick: n_slots: expected a whole number <= 64, got 400",
        f"11: {fields}n_slots: in quick: n_slots: expected a whole number, got 'x'",
    ]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("{kind: grid, fields: {n_slots: []}}", "expected a value at least"),
        ("{kind: grid, fields: {}}", "search.fields: expected at least 1"),
        ("{kind: grit, fields: {n_slots: [2]}}", "Did you mean 'grid'?"),
        (
            "{kind: list, trials: [{n_slot: 2}]}",
            "search.trials.0: in quick: n_slot: unknown key. Did you mean 'n_slots'?",
        ),
        ("{kind: random, n: 2, fields: {n_slots: {low: 4, high: 2}}}", "expected above low (4), got 2"),
        (
            "{kind: random, n: 2, fields: {n_slots: {low: 0, high: 2, log: true}}}",
            "expected above 0 for even logarithms",
        ),
        (
            "{kind: random, n: 2, fields: {n_slots: {low: 1.5, high: 2, whole: true}}}",
            "expected a whole number, got 1.5",
        ),
        (
            "{kind: random, n: 2, fields: {n_slots: {low: 2, high: 90, whole: true}}}",
            "expected a whole number <= 64, got 90",
        ),
        ("{kind: optuna, n: 2, fields: {n_slots: {choices: [2]}}}", "search.objective: "),
    ],
)
def test_a_search_that_cannot_be(tmp_path: Path, search: str, expected: str) -> None:
    found = told(tmp_path, f"{HEAD}search: {search}\n")
    assert any(expected in fault for fault in found), found
    assert all(fault.startswith("4: search") for fault in found), found


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    search = "search: {kind: list, trials: [{}]}\n"
    [fault] = told(tmp_path, "kind: sweep\nname: some\nbase: quik\n" + search)
    assert fault.startswith("3: base: quik: ")
    assert "Did you mean 'quick'?" in fault
    [fault] = told(tmp_path, "kind: sweep\nname: some\nbase: ./none.yaml\n" + search)
    assert fault.startswith("3: base: ./none.yaml: ")


def test_a_value_that_many_settings_have_is_told_once(tmp_path: Path) -> None:
    text = (
        f"{HEAD}seeds: [1, 2, 3]\nsearch: {{kind: grid, fields: {{seed: [1], n_slots: [2, 4], nslots: [1, 2, 3]}}}}\n"
    )
    assert sum("nslots" in fault for fault in told(tmp_path, text)) == 1


def test_the_base_is_found_from_the_sweeps_folder_and_has_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written_sweep(tmp_path, 3)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    plan = load_sweep(os.path.relpath(path))
    assert plan.base == str(tmp_path / "small.yaml")
    assert experiment_hash(plan.base) == plan.base_hash
    base = tmp_path / "small.yaml"
    base.write_text(base.read_text("utf-8").replace("n_users: 256", "n_users: 257"), encoding="utf-8")
    assert experiment_hash(plan.base) != plan.base_hash


def test_sweeps_that_come_with_the_package_and_their_schema() -> None:
    for name in sweep_names():
        first, *_ = shipped_path("sweeps", name, "sweep").read_text("utf-8").splitlines()
        assert first == "# yaml-language-server: $schema=../sweep.schema.json"
        load_sweep(name)
    schema = json.loads((ROOT / "configs" / "sweep.schema.json").read_text("utf-8"))
    assert schema == sweep_schema()


def test_seeds_are_unlike(tmp_path: Path) -> None:
    config = written_sweep(tmp_path, 2)
    with pytest.raises(ConfigError, match=r"--set: seeds.2: 1 stands there already, at seeds.0"):
        load_sweep(config, {"seeds": [1, 2, 1]})


def test_a_config_of_another_kind_is_told_with_what_takes_it(tmp_path: Path) -> None:
    config = written_sweep(tmp_path, 2)
    with pytest.raises(ConfigError) as error:
        load_experiment(config)
    line = next(k for k, line in enumerate(config.read_text("utf-8").splitlines(), 1) if line.startswith("kind:"))
    assert str(error.value) == f"{config}:{line}: kind: expected 'experiment', got 'sweep'; kairos sweep takes it"
    with pytest.raises(
        ConfigError, match=r"small.yaml:\d: kind: expected 'sweep', got 'experiment'; kairos run takes it$"
    ):
        load_sweep(config.with_name("small.yaml"))
