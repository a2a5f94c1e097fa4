"""A finished run in MLflow's store: its config as parameters, its outcomes as metrics, its files as artefacts.

The one file that imports MLflow. What it logs is read from the run's folder, so a run can be logged at any time.
"""

from __future__ import annotations

from typing import Any

from experiments.run.faults import RunError
from experiments.run.readers import KeptRun, flat_config

MOST_LETTERS = 500  # of a parameter's value, which MLflow refuses to exceed by default
MOST_PARAMS = 100  # in one call, by MLflow's own limit
ARTIFACTS = ("manifest.json", "config.yaml", "scenario.yaml", "summary.json", "report.html")
FOLDERS = ("measures", "policies", "exports", "pictures")


def log_run(run: KeptRun, uri: str) -> str:
    """Log a run, and return the id that MLflow gave it.

    Args:
        run: complete.
        uri: of the store, such as `sqlite:///mlflow.db` or `http://localhost:5000`.

    Raises:
        RunError: MLflow could not log it.
        ModuleNotFoundError: MLflow is not installed; the message says how to install it.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        told = 'MLflow is not installed: pip install "kairos-notify[track]"'
        raise ModuleNotFoundError(told, name=error.name) from None
    try:
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(run.name)
        experiment_id = client.create_experiment(run.name) if known is None else known.experiment_id
        logged = client.create_run(experiment_id, run_name=f"{run.hash}, seed {run.seed}")
        run_id = str(logged.info.run_id)
        params = [Param(name, str(value)[:MOST_LETTERS]) for name, value in _params(run).items()]
        tags = [RunTag(name, str(value)[:MOST_LETTERS]) for name, value in _tags(run).items()]
        metrics = [Metric(name, value, 0, step) for name, value, step in _metrics(run)]
        for first in range(0, len(params), MOST_PARAMS):
            client.log_batch(run_id, params=params[first : first + MOST_PARAMS])
        client.log_batch(run_id, tags=tags)
        for first in range(0, len(metrics), MOST_PARAMS):
            client.log_batch(run_id, metrics=metrics[first : first + MOST_PARAMS])
        for name in ARTIFACTS:
            if (run.folder / name).is_file():
                client.log_artifact(run_id, str(run.folder / name))
        for name in FOLDERS:
            if (run.folder / name).is_dir():
                client.log_artifacts(run_id, str(run.folder / name), name)
        client.set_terminated(run_id)
    except (MlflowException, OSError) as error:
        raise RunError(f"--mlflow {uri}: MLflow could not log the run: {error}") from None
    return run_id


def _params(run: KeptRun) -> dict[str, Any]:
    """Return the config by dotted path; the scenario's hundreds of values are in the artefact."""
    return {name: value for name, value in flat_config(run.folder).items() if not name.startswith("settings.")}


def _tags(run: KeptRun) -> dict[str, Any]:
    told = {name: run.manifest.get(name) for name in ("config_hash", "commit", "started", "duration_s")}
    return told | {"answer": run.summary["answer"], "folder": str(run.folder.resolve())}


def _metrics(run: KeptRun) -> list[tuple[str, float, int]]:
    """Return (name, value, step): each contender's outcomes, and the curves of those that learned."""
    found = []
    for row in run.measures("outcomes").to_dicts():
        name = f"{row['policy']}/{row['outcome']}"
        found += [
            (f"{name}{suffix}", float(row[column]), 0)
            for column, suffix in (("mean", ""), ("difference", "_difference"))
            if row[column] is not None
        ]
    curves = [row for row in run.measures("curves").to_dicts() if row["step"] is not None]
    return found + [(f"{row['contender']}/learning/value_eur", float(row["value_eur"]), row["step"]) for row in curves]
