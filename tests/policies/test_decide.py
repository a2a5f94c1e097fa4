"""Deciding: probabilities, propensities and draws, against NumPy, and what no input may bring about."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.codec import DocumentError, content_hash, write
from policies.decide import DecideError, Policy, decide, load
from policies.document import (
    Binned,
    Document,
    Epsilon,
    Greedy,
    Layer,
    Network,
    NetworkInput,
    ParityVector,
    Rules,
    Scorecard,
    Send,
    Softmax,
    Thompson,
    Weighted,
)
from policies.exploration import draw, probabilities
from policies.inputs import decode, inputs
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, feature_names, n_actions, n_features
from tests.policies.documents import (
    ALL,
    BETA_ARMS,
    EXAMPLES,
    MIXTURE,
    POSTERIOR,
    RULES,
    SCORECARD,
    C,
    layer,
    network,
    observation,
    random_eligible,
    random_observation,
)

Floats = npt.NDArray[np.floating[Any]]
BELOW_1 = math.nextafter(1.0, 0.0)
explorations = st.one_of(
    st.just(Greedy()),
    st.builds(Epsilon, st.floats(1e-6, 1.0)),
    st.builds(Softmax, st.floats(1e-3, 1e3)),
)
Graded = Greedy | Epsilon | Softmax
preference_lists = st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(-math.inf)), min_size=1, max_size=20).map(
    lambda rest: [0.0, *rest]
)


# Probabilities and draws


@settings(max_examples=300, deadline=None)
@given(preference_lists, explorations)
def test_probabilities_sum_to_one_over_the_eligible(preferences: list[float], exploration: Graded) -> None:
    found = probabilities(preferences, exploration)
    assert abs(math.fsum(found) - 1.0) <= len(found) / 2 * 2.0**-52
    for preference, probability in zip(preferences, found, strict=True):
        assert 0.0 <= probability <= 1.0
        if preference == -math.inf:
            assert probability == 0.0


@settings(max_examples=300, deadline=None)
@given(preference_lists, explorations, st.floats(0.0, BELOW_1), st.floats(0.0, BELOW_1))
def test_a_draw_inverts_the_distribution_function(
    preferences: list[float], exploration: Graded, first: float, second: float
) -> None:
    found = probabilities(preferences, exploration)
    low, high = sorted((first, second))
    assert draw(found, low) <= draw(found, high)
    for uniform in (first, second, 0.0, BELOW_1):
        action = draw(found, uniform)
        assert found[action] > 0.0
        assert preferences[action] > -math.inf
        reached = np.cumsum(found)
        if uniform < reached[-1]:
            assert action == int(np.searchsorted(reached, uniform, side="right"))


def test_what_rounding_leaves_goes_to_the_last_action_with_a_share() -> None:
    tenths = (0.1,) * 10
    assert sum(tenths) < 1.0
    assert draw((*tenths, 0.0), BELOW_1) == 9


def test_the_borders_belong_to_the_action_above() -> None:
    shares = (0.25, 0.0, 0.5, 0.25)
    assert [draw(shares, u) for u in (0.0, math.nextafter(0.25, 0.0), 0.25, 0.5, 0.75, BELOW_1)] == [0, 0, 2, 2, 3, 3]


def test_greedy_ties_go_to_the_lowest_action() -> None:
    assert probabilities([0.0, 1.0, -math.inf, 1.0], Greedy()) == (0.0, 1.0, 0.0, 0.0)
    assert probabilities([0.0, 0.0], Greedy()) == (1.0, 0.0)


def test_epsilon_shares_evenly_among_the_eligible() -> None:
    found = probabilities([0.0, 2.0, -math.inf, 1.0], Epsilon(0.3))
    assert found == pytest.approx((0.1, 0.8, 0.0, 0.1), abs=1e-15)
    assert probabilities([0.0, -math.inf], Epsilon(0.3)) == (1.0, 0.0)
    assert probabilities([0.0, 5.0, 5.0], Epsilon(1.0)) == pytest.approx((1 / 3,) * 3, abs=1e-15)


@pytest.mark.parametrize("temperature", [1e-300, 1e-3, 1.0, 1e300])
def test_softmax_stands_any_temperature(temperature: float) -> None:
    found = probabilities([0.0, -1e4, 3.0, -math.inf], Softmax(temperature))
    assert math.fsum(found) == pytest.approx(1.0, abs=1e-15)
    if temperature == 1e-300:
        assert found == (0.0, 0.0, 1.0, 0.0)
    if temperature == 1e300:
        assert found == pytest.approx((1 / 3, 1 / 3, 1 / 3, 0.0), abs=1e-15)


# Networks against NumPy


def numpy_network(model: Network, values: Floats, dtype: type[np.floating[Any]]) -> Floats:
    """Logits of observations, shape (n, K) to (n, A), in matrices of another precision."""
    names = feature_names(C)
    columns = [names.index(entry.feature) for entry in model.inputs]
    mean, scale, clip = (
        np.array([getattr(e, field) if getattr(e, field) is not None else np.inf for e in model.inputs], dtype)
        for field in ("mean", "scale", "clip")
    )
    x = np.clip((values.astype(dtype)[:, columns] - mean) / scale, -clip, clip)
    for each in model.layers:
        x = x @ np.array(each.weights, dtype).T + np.array(each.bias, dtype)
        x = {"relu": np.maximum(x, 0), "tanh": np.tanh(x), "identity": x}[each.activation]
    return x


def softmax(logits: Floats, eligible: npt.NDArray[np.bool_], temperature: float) -> Floats:
    weights = np.where(eligible, np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature), 0.0)
    found: Floats = weights / weights.sum(axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("sizes", [(), (16,), (64, 64)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_a_network_is_what_numpy_computes(
    sizes: tuple[int, ...], dtype: type[np.floating[Any]], tolerance: float
) -> None:
    document = network(sizes)
    assert isinstance(document.model, Network)
    luck = random.Random(2)
    values = np.array([random_observation(luck) for _ in range(60)], np.float32).astype(np.float64)
    eligible = np.array([random_eligible(luck) for _ in range(60)])
    logits = numpy_network(document.model, values, dtype)
    expected = softmax(logits.astype(np.float64), eligible, 1.0)
    found = [Policy(document).probabilities(*row) for row in zip(values.tolist(), eligible.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=tolerance * max(1.0, float(np.abs(logits).max())), atol=0.0)
    greedy = Policy(replace(document, exploration=Greedy()))
    if dtype is np.float64:
        for value, allowed, logit in zip(values.tolist(), eligible.tolist(), logits, strict=True):
            assert greedy.decide(value, allowed, 0.5).action == int(np.where(allowed, logit, -np.inf).argmax())


# Scorecards against NumPy


def numpy_scorecard(model: Scorecard, values: Sequence[float]) -> Floats:
    """Scores of all actions, shape (A,), term by term over slots and channels at once."""
    x = np.asarray(values)
    of_slots = x[N_USER_FEATURES:].reshape(C, N_SLOT_FEATURES)
    scores = np.tile([model.base["push"], model.base["email"]], (C, 1)).astype(np.float64)
    for term in model.terms:
        entry = inputs(C)[term.feature]
        seen = of_slots[:, entry.index - N_USER_FEATURES] if entry.is_per_slot else np.full(C, x[entry.index])
        for channel, name in enumerate(("push", "email")):
            if isinstance(term, Weighted):
                scores[:, channel] += term.weight[name] * seen
            else:
                units = [decode(entry.feature, value) for value in seen]
                scores[:, channel] += np.array(term.points[name])[np.digitize(units, term.thresholds)]
    return np.concatenate(([model.threshold], scores.ravel()))


def random_scorecard(seed: int) -> Document:
    luck = random.Random(seed)
    both = lambda: {"push": luck.gauss(0, 1), "email": luck.gauss(0, 1)}  # noqa: E731
    points = {name: tuple(luck.gauss(0, 1) for _ in range(4)) for name in ("push", "email")}
    terms = [Weighted(name, both()) for name in luck.sample(feature_names(1)[:N_USER_FEATURES], 6)]
    terms += [Weighted(f"slot.{name}", both()) for name in ("relevance", "margin_eur", "kind")]
    binned = [
        Binned("hours_since_session", (2.0, 30.0, 500.0), points),
        Binned("slot.hours_to_expiry", (5.0, 6.0, 48.0), points),
    ]
    return Document("random", C, Scorecard(luck.gauss(0, 1), both(), (*terms, *binned)), Softmax(luck.uniform(0.1, 3)))


@pytest.mark.parametrize("seed", range(20))
def test_a_scorecard_is_what_numpy_computes(seed: int) -> None:
    document = random_scorecard(seed)
    assert isinstance(document.model, Scorecard)
    assert isinstance(document.exploration, Softmax)
    luck = random.Random(seed)
    for _ in range(10):
        values, eligible = random_observation(luck), random_eligible(luck)
        scores = numpy_scorecard(document.model, values)
        expected = softmax(scores[None], np.array([eligible]), document.exploration.temperature)[0]
        np.testing.assert_allclose(Policy(document).probabilities(values, eligible), expected, rtol=1e-12, atol=0.0)
        greedy = decide(replace(document, exploration=Greedy()), values, eligible, 0.5)
        assert greedy.action == int(np.where(eligible, scores, -np.inf).argmax())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.permutations(range(C)))
def test_permuting_the_slots_permutes_what_a_scorecard_prefers(seed: int, order: Sequence[int]) -> None:
    luck = random.Random(seed)
    policy = Policy(random_scorecard(seed))
    values, eligible = random_observation(luck), random_eligible(luck)
    moved_values = values[:N_USER_FEATURES] + [
        v for slot in order for v in values[N_USER_FEATURES + 7 * slot : N_USER_FEATURES + 7 * slot + 7]
    ]
    moved = [0, *(1 + 2 * slot + channel for slot in order for channel in (0, 1))]
    before = policy.probabilities(values, eligible)
    after = policy.probabilities(moved_values, [eligible[action] for action in moved])
    np.testing.assert_allclose(after, [before[action] for action in moved], rtol=1e-12, atol=0.0)


def test_what_only_equals_the_threshold_is_not_sent() -> None:
    even = Document("even", C, Scorecard(1.5, {"push": 1.5, "email": 1.0}, ()))
    assert decide(even, observation(), ALL, 0.0).action == 0
    assert decide(even, observation(), ALL, 0.0).reasons[0].endswith("which does not beat the threshold 1.5")
    above = replace(even, model=Scorecard(1.5, {"push": math.nextafter(1.5, 2), "email": 1.0}, ()))
    assert decide(above, observation(), ALL, 0.0).action == 1


# All kinds


ALL_KINDS = [
    replace(document, exploration=exploration)
    for document in EXAMPLES
    for exploration in (Greedy(), Epsilon(0.2), Softmax(0.7))
    if not (isinstance(document.model, Rules) and isinstance(exploration, Softmax))
] + [POSTERIOR, replace(POSTERIOR, exploration=Thompson(0.3)), BETA_ARMS, MIXTURE]


@pytest.mark.parametrize("document", ALL_KINDS, ids=lambda d: f"{d.name}, {d.exploration.kind}")
def test_every_kind_holds_its_promises(document: Document) -> None:
    luck = random.Random(5)
    policy = load(write(document))
    for _ in range(40):
        values, eligible, uniform = random_observation(luck), random_eligible(luck), luck.random()
        decision = policy.decide(values, eligible, uniform)
        assert eligible[decision.action]
        assert decision.propensity == decision.probabilities[decision.action] > 0.0
        assert math.fsum(decision.probabilities) == pytest.approx(1.0, abs=1e-15)
        assert all(p == 0.0 for p, is_eligible in zip(decision.probabilities, eligible, strict=True) if not is_eligible)
        assert decision.probabilities == policy.probabilities(values, eligible)
        assert decision.reasons or not any(eligible[1:])
        assert decision == policy.decide(tuple(values), [int(flag) for flag in eligible], uniform)
        assert decision == policy.decide(np.array(values), np.array(eligible), np.float64(uniform))
        assert decision == decide(document, values, eligible, uniform)
        assert policy.decide(values, eligible, uniform, explain=False) == decision._replace(reasons=())
        assert all(type(p) is float for p in decision.probabilities)
        silent = policy.decide(values, [True] + [False] * 8, uniform)
        assert silent[:3] == (0, 1.0, (1.0,) + (0.0,) * 8)
        assert silent.reasons == ("nothing but no_send is eligible",)


def test_float32_scalars_do_not_lower_the_precision_of_sums() -> None:
    luck = random.Random(1)
    policy = Policy(network((8,)))
    for _ in range(20):
        single = np.array(random_observation(luck), np.float32)
        mixed: list[Any] = list(single)
        mixed[3] = float(mixed[3])
        assert policy.probabilities(mixed, ALL) == policy.probabilities(single.tolist(), ALL)


def test_asking_does_not_change_what_is_asked() -> None:
    values, eligible = observation(19.0), list(ALL)
    before = (list(values), list(eligible))
    Policy(RULES).decide(values, eligible, 0.5)
    assert (values, eligible) == before


def test_many_documents_are_decided_by_each_their_own() -> None:
    documents = [Document(f"{k}", C, Rules((), Send(("push", "email")[k % 2 :]))) for k in range(40)]
    for _ in range(2):
        assert [decide(document, observation(), ALL, 0.0).action for document in documents] == [1, 2] * 20


def test_a_document_is_made_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    document = replace(RULES, name="once")
    decide(document, observation(), ALL, 0.0)
    monkeypatch.setattr("policies.decide.Policy", None)
    assert decide(document, observation(), ALL, 0.0).action == 2


def test_a_policy_knows_its_hash_and_its_inputs() -> None:
    policy = load(write(SCORECARD))
    assert policy.policy_hash == content_hash(SCORECARD)
    assert policy.inputs == ("send_load", "hours_since_send", "slot.relevance", "slot.click_rate")


# Reasons


def test_reasons_of_a_scorecard_are_its_largest_terms() -> None:
    values = observation(send_load=2.0, hours_since_send=30.0, slot1_relevance=2.0, slot1_click_rate=0.2)
    decision = decide(replace(SCORECARD, exploration=Greedy()), values, [1, 0, 0, 1, 0, 0, 0, 0, 0], 0.0)
    # base -1, load -0.3 * 2, hours +1, relevance +0.8 * 2, clicks +0.5
    assert decision.action == 3
    assert decision.reasons == (
        "slot1.push scores 1.5, which beats the threshold 0.25",
        "slot.relevance +1.6",
        "base.push -1",
        "hours_since_send +1",
    )


def test_reasons_say_when_something_else_was_preferred() -> None:
    values = observation()
    push = Document("push", C, Rules((), Send(("push",))), Epsilon(0.45))
    assert decide(push, values, ALL, 0.0).reasons == (
        "no_send was drawn with probability 0.05; slot0.push is preferred",
        "no rule applied: the default chose slot0.push",
    )
    assert decide(push, values, ALL, 0.3).reasons[0] == "slot0.push was drawn with probability 0.6"


def test_reasons_of_a_network_are_its_margin() -> None:
    bias = (0.0, 1.5, 9.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0)
    flat = Network((NetworkInput("tier"),), (Layer(((0.0,),) * 9, bias, "identity"),))
    decision = decide(Document("flat", C, flat), observation(), [1, 1, 0, 1, 0, 0, 0, 0, 0], 0.0)
    assert decision.reasons == ("slot0.push is preferred at 1.5, 1.25 ahead of slot1.push",)


# Parity vectors


def with_parity(document: Document, error: float = 0.0) -> Document:
    values = tuple(random_observation(random.Random(3)))
    found = list(Policy(document).probabilities(values, ALL))
    found[0] += error
    return replace(document, parity=(ParityVector(values, ALL, tuple(found)),) * 2)


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda d: d.name)
def test_parity_vectors_are_checked_when_a_document_is_made_ready(document: Document) -> None:
    is_loose = isinstance(document.model, Network) or isinstance(document.exploration, Thompson)
    tolerance = 1e-6 if is_loose else 1e-12
    load(write(with_parity(document, 0.5 * tolerance)))
    text = write(with_parity(document, 2.0 * tolerance))
    message = (
        rf"'{document.name}': 2 faults:\n  parity\[0\]: expected probability .* of no_send to within {tolerance:g}, got"
    )
    with pytest.raises(DocumentError, match=message):
        load(text)


# Bad questions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": [0.0] * 56}, "features: expected 57 numbers (29 + 7 * 4 slots), got 56"),
        ({"features": np.zeros((1, 57))}, "features: expected 57 numbers (29 + 7 * 4 slots), got 1"),
        ({"features": None}, "features: expected 57 numbers (29 + 7 * 4 slots), got null"),
        ({"features": "x" * 57}, "features: expected 57 numbers (29 + 7 * 4 slots), got"),
        ({3: math.nan}, "features[3] (season_index): expected a finite number, got nan"),
        ({3: -math.inf}, "features[3] (season_index): expected a finite number, got -inf"),
        ({30: "1"}, 'features[30] (slot0.relevance): expected a finite number, got "1"'),
        ({30: None}, "features[30] (slot0.relevance): expected a finite number, got null"),
        ({30: 10**400}, "features[30] (slot0.relevance): expected a finite number, got a whole number of more than"),
        ({30: 1j}, "features[30] (slot0.relevance): expected a finite number, got a complex"),
        ({"eligible": [True] * 8}, "eligible: expected 9 of true or false (1 + 2 * 4 slots), got 8"),
        ({"eligible": 1}, "eligible: expected 9 of true or false (1 + 2 * 4 slots), got 1"),
        ({"eligible": [True, 2] + [True] * 7}, "eligible[1] (slot0.push): expected true or false, got 2"),
        ({"eligible": [True, "no"] + [True] * 7}, 'eligible[1] (slot0.push): expected true or false, got "no"'),
        ({"eligible": [False] + [True] * 8}, "eligible[0] (no_send): expected true, silence is always eligible, got"),
        ({"uniform": 1.0}, "uniform: expected a number in [0, 1), got 1.0"),
        ({"uniform": -1e-9}, "uniform: expected a number in [0, 1), got -1e-09"),
        ({"uniform": math.nan}, "uniform: expected a number in [0, 1), got nan"),
        ({"uniform": "0.5"}, 'uniform: expected a number in [0, 1), got "0.5"'),
        ({"uniform": np.zeros(2)}, "uniform: expected a number in [0, 1), got a ndarray"),
    ],
)
def test_a_bad_question_is_told_what_was_expected(changes: dict[Any, Any], message: str) -> None:
    question: dict[str, Any] = {"features": observation(), "eligible": ALL, "uniform": 0.5}
    for name, value in changes.items():
        if isinstance(name, int):
            question["features"][name] = value
        else:
            question[name] = value
    with pytest.raises(DecideError, match=re.escape(f"policy 'evening push': {message}")):
        Policy(RULES).decide(**question)


def test_numbers_of_other_kinds_are_taken() -> None:
    values: list[Any] = observation()
    values[3], values[4] = 1, Fraction(1, 2)
    assert Policy(SCORECARD).decide(values, ALL, np.float32(0.25)).propensity > 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize("far", [1e308, -1e308])
def test_what_overflows_is_told_and_not_decided(far: float) -> None:
    steep = Document(
        "steep", C, Scorecard(0.0, {"push": far, "email": 0.0}, (Weighted("tier", {"push": far, "email": 0}),))
    )
    message = r"policy 'steep': preference of slot0\.push: expected a finite number from these features, got -?inf"
    with pytest.raises(DecideError, match=message):
        decide(steep, observation(tier=1.0), ALL, 0.5)


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_infinities_that_cancel_are_not_hidden_by_an_activation(activation: str) -> None:
    cancelling = Layer(((1e308, -1e308),) * 9, (0.0,) * 9, activation)
    model = Network((NetworkInput("tier"),), (Layer(((1e10,), (1e10,)), (0.0, 0.0), "relu"), cancelling))
    with pytest.raises(DecideError, match=r"policy 'nan': preference of no_send: expected a finite number .*, got nan"):
        decide(Document("nan", C, model), observation(tier=1.0), ALL, 0.5)


@pytest.mark.parametrize("n_slots", [1, 2, 20])
def test_any_number_of_slots(n_slots: int) -> None:
    luck = random.Random(n_slots)
    names = feature_names(n_slots)
    model = Network(
        tuple(NetworkInput(name) for name in names), (layer(luck, len(names), n_actions(n_slots), "identity"),)
    )
    for document in (
        replace(RULES, n_slots=n_slots),
        replace(SCORECARD, n_slots=n_slots),
        Document("n", n_slots, model),
    ):
        policy = load(write(document))
        values, eligible = random_observation(luck, n_slots), random_eligible(luck, n_slots)
        assert len(values) == n_features(n_slots)
        assert len(policy.decide(values, eligible, 0.5).probabilities) == n_actions(n_slots)
