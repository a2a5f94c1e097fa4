"""Finite decision problems, solved: one form for all, value iteration, and the exact value of any policy.

The states are the product of F independent parts (one part where nothing factors), so a problem with many users is
stored as small matrices, one a user, and never as the full table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Policy = npt.NDArray[Any]  # integer actions (S,), or float probabilities (S, A)

SUM_TOLERANCE = 1e-9
POLICY_SUM_TOLERANCE = 1e-5  # a network's float32 probabilities; they are scaled to sum to 1


@dataclass(frozen=True, eq=False)
class FiniteModel:
    """A finite Markov decision problem whose rewards are wins less costs.

    State s stands for the parts' states in C order, the last part fastest: S = S_0 * ... * S_{F-1}. Given the action,
    the parts move independently. An action earns `win` with probability `win_prob` and costs `cost`, whatever state
    follows.

    Attributes:
        kernels: of each part, P(next | action, now), shape (A, S_f, S_f).
        win_prob, win, cost: shape (S, A).
        is_allowed: which actions a state permits; action 0 always, shape (S, A).
        is_final: states that end an episode; they absorb and earn nothing, shape (S,).
        start: distribution of the first state, shape (S,).
        discount: per step, in [0, 1).

    Raises:
        ValueError: a shape, a probability or a final state contradicts the above; the message names the first.
    """

    kernels: tuple[Floats, ...]
    win_prob: Floats
    win: Floats
    cost: Floats
    is_allowed: Bools
    is_final: Bools
    start: Floats
    discount: float

    def __post_init__(self) -> None:
        shape = (math.prod(kernel.shape[1] for kernel in self.kernels), self.kernels[0].shape[0])
        for part, kernel in enumerate(self.kernels):
            if kernel.ndim != 3 or kernel.shape != (shape[1], kernel.shape[1], kernel.shape[1]):
                raise ValueError(f"kernels[{part}]: expected shape ({shape[1]}, S_f, S_f), got {kernel.shape}")
            _check_distributions(f"kernels[{part}]", kernel)
        for name in ("win_prob", "win", "cost", "is_allowed"):
            _check_shape(name, getattr(self, name), shape)
        for name in ("is_final", "start"):
            _check_shape(name, getattr(self, name), shape[:1])
        _check_distributions("start", self.start)
        if not 0.0 <= self.discount < 1.0:
            raise ValueError(f"discount: expected 0 <= discount < 1, got {self.discount}")
        if self.win_prob.min() < 0.0 or self.win_prob.max() > 1.0:
            raise ValueError(f"win_prob: expected 0 to 1, got {self.win_prob.min()} to {self.win_prob.max()}")
        if not self.is_allowed[:, 0].all():
            raise ValueError(
                f"is_allowed: action 0 must be allowed, state {int(self.is_allowed[:, 0].argmin())} bars it"
            )
        for state in np.flatnonzero(self.is_final).tolist():
            rests = all(self.rows(np.asarray([state]), action)[0, state] == 1.0 for action in range(self.n_actions))
            if not rests or self.reward[state].any():
                raise ValueError(f"is_final: state {state} must absorb and earn nothing")
        for array in (*self.kernels, self.win_prob, self.win, self.cost, self.is_allowed, self.is_final, self.start):
            array.flags.writeable = False  # models are shared

    @property
    def n_states(self) -> int:
        """S."""
        return len(self.is_final)

    @property
    def n_actions(self) -> int:
        """A."""
        return self.win.shape[1]

    @cached_property
    def reward(self) -> Floats:
        """Expected reward of a step, shape (S, A)."""
        return self.win_prob * self.win - self.cost

    @cached_property
    def parts(self) -> Ints:
        """The parts' states in each state, shape (S, F)."""
        sizes = tuple(kernel.shape[1] for kernel in self.kernels)
        return np.stack(np.unravel_index(np.arange(self.n_states), sizes), axis=1)

    @cached_property
    def blocks(self) -> tuple[Ints, ...]:
        """States by which parts have absorbed, those with the most first: no block leads to one after it."""
        rests = [(np.diagonal(kernel, axis1=1, axis2=2) == 1.0).all(axis=0) for kernel in self.kernels]
        has_absorbed = np.stack([rest[self.parts[:, part]] for part, rest in enumerate(rests)], axis=1)
        patterns, block = np.unique(has_absorbed, axis=0, return_inverse=True)
        most_first = np.argsort(-patterns.sum(axis=1), kind="stable")
        return tuple(np.flatnonzero(block == pattern) for pattern in most_first)

    def state(self, parts: Ints) -> Ints:
        """Return the states, shape (n,), that stand for the parts' states, shape (n, F)."""
        sizes = tuple(kernel.shape[1] for kernel in self.kernels)
        return np.ravel_multi_index(tuple(parts.T), sizes).astype(np.int64)

    def rows(self, states: Ints, action: int) -> Floats:
        """Return P(next | action, state) of some states, shape (n, S)."""
        rows = np.ones((len(states), 1))
        for part, kernel in enumerate(self.kernels):
            of_part = kernel[action][self.parts[states, part]]
            pairs = rows[:, :, None] * of_part[:, None, :]
            rows = pairs.reshape(len(states), rows.shape[1] * of_part.shape[1])
        return rows

    def action_values(self, values: Floats) -> Floats:
        """Return reward + discount * E[values(next)], shape (S, A); -inf where an action is not allowed.

        Args:
            values: of the states, shape (S,).
        """
        sizes = tuple(kernel.shape[1] for kernel in self.kernels)
        following = np.empty_like(self.reward)
        for action in range(self.n_actions):
            expected = values.reshape(sizes)
            for kernel in self.kernels:  # contracting the first axis puts it last: after F turns the order is restored
                expected = np.tensordot(expected, kernel[action], (0, 1))
            following[:, action] = expected.ravel()
        return np.where(self.is_allowed, self.reward + self.discount * following, -np.inf)


