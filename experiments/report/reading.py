"""A run's folder as pages read it: its summary, its measures, and who took part. Nothing is computed again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.report.charts import marks_of
from experiments.report.page import Mark

FORMAT = 1
Rows = list[dict[str, Any]]
Interval = tuple[float, float, float]  # a figure, its lower and its upper bound
MEASURES = ("outcomes", "days", "hours", "segments", "harm", "curves", "offline")
VALUE, OPT_OUTS = "value_eur", "opt_outs"


class ReportError(ValueError):
    """A folder that no page can be made of; the message says why."""


@dataclass(frozen=True)
class RunFolder:
    """One finished run.

    Attributes:
        path: its folder.
        manifest, summary, config: as they were written; summary and config are empty where they are not there.
        measures: rows by name of the measure; a measure that is not there has none.
        notes: of measures, what their files say of themselves, by name.
    """

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    config: dict[str, Any]
    measures: dict[str, Rows] = field(repr=False)
    notes: dict[str, dict[str, str]] = field(repr=False)

    @property
    def title(self) -> str:
        """What the run is called."""
        return str(self.config.get("title") or self.manifest.get("name") or self.path.name)

    @property
    def reference(self) -> str:
        """The policy that differences are over."""
        return str(self.summary.get("reference") or self.config.get("reference") or "")

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """All who took part: the reference first, the others by value, the best first."""
        values = {row["policy"]: known(row, "mean") for row in self.measures["outcomes"] if row["outcome"] == VALUE}
        names = dict.fromkeys(row["policy"] for name in ("outcomes", "days", "harm") for row in self.measures[name])
        others = sorted((n for n in names if n != self.reference), key=lambda n: -_sortable(values.get(n, math.nan)))
        return (self.reference, *others) if self.reference in names else tuple(others)

    @property
    def best(self) -> str:
        """The best contender: the summary's, else the one of most value besides the reference; "" without any."""
        named = self.summary.get("best")
        others = [name for name in self.policies if name != self.reference]
        return str(named) if named in self.policies else (others[0] if others else "")

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """How policies are told apart on all pictures of a page."""
        return marks_of(self.policies)

    @property
    def gain(self) -> Interval:
        """Value of the best contender over the reference: the summary's, else that of the outcomes.

        A summary's may be of the half of the users by whom the best was not chosen, and is then the one to believe.
        """
        told = self.summary.get("difference")
        if isinstance(told, dict) and self.best == self.summary.get("best"):
            ends = ("low_95", "high_95") if "low_95" in told else ("low", "high")
            return interval(told, "mean", *ends)
        return difference(self.outcome(self.best, VALUE))

    def outcome(self, policy: str, outcome: str) -> dict[str, Any]:
        """Return the row of a policy's outcome; empty where there is none."""
        rows = self.measures["outcomes"]
        return next((row for row in rows if row["policy"] == policy and row["outcome"] == outcome), {})

    def of(self, measure: str, policy: str) -> Rows:
        """Return the rows of a measure that are of a policy."""
        return [row for row in self.measures[measure] if row["policy"] == policy]


def read_run(folder: Path) -> RunFolder:
    """Return a finished run.

    Raises:
        ReportError: no folder, no finished run, one of another version, or a file that cannot be read.
    """
    file = folder / "manifest.json"
    if not file.is_file():
        what = "an unfinished run" if folder.name.endswith(".unfinished") else "no finished run: no manifest.json in it"
        raise ReportError(f"{folder}: {what if folder.is_dir() else 'no such folder'}; expected a run's folder")
    manifest = read_json(file)
    if manifest.get("format") != FORMAT:
        raise ReportError(f"{file}: format: expected {FORMAT}, got {manifest.get('format')!r}")
    summary = folder / "summary.json"
    tables = {name: read_table(folder / "measures" / f"{name}.parquet") for name in MEASURES}
    return RunFolder(
        folder,
        manifest,
        read_json(summary) if summary.is_file() else {},
        read_yaml_file(folder / "config.yaml"),
        {name: rows for name, (rows, _) in tables.items()},
        {name: notes for name, (_, notes) in tables.items()},
    )


def read_json(file: Path) -> dict[str, Any]:
    """Return what a file of JSON holds.

    Raises:
        ReportError: it is not JSON, or no object.
    """
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReportError(f"{file}: expected JSON; {error}") from None
    if not isinstance(found, dict):
        raise ReportError(f"{file}: expected an object, got {type(found).__name__}")
    return found


def read_table(file: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a Parquet file and what it says of itself; nothing where it is not there.

    Raises:
        ReportError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        return [], {}
    try:
        table = pq.read_table(file, partitioning=None)
    except (OSError, pa.ArrowInvalid) as error:
        raise ReportError(f"{file}: expected a Parquet file; {error}") from None
    said = {key.decode(): value.decode("utf-8", "replace") for key, value in (table.schema.metadata or {}).items()}
    return table.to_pylist(), {key: value for key, value in said.items() if key not in ("pandas", "ARROW:schema")}


def known(row: Mapping[str, Any], name: str) -> float:
    """Return a figure of a row, NaN where it has none."""
    value = row.get(name)
    return math.nan if value is None else float(value)


def interval(row: Mapping[str, Any], mean: str = "mean", low: str = "low", high: str = "high") -> Interval:
    """Return a figure of a row with its bounds, by the names of their columns."""
    return known(row, mean), known(row, low), known(row, high)


def difference(row: Mapping[str, Any]) -> Interval:
    """Return a row's difference with its bounds."""
    return interval(row, "difference", "difference_low", "difference_high")


def grouped(rows: Iterable[Mapping[str, Any]], key: str) -> dict[Any, list[Mapping[str, Any]]]:
    """Return rows by what they have under a key, in the order in which they come."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def summed(rows: Iterable[Mapping[str, Any]], *names: str) -> Iterator[float]:
    """Yield the sums of some figures over rows, leaving out what is not known."""
    listed = list(rows)
    for name in names:
        yield sum(value for row in listed if math.isfinite(value := known(row, name)))


def read_yaml_file(file: Path) -> dict[str, Any]:
    """Return what a config holds, unchecked; nothing where it is not there.

    Raises:
        ReportError: it is not YAML.
    """
    from experiments.faults import ConfigError
    from experiments.yaml_source import read_yaml

    if not file.is_file():
        return {}
    try:
        tree = read_yaml(file.read_text("utf-8"), str(file)).tree
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ReportError(f"{file}: expected a config; {error}") from None
    return tree if isinstance(tree, dict) else {}


def _sortable(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
