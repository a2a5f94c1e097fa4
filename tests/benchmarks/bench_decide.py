"""One decision of a policy document in Python alone, and making a document ready."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from functools import partial
from operator import mul

from policies.codec import write
from policies.decide import Policy, load
from policies.document import Document, Leaf, Network, Split, Tree
from tests.benchmarks import Row
from tests.policies.documents import ALL, RULES, SCORECARD, network, observation, random_observation

BUDGET_US = 20.0
DEPTH = 6
ASKED = (
    ("slot.relevance", 0.5),
    ("hours_since_send", 24.0),
    ("send_load", 2.0),
    ("slot.margin_eur", 1.0),
    ("local_hour", 12.0),
    ("pushes_7d", 3.0),
)


def microseconds(work: Callable[[], object], n: int, repeats: int = 7) -> float:
    """Time of one call: the best of some rounds of n calls."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(n):
            work()
        best = min(best, (time.perf_counter() - start) / n)
    return best * 1e6


def grown(depth: int) -> Split | Leaf:
    """Return a full tree, of two features of the candidate and four of the user, whose leaves all send."""
    if not depth:
        return Leaf({"push": 1.0, "email": 0.5})
    return Split(*ASKED[depth - 1], grown(depth - 1), grown(depth - 1))


def run(quick: bool) -> list[Row]:
    """Return the figures of deciding."""
    n = 200 if quick else 2_000
    evening = observation(19.0, hours_since_send=30.0, slot1_relevance=1.0, slot2_relevance=2.0)
    rows = []
    deep = Policy(Document("six deep", 4, Tree(grown(DEPTH))))
    for policy, action in ((Policy(RULES), 3), (Policy(SCORECARD), None), (deep, None)):
        decision = policy.decide(evening, ALL, 0.999)
        assert decision.reasons
        assert action is None or decision.action == action
        for explain, words in ((True, "with reasons"), (False, "without")):
            took = microseconds(partial(policy.decide, evening, ALL, 0.5, explain=explain), n)
            name = f"{policy.document.model.kind}, one decision"
            rows.append(Row(name, "us", took, "budget", BUDGET_US, BUDGET_US / took, 1.0, f"9 actions, {words}"))
    document = network((64, 64))
    assert isinstance(document.model, Network)
    layers = [(layer.weights, layer.bias) for layer in document.model.layers]
    values = random_observation(random.Random(1))

    def bare() -> list[float]:
        x = values
        for weights, bias in layers:
            x = [math.tanh(sum(map(mul, row, x), start)) for row, start in zip(weights, bias, strict=True)]
        return x

    policy = Policy(document)
    assert math.isclose(sum(policy.probabilities(values, ALL)), 1.0)
    reference = microseconds(bare, n // 20)
    took = microseconds(lambda: policy.decide(values, ALL, 0.5), n // 20)
    note = "57-64-64-9, with reasons"
    rows.append(
        Row("network, one decision", "us", took, "bare chain in Python", reference, reference / took, None, note)
    )
    text = write(document)
    ready = microseconds(lambda: load(text), 1, 3) / 1e3
    rows.append(Row("network, made ready", "ms", ready, note=f"{len(text) / 1e3:,.0f} kB, checked and hashed"))
    return rows
