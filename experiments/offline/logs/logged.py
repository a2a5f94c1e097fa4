"""Logged decisions as estimators read them: frozen, checked once, every fault named with its row and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.offline.logs.faults import LogError, rows_that_are

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_REWARD = 1e50  # so that fourth powers of it, times those of weights and summed, are still numbers
SUM_ERROR = 1e-6  # of a row's probabilities; float32 logs of a hundred actions reach 1e-6


@dataclass(frozen=True, eq=False)
class LoggedRounds:
    """N decisions, each with its reward; what one leads to is in no other's context.

    Attributes:
        actions: index of the action taken, 0 to A - 1, shape (N,).
        rewards: finite, of a size whose fourth power is a number, shape (N,).
        action_names: A of them.
        propensities: the logging policy's probability of the action taken, in (0, 1], shape (N,); None: not logged.
        probabilities: its probability of each action, shape (N, A); None: not logged.
        eligible: whether each action could be taken, shape (N, A); None: all could.
        context: what was known, finite, shape (N, K).
        features: K names.
        users: whose decision it is, any integers, shape (N,); None: everyone decided for once.
        hours: when, not before the same user's decision in a row above, shape (N,); None: not known.
        segments: labels by name, each of shape (N,), by which support is told.
        estimated_by: the model whose propensities they are; "": they were logged.

    Raises:
        LogError: all faults, by row and column.
    """

    actions: Ints
    rewards: Floats
    action_names: tuple[str, ...]
    propensities: Floats | None = None
    probabilities: Floats | None = None
    eligible: Bools | None = None
    context: Floats | None = None
    features: tuple[str, ...] = ()
    users: Ints | None = None
    hours: Floats | None = None
    segments: Mapping[str, npt.NDArray[Any]] | None = None
    estimated_by: str = ""

    def __post_init__(self) -> None:
        """Check everything, and keep arrays of the types that are promised."""
        for name in ("rewards", "propensities", "probabilities", "context", "hours"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_numbers(name, getattr(self, name)))
        for name in ("actions", "users"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        if self.eligible is not None:
            object.__setattr__(self, "eligible", np.asarray(self.eligible) != 0)
        if faults := [*self._shape_faults()]:
            raise LogError(faults)
        if faults := [*self._row_faults()]:
            raise LogError(faults)
        if self.propensities is None and self.probabilities is not None:
            object.__setattr__(self, "propensities", self.probabilities[np.arange(len(self)), self.actions])

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.action_names)

    @cached_property
    def eligibility(self) -> Bools:
        """Whether each action could be taken, shape (N, A)."""
        return np.ones((len(self), self.n_actions), np.bool_) if self.eligible is None else self.eligible

    @cached_property
    def clusters(self) -> Ints | None:
        """A number from 0 for each user, in the order of the users' values, shape (N,); None: every row its own."""
        if self.users is None:
            return None
        _, codes = np.unique(self.users, return_inverse=True)
        return codes.astype(np.int64)

    @property
    def n_clusters(self) -> int:
        """How many are independent: users, or rows where nobody is known."""
        return len(self) if self.clusters is None else int(self.clusters.max(initial=-1)) + 1

    def take(self, rows: npt.NDArray[Any]) -> LoggedRounds:
        """Return some rows, by index or by a mask."""
        picked = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        segments = None if self.segments is None else {name: of[rows] for name, of in self.segments.items()}
        return replace(self, **picked, segments=segments)

    def _shape_faults(self) -> Iterator[str]:
        n, n_actions = len(self.actions), len(self.action_names)
        if self.actions.ndim != 1 or not n:
            yield f"actions: expected shape (N,) with N at least 1, got {self.actions.shape}"
        if n_actions < 2:
            yield f"action_names: expected at least two actions, got {self.action_names}"
        repeated = sorted({name for name in self.action_names if self.action_names.count(name) > 1})
        if repeated:
            yield f"action_names: expected each once, got {repeated[0]!r} more than once"
        wanted: dict[str, tuple[int, ...]] = {"rewards": (n,), "propensities": (n,), "users": (n,), "hours": (n,)}
        wanted |= {"probabilities": (n, n_actions), "eligible": (n, n_actions), "context": (n, len(self.features))}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                yield f"{name}: expected shape {shape}, got {value.shape}"
        for name, labels in (self.segments or {}).items():
            if np.shape(labels) != (n,):
                yield f"segments: {name}: expected shape {(n,)}, got {np.shape(labels)}"

    def _row_faults(self) -> Iterator[str]:
        names, actions = self.action_names, self.actions
        yield from rows_that_are(
            (actions < 0) | (actions >= len(names)),
            "action", f"a number from 0 to {len(names) - 1}", lambda row: actions[row],
        )  # fmt: skip
        is_action = (actions >= 0) & (actions < len(names))
        taken = np.where(is_action, actions, 0)
        rows = np.arange(len(self))
        yield from reward_faults("reward", self.rewards)
        if self.propensities is not None:
            p = self.propensities
            yield from rows_that_are(~((p > 0) & (p <= 1)), "propensity", "above 0 and at most 1", lambda row: p[row])
        if self.eligible is not None:
            mask = self.eligible
            yield from rows_that_are(
                is_action & ~mask[rows, taken], "action", "one that was eligible",
                lambda row: f"{names[actions[row]]!r}; eligible: {[names[a] for a in np.flatnonzero(mask[row])]}",
            )  # fmt: skip
        if self.probabilities is not None:
            yield from probability_faults(self.probabilities, self.eligible, names, "probabilities")
            told = self.probabilities[rows, taken]
            if self.propensities is None:
                never = is_action & ~(told > 0)
                yield from rows_that_are(
                    never, "probabilities", "above 0 for the action taken",
                    lambda row: f"{told[row]:g} for {names[actions[row]]!r}",
                )  # fmt: skip
            else:
                yield from self._disagreements(told, self.propensities, is_action)
        for k, feature in enumerate(self.features):
            assert self.context is not None
            yield from finite_faults(feature, self.context[:, k])
        if self.hours is not None:
            yield from finite_faults("hours", self.hours)
            yield from self._backwards()

    def _disagreements(self, told: Floats, propensities: Floats, is_action: Bools) -> Iterator[str]:
        is_off = is_action & ~(np.abs(told - propensities) <= SUM_ERROR)
        yield from rows_that_are(
            is_off, "propensity", "the probability of the action taken",
            lambda row: f"{propensities[row]:g}, and the probability is {told[row]:g}",
        )  # fmt: skip

    def _backwards(self) -> Iterator[str]:
        assert self.hours is not None
        hours = self.hours
        order = np.arange(len(self)) if self.users is None else np.argsort(self.users, kind="stable")
        later, earlier = order[1:], order[:-1]
        if self.users is None:
            return  # nobody has two rows, as far as is known
        is_back = (self.users[later] == self.users[earlier]) & (hours[later] < hours[earlier])
        previous = np.zeros(len(self), np.int64)
        previous[later] = earlier
        is_wrong = np.zeros(len(self), np.bool_)
        is_wrong[later[is_back]] = True
        yield from rows_that_are(
            is_wrong, "hours", "not before the same user's decision above",
            lambda row: f"{hours[row]:g}, and row {previous[row]} has {hours[previous[row]]:g}",
        )  # fmt: skip


