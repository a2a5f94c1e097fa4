"""A run, from an experiment to its folder: contenders, evaluation, log, exports, measures, pictures, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.report.run_page import write_run_page
from experiments.results import write_json
from experiments.run.config import TrainedAgent, TunedBaseline
from experiments.run.faults import told_by, told_of_stages
from experiments.run.folder import PICTURES, REPORT, SUMMARY, RunFolder
from experiments.run.manifest import FORMAT, MANIFEST, commit, hashes, library_versions, machine
from experiments.run.measures import write_measures
from experiments.run.plots import draw_overview
from experiments.run.progress import Progress
from experiments.run.readers import KeptRun
from experiments.run.source import Experiment
from experiments.run.stages.contenders import ready
from experiments.run.stages.evaluating import judged
from experiments.run.stages.exports import export
from experiments.run.stages.offline import judge_offline
from experiments.run.stages.robustness import try_elsewhere
from experiments.run.summary import summary

OVERVIEW = "overview.png"


def run_experiment(
    experiment: Experiment,
    final: Path,
    *,
    is_interrupted: Callable[[], bool] = lambda: False,
    is_quiet: bool = True,
) -> None:
    """Run an experiment, or go on where it stopped; `final` is whole afterwards.

    Args:
        experiment: to run.
        final: its folder; while it is made, `.<name>.unfinished` beside it.
        is_interrupted: asked now and then.
        is_quiet: whether nothing is told on standard error.

    Raises:
        ConfigError: a training cannot be built so.
        RunError: the folder cannot be written, or belongs to something else; a stage refuses what it is to do.
        Interrupted: somebody asked; what is done is kept.
    """
    config = experiment.config
    progress = Progress(n_stages(experiment), is_interrupted, is_quiet=is_quiet)
    where = RunFolder(final, experiment)
    with where.held() as folder, told_by(folder), told_of_stages(), one_blas_thread():
        contenders = ready(experiment, folder, progress)
        runs = judged(experiment, contenders, folder, progress)
        evaluations = {name: run.evaluation for name, run in runs.items()}
        found = summary(config, evaluations, experiment.scenario.name)
        if config.offline is not None:
            judge_offline(experiment, contenders, folder, progress)
        if config.exports is not None:
            export(experiment, contenders, found["best"] or config.reference, folder, progress)
        if config.robustness is not None:
            try_elsewhere(experiment, contenders, folder, progress)
        progress.stage("measures and report")
        write_measures(folder, config.reference, contenders, runs)
        write_json(folder / SUMMARY, found)
        draw_overview(folder / PICTURES / OVERVIEW, KeptRun(folder, {}))
        started, seconds = where.spent()
        manifest = {
            "format": FORMAT,
            "kind": "experiment",
            "name": config.name,
            "config_hash": experiment.hash,
            "seed": config.seed,
            "versions": library_versions(),
            "commit": commit(),
            "machine": machine(),
            "started": started,
            "duration_s": round(seconds, 1),
            "files": hashes(folder),
        }
        write_json(folder / MANIFEST, manifest)
        write_run_page(folder, folder / REPORT)
        where.finish()


def n_stages(experiment: Experiment) -> int:
    """Return how many stages a run has."""
    config = experiment.config
    trained = sum(isinstance(each, TrainedAgent) for each in config.contenders)
    is_tuned = any(isinstance(each, TunedBaseline) for each in config.contenders)
    asked = (config.offline, config.exports, config.robustness)
    return trained + is_tuned + 2 + sum(each is not None for each in asked)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrices be multiplied on one thread: on several, sums come in another order, and the last bits differ."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        yield
        return
    with threadpool_limits(1, user_api="blas"):
        yield
