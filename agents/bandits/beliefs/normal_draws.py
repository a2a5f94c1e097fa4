"""Choosing by independent normal draws, one a row and action: what the Thompson samplers over normal beliefs share."""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Floats
from agents.bandits.beliefs.best_of_normals import best_of_normals
from agents.choosing import greedy_actions

LEAST = 1e-9  # what the propensity of a choice is at least: below it, the quadrature tells nothing


def probabilities_of_best(means: Floats, sds: Floats, masks: Bools) -> Floats:
    """Return the probability that each action's draw is the highest, 0 where not eligible, shape (U, A).

    Args:
        means, sds: of the draws, shape (U, A).
        masks: at least one True a row, shape (U, A).
    """
    found = np.empty(means.shape)
    best_of_normals(means, sds, masks, found)
    return found


def drawn_best(means: Floats, sds: Floats, masks: Bools, rng: np.random.Generator, wants_propensities: bool) -> Choices:
    """Return the actions with the highest draws, and each one's exact probability; overwrites neither argument.

    A choice whose probability is below 1e-9 has that propensity: it was taken, so it was not impossible.
    """
    scores = rng.standard_normal(means.shape)
    scores *= sds
    scores += means
    actions = greedy_actions(scores, masks)
    if not wants_propensities:
        return Choices(actions, None)
    shares = probabilities_of_best(means, sds, masks)[np.arange(len(actions)), actions]
    return Choices(actions, np.maximum(shares, LEAST))
