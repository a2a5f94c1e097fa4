"""Delayed rewards: what a decision brought is the sum of the rewards in a window after it, known once that is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Experience, Floats, Ints, Observations, State, require_state


class Decided(NamedTuple):
    """What was decided at one step for all U users, and what it has brought so far.

    Attributes:
        observations, masks, actions, probabilities: as in `Experience`, shapes (U, ...).
        returns: discounted rewards so far, shape (U,).
        weights: what a reward counts now, shape (U,).
        hours: since the decision, shape (U,).
        is_open: whether its window has not passed, shape (U,).
    """

    observations: Observations
    masks: Bools
    actions: Ints
    probabilities: Floats
    returns: Floats
    weights: Floats
    hours: Floats
    is_open: Bools


class Windows:
    """Decisions whose windows have not passed, step by step.

    Args:
        window_hours: length of the window; a reward counts when it was earned by a step that began within it.
        discount_per_day: what a reward counts a day later.
    """

    def __init__(self, window_hours: float, discount_per_day: float) -> None:
        self.window_hours = window_hours
        self.discount_per_day = discount_per_day
        self.steps: list[Decided] = []

    def __len__(self) -> int:
        return len(self.steps)

    def decide(self, observations: Observations, masks: Bools, actions: Ints, probabilities: Floats | None) -> None:
        """Open the windows of decisions; those in which nothing could be chosen are of no interest."""
        n = len(actions)
        kept = np.zeros((n, 0)) if probabilities is None else probabilities
        is_choice = masks.sum(axis=1) > 1
        self.steps.append(
            Decided(observations.copy(), masks.copy(), actions, kept, np.zeros(n), np.ones(n), np.zeros(n), is_choice)
        )

    def earn(self, rewards: Floats, elapsed_hours: Floats, is_end: Bools) -> Experience | None:
        """Count the rewards of a step, and return the decisions whose windows have now passed; None for none.

        Args:
            rewards: of the step, shape (U,).
            elapsed_hours: that it took, shape (U,).
            is_end: whether it ended the episode, which closes the windows, shape (U,).
        """
        discount = self.discount_per_day ** (elapsed_hours / 24.0)
        closed: list[tuple[Decided, Bools]] = []
        for step in self.steps:
            step.returns[step.is_open] += (step.weights * rewards)[step.is_open]
            step.weights[:] *= discount
            step.hours[:] += elapsed_hours
            # Whole hours add up exactly; what does not may miss the end by a rounding error.
            has_passed = step.is_open & (is_end | (step.hours >= self.window_hours - 1e-9))
            step.is_open[has_passed] = False
            if has_passed.any():
                closed.append((step, has_passed))
        self.steps = [step for step in self.steps if step.is_open.any()]
        return _experience(closed) if closed else None

    def state(self) -> State:
        """Return the open windows, step by step on the first axis."""
        if not self.steps:
            return {"n_steps": np.asarray([0])}
        stacked = {name: np.stack([getattr(step, name) for step in self.steps]) for name in Decided._fields}
        return {"n_steps": np.asarray([len(self.steps)]), **stacked}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take up what `state` returned.

        Args:
            shapes: of a step's observations, masks and probabilities.

        Raises:
            ValueError: arrays are missing, unknown or of another shape.
        """
        n = int(state["n_steps"][0]) if "n_steps" in state else 0
        of_users: dict[str, tuple[int, ...]] = dict.fromkeys(Decided._fields, (n, shapes["observations"][0]))
        of_users |= {name: (n, *shape) for name, shape in shapes.items()}
        require_state({"n_steps": (1,), **(of_users if n else {})}, state)
        columns: dict[str, Any] = {name: np.array(state[name]) for name in of_users} if n else {}
        self.steps = [Decided(**{name: values[k] for name, values in columns.items()}) for k in range(n)]


def _experience(closed: Sequence[tuple[Decided, Bools]]) -> Experience:
    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(step, name)[rows] for step, rows in closed])

    probabilities = joined("probabilities")
    return Experience(
        joined("observations"),
        joined("masks"),
        joined("actions"),
        joined("returns"),
        probabilities if probabilities.shape[1] else None,
    )
