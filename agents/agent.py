"""What every agent is: it decides for many users at once, learns from what followed, and becomes a policy document.

    choices = agent.act(observations, masks, rng, wants_propensities=True)
    agent.update(Experience(observations, masks, choices.actions, rewards))
    document = agent.to_policy("evening push")

An algorithm is one file with a frozen `Settings` (its config, data only) and a class that keeps these methods. What
can be learned from any decisions and their rewards, whenever those arrive and whoever decided, is a `Learner`; agents
that need rollouts of their own, as PPO does, learn through a `Trainer` (`agents.trainer`) and have no `update`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from agents.problem import Problem
from policies.document import Document

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Observations = npt.NDArray[np.float32]
State = dict[str, npt.NDArray[np.generic]]


class Choices(NamedTuple):
    """What was decided.

    Attributes:
        actions: 0 is no_send, shape (U,).
        propensities: the probability with which each action was taken, in (0, 1], shape (U,); None unless asked for.
    """

    actions: Ints
    propensities: Floats | None


@dataclass(frozen=True, eq=False)
class Experience:
    """Decisions and what followed; rows in any order, of any number of users, as late as the reward came.

    Attributes:
        observations: as they were decided on, shape (N, K).
        masks: True where an action was eligible, shape (N, A).
        actions: taken, shape (N,).
        rewards: whatever is to be maximised, finite, shape (N,).
        probabilities: of each action when it was decided, shape (N, A); None where nobody kept them. Only agents that
            weigh by them look at them.

    Raises:
        ValueError: shapes differ; a reward is not finite; an action was not eligible.
    """

    observations: Observations
    masks: Bools
    actions: Ints
    rewards: Floats
    probabilities: Floats | None = None

    def __post_init__(self) -> None:
        for name, n_axes, kinds in (
            ("actions", 1, "iu"),
            ("observations", 2, "f"),
            ("masks", 2, "biu"),
            ("rewards", 1, "iuf"),
        ):
            given: Any = getattr(self, name)
            if not isinstance(given, np.ndarray) or given.ndim != n_axes or given.dtype.kind not in kinds:
                what = {"iu": "integers", "f": "floats", "biu": "booleans", "iuf": "numbers"}[kinds]
                is_array = isinstance(given, np.ndarray)
                got = f"{given.dtype} of shape {given.shape}" if is_array else type(given).__name__
                raise ValueError(f"experience: {name}: expected an array of {what} with {n_axes} axes, got {got}")
        n = len(self.actions)
        for name in ("observations", "masks", "rewards"):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"experience: {name}: expected {n} rows, as of actions, got {len(getattr(self, name))}"
                )
        if self.probabilities is not None and self.probabilities.shape != self.masks.shape:
            raise ValueError(
                f"experience: probabilities: expected shape {self.masks.shape}, as of masks, got "
                f"{self.probabilities.shape}"
            )
        require_finite("experience: rewards", self.rewards)
        is_wrong = (self.actions < 0) | (self.actions >= self.masks.shape[1])
        if is_wrong.any():
            row = int(is_wrong.argmax())
            raise ValueError(
                f"experience: actions[{row}]: expected 0 to {self.masks.shape[1] - 1}, got {self.actions[row]}"
            )
        is_eligible = self.masks[np.arange(n), self.actions] != 0
        if not is_eligible.all():
            row = int(is_eligible.argmin())
            raise ValueError(
                f"experience: actions[{row}]: expected one of the eligible {np.flatnonzero(self.masks[row]).tolist()}, "
                f"got {self.actions[row]}"
            )

    def __len__(self) -> int:
        return len(self.actions)


class Agent(Protocol):
    """Decides for many users at once.

    Attributes:
        problem: what it decides about.
    """

    problem: Problem

    def act(
        self,
        observations: Observations,
        masks: Bools,
        rng: np.random.Generator,
        *,
        is_exploring: bool = True,
        wants_propensities: bool = False,
    ) -> Choices:
        """Decide.

        Args:
            observations: finite and within the problem's ranges, shape (U, K).
            masks: True, or 1, where an action is eligible, at least one in each row, shape (U, A).
            rng: whence all randomness; the same state of it gives the same choices.
            is_exploring: False: the action that the agent thinks best.
            wants_propensities: whether to return the exact probability of each choice.

        Raises:
            ValueError: an argument is not so; the message names the row and what was expected.
        """
        ...

    def probabilities(self, observations: Observations, masks: Bools, *, is_exploring: bool = True) -> Floats:
        """Return the probability of each action as `act` would take it, exactly 0 where not eligible, shape (U, A)."""
        ...

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities.

        Raises:
            ValueError: the problem is none that a document has words for.
        """
        ...

    def state(self) -> State:
        """Return all that was learned, as arrays of numbers; `agents.saved_state` writes them."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what was learned.

        Raises:
            ValueError: arrays are missing, unknown or of another shape.
        """
        ...


class Learner(Agent, Protocol):
    """An agent that learns from any decisions and their rewards."""

    def update(self, experience: Experience) -> None:
        """Learn from decisions whose rewards have come."""
        ...


def require_finite(what: str, values: npt.NDArray[np.floating]) -> None:
    """Raise a ValueError unless all of some numbers are finite; it names the first that is not."""
    is_finite = np.isfinite(values)
    if not is_finite.all():
        place = np.unravel_index(int(is_finite.argmin()), values.shape)
        at = ", ".join(str(int(k)) for k in place)
        raise ValueError(
            f"{what}[{at}]: expected a finite number, got {values[place]}; {int((~is_finite).sum())} of {values.size} "
            f"are not finite"
        )


def require_state(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Raise a ValueError unless a state holds exactly the arrays expected, by name and shape, and no NaN."""
    if state.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
        raise ValueError(f"state: expected {sorted(expected)}; missing {missing}, unknown {unknown}")
    for name, shape in expected.items():
        if state[name].shape != shape:
            raise ValueError(f"state: {name}: expected shape {shape}, got {state[name].shape}")
        if state[name].dtype.kind == "f":
            require_finite(f"state: {name}", state[name])  # type: ignore[arg-type]


def joined(parts: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> State:
    """Return the states of some parts as one, named `part.name`; `part_of` takes one out again."""
    return {f"{part}.{name}": values for part, of in parts.items() for name, values in of.items()}


def part_of(state: Mapping[str, npt.NDArray[np.generic]], part: str) -> State:
    """Return the state of one part of a state that was `joined`."""
    return {name.removeprefix(f"{part}."): values for name, values in state.items() if name.startswith(f"{part}.")}
