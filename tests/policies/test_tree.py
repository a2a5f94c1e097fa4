"""Trees: a walk by hand, another reading of random trees, reasons that name the path, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from policies.codec import DocumentError, read, write
from policies.decide import Policy
from policies.document import Document, Leaf, Split, Tree
from policies.inputs import edges, inputs, local_hour
from policies.kinds.tree import MAX_DEPTH, leaves, splits
from policies.vocabulary import N_SLOT_FEATURES, feature_names, n_features
from tests.policies.random_documents import hard_observations, random_document

BY_HAND = Document(
    "by hand",
    2,
    Tree(
        Split(
            "hours_since_send",
            24.0,
            Leaf({"push": -1.0, "email": -0.5}),
            Split("slot.relevance", 0.5, Leaf({"push": 0.25, "email": -1.0}), Leaf({"push": 1.0, "email": 2.0})),
        )
    ),
)


def seen(hours: float, *relevance: float) -> list[float]:
    names = feature_names(2)
    values = [0.0] * n_features(2)
    values[names.index("hours_since_send")] = float(np.log1p(hours))
    for slot, value in enumerate(relevance):
        values[names.index(f"slot{slot}.relevance")] = value
    return values


def test_a_walk_by_hand() -> None:
    policy = Policy(BY_HAND)
    everything = [True] * 5
    assert policy.decide(seen(23.9, 1.0, 1.0), everything, 0.0).action == 0
    found = policy.decide(seen(24.0, 0.4, 0.5), everything, 0.0)
    assert found.action == 4  # the second candidate by e-mail, worth 2
    assert found.reasons == (
        "slot1.email is worth 2, more than silence",
        "hours_since_send >= 24",
        "slot.relevance >= 0.5",
    )
    assert policy.decide(seen(30.0, 0.4, 0.4), everything, 0.0).action == 1
    assert policy.decide(seen(30.0, 0.4, 0.9), [True, True, True, False, False], 0.0).action == 1
    silent = policy.decide(seen(1.0), everything, 0.0)
    assert silent.reasons == ("slot0.email is worth -0.5, no more than silence", "hours_since_send < 24")
    assert policy.inputs == ("hours_since_send", "slot.relevance")


def test_worth_nothing_is_not_sent() -> None:
    even = Policy(Document("even", 1, Tree(Leaf({"push": 0.0, "email": 0.0}))))
    assert even.decide([0.0] * n_features(1), [True] * 3, 0.0).action == 0


def worth(node: Split | Leaf, values: list[float], slot: int, n_slots: int) -> dict[str, float]:
    """Another reading: by names and one split at a time."""
    if isinstance(node, Leaf):
        return dict(node.values)
    entry = inputs(n_slots)[node.feature]
    if node.feature == "local_hour":
        value = local_hour(values)
    else:
        value = values[entry.index + (N_SLOT_FEATURES * slot if node.feature.startswith("slot.") else 0)]
    is_below = value < edges(entry, (node.threshold,))[0]
    return worth(node.below if is_below else node.otherwise, values, slot, n_slots)


def test_random_trees_read_twice() -> None:
    luck = random.Random(3)
    n_sent = 0
    for k in range(40):
        document = random_document("tree", luck, 3)
        assert isinstance(document.model, Tree)
        observations, masks = hard_observations(document, np.random.default_rng(k), 20)
        policy = Policy(Document("greedy", 3, document.model))
        for values, mask in zip(observations.tolist(), masks.tolist(), strict=True):
            best, most = 0, 0.0
            for slot in range(3):
                its = worth(document.model.root, values, slot, 3)
                for channel, name in enumerate(("push", "email")):
                    if mask[1 + 2 * slot + channel] and its[name] > most:
                        best, most = 1 + 2 * slot + channel, its[name]
            assert policy.decide(values, mask, 0.0).action == best
            n_sent += best > 0
    assert n_sent > 100


def test_splits_and_leaves_in_order() -> None:
    assert [split.feature for split in splits(BY_HAND.model.root)] == ["hours_since_send", "slot.relevance"]  # type: ignore[union-attr]
    assert [leaf.values["push"] for leaf in leaves(BY_HAND.model.root)] == [-1.0, 0.25, 1.0]  # type: ignore[union-attr]


def chain(depth: int) -> Any:
    leaf = {"values": {"push": 0.0, "email": 0.0}}
    found: Any = leaf
    for _ in range(depth):
        found = {"feature": "tier", "threshold": 1.0, "below": leaf, "otherwise": found}
    return found


def draft(root: Any) -> str:
    model = {"kind": "tree", "root": root}
    return json.dumps({"version": 1, "name": "x", "n_slots": 2, "model": model, "exploration": {"kind": "none"}})


@pytest.mark.parametrize(
    ("root", "told"),
    [
        (chain(MAX_DEPTH + 1), f"expected a leaf after at most {MAX_DEPTH} splits"),
        ({"values": {"push": 0.0}}, "model.root.values.email: missing"),
        ({"values": {"push": 0.0, "email": "x"}}, "model.root.values.email: expected a number"),
        (
            {"feature": "teir", "threshold": 1.0, "below": chain(0), "otherwise": chain(0)},
            "model.root.feature: ",
        ),
        (
            {"feature": "slot1.relevance", "threshold": 1.0, "below": chain(0), "otherwise": chain(0)},
            "model.root.feature: ",
        ),
        (
            {"feature": "tier", "threshold": 99.0, "below": chain(0), "otherwise": chain(0)},
            "a value that tier can take",
        ),
        ({"feature": "tier", "threshold": 1.0, "below": chain(0)}, "model.root.otherwise: missing"),
        ([], "model.root: expected an object"),
    ],
)
def test_what_is_refused(root: Any, told: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read(draft(root), is_draft=True)
    assert told in str(raised.value)


def test_as_deep_as_may_be() -> None:
    document = read(draft(chain(MAX_DEPTH)), is_draft=True)
    assert read(write(document)) == document
    assert Policy(document).decide([0.0] * n_features(2), [True] * 5, 0.0).action == 0
