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
        self._place, self._stage, self._began, self._told = 0, "", 0.0, 0.0

    def stage(self, what: str) -> None:
        """Begin a stage.

        Raises:
            Interrupted: the run is to stop.
        """
        self.stop_if_asked()
        self._place += 1
        self._stage, self._began = what, time.monotonic()
        self._told = self._began
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
        """Tell as `far` does, without asking whether to stop."""
        now = time.monotonic()
        if 0 < done < of and now - self._told >= SECONDS_BETWEEN_WORDS:
            self._told = now
            left = (now - self._began) / done * (of - done)
            tail = f", {words}" if words else ""
            self.say(f"{self._stage}: {100 * done / of:.0f} %, about {left:.0f} s left{tail}")

    def stop_if_asked(self) -> None:
        """Raise Interrupted where the run is to stop."""
        if self.is_interrupted():
            raise Interrupted
