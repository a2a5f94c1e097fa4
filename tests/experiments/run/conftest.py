"""One tiny run that tests read; who changes something copies it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments.run.run import run_experiment
from experiments.run.source import Experiment
from tests.experiments.run.tiny import small, tiny


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    return tiny()


@pytest.fixture(scope="session")
def finished(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / experiment.place
    run_experiment(experiment, folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of few stages, never stopped: what one that was stopped is held against."""
    folder = tmp_path_factory.mktemp("undisturbed") / "1"
    run_experiment(small(), folder)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The run once more, to be spoilt."""
    return Path(shutil.copytree(finished, tmp_path.joinpath("results", *finished.parts[-3:])))