def probability_faults(
    probabilities: Floats, eligible: Bools | None, action_names: tuple[str, ...], column: str
) -> list[str]:
    """Return what is wrong with rows of probabilities: negative, not finite, of an ineligible action, not summing to 1.

    Args:
        probabilities: shape (N, A).
        eligible: shape (N, A); None: all.
        action_names: A.
        column: how messages call them.
    """
    sums: Floats = probabilities.sum(axis=1)
    is_odd: Bools = ~(probabilities >= 0.0)
    faults = rows_that_are(
        np.any(is_odd, axis=1), column, "numbers of at least 0",
        lambda row: f"{probabilities[row, is_odd[row].argmax()]} for {action_names[is_odd[row].argmax()]!r}",
    )  # fmt: skip
    faults += rows_that_are(
        ~(np.abs(sums - 1.0) <= SUM_ERROR) & ~np.any(is_odd, axis=1),
        column,
        "a sum of 1",
        lambda row: f"{sums[row]:.9g}",
    )
    if eligible is not None:
        is_barred: Bools = (probabilities > 0.0) & ~eligible
        faults += rows_that_are(
            np.any(is_barred, axis=1), column, "0 for what is not eligible",
            lambda row: f"{probabilities[row, is_barred[row].argmax()]:g} for "
            f"{action_names[is_barred[row].argmax()]!r}",
        )  # fmt: skip
    return faults


def finite_faults(column: str, values: Floats) -> list[str]:
    """Return which rows of a column are not finite."""
    return rows_that_are(~np.isfinite(values), column, "a finite number", lambda row: values[row])


def reward_faults(column: str, rewards: Floats) -> list[str]:
    """Return which rewards are not finite, or too large to be reckoned with."""
    return rows_that_are(
        ~(np.abs(rewards) <= MOST_REWARD) & np.isfinite(rewards), column, f"at most {MOST_REWARD:g} in size",
        lambda row: rewards[row],
    ) + finite_faults(column, rewards)  # fmt: skip


def as_numbers(name: str, values: Any) -> Floats:
    """Return an array of float64.

    Raises:
        LogError: it holds something else than numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise LogError([_mixed(name, array, "numbers")])
    return np.ascontiguousarray(array, np.float64)


def as_whole(name: str, values: Any) -> Ints:
    """Return an array of int64.

    Raises:
        LogError: it holds something else than whole numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise LogError([_mixed(name, array, "whole numbers")])
    return array.astype(np.int64)


def _mixed(name: str, array: npt.NDArray[Any], expected: str) -> str:
    """Return what is said of an array of another type: the first entry that is none of what was expected."""
    for row, value in enumerate(array.ravel().tolist()):
        if not isinstance(value, int | float) or isinstance(value, bool) or expected == "whole numbers":
            return f"row {row}: {name}: expected {expected}, got {value!r}"
    return f"{name}: expected {expected}, got an array of {array.dtype}"
