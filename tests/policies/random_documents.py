"""Documents of every kind at random, and observations that ask them hard questions: wild ones, and on the borders."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.document import (
    NO_SEND,
    Arms,
    Believed,
    BetaArms,
    Binned,
    Condition,
    Document,
    Epsilon,
    Exploration,
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
from policies.inputs import Scope, decode, encode, inputs, slack_at
from policies.kinds.rules import OPERATORS
from policies.kinds.tree import splits
from policies.vocabulary import N_SLOT_FEATURES, features, n_actions

Floats = npt.NDArray[np.float64]
CHANNELS = ("push", "email")


def within(luck: random.Random, name: str, n_slots: int) -> float:
    """A value that an input can take, in its unit; often a whole one."""
    feature = inputs(n_slots)[name].feature
    value = decode(feature, luck.uniform(feature.low, feature.high))
    whole = float(round(value))
    return whole if luck.random() < 0.5 and encode(feature, whole) is not None else value


def rising(luck: random.Random, name: str, n_slots: int, n: int) -> tuple[float, ...]:
    """Up to n different values, rising."""
    return tuple(sorted({within(luck, name, n_slots) for _ in range(n)}))


def some_input(luck: random.Random, n_slots: int, scope: Scope) -> str:
    known = inputs(n_slots, scope)
    per_slot = [name for name in known if known[name].is_per_slot]
    return luck.choice(per_slot if per_slot and luck.random() < 0.4 else list(known))


def random_condition(luck: random.Random, n_slots: int) -> Condition:
    name = some_input(luck, n_slots, "anything")
    operator = luck.choice(OPERATORS)
    if operator == "between":
        bounds = rising(luck, name, n_slots, 4)
        return Condition(name, operator, (bounds[0], bounds[-1])) if len(bounds) > 1 else Condition(name, ">=", 0.0)
    if operator == "in":
        return Condition(name, operator, rising(luck, name, n_slots, 6))
    return Condition(name, operator, within(luck, name, n_slots))


def random_send(luck: random.Random) -> Any:
    if luck.random() < 0.3:
        return NO_SEND
    channels = luck.choice((("push",), ("email",), ("push", "email"), ("email", "push")))
    slot = luck.choice(("first", "highest", "lowest"))
    return Send(channels, slot, None if slot == "first" else luck.choice(("slot.relevance", "slot.margin_eur")))


def random_rules(luck: random.Random, n_slots: int) -> Rules:
    def rule(k: int) -> Rule:
        conditions = tuple(random_condition(luck, n_slots) for _ in range(luck.randint(0, 3)))
        return Rule(f"rule {k}", conditions, random_send(luck))

    return Rules(tuple(rule(k) for k in range(luck.randint(0, 6))), random_send(luck))


def random_scorecard(luck: random.Random, n_slots: int) -> Scorecard:
    both = lambda: {channel: luck.choice((0.0, 0.25, luck.gauss(0, 1))) for channel in CHANNELS}  # noqa: E731

    def term() -> Weighted | Binned:
        name = some_input(luck, n_slots, "shared")
        if luck.random() < 0.5:
            return Weighted(name, both())
        thresholds = rising(luck, name, n_slots, luck.choice((1, 3, 40)))
        return Binned(
            name,
            thresholds,
            {channel: tuple(luck.gauss(0, 1) for _ in range(len(thresholds) + 1)) for channel in CHANNELS},
        )

    return Scorecard(luck.choice((0.0, luck.gauss(0, 1))), both(), tuple(term() for _ in range(luck.randint(0, 8))))


def random_tree(luck: random.Random, n_slots: int) -> Tree:
    def node(depth: int) -> Split | Leaf:
        if depth == 0 or luck.random() < 0.2:
            return Leaf({channel: luck.choice((0.0, 0.25, luck.gauss(0, 1))) for channel in CHANNELS})
        name = some_input(luck, n_slots, "shared")
        return Split(name, within(luck, name, n_slots), node(depth - 1), node(depth - 1))

    return Tree(node(luck.randint(0, 6)))


def random_layers(luck: random.Random, *widths: int) -> tuple[Layer, ...]:
    def layer(n_in: int, n_out: int, activation: str) -> Layer:
        rows = tuple(tuple(luck.gauss(0.0, n_in**-0.5) for _ in range(n_in)) for _ in range(n_out))
        return Layer(rows, tuple(luck.gauss(0.0, 0.1) for _ in range(n_out)), activation)

    return tuple(layer(n_in, n_out, luck.choice(("relu", "tanh", "identity"))) for n_in, n_out in pairwise(widths))


def random_inputs(luck: random.Random, names: list[str]) -> tuple[NetworkInput, ...]:
    return tuple(
        NetworkInput(name, luck.gauss(0.0, 0.3), luck.uniform(0.5, 8.0), luck.choice((None, 1.0, 5.0)))
        for name in names
    )


def random_network(luck: random.Random, n_slots: int) -> Network:
    known = list(inputs(n_slots, "an entry"))
    read = random_inputs(luck, luck.sample(known, luck.randint(1, min(20, len(known)))))
    hidden = [luck.randint(1, 12) for _ in range(luck.randint(0, 2))]
    return Network(read, random_layers(luck, len(read), *hidden, n_actions(n_slots)))


def random_posterior(luck: random.Random, n_slots: int) -> Posterior:
    known = list(inputs(n_slots, "shared"))
    read = random_inputs(luck, luck.sample(known, luck.randint(1, 12)))
    widths = [len(read), *(luck.randint(1, 8) for _ in range(luck.randint(0, 2)))]

    def head() -> Believed | Known:
        n = 1 + widths[-1]
        sd = 10 ** luck.uniform(-3, 1)
        rows = tuple(tuple(luck.gauss(0.0, sd) for _ in range(k + 1)) for k in range(n))
        return Believed(tuple(luck.gauss(0.0, 1.0) for _ in range(n)), rows)

    silence = head() if luck.random() < 0.5 else Known(luck.choice((0.0, luck.gauss(0.0, 1.0))))
    heads = {"no_send": silence, "push": head(), "email": head()}
    return Posterior(read, random_layers(luck, *widths), heads, luck.choice((0.0, luck.uniform(0.1, 2.0))))


def random_arms(luck: random.Random, n_slots: int) -> Arms:
    names = luck.sample(list(inputs(n_slots, "of the candidate")), luck.randint(0, 3))
    values = tuple(luck.choice((0.0, 1.0, luck.gauss(0, 1))) for _ in range(n_actions(n_slots)))
    return Arms(values, tuple(SlotTerm(name, luck.gauss(0, 1)) for name in names))


def random_beta_arms(luck: random.Random, n_slots: int) -> BetaArms:
    size = luck.uniform(0.0, 4.0)
    successes, failures = (tuple(10 ** luck.uniform(-0.5, size) for _ in range(n_actions(n_slots))) for _ in range(2))
    return BetaArms(successes, failures)


def random_mixture(luck: random.Random, n_slots: int) -> Mixture:
    kinds = luck.sample(("rules", "scorecard", "tree", "network", "posterior", "arms"), luck.randint(1, 4))
    parts = [random_document(kind, luck, n_slots) for kind in kinds]
    cuts = sorted(luck.random() for _ in parts[1:])
    weights = [high - low for low, high in pairwise((0.0, *cuts, 1.0))]
    return Mixture(tuple(Part(w, part.model, part.exploration) for w, part in zip(weights, parts, strict=True)))


def none(_: random.Random) -> Exploration:
    return Greedy()


def graded(luck: random.Random) -> Exploration:
    return luck.choice((Greedy(), Epsilon(luck.uniform(0.01, 1.0)), Softmax(10 ** luck.uniform(-2, 1))))


def of_rules(luck: random.Random) -> Exploration:
    return luck.choice((Greedy(), Epsilon(luck.uniform(0.01, 1.0))))


def of_beliefs(luck: random.Random) -> Exploration:
    return luck.choice((Thompson(), Thompson(10 ** luck.uniform(-1, 1)), graded(luck)))


def of_counts(luck: random.Random) -> Exploration:
    return luck.choice((Thompson(), graded(luck)))


Kind = tuple[Callable[[random.Random, int], Any], Callable[[random.Random], Exploration]]
KINDS: dict[str, Kind] = {
    "rules": (random_rules, of_rules),
    "scorecard": (random_scorecard, graded),
    "tree": (random_tree, graded),
    "network": (random_network, graded),
    "posterior": (random_posterior, of_beliefs),
    "arms": (random_arms, graded),
    "beta_arms": (random_beta_arms, of_counts),
    "mixture": (random_mixture, none),
}


def random_document(kind: str, luck: random.Random, n_slots: int) -> Document:
    model, exploration = KINDS[kind]
    found = Document(f"random {kind}", n_slots, model(luck, n_slots), exploration(luck))
    if isinstance(found.model, Posterior) and isinstance(found.exploration, Thompson):
        return replace(found, model=replace(found.model, optimism=0.0))
    return found


def borders(document: Document) -> Iterator[tuple[int, float]]:
    """Where inputs stand, and encoded thresholds that the document compares them with, at the slack's very ends."""
    known = inputs(document.n_slots)
    pairs: list[tuple[str, Any]] = []
    if isinstance(document.model, Rules):
        pairs = [(each.feature, each.value) for rule in document.model.rules for each in rule.when]
    elif isinstance(document.model, Scorecard):
        pairs = [(term.feature, term.thresholds) for term in document.model.terms if isinstance(term, Binned)]
    elif isinstance(document.model, Tree):
        pairs = [(split.feature, split.threshold) for split in splits(document.model.root)]
    for name, values in pairs:
        entry = known[name]
        if name == "local_hour":
            continue
        for value in values if isinstance(values, tuple) else (values,):
            encoded = encode(entry.feature, value)
            assert encoded is not None
            for slot in range(document.n_slots if entry.is_per_slot else 1):
                for border in (encoded, encoded - slack_at(encoded), encoded + slack_at(encoded)):
                    yield entry.index + N_SLOT_FEATURES * slot, border


def hard_observations(document: Document, luck: np.random.Generator, n: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Observations and masks, shapes (n, K) and (n, A): over and beyond the ranges, hours exact, values on borders."""
    known = features(document.n_slots)
    low, high = np.array([f.low for f in known]), np.array([f.high for f in known])
    found = luck.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (n, len(known)))
    whole = luck.random(found.shape) < 0.3
    found[whole] = np.rint(found[whole])
    angle = np.where(luck.random(n) < 0.5, luck.integers(0, 96, n) / 4, luck.uniform(0, 24, n)) * (math.pi / 12)
    found[:, 0], found[:, 1] = np.sin(angle), np.cos(angle)
    on = list(borders(document))
    for row in range(n if on else 0):
        for pick in luck.integers(0, len(on), 3):
            index, border = on[pick]
            found[row, index] = border if luck.random() < 0.5 else math.nextafter(border, luck.choice((-9.0, 9.0)))
    masks = luck.random((n, n_actions(document.n_slots))) < luck.choice((0.05, 0.3, 0.8, 1.0), (n, 1))
    masks[:, 0] = True
    return found, masks
