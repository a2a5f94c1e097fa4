"""The course of a training: learn a portion, look from time to time, keep what is needed to go on; and stop.

What is learned depends on nothing but the config: portions end at multiples of `report_every`, evaluations come at the
first end of a portion at or past each multiple of `evaluate_every`. Checkpoints lie at ends of portions, so a training
that is taken up again makes the very portions that were still to come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from agents.agent import State
from agents.trainer import Trainer
from experiments.training.config import Schedule
from experiments.training.figures import Figures
from experiments.training.stopping import EarlyStopping, Verdict
from experiments.training.trial import Judge, Trial

End = Literal["steps", "patience", "interrupted"]
PARTS = ("trainer", "stopping", "curve", "portions", "best")


@dataclass(eq=False)
class Course:
    """A training under way.

    Attributes:
        trainer: what learns.
        judge: who tries it out.
        schedule: how long, and when to look.
        curve: a row an evaluation; `n_steps`, and the judge's figures.
        portions: a row a portion; `n_steps`, and the trainer's figures.
        best: what the agent had learned at its best evaluation.
        best_row: of the curve.
        seconds: of work, in all sittings.
    """

    trainer: Trainer
    judge: Judge
    schedule: Schedule
    curve: Figures = field(default_factory=Figures)
    portions: Figures = field(default_factory=Figures)
    best: State = field(default_factory=dict)
    best_row: int = 0
    seconds: float = 0.0
    stopping: EarlyStopping = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing seen."""
        self.stopping = EarlyStopping(self.schedule.patience, self.schedule.least_gain_eur)

    @property
    def end(self) -> End | None:
        """Why there is nothing left to do, if so."""
        if len(self.curve) and self.curve.row(-1)["n_steps"] == self.trainer.n_steps:
            if self.stopping.should_stop:
                return "patience"
            if self.trainer.n_steps >= self.schedule.n_steps:
                return "steps"
        return None

    def state(self) -> State:
        """Return all that the rest of the course depends on; names are `part/name`."""
        parts: dict[str, State] = {
            "trainer": self.trainer.state(),
            "stopping": self.stopping.state(),
            "curve": self.curve.state(),
            "portions": self.portions.state(),
            "best": self.best,
        }
        kept = {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()}
        return kept | {"best_row": np.asarray(self.best_row), "seconds": np.asarray(self.seconds)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: it is of another agent or environment.
        """
        parts: dict[str, dict[str, npt.NDArray[np.generic]]] = {part: {} for part in PARTS}
        for key, array in state.items():
            part, _, name = key.partition("/")
            if part in parts:
                parts[part][name] = array
        self.trainer.restore(parts["trainer"])
        self.stopping.restore(parts["stopping"])
        self.curve.restore(parts["curve"])
        self.portions.restore(parts["portions"])
        self.best = parts["best"]
        self.best_row, self.seconds = int(state["best_row"]), float(state["seconds"])


class Watcher:
    """Is told of a course; the base listens to nothing."""

    def on_portion(self, course: Course, steps_per_second: float) -> None:
        """A portion was learned; `course.portions` has it as its last row."""

    def on_trial(self, course: Course, trial: Trial, verdict: Verdict) -> None:
        """The agent was tried out; `course.curve` has it as its last row."""


def follow(
    course: Course,
    watcher: Watcher,
    save: Callable[[], None],
    is_interrupted: Callable[[], bool] = lambda: False,
) -> End:
    """Go on with a course to its end, or until it is interrupted.

    Args:
        course: new or restored.
        watcher: told of each portion and evaluation.
        save: writes the course's state; called where it would be a pity to lose what was learned.
        is_interrupted: asked after each portion.

    Returns:
        Why it ended.
    """
    schedule = course.schedule
    if not len(course.curve):
        _look(course, watcher)
        save()
    while course.end is None:
        if is_interrupted():
            save()
            return "interrupted"
        before = course.trainer.n_steps
        target = min((before // schedule.portion + 1) * schedule.portion, schedule.n_steps)
        since = time.perf_counter()
        figures = course.trainer.advance(target - before)
        elapsed = time.perf_counter() - since
        course.seconds += elapsed
        n_steps = course.trainer.n_steps
        course.portions.add({"n_steps": n_steps} | dict(figures))
        watcher.on_portion(course, (n_steps - before) / max(elapsed, 1e-9))
        looks = n_steps // schedule.evaluate_every > before // schedule.evaluate_every or n_steps >= schedule.n_steps
        if looks:
            _look(course, watcher)
        every = schedule.checkpoint_every
        if looks or (every is not None and n_steps // every > before // every):
            save()
    return course.end


def _look(course: Course, watcher: Watcher) -> None:
    """Try the agent out, and keep it if it is the best so far."""
    since = time.perf_counter()
    trial = course.judge.try_out(course.trainer.agent)
    verdict = course.stopping.judge(trial.values)
    course.curve.add({"n_steps": course.trainer.n_steps} | dict(trial.figures))
    if verdict.is_best:
        course.best = {name: array.copy() for name, array in course.trainer.agent.state().items()}
        course.best_row = len(course.curve) - 1
    course.seconds += time.perf_counter() - since
    watcher.on_trial(course, trial, verdict)
