"""Training as a command drives it: in portions, with figures after each, and a state that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from agents.agent import Agent, State


class Trainer(Protocol):
    """An agent and the environment it learns in.

    Two trainers with the same config and seed that were advanced by the same portions are equal to the last bit, and
    so is one that was restored in between.
    """

    @property
    def agent(self) -> Agent:
        """As it has learned so far."""
        ...

    @property
    def n_steps(self) -> int:
        """Decisions made in the environment so far, over all users."""
        ...

    def advance(self, n_steps: int) -> Mapping[str, float]:
        """Learn from at least so many further decisions, whole rollouts.

        Returns:
            Figures of this portion by name: `reward` (mean per decision), `sends` (share of decisions), and what the
            algorithm has to tell (`entropy`, `value_loss`, ...).
        """
        ...

    def state(self) -> State:
        """Return all that the next portion depends on: what was learned, the environment, the generators."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: it is of another environment or algorithm; the message says what was expected.
        """
        ...
