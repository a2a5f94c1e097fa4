"""The `kairos` command: exit codes, what goes to which stream, and that help is light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from experiments.cli import COMMANDS, main
from experiments.config import dump_scenario, load_scenario, preset_path, scenario_schema
from experiments.offline.logs.mapping import mapping_names
from experiments.robustness.worlds import STANDARD, load_worlds
from experiments.run.source import experiment_names
from experiments.sweep.source import sweep_names
from experiments.training.source import load_training, training_names, training_schema

HEAVY = ("numpy", "numba", "scipy", "matplotlib", "pydantic", "yaml", "torch", "rich")


def kairos(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_help_lists_the_commands() -> None:
    result = kairos("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert name in result.stdout
        assert line in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["config", "--help"], ["config", "check", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from experiments.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_registered_commands_are_there(name: str) -> None:
    assert kairos(name, "--help").exit_code == 0


@pytest.mark.parametrize("arguments", [["confg"], ["config", "chek"], ["config", "check"], ["config", "list", "--zz"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = kairos(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_check_goes_through_all_files(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: 5\n", "utf-8")
    result = kairos("config", "check", "news", str(bad), str(preset_path("games")))
    assert result.exit_code == 1
    assert result.stdout == f"news: fine\n{preset_path('games')}: fine\n"
    assert result.stderr == (
        f"{bad}:1: name: expected text, got 5; put it in quotes\n"
        f"{bad}:1: population: this key is missing and has no default\n"
    )
    assert kairos("config", "check", "news").exit_code == 0


def test_show_prints_the_resolved_scenario() -> None:
    scenario = load_scenario("news", {"population.n_users": 7})
    result = kairos("config", "show", "news", "--set", "population.n_users=7")
    assert (result.exit_code, result.stdout) == (0, dump_scenario(scenario))
    as_json = kairos("config", "show", "news", "--json", "--set", "population.n_users=7")
    assert json.loads(as_json.stdout) == yaml.safe_load(result.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nws"], "nws: no such preset; known: ecommerce, games, learning, news. Did you mean 'news'?\n"),
        (["news", "--set", "seed=-1"], "--set: seed: expected a whole number >= 0, got -1\n"),
        (["news", "--set", "seed"], "--set: expected path=value, got 'seed'\n"),
    ],
)
def test_faults_go_to_stderr_without_a_traceback(arguments: list[str], message: str) -> None:
    result = kairos("config", "show", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


def test_trainings_are_checked_and_shown_like_scenarios(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: training\nnam: x\n", "utf-8")
    result = kairos("config", "check", "exact-b-linucb", str(bad))
    assert (result.exit_code, result.stdout) == (1, "exact-b-linucb: fine\n")
    assert f"{bad}:2: nam: unknown key. Did you mean 'name'?\n" in result.stderr
    shown = kairos("config", "show", "exact-b-linucb", "--set", "agent.alpha=0.25")
    assert yaml.safe_load(shown.stdout)["agent"]["alpha"] == 0.25


def test_list_names_the_presets() -> None:
    result = kairos("config", "list")
    assert result.exit_code == 0
    scenarios, _, others = result.stdout.partition("\nExperiments\n")
    experiments, _, others = others.partition("\nSweeps\n")
    sweeps, _, others = others.partition("\nTrainings\n")
    trainings, _, others = others.partition("\nMappings of logs\n")
    mappings, _, worlds = others.partition("\nWorlds, of kairos robustness\n")
    assert [line.split()[0] for line in scenarios.splitlines()] == [
        "Scenarios",
        "ecommerce",
        "games",
        "learning",
        "news",
    ]
    assert tuple(line.split()[0] for line in experiments.splitlines()) == experiment_names()
    assert tuple(line.split()[0] for line in sweeps.splitlines()) == sweep_names()
    assert tuple(line.split()[0] for line in trainings.splitlines()) == training_names()
    assert tuple(line.split()[0] for line in mappings.splitlines()) == mapping_names()
    assert [line.split()[0] for line in worlds.splitlines()] == [world.name for world in load_worlds(STANDARD)]
    assert load_training("exact-b-linucb").config.title in trainings
    assert load_scenario("news").title in result.stdout


def test_schema_goes_to_standard_output_or_a_file(tmp_path: Path) -> None:
    out = tmp_path / "schema.json"
    assert kairos("config", "schema", "--out", str(out)).exit_code == 0
    assert json.loads(out.read_text("utf-8")) == scenario_schema()
    assert kairos("config", "schema").stdout == out.read_text("utf-8")
    assert json.loads(kairos("config", "schema", "training").stdout) == json.loads(json.dumps(training_schema()))
    failed = kairos("config", "schema", "--out", str(tmp_path / "gone" / "schema.json"))
    assert (failed.exit_code, failed.stderr) == (
        1,
        f"Error: cannot write {tmp_path / 'gone' / 'schema.json'}: No such file or directory\n",
    )
