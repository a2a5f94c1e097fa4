"""How far a training is: a bar where somebody looks at a terminal, else a line now and then; both on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.training.course import Course, Watcher
from experiments.training.stopping import Verdict
from experiments.training.tensorboard import EventWriter
from experiments.training.trial import Trial

LINE_SECONDS = 30.0


class ProgressWatcher(Watcher):
    """Shows a course, and hands its figures to TensorBoard.

    Args:
        n_steps: of the whole training.
        events: for TensorBoard.
    """

    def __init__(self, n_steps: int, events: EventWriter) -> None:
        self._events = events
        self._latest = ""
        self._told = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.completed:,} of {task.total:,} steps"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting (the first run of all compiles for a minute)", total=n_steps)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show progress inside the block."""
        if not self._bar.console.is_terminal:
            yield
            return
        with self._bar:
            yield

    def on_portion(self, course: Course, steps_per_second: float) -> None:
        """Show where the course is."""
        n_steps, figures = course.trainer.n_steps, course.portions.row(-1)
        told = {name: value for name, value in figures.items() if name != "n_steps" and value == value}
        self._events.write(n_steps, "learning", told, time.time())
        pace = f"{steps_per_second:,.0f} steps/s"
        parts = [pace, *(f"{name} {told[name]:.4g}" for name in ("reward", "sends") if name in told), self._latest]
        line = ", ".join(part for part in parts if part)
        self._bar.update(self._task, completed=n_steps, description=line)
        if not self._bar.console.is_terminal and time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            click.echo(f"{n_steps:,} of {course.schedule.n_steps:,} steps, {line}", err=True)

    def on_trial(self, course: Course, trial: Trial, verdict: Verdict) -> None:
        """Keep the latest evaluation to show."""
        self._events.write(course.trainer.n_steps, "evaluation", dict(trial.figures), time.time())
        self._latest = trial_words(trial.figures)
        self._bar.update(self._task, completed=course.trainer.n_steps, description=self._latest)


def trial_words(figures: Mapping[str, float]) -> str:
    """Return an evaluation in a few words."""
    if "over_silence_eur" in figures:
        half = figures["over_silence_high"] - figures["over_silence_eur"]
        return f"{figures['over_silence_eur']:+.4f} ±{half:.4f} EUR per user over silence"
    return f"exact value {figures['value_eur']:.5f} EUR, {100 * figures['gap_closed']:.1f} % of the gap closed"
