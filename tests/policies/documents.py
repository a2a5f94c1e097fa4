"""One document of each kind, and observations to ask them about."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

from policies.codec import write
from policies.document import (
    NO_SEND,
    Arms,
    Believed,
    BetaArms,
    Binned,
    Condition,
    Document,
    Greedy,
    Known,
    Layer,
    Leaf,
    Mixture,
    Network,
    NetworkInput,
    Part,
    Posterior,
    Rule,
    Rules,
    Scorecard,
    Send,
    SlotTerm,
    Softmax,
    Split,
    Thompson,
    Tree,
    Weighted,
)
from policies.inputs import encode, inputs
from policies.vocabulary import feature_names, features, n_actions

C = 4
ALL = (True,) * n_actions(C)

RULES = Document(
    name="evening push",
    n_slots=C,
    model=Rules(
        (
            Rule("enough for a week", (Condition("pushes_7d", ">=", 3.0),), NO_SEND),
            Rule(
                "evening",
                (
                    Condition("local_hour", "between", (18.0, 21.0)),
                    Condition("hours_since_send", ">=", 24.0),
                    Condition("slot.relevance", ">", 0.5),
                ),
                Send(("push", "email"), "highest", "slot.margin_eur"),
            ),
            Rule("mail at noon", (Condition("local_hour", "in", (11.0, 12.0)),), Send(("email",))),
        ),
    ),
    made_by="the growth team",
    trained_on={"scenario": "news", "seed": "7"},
)

SCORECARD = Document(
    name="points",
    n_slots=C,
    model=Scorecard(
        0.25,
        {"push": -1.0, "email": -1.5},
        (
            Weighted("send_load", {"push": -0.3, "email": -0.1}),
            Binned("hours_since_send", (24.0, 72.0), {"push": (0.0, 1.0, 2.0), "email": (0.0, 0.0, 1.0)}),
            Weighted("slot.relevance", {"push": 0.8, "email": 0.4}),
            Binned("slot.click_rate", (0.02, 0.1), {"push": (-1.0, 0.0, 0.5), "email": (-0.5, 0.0, 0.25)}),
        ),
    ),
    exploration=Softmax(0.5),
)


def layer(luck: random.Random, n_in: int, n_out: int, activation: str) -> Layer:
    rows = tuple(tuple(luck.gauss(0.0, n_in**-0.5) for _ in range(n_in)) for _ in range(n_out))
    return Layer(rows, tuple(luck.gauss(0.0, 0.1) for _ in range(n_out)), activation)


def network(sizes: Sequence[int] = (16, 12), seed: int = 1) -> Document:
    """A random network over all features, with every activation."""
    luck = random.Random(seed)
    names = feature_names(C)
    read = tuple(
        NetworkInput(name, luck.gauss(0.0, 0.3), luck.uniform(0.5, 2.0), clip=luck.choice((None, 1.0, 5.0)))
        for name in names
    )
    widths = (len(names), *sizes, n_actions(C))
    kinds = ("relu", "tanh") * len(sizes)
    layers = [layer(luck, widths[k], widths[k + 1], kinds[k]) for k in range(len(sizes))]
    return Document(
        "small network", C, Network(read, (*layers, layer(luck, widths[-2], widths[-1], "identity"))), Softmax(1.0)
    )


POSTERIOR = Document(
    "neural-linear",
    C,
    Posterior(
        (NetworkInput("send_load", 4.0, 3.0, clip=5.0), NetworkInput("slot.relevance", 0.0, 1.0)),
        (Layer(((0.5, -1.0), (-0.25, 0.75)), (0.0, 0.125), "tanh"),),
        {
            "no_send": Known(0.0),
            "push": Believed((-0.125, 0.25, 0.5), ((0.25,), (0.0, 0.125), (-0.0625, 0.03125, 0.25))),
            "email": Believed((-0.25, 0.125, 0.375), ((0.5,), (0.0, 0.25), (0.0, 0.0, 0.25))),
        },
    ),
    Thompson(),
)

ARMS = Document(
    "recovering softmax",
    C,
    Arms(
        (0.0, 0.3, -0.2, 0.1, 0.4, 0.0, 0.0, -0.5, 0.25),
        (SlotTerm("slot.bucket_recency", -0.5), SlotTerm("slot.kind", 1.0)),
    ),
    Softmax(0.25),
)

BETA_ARMS = Document(
    "counts",
    C,
    BetaArms((50.0, 8.0, 3.0, 1.0, 1.0, 12.0, 2.0, 0.5, 1.0), (950.0, 92.0, 77.0, 1.0, 19.0, 300.0, 2.0, 0.5, 9.0)),
    Thompson(),
)

TREE = Document(
    "three leaves",
    C,
    Tree(
        Split(
            "send_load",
            2.0,
            Split("slot.relevance", 0.5, Leaf({"push": -0.25, "email": 0.125}), Leaf({"push": 1.0, "email": 0.5})),
            Leaf({"push": -1.0, "email": -0.5}),
        )
    ),
)

MIXTURE = Document(
    "a tenth by points",
    C,
    Mixture((Part(0.9, RULES.model, Greedy()), Part(0.1, SCORECARD.model, Softmax(0.5)))),
)

EXAMPLES = (RULES, SCORECARD, TREE, network(), POSTERIOR, ARMS, BETA_ARMS)


def tree_of(document: Document) -> Any:
    """What stands in a document's file, without its hash."""
    tree = json.loads(write(document))
    del tree["policy_hash"]
    return tree


def observation(hour: float = 12.0, **values: float) -> list[float]:
    """An observation of zeros, but for an hour and values in their units (`slot0_relevance` is slot0.relevance)."""
    found = [0.0] * len(features(C))
    found[0], found[1] = math.sin(hour * math.pi / 12), math.cos(hour * math.pi / 12)
    for name, value in values.items():
        entry = inputs(C)[name if name in inputs(C) else name.replace("_", ".", 1)]
        encoded = encode(entry.feature, value)
        assert encoded is not None
        found[entry.index] = encoded
    return found


def random_observation(luck: random.Random, n_slots: int = C) -> list[float]:
    """Every feature uniform over its range; the hour's sine and cosine belong together."""
    found = [luck.uniform(feature.low, feature.high) for feature in features(n_slots)]
    angle = luck.uniform(0.0, 2 * math.pi)
    found[0], found[1] = math.sin(angle), math.cos(angle)
    return found


def random_eligible(luck: random.Random, n_slots: int = C) -> list[bool]:
    return [True] + [luck.random() < 0.6 for _ in range(n_actions(n_slots) - 1)]
