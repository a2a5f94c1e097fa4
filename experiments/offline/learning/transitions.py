"""Logged episodes as single transitions: a decision, its reward, and what was known and possible at the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.offline.logs.logged import Bools, Floats, Ints
from experiments.offline.logs.trajectories import LoggedTrajectories


@dataclass(frozen=True, eq=False)
class Transitions:
    """M transitions.

    Attributes:
        observations, next_observations: shape (M, K); 0 after a termination.
        eligible, next_eligible: shape (M, A); all after a termination.
        actions, rewards: shape (M,).
        discounts: discount_per_hour ** elapsed_hours, and 0 where nothing follows, shape (M,).
    """

    observations: Floats
    eligible: Bools
    actions: Ints
    rewards: Floats
    discounts: Floats
    next_observations: Floats
    next_eligible: Bools

    def __len__(self) -> int:
        return len(self.actions)


def transitions_of(log: LoggedTrajectories) -> Transitions:
    """Return all transitions whose next decision is known, or known not to be.

    The last decision of a truncated episode leads somewhere. Without the final observation nobody knows where: it is
    left out. Taken for an end it would teach that leaving the log is worth nothing.

    Raises:
        ValueError: none is left.
    """
    next_observations, next_eligible = np.zeros_like(log.observations), np.ones_like(log.eligibility)
    next_observations[:-1], next_eligible[:-1] = log.observations[1:], log.eligibility[1:]
    is_over = log.is_terminated
    next_observations[is_over], next_eligible[is_over] = 0.0, True
    goes_on = log.is_truncated & ~is_over
    is_known = ~goes_on
    if log.final_observations is not None:
        is_known = np.ones(len(log), np.bool_)
        episodes = log.episode_of[goes_on]
        next_observations[goes_on] = log.final_observations[episodes]
        next_eligible[goes_on] = True if log.final_eligible is None else log.final_eligible[episodes]
    if not is_known.any():
        raise ValueError("transitions_of: expected a decision that another follows, got truncated episodes of one step")
    return Transitions(
        log.observations[is_known], log.eligibility[is_known], log.actions[is_known], log.rewards[is_known],
        np.where(is_over, 0.0, log.step_discounts)[is_known], next_observations[is_known], next_eligible[is_known],
    )  # fmt: skip
