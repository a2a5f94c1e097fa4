"""A finished run in MLflow's store: parameters, metrics, artefacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiments.run.faults import RunError
from experiments.run.mlflow_writer import log_run
from experiments.run.readers import read_run
from tests.experiments.run.tiny import SETTINGS, kairos

pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'kairos-notify[track]'")
# MLflow's own imports and its file store warn of what they themselves will change.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # MLflow keeps artefacts of a database's runs where it is called
        yield f"sqlite:///{folder / 'mlflow.db'}"


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def test_a_run_is_logged_whole(finished: Path, store: str) -> None:
    run = read_run(finished)
    logged = client(store).get_run(log_run(run, store))
    assert logged.info.status == "FINISHED"
    assert logged.data.params["contenders.cap.baseline"] == "random"
    assert logged.data.params["evaluation.n_users"] == "24"
    assert logged.data.tags["config_hash"] == run.hash
    assert logged.data.tags["answer"] == run.summary["answer"]
    outcomes = run.measures("outcomes").filter(pl.col("policy") == "cap", pl.col("outcome") == "value_eur")
    assert logged.data.metrics["cap/value_eur"] == outcomes["mean"][0]
    curve = client(store).get_metric_history(logged.info.run_id, "linear-thompson/learning/value_eur")
    assert [point.step for point in curve] == [0, 608, 1200]
    kept = {entry.path for entry in client(store).list_artifacts(logged.info.run_id)}
    assert kept >= {"report.html", "config.yaml", "measures", "policies"}
    second = client(store).get_run(log_run(run, store))
    assert second.info.experiment_id == logged.info.experiment_id


def test_the_option_logs_a_run_that_is_there(copied: Path, store: str) -> None:
    done = kairos("run", "quick", *SETTINGS, "--out", str(copied.parents[2]), "--mlflow", store)
    assert done.exit_code == 0
    run_id = done.stderr.partition("MLflow run: ")[2].split()[0]
    assert client(store).get_run(run_id).info.run_name == f"{copied.parent.name}, seed 1"


def test_a_store_that_is_none_is_told(finished: Path) -> None:
    with pytest.raises(RunError, match="--mlflow nowhere://x: MLflow could not log the run: "):
        log_run(read_run(finished), "nowhere://x")
