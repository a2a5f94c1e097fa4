"""Contenders in worlds that they were not made in: `robustness/matrix.parquet`, which the report shows."""

from __future__ import annotations

from pathlib import Path

from experiments.robustness.contestants import ASKED, SILENCE, Contestant
from experiments.robustness.matrix import matrix
from experiments.robustness.trial import Size
from experiments.robustness.worlds import chosen_worlds, differing
from experiments.run.folder import ROBUSTNESS, WORK
from experiments.run.luck import first_user
from experiments.run.measures import write_parquet
from experiments.run.progress import Progress
from experiments.run.source import Experiment
from experiments.run.stages.contenders import Ready

TABLE = "matrix.parquet"


def try_elsewhere(experiment: Experiment, contenders: list[Ready], folder: Path, progress: Progress) -> None:
    """Try all contenders that have a document, as often as each decides, in the worlds that the config names.

    Worlds that change nothing in this scenario are left out. What is done is kept until the run is finished.
    """
    config, about = experiment.config, experiment.config.robustness
    assert about is not None, "an experiment without other worlds is not tried there"
    worlds, same = differing(
        chosen_worlds(None if about.worlds is None else ",".join(about.worlds)), experiment.scenario
    )
    who = [
        Contestant(contender.name, contender.document, **{k: v for k, v in contender.how.items() if k in ASKED})
        for contender in contenders
        if contender.document is not None
    ]
    progress.stage(f"trying {len(who)} policies in {len(worlds)} worlds")
    if same:
        progress.say(f"left out, since they change nothing here: {', '.join(same)}")
    if not who:
        return
    reference = config.reference if config.reference in [each.name for each in who] else SILENCE
    size = Size(about.n_users, first_user(config.seed, "worlds"))
    found = matrix(worlds, who, reference, size, folder / WORK / ROBUSTNESS, progress.far)
    write_parquet(folder / ROBUSTNESS / TABLE, found.columns())
