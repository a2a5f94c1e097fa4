"""Exploration for many users: the arithmetic of `policies.exploration`, users along the last axis."""

from __future__ import annotations

import numpy as np

from policies.batch.seen import Bools, Floats, Ints
from policies.exploration import Epsilon, Greedy, Softmax


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
