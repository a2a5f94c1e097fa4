"""How far a run is: which stage of how many, and how long the stage may still take; asked whether to stop, too."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from experiments.run.faults import Interrupted
from experiments.run_options import SECONDS_BETWEEN_WORDS


class Progress:
    """Tells on standard error, and raises Interrupted where somebody asked to stop.

    Args:
        n_stages: of the run.
        is_interrupted: asked at each word.
        is_quiet: whether nothing is told.
    """

    def __init__(
        self, n_stages: int, is_interrupted: Callable[[], bool] = lambda: False, *, is_quiet: bool = False
    ) -> None:
        self.is_interrupted = is_interrupted
        self._n_stages, self._is_quiet = n_stages, is_quiet
        self._place, self._stage, self._told = 0, "", 0.0
        self._first: tuple[float, float] | None = None  # time and what was done at the stage's first sign

    def stage(self, what: str) -> None:
        """Begin a stage.

        Raises:
            Interrupted: the run is to stop.
        """
        self.stop_if_asked()
        self._place += 1
        self._stage, self._first, self._told = what, None, time.monotonic()
        self.say(what)

    def say(self, words: str) -> None:
        """Tell something of the stage."""
        if not self._is_quiet:
            click.echo(f"[{self._place}/{self._n_stages}] {words}", err=True)

    def far(self, done: float, of: float, words: str = "") -> None:
        """Tell now and then how far the stage is.

        Raises:
            Interrupted: the run is to stop.
        """
        self.stop_if_asked()
        self.tell(done, of, words)

    def tell(self, done: float, of: float, words: str = "") -> None:
        """Tell as `far` does, without asking whether to stop.

        The rate is that since the stage's first sign of life: what is compiled before it says nothing of the rest.
        """
        now = time.monotonic()
        if not 0 < done < of:
            return
        if self._first is None:
            self._first = (now, done)
        if now - self._told >= SECONDS_BETWEEN_WORDS:
            self._told = now
            since, before = self._first
            left = f", about {(now - since) / (done - before) * (of - done):.0f} s left" if done > before else ""
            tail = f", {words}" if words else ""
            self.say(f"{self._stage}: {100 * done / of:.0f} %{left}{tail}")

    def stop_if_asked(self) -> None:
        """Raise Interrupted where the run is to stop."""
        if self.is_interrupted():
            raise Interrupted
