"""Posteriors for many users: the scores of all candidates in matrix products."""

from __future__ import annotations

import numpy as np

from policies.batch.best_of_normals import best_of_normals
from policies.batch.network import Perceptron, Standardised
from policies.batch.seen import Bools, Floats, Seen
from policies.inputs import N_CHANNELS
from policies.kinds.posterior import HEADS, Believed, Known, Posterior


class BatchPosterior:
    """A posterior made ready for n_slots."""

    def __init__(self, model: Posterior, n_slots: int) -> None:
        self._inputs = Standardised(model.inputs, n_slots)
        self._layers = Perceptron(model.layers)
        self._heads = [_Head(model.heads[name]) for name in HEADS]
        self._optimism = model.optimism

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return mean + optimism * standard deviation of each action, -inf where not eligible; shape (A, n)."""
        means, sds = self._scores(seen, wants_sds=self._optimism > 0.0)
        if self._optimism > 0.0:
            means += self._optimism * sds
        return np.where(eligible, means, -np.inf)

    def best_chances(self, seen: Seen, eligible: Bools, scale: float) -> Floats:
        """Return the probability that a draw of each action's score is the highest, shape (A, n)."""
        means, sds = self._scores(seen, wants_sds=True)
        return best_of_normals(means, scale * sds, eligible)

    def _scores(self, seen: Seen, *, wants_sds: bool) -> tuple[Floats, Floats]:
        """Return means and standard deviations of all actions, shapes (A, n); the latter 0 unless wanted."""
        means = np.empty((1 + N_CHANNELS * seen.n_slots, seen.n))
        sds = np.zeros(means.shape)
        for place in range(1 + seen.n_slots):
            x = np.ones((1 + self._layers.n_outputs(self._inputs.n), seen.n))
            x[1:] = self._layers(self._inputs.matrix(seen, place - 1))
            first, heads = (0, self._heads[:1]) if place == 0 else (1 + N_CHANNELS * (place - 1), self._heads[1:])
            for action, head in enumerate(heads, first):
                means[action] = head.means(x)
                if wants_sds:
                    sds[action] = head.sds(x)
        return means, sds


class _Head:
    """A head made ready."""

    def __init__(self, head: Believed | Known) -> None:
        self._value = head.value if isinstance(head, Known) else 0.0
        self._mean = self._factor = None
        if isinstance(head, Believed):
            self._mean = np.asarray(head.mean)
            self._factor = np.zeros((len(head.factor), len(head.factor)))
            self._factor[np.tril_indices(len(head.factor))] = [number for row in head.factor for number in row]

    def means(self, x: Floats) -> Floats | float:
        """Return the expected scores, shape (D, n) to (n,)."""
        return self._value if self._mean is None else self._mean @ x

    def sds(self, x: Floats) -> Floats | float:
        """Return the standard deviations of the scores, shape (D, n) to (n,)."""
        if self._factor is None:
            return 0.0
        parts = self._factor.T @ x
        found: Floats = np.sqrt(np.einsum("dn,dn->n", parts, parts))
        return found
