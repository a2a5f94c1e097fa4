"""What a batch shows of the users: columns of observations in float64, taken when a model first asks for them.

Everything in this package stands action by action, feature by feature, with the users along the last axis: one
operation then works on one stretch of memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from policies.inputs import local_hour
from policies.vocabulary import N_SLOT_FEATURES, n_features

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Observations = npt.NDArray[np.floating[Any]]

_NEAR_A_TIE = 1e-6  # of 1e-4 hours: where two libraries' atan2 could be rounded apart


class Seen:
    """The columns of n users.

    Attributes:
        n: number of users.
        n_slots: C.
    """

    def __init__(self, observations: Observations, n_slots: int) -> None:
        """Look at observations in the vocabulary's order, shape (n, 29 + 7 C)."""
        self.n = len(observations)
        self.n_slots = n_slots
        self._observations = observations
        self._hour_index = n_features(n_slots)
        self._columns: dict[int, Floats] = {}
        self._slots: dict[int, Floats] = {}

    def column(self, index: int) -> Floats:
        """Return one input of `policies.inputs` that is not per slot, shape (n,)."""
        if index not in self._columns:
            is_hour = index == self._hour_index
            self._columns[index] = (
                local_hours(self.column(0), self.column(1))
                if is_hour
                else self._observations[:, index].astype(np.float64)
            )
        return self._columns[index]

    def of_slots(self, index: int) -> Floats:
        """Return a per-slot input, whose index is where slot 0's stands, of every slot, shape (C, n)."""
        if index not in self._slots:
            self._slots[index] = self._observations[:, index::N_SLOT_FEATURES].T.astype(np.float64, order="C")
        return self._slots[index]


def local_hours(sines: Floats, cosines: Floats) -> Floats:
    """Return `policies.inputs.local_hour` of each row, shape (n,)."""
    ticks = np.arctan2(sines, cosines) * (12.0 / np.pi) * 1e4
    whole = np.rint(ticks)
    hours: Floats = np.floor((whole / 1e4) % 24.0)
    for row in np.flatnonzero(np.abs(np.abs(ticks - whole) - 0.5) < _NEAR_A_TIE):
        hours[row] = local_hour((float(sines[row]), float(cosines[row])))
    return hours
