"""A trial of a sweep over experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TRIAL = "experiments.sweep.trial:run_trial"


def run_trial(base: str, overrides: dict[str, Any], seed: int, folder: str) -> None:
    """Run an experiment with values written over it; the folder is whole afterwards, or not there.

    Raises:
        ConfigError, RunError: it cannot be.
    """
    from experiments.run.run import run_experiment
    from experiments.run.source import load_experiment

    run_experiment(load_experiment(base, {**overrides, "seed": seed}), Path(folder))
