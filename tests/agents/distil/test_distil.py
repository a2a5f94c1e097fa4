"""Students do as their teachers; more fatigue never raises a value; rules do as their tree."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.distil.advantages import MOST_ODDS, advantages
from agents.distil.lessons import States, looked_at
from agents.distil.monotone import FATIGUE, boxes, made_monotone, merged, tires_into
from agents.distil.scorecards import ScorecardSettings, distilled_scorecard
from agents.distil.trees import TreeSettings, distilled_tree, rules_of
from policies.batch import BatchPolicy
from policies.codec import read, write
from policies.decide import Policy
from policies.document import (
    Binned,
    Document,
    Epsilon,
    Exploration,
    Greedy,
    Leaf,
    Mixture,
    Part,
    Rules,
    Scorecard,
    Softmax,
    Split,
    Tree,
)
from policies.inputs import encode, inputs
from policies.vocabulary import features, n_features
from tests.policies.documents import MIXTURE, RULES, SCORECARD
from tests.policies.random_documents import hard_observations, random_document

N = 3_000


def states(n_slots: int, seed: int, n: int = N) -> States:
    """States within the vocabulary's ranges, on no border."""
    rng = np.random.default_rng(seed)
    known = features(n_slots)
    low, high = np.array([f.low for f in known]), np.array([f.high for f in known])
    found = rng.uniform(low, high, (n, len(known)))
    angle = rng.uniform(0, 2 * np.pi, n)
    found[:, 0], found[:, 1] = np.sin(angle), np.cos(angle)
    masks = rng.random((n, 1 + 2 * n_slots)) < 0.7
    masks[:, 0] = True
    masks[:, 1] = True
    return States(found.astype(np.float32), masks)


def visits(n_slots: int) -> Callable[[Document, int], States]:
    return lambda _, place: states(n_slots, place)


def agreement(one: Document, other: Document, seen: States) -> float:
    found = [advantages(each, seen.observations, seen.masks).argmax(axis=1) for each in (one, other)]
    return float((found[0] == found[1]).mean())


TEACHER = Document(
    "teacher",
    2,
    Tree(
        Split(
            "hours_since_session",
            40.0,
            Split("slot.relevance", 0.5, Leaf({"push": -2.0, "email": -1.0}), Leaf({"push": 3.0, "email": 1.0})),
            Split("local_hour", 12.0, Leaf({"push": -1.0, "email": 2.0}), Leaf({"push": 1.0, "email": -1.0})),
        )
    ),
)


def test_a_tree_is_learned_again() -> None:
    student = distilled_tree(TEACHER, visits(2), TreeSettings(depth=3, leaves=8, rounds=2))
    assert agreement(TEACHER, student, states(2, 99)) > 0.985
    assert isinstance(student.model, Tree)
    asked = {split.feature for split in _splits(student.model.root)}
    assert {"hours_since_session", "slot.relevance", "local_hour"} <= asked
    assert student.trained_on["distilled_from"] == "teacher"
    again = distilled_tree(TEACHER, visits(2), TreeSettings(depth=3, leaves=8, rounds=2))
    assert again == student


def _splits(node: Split | Leaf) -> list[Split]:
    return [] if isinstance(node, Leaf) else [node, *_splits(node.below), *_splits(node.otherwise)]


def test_a_scorecard_in_a_tree() -> None:
    """More leaves, more agreement; and the student asks for nothing that a candidate's slot decides."""
    few, many = (
        distilled_tree(SCORECARD, visits(4), TreeSettings(depth=8, leaves=n, rounds=1, is_monotone=False))
        for n in (2, 60)
    )
    seen = states(4, 98)
    assert agreement(SCORECARD, few, seen) < agreement(SCORECARD, many, seen)
    assert agreement(SCORECARD, many, seen) > 0.7


def test_the_student_draws_as_its_teacher() -> None:
    cases = ((Greedy(), Greedy()), (Epsilon(0.1), Epsilon(0.1)), (Softmax(0.25), Softmax(1.0)))
    for given, expected in cases:
        teacher = Document("teacher", 2, TEACHER.model, given)
        assert distilled_tree(teacher, visits(2), TreeSettings(rounds=1)).exploration == expected
    assert distilled_tree(MIXTURE, visits(4), TreeSettings(rounds=1)).exploration == Softmax(1.0)