@dataclass(frozen=True, eq=False)
class Solution:
    """An optimal policy.

    Attributes:
        values: exact values of `actions`, shape (S,).
        actions: best action of each state, the lowest where several are equal, shape (S,).
        n_sweeps: of value iteration.
    """

    values: Floats
    actions: Ints
    n_sweeps: int


def value_iteration(model: FiniteModel, tolerance: float = 1e-11) -> Solution:
    """Return an optimal policy: sweep until no value changes by more than `tolerance`, then evaluate it exactly.

    A sweep shrinks the change by `discount` at least, which bounds their number beforehand.

    Source: Bellman (1957); Puterman, Markov Decision Processes (1994), section 6.3.

    Raises:
        ValueError: the tolerance is below what float64 can settle to.
    """
    values = np.zeros(model.n_states)
    most = math.inf
    n_sweeps = 0
    while True:
        following = model.action_values(values).max(axis=1)
        change = float(np.abs(following - values).max())
        values = following
        n_sweeps += 1
        if n_sweeps == 1 and change > 0.0 and model.discount > 0.0 and tolerance > 0.0:
            most = 2 + max(0.0, math.log(tolerance / change) / math.log(model.discount))
        if change <= tolerance:
            break
        if n_sweeps > 1.01 * most or tolerance <= 0.0:
            raise ValueError(f"tolerance: expected a change that float64 can resolve, got {tolerance}; try 1e-11")
    actions = model.action_values(values).argmax(axis=1)
    return Solution(policy_value(model, actions), actions, n_sweeps)


def policy_value(model: FiniteModel, policy: Policy) -> Floats:
    """Return the exact value of a policy in each state, shape (S,): v solves (I - discount * P) v = r.

    The blocks are solved one after the other, each on those before it: in world D, systems of 1,296 equations at most
    in place of one of 2,401.

    Args:
        model: the problem.
        policy: actions, integers of shape (S,), or probabilities of the actions, floats of shape (S, A).

    Raises:
        ValueError: the policy has another shape, is no distribution, or takes an action that is not allowed.
    """
    probs = action_probabilities(model, policy)
    reward = (probs * model.reward).sum(axis=1)
    values = np.zeros(model.n_states)  # of states not yet solved: 0, so that a block's own do not count twice
    for states in model.blocks:
        transition = np.zeros((len(states), model.n_states))
        for action in range(model.n_actions):
            taken = np.flatnonzero(probs[states, action])
            transition[taken] += probs[states[taken], action, None] * model.rows(states[taken], action)
        system = np.eye(len(states)) - model.discount * transition[:, states]
        values[states] = np.linalg.solve(system, reward[states] + model.discount * transition @ values)
    return values


def start_value(model: FiniteModel, policy: Policy) -> float:
    """Return the exact value of a policy from the start; arguments and errors as in `policy_value`."""
    return float(model.start @ policy_value(model, policy))


def action_probabilities(model: FiniteModel, policy: Policy) -> Floats:
    """Return the probabilities of a policy's actions, shape (S, A); what it does in final states is of no account.

    Raises:
        ValueError: as in `policy_value`.
    """
    n_states, n_actions = model.n_states, model.n_actions
    if np.issubdtype(policy.dtype, np.integer) and policy.shape == (n_states,):
        if policy.min() < 0 or policy.max() >= n_actions:
            state = int(((policy < 0) | (policy >= n_actions)).argmax())
            raise ValueError(f"policy[{state}]: expected an action 0 to {n_actions - 1}, got {policy[state]}")
        probs = np.zeros((n_states, n_actions))
        probs[np.arange(n_states), policy] = 1.0
    elif np.issubdtype(policy.dtype, np.floating) and policy.shape == (n_states, n_actions):
        _check_distributions("policy", policy, POLICY_SUM_TOLERANCE)
        probs = policy.astype(np.float64)
        probs /= probs.sum(axis=1, keepdims=True)
    else:
        raise ValueError(
            f"policy: expected integer actions of shape ({n_states},) or float probabilities of shape "
            f"({n_states}, {n_actions}), got {policy.dtype} of shape {policy.shape}"
        )
    barred = np.argwhere((probs > 0.0) & ~model.is_allowed & ~model.is_final[:, None])
    if len(barred):
        state, action = barred[0].tolist()
        allowed = np.flatnonzero(model.is_allowed[state]).tolist()
        raise ValueError(
            f"policy[{state}]: action {action} is not allowed there, {allowed} are; "
            f"{len(barred)} such pairs in all: apply the model's is_allowed as a mask"
        )
    return probs


def _check_shape(name: str, array: npt.NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _check_distributions(name: str, rows: npt.NDArray[np.floating], tolerance: float = SUM_TOLERANCE) -> None:
    """Refuse rows along the last axis that are no probability distributions."""
    sums = rows.sum(axis=-1)
    is_bad = (rows.min(axis=-1) < 0.0) | ~(np.abs(sums - 1.0) <= tolerance)
    if is_bad.any():
        where = tuple(np.argwhere(is_bad)[0].tolist()) if is_bad.ndim else ()
        place = name + "".join(f"[{index}]" for index in where)
        raise ValueError(f"{place}: expected probabilities that sum to 1, got the sum {sums[where]} of {rows[where]}")
