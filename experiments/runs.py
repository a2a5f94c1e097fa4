"""One policy on one scenario: which engine, who watches, what is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.results import whole_file
from simulator.config import Scenario
from simulator.measures import Run
from simulator.senders import Sender

EngineName = Literal["fleet", "events"]
PATIENCE_SECONDS = 2.0  # what takes longer than this shows its progress


def run_policy(
    scenario: Scenario,
    sender: Sender,
    engine: EngineName = "fleet",
    on_day: Callable[[int], None] | None = None,
    trace: Path | None = None,
) -> Run:
    """Return a scenario's population, brought to the horizon under a policy.

    Args:
        scenario: the population and its app.
        sender: the policy.
        engine: `fleet` is fast; `events` is a plain discrete-event simulation with the same result.
        on_day: called with the number of days done.
        trace: for `events`: file to which every event is written as a line of JSON; it appears when the run is done.
    """
    if engine == "fleet":
        from simulator.fleet import Fleet

        if trace is not None:
            raise ValueError("only the engine `events` can write a trace")
        fleet = Fleet(scenario)
        fleet.run(sender, on_day=on_day)
        return fleet

    from simulator.events import EventEngine

    if trace is None:
        users = EventEngine(scenario)
        users.run(sender, on_day=on_day)
        return users
    with whole_file(trace) as partial, partial.open("w", encoding="utf-8") as file:

        def write(event: dict[str, Any]) -> None:
            file.write(json.dumps(event, default=_number) + "\n")

        users = EventEngine(scenario, trace=write)
        users.run(sender, on_day=on_day)
    return users


def _number(value: Any) -> Any:
    """Return a NumPy number as Python's own, for JSON."""
    return value.item()


class Watch:
    """Shows on standard error how far the runs are, once they have taken two seconds; nothing where nobody looks.

    The first run of all compiles the law, during which no day is reported: hence the clock that does not wait for one.
    """

    def __init__(self, n_days: int, n_runs: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("day {task.fields[day]} of {task.fields[n_days]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._n_days = n_days
        self._n_done = 0
        self._task = self._bar.add_task("", total=n_days * n_runs, day=0, n_days=n_days)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Show progress inside the block."""
        timer = threading.Timer(PATIENCE_SECONDS, self._bar.start)
        if self._bar.console.is_terminal:
            timer.start()
        try:
            yield self
        finally:
            timer.cancel()
            if timer.ident is not None:
                timer.join()  # else a bar could start after it was stopped
            if self._bar.live.is_started:
                self._bar.stop()

    @contextmanager
    def one_run(self, policy: str) -> Iterator[Callable[[int], None]]:
        """Yield what a run calls with the number of days done."""
        self._bar.update(self._task, description=f"{policy}: starting (the first run of all compiles for a minute)")

        def on_day(day: int) -> None:
            self._bar.update(self._task, description=policy, completed=self._n_done + day, day=day)

        yield on_day
        self._n_done += self._n_days
