"""The folder of a sweep: what it is, its trials, what failed, and the table of all results.

| path | what |
|---|---|
| `sweep.yaml` | the resolved config; another sweep is refused |
| `plan.json` | the settings in their order, each with its folder; of Optuna's, as far as they are chosen |
| `<hash of the setting>/<seed>/` | a trial's result, whole or not there |
| `failed.json` | trials without one, and why; they are tried again when the sweep goes on |
| `table.parquet` | a row a trial, contender and outcome; written last |
| `report.html` | what they say, as a page |
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.results import write_json, write_text
from experiments.sweep.config import SweepConfig
from experiments.sweep.plan import Setting, Task
from experiments.yaml_source import write_yaml

CONFIG, PLAN, FAILED, TABLE, LOCK = "sweep.yaml", "plan.json", "failed.json", "table.parquet", ".lock"
FORMAT = 1
CHANGED = "changed while the sweep ran"  # in the place of a hash


class SweepError(ValueError):
    """A sweep that cannot go on; the message says what to do."""


@contextmanager
def told_as_writing(path: Path) -> Iterator[None]:
    """Tell a failure to write as what it is; not around trials, whose engines have errors of their own."""
    try:
        yield
    except OSError as error:
        raise SweepError(f"cannot write {error.filename or path}: {error.strerror}") from None


class SweepFolder:
    """Where a sweep is kept.

    Args:
        path: of the folder.
        config: of the sweep.
        base: the experiment, a name or a path that every worker finds.
        base_hash: of the experiment as it is resolved; another one is another sweep.
    """

    def __init__(self, path: Path, config: SweepConfig, base: str, base_hash: str = "") -> None:
        self.path, self.config, self.base, self.base_hash = path, config, base, base_hash

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin, or go on, and keep other processes out meanwhile.

        Raises:
            SweepError: another sweep is there, another process runs it, or nothing can be written.
        """
        with told_as_writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK).open("w")
        with file:
            with told_as_writing(self.path):
                _hold(file, self.path)
                self._begin()
            yield

    def _begin(self) -> None:
        told = write_yaml(self.config.model_dump(mode="json") | {"base": self._base_from_here()})
        there = self.path / CONFIG
        if there.exists():
            self._require_same(there.read_text("utf-8"), told)
            if (self.path / PLAN).exists() and read_plan(self.path)["base_hash"] != self.base_hash:
                raise SweepError(self._changed("since this sweep began"))
            return
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name != LOCK)
        if others:
            raise SweepError(
                f"{self.path}: expected a sweep's folder, or an empty one; got one with {others[0]!r} in it. Name "
                "another with --out."
            )
        write_text(there, told)

    def _base_from_here(self) -> str:
        """Return the base as the config in this folder names it: paths in a file start at the file's folder."""
        is_name = not Path(self.base).suffix and Path(self.base).name == self.base
        return self.base if is_name else Path(os.path.relpath(self.base, self.path)).as_posix()

    def require_same_base(self, base_hash: str) -> None:
        """Raise if the experiment is another one by now: workers read it anew for each trial.

        The plan is marked, since nobody can say which trials are of which; the folder is never gone on with.

        Raises:
            SweepError: it is.
        """
        if base_hash == self.base_hash:
            return
        with told_as_writing(self.path):
            write_json(self.path / PLAN, read_plan(self.path) | {"base_hash": CHANGED})
        raise SweepError(self._changed("while this sweep ran"))

    def _changed(self, when: str) -> str:
        told = f"the experiment {self.base} has changed {when}"
        return f"{self.path}: {told}; name another folder with --out, or remove this one."

    def _require_same(self, there: str, told: str) -> None:
        if there == told:
            return
        lines = zip(there.splitlines(), told.splitlines(), strict=False)
        first = next((f"{one.strip()!r}, not {other.strip()!r}" for one, other in lines if one != other), "its length")
        raise SweepError(
            f"{self.path}: another sweep is there; it says {first}. Name another folder with --out, or remove this one."
        )

    def task(self, setting: Setting, seed: int) -> Task:
        """Return a trial of the sweep."""
        overrides = {**self.config.settings, **setting.overrides}
        return Task(self.base, Setting(setting.number, overrides), seed, str(self.path / setting.folder / str(seed)))

    def tasks(self, settings: Sequence[Setting]) -> list[Task]:
        """Return the trials of settings, in the order of the plan."""
        return [self.task(setting, seed) for setting in settings for seed in self.config.seeds]

    def write_plan(self, settings: Sequence[Setting], given_up: Mapping[str, int]) -> None:
        """Write the settings in their order.

        Args:
            given_up: seeds that a setting was given before it was given up, by its folder.
        """
        entries = [
            {"number": one.number, "folder": one.folder, "overrides": one.overrides, "seeds": list(self.config.seeds)}
            | ({"given_up_after": given_up[one.folder]} if one.folder in given_up else {})
            for one in settings
        ]
        plan = {"format": FORMAT, "base": self.base, "base_hash": self.base_hash, "settings": entries}
        with told_as_writing(self.path):
            write_json(self.path / PLAN, plan)

    def write_failed(self, faults: Mapping[str, str]) -> None:
        """Write why trials have no result, by folder; without any, the file goes."""
        with told_as_writing(self.path):
            if not faults:
                (self.path / FAILED).unlink(missing_ok=True)
                return
            told = {str(Path(folder).relative_to(self.path)): fault for folder, fault in sorted(faults.items())}
            write_json(self.path / FAILED, {"format": FORMAT, "trials": told})


def read_plan(path: Path) -> dict[str, Any]:
    """Return the plan of a sweep's folder.

    Raises:
        SweepError: it is no sweep's, or one of another version.
    """
    try:
        found = json.loads((path / PLAN).read_text("utf-8"))
    except FileNotFoundError:
        raise SweepError(f"{path}: expected a sweep's folder, with {PLAN} in it; got none") from None
    except (OSError, ValueError) as error:
        raise SweepError(f"{path / PLAN}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        got = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise SweepError(f"{path / PLAN}: expected format {FORMAT}, got {got!r}; it was written by another version")
    return found


def _hold(file: Any, path: Path) -> None:
    if sys.platform == "win32":
        return  # no such locks there
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SweepError(f"{path}: another process runs this sweep; wait for it, or name another folder.") from None
