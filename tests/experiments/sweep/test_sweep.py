"""A sweep ends with the same table whoever runs it, in whatever order, after whatever stop."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiments.sweep.config import Range
from experiments.sweep.folder import SweepError, read_plan
from experiments.sweep.local import local_workers, run_locally
from experiments.sweep.plan import Setting, drawn, from_unit, settings_of
from experiments.sweep.sweep import Engine, Result, run_sweep
from experiments.sweep.table import table_of, value_of
from tests.architecture.imports import ROOT
from tests.experiments.sweep.fake import TRIAL, backwards, config_of, in_process, sweep_of

GRID = {"kind": "grid", "fields": {"x": [0.0, 0.25, 0.5], "tag": ["a", "b"]}}
OPTUNA: dict[str, Any] = {
    "kind": "optuna",
    "n": 10,
    "batch": 4,
    "seed": 3,
    "fields": {"x": {"low": 0.0, "high": 1.0}, "n": {"low": 1, "high": 100, "log": True, "whole": True}},
    "objective": {"policy": "a"},
}
two_workers = partial(run_locally, trial=TRIAL, n_workers=2)


def run(path: Path, search: dict[str, Any], engine: Engine = in_process, **more: Any) -> Result:
    return run_sweep(sweep_of(path, search, **more), engine)


def bytes_of(path: Path) -> bytes:
    return (path / "table.parquet").read_bytes()


def test_every_setting_with_every_seed(tmp_path: Path) -> None:
    result = run(tmp_path / "s", GRID)
    assert (len(result.settings), result.n_done, result.n_new, result.faults) == (6, 12, 12, {})
    table = pl.read_parquet(tmp_path / "s" / "table.parquet")
    assert table.columns == ["setting", "seed", "tag", "x", "policy", "outcome", "mean", "difference"]
    assert table.height == 6 * 2 * 2
    assert table["setting"].to_list() == sorted(table["setting"].to_list())
    row = table.filter((pl.col("x") == 0.25) & (pl.col("tag") == "b") & (pl.col("seed") == 2)).row(0, named=True)
    assert row["mean"] == pytest.approx(-0.0025 + 0.002)
    again = run(tmp_path / "s", GRID)
    assert (again.n_done, again.n_new) == (12, 0)


@pytest.mark.parametrize("search", [GRID, OPTUNA], ids=["grid", "optuna"])
def test_order_and_engine_change_nothing(tmp_path: Path, search: dict[str, Any]) -> None:
    tables = []
    for name, engine in (("forwards", in_process), ("backwards", backwards), ("processes", two_workers)):
        run(tmp_path / name / "s", search, engine)
        tables.append(bytes_of(tmp_path / name / "s"))
    assert tables[0] == tables[1] == tables[2]


class Stopped(Exception):  # noqa: N818 what a test calls it
    pass


def stopping_after(n: int, engine: Engine) -> Engine:
    """An engine that is stopped after n trials."""

    def run(tasks: Sequence[Any]) -> Any:
        nonlocal n
        for ended in engine(tasks):
            yield ended
            n -= 1
            if n == 0:
                raise Stopped

    return run


@pytest.mark.parametrize(
    "search", [GRID, OPTUNA, OPTUNA | {"pruning": {"least_trials": 2}}], ids=["grid", "optuna", "pruned"]
)
def test_stopped_anywhere_it_goes_on_to_the_same_table(tmp_path: Path, search: dict[str, Any]) -> None:
    whole = run(tmp_path / "whole" / "s", search)
    for n in (1, 3, 7, 11):
        path = tmp_path / str(n) / "s"
        with pytest.raises(Stopped):
            run(path, search, stopping_after(n, in_process))
        assert not (path / "table.parquet").exists()
        result = run(path, search)
        assert bytes_of(path) == bytes_of(tmp_path / "whole" / "s")
        assert (result.n_done, result.n_new) == (whole.n_done, whole.n_done - n)


def test_a_trial_that_fails_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    search = {"kind": "list", "trials": [{"x": 0.1}, {"x": 0.2, "fails": True}, {"x": 0.3}]}
    result = run(tmp_path / "s", search, two_workers)
    assert (result.n_done, len(result.faults)) == (4, 2)
    told = json.loads((tmp_path / "s" / "failed.json").read_text("utf-8"))["trials"]
    assert all(fault.startswith("ValueError: expected not to fail, got fails = True\n") for fault in told.values())
    assert {Path(name).name for name in told} == {"1", "2"}
    assert table_of(tmp_path / "s")["fails"].to_list() == [None] * 8
    again = run(tmp_path / "s", search)
    assert (again.n_new, len(again.faults)) == (0, 2)


def test_a_worker_that_dies_is_replaced_and_its_trial_tried_again(tmp_path: Path) -> None:
    search = {"kind": "list", "trials": [{"x": 0.1}, {"x": 0.2, "dies": "once"}, {"x": 0.3}]}
    result = run(tmp_path / "s", search, two_workers)
    assert (result.n_done, result.faults) == (6, {})
    assert len(list(tmp_path.glob("died-once-*"))) == 2
    always = {"kind": "list", "trials": [{"x": 0.1}, {"x": 0.2, "dies": "always"}]}
    result = run(tmp_path / "t" / "s", always, two_workers, seeds=(1,))
    assert list(result.faults.values()) == ["its process died 3 times, at last with exit code -9"]


def test_a_worker_that_dies_without_a_trial_is_replaced(tmp_path: Path) -> None:
    def kill_all(done: int, of: int, last: Any) -> None:
        if last is not None and done == 1:
            for worker in multiprocessing.active_children():
                worker.kill()
                worker.join()

    folder = sweep_of(tmp_path / "s", {"kind": "list", "trials": [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]}, seeds=(1,))
    result = run_sweep(folder, partial(run_locally, trial=TRIAL, n_workers=1), kill_all)
    assert (result.n_done, result.faults) == (3, {})


def test_workers_stay_from_one_batch_to_the_next(tmp_path: Path) -> None:
    seen: set[int | None] = set()
    with local_workers(TRIAL, 2) as engine:
        watch = lambda done, of, last: seen.update(worker.pid for worker in multiprocessing.active_children())  # noqa: E731
        result = run_sweep(sweep_of(tmp_path / "s", OPTUNA), engine, watch)
        assert result.n_done == 20
        assert len(seen) == 2, "of three batches"
    assert not seen & {worker.pid for worker in multiprocessing.active_children()}


def test_no_more_workers_than_work(tmp_path: Path) -> None:
    seen: list[int] = []
    search = {"kind": "list", "trials": [{"x": 0.1, "seconds": 0.2}, {"x": 0.2}]}
    engine = partial(run_locally, trial=TRIAL, n_workers=50)
    watch = lambda done, of, last: seen.append(len(multiprocessing.active_children()))  # noqa: E731
    run_sweep(sweep_of(tmp_path / "s", search, seeds=(1,)), engine, watch)
    assert max(seen) == 2


def test_what_an_engine_says_is_not_told_as_writing(tmp_path: Path) -> None:
    def lost(tasks: Sequence[Any]) -> Any:
        raise ConnectionError("no cluster at nowhere:1")

    with pytest.raises(ConnectionError, match="no cluster at nowhere:1"):
        run(tmp_path / "s", GRID, lost)


def test_what_failed_before_a_stop_is_forgotten_when_it_has_a_result(tmp_path: Path) -> None:
    run(tmp_path / "s", GRID)
    folder = sweep_of(tmp_path / "s", GRID)
    folder.write_failed({str(folder.path / "0123456789ab" / "1"): "it failed once"})
    assert run_sweep(folder, in_process).faults == {}
    assert not (tmp_path / "s" / "failed.json").exists()


def test_an_experiment_that_changes_while_it_is_swept(tmp_path: Path) -> None:
    folder = sweep_of(tmp_path / "s", GRID)
    with pytest.raises(SweepError, match="has changed while this sweep ran; name another folder with --out"):
        run_sweep(folder, in_process, base_now=lambda: "another")
    assert not (tmp_path / "s" / "table.parquet").exists()
    with pytest.raises(SweepError, match="has changed since this sweep began"):
        run_sweep(folder, in_process, base_now=lambda: "hash")  # changed back: some trials are of the other
    whole = run_sweep(sweep_of(tmp_path / "t", GRID), in_process, base_now=lambda: "hash")
    assert whole.n_done == 12


def test_workers_end_with_whoever_asked(tmp_path: Path) -> None:
    """Killed without a word, a sweep leaves no process behind that goes on writing."""
    trials = [{"x": 0.1 * k, "seconds": 30.0} for k in range(2)]
    asking = spawned(tmp_path / "s", {"kind": "list", "trials": trials})
    workers: list[int] = []
    while len(workers) < 2:
        time.sleep(0.05)
        workers = children_of(asking.pid)
        workers = [pid for pid in workers if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    asking.kill()
    asking.wait()
    until = time.monotonic() + 10.0
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def spawned(path: Path, search: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A sweep by two workers in a process of its own."""
    code = (
        "import sys, json; from pathlib import Path; from tests.experiments.sweep.test_sweep import run, two_workers\n"
        "if __name__ == '__main__': run(Path(sys.argv[1]), json.loads(sys.argv[2]), two_workers)"
    )
    script = path.parent / "asking.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(script), str(path), json.dumps(search)], env=environment)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_killed_at_any_time_it_goes_on_to_the_same_table(tmp_path: Path) -> None:
    search = {"kind": "grid", "fields": {"x": [k / 50 for k in range(50)], "seconds": [0.02]}}
    run(tmp_path / "whole" / "s", search)
    path, luck = tmp_path / "killed" / "s", random.Random(4)
    n_killed = 0
    for _ in range(5):
        asking = spawned(path, search)
        while not path.exists():
            time.sleep(0.01)
        time.sleep(luck.uniform(0.6, 1.1))  # some of it is what a start takes
        n_killed += asking.poll() is None
        asking.send_signal(signal.SIGKILL)
        asking.wait()
    assert n_killed >= 2
    run(path, search, two_workers)
    assert bytes_of(path) == bytes_of(tmp_path / "whole" / "s")
    assert table_of(path).height == 200


