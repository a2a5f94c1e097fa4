"""One decision of a policy document in Python alone, and making a document ready."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
import time
from collections.abc import Callable
from functools import partial
from operator import mul

import numpy as np
import numpy.typing as npt

from policies.batch import BatchPolicy
from policies.codec import write
from policies.decide import Policy, load
from policies.document import Document, Layer, Leaf, Network, NetworkInput, Split, Tree
from policies.limits import Cap, Constraints, QuietHours
from policies.runtime import App, Campaign, Runtime, User
from policies.runtime.fitted import View
from policies.vocabulary import feature_names, n_actions, n_features
from tests.benchmarks import Row
from tests.policies.documents import ALL, RULES, SCORECARD, network, observation, random_observation

Floats = npt.NDArray[np.float64]
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
    rows += [limited(deep, n), from_history(deep, n)]
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
    rows.append(many(100_000 if quick else 1_000_000))
    return rows


LIMITS = Constraints(
    (
        Cap("pushes a day", 4, "day", channels=("push",)),
        Cap("pushes a week", 20, hours=168, channels=("push",)),
        Cap("e-mails a week", 3, "week", channels=("email",)),
    ),
    gap_hours=1,
    quiet=QuietHours(),
)
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def met(policy: Policy) -> tuple[Runtime, User, dt.datetime]:
    """Return an app of four campaigns on both channels, and a user of it with 24 sends and sessions behind them."""
    campaigns = tuple(Campaign(name=f"campaign {k}", channels=("push", "email"), category=k) for k in range(4))
    runtime = Runtime(policy, App(campaigns=campaigns, constraints=LIMITS))
    user = runtime.new_user(NOON, permitted=("push", "email"))
    began_ms = round(NOON.timestamp() * 1e3)
    for k in range(24):
        user.was_sent(runtime.catalogue.in_order[0], 0, began_ms + k * 32_400_000)
        user.had_session(began_ms + k * 32_400_000 + 7_200_000)
    return runtime, user, NOON + dt.timedelta(hours=220)


def limited(policy: Policy, n: int) -> Row:
    """Return what a decision costs whose features are at hand: which actions the limits leave, choice, reasons."""
    runtime, user, now = met(policy)
    fitted = runtime.fitted
    moment = runtime.catalogue.moment(user.zone, round(now.timestamp() * 1e3))
    view = fitted.look(user, moment, None)
    assert all(view.eligible)

    def decided() -> object:
        offers, suppressed = fitted.candidates(user, moment, None)
        reasons, own = fitted.eligible(user, moment, offers)
        answer = View(offers, suppressed, reasons, own, view.features)
        return policy.decide(view.features, answer.eligible, 0.5), fitted.told(answer)

    took = microseconds(decided, n)
    note = "9 actions, three caps, a gap, quiet hours, with reasons; features at hand"
    return Row("tree with limits, one decision", "us", took, "budget", BUDGET_US, BUDGET_US / took, 1.0, note)


def from_history(policy: Policy, n: int) -> Row:
    """Return what it costs to look at a user and decide: limits, all 57 features from the history, choice, reasons."""
    runtime, user, now = met(policy)
    moment = runtime.catalogue.moment(user.zone, round(now.timestamp() * 1e3))

    def decided() -> object:
        view = runtime.fitted.look(user, moment, None)
        return policy.decide(view.features, view.eligible, 0.5), runtime.fitted.told(view)

    took = microseconds(decided, n)
    return Row("tree with limits, from a history", "us", took, note="the same, and 57 features from the user's history")


def many(n: int) -> Row:
    """Return how fast a network of 24-64-64-9 answers for n users, beside the bare chain of products and tanh."""
    luck = np.random.default_rng(2)
    widths = (24, 64, 64, n_actions(4))
    layers = [
        (luck.normal(size=(n_out, n_in)) / math.sqrt(n_in), luck.normal(size=n_out) * 0.1)
        for n_in, n_out in itertools.pairwise(widths)
    ]
    activations = ("tanh", "tanh", "identity")
    read = tuple(NetworkInput(name) for name in feature_names(4)[: widths[0]])
    model = Network(
        read,
        tuple(
            Layer(tuple(map(tuple, weights.tolist())), tuple(bias.tolist()), activation)
            for (weights, bias), activation in zip(layers, activations, strict=True)
        ),
    )
    policy = BatchPolicy(Document("a million", 4, model))
    observations = luck.normal(size=(n, n_features(4)))
    masks = np.ones((n, n_actions(4)), np.bool_)
    uniforms = np.full(n, 0.5)

    def bare() -> Floats:
        h = observations[:, : widths[0]]
        for (weights, bias), activation in zip(layers, activations, strict=True):
            h = h @ weights.T + bias
            h = np.tanh(h) if activation == "tanh" else h
        return h

    ours = partial(policy.decide, observations, masks, uniforms)
    asked, reference = (min(timed(work) for _ in range(3)) for work in (ours, bare))
    assert (policy.decide(observations[:99], masks[:99], uniforms[:99]).actions == bare()[:99].argmax(axis=1)).all()
    note = f"24-64-64-9, {n:,} users, checked, masked and chosen"
    ratio = reference / asked
    return Row("network, many users", "1/s", n / asked, "bare NumPy, float64", n / reference, ratio, 0.9, note)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
