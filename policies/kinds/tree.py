"""Tree: each candidate walks down a tree of thresholds; the leaf says what a message is worth on each channel.

Worth is over silence, whose own is 0: what is not above it is not sent. Slots share the tree, so where a candidate
stands does not matter. A forest that was learned elsewhere is one tree of its policy, not its sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from policies.inputs import N_CHANNELS, Input, edges, inputs, read_input, read_threshold
from policies.strict_json import Node
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, action_names

MAX_DEPTH = 24
MAX_LEAVES = 4_096


@dataclass(frozen=True)
class Leaf:
    """Where a walk ends.

    Attributes:
        values: worth of a message over silence, for each channel.
    """

    values: Mapping[str, float]


@dataclass(frozen=True)
class Split:
    """A fork.

    Attributes:
        feature: of the user, `local_hour`, or of the candidate (`slot.relevance`).
        threshold: in the feature's unit.
        below: where a value goes that is less than the threshold.
        otherwise: where any other goes.
    """

    feature: str
    threshold: float
    below: Split | Leaf
    otherwise: Split | Leaf


@dataclass(frozen=True)
class Tree:
    """A tree, by its root."""

    kind: ClassVar[str] = "tree"
    root: Split | Leaf


def splits(node: Split | Leaf) -> Iterator[Split]:
    """Yield the splits, each before those below it."""
    if isinstance(node, Split):
        yield node
        yield from splits(node.below)
        yield from splits(node.otherwise)


def leaves(node: Split | Leaf) -> Iterator[Leaf]:
    """Yield the leaves from left to right."""
    if isinstance(node, Leaf):
        yield node
    else:
        yield from leaves(node.below)
        yield from leaves(node.otherwise)


def read(node: Node, n_slots: int) -> Tree:
    """Read a tree; faults are noted in the node."""
    root = node.fields(("kind", "root"))["root"]
    found = Tree(_read_node(root, n_slots, 0))
    if (n := sum(1 for _ in leaves(found.root))) > MAX_LEAVES:
        root.note(f"expected at most {MAX_LEAVES:,} leaves, got {n:,}")
    return found


def _read_node(node: Node, n_slots: int, depth: int) -> Split | Leaf:
    if not isinstance(node.value, dict) or "values" in node.value:
        values = node.fields(("values",))["values"].fields(CHANNELS_OF_A_SLOT)
        return Leaf({channel: value.number() for channel, value in values.items()})
    if depth == MAX_DEPTH:
        node.note(f"expected a leaf after at most {MAX_DEPTH} splits")
        return Leaf(dict.fromkeys(CHANNELS_OF_A_SLOT, 0.0))
    fields = node.fields(("feature", "threshold", "below", "otherwise"))
    entry = read_input(fields["feature"], n_slots, "shared")
    return Split(
        entry.name if entry else "",
        read_threshold(fields["threshold"], entry),
        _read_node(fields["below"], n_slots, depth + 1),
        _read_node(fields["otherwise"], n_slots, depth + 1),
    )


# A node made ready: where its value stands, the encoded threshold, the two nodes, and what reasons say of each way.
# Of a leaf: -1, 0, its values, and nothing else.
_Ready = tuple[int, float, "_Ready | tuple[float, ...]", "_Ready | None", tuple[str, str]]


class Chooser:
    """A tree made ready for n_slots."""

    def __init__(self, model: Tree, n_slots: int) -> None:
        self._names = action_names(n_slots)
        known = inputs(n_slots)
        self.inputs = tuple(dict.fromkeys(split.feature for split in splits(model.root)))
        self._is_per_slot = any(known[name].is_per_slot for name in self.inputs)
        # One tree a slot, with the places of its candidate's features in it: a walk then adds nothing up.
        n_trees = n_slots if self._is_per_slot else 1
        self._trees = [self._ready(model.root, known, N_SLOT_FEATURES * slot) for slot in range(n_trees)]

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return what each action is worth over silence, -inf where it is not eligible; shape (A,).

        Args:
            values: the observation and the local hour, shape (29 + 7 C + 1,).
            eligible: shape (A,).
        """
        found = [-math.inf] * len(eligible)
        found[0] = 0.0
        worth: tuple[float, ...] = ()
        for first in range(1, len(eligible), N_CHANNELS):
            if not any(eligible[first : first + N_CHANNELS]):
                continue
            if self._is_per_slot:
                worth = _walk(self._trees[(first - 1) // N_CHANNELS], values)
            elif not worth:
                worth = _walk(self._trees[0], values)
            for channel in range(N_CHANNELS):
                if eligible[first + channel]:
                    found[first + channel] = worth[channel]
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return what the best candidate is worth, and the path that says so."""
        best = max(range(1, len(preferences)), key=preferences.__getitem__)  # the first of equals
        worth = preferences[best]
        verdict = "more than silence" if worth > 0.0 else "no more than silence"
        path = _path(self._trees[(best - 1) // N_CHANNELS if self._is_per_slot else 0], values)
        return (f"{self._names[best]} is worth {worth:.4g}, {verdict}", *path)

    def _ready(self, node: Split | Leaf, known: Mapping[str, Input], offset: int) -> _Ready:
        if isinstance(node, Leaf):
            return -1, 0.0, tuple(node.values[channel] for channel in CHANNELS_OF_A_SLOT), None, ("", "")
        entry = known[node.feature]
        index = entry.index + offset if entry.is_per_slot else entry.index
        words = (f"{node.feature} < {node.threshold:g}", f"{node.feature} >= {node.threshold:g}")
        below, otherwise = self._ready(node.below, known, offset), self._ready(node.otherwise, known, offset)
        return index, edges(entry, (node.threshold,))[0], below, otherwise, words


def _walk(node: _Ready, values: Sequence[float]) -> tuple[float, ...]:
    """Return the values of the leaf that a walk ends in, shape (channels,)."""
    index, edge, below, otherwise, _ = node
    while index >= 0:
        index, edge, below, otherwise, _ = below if values[index] < edge else otherwise  # type: ignore[misc, assignment]
    return below  # type: ignore[return-value]


def _path(node: _Ready, values: Sequence[float]) -> list[str]:
    """Return which way a walk went at each split, in words."""
    found = []
    while node[0] >= 0:
        index, edge, below, otherwise, words = node
        is_below = values[index] < edge
        found.append(words[0 if is_below else 1])
        node = below if is_below else otherwise  # type: ignore[assignment]
    return found
