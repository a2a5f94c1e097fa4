"""Exploration for many users: the arithmetic of `policies.exploration`, users along the last axis."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from policies.batch.seen import Bools, Floats, Ints, Seen
from policies.exploration import Epsilon, Exploration, Greedy, Softmax, Thompson


def greedy_actions(preferences: Floats) -> Ints:
    """Return the most preferred action of each user, the lowest index of equals, shape (A, n) to (n,)."""
    actions = np.zeros(preferences.shape[1], np.int64)
    best = preferences[0].copy()
    for action in range(1, len(preferences)):
        is_better = preferences[action] > best
        np.copyto(best, preferences[action], where=is_better)
        np.copyto(actions, action, where=is_better)
    return actions


def probabilities(preferences: Floats, eligible: Bools, exploration: Greedy | Epsilon | Softmax) -> Floats:
    """Return the probability of each action, exactly 0 where it is not eligible, shape (A, n).

    Args:
        preferences: finite where eligible, -inf elsewhere, shape (A, n).
        eligible: shape (A, n).
    """
    place = np.arange(preferences.shape[1])
    match exploration:
        case Greedy():
            found = np.zeros(preferences.shape)
            found[greedy_actions(preferences), place] = 1.0
        case Epsilon(epsilon):
            n_eligible = eligible.sum(axis=0)
            share = epsilon / n_eligible
            found = np.where(eligible, share, 0.0)
            found[greedy_actions(preferences), place] = 1.0 - (n_eligible - 1) * share
        case Softmax(temperature):
            with np.errstate(over="ignore", under="ignore"):  # a difference beyond floats has weight 0
                found = np.exp((preferences - preferences.max(axis=0)) / temperature)
            found /= found.sum(axis=0)
    return found


class BatchBeliever(Protocol):
    """A model that knows how sure it is of its preferences."""

    def best_chances(self, seen: Seen, eligible: Bools, scale: float) -> Floats:
        """Return the probability that each action is the best, 0 for those that are not eligible; shape (A, n)."""
        ...


def shares(model: object, exploration: Exploration, seen: Seen, eligible: Bools, preferences: Floats) -> Floats:
    """Return the probability of each action, however a policy explores, shape (A, n).

    Args:
        model: made ready; a `BatchBeliever` with Thompson, as the reader sees to.
        seen: the users.
        eligible, preferences: shape (A, n).
    """
    if isinstance(exploration, Thompson):
        return cast(BatchBeliever, model).best_chances(seen, eligible, exploration.scale)
    return probabilities(preferences, eligible, exploration)


def draw(probabilities: Floats, uniforms: Floats) -> Ints:
    """Return the action whose share of [0, 1) holds each user's uniform number, shape (A, n) to (n,).

    When rounding leaves the sum a little below 1 and the number lies beyond it, the last action that has a share is
    drawn.
    """
    actions = np.zeros(len(uniforms), np.int64)
    reached = np.zeros(len(uniforms))
    is_open = np.ones(len(uniforms), np.bool_)
    for action, shares in enumerate(probabilities):
        np.copyto(actions, action, where=is_open & (shares > 0.0))
        reached += shares
        is_open &= uniforms >= reached
    return actions
