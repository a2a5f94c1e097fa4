"""Runs beside each other; contenders of both, user by user where both met the same users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from experiments.compare import Difference, difference
from experiments.run.faults import RunError
from experiments.run.folder import USERS
from experiments.run.readers import KeptRun, flat_config, read_run
from simulator.records import NANO

if TYPE_CHECKING:
    import polars as pl

NOT_SHOWN = ("seed", "name", "title", "question")


@dataclass(frozen=True)
class PairedRuns:
    """A contender in two runs that met the same users.

    Attributes:
        policy: its name.
        first, other: names of the runs.
        value_eur: of the other over the first, a user.
    """

    policy: str
    first: str
    other: str
    value_eur: Difference

    def in_words(self) -> str:
        """Return it as a sentence."""
        gain = self.value_eur.estimate
        interval = f"95 %: {gain.low:+.3f} to {gain.high:+.3f}, the same users"
        if not gain.is_clear:
            return f"{self.policy} could not be told apart: {gain.mean:+.3f} EUR a user in {self.other} ({interval})."
        verb = "more" if gain.mean > 0 else "less"
        size = f"{abs(gain.mean):.3f} EUR a user {verb}"
        return f"{self.policy} brings {size} in {self.other} than in {self.first} ({interval})."


@dataclass(frozen=True)
class ComparedRuns:
    """Runs beside each other.

    Attributes:
        names: short ones, of the runs in order.
        fields: of the configs, in which they differ, by dotted path: a value a run.
        outcomes: all runs' outcomes, with a column `run`.
        paired: contenders of the first run and of another on the same users.
    """

    names: tuple[str, ...]
    fields: dict[str, tuple[Any, ...]]
    outcomes: pl.DataFrame
    paired: tuple[PairedRuns, ...]

    def in_words(self) -> list[str]:
        """Return what can be said, a sentence each."""
        if not self.paired:
            return ["The runs met other users, so their contenders are compared within each run only."]
        return [each.in_words() for each in self.paired]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "compared-runs",
            "version": 1,
            "runs": list(self.names),
            "differ_in": {path: list(values) for path, values in self.fields.items()},
            "outcomes": self.outcomes.to_dicts(),
            "paired": [
                {"policy": each.policy, "first": each.first, "other": each.other, **each.value_eur.to_dict()}
                for each in self.paired
            ],
        }


def compare_runs(folders: Sequence[Path]) -> ComparedRuns:
    """Return runs beside each other.

    Raises:
        RunError: one of them cannot be read, or is given twice.
    """
    import polars as pl

    runs = [read_run(folder) for folder in folders]
    for place, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:place]]:
            raise RunError(f"{folder}: this run is given twice.")
    names = tuple(_names(runs))
    configs = [flat_config(run.folder) for run in runs]
    paths = list(dict.fromkeys(path for config in configs for path in config))
    fields = {
        path: tuple(config.get(path) for config in configs)
        for path in paths
        if path not in NOT_SHOWN and len({repr(config.get(path)) for config in configs}) > 1
    }
    tables = [run.measures("outcomes").with_columns(run=pl.lit(name)) for run, name in zip(runs, names, strict=True)]
    paired = [
        pair for run, name in list(zip(runs, names, strict=True))[1:] for pair in _paired(runs[0], names[0], run, name)
    ]
    return ComparedRuns(names, fields, pl.concat(tables, how="vertical_relaxed"), tuple(paired))


def _names(runs: Sequence[KeptRun]) -> list[str]:
    """Return the shortest names that tell runs apart."""
    for short in (
        [run.name for run in runs],
        [f"{run.name}, seed {run.seed}" for run in runs],
        [f"{run.name}/{run.hash}" for run in runs],
        [f"{run.name}/{run.hash}/{run.seed}" for run in runs],
    ):
        if len(set(short)) == len(short):
            return short
    return [f"{run.name} ({run.folder})" for run in runs]


def _paired(first: KeptRun, first_name: str, other: KeptRun, other_name: str) -> list[PairedRuns]:
    found = []
    for path in sorted((first.folder / USERS).glob("*.parquet")):
        beside = other.folder / USERS / path.name
        if not beside.is_file():
            continue
        try:
            ours, theirs = pq.read_table(beside), pq.read_table(path)
        except (OSError, ValueError) as error:  # Arrow's own faults are ValueErrors
            raise RunError(f"{path}: damaged: {error}") from None
        if ours.schema.metadata != theirs.schema.metadata or len(ours) != len(theirs):
            continue  # other luck, or another span
        now, before = (np.asarray(table["expected_nano"], np.int64) for table in (ours, theirs))
        found.append(PairedRuns(path.stem, first_name, other_name, difference(now, before, NANO)))
    return found
