"""All results of a sweep as one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from experiments.results import whole_file
from experiments.sweep.folder import TABLE, read_plan

OUTCOMES = Path("measures", "outcomes.parquet")


def table_of(folder: Path) -> pl.DataFrame:
    """Return a row for each trial, contender and outcome.

    Columns: `setting` (its number), `seed`, one for each field that was swept, then those of a run's
    `measures/outcomes.parquet`. Trials without a result have no rows. A field whose values are of several kinds, or are
    lists, is text (JSON).

    Raises:
        SweepError: the folder is no sweep's.
    """
    plan = read_plan(folder)
    fields = sorted({name for entry in plan["settings"] for name in entry["overrides"]})
    columns = {name: _column([entry["overrides"].get(name) for entry in plan["settings"]]) for name in fields}
    parts = []
    for place, entry in enumerate(plan["settings"]):
        for seed in entry["seeds"]:
            file = folder / entry["folder"] / str(seed) / OUTCOMES
            if not file.is_file():
                continue
            rows = pl.read_parquet(file)
            own = [pl.repeat(entry["number"], rows.height, dtype=pl.Int64, eager=True).alias("setting")]
            own.append(pl.repeat(seed, rows.height, dtype=pl.Int64, eager=True).alias("seed"))
            own += [values.gather([place] * rows.height).alias(name) for name, values in columns.items()]
            parts.append(pl.DataFrame(own).hstack(rows))
    return pl.concat(parts) if parts else pl.DataFrame()


def write_table(folder: Path) -> pl.DataFrame:
    """Write the table into the folder and return it."""
    table = table_of(folder)
    with whole_file(folder / TABLE) as partial:
        table.write_parquet(partial)
    return table


def value_of(folder: Path, policy: str, outcome: str, of: str) -> float:
    """Return a figure of one trial.

    Raises:
        ValueError: the trial has no such contender or outcome; the message says what it has.
    """
    table = pl.read_parquet(folder / OUTCOMES)
    for name, wanted in (("policy", policy), ("outcome", outcome)):
        if wanted not in table[name]:
            raise ValueError(f"objective.{name}: expected one of {', '.join(sorted(set(table[name])))}, got {wanted!r}")
    row = table.row(by_predicate=(pl.col("policy") == policy) & (pl.col("outcome") == outcome), named=True)
    found = row[of]
    if found is None:
        raise ValueError(f"objective: {policy!r} is the reference, which has no difference; expected `of: mean`")
    return float(found)


def _column(values: list[Any]) -> pl.Series:
    """Return the values of a field, None where a setting leaves it alone; those of several kinds as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str}):
        return pl.Series(values, dtype=pl.Float64 if float in kinds else pl.Int64 if int in kinds else None)
    return pl.Series(
        [None if value is None else json.dumps(value, sort_keys=True) for value in values], dtype=pl.String
    )
