"""The folder of a run: made under a hidden name, and given its own when all is there, so that it is whole or not there.

| path | what |
|---|---|
| `config.yaml`, `scenario.yaml` | the resolved config; `kairos run` reads it back |
| `manifest.json` | versions, commit, seed, machine, times, and the hash of every file that must reproduce |
| `policies/` | policy documents by contender |
| `tuning/` | what a baseline's search tried |
| `training/` | a folder for each training |
| `users/` | what became of each user, by contender |
| `ledger/` | the log that was judged by |
| `exports/` | a policy in other forms, with certificates |
| `robustness/` | contenders in other worlds |
| `measures/`, `pictures/`, `summary.json`, `report.html` | the answer |

While it is made it is `.<seed>.unfinished`, beside where it will be; a run that was stopped, or killed, goes on there.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from experiments.results import write_json, write_scenario, write_text
from experiments.run.faults import RunError, told_by
from experiments.run.manifest import library_versions
from experiments.run.source import Experiment

CONFIG, SUMMARY, REPORT = "config.yaml", "summary.json", "report.html"
POLICIES, TUNING, TRAINING, USERS, LEDGER, EXPORTS, MEASURES, PICTURES, ROBUSTNESS = (
    "policies",
    "tuning",
    "training",
    "users",
    "ledger",
    "exports",
    "measures",
    "pictures",
    "robustness",
)
LOCK, BEGUN, WORK = ".lock", ".begun.json", ".work"


class RunFolder:
    """Where a run is made.

    Args:
        final: where it will be.
        experiment: that is run.

    Attributes:
        path: where it is made.
    """

    def __init__(self, final: Path, experiment: Experiment) -> None:
        self.final = final
        self.experiment = experiment
        self.path = unfinished(final)
        self._since = 0.0

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Begin, or go on where a run of this experiment stopped, and keep others out meanwhile.

        Raises:
            RunError: something else is there, another process writes there, or nothing can be written.
        """
        if self.final.exists():
            raise RunError(f"{self.final}: expected nothing there yet; remove it, or name another folder with --out.")
        with told_by(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / LOCK).open("w") as file:
                _hold(file, self.path)
                if self.final.exists():  # another process finished it meanwhile, and made way
                    raise RunError(f"{self.final}: another run has just finished it.")
                self._begin()
                self._since = time.monotonic()
                try:
                    yield self.path
                except BaseException:
                    self._keep_time()
                    raise

    def spent(self) -> tuple[str, float]:
        """Return when the run began, and the seconds that it has taken, without sittings that were killed."""
        begun = _begun(self.path)
        return begun["started"], begun["seconds"] + time.monotonic() - self._since

    def finish(self) -> None:
        """Give the folder its name, and then clear away what only the making needed.

        In this order: where the name cannot be given, nothing of what is done is lost; and while there is a lock under
        the old name, another process that comes just then does not begin anew. What cannot be cleared away is hidden.
        """
        self.path.rename(self.final)
        shutil.rmtree(self.final / WORK, ignore_errors=True)
        with suppress(OSError):
            for path in (self.final / BEGUN, *self.final.rglob(LOCK)):
                path.unlink(missing_ok=True)

    def _begin(self) -> None:
        """Write what is run; of a run that began before, require that it is the same by the same versions."""
        config = self.experiment.to_yaml(Path(POLICIES))
        versions = library_versions()
        begun = self.path / BEGUN
        if begun.exists():
            there = _begun(self.path)
            differ = [f"{name} {old}" for name, old in there["versions"].items() if versions.get(name) != old]
            if there["config"] != config or differ:
                began = f"by other versions ({', '.join(differ)})" if differ else "with another config"
                raise RunError(f"{self.path}: a run is there that began {began}; remove it to begin again.")
            return
        for name, text in self.experiment.texts.items():
            write_text(self.path / POLICIES / f"{name}.json", text)
        write_scenario(self.path, self.experiment.scenario)
        write_text(self.path / CONFIG, config)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        told = {"config": config, "versions": versions, "started": now, "seconds": 0.0}
        write_json(begun, told)  # last: it says that a run began

    def _keep_time(self) -> None:
        """Write how long a sitting took that was stopped; on a full disk it is forgotten."""
        with suppress(OSError, RunError):
            _, seconds = self.spent()
            write_json(self.path / BEGUN, _begun(self.path) | {"seconds": round(seconds, 1)})


def _begun(path: Path) -> dict[str, Any]:
    """Return what was written when a run began.

    Raises:
        RunError: it cannot be read.
    """
    try:
        told: dict[str, Any] = json.loads((path / BEGUN).read_text("utf-8"))
        return {"started": "unknown", "seconds": 0.0} | told
    except (ValueError, TypeError):
        raise RunError(f"{path / BEGUN}: damaged; remove {path} to begin again.") from None


def unfinished(final: Path) -> Path:
    """Return where a run is made that will be at `final`."""
    return final.with_name(f".{final.name}.unfinished")


def _hold(file: Any, path: Path) -> None:
    if sys.platform == "win32":
        return  # no such locks there
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunError(
            f"{path}: another run is writing there; wait for it, or name another folder with --out."
        ) from None
