"""Mixtures for many users: the parts of `policies.kinds.mixture`, added up in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from policies.batch.exploration import shares
from policies.batch.seen import Bools, Floats, Seen
from policies.exploration import Exploration

if TYPE_CHECKING:
    from policies.batch.policy import BatchChooser


class BatchPart(NamedTuple):
    """A part made ready."""

    weight: float
    chooser: BatchChooser
    exploration: Exploration


class BatchMixture:
    """A mixture made ready; its preferences are the probabilities."""

    def __init__(self, parts: Sequence[BatchPart]) -> None:
        self._parts = tuple(parts)

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return the probability of each action, -inf where it is not eligible; shape (A, n). NaN as of one user."""
        found = np.where(eligible, 0.0, -np.inf)
        for weight, chooser, exploration in self._parts:
            wished = chooser.preferences(seen, eligible)
            is_odd = eligible & ~np.isfinite(wished)
            with np.errstate(invalid="ignore"):  # what is odd is told below
                of_part = shares(chooser, exploration, seen, eligible, wished)
            found += weight * of_part
            found[is_odd] = np.nan
        return found
