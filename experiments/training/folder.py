"""The folder of a training: whole files only, one writer at a time, and nothing finished is written over.

| file | what |
|---|---|
| `config.yaml`, `scenario.yaml` | the resolved config; `kairos train` reads it back |
| `manifest.json` | versions, seed, and what it began with |
| `checkpoints/latest.npz` | to go on from |
| `checkpoints/best.npz` | what the agent had learned at its best evaluation |
| `curve.csv`, `portions.csv` | evaluations; what each portion of learning told |
| `learning-curve.png` | the picture |
| `policy.json` | the best policy as production runs it, if a document has words for it |
| `result.json` | written last: the training is finished |
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.problem import Problem
from agents.saved_state import load, save
from experiments.results import write_json, write_scenario, write_text
from experiments.training.beginning import BEST
from experiments.training.course import Course
from experiments.training.source import Plan
from experiments.versions import versions

CONFIG, MANIFEST, CURVE, PORTIONS, PICTURE, POLICY, RESULT, LOCK = (
    "config.yaml",
    "manifest.json",
    "curve.csv",
    "portions.csv",
    "learning-curve.png",
    "policy.json",
    "result.json",
    ".lock",
)
LATEST = "checkpoints/latest.npz"


class FolderError(ValueError):
    """A folder that a training cannot be written to; the message says what to do."""


class TrainingFolder:
    """Where a training is kept.

    Args:
        path: of the folder; made with the first file.
        plan: what is trained.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan

    @property
    def is_finished(self) -> bool:
        """Whether a training came to its end here."""
        return (self.path / RESULT).exists()

    @property
    def is_begun(self) -> bool:
        """Whether a training began here."""
        return (self.path / CONFIG).exists()

    def require_fit(self, is_resuming: bool) -> None:
        """Raise a FolderError unless this is the folder to begin, or to go on, in."""
        if self.is_finished:
            raise FolderError(f"{self.path}: a finished training is there; name another folder with --out.")
        if is_resuming and not self.is_begun:
            raise FolderError(f"{self.path}: nothing to resume: expected an unfinished training there.")
        if not is_resuming and self.is_begun:
            raise FolderError(
                f"{self.path}: an unfinished training is there; go on with --resume, or name another folder with --out."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder from a second training while this one runs; the system lets go when a process dies.

        Raises:
            FolderError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("w") as file:
            _hold(file, self.path)
            yield

    def begin(self) -> None:
        """Write the config, and what is known of the machine's software."""
        if self.plan.scenario is not None:
            write_scenario(self.path, self.plan.scenario)
        begun = self.plan.begins_with
        manifest = {"seed": self.plan.config.seed, "versions": versions()}
        if begun is not None:
            manifest["begins_with"] = {"folder": str(begun.folder)} | begun.to_data()
        write_json(self.path / MANIFEST, manifest)
        write_text(self.path / CONFIG, self.plan.to_yaml())  # last: it says that a training began

    def save(self, course: Course, problem: Problem) -> None:
        """Write the checkpoints, then the tables; a process that dies in between loses nothing."""
        (self.path / LATEST).parent.mkdir(parents=True, exist_ok=True)
        save(self.path / LATEST, course.state(), self._header(problem))
        save(self.path / BEST, course.best, self._header(problem))
        self.write_tables(course)

    def write_tables(self, course: Course) -> None:
        """Write the learning curve and the portions as CSV."""
        write_text(self.path / CURVE, course.curve.to_csv())
        write_text(self.path / PORTIONS, course.portions.to_csv())

    def resume(self, course: Course, problem: Problem) -> bool:
        """Take up a course where its last checkpoint was written, if there is one.

        Raises:
            ValueError: the checkpoint is of another config or environment; the message has the first difference.
        """
        if not (self.path / LATEST).exists():
            return False
        course.restore(load(self.path / LATEST, self._header(problem)))
        return True

    def _header(self, problem: Problem) -> dict[str, Any]:
        return {"kind": "training", "config": self.plan.to_data(), "problem": problem.to_data()}


def _hold(file: Any, path: Path) -> None:
    if sys.platform == "win32":
        return  # no such locks there
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise FolderError(f"{path}: another training is writing there; wait for it, or name another folder.") from None
