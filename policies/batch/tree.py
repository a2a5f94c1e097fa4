"""Trees for many users: the comparisons of `policies.kinds.tree`, of all users at each split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from policies.batch.seen import Bools, Floats, Seen
from policies.inputs import N_CHANNELS, edges, inputs
from policies.kinds.tree import Leaf, Split, Tree, leaves
from policies.vocabulary import CHANNELS_OF_A_SLOT


class BatchTree:
    """A tree made ready for n_slots."""

    def __init__(self, model: Tree, n_slots: int) -> None:
        self._known = inputs(n_slots)
        self._root = model.root
        found = list(leaves(model.root))
        self._number = {id(leaf): number for number, leaf in enumerate(found)}
        self._worth = np.asarray([[leaf.values[channel] for channel in CHANNELS_OF_A_SLOT] for leaf in found])

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return what each action is worth over silence, -inf where it is not eligible; shape (A, n)."""
        found = np.full(eligible.shape, -np.inf)
        found[0] = 0.0
        ends = np.broadcast_to(self._ends(self._root, seen), (seen.n_slots, seen.n))
        for channel in range(N_CHANNELS):
            worth = self._worth[:, channel][ends]
            np.copyto(found[1 + channel :: N_CHANNELS], worth, where=eligible[1 + channel :: N_CHANNELS])
        return found

    def _ends(self, node: Split | Leaf, seen: Seen) -> npt.NDArray[np.intp]:
        """Return the number of the leaf where walks from a node end, of a shape that broadcasts to (C, n)."""
        if isinstance(node, Leaf):
            return np.asarray(self._number[id(node)], np.intp)
        entry = self._known[node.feature]
        edge = edges(entry, (node.threshold,))[0]
        values = seen.of_slots(entry.index) if entry.is_per_slot else seen.column(entry.index)
        return np.where(values < edge, self._ends(node.below, seen), self._ends(node.otherwise, seen))
