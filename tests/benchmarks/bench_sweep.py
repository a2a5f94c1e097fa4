"""A sweep of small trials by one worker and by two."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from experiments.sweep.folder import SweepFolder
from experiments.sweep.local import run_locally
from experiments.sweep.source import load_sweep
from experiments.sweep.sweep import run_sweep
from experiments.sweep.trial import TRIAL
from tests.benchmarks import Row
from tests.experiments.sweep.small import written_sweep

TARGET = 1.8


def run(quick: bool) -> list[Row]:
    """Return how much faster two workers are, starts included."""
    n_settings = 10 if quick else 50
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        plan = load_sweep(str(written_sweep(here, n_settings)))
        seconds, tables = [], []
        for n_workers in (1, 2):
            out = SweepFolder(here / str(n_workers), plan.config, plan.base, plan.base_hash)
            began = time.perf_counter()
            result = run_sweep(out, partial(run_locally, trial=TRIAL, n_workers=n_workers))
            seconds.append(time.perf_counter() - began)
            tables.append((here / str(n_workers) / "table.parquet").read_bytes())
            assert result.n_done == 4 * n_settings
        assert tables[0] == tables[1]
    note = f"{4 * n_settings} trials, two contenders, 256 users, 14 days; starts of the workers included; equal tables"
    one, two = (4 * n_settings / taken for taken in seconds)
    return [Row("sweep, two workers", "trials/s", two, "one worker", one, two / one, TARGET, note)]
