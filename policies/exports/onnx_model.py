"""A model in ONNX that decides as a document does, for other languages and runtimes; extra `onnx`.

    data = onnx_model(document)      # bytes: inputs observations (N, 29 + 7 C) float32 and eligible (N, A) bool,
                                     # output probabilities (N, A) double

Observations are taken to double first, so that what is reckoned is what `policies.decide` reckons from the same float32
numbers: comparisons alike, sums in another order. Trees are
`TreeEnsembleRegressor`, with thresholds in double.
Thompson sampling needs a quadrature, for which ONNX has no words.
"""

from __future__ import annotations

import math
from functools import reduce

from policies.codec import check
from policies.document import (
    Arms,
    BetaArms,
    Document,
    Epsilon,
    Exploration,
    Greedy,
    Mixture,
    Model,
    Network,
    Posterior,
    Rules,
    Scorecard,
    Softmax,
    Thompson,
    Tree,
    parts_of,
)
from policies.exports.onnx_graph import Graph, Name
from policies.exports.onnx_kinds import (
    arms_wishes,
    network_wishes,
    posterior_wishes,
    rules_wishes,
    scorecard_wishes,
    tree_wishes,
)
from policies.exports.refusal import no_form

INSTEAD = "distil it (kairos export --as tree), or decide in Python, where thompson is integrated"


def onnx_model(document: Document) -> bytes:
    """Return the model's bytes.

    Raises:
        DocumentError: the document is not sound.
        ExportError: it explores by thompson, or has a fallback.
        ModuleNotFoundError: onnx is not installed.
    """
    checked = check(document)
    explorations = (checked.exploration, *(part.exploration for part in parts_of(checked.model)))
    if any(isinstance(way, Thompson) for way in explorations):
        raise no_form(checked, "ONNX", "exploration thompson", INSTEAD)
    if checked.fallback is not None:
        raise no_form(checked, "ONNX", "a fallback", "decide in Python, or write the document without")
    graph = Graph(checked.n_slots)
    probabilities = _decided(graph, checked.model, checked.exploration)
    return graph.model(probabilities, checked)


def _decided(graph: Graph, model: Model, exploration: Exploration) -> Name:
    """Return probabilities, (N, A)."""
    if parts := parts_of(model):
        weighed = [
            graph.add("Mul", _decided(graph, part.model, part.exploration), graph.number(part.weight)) for part in parts
        ]
        return reduce(lambda one, other: graph.add("Add", one, other), weighed)
    wished = graph.add("Where", "eligible", _wished(graph, model), graph.number(-math.inf))
    match exploration:
        case Softmax(temperature):
            # Greater first, or the difference of two infinities would be none.
            most = graph.add("ReduceMax", wished, graph.constant([1], "INT64"), keepdims=1)
            scaled = graph.add("Div", graph.add("Sub", wished, most), graph.number(temperature))
            odds = graph.add("Exp", scaled)
            return graph.add("Div", odds, graph.add("ReduceSum", odds, graph.constant([1], "INT64"), keepdims=1))
        case Greedy():
            return _chosen(graph, wished, graph.number(1.0), graph.number(0.0))
        case Epsilon(epsilon):
            counted = graph.add("Cast", "eligible", to=graph.onnx.TensorProto.DOUBLE)
            n = graph.add("ReduceSum", counted, graph.constant([1], "INT64"), keepdims=1)
            share = graph.add("Div", graph.number(epsilon), n)
            others = graph.add("Mul", graph.add("Sub", n, graph.number(1.0)), share)
            rest = graph.add("Where", "eligible", share, graph.number(0.0))
            return _chosen(graph, wished, graph.add("Sub", graph.number(1.0), others), rest)
    raise AssertionError("thompson was refused before")


def _chosen(graph: Graph, wished: Name, share: Name, rest: Name) -> Name:
    """Return a share for the most wished action, the first of equals, and the rest for the others."""
    best = graph.add("ArgMax", wished, axis=1, keepdims=1)
    places = graph.constant(list(range(len(graph.names))), "INT64", (1, len(graph.names)))
    return graph.add("Where", graph.add("Equal", best, places), share, rest)


def _wished(graph: Graph, model: Model) -> Name:
    """Return what is wished, (N, A), whatever is eligible."""
    match model:
        case Rules():
            return rules_wishes(graph, model)
        case Scorecard():
            return scorecard_wishes(graph, model)
        case Tree():
            return tree_wishes(graph, model)
        case Network():
            return network_wishes(graph, model)
        case Posterior():
            return posterior_wishes(graph, model)
        case Arms():
            return arms_wishes(graph, model)
        case BetaArms():
            return graph.row([a / (a + b) for a, b in zip(model.successes, model.failures, strict=True)])
        case Mixture():
            raise AssertionError("a mixture is decided part by part")
