"""A tree that does what a teacher does, learned where it leads itself.

States are visited by the teacher first, then by the student, and all are labelled by the teacher (DAgger: Ross, Gordon
& Bagnell, AISTATS 2011). A state counts by how much is at stake in it, the teacher's best action less its worst
(VIPER: Bastani, Pu & Solar-Lezama, NeurIPS 2018, section 3). The student regresses what each candidate is worth over
silence on push and on e-mail, so that one tree serves all slots; the teacher may look at all of them at once, which is
one of the reasons why a student loses value, and why its loss is measured (`experiments.exports.certificate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeRegressor

from agents.distil.advantages import advantages
from agents.distil.monotone import boxes, made_monotone, merged
from policies.batch.seen import Bools, Floats, local_hours
from policies.document import (
    Document,
    Epsilon,
    Exploration,
    Greedy,
    Leaf,
    Mixture,
    Rule,
    Rules,
    Send,
    Softmax,
    Split,
    Tree,
)
from policies.inputs import LOCAL_HOUR, N_CHANNELS, Input, decode, encode, inputs
from policies.kinds.rules import MAX_RULES, Condition
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES

DIGITS = 3  # of a threshold: what people can read


class States(NamedTuple):
    """States in which something besides silence was eligible.

    Attributes:
        observations: shape (U, 29 + 7 C).
        masks: True where an action is eligible, shape (U, A).
    """

    observations: npt.NDArray[np.float32]
    masks: Bools


Visit = Callable[[Document, int], States]  # of a policy in a round, 0 first, to the states that it comes into


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
        visit: lets a policy decide, and returns where it came; see `experiments.exports.states`.
        settings: of the tree.
        name: of the student; "": the teacher's, and that it is a tree.

    Raises:
        ValueError: nothing was ever eligible.
    """
    called = name or f"{teacher.name}, as a tree"
    origin = {"distilled_from": teacher.name, "leaves_asked": str(settings.leaves), "depth_asked": str(settings.depth)}
    exploration = _exploration(teacher)
    rows: list[_Rows] = []
    student = teacher
    for place in range(settings.rounds):
        rows.append(_rows(teacher, visit(student, place)))
        root = _fitted(_joined(rows), teacher.n_slots, settings)
        student = Document(called, teacher.n_slots, Tree(root), exploration, "distillation", origin)
    return student


def _exploration(teacher: Document) -> Exploration:
    """Return how a student draws: as its teacher does, whose advantages are in units of its own temperature."""
    match teacher.exploration:
        case Epsilon():
            return teacher.exploration
        case Greedy() if not isinstance(teacher.model, Mixture):
            return Greedy()
    return Softmax(1.0)


class _Rows(NamedTuple):
    """Candidates that could be sent: features (M, K), worth of push and e-mail over silence (M, 2), weights (M,)."""

    features: Floats
    worth: Floats
    weights: Floats


def _joined(rows: list[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))


def _inputs(n_slots: int) -> list[Input]:
    """Return what a student looks at: the user, the hour, and the candidate."""
    known = inputs(n_slots, "shared").values()
    return [entry for entry in known if entry.name not in ("local_hour_sin", "local_hour_cos")]


def _rows(teacher: Document, states: States) -> _Rows:
    observations, masks = states
    if not len(masks) or not masks[:, 1:].any():
        raise ValueError("distilled_tree: expected states in which something could be sent, got none")
    n, n_slots = len(masks), teacher.n_slots
    is_open = masks[:, 1:].reshape(n, n_slots, N_CHANNELS).any(axis=2)
    # Of a candidate that can be sent on one channel, the other's worth is asked for as well: a leaf has both.
    both = np.column_stack([np.ones(n, np.bool_), np.repeat(is_open, N_CHANNELS, axis=1)])
    worth = advantages(teacher, observations, both)
    eligible = np.where(masks, worth, np.nan)
    at_stake = np.nanmax(eligible, axis=1) - np.nanmin(eligible, axis=1)
    user, slot = np.nonzero(is_open)
    columns = [_column(entry, observations, user, slot) for entry in _inputs(n_slots)]
    found = worth[:, 1:].reshape(n, n_slots, N_CHANNELS)[user, slot]
    return _Rows(np.column_stack(columns), found, (at_stake / is_open.sum(axis=1).clip(1))[user])


def _column(
    entry: Input, observations: npt.NDArray[Any], user: npt.NDArray[np.intp], slot: npt.NDArray[np.intp]
) -> Floats:
    if entry.feature is LOCAL_HOUR:
        sines, cosines = (observations[:, k].astype(np.float64) for k in (0, 1))
        return local_hours(sines, cosines)[user]
    place = entry.index + N_SLOT_FEATURES * slot if entry.is_per_slot else entry.index
    found: Floats = observations[user, place].astype(np.float64)
    return found


def _fitted(rows: _Rows, n_slots: int, settings: TreeSettings) -> Split | Leaf:
    if not rows.weights.any():
        return Leaf(dict.fromkeys(CHANNELS_OF_A_SLOT, 0.0))  # nothing is at stake anywhere
    learner = DecisionTreeRegressor(
        max_depth=settings.depth, max_leaf_nodes=settings.leaves, random_state=0,
        min_weight_fraction_leaf=settings.least_share,
    )  # fmt: skip
    learner.fit(rows.features, rows.worth, sample_weight=rows.weights)
    known = _inputs(n_slots)
    tree = learner.tree_

    def node(k: int) -> Split | Leaf:
        if tree.children_left[k] < 0:
            values = [_rounded(value) for value in tree.value[k, :, 0]]
            return Leaf(dict(zip(CHANNELS_OF_A_SLOT, values, strict=True)))
        entry = known[tree.feature[k]]
        below, otherwise = node(tree.children_left[k]), node(tree.children_right[k])
        return Split(entry.name, _readable(entry, float(tree.threshold[k])), below, otherwise)

    return made_monotone(node(0)) if settings.is_monotone else merged(node(0))


def _readable(entry: Input, encoded: float) -> float:
    """Return a threshold in the feature's unit, rounded where that is still one that it can take."""
    exact = decode(entry.feature, encoded)
    rounded = _rounded(exact)
    return rounded if encode(entry.feature, rounded) is not None else exact


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


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
