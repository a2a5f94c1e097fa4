"""The range of rewards of bandits whose theory wants them from 0 to 1, shared by their configs.

Money has no bound, and a window adds up the money of days. A reward beyond the range counts as the bound, which keeps
the proofs (they are then about the clipped reward) and makes rare great rewards worth less than they are; trainers tell
how many were. A modelling choice: to refuse them would end a run at its first lucky day.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Floats
from agents.bandits.settings import HasRange


def scaled(rewards: Floats, settings: HasRange) -> Floats:
    """Return rewards as shares of their range, 0 or 1 for what lies beyond it, shape (N,).

    Args:
        rewards: finite, as `Experience` holds them, shape (N,).
        settings: with the range.
    """
    low, high = settings.reward_low, settings.reward_high
    return (np.clip(rewards, low, high) - low) / (high - low)


def n_clipped(rewards: Floats, settings: HasRange) -> int:
    """Return how many rewards, shape (N,), lie beyond the range."""
    return int(((rewards < settings.reward_low) | (rewards > settings.reward_high)).sum())
