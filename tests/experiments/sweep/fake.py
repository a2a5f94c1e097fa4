"""A trial that takes no time, and does what its settings say: sleeps, fails, or dies."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl

from experiments.results import whole_file
from experiments.sweep.config import SweepConfig
from experiments.sweep.folder import SweepFolder
from experiments.sweep.plan import Task

TRIAL = "tests.experiments.sweep.fake:run_trial"


def run_trial(base: str, overrides: dict[str, Any], seed: int, folder: str) -> None:
    """Write outcomes that follow from the settings and the seed alone."""
    final = Path(folder)
    partial = final.with_name(f".{final.name}.unfinished")
    time.sleep(float(overrides.get("seconds", 0.0)))
    if overrides.get("fails"):
        raise ValueError(f"expected not to fail, got fails = {overrides['fails']!r}")
    if overrides.get("dies"):
        marker = Path(base) / f"died-{overrides['dies']}-{seed}"
        if overrides["dies"] == "always" or not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    x = float(overrides.get("x", 0.0))
    value = -((x - 0.3) ** 2) + 0.001 * seed
    rows = {"policy": ["a", "b"], "outcome": ["value_eur"] * 2, "mean": [value, 0.5], "difference": [value - 0.5, None]}
    with whole_file(partial / "measures" / "outcomes.parquet") as file:
        pl.DataFrame(rows).write_parquet(file)
    try:
        partial.rename(final)
    except OSError:  # somebody else, who was killed too late, has just made the same
        assert final.exists()


def config_of(search: dict[str, Any], **more: Any) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps({"name": "fake", "base": "quick", "search": search} | more))


def sweep_of(path: Path, search: dict[str, Any], seeds: tuple[int, ...] = (1, 2), **more: Any) -> SweepFolder:
    """A sweep's folder; the base is the folder above, where trials leave their marks."""
    config = config_of(search, seeds=seeds, **more)
    path.parent.mkdir(parents=True, exist_ok=True)
    return SweepFolder(path, config, str(path.parent), "hash")


def in_process(tasks: Any) -> Any:
    """An engine without processes."""
    from experiments.sweep.local import Ended, tried

    for task in tasks:
        yield Ended(task, tried(TRIAL, task))


def backwards(tasks: Any) -> Any:
    """An engine that ends with the first."""
    yield from in_process(list[Task](reversed(tasks)))