def test_the_student_is_asked_where_it_leads() -> None:
    asked: list[str] = []

    def visit(policy: Document, place: int) -> States:
        asked.append(policy.name)
        return states(2, place, 500)

    distilled_tree(TEACHER, visit, TreeSettings(rounds=3))
    assert asked == ["teacher", "teacher, as a tree", "teacher, as a tree"]


def test_advantages_of_each_kind_of_teacher() -> None:
    seen = states(4, 1, 200)
    of_rules = advantages(RULES, seen.observations, seen.masks)
    chosen = [Policy(RULES).decide(*row, 0.5).action for row in zip(seen.observations, seen.masks, strict=True)]
    assert of_rules.argmax(axis=1).tolist() == chosen
    assert set(np.unique(of_rules[np.isfinite(of_rules)])) <= {-1.0, 0.0, 1.0}
    plain, halved = (
        advantages(Document("x", 4, SCORECARD.model, how), seen.observations, seen.masks)
        for how in (Softmax(1.0), Softmax(0.5))
    )
    np.testing.assert_allclose(halved[seen.masks], 2.0 * plain[seen.masks])
    assert (plain[:, 0] == 0.0).all()
    assert (plain[~seen.masks] == -np.inf).all()
    # exp of the difference is the odds that softmax itself gives
    shares = BatchPolicy(Document("x", 4, SCORECARD.model, Softmax(1.0))).probabilities(seen.observations, seen.masks)
    np.testing.assert_allclose(np.exp(plain), shares / shares[:, :1], rtol=1e-9)
    both = Document("both", 4, Mixture((Part(0.5, RULES.model, Greedy()), Part(0.5, SCORECARD.model, Softmax(1.0)))))
    odds = advantages(both, seen.observations, seen.masks)
    assert np.abs(odds[seen.masks]).max() <= MOST_ODDS


def test_leaves_are_lowered_and_no_further() -> None:
    """Whoever got more was wished more: the tired side comes down to the rested one, the rest stays."""
    leaf = lambda value: Leaf({"push": value, "email": -value})  # noqa: E731
    root = Split("send_load", 3.0, leaf(1.0), Split("tier", 0.5, leaf(2.0), leaf(0.5)))
    found = made_monotone(root)
    assert found == Split(
        "send_load",
        3.0,
        Leaf({"push": 1.0, "email": -1.0}),
        Split("tier", 0.5, Leaf({"push": 1.0, "email": -2.0}), Leaf({"push": 0.5, "email": -1.0})),
    )
    rested = Split("hours_since_send", 24.0, leaf(0.0), leaf(1.0))  # the longer ago, the more rested: as it should be
    assert made_monotone(rested) == Split(
        "hours_since_send", 24.0, Leaf({"push": 0.0, "email": -1.0}), Leaf({"push": 1.0, "email": -1.0})
    )


def test_more_fatigue_never_raises_a_value_of_any_tree() -> None:
    luck, rng = random.Random(4), np.random.default_rng(4)
    n_lowered = n_would = 0
    for _ in range(60):
        document = random_document("tree", luck, 2)
        assert isinstance(document.model, Tree)
        root = made_monotone(document.model.root)
        before, after = Document("a", 2, document.model), Document("b", 2, Tree(root))
        rested, masks = states(2, int(rng.integers(1_000_000)), 300)
        tired = rested.copy()
        for index, feature in enumerate(features(2)):
            if direction := FATIGUE.get(feature.name, 0):
                end = feature.high if direction > 0 else feature.low
                tired[:, index] += rng.random(300) * (end - tired[:, index])
        values = [advantages(each, at, masks)[:, 1:] for each in (before, after) for at in (rested, tired)]
        with np.errstate(invalid="ignore"):
            n_would += int((values[1] > values[0]).sum())
            assert not (values[3] > values[2]).any()
            assert not (values[2] > values[0]).any()  # lowered, never raised
            n_lowered += int((values[2] < values[0]).sum())
    assert n_would > 100  # or nothing was to be done
    assert n_lowered > 100


