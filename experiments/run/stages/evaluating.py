"""All contenders on the same users with the same luck; each run is kept until the end, so that it is made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.watching import Watched, Watcher
from experiments.results import whole_file
from experiments.run.folder import WORK
from experiments.run.luck import first_user
from experiments.run.progress import Progress
from experiments.run.source import Experiment
from experiments.run.stages.contenders import Ready
from simulator.config import Scenario

WATCHED = ("segment", "by_day", "by_hour", "send_segment", "send_local_hour", "send_fatigue")


@dataclass(frozen=True, eq=False)
class Judged:
    """A contender's run: its outcomes by user, and what was seen on the way."""

    evaluation: Evaluation
    watched: Watched


def judged(experiment: Experiment, contenders: list[Ready], folder: Path, progress: Progress) -> dict[str, Judged]:
    """Return the runs by contender, in the config's order."""
    config = experiment.config
    about = config.evaluation
    seed = first_user(config.seed, "evaluation") if about.seed is None else about.seed
    progress.stage(f"evaluating {len(contenders)} contenders on the same {about.n_users:,} users")
    found = {}
    for place, contender in enumerate(contenders):
        path = folder / WORK / f"{contender.name}.npz"
        if not path.exists():

            def on_day(done: int, of: int, place: int = place, name: str = contender.name) -> None:
                progress.far(place + done / of, len(contenders), name)

            watcher = Watcher()
            evaluation = evaluate(
                contender.agent, experiment.scenario, about.n_users, seed, name=contender.name, watcher=watcher,
                on_day=on_day, n_slots=config.n_slots, **contender.how,
            )  # fmt: skip
            _keep(path, Judged(evaluation, watcher.watched))
        found[contender.name] = _kept(path, contender.name, experiment.scenario)
    return found


def _keep(path: Path, run: Judged) -> None:
    arrays = {name: getattr(run.evaluation, name) for name in ARRAYS}
    arrays |= {f"watched_{name}": getattr(run.watched, name) for name in WATCHED}
    about = {"seed": np.asarray(run.evaluation.seed), "n_days": np.asarray(run.evaluation.n_days)}
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays, **about)  # type: ignore[arg-type]


def _kept(path: Path, name: str, scenario: Scenario) -> Judged:
    with np.load(path, allow_pickle=False) as file:
        arrays = {each: file[each] for each in ARRAYS}
        evaluation = Evaluation(name, scenario.name, int(file["seed"]), int(file["n_days"]), **arrays)
        segments = tuple(segment.name for segment in scenario.population.segments)
        return Judged(evaluation, Watched(segments, **{each: file[f"watched_{each}"] for each in WATCHED}))
