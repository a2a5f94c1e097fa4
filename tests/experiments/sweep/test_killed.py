"""Two hundred trials of a real experiment, killed at random moments: the same table as undisturbed, to the byte."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from experiments.run.readers import read_run
from tests.experiments.sweep.small import written_sweep

N_TRIALS = 200
N_KILLS = 5
LUCK = random.Random(20261127)  # of the moments
SECONDS = 600.0


def started(sweep: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """`kairos sweep`, as a group of processes of its own."""
    command = [sys.executable, "-m", "experiments.cli", "sweep", str(sweep), "--out", str(out), "--workers", "2"]
    silent = subprocess.DEVNULL
    return subprocess.Popen([*command, *options], stdout=silent, stderr=silent, start_new_session=True)


def ended(sweep: Path, out: Path, *options: str) -> None:
    assert started(sweep, out, *options).wait(SECONDS) == 0


def n_done(out: Path) -> int:
    return sum(path.parent.name.isdecimal() for path in out.glob("*/*/manifest.json"))


def wait_for(is_so: Callable[[], bool], running: subprocess.Popen[bytes]) -> bool:
    """Return whether it came to be while the sweep ran."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if is_so():
            return True
        if running.poll() is not None:
            return False
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_sweep(tmp_path_factory.mktemp("sweep"), N_TRIALS // 4, n_users=64)


@pytest.fixture(scope="module")
def undisturbed(sweep: Path) -> Path:
    out = sweep.parent / "undisturbed"
    ended(sweep, out)
    return out


def require_equal(out: Path, undisturbed: Path) -> None:
    """The same table, and the same bytes in every trial; nothing unfinished is left."""
    assert (out / "table.parquet").read_bytes() == (undisturbed / "table.parquet").read_bytes()
    trials = pl.read_parquet(out / "table.parquet").select("setting", "seed").unique().height
    assert trials == n_done(out) == n_done(undisturbed) == N_TRIALS
    for path in undisturbed.glob("*/[0-9]"):
        same = out / path.relative_to(undisturbed)
        assert read_run(same).manifest["files"] == read_run(path).manifest["files"]
        assert read_run(same).damage() == []
    assert not list(out.glob("*/.*.unfinished"))


@pytest.mark.proof
@pytest.mark.parametrize("whom", ["asking", "all"])
def test_killed_five_times(whom: str, sweep: Path, undisturbed: Path) -> None:
    """Kill -9 of the process that asks, or of it and its workers at once, each at a random number of trials done."""
    out = sweep.parent / f"killed-{whom}"
    moments = sorted(LUCK.sample(range(1, N_TRIALS - 5), N_KILLS))
    seen = []
    for moment in moments:
        running = started(sweep, out)
        assert wait_for(lambda at=moment: n_done(out) >= at, running), "it ended before it could be killed"  # type: ignore[misc]
        time.sleep(LUCK.uniform(0.0, 0.5))
        if whom == "all":
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
        assert running.wait() == -signal.SIGKILL
        seen.append(n_done(out))
        assert not (out / "table.parquet").exists()
    assert seen == sorted(seen)
    assert seen[-1] < N_TRIALS
    ended(sweep, out)
    require_equal(out, undisturbed)


def children(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the processes that a process started, and those that they started, with their titles."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, ValueError):
            continue  # it has just ended
        if parent == pid:
            yield int(path.name), title
            yield from children(int(path.name))


@pytest.mark.proof
def test_workers_of_ray_are_killed(sweep: Path, undisturbed: Path) -> None:
    """Kill -9 of three workers in the middle of their trials, then of the process that asks and its cluster."""
    pytest.importorskip("ray")
    out = sweep.parent / "by-ray"
    running = started(sweep, out, "--engine", "ray")
    n_killed = 0
    for moment in sorted(LUCK.sample(range(1, N_TRIALS // 2), 3)):
        assert wait_for(lambda at=moment: n_done(out) >= at, running)  # type: ignore[misc]
        workers = [pid for pid, title in children(running.pid) if title.startswith("ray::tried")]
        assert workers, "no worker was in the middle of a trial"
        os.kill(LUCK.choice(workers), signal.SIGKILL)
        n_killed += 1
    assert wait_for(lambda: n_done(out) >= N_TRIALS * 3 // 4, running)
    of_it = [pid for pid, _ in children(running.pid)]
    running.kill()
    running.wait()
    for pid in of_it:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert n_killed == 3
    assert n_done(out) < N_TRIALS
    ended(sweep, out, "--engine", "ray")
    require_equal(out, undisturbed)
