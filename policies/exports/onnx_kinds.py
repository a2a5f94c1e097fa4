"""The part of an ONNX export that depends on the kind of model: what each action is wished, (N, A) double."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from policies.document import (
    NO_SEND,
    Arms,
    Known,
    Layer,
    Leaf,
    Network,
    NetworkInput,
    Posterior,
    Rule,
    Rules,
    Scorecard,
    Send,
    Split,
    Tree,
)
from policies.exports.onnx_graph import Graph, Name
from policies.inputs import LOCAL_HOUR, N_CHANNELS, Input, edges, interval
from policies.kinds.scorecard import edges_of
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, N_USER_FEATURES


def scorecard_wishes(graph: Graph, model: Scorecard) -> Name:
    """Return the score of each candidate on each channel, and the threshold."""
    ordered = sorted(model.terms, key=lambda term: graph.known[term.feature].is_per_slot)  # the user's first
    scores = [graph.number(model.threshold)]
    for slot in range(graph.n_slots):
        for channel in CHANNELS_OF_A_SLOT:
            score = graph.number(model.base[channel])
            for term in ordered:
                value = graph.feature(graph.known[term.feature], slot)
                bounds = edges_of(term, graph.n_slots)
                if hasattr(term, "points"):
                    added = graph.number(term.points[channel][0])
                    for edge, points in zip(bounds, term.points[channel][1:], strict=True):
                        reached = graph.add("GreaterOrEqual", value, graph.number(edge))
                        added = graph.add("Where", reached, graph.number(points), added)
                else:
                    added = graph.add("Mul", value, graph.number(term.weight[channel]))
                score = graph.add("Add", score, added)
            scores.append(score)
    return graph.joined(scores)


def arms_wishes(graph: Graph, model: Arms) -> Name:
    """Return the values, and the terms of each candidate."""
    scores = [graph.number(model.values[0])]
    for action in range(1, len(model.values)):
        score = graph.number(model.values[action])
        for term in model.terms:
            value = graph.feature(graph.known[term.feature], (action - 1) // N_CHANNELS)
            score = graph.add("Add", score, graph.add("Mul", value, graph.number(term.weight)))
        scores.append(score)
    return graph.joined(scores)


def tree_wishes(graph: Graph, model: Tree) -> Name:
    """Return a tree's values: of each slot, one walk over the user, the candidate and the hour.

    The ensemble answers in float32, so it is asked for the number of the leaf, which that holds exactly.
    """
    tree = _flat(model.root, graph.known)
    helper, kinds = graph.onnx.helper, graph.onnx.TensorProto
    thresholds = helper.make_tensor("thresholds", kinds.DOUBLE, [len(tree.thresholds)], tree.thresholds)
    numbers = helper.make_tensor("leaves", kinds.DOUBLE, [len(tree.leaves)], range(len(tree.leaves)))
    flat = [value for leaf in tree.leaves for value in leaf]
    table = graph.constant(flat, shape=(len(tree.leaves), N_CHANNELS))
    user = [graph.column(k) for k in range(N_USER_FEATURES)]
    hour = graph.local_hour() if tree.reads_hour else graph.number(0.0)
    worth = [graph.number(0.0)]
    for slot in range(graph.n_slots):
        first = N_USER_FEATURES + N_SLOT_FEATURES * slot
        leaf = graph.add(
            "TreeEnsembleRegressor",
            graph.joined([*user, *(graph.column(first + k) for k in range(N_SLOT_FEATURES)), hour]),
            domain="ai.onnx.ml",
            n_targets=1,
            nodes_values_as_tensor=thresholds,
            target_weights_as_tensor=numbers,
            **tree.attributes,
        )
        which = graph.add("Cast", leaf, to=kinds.INT64)
        flat_which = graph.add("Reshape", which, graph.constant([-1], "INT64"))
        worth.append(graph.add("Gather", table, flat_which, axis=0))
    return graph.joined(worth)


def network_wishes(graph: Graph, model: Network) -> Name:
    """Return the outputs of a network."""
    columns = [graph.column(graph.known[entry.feature].index) for entry in model.inputs]
    return _through(graph, model.layers, _standardised(graph, columns, model.inputs))


def _standardised(graph: Graph, columns: Sequence[Name], entries: Sequence[NetworkInput]) -> Name:
    h = graph.add("Sub", graph.joined(columns), graph.row([entry.mean for entry in entries]))
    h = graph.add("Div", h, graph.row([entry.scale for entry in entries]))
    bounds = [math.inf if entry.clip is None else entry.clip for entry in entries]
    h = graph.add("Max", h, graph.row([-bound for bound in bounds]))
    return graph.add("Min", h, graph.row(bounds))


def _through(graph: Graph, layers: Sequence[Layer], h: Name) -> Name:
    for layer in layers:
        n_out, n_in = len(layer.weights), len(layer.weights[0])
        turned = [layer.weights[k][j] for j in range(n_in) for k in range(n_out)]
        h = graph.add("MatMul", h, graph.constant(turned, shape=(n_in, n_out)))
        h = graph.add("Add", h, graph.row(layer.bias))
        if layer.activation != "identity":
            h = graph.add({"tanh": "Tanh", "relu": "Relu"}[layer.activation], h)
    return h


def posterior_wishes(graph: Graph, model: Posterior) -> Name:
    """Return the means, and the bonus for what may be learned."""

    def hidden(slot: int | None) -> Name:
        columns = [
            graph.number(entry.mean)
            if (found := graph.known[entry.feature]).is_per_slot and slot is None
            else graph.feature(found, slot or 0)
            for entry in model.inputs
        ]
        return _through(graph, model.layers, _standardised(graph, columns, model.inputs))

    def score(name: str, x: Name) -> Name:
        head = model.heads[name]
        if isinstance(head, Known):
            return graph.number(head.value)
        n = len(head.mean)
        mean = graph.add("MatMul", x, graph.constant(list(head.mean[1:]), shape=(n - 1, 1)))
        mean = graph.add("Add", mean, graph.number(head.mean[0]))
        if not model.optimism:
            return mean
        turned = [head.factor[j][k] if k <= j else 0.0 for j in range(1, n) for k in range(n)]
        spread = graph.add("MatMul", x, graph.constant(turned, shape=(n - 1, n)))
        spread = graph.add("Add", spread, graph.row([head.factor[0][0], *([0.0] * (n - 1))]))
        sd = graph.add("ReduceL2", spread, graph.constant([1], "INT64"), keepdims=1)
        return graph.add("Add", mean, graph.add("Mul", sd, graph.number(model.optimism)))

    scores = [score(NO_SEND, hidden(None))]
    for slot in range(graph.n_slots):
        x = hidden(slot)
        scores += [score(channel, x) for channel in CHANNELS_OF_A_SLOT]
    return graph.joined(scores)


def rules_wishes(graph: Graph, model: Rules) -> Name:
    """Return 1 for the action that the first rule takes that takes one, and 0 for the others."""
    taken = graph.constant(0, "INT64", (1, 1))
    for rule in reversed((*model.rules, Rule("the default", (), model.default))):
        is_taken, action = _taken_by(graph, rule)
        taken = graph.add("Where", is_taken, action, taken)
    places = graph.constant(list(range(len(graph.names))), "INT64", (1, len(graph.names)))
    return graph.add("Cast", graph.add("Equal", taken, places), to=graph.onnx.TensorProto.DOUBLE)


def _taken_by(graph: Graph, rule: Rule) -> tuple[Name, Name]:
    """Return whether a rule takes an action, and which."""
    on_user = [c for c in rule.when if not graph.known[c.feature].is_per_slot]
    on_slot = [c for c in rule.when if graph.known[c.feature].is_per_slot]
    holds = [_holds(graph, graph.known[c.feature], c.operator, c.value, 0) for c in on_user]
    silence = graph.constant(0, "INT64", (1, 1))
    if rule.then == NO_SEND and not on_slot:
        always = graph.constant(True, "BOOL", (1, 1))
        return (graph.all_of(holds) if holds else always), silence
    channels: Sequence[str] = rule.then.channels if isinstance(rule.then, Send) else CHANNELS_OF_A_SLOT
    fits, actions = [], []
    for slot in range(graph.n_slots):
        numbers = [1 + N_CHANNELS * slot + CHANNELS_OF_A_SLOT.index(channel) for channel in channels]
        ways = [graph.eligible(number) for number in numbers]
        own = [_holds(graph, graph.known[c.feature], c.operator, c.value, slot) for c in on_slot]
        fits.append(graph.all_of([*holds, *own, graph.any_of(ways)]))
        action = graph.constant(numbers[-1], "INT64", (1, 1))
        for way, number in reversed([*zip(ways, numbers, strict=True)]):
            action = graph.add("Where", way, graph.constant(number, "INT64", (1, 1)), action)
        actions.append(action)
    if rule.then == NO_SEND:
        return graph.any_of(fits), silence
    assert isinstance(rule.then, Send)
    if rule.then.by is not None:
        fits = _best(graph, rule.then, fits)
    action = actions[-1]
    for fit, other in reversed([*zip(fits, actions, strict=True)]):
        action = graph.add("Where", fit, other, action)
    return graph.any_of(fits), action


def _best(graph: Graph, send: Send, fits: Sequence[Name]) -> list[Name]:
    """Return which of the fitting candidates has the most, or the least, of a feature; the first of equals."""
    assert send.by is not None
    sign, nothing = graph.number(-1.0 if send.slot == "lowest" else 1.0), graph.number(-math.inf)
    values = [graph.add("Mul", graph.feature(graph.known[send.by], slot), sign) for slot in range(len(fits))]
    scores = [graph.add("Where", fit, value, nothing) for fit, value in zip(fits, values, strict=True)]
    best = graph.add("ArgMax", graph.joined(scores), axis=1, keepdims=1)
    return [
        graph.add("And", fit, graph.add("Equal", best, graph.constant(slot, "INT64", (1, 1))))
        for slot, fit in enumerate(fits)
    ]


def _holds(graph: Graph, entry: Input, operator: str, value: float | tuple[float, ...], slot: int) -> Name:
    seen = graph.feature(entry, slot)
    within = []
    for low, high in interval(entry, operator, value):
        bounds = []
        if low > -math.inf:
            bounds.append(graph.add("GreaterOrEqual", seen, graph.number(low)))
        if high < math.inf:
            bounds.append(graph.add("LessOrEqual", seen, graph.number(high)))
        within.append(graph.all_of(bounds))
    found = graph.any_of(within)
    return graph.add("Not", found) if operator == "!=" else found


class _FlatTree(NamedTuple):
    """A tree as TreeEnsembleRegressor takes it.

    Attributes:
        attributes: of the operator, a list each; a candidate's features stand behind the user's, the hour last.
        thresholds: of each node, 0 of leaves.
        leaves: the values of each on push and e-mail.
        reads_hour: whether any node does.
    """

    attributes: dict[str, list[Any]]
    thresholds: list[float]
    leaves: list[tuple[float, ...]]
    reads_hour: bool


def _flat(root: Split | Leaf, known: dict[str, Input]) -> _FlatTree:
    features: list[int] = []
    below: list[int] = []
    otherwise: list[int] = []
    modes: list[str] = []
    thresholds: list[float] = []
    leaves: list[tuple[float, ...]] = []
    at_leaf: list[int] = []
    hour = N_USER_FEATURES + N_SLOT_FEATURES

    def visit(node: Split | Leaf) -> int:
        here = len(modes)
        modes.append("LEAF" if isinstance(node, Leaf) else "BRANCH_LT")
        for column in (features, below, otherwise):
            column.append(0)
        thresholds.append(0.0)
        if isinstance(node, Leaf):
            at_leaf.append(here)
            leaves.append(tuple(node.values[channel] for channel in CHANNELS_OF_A_SLOT))
            return here
        entry = known[node.feature]
        features[here] = hour if entry.feature is LOCAL_HOUR else entry.index
        thresholds[here] = edges(entry, (node.threshold,))[0]
        below[here], otherwise[here] = visit(node.below), visit(node.otherwise)
        return here

    visit(root)
    n = len(leaves)
    attributes: dict[str, list[Any]] = {
        "nodes_treeids": [0] * len(modes),
        "nodes_nodeids": list(range(len(modes))),
        "nodes_featureids": features,
        "nodes_modes": modes,
        "nodes_truenodeids": below,
        "nodes_falsenodeids": otherwise,
        "target_treeids": [0] * n,
        "target_nodeids": at_leaf,
        "target_ids": [0] * n,
    }
    return _FlatTree(attributes, thresholds, leaves, hour in features)
