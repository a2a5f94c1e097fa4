"""What a run leaves in its folder: every file appears whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import dump_scenario
from simulator.config import Scenario
from simulator.measures import Measures, Run
from simulator.records import MONEY, Metric, Status

MEASURES, USERS, PICTURE, SCENARIO, COMPARISON = (
    "measures.json",
    "users.parquet",
    "picture.png",
    "scenario.yaml",
    "comparison.json",
)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `path` when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of text."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a whole file of JSON."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_scenario(folder: Path, scenario: Scenario) -> None:
    """Write the scenario with every value resolved; `kairos` reads it back and gives the same run."""
    write_text(folder / SCENARIO, dump_scenario(scenario))


def write_run(folder: Path, run: Run, measures: Measures, policy: str) -> list[str]:
    """Write what one policy came to: its measures, and one row a user.

    Returns:
        The names of the files written. Without pyarrow (extra `ledger`) the users are left out.
    """
    write_json(folder / MEASURES, {"policy": policy} | measures.to_dict())
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return [MEASURES]
    with whole_file(folder / USERS) as partial:
        pq.write_table(pa.table(user_columns(run, measures)), partial)
    return [MEASURES, USERS]


def user_columns(run: Run, measures: Measures) -> dict[str, Any]:
    """Return one array a column, one entry a user: who the user is, what was counted, money in nano-euro."""
    users, people, counts = run.users, run.scenario.population, measures.by_user
    # Fatigue is summed over nights to form a population's mean; of one user it says nothing.
    counted = [m for m in Metric if m < Metric.EXPIRIES and m not in MONEY and m is not Metric.FATIGUE_MICRO]
    return {
        "user_id": users["user_id"],
        "segment": np.asarray([segment.name for segment in people.segments])[users["segment"]],
        "tier": np.asarray([tier.name for tier in people.tiers])[users["tier"]],
        "time_zone": np.asarray([zone.name for zone in people.time_zones])[users["zone"]],
        "os": np.asarray(["android", "ios"])[users["os"]],
        "installed_hours": users["installed_hours"],
        "is_new": users["is_arrival"] == 1,
        "has_left": users["status"] != int(Status.PRESENT),
        "is_push_opted_in": (users["opted_in"] & 1) == 1,
        "is_email_opted_in": (users["opted_in"] & 2) == 2,
        **{m.name.lower(): counts.of(m) for m in counted},
        **{f"{m.name.lower()}_nano": counts.of(m) for m in MONEY},
        "value_nano": counts.value_nano,
    }
