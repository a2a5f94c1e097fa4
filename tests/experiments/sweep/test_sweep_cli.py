"""`kairos sweep`: what it prints, what it leaves, how it ends; and 200 small trials killed at any time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import polars as pl
import pytest
from click.testing import CliRunner, Result

from experiments.cli import main
from experiments.sweep.plan import settings_of
from experiments.sweep.source import load_sweep
from experiments.yaml_source import write_yaml
from tests.architecture.imports import ROOT
from tests.experiments.sweep.small import written_sweep


def kairos(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


def started(config: Path, out: Path, *arguments: str, to: IO[str] | int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """The command in a process and a group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "experiments.cli", "sweep", str(config), "--out", str(out), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=to, stderr=to, text=True)


def done(out: Path) -> int:
    return len(list(out.glob("*/[0-9]*")))


def test_it_leaves_a_table_and_a_page_and_goes_on(tmp_path: Path) -> None:
    config, out = written_sweep(tmp_path, 2, n_users=32, horizon_days=8), tmp_path / "out"
    first = kairos("sweep", config, "--out", out, "--workers", "2", "--set", "seeds=[1, 2]")
    assert first.exit_code == 0, first.output
    assert "4 trials of 2 settings, 4 of them run now." in first.stdout
    table = pl.read_parquet(out / "table.parquet")
    assert table["seed"].unique().sort().to_list() == [1, 2]
    assert {"setting", "settings.behaviour.fatigue.fatigue_hours", "policy", "outcome", "mean"} <= set(table.columns)
    assert (out / "report.html").stat().st_size > 1_000
    before = (out / "table.parquet").read_bytes()
    shutil.rmtree(next(out.glob("*/2")))
    again = kairos("sweep", config, "--out", out, "--workers", "1", "--set", "seeds=[1, 2]")
    assert "4 trials of 2 settings, 1 of them run now." in again.stdout
    assert "3 of 4 trials are done already." in again.stderr
    assert (out / "table.parquet").read_bytes() == before
    other = kairos("sweep", config, "--out", out, "--workers", "1", "--set", "seeds=[1, 3]")
    assert other.exit_code == 1
    assert "another sweep is there; it says 'seeds: [1, 2]', not 'seeds: [1, 3]'" in other.stderr
    base = tmp_path / "small.yaml"
    base.write_text(base.read_text("utf-8").replace("n_users: 32", "n_users: 33"), encoding="utf-8")
    changed = kairos("sweep", config, "--out", out, "--workers", "1", "--set", "seeds=[1, 2]")
    assert changed.exit_code == 1
    assert "has changed since this sweep began" in changed.stderr
    assert (out / "table.parquet").read_bytes() == before, "a refusal leaves all as it was"


def test_a_sweeps_folder_has_what_goes_on_with_it(tmp_path: Path) -> None:
    """The command on the page: the config in the folder names its base from there."""
    config, out = written_sweep(tmp_path, 2, n_users=32, horizon_days=8), tmp_path / "deep" / "out"
    first = kairos("sweep", config, "--out", out, "--workers", "1", "--set", "seeds=[1]")
    assert first.exit_code == 0, first.stderr
    again = kairos("sweep", out / "sweep.yaml", "--out", out, "--workers", "1")
    assert again.exit_code == 0, again.stderr
    assert "2 trials of 2 settings, 0 of them run now." in again.stdout


def test_a_trial_that_cannot_be_says_so_and_so_does_the_exit_code(tmp_path: Path) -> None:
    config, out = written_sweep(tmp_path, 2, n_users=32, horizon_days=8), tmp_path / "out"
    settings = ("--workers", "1", "--set", "seeds=[1]")
    trial = out / settings_of(load_sweep(config).config)[0].folder / "1"
    trial.parent.mkdir(parents=True)
    told = load_sweep(config, {"seeds": [1]}).config.model_dump(mode="json") | {"base": "../small.yaml"}
    (out / "sweep.yaml").write_text(write_yaml(told))
    trial.with_name(".1.unfinished").write_text("in the way", encoding="utf-8")
    failed = kairos("sweep", config, "--out", out, *settings)
    assert failed.exit_code == 1
    assert f"{trial.parent.name}/1 failed: RunError: " in failed.stderr
    assert "1 trials of 2 settings, 1 of them run now; 1 failed, see" in failed.stdout
    assert list(json.loads((out / "failed.json").read_text("utf-8"))["trials"]) == [f"{trial.parent.name}/1"]
    trial.with_name(".1.unfinished").unlink()
    assert kairos("sweep", config, "--out", out, *settings).exit_code == 0
    assert not (out / "failed.json").exists()


def test_bad_input_leaves_nothing(tmp_path: Path) -> None:
    config, out = written_sweep(tmp_path, 2), tmp_path / "out"
    refused = kairos("sweep", config, "--out", out, "--set", "search.m=3")
    assert refused.exit_code != 0
    assert "search.m: unknown key" in refused.stderr
    lost = kairos("sweep", config, "--out", out, "--engine", "ray", "--ray-address", "127.0.0.1:x")
    assert lost.exit_code == 1
    assert "expected HOST:PORT, `auto` or `local`, got '127.0.0.1:x'" in lost.stderr
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_what_is_done_and_says_so_once(tmp_path: Path) -> None:
    config, out = written_sweep(tmp_path, 40, n_users=64, horizon_days=8), tmp_path / "out"
    with (tmp_path / "said.txt").open("w+", encoding="utf-8") as said:
        asking = started(config, out, "--workers", "1", to=said)
        until = time.monotonic() + 60.0
        while not done(out) and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(asking.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert asking.wait(30.0) == 130
        said.seek(0)
        assert said.read() == "Interrupted; what is done is kept. The same command goes on.\n"
    assert done(out) >= 1
    assert not (out / "table.parquet").exists()
