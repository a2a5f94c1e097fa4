"""What all bandits do alike: check what comes in, act greedily when not exploring, and save what they remember.

A bandit adds its algorithm: `values`, `exploring_probabilities`, `explore`, `learn` and `to_policy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Choices, Experience, Floats, Observations, State
from agents.choosing import certainly, drawn_choices, greedy_actions, greedy_choices
from agents.problem import Problem
from agents.settings import Settings
from policies.document import Document

KIND = "kind"


class Memory(Protocol):
    """Whatever holds all that a bandit has learned."""

    def state(self) -> State:
        """Return it as arrays."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned."""
        ...


class Bandit(ABC):
    """The frame of a bandit; see `agents.agent.Learner` for the methods' manners.

    Attributes:
        settings: its config.
        problem: what it decides about.
        memory: all that it has learned.
    """

    settings: Any
    memory: Memory

    def __init__(self, settings: Settings, problem: Problem) -> None:
        self.settings = settings
        self.problem = problem

    @abstractmethod
    def values(self, observations: Observations) -> Floats:
        """Return what each action is thought to be worth, shape (U, A); the highest is best."""

    @abstractmethod
    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability of each action while exploring, shape (U, A)."""

    @abstractmethod
    def learn(self, experience: Experience) -> None:
        """Learn from decisions that have been checked."""

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return choices made while exploring: drawn by their probabilities, if the bandit has no quicker way."""
        choices = drawn_choices(self.exploring_probabilities(observations, masks), rng)
        return choices if wants_propensities else Choices(choices.actions, None)

    def act(
        self,
        observations: Observations,
        masks: Bools,
        rng: np.random.Generator,
        *,
        is_exploring: bool = True,
        wants_propensities: bool = False,
    ) -> Choices:
        """Decide."""
        masks = self.problem.check(observations, masks)
        if is_exploring:
            return self.explore(observations, masks, rng, wants_propensities)
        return greedy_choices(self.values(observations), masks, wants_propensities)

    def probabilities(self, observations: Observations, masks: Bools, *, is_exploring: bool = True) -> Floats:
        """Return the probability of each action, shape (U, A)."""
        masks = self.problem.check(observations, masks)
        if is_exploring:
            return self.exploring_probabilities(observations, masks)
        return certainly(greedy_actions(self.values(observations), masks), self.problem.n_actions)

    def update(self, experience: Experience) -> None:
        """Learn from decisions whose rewards have come; of none, nothing is learned and nothing forgotten."""
        self.problem.check(experience.observations, experience.masks)
        if len(experience):
            self.learn(experience)

    @abstractmethod
    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""

    def state(self) -> State:
        """Return all that was learned, and by which kind of bandit."""
        return self.memory.state() | {KIND: np.frombuffer(self.settings.kind.encode(), np.uint8)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what a bandit of the same kind had learned.

        Raises:
            ValueError: it is of another kind, of another problem, or no state.
        """
        # Sums of one family have the same names and shapes, and would be taken for each other's.
        kind = state[KIND].tobytes().decode(errors="replace") if KIND in state else "nothing that says its kind"
        if kind != self.settings.kind:
            raise ValueError(f"state: expected that of a {self.settings.kind} bandit, got {kind}")
        self.memory.restore({name: array for name, array in state.items() if name != KIND})
