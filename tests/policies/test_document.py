"""What documents can say, and what their inputs mean."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.decide import Policy
from policies.document import NO_SEND, Binned, Condition, Document, Rule, Rules, Scorecard, Send
from policies.inputs import decode, encode, inputs, local_hour
from policies.vocabulary import CHANNELS_OF_A_SLOT, features
from tests.policies.documents import ALL, RULES, C, observation, random_eligible, random_observation

PUSH0, EMAIL0, PUSH1, EMAIL1, PUSH2 = 1, 2, 3, 4, 5
Then = Send | Literal["no_send"]


def policy(*rules: Rule, default: Then = NO_SEND) -> Policy:
    return Policy(Document("test", C, Rules(rules, default)))


def action(policy: Policy, features: list[float], eligible: object = ALL) -> int:
    return policy.decide(features, eligible, 0.5).action  # type: ignore[arg-type]


# What rules must be able to say


def test_never_and_always() -> None:
    always = policy(default=Send(("push", "email")))
    assert action(policy(), observation()) == 0
    assert action(always, observation()) == PUSH0
    assert action(always, observation(), [1, 0, 0, 0, 1, 0, 0, 0, 0]) == EMAIL1
    assert action(always, observation(), [1, 0, 0, 0, 0, 0, 0, 0, 0]) == 0


@pytest.mark.parametrize("hour", range(24))
def test_a_fixed_hour(hour: int) -> None:
    at_nine = policy(Rule("nine", (Condition("local_hour", "==", 9.0),), Send(("push",))))
    assert action(at_nine, observation(hour)) == (PUSH0 if hour == 9 else 0)


@pytest.mark.parametrize(("pushes", "sends"), [(0, True), (2, True), (3, False), (9, False)])
def test_a_frequency_cap(pushes: int, sends: bool) -> None:
    capped = policy(Rule("cap", (Condition("pushes_7d", ">=", 3.0),), NO_SEND), default=Send(("push",)))
    assert action(capped, observation(pushes_7d=pushes)) == (PUSH0 if sends else 0)


def test_priority_by_order_of_rules() -> None:
    """Transactional first, whatever its margin; else the highest margin."""
    rules = policy(
        Rule("transactional", (Condition("slot.kind", "==", 1.0),), Send(("push", "email"))),
        default=Send(("push", "email"), "highest", "slot.margin_eur"),
    )
    rich = {"slot0_margin_eur": 5.0, "slot2_margin_eur": 9.0}
    assert action(rules, observation(**rich)) == PUSH2
    assert action(rules, observation(slot1_kind=1.0, **rich)) == PUSH1
    assert action(rules, observation(slot1_kind=1.0, **rich), [1, 1, 1, 0, 1, 1, 1, 1, 1]) == EMAIL1
    assert action(rules, observation(slot1_kind=1.0, **rich), [1, 1, 1, 0, 0, 1, 1, 1, 1]) == PUSH2


def test_the_best_hour_by_a_table() -> None:
    table = {0.0: (8.0, 20.0), 1.0: (12.0,)}
    rules = policy(
        *(
            Rule(f"{tier}", (Condition("tier", "==", tier), Condition("local_hour", "in", hours)), Send(("push",)))
            for tier, hours in table.items()
        )
    )
    for tier, hours in table.items():
        assert [h for h in range(24) if action(rules, observation(h, tier=tier)) == PUSH0] == list(hours)


def test_slot_conditions_hold_for_one_and_the_same_candidate() -> None:
    both = policy(
        Rule("both", (Condition("slot.relevance", ">", 1.0), Condition("slot.margin_eur", ">", 1.0)), Send(("push",)))
    )
    assert action(both, observation(slot0_relevance=2.0, slot1_margin_eur=2.0)) == 0
    assert action(both, observation(slot1_relevance=2.0, slot1_margin_eur=2.0)) == PUSH1


def test_a_slot_condition_before_no_send_asks_for_an_eligible_candidate() -> None:
    rules = policy(Rule("wait", (Condition("slot.kind", "==", 0.5),), NO_SEND), default=Send(("email",)))
    assert action(rules, observation(slot1_kind=0.5)) == 0
    assert action(rules, observation(slot1_kind=0.5), [1, 1, 1, 0, 0, 1, 1, 1, 1]) == EMAIL0


def test_a_named_slot_is_that_slot() -> None:
    rules = policy(Rule("first is dear", (Condition("slot1.margin_eur", ">", 2.0),), NO_SEND), default=Send(("push",)))
    assert action(rules, observation(slot0_margin_eur=5.0)) == PUSH0
    assert action(rules, observation(slot1_margin_eur=5.0)) == 0


@pytest.mark.parametrize(("choice", "chosen"), [("highest", PUSH1), ("lowest", PUSH0)])
def test_ties_go_to_the_lowest_slot(choice: str, chosen: int) -> None:
    rules = policy(default=Send(("push",), choice, "slot.relevance"))
    assert action(rules, observation(slot1_relevance=1.0, slot3_relevance=1.0)) == chosen


def test_reasons_of_rules() -> None:
    evening = observation(19.0, hours_since_send=30.0, slot1_relevance=1.0)
    of = Policy(RULES)
    assert of.decide(evening, ALL, 0.0).reasons == ("rule 'evening' chose slot1.push",)
    assert of.decide(observation(3.0), ALL, 0.0).reasons == ("no rule applied: the default chose no_send",)
    assert of.decide(observation(12.0), [1, 1, 0, 0, 0, 0, 0, 0, 0], 0.0).reasons == (
        "no rule applied: the default chose no_send",
        "rule 'mail at noon' applied, but nothing that it may send is eligible",
    )
    assert of.decide(evening, [1] + [0] * 8, 0.0).reasons == ("nothing but no_send is eligible",)


# Against an evaluator of another shape: every candidate action is graded, the best grade wins

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def oracle(model: Rules, values: list[float], eligible: list[bool]) -> int:
    def value_of(name: str, slot: int) -> float:
        if name == "local_hour":
            return math.floor((math.atan2(values[0], values[1]) * 12 / math.pi) % 24)
        entry = inputs(C)[name.replace("slot.", f"slot{slot}.")]
        return decode(entry.feature, values[entry.index])

    def holds(condition: Condition, slot: int) -> bool:
        value = value_of(condition.feature, slot)
        if condition.operator == "between":
            return condition.value[0] <= value < condition.value[1]  # type: ignore[index]
        if condition.operator == "in":
            return value in condition.value  # type: ignore[operator]
        return COMPARE[condition.operator](value, condition.value)  # type: ignore[arg-type]

    for rule in (*model.rules, Rule("default", (), model.default)):
        on_slot = any(c.feature.startswith("slot.") for c in rule.when)
        send = rule.then if isinstance(rule.then, Send) else None
        sign = 0.0 if send is None else {"first": 0.0, "highest": -1.0, "lowest": 1.0}[send.slot]
        graded = []
        for slot in range(C):
            for rank, channel in enumerate(send.channels if send else CHANNELS_OF_A_SLOT):
                candidate = 1 + 2 * slot + CHANNELS_OF_A_SLOT.index(channel)
                if eligible[candidate] and all(holds(c, slot) for c in rule.when):
                    grade = sign * value_of(send.by, slot) if send and send.by else 0.0
                    graded.append((grade, slot, rank, candidate))
        if send is None:
            if graded or (not on_slot and all(holds(c, 0) for c in rule.when)):
                return 0
        elif graded:
            return min(graded)[3]
    return 0


NAMES = ("pushes_7d", "hours_since_send", "tier", "local_hour", "slot.relevance", "slot.click_rate", "slot2.margin_eur")


@st.composite
def rule_lists(draw: st.DrawFn) -> Rules:
    def within(name: str) -> float:
        feature = inputs(C)[name].feature
        return decode(feature, draw(st.floats(feature.low + 0.01, feature.high - 0.01)))

    def condition() -> Condition:
        name = draw(st.sampled_from(NAMES))
        op = draw(st.sampled_from((*COMPARE, "between")))
        if op != "between":
            return Condition(name, op, within(name))
        low, high = sorted((within(name), within(name)))
        return Condition(name, op, (low, high)) if low < high else Condition(name, ">=", low)

    def then() -> Then:
        if draw(st.booleans()):
            return NO_SEND
        channels = draw(st.sampled_from((("push",), ("email",), ("push", "email"), ("email", "push"))))
        slot = draw(st.sampled_from(("first", "highest", "lowest")))
        return Send(channels, slot, None if slot == "first" else "slot.margin_eur")

    n_rules = draw(st.integers(0, 4))
    rules = tuple(
        Rule(f"rule {k}", tuple(condition() for _ in range(draw(st.integers(0, 3)))), then()) for k in range(n_rules)
    )
    return Rules(rules, then())


@settings(max_examples=150, deadline=None)
@given(rule_lists(), st.integers(0, 2**32))
def test_rules_decide_as_their_definition_says(model: Rules, seed: int) -> None:
    luck = random.Random(seed)
    ready = Policy(Document("random", C, model))
    for _ in range(5):
        values, eligible = random_observation(luck), random_eligible(luck)
        assert action(ready, values, eligible) == oracle(model, values, eligible)


# Inputs


@pytest.mark.parametrize("quarter", range(96))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_local_hour_comes_back_from_sine_and_cosine(quarter: int, dtype: type[np.floating]) -> None:
    angle = quarter / 4 * math.pi / 12
    values = [float(dtype(math.sin(angle))), float(dtype(math.cos(angle)))] + [0.0] * 55
    assert local_hour(values) == quarter // 4


@pytest.mark.parametrize("feature", {f.name: f for f in features(1)}.values(), ids=lambda f: f.name)
def test_decoding_undoes_encoding(feature: object) -> None:
    for share in (0.0, 0.3, 0.7, 1.0):
        encoded = feature.low + share * (feature.high - feature.low)  # type: ignore[attr-defined]
        again = encode(feature, decode(feature, encoded))  # type: ignore[arg-type]
        assert again == pytest.approx(encoded, rel=1e-12, abs=1e-12)


def test_float32_and_float64_callers_meet_a_threshold_alike() -> None:
    """Every whole number of hours of a year as a threshold, met exactly: >= holds and > does not, at both widths."""
    for hours in (*range(1, 200), *range(200, 8_000, 61)):
        reached = policy(Rule("reached", (Condition("hours_since_send", ">=", float(hours)),), Send(("push",))))
        passed = policy(Rule("passed", (Condition("hours_since_send", ">", float(hours)),), Send(("push",))))
        exact = observation(hours_since_send=hours)
        for values in (exact, np.asarray(exact, np.float32).tolist()):
            assert (action(reached, values), action(passed, values)) == (PUSH0, 0)
        before = observation(hours_since_send=hours - 0.5)
        assert action(reached, before) == 0


def test_float32_and_float64_callers_fall_into_the_same_bin() -> None:
    for hours in range(1, 1_000, 7):
        bounds = (float(hours), float(hours + 3))
        spell = policy(Rule("from, to", (Condition("hours_since_send", "between", bounds),), Send(("push",))))
        points = {"push": (-1.0, 1.0, -1.0), "email": (-2.0, -2.0, -2.0)}
        steps = Binned("hours_since_send", bounds, points)
        bins = Policy(Document("bins", C, Scorecard(0.0, {"push": 0.0, "email": 0.0}, (steps,))))
        for at, sends in ((hours - 0.5, 0), (hours, PUSH0), (hours + 2.5, PUSH0), (hours + 3, 0)):
            exact = observation(hours_since_send=at)
            for values in (exact, np.asarray(exact, np.float32).tolist()):
                assert action(spell, values) == action(bins, values) == sends


def test_inputs_are_those_that_the_model_reads() -> None:
    assert Policy(RULES).inputs == ("pushes_7d", "local_hour", "hours_since_send", "slot.relevance", "slot.margin_eur")


def test_a_document_does_not_change() -> None:
    with pytest.raises(AttributeError):
        RULES.name = "other"  # type: ignore[misc]
    assert replace(RULES, name="other") != RULES
