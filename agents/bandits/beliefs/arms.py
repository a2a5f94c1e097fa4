"""What bandits without context know: of each action, how often it was taken and the sum of its rewards."""

from __future__ import annotations

import numpy as np

from agents.agent import Experience, Floats
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.settings import Discounted, Forever, Window


def arm_sums(n_actions: int, forgetting: Forever | Discounted | Window) -> Sums:
    """Return sums `n` and `reward` of no decisions yet, each of shape (A,)."""
    return Sums({"n": (n_actions,), "reward": (n_actions,)}, forgetting)


def add_to_arms(sums: Sums, experience: Experience, rewards: Floats) -> None:
    """Count decisions by their actions, with rewards as given, shape (N,)."""
    n_actions = len(sums.totals["n"])
    sums.add(
        {
            "n": np.bincount(experience.actions, minlength=n_actions).astype(np.float64),
            "reward": np.bincount(experience.actions, rewards, n_actions).astype(np.float64),
        }
    )


def mean_rewards(sums: Sums, initial: float) -> Floats:
    """Return each action's mean reward, `initial` where it counts nothing, shape (A,)."""
    n = sums.totals["n"]
    found: Floats = np.where(n > 0.0, sums.totals["reward"] / np.where(n > 0.0, n, 1.0), initial)
    return found


def for_everyone(values: Floats, n_users: int) -> Floats:
    """Return the same values in each row, shape (U, A)."""
    return np.broadcast_to(values, (n_users, len(values)))