def test_boxes_of_a_tree() -> None:
    found = [box for _, box in boxes(TEACHER.model.root)]  # type: ignore[union-attr]
    inf = float("inf")
    assert found[0] == {"hours_since_session": (-inf, 40.0), "slot.relevance": (-inf, 0.5)}
    assert found[3] == {"hours_since_session": (40.0, inf), "local_hour": (12.0, inf)}
    assert not tires_into(found[0], found[2])  # no fatigue brings a session further away
    assert tires_into({"send_load": (0.0, 2.0)}, {"send_load": (1.0, 3.0)})
    assert not tires_into({"send_load": (2.0, 3.0)}, {"send_load": (0.0, 2.0)})
    assert not tires_into({"send_load": (2.0, 2.0)}, {})  # nobody is there


def test_splits_that_decide_nothing_are_gone() -> None:
    same = Leaf({"push": 1.0, "email": 0.0})
    assert merged(Split("tier", 0.5, same, Split("unread", 1.0, same, same))) == same


def test_rules_do_as_their_tree() -> None:
    luck = random.Random(6)
    n_sent = 0
    for k in range(40):
        tree = random_document("tree", luck, 3)
        assert isinstance(tree.model, Tree)
        tree = Document("tree", 3, Tree(_distinct(tree.model.root, iter(range(10_000)))))
        rules = rules_of(tree)
        assert isinstance(rules.model, Rules)
        seen = states(3, k, 100)
        assert agreement(tree, rules, seen) == 1.0
        n_sent += int((advantages(rules, seen.observations, seen.masks).argmax(axis=1) > 0).sum())
    assert n_sent > 500
    assert rules.name == "tree, as rules"


@pytest.mark.parametrize(("given", "expected"), [(Softmax(0.5), Greedy()), (Epsilon(0.1), Epsilon(0.1))])
def test_rules_that_grade_nothing_take_what_the_tree_prefers(given: Exploration, expected: Exploration) -> None:
    rules = rules_of(Document("tree", 2, TEACHER.model, given))
    assert rules.exploration == expected
    assert Policy(rules).document == rules  # sound: rules have no softmax


def _distinct(node: Split | Leaf, numbers: object) -> Split | Leaf:
    """Return the tree with no two values alike: of equals, rules and trees take others."""
    if isinstance(node, Leaf):
        return Leaf({c: v + 1e-6 * next(numbers) for c, v in node.values.items()})  # type: ignore[call-overload]
    return Split(node.feature, node.threshold, _distinct(node.below, numbers), _distinct(node.otherwise, numbers))


def test_what_is_refused() -> None:
    nothing = States(np.zeros((3, n_features(2)), np.float32), np.eye(5, dtype=np.bool_)[[0, 0, 0]])
    with pytest.raises(ValueError, match="distillation: expected states in which something could be sent, got none"):
        distilled_tree(TEACHER, lambda *_: nothing)
    with pytest.raises(ValueError, match="TreeSettings: leaves: expected 2 to 250, got 1"):
        TreeSettings(leaves=1)
    with pytest.raises(ValueError, match=r"TreeSettings: least_share: expected above 0 and below 0\.5, got 0"):
        TreeSettings(least_share=0.0)
    with pytest.raises(ValueError, match="rules_of: expected a tree, got scorecard"):
        rules_of(SCORECARD)


def test_thresholds_are_readable_and_within_range() -> None:
    student = distilled_tree(SCORECARD, visits(4), TreeSettings(depth=6, leaves=40, rounds=1))
    assert isinstance(student.model, Tree)
    for split in _splits(student.model.root):
        assert encode(inputs(4)[split.feature].feature, split.threshold) is not None
        assert len(f"{split.threshold:g}".lstrip("-0.").replace(".", "").partition("e")[0]) <= 6
    observations, masks = hard_observations(student, np.random.default_rng(0), 50)
    Policy(student).decide(observations[0], masks[0], 0.5)


# ----------------------------------------------------------------------------------------------------------- scorecards

POINTS = Document(
    "points",
    2,
    Scorecard(
        0.0,
        {"push": -3.0, "email": -2.0},
        (
            Binned("hours_since_session", (40.0,), {"push": (0.0, 4.0), "email": (3.0, -1.0)}),
            Binned("slot.relevance", (0.5,), {"push": (-1.0, 2.0), "email": (0.0, 1.0)}),
            Binned("send_load", (10.0,), {"push": (1.0, -2.0), "email": (0.0, -2.0)}),
        ),
    ),
)


