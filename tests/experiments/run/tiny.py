"""An experiment so small that it runs in seconds: every kind of contender, every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from experiments.cli import main
from experiments.run.readers import read_run
from experiments.run.source import Experiment, load_experiment

CHANGES: dict[str, object] = {
    "horizon_days": 8,
    "contenders.cap.baseline": "random",
    "contenders.linear-thompson.environment.n_users": 16,
    "contenders.linear-thompson.environment.spread_hours": 0,
    "contenders.linear-thompson.credit.window_hours": 24.0,
    "contenders.linear-thompson.training.n_steps": 1200,
    "contenders.linear-thompson.training.evaluate_every": 600,
    "contenders.linear-thompson.training.evaluation.n_users": 8,
    "tuning.first_users": 2,
    "tuning.most_users": 2,
    "evaluation.n_users": 24,
    "offline.n_users": 32,
    "exports.learn_users": 8,
    "exports.n_users": 8,
    "exports.leaves": 3,
    "robustness.n_users": 16,
}
SETTINGS = [part for path, value in CHANGES.items() for part in ("--set", f"{path}={value}")]
FILES = {
    *("config.yaml", "scenario.yaml", "manifest.json", "summary.json", "report.html"),
    *("policies", "tuning", "training", "users", "ledger", "exports", "measures", "pictures", "robustness"),
}
MEASURES = {"outcomes", "days", "hours", "segments", "harm", "curves", "offline"}


def tiny(**more: object) -> Experiment:
    return load_experiment("quick", CHANGES | {name.replace("__", "."): value for name, value in more.items()})


def small(**more: object) -> Experiment:
    """Two stages less: to be stopped and taken up again."""
    return tiny(offline=None, exports=None, robustness=None, **more)


def kairos(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tree_of(experiment: Experiment) -> dict[str, Any]:
    return experiment.to_data()


def reproduced(folder: Path) -> dict[str, str]:
    files: dict[str, str] = read_run(folder).manifest["files"]
    return files