def test_another_sweep_is_not_written_over(tmp_path: Path) -> None:
    run(tmp_path / "s", GRID)
    other = {"kind": "grid", "fields": {"x": [0.0, 0.25, 0.75], "tag": ["a", "b"]}}
    with pytest.raises(SweepError, match=r"another sweep is there; it says 'x: \[0.0, 0.25, 0.5\]', not 'x: \[0.0, "):
        run(tmp_path / "s", other)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(SweepError, match=r"expected a sweep's folder, or an empty one; got one with 'mine.txt' in it"):
        run(tmp_path / "notes", GRID)
    folder = sweep_of(tmp_path / "s", GRID)
    folder.base_hash = "another"
    with pytest.raises(SweepError, match=r"the experiment .* has changed since this sweep began"):
        run_sweep(folder, in_process)
    with sweep_of(tmp_path / "s", GRID).held(), pytest.raises(SweepError, match="another process runs this sweep"):
        run(tmp_path / "s", GRID)


def test_no_permission_and_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sweep_of(tmp_path / "file" / "s", GRID)
    (tmp_path / "file").rmdir()
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"cannot write .*: (Not a directory|File exists)"):
        run_sweep(folder, in_process)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "sweep.yaml")

    monkeypatch.setattr("experiments.sweep.folder.write_text", full)
    with pytest.raises(SweepError, match=r"cannot write sweep.yaml: No space left on device"):
        run(tmp_path / "s", GRID)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "expected a sweep's folder, with plan.json in it; got none"),
        ("{", "plan.json: cannot be read: "),
        ('{"format": 7}', "plan.json: expected format 1, got 7; it was written by another version"),
        ("[]", "plan.json: expected format 1, got 'list'"),
    ],
)
def test_what_is_no_sweeps_folder(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(SweepError) as caught:
        read_plan(tmp_path)
    assert told in str(caught.value)


# --------------------------------------------------------------------------------------------------------------- optuna


def test_optuna_finds_what_is_best(tmp_path: Path) -> None:
    result = run(tmp_path / "s", OPTUNA | {"n": 40})
    table = table_of(tmp_path / "s").filter(pl.col("policy") == "a")
    best = table.sort("mean", descending=True).row(0, named=True)
    assert abs(best["x"] - 0.3) < 0.05
    assert result.n_done == 80
    assert table["n"].dtype == pl.Int64
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / "optuna.journal"))  # type: ignore[attr-defined]
    study = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 40
    assert study.best_params["x"] == best["x"]


