"""More fatigue never raises the wish to send: held for a whole tree, by lowering leaves.

Of two leaves, one may lie on the tired side of the other: some state in the first becomes one in the second by more
fatigue alone. Then its values may be at most the other's. Lowering errs on the side of silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from policies.kinds.tree import Leaf, Split

# 1: more of it is more fatigue; -1: less of it is.
FATIGUE: Mapping[str, int] = MappingProxyType(
    {"pushes_1d": 1, "pushes_7d": 1, "send_load": 1, "unopened": 1, "unread": 1, "hours_since_send": -1}
)
EVERYWHERE = (-math.inf, math.inf)
Box = dict[str, tuple[float, float]]  # of each feature that a walk asks for: from, and below


def boxes(node: Split | Leaf, box: Box | None = None) -> Iterator[tuple[Leaf, Box]]:
    """Yield each leaf, from left to right, with the states that end in it."""
    box = {} if box is None else box
    if isinstance(node, Leaf):
        yield node, box
        return
    low, high = box.get(node.feature, EVERYWHERE)
    yield from boxes(node.below, box | {node.feature: (low, min(high, node.threshold))})
    yield from boxes(node.otherwise, box | {node.feature: (max(low, node.threshold), high)})


def tires_into(rested: Box, tired: Box) -> bool:
    """Return whether some state of the first box becomes one of the second by more fatigue alone, or by nothing."""
    for feature in rested.keys() | tired.keys():
        (low, high), (tired_low, tired_high) = (box.get(feature, EVERYWHERE) for box in (rested, tired))
        direction = FATIGUE.get(feature, 0)
        if low >= high or tired_low >= tired_high:
            return False  # nobody gets there
        if direction >= 0 and not low < tired_high:
            return False
        if direction <= 0 and not tired_low < high:
            return False
    return True


def made_monotone(root: Split | Leaf) -> Split | Leaf:
    """Return the tree with leaves lowered until more fatigue never raises a value."""
    found = list(boxes(root))
    values = [dict(leaf.values) for leaf, _ in found]
    pairs = [
        (i, j)
        for i, (_, rested) in enumerate(found)
        for j, (_, tired) in enumerate(found)
        if i != j and tires_into(rested, tired)
    ]
    is_settled = False
    while not is_settled:
        is_settled = True
        for i, j in pairs:
            for channel, value in values[i].items():
                if values[j][channel] > value:
                    values[j][channel], is_settled = value, False
    rest = iter(values)

    def rebuilt(node: Split | Leaf) -> Split | Leaf:
        if isinstance(node, Leaf):
            return Leaf(next(rest))
        below = rebuilt(node.below)
        return Split(node.feature, node.threshold, below, rebuilt(node.otherwise))

    return merged(rebuilt(root))


def merged(node: Split | Leaf) -> Split | Leaf:
    """Return the tree without splits that decide nothing."""
    if isinstance(node, Leaf):
        return node
    below, otherwise = merged(node.below), merged(node.otherwise)
    if isinstance(below, Leaf) and isinstance(otherwise, Leaf) and below.values == otherwise.values:
        return below
    return Split(node.feature, node.threshold, below, otherwise)
