"""A full disk, at the start, on the way and at the end: told without a traceback, no run is there, and it goes on."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.run import folder as folder_module
from experiments.run.folder import BEGUN, WORK, unfinished
from tests.experiments.run.tiny import SETTINGS, contents, kairos, reproduced, small, tiny


def test_a_full_disk_is_told_and_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(folder_module, "write_scenario", full)
    done = kairos("run", "quick", *SETTINGS, "--out", str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: cannot write ")
    assert done.stderr.endswith(": No space left on device\n")
    assert not (tmp_path / tiny().place).exists()


@pytest.mark.parametrize(
    "n_bytes", [20_000, 90_000, *(pytest.param(n, marks=pytest.mark.proof) for n in (2_000, 8_000, 40_000, 200_000))]
)
def test_a_disk_that_fills_up_on_the_way(n_bytes: int, undisturbed: Path, tmp_path: Path) -> None:
    """A file that cannot grow is what a full disk is to whoever writes it: wherever that is, it is told, goes on."""
    command = [sys.executable, "-m", "experiments.cli", "run", "quick", *SETTINGS, "--out", str(tmp_path)]
    command += [part for name in ("offline", "exports", "robustness") for part in ("--set", f"{name}=")]
    limits = (n_bytes, n_bytes)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        check=False,
    )
    final = tmp_path / small().place
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"Error: cannot write {unfinished(final)}: File too large"
    assert not final.exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert reproduced(final) == reproduced(undisturbed)


def test_a_disk_that_is_full_at_the_end(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cannot be given its name, the run's folder last of all: it is told, what is done is kept, it goes on."""
    final = tmp_path / small().place
    work = unfinished(final)
    late = [work / "measures" / "harm.parquet", work / "summary.json", work / "pictures" / "overview.png"]
    full, replace, rename = final, Path.replace, Path.rename

    def refusing(give_name: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def give(path: Path, target: Path) -> Path:
            if target == full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path), None, str(target))
            return give_name(path, target)

        return give

    monkeypatch.setattr(Path, "replace", refusing(replace))
    monkeypatch.setattr(Path, "rename", refusing(rename))
    command = ["run", "quick", *SETTINGS, "--out", str(tmp_path)]
    command += [part for name in ("offline", "exports", "robustness") for part in ("--set", f"{name}=")]
    for full in (*late, work / "manifest.json", work / "report.html", final):
        done = kairos(*command)
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1].startswith(f"Error: cannot write {full.parent}{os.sep}.")
        assert done.stderr.endswith(": No space left on device\n")
        assert not final.exists()
        assert not list(work.rglob("*.partial"))
        assert json.loads((work / BEGUN).read_text("utf-8"))["seconds"] > 0.0
        assert len(list((work / WORK).glob("*.npz"))) == 3  # nobody is judged again
    full = tmp_path
    assert kairos(*command).exit_code == 0
    assert reproduced(final) == reproduced(undisturbed)
    assert not [name for name in contents(final) if "/." in f"/{name}"]
    assert list(final.parent.iterdir()) == [final]