def test_settings_that_are_behind_are_given_up(tmp_path: Path) -> None:
    search = OPTUNA | {"n": 16, "pruning": {"least_trials": 4}}
    result = run(tmp_path / "s", search, seeds=(1, 2, 3, 4))
    assert 3 <= result.given_up <= 12
    plan = read_plan(tmp_path / "s")["settings"]
    given_up = [entry for entry in plan if "given_up_after" in entry]
    assert len(given_up) == result.given_up
    assert all(entry["number"] >= 4 for entry in given_up), "the first are tried whole"
    assert result.n_done == 16 * 4 - sum(4 - entry["given_up_after"] for entry in given_up)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_setting_that_is_asked_for_again_is_what_it_became(tmp_path: Path, seed: int) -> None:
    """Few choices, so that Optuna asks for the same again: what is told of each is what lies there."""
    choices = [0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6, 0.8, 1.0]
    search = OPTUNA | {"n": 30, "seed": seed, "fields": {"x": {"choices": choices}}, "pruning": {"least_trials": 4}}
    told: list[tuple[int, int]] = []
    folder = sweep_of(tmp_path / "s", search, seeds=(1, 2, 3, 4))
    result = run_sweep(folder, in_process, lambda done, of, last: told.append((done, of)))
    for entry in read_plan(tmp_path / "s")["settings"]:
        n_there = len(list((tmp_path / "s" / entry["folder"]).iterdir()))
        assert entry.get("given_up_after", 4) == n_there, entry
    assert result.given_up == sum("given_up_after" in entry for entry in read_plan(tmp_path / "s")["settings"])
    assert told[-1][0] == told[-1][1] == result.n_done, "all that was planned is done"


