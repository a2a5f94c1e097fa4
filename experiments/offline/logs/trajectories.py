"""Logged episodes as sequential estimators read them: frozen, checked once, every fault named with row and column.

A decision changes what is known at the next one, so a log of them is a list of episodes. In the last row an episode is
terminated (the user has left: nothing comes after) or truncated (the log ends, the user does not: something does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.offline.logs.faults import LogError, rows_that_are
from experiments.offline.logs.logged import Bools, Floats, Ints, LoggedRounds, as_numbers, as_whole, finite_faults

FLOATS = ("rewards", "observations", "propensities", "probabilities", "elapsed_hours", "final_observations")
WHOLE = ("actions", "episodes", "steps", "users")
BOOLS = ("is_terminated", "is_truncated", "eligible", "final_eligible")
OF_EPISODES = ("final_observations", "final_eligible")


@dataclass(frozen=True, eq=False)
class LoggedTrajectories:
    """E episodes of N decisions in all, in the order of episode and step.

    Attributes:
        actions: index of the action taken, 0 to A - 1, shape (N,).
        rewards: from a decision to the next, finite, shape (N,).
        action_names: A of them.
        observations: what was known at the decision, finite, shape (N, K).
        features: K names.
        episodes: whose decision it is, any integers, all rows of an episode together, shape (N,).
        steps: 0, 1, 2, ... within the episode, shape (N,).
        is_terminated: whether nothing comes after, on an episode's last row only, shape (N,).
        is_truncated: whether only the log ends, on an episode's last row only, shape (N,).
        propensities: the logging policy's probability of the action taken, in (0, 1], shape (N,); None: not logged.
        probabilities: its probability of each action, shape (N, A); None: not logged.
        eligible: whether each action could be taken, shape (N, A); None: all could.
        elapsed_hours: to the next decision, at least 0, shape (N,); None: 1 each.
        final_observations: what was known after a truncated episode's last step, shape (E, K); rows of terminated
            episodes are not read; None: not logged.
        final_eligible: what could have been done there, shape (E, A); None: everything.
        users: of each episode, the same in all its rows, shape (N,); None: every episode its own.
        discount_per_hour: what a reward is worth an hour later, in (0, 1].

    Raises:
        LogError: all faults, by row and column.
    """

    actions: Ints
    rewards: Floats
    action_names: tuple[str, ...]
    observations: Floats
    features: tuple[str, ...]
    episodes: Ints
    steps: Ints
    is_terminated: Bools
    is_truncated: Bools
    propensities: Floats | None = None
    probabilities: Floats | None = None
    eligible: Bools | None = None
    elapsed_hours: Floats | None = None
    final_observations: Floats | None = None
    final_eligible: Bools | None = None
    users: Ints | None = None
    discount_per_hour: float = 1.0

    def __post_init__(self) -> None:
        """Check everything, and keep arrays of the types that are promised."""
        for name in FLOATS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_numbers(name, getattr(self, name)))
        for name in WHOLE:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        for name in BOOLS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name)) != 0)
        faults = [*self._shape_faults()]
        rounds_faults = self._rounds_faults()
        if not faults and self.actions.ndim == 1 and len(self):
            faults = [*self._row_faults()]
            if not any(fault.startswith("final_") for fault in faults):
                faults += self._final_faults()
        if faults := [*rounds_faults, *faults]:
            raise LogError(faults)

    def __len__(self) -> int:
        return len(self.actions)

    def __repr__(self) -> str:
        return (
            f"LoggedTrajectories({self.n_episodes:,} episodes, {len(self):,} decisions, {self.n_actions} actions, "
            f"{len(self.features)} features, up to {self.horizon} steps)"
        )

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.action_names)

    @property
    def n_episodes(self) -> int:
        """E."""
        return len(self.starts)

    @property
    def horizon(self) -> int:
        """T, the most steps of an episode."""
        return int(self.steps.max()) + 1

    @cached_property
    def eligibility(self) -> Bools:
        """Whether each action could be taken, shape (N, A)."""
        return np.ones((len(self), self.n_actions), np.bool_) if self.eligible is None else self.eligible

    @cached_property
    def is_last(self) -> Bools:
        """Whether a row is its episode's last, shape (N,)."""
        return np.append(self.episodes[1:] != self.episodes[:-1], True)

    @cached_property
    def starts(self) -> Ints:
        """The row in which each episode begins, shape (E,)."""
        return np.flatnonzero(np.insert(self.is_last[:-1], 0, True)).astype(np.int64)

    @cached_property
    def ends(self) -> Ints:
        """The last row of each episode, shape (E,)."""
        return np.flatnonzero(self.is_last).astype(np.int64)

    @cached_property
    def episode_of(self) -> Ints:
        """A number from 0 for each row's episode, in their order, shape (N,)."""
        return (np.cumsum(self.is_last) - self.is_last).astype(np.int64)

    @cached_property
    def clusters(self) -> Ints | None:
        """A number from 0 for each episode's user, shape (E,); None: every episode its own."""
        if self.users is None:
            return None
        _, codes = np.unique(self.users[self.starts], return_inverse=True)
        return codes.astype(np.int64)

    @cached_property
    def hours(self) -> Floats:
        """Since the episode began, shape (N,)."""
        if self.elapsed_hours is None:
            return self.steps.astype(np.float64)
        # Summed in each episode by itself: one episode's rounding is none of another's.
        elapsed = self.padded(self.elapsed_hours, 0.0)
        before = np.cumsum(elapsed, axis=1) - elapsed
        return np.maximum(before[self.episode_of, self.steps], 0.0)

    @cached_property
    def discounts(self) -> Floats:
        """What a row's reward is worth at the episode's beginning, discount_per_hour ** hours, shape (N,)."""
        found: Floats = self.discount_per_hour**self.hours
        return found

    @cached_property
    def step_discounts(self) -> Floats:
        """What the next decision's value is worth at this one, discount_per_hour ** elapsed_hours, shape (N,).

        Source: Bradtke & Duff, "Reinforcement learning methods for continuous-time Markov decision problems" (NIPS
        1994), with rewards that count at the beginning of a step.
        """
        elapsed = np.ones(len(self)) if self.elapsed_hours is None else self.elapsed_hours
        found: Floats = self.discount_per_hour**elapsed
        return found

    @cached_property
    def returns(self) -> Floats:
        """Discounted sum of each episode's rewards, as far as they are logged, shape (E,)."""
        return np.bincount(self.episode_of, self.discounts * self.rewards, self.n_episodes).astype(np.float64)

    def padded(self, values: Floats, after: float) -> Floats:
        """Return values of rows as a table of episodes, shape (E, T), with a number after an episode's end.

        Args:
            values: shape (N,).
            after: the number.
        """
        table = np.full((self.n_episodes, self.horizon), after)
        table[self.episode_of, self.steps] = values
        return table

    def take(self, is_taken: Bools) -> LoggedTrajectories:
        """Return the episodes of a mask of shape (E,)."""
        rows = is_taken[self.episode_of]
        picked = {
            field.name: getattr(self, field.name)[is_taken if field.name in OF_EPISODES else rows]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **picked)

    def to_rounds(self) -> LoggedRounds:
        """Return the decisions as rounds, for one-step estimators: what an action leads to later is forgotten.

        Their users are the episodes' users, or the episodes. Hours are known within an episode only, so they are left
        out where a user may have several.
        """
        users = self.episodes if self.users is None else self.users
        return replace(self._rounds(), users=users, hours=self.hours if self.users is None else None)

    def _rounds(self) -> LoggedRounds:
        is_table = self.observations.shape == (len(self.actions), len(self.features))
        return LoggedRounds(
            self.actions, self.rewards, self.action_names, self.propensities, self.probabilities, self.eligible,
            context=self.observations if is_table else None, features=self.features if is_table else (),
        )  # fmt: skip

    def _rounds_faults(self) -> tuple[str, ...]:
        """Return what is wrong with the decisions one by one: all that would be wrong with rounds."""
        try:
            self._rounds()
        except LogError as error:
            return error.faults
        return ()

    def _shape_faults(self) -> Iterator[str]:
        n = len(self.actions)
        wanted: dict[str, tuple[int, ...]] = {"observations": (n, len(self.features))}
        wanted |= dict.fromkeys(("episodes", "steps", "is_terminated", "is_truncated", "elapsed_hours", "users"), (n,))
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                yield f"{name}: expected shape {shape}, got {value.shape}"
        if not 0.0 < self.discount_per_hour <= 1.0:
            yield f"discount_per_hour: expected above 0 and at most 1, got {self.discount_per_hour}"

    def _row_faults(self) -> Iterator[str]:
        episodes, steps, is_last = self.episodes, self.steps, self.is_last
        _, first, code = np.unique(episodes, return_index=True, return_inverse=True)
        start_of = self.starts[self.episode_of]
        comes_back = start_of != first[code]
        yield from rows_that_are(
            comes_back & (start_of == np.arange(len(self))), "episode", "all rows of an episode together",
            lambda row: f"episode {episodes[row]} again, which began in row {first[code[row]]} and had ended",
        )  # fmt: skip
        yield from rows_that_are(
            ~comes_back & (steps != np.arange(len(self)) - start_of), "step", "0, 1, 2, ... within an episode",
            lambda row: f"{steps[row]} as number {row - start_of[row]} of episode {episodes[row]}",
        )  # fmt: skip
        for name in ("is_terminated", "is_truncated"):
            yield from rows_that_are(
                getattr(self, name) & ~is_last, name, "false before an episode's last row",
                lambda row: f"true, and row {row + 1} goes on with episode {episodes[row]}",
            )  # fmt: skip
        yield from rows_that_are(
            is_last & ~self.is_terminated & ~self.is_truncated, "is_truncated",
            "an episode's last row to be terminated or truncated", lambda row: f"neither for episode {episodes[row]}",
        )  # fmt: skip
        if (elapsed := self.elapsed_hours) is not None:
            yield from rows_that_are(
                ~((elapsed >= 0.0) & np.isfinite(elapsed)), "elapsed_hours", "a finite number of at least 0",
                lambda row: f"{elapsed[row]:g}",
            )  # fmt: skip
        if (users := self.users) is not None:
            yield from rows_that_are(
                users != users[start_of], "user", "the same through an episode",
                lambda row: f"{users[row]}, and episode {episodes[row]} began with {users[start_of[row]]}",
            )  # fmt: skip
        for name, width in (("final_observations", len(self.features)), ("final_eligible", self.n_actions)):
            value: npt.NDArray[Any] | None = getattr(self, name)
            if value is not None and value.shape != (self.n_episodes, width):
                yield f"{name}: expected shape {(self.n_episodes, width)}, a row an episode, got {value.shape}"

    def _final_faults(self) -> Iterator[str]:
        is_read = self.is_truncated[self.ends] & ~self.is_terminated[self.ends]
        if self.final_observations is not None:
            for k, feature in enumerate(self.features):
                yield from finite_faults(
                    f"final_observations: {feature}", np.where(is_read, self.final_observations[:, k], 0.0)
                )
        if self.final_eligible is not None:
            yield from rows_that_are(
                is_read & ~self.final_eligible.any(axis=1), "final_eligible", "an eligible action", lambda _: "none"
            )