def test_a_scorecard_is_learned_again() -> None:
    settings = ScorecardSettings(features=3, bins=20, most_points=50)
    found = distilled_scorecard(POINTS, visits(2), settings)
    assert isinstance(found.model, Scorecard)
    assert {term.feature for term in found.model.terms} == {"hours_since_session", "slot.relevance", "send_load"}
    assert agreement(POINTS, found, states(2, 99)) > 0.97
    assert found.trained_on["distilled_from"] == "points"
    one_point = float(found.trained_on["one_point_is"].split()[0])
    steps = {term.feature: np.ptp(term.points["push"]) * one_point for term in found.model.terms}  # type: ignore[union-attr]
    assert steps["hours_since_session"] == pytest.approx(4.0, abs=0.3)
    assert steps["send_load"] == pytest.approx(3.0, abs=0.3)
    assert read(write(found)) == found


def test_points_are_whole_and_the_largest_is_as_asked() -> None:
    found = distilled_scorecard(TEACHER, visits(2), ScorecardSettings(features=4, bins=4, most_points=12)).model
    assert isinstance(found, Scorecard)
    points = [p for term in found.terms for column in term.points.values() for p in column]  # type: ignore[union-attr]
    assert all(p == round(p) for p in (*points, *found.base.values()))
    assert max(map(abs, points)) == 12.0
    assert len(found.terms) <= 4
    assert all(len(term.thresholds) <= 3 for term in found.terms)  # type: ignore[union-attr]


def test_more_features_and_bins_agree_more() -> None:
    seen = states(2, 98)
    small, large = (
        agreement(TEACHER, distilled_scorecard(TEACHER, visits(2), ScorecardSettings(n, bins)), seen)
        for n, bins in ((1, 2), (8, 12))
    )
    assert small < large - 0.05


def test_a_scorecard_draws_as_its_teacher() -> None:
    """By the same odds, in its own points: the temperature is what one unit of the teacher's worth is in points."""
    teacher = replace(POINTS, exploration=Softmax(2.0))
    found = distilled_scorecard(teacher, visits(2), ScorecardSettings(features=3, bins=20, most_points=200))
    assert isinstance(found.exploration, Softmax)
    seen = states(2, 97)
    mine, theirs = (BatchPolicy(each).probabilities(seen.observations, seen.masks) for each in (found, teacher))
    assert np.abs(mine - theirs).mean() < 0.02
    assert distilled_scorecard(POINTS, visits(2)).exploration == Greedy()


def test_more_fatigue_never_adds_a_point_of_any_scorecard() -> None:
    """Of a teacher that wishes it the wrong way round, too: that is what the order is held for."""
    tired = Binned("send_load", (5.0, 15.0), {"push": (-3.0, 1.0, 4.0), "email": (-2.0, 0.0, 2.0)})
    longer = Binned("hours_since_send", (24.0,), {"push": (3.0, -3.0), "email": (2.0, -2.0)})
    wrong = Document("wrong", 2, Scorecard(0.0, {"push": 0.0, "email": 0.0}, (tired, longer)))
    free = distilled_scorecard(wrong, visits(2), ScorecardSettings(is_monotone=False)).model
    held = distilled_scorecard(wrong, visits(2)).model
    assert _rises(free)
    assert not _rises(held)


def _rises(model: object) -> bool:
    assert isinstance(model, Scorecard)
    for term in model.terms:
        direction = FATIGUE.get(term.feature, 0)
        for column in term.points.values():  # type: ignore[union-attr]
            steps = np.diff(column) * direction
            if direction and (steps > 0).any():
                return True
    return False


def test_of_silence_nothing_is_learned_but_silence() -> None:
    found = distilled_scorecard(Document("never", 2, Rules(())), visits(2))
    seen = states(2, 96)
    assert (advantages(found, seen.observations, seen.masks).argmax(axis=1) == 0).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"features": 0}, "features: expected 1 to 35, got 0"),
        ({"bins": 1}, "bins: expected 2 to 20, got 1"),
        ({"most_points": 0}, "most_points: expected 1 to 1000, got 0"),
    ],
)
def test_settings_of_a_scorecard(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ScorecardSettings(**given)


def test_every_feature_that_people_read_can_be_chosen() -> None:
    assert {"tier", "local_hour", "slot.relevance"} <= {entry.name for entry in looked_at(2)}
    assert not {"local_hour_sin", "slot1.relevance"} & {entry.name for entry in looked_at(2)}
