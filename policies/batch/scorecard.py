"""Scorecards for many users: the terms are added in the order of `policies.kinds.scorecard`, so sums are equal."""

from __future__ import annotations

import numpy as np

from policies.batch.seen import Bools, Floats, Seen
from policies.inputs import N_CHANNELS, inputs
from policies.kinds.scorecard import Binned, Scorecard, Weighted, edges_of
from policies.vocabulary import CHANNELS_OF_A_SLOT


class BatchScorecard:
    """A scorecard made ready for n_slots."""

    def __init__(self, model: Scorecard, n_slots: int) -> None:
        known = inputs(n_slots)
        self._threshold = model.threshold
        self._base = [model.base[channel] for channel in CHANNELS_OF_A_SLOT]
        terms = [(known[term.feature], _Term(term, known[term.feature].index, n_slots)) for term in model.terms]
        self._of_user = [term for entry, term in terms if not entry.is_per_slot]
        self._of_slot = [term for entry, term in terms if entry.is_per_slot]

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return the score of each action, -inf where it is not eligible; shape (A, n)."""
        found = np.full(eligible.shape, -np.inf)
        found[0] = self._threshold
        for channel in range(N_CHANNELS):
            common = np.full(seen.n, self._base[channel])
            for term in self._of_user:
                common += term.points(seen.column(term.index), channel)
            scores = np.broadcast_to(common, (seen.n_slots, seen.n)).copy()
            for term in self._of_slot:
                scores += term.points(seen.of_slots(term.index), channel)
            np.copyto(found[1 + channel :: N_CHANNELS], scores, where=eligible[1 + channel :: N_CHANNELS])
        return found


class _Term:
    """A term made ready: by weight when there are no edges, else by bin."""

    def __init__(self, term: Weighted | Binned, index: int, n_slots: int) -> None:
        self.index = index
        self._edges = np.asarray(edges_of(term, n_slots))
        table = term.weight if isinstance(term, Weighted) else term.points
        self._table = [np.asarray(table[channel]) for channel in CHANNELS_OF_A_SLOT]

    def points(self, values: Floats, channel: int) -> Floats:
        """Return the points of encoded values on a channel, in their shape."""
        if not self._edges.size:
            return self._table[channel] * values
        # One comparison an edge is faster than a search for the few edges that people write.
        if self._edges.size > 16:
            return self._table[channel][np.searchsorted(self._edges, values, side="right")]
        bins = np.zeros(values.shape, np.int64)
        for edge in self._edges:
            bins += values >= edge
        return self._table[channel][bins]
