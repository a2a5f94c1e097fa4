"""Target policies as probabilities of each action in each logged round, shape (N, A)."""

from __future__ import annotations

import difflib

import numpy as np

from experiments.offline.logs.logged import Floats, Ints, LoggedRounds


def uniform(rounds: LoggedRounds) -> Floats:
    """Return equal probabilities of all that is eligible."""
    mask = rounds.eligibility
    shares: Floats = mask / mask.sum(axis=1, keepdims=True)
    return shares


def always(rounds: LoggedRounds, action: str) -> Floats:
    """Return certainty of an action where it is eligible, and uniform probabilities where it is not.

    Raises:
        ValueError: there is no such action; the message has the nearest.
    """
    index = action_index(rounds, action)
    found = uniform(rounds)
    found[rounds.eligibility[:, index]] = np.eye(rounds.n_actions)[index]
    return found


def logging(rounds: LoggedRounds) -> Floats:
    """Return the logging policy's own probabilities.

    Raises:
        ValueError: only those of the actions taken are known.
    """
    if rounds.probabilities is None:
        raise ValueError(
            "policy 'logging': expected a log with the probability of every action, got one with those of the actions "
            "taken: what the policy that made it is worth is the log's own mean"
        )
    return rounds.probabilities


def taken(rounds: LoggedRounds) -> Floats:
    """Return certainty of the action that was taken."""
    return np.eye(rounds.n_actions)[rounds.actions]


def chosen(rounds: LoggedRounds, actions: Ints) -> Floats:
    """Return certainty of an action for each round.

    Args:
        rounds: the log.
        actions: indices, shape (N,).
    """
    return np.eye(rounds.n_actions)[actions]


def action_index(rounds: LoggedRounds, action: str) -> int:
    """Return the index of an action's name.

    Raises:
        ValueError: there is no such action; the message has the nearest.
    """
    if action not in rounds.action_names:
        near = difflib.get_close_matches(action, rounds.action_names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"action {action!r}: expected one of {', '.join(rounds.action_names)}.{hint}")
    return rounds.action_names.index(action)