def test_choices_that_are_lists(tmp_path: Path) -> None:
    choices = [[1, 2], {"a": 1}, "x"]
    run(tmp_path / "s", OPTUNA | {"fields": {"kind": {"choices": choices}}, "n": 8})
    seen = {json.dumps(entry["overrides"]["kind"]) for entry in read_plan(tmp_path / "s")["settings"]}
    assert seen <= {json.dumps(choice) for choice in choices}
    assert table_of(tmp_path / "s")["kind"].dtype == pl.String


def test_an_objective_that_is_not_there(tmp_path: Path) -> None:
    run(tmp_path / "s", GRID)
    trial = next(path for path in (tmp_path / "s").glob("*/1"))
    with pytest.raises(ValueError, match=r"objective.policy: expected one of a, b, got 'c'"):
        value_of(trial, "c", "value_eur", "mean")
    with pytest.raises(ValueError, match=r"'b' is the reference, which has no difference; expected `of: mean`"):
        value_of(trial, "b", "value_eur", "difference")


# ----------------------------------------------------------------------------------------------------------------- plan


def test_settings_that_say_the_same_come_once() -> None:
    found = settings_of(config_of({"kind": "list", "trials": [{"x": 1}, {"x": 2}, {"x": 1}]}))
    assert [setting.overrides for setting in found] == [{"x": 1}, {"x": 2}]
    assert Setting(0, {"a": 1, "b": 2}).folder == Setting(9, {"b": 2, "a": 1}).folder


def test_random_settings_are_the_same_each_time_and_within_their_ranges() -> None:
    fields = {"x": {"low": 0.001, "high": 1.0, "log": True}, "n": {"low": 1, "high": 3, "whole": True}}
    search = {"kind": "random", "n": 400, "seed": 5, "fields": fields | {"c": {"choices": ["a", "b"]}}}
    found = [setting.overrides for setting in settings_of(config_of(search))]
    assert found == [setting.overrides for setting in settings_of(config_of(search))]
    assert {one["n"] for one in found} == {1, 2, 3}
    assert {one["c"] for one in found} == {"a", "b"}
    assert 0.4 < sum(one["x"] < 0.0316 for one in found) / len(found) < 0.6, "evenly in the logarithm"


def test_whole_numbers_take_both_ends_alike() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    domain = Range(low=2, high=5, whole=True)
    counts = dict.fromkeys(range(2, 6), 0)
    for _ in range(4_000):
        counts[drawn(domain, rng)] += 1
    assert min(counts.values()) > 850
    assert from_unit(domain, 0.9999999) == 5
