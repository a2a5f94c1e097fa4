"""Whose luck is whose: each seed of an experiment meets users of its own, and each purpose others among them.

User u of a run with seed s has the luck of s + u, so runs meet different users where their seeds lie far apart. A
training takes a seed below 2**32: with 2**20 users for each of 4,096 experiments, no two trainings share one.
"""

from __future__ import annotations

from typing import Literal

Purpose = Literal["tuning", "evaluation", "log", "learning", "certificate", "worlds", "held_out"]
PURPOSES: tuple[Purpose, ...] = ("tuning", "evaluation", "log", "learning", "certificate", "worlds", "held_out")
USERS_A_SEED = 2**20
MOST_LEARNED = USERS_A_SEED // 4  # users of a round of distillation, which has three
APART = 10**12  # beyond all seeds of trainings, and of what a search for baselines takes beside its own


def training_seed(seed: int) -> int:
    """Return the seed of an experiment's trainings."""
    return seed * USERS_A_SEED


def first_user(seed: int, purpose: Purpose) -> int:
    """Return the seed of the users that an experiment meets for a purpose."""
    return (1 + PURPOSES.index(purpose)) * APART + seed * USERS_A_SEED


def first_learned(seed: int, round_: int, learn_users: int, n_users: int) -> int:
    """Return the seed of the users that a round of distillation learns from; no two rounds share one.

    Args:
        seed: of the experiment.
        round_: 0 first.
        learn_users: whose states are learned from, a round; at most MOST_LEARNED.
        n_users: of the certificate's trial; rounds lie as far apart, where that is enough.
    """
    return first_user(seed, "learning") + round_ * min(max(n_users, learn_users), MOST_LEARNED)
