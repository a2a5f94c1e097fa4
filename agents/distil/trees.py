"""A tree that does what a teacher does, learned where it leads itself; see `agents.distil.lessons`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from agents.distil.lessons import Lessons, Visit, learned, looked_at, readable, rounded_to
from agents.distil.monotone import boxes, made_monotone, merged
from policies.document import Document, Greedy, Leaf, Rule, Rules, Send, Softmax, Split, Tree
from policies.kinds.rules import MAX_RULES, Condition
from policies.vocabulary import CHANNELS_OF_A_SLOT


@dataclass(frozen=True)
class TreeSettings:
    """How large a tree, and how long it is learned.

    Attributes:
        depth: splits from the root to a leaf at most.
        leaves: at most.
        rounds: of visits; the first is the teacher's own.
        least_share: of all weight, that a leaf holds at least.
        is_monotone: whether more fatigue must never raise the wish to send.
    """

    depth: int = 6
    leaves: int = 32
    rounds: int = 3
    least_share: float = 0.002
    is_monotone: bool = True

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, low, high in (("depth", 1, 20), ("leaves", 2, 250), ("rounds", 1, 50)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"TreeSettings: {name}: expected {low} to {high}, got {getattr(self, name)}")
        if not 0.0 < self.least_share < 0.5:
            raise ValueError(f"TreeSettings: least_share: expected above 0 and below 0.5, got {self.least_share}")


def distilled_tree(
    teacher: Document, visit: Visit, settings: TreeSettings = TreeSettings(), name: str = ""
) -> Document:
    """Return a tree that does as a teacher does, as well as so many leaves can.

    Args:
        teacher: any document.
        visit: lets a policy decide, and returns where it came.
        settings: of the tree.
        name: of the student; "": the teacher's, and that it is a tree.

    Raises:
        ValueError: nothing was ever eligible.
    """
    origin = {"distilled_from": teacher.name, "leaves_asked": str(settings.leaves), "depth_asked": str(settings.depth)}
    called = name or f"{teacher.name}, as a tree"
    return learned(
        teacher, visit, settings.rounds, lambda found: Tree(_fitted(found, teacher.n_slots, settings)), called, origin
    )


def _fitted(found: Lessons, n_slots: int, settings: TreeSettings) -> Split | Leaf:
    if not found.weights.any():
        return Leaf(dict.fromkeys(CHANNELS_OF_A_SLOT, 0.0))  # nothing is at stake anywhere
    learner = DecisionTreeRegressor(
        max_depth=settings.depth, max_leaf_nodes=settings.leaves, random_state=0,
        min_weight_fraction_leaf=settings.least_share,
    )  # fmt: skip
    learner.fit(found.features, found.worth, sample_weight=found.weights)
    known = looked_at(n_slots)
    tree = learner.tree_

    def node(k: int) -> Split | Leaf:
        if tree.children_left[k] < 0:
            values = [rounded_to(value) for value in tree.value[k, :, 0]]
            return Leaf(dict(zip(CHANNELS_OF_A_SLOT, values, strict=True)))
        entry = known[tree.feature[k]]
        below, otherwise = node(tree.children_left[k]), node(tree.children_right[k])
        return Split(entry.name, readable(entry, float(tree.threshold[k])), below, otherwise)

    return made_monotone(node(0)) if settings.is_monotone else merged(node(0))


def rules_of(tree: Document) -> Document:
    """Return a tree's rules, one for each channel of each leaf that sends, the worthiest first.

    They do what the tree prefers; of a tree that draws by softmax, the preferred action always.

    Of two leaves that are worth the same to the last digit, the tree takes the lower slot and the rules the leaf more
    to the left; and a value that lies on a threshold's slack to the last bit belongs to both sides of a rule.

    Raises:
        ValueError: it is no tree, or has too many leaves that send.
    """
    if not isinstance(tree.model, Tree):
        raise ValueError(f"rules_of: expected a tree, got {tree.model.kind}")
    found = [
        (value, channel, box)
        for leaf, box in boxes(tree.model.root)
        for channel, value in leaf.values.items()
        if value > 0.0 and all(low < high for low, high in box.values())  # somebody gets there
    ]
    if len(found) > MAX_RULES:
        raise ValueError(f"rules_of: expected at most {MAX_RULES} leaves and channels that send, got {len(found)}")
    found.sort(key=lambda each: -each[0])
    rules = tuple(
        Rule(
            f"{k + 1}: {channel} is worth {value:g}",
            tuple(condition for feature, bounds in box.items() for condition in _conditions(feature, *bounds)),
            Send((channel,)),
        )
        for k, (value, channel, box) in enumerate(found)
    )
    exploration = Greedy() if isinstance(tree.exploration, Softmax) else tree.exploration  # rules grade nothing
    name = f"{tree.name}, as rules"
    return Document(name, tree.n_slots, Rules(rules), exploration, tree.made_by, tree.trained_on)


def _conditions(feature: str, low: float, high: float) -> list[Condition]:
    if low > -np.inf and high < np.inf:
        return [Condition(feature, "between", (low, high))]
    return [Condition(feature, ">=", low)] if low > -np.inf else [Condition(feature, "<", high)]
