"""Runs read back: listed, shown, compared, as one table; and what is told of a folder that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiments.run.comparing import compare_runs
from experiments.run.faults import RunError
from experiments.run.readers import data_frame, read_run, runs_below
from experiments.run.run import run_experiment
from tests.experiments.run.tiny import contents, kairos, tiny


@pytest.fixture(scope="module")
def sibling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same users, another baseline; in a folder beside nothing."""
    experiment = tiny(offline=None, exports=None, robustness=None, contenders__cap__baseline="always")
    folder = tmp_path_factory.mktemp("sibling") / experiment.place
    run_experiment(experiment, folder)
    return folder


def change(path: Path, **values: Any) -> None:
    told = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(told | values), "utf-8")


def test_list_has_every_run_with_its_answer(copied: Path) -> None:
    root = copied.parents[2]
    run = read_run(copied)
    done = kairos("results", "list", str(root))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith(f"{copied}  quick, 20")  # the folder whole, however narrow the screen
    assert " ".join(run.summary["answer"].split()[:3]) in " ".join(done.stdout.split())
    [row] = json.loads(kairos("results", "list", str(root), "--json").stdout)
    assert row["answer"] == run.summary["answer"]
    assert row["folder"] == str(copied)
    assert "files" not in row


def test_list_tells_of_runs_that_cannot_be_read_beside_the_others(copied: Path) -> None:
    for seed in (2, 10):
        shutil.copytree(copied, copied.with_name(str(seed)))
    change(copied.with_name("2") / "manifest.json", format=2)
    assert [path.name for path in runs_below(copied.parents[2])] == ["1", "2", "10"]
    done = kairos("results", "list", str(copied.parents[2]))
    assert done.exit_code == 1
    assert done.stdout.count("quick/") == 2, done.stdout
    path = copied.with_name("2") / "manifest.json"
    assert done.stderr == f"{path}: format 2; this Kairos reads format 1. Nothing was changed.\n"


def test_list_of_nothing(tmp_path: Path) -> None:
    done = kairos("results", "list", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, f"No runs below {tmp_path}; kairos run makes one.\n")
    missing = kairos("results", "list", str(tmp_path / "no"))
    assert (missing.exit_code, missing.stderr) == (1, f"Error: {tmp_path / 'no'}: no such folder.\n")


def test_show_prints_the_answer_and_what_is_damaged(copied: Path) -> None:
    done = kairos("results", "show", str(copied))
    assert done.exit_code == 0
    n_files = len(read_run(copied).manifest["files"])
    assert done.stdout.endswith(f"All {n_files} files are as they were written.\n")
    assert "linear-thompson" in done.stdout
    assert f"Report: {copied / 'report.html'}" in done.stdout
    found = json.loads(kairos("results", "show", str(copied), "--json").stdout)
    assert found["damage"] == []
    assert {row["policy"] for row in found["outcomes"]} == {"silence", "cap", "linear-thompson"}
    (copied / "policies" / "cap.json").unlink()
    (copied / "scenario.yaml").write_text("", "utf-8")
    spoilt = kairos("results", "show", str(copied))
    assert spoilt.exit_code == 1
    assert spoilt.stderr == (
        f"Error: {copied}: damaged:\n  policies/cap.json: cannot be read: No such file or directory\n"
        "  scenario.yaml: not as it was written\n"
    )


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda run: change(run / "manifest.json", format=7), "manifest.json: format 7; this Kairos reads format 1"),
        (lambda run: change(run / "manifest.json", files=[]), "manifest.json: damaged: expected files as a section"),
        (lambda run: (run / "manifest.json").write_text("{", "utf-8"), "manifest.json: damaged: not JSON: Expecting"),
        (lambda run: (run / "manifest.json").write_text("[]", "utf-8"), "damaged: expected a JSON object."),
        (
            lambda run: (run / "manifest.json").write_text('{"format": 1}', "utf-8"),
            "damaged: expected kind, name, config",
        ),
        (lambda run: (run / "manifest.json").unlink(), "expected a run's folder; there is no manifest.json in it."),
        (lambda run: (run / "summary.json").write_text("?", "utf-8"), "summary.json: damaged: not JSON"),
        (lambda run: (run / "summary.json").unlink(), "summary.json: cannot be read: No such file or directory"),
        (lambda run: (run / "measures/outcomes.parquet").unlink(), "outcomes.parquet: no such table in this run."),
        (lambda run: (run / "measures/outcomes.parquet").write_bytes(b"PAR1"), "outcomes.parquet: damaged: "),
    ],
)
def test_a_damaged_run_is_told_and_not_touched(spoil: Any, told: str, copied: Path) -> None:
    spoil(copied)
    before = contents(copied)
    done = kairos("results", "show", str(copied))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {copied}")
    assert told in done.stderr
    assert contents(copied) == before


