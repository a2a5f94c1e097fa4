"""A sweep's folder as its page reads it: the settings that were tried, and what each came to with each seed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.report.reading import VALUE, ReportError, Rows, grouped, known, read_json, read_table, read_yaml_file

Level = str | int | float | bool | None
PLAN, TABLE, CONFIG = "plan.json", "table.parquet", "sweep.yaml"


@dataclass(frozen=True)
class Objective:
    """What settings are ranked by.

    Attributes:
        outcome: of OUTCOMES of a run.
        policy: whose.
        is_more_better: else less is.
        is_difference: whether it is over each trial's reference; else the mean itself.
    """

    outcome: str
    policy: str
    is_more_better: bool
    is_difference: bool

    def in_words(self) -> str:
        """Return what it is."""
        return f"{self.outcome} of {self.policy}" + (" over the reference" if self.is_difference else "")


@dataclass(frozen=True)
class Setting:
    """One choice of all fields, and its results, one a seed.

    Attributes:
        levels: by field.
        results: by seed; NaN where the objective was not measured.
    """

    levels: dict[str, Level]
    results: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean over the seeds that were measured; NaN of none."""
        found = [value for value in self.results.values() if math.isfinite(value)]
        return float(np.mean(found)) if found else math.nan

    def in_words(self) -> str:
        """Return its levels, with the last part of each field's path."""
        return (
            ", ".join(f"{field.rpartition('.')[2]} {shown(level)}" for field, level in self.levels.items()) or "as is"
        )


@dataclass(frozen=True)
class SweepFolder:
    """A finished sweep.

    Attributes:
        path: its folder.
        title: what it is called.
        fields: dotted paths that were varied, in the order of the plan.
        settings: in the order of the plan.
        objective: what they are ranked by.
        n_planned, n_measured: trials.
        n_given_up: settings that were given up before all their seeds, since they were behind.
    """

    path: Path
    title: str
    fields: tuple[str, ...]
    settings: tuple[Setting, ...]
    objective: Objective
    n_planned: int
    n_measured: int
    n_given_up: int

    def ranked(self) -> list[Setting]:
        """Return settings with results, the best first."""
        known_ones = [setting for setting in self.settings if math.isfinite(setting.mean)]
        return sorted(known_ones, key=lambda each: each.mean, reverse=self.objective.is_more_better)

    def column(self, field: str) -> list[Level]:
        """Return a field's level of each trial that was measured, in the order of `results`."""
        return [s.levels.get(field) for s in self.settings for v in s.results.values() if math.isfinite(v)]

    def seeds(self) -> npt.NDArray[np.int64]:
        """Return the seed of each trial that was measured, in the order of `results`."""
        return np.asarray([seed for s in self.settings for seed, v in s.results.items() if math.isfinite(v)], np.int64)

    def results(self) -> npt.NDArray[np.float64]:
        """Return the result of each trial that was measured, shape (N,)."""
        found = [value for setting in self.settings for value in setting.results.values() if math.isfinite(value)]
        return np.asarray(found, np.float64)


def read_sweep(folder: Path) -> SweepFolder:
    """Return a finished sweep.

    Raises:
        ReportError: no folder of a sweep, an unfinished one, or a file that cannot be read.
    """
    if not (folder / PLAN).is_file():
        raise ReportError(f"{folder}: {'no ' + PLAN + ' in it' if folder.is_dir() else 'no such folder'}; expected a "
                          "sweep's folder")  # fmt: skip
    if not (folder / TABLE).is_file():
        raise ReportError(f"{folder}: an unfinished sweep: no {TABLE} yet; the same kairos sweep goes on with it")
    entries = read_json(folder / PLAN).get("settings")
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and {"number", "seeds"} <= e.keys() for e in entries
    ):
        raise ReportError(f"{folder / PLAN}: settings: expected a list of settings with number, overrides and seeds")
    rows, _ = read_table(folder / TABLE)
    config = read_yaml_file(folder / CONFIG)
    fields = tuple(dict.fromkeys(field for entry in entries for field in entry.get("overrides") or {}))
    objective = _objective(config, rows, folder)
    found = _results(rows, objective)
    settings, n_given_up = [], 0
    for entry in entries:
        levels = {field: _level((entry.get("overrides") or {}).get(field)) for field in fields}
        seeds = entry["seeds"][: entry.get("given_up_after", len(entry["seeds"]))]
        n_given_up += "given_up_after" in entry
        settings.append(Setting(levels, {seed: found.get((entry["number"], seed), math.nan) for seed in seeds}))
    results = [value for each in settings for value in each.results.values()]
    n_measured = sum(map(math.isfinite, results))
    title = str(config.get("title") or config.get("name") or folder.name)
    return SweepFolder(folder, title, fields, tuple(settings), objective, len(results), n_measured, n_given_up)


def shown(level: Level) -> str:
    """Return a level as people read it."""
    if isinstance(level, float):
        return f"{level:.4g}"
    return "as is" if level is None else str(level)


def _objective(config: dict[str, Any], rows: Rows, folder: Path) -> Objective:
    """Return the sweep's own objective, else value of the policy that gains most on average."""
    search = config.get("search")
    asked = (search.get("objective") if isinstance(search, dict) else None) or {}
    outcome = str(asked.get("outcome", VALUE))
    of_outcome = [row for row in rows if row.get("outcome") == outcome]
    if not of_outcome:
        raise ReportError(f"{folder / TABLE}: expected rows of outcome {outcome!r}, got none")
    gains = {
        policy: [known(row, "difference") for row in its if math.isfinite(known(row, "difference"))]
        for policy, its in grouped(of_outcome, "policy").items()
    }
    differing = {policy: float(np.mean(values)) for policy, values in gains.items() if values}
    is_more = asked.get("direction", "maximize") == "maximize"
    best = (max if is_more else min)(differing, key=lambda name: differing[name]) if differing else None
    policy = str(asked.get("policy") or best or of_outcome[0]["policy"])
    if policy not in gains:
        raise ReportError(f"{folder / TABLE}: expected rows of policy {policy!r}; got {', '.join(map(str, gains))}")
    return Objective(outcome, policy, is_more, asked["of"] == "difference" if "of" in asked else policy in differing)


def _results(rows: Rows, objective: Objective) -> dict[tuple[int, int], float]:
    """Return the objective by setting and seed."""
    column = "difference" if objective.is_difference else "mean"
    return {
        (int(row["setting"]), int(row["seed"])): known(row, column)
        for row in rows
        if row.get("outcome") == objective.outcome and row.get("policy") == objective.policy
    }


def _level(value: Any) -> Level:
    """Return a level; lists and mappings as text."""
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)
