"""A solvable world: a finite problem, and what an agent sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from policies.vocabulary import Feature
from simulator.exact.finite import FiniteModel, Ints, Solution, value_iteration

Observations = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class World:
    """A finite problem with observations that tell every state from every other.

    Attributes:
        name: of its environment.
        model: the problem.
        observations: of each state, shape (S, K), within the features' ranges.
        features: of an observation, in order, K of them.
        actions: names, A of them; the first does nothing.
        step_hours: how long a step takes.
        baselines: computes the values of simple rules, by name.

    Raises:
        ValueError: two states look the same, a shape or a range is wrong.
    """

    name: str
    model: FiniteModel
    observations: Observations
    features: tuple[Feature, ...]
    actions: tuple[str, ...]
    step_hours: float
    baselines: Callable[[], Mapping[str, float]]

    def __post_init__(self) -> None:
        shape = (self.model.n_states, len(self.features))
        if self.observations.shape != shape or self.observations.dtype != np.float32:
            got = f"{self.observations.dtype} {self.observations.shape}"
            raise ValueError(f"{self.name}: observations: expected float32 {shape}, got {got}")
        if len(self.actions) != self.model.n_actions:
            raise ValueError(f"{self.name}: actions: expected {self.model.n_actions} names, got {len(self.actions)}")
        if (self.observations < self.low).any() or (self.observations > self.high).any():
            raise ValueError(f"{self.name}: observations: outside the features' ranges")
        if len(self._states) < self.model.n_states:
            raise ValueError(f"{self.name}: observations: two states look the same")
        self.observations.flags.writeable = False

    @property
    def low(self) -> Observations:
        """Least observation, shape (K,)."""
        return np.asarray([feature.low for feature in self.features], np.float32)

    @property
    def high(self) -> Observations:
        """Greatest observation, shape (K,)."""
        return np.asarray([feature.high for feature in self.features], np.float32)

    @cached_property
    def solution(self) -> Solution:
        """An optimal policy and its values."""
        return value_iteration(self.model)

    @cached_property
    def _states(self) -> dict[bytes, int]:
        return {observation.tobytes(): state for state, observation in enumerate(self.observations + np.float32(0.0))}

    def states_of(self, observations: Observations) -> Ints:
        """Return the states, shape (n,), that look like the observations, shape (n, K).

        Raises:
            ValueError: an observation is that of no state.
        """
        rows = np.asarray(observations, np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise ValueError(f"{self.name}: observations: expected shape (n, {len(self.features)}), got {rows.shape}")
        states = [self._states.get(row.tobytes(), -1) for row in rows + np.float32(0.0)]  # + 0: -0.0 looks like 0.0
        if -1 in states:
            row = states.index(-1)
            nearest = int(np.abs(self.observations - rows[row]).sum(axis=1).argmin())
            raise ValueError(
                f"{self.name}: observations[{row}]: {rows[row]} is that of no state; "
                f"the nearest is state {nearest}, {self.observations[nearest]}"
            )
        return np.asarray(states, np.int64)