def test_a_folder_that_is_none_has_a_hint(copied: Path) -> None:
    with pytest.raises(RunError, match=r"no manifest.json in it; the first run below it is .*/1\.$"):
        read_run(copied.parent)
    waiting = copied.with_name(".2.unfinished")
    waiting.mkdir()
    copied.with_name("2").mkdir()
    with pytest.raises(RunError, match=r"an unfinished run lies beside it, \.2\.unfinished\."):
        read_run(copied.with_name("2"))
    with pytest.raises(RunError, match=r"unfinished: this run is not finished; the command that began it goes on\."):
        read_run(waiting)
    with pytest.raises(RunError, match="gone: no such folder"):
        read_run(copied / "gone")


def test_a_data_frame_has_a_column_for_each_field_that_differs(copied: Path, sibling: Path) -> None:
    shutil.copytree(sibling.parent, copied.parents[1] / sibling.parent.name)
    found = data_frame(copied.parents[2])
    outcomes = read_run(copied).measures("outcomes")
    assert len(found) == 2 * len(outcomes)
    assert found.columns[:3] == ["name", "config_hash", "seed"]
    assert found.columns[-len(outcomes.columns) :] == outcomes.columns
    assert "contenders.cap.baseline" in found.columns
    assert "evaluation.n_users" not in found.columns
    by_run = found.group_by("config_hash", "contenders.cap.baseline").len().sort("contenders.cap.baseline")
    assert by_run["contenders.cap.baseline"].to_list() == ["always", "random"]
    own = found.filter(pl.col("config_hash") == copied.parent.name).select(outcomes.columns)
    assert own.equals(outcomes)
    with pytest.raises(RunError, match="expected runs below it, found none"):
        data_frame(copied / "measures")


def test_compare_sets_runs_beside_each_other_user_by_user(copied: Path, sibling: Path) -> None:
    found = compare_runs([copied, sibling])
    assert found.fields["contenders.cap.baseline"] == ("random", "always")
    assert "evaluation.n_users" not in found.fields
    pairs = {pair.policy: pair.value_eur.estimate for pair in found.paired}
    assert pairs["silence"].mean == 0
    users = [pl.read_parquet(run / "users" / "cap.parquet")["expected_nano"].to_numpy() for run in (copied, sibling)]
    assert pairs["cap"].mean == pytest.approx((users[1] - users[0]).mean() / 1e9)
    done = kairos("results", "compare", str(copied), str(sibling))
    assert done.exit_code == 0
    assert "contenders.cap.baseline: random, always" in done.stdout
    assert f"silence could not be told apart: +0.000 EUR a user in quick/{sibling.parent.name} (95 %" in done.stdout
    as_json = json.loads(kairos("results", "compare", str(copied), str(sibling), "--json").stdout)
    assert as_json["differ_in"]["contenders.cap.baseline"] == ["random", "always"]


def test_compare_writes_a_page(copied: Path, sibling: Path, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    done = kairos("results", "compare", str(copied), str(sibling), "--out", str(page))
    assert done.exit_code == 0
    assert done.stdout.endswith(f"Written: {page}\n")
    assert page.read_text("utf-8").lower().startswith("<!doctype html>")


def test_compare_refuses_what_cannot_be_compared(copied: Path) -> None:
    alone = kairos("results", "compare", str(copied))
    assert alone.exit_code == 2
    assert "expected at least two runs to compare, got one" in alone.stderr
    twice = kairos("results", "compare", str(copied), str(copied))
    assert twice.stderr == f"Error: {copied}: this run is given twice.\n"
    other = kairos("results", "compare", str(copied), str(copied / "no"))
    assert other.stderr == f"Error: {copied / 'no'}: no such folder.\n"


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("kind: experiment", "utf-8")
    done = kairos("results", "show", str(tmp_path / "x.yaml"))
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {tmp_path / 'x.yaml'}: expected a run's folder, got a file.\n",
    )
