"""One trial as a function of plain data: what a sweep calls, in any process.

tree = load_experiment("quick", {"evaluation.n_users": 512}).to_data()
run_trial(tree, seed=3, folder=Path("results/sweep/0123456789ab/3"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.run.source import experiment_of


def run_trial(
    tree: Mapping[str, Any], seed: int, folder: Path, *, is_interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Make a trial's folder complete; on any failure it is absent.

    A trial that was stopped or killed goes on where it stopped. Where the folder is complete already, nothing is done.

    Args:
        tree: of an experiment, as `Experiment.to_data` gives it; checked again.
        seed: written over the tree's.
        folder: final, such as `results/<name>/<hash>/<seed>`.
        is_interrupted: asked now and then.

    Raises:
        ConfigError: with every fault of the tree.
        RunError: the folder cannot be written, or belongs to something else.
        Interrupted: somebody asked.
    """
    from experiments.run.readers import require_same
    from experiments.run.run import run_experiment

    experiment = experiment_of(tree, seed)
    if folder.exists():
        require_same(folder, experiment)
        return
    run_experiment(experiment, folder, is_interrupted=is_interrupted)
