"""What a model sees of an action: the regressors, and which of its heads the action belongs to.

A model has H heads, each with weights of its own over D regressors, the first of which is 1. Two designs:

- `EachAction`: a head an action, and the whole observation as regressors: the disjoint models of the literature, for
  actions that mean the same in every row;
- `Candidates`: three heads, `no_send`, `push` and `email`, and as regressors the user's features and the candidate's
  own. Slots share their weights, so where a candidate stands does not matter: what it is does. This is the form that
  policy documents have words for.

Rows of regressors are shared by several actions, so models work on rows and `of_actions` puts the results in place.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from agents.agent import Floats, Ints, Observations
from agents.problem import Problem
from agents.rows import standardise
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES

NO_SEND, PUSH, EMAIL = range(3)
HEADS = ("no_send", "push", "email")


class Design(Protocol):
    """From observations to regressors.

    Attributes:
        n_heads: H.
        n_inputs: D, the constant 1 among them.
        mean, scale: by which each regressor but the constant is standardised, (value - mean) / scale, shape (D - 1,).
    """

    n_heads: int
    n_inputs: int
    mean: Floats
    scale: Floats

    def rows(self, observations: Observations) -> Floats:
        """Return the regressors of all actions of U users, shape (R, D); R is U times a constant."""
        ...

    def of_actions(self, scores: Floats) -> Floats:
        """Return what was computed for each row and head, shape (R, H), for each action instead, shape (U, A)."""
        ...

    def taken(self, observations: Observations, actions: Ints) -> tuple[Floats, Ints]:
        """Return regressors and head of the actions taken, shapes (N, D) and (N,)."""
        ...


def design_of(problem: Problem) -> Design:
    """Return the design for a problem: candidates where the features are the vocabulary's, else each action's own."""
    return Candidates(problem) if problem.n_slots else EachAction(problem)


class EachAction:
    """A head for each action, the observation as regressors."""

    def __init__(self, problem: Problem) -> None:
        self.n_heads = problem.n_actions
        self.n_inputs = 1 + problem.n_features
        self.mean, self.scale = _standards(problem, problem.n_features)

    def rows(self, observations: Observations) -> Floats:
        """Return [1, x], shape (U, D)."""
        rows = np.empty((len(observations), self.n_inputs))
        standardise(observations, self.mean, self.scale, rows)
        return rows

    def of_actions(self, scores: Floats) -> Floats:
        """Return the scores as they are: heads are actions."""
        return scores

    def taken(self, observations: Observations, actions: Ints) -> tuple[Floats, Ints]:
        """Return [1, x] and the actions."""
        return self.rows(observations), actions


class Candidates:
    """Heads for silence, push and e-mail; the user's features and the candidate's own as regressors."""

    def __init__(self, problem: Problem) -> None:
        if not problem.n_slots:
            raise ValueError("Candidates: expected the problem of the feature vocabulary, got another")
        self.n_heads = len(HEADS)
        self.n_inputs = 1 + N_USER_FEATURES + N_SLOT_FEATURES
        self._n_slots = problem.n_slots
        self.mean, self.scale = _standards(problem, N_USER_FEATURES + N_SLOT_FEATURES)

    def rows(self, observations: Observations) -> Floats:
        """Return the rows of silence, whose slot features are the means, and of each slot; shape (U (1 + C), D)."""
        n = len(observations)
        values = np.empty((n, 1 + self._n_slots, self.n_inputs))
        values[:, :, 0] = 1.0
        users = (observations[:, :N_USER_FEATURES] - self.mean[:N_USER_FEATURES]) / self.scale[:N_USER_FEATURES]
        values[:, :, 1 : 1 + N_USER_FEATURES] = users[:, None, :]
        slots = observations[:, N_USER_FEATURES:].reshape(n, self._n_slots, N_SLOT_FEATURES)
        values[:, 1:, 1 + N_USER_FEATURES :] = (slots - self.mean[N_USER_FEATURES:]) / self.scale[N_USER_FEATURES:]
        values[:, 0, 1 + N_USER_FEATURES :] = 0.0
        return values.reshape(n * (1 + self._n_slots), self.n_inputs)

    def of_actions(self, scores: Floats) -> Floats:
        """Return silence by its own row and head, each candidate by its slot's row and its channel's head."""
        n = len(scores) // (1 + self._n_slots)
        by_row = scores.reshape(n, 1 + self._n_slots, self.n_heads)
        return np.concatenate([by_row[:, 0, :1], by_row[:, 1:, 1:].reshape(n, 2 * self._n_slots)], axis=1)

    def taken(self, observations: Observations, actions: Ints) -> tuple[Floats, Ints]:
        """Return the row and the head of each action taken."""
        slot, channel = np.divmod(actions - 1, 2)
        heads = np.where(actions == 0, NO_SEND, PUSH + channel)
        by_row = self.rows(observations).reshape(len(actions), 1 + self._n_slots, self.n_inputs)
        return by_row[np.arange(len(actions)), np.where(actions == 0, 0, 1 + slot)], heads


def _standards(problem: Problem, n: int) -> tuple[Floats, Floats]:
    """Return by what the range of each of the first n entries becomes [-1, 1]; one with a single value becomes 0."""
    low, high = problem.low[:n], problem.high[:n]
    is_bounded = np.isfinite(low) & np.isfinite(high)
    if not is_bounded.all():
        k = int(is_bounded.argmin())
        raise ValueError(
            f"{problem.features[k]}: expected a finite range, by which a linear model scales it, got {low[k]} to "
            f"{high[k]}"
        )
    lowest, highest = low.astype(np.float64), high.astype(np.float64)
    half = (highest - lowest) / 2
    return (lowest + highest) / 2, np.where(half > 0, half, 1.0)
