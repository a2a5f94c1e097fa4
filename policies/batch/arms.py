"""Arms and Beta arms for many users."""

from __future__ import annotations

import numpy as np

from policies.batch.seen import Bools, Floats, Seen
from policies.inputs import N_CHANNELS, inputs
from policies.kinds.arms import Arms
from policies.kinds.beta_arms import BetaArms, Chooser


class BatchArms:
    """Arms made ready for n_slots."""

    def __init__(self, model: Arms, n_slots: int) -> None:
        self._values = np.asarray(model.values)[:, None]
        known = inputs(n_slots)
        self._terms = [(known[term.feature].index, term.weight) for term in model.terms]

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return the score of each action, -inf where it is not eligible; shape (A, n)."""
        found = np.where(eligible, self._values, -np.inf)
        for index, weight in self._terms:
            points = weight * seen.of_slots(index)
            for channel in range(N_CHANNELS):
                found[1 + channel :: N_CHANNELS] += points
        return found


class BatchBetaArms:
    """Beta arms made ready for n_slots."""

    def __init__(self, model: BetaArms, n_slots: int) -> None:
        self._means = np.asarray([a / (a + b) for a, b in zip(model.successes, model.failures, strict=True)])[:, None]
        self._single = Chooser(model, n_slots)

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return the mean rate of each action, -inf where it is not eligible; shape (A, n)."""
        return np.where(eligible, self._means, -np.inf)

    def best_chances(self, seen: Seen, eligible: Bools, scale: float) -> Floats:
        """Return the probability that each action's rate is the highest, shape (A, n): once for equal masks."""
        masks, which = np.unique(np.packbits(eligible, axis=0), axis=1, return_inverse=True)
        sets = np.unpackbits(masks, axis=0, count=len(eligible)).astype(np.bool_)
        chances = np.array([self._single.best_chances((), flags.tolist(), scale) for flags in sets.T])
        return chances[which.reshape(-1)].T
