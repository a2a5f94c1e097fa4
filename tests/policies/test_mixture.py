"""Mixtures: the weighted mean of the parts, drawn and told as such; and what is refused."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.batch import BatchPolicy
from policies.codec import DocumentError, read, write
from policies.decide import DecideError, Policy
from policies.document import (
    Document,
    Epsilon,
    Greedy,
    Mixture,
    ParityVector,
    Part,
    Scorecard,
    Softmax,
    Weighted,
)
from policies.vocabulary import feature_names
from tests.policies.documents import ALL, MIXTURE, RULES, SCORECARD, C, observation, tree_of
from tests.policies.random_documents import hard_observations, random_document


def test_the_weighted_mean_of_the_parts() -> None:
    luck = random.Random(1)
    for k in range(30):
        document = random_document("mixture", luck, 2)
        assert isinstance(document.model, Mixture)
        parts = [
            (part.weight, Policy(Document("part", 2, part.model, part.exploration))) for part in document.model.parts
        ]
        policy = Policy(document)
        observations, masks = hard_observations(document, np.random.default_rng(k), 10)
        for values, mask in zip(observations.tolist(), masks.tolist(), strict=True):
            expected = np.zeros(5)
            for weight, part in parts:
                expected += weight * np.asarray(part.probabilities(values, mask))
            np.testing.assert_allclose(policy.probabilities(values, mask), expected, rtol=0, atol=1e-15)


def test_what_is_drawn_is_told_with_its_parts() -> None:
    evening = observation(19.0, hours_since_send=30.0, slot1_relevance=1.0, slot2_relevance=2.0)
    policy = Policy(MIXTURE)
    told = policy.decide(evening, ALL, 0.0)
    assert re.match(r"\w+(\.\w+)? was drawn with probability [\d.]+", told.reasons[0])
    assert told.reasons[1].startswith("a part of 0.9 prefers slot1.push: rule ")
    assert told.reasons[2].startswith("a part of 0.1 prefers ")
    assert 0.0 < told.propensity < 1.0
    actions = [policy.decide(evening, ALL, uniform).action for uniform in np.linspace(0, 1, 1_000, endpoint=False)]
    shares = np.bincount(actions, minlength=len(ALL)) / 1_000
    np.testing.assert_allclose(shares, told.probabilities, atol=2e-3)


def test_an_overflow_in_a_part_is_told() -> None:
    steep = Scorecard(0.0, {"push": 0.0, "email": 0.0}, (Weighted("send_load", {"push": 1e308, "email": 0.0}),))
    broken = Document("steep", C, Mixture((Part(0.5, RULES.model, Greedy()), Part(0.5, steep, Greedy()))))
    values = observation(19.0)
    values[[*feature_names(C)].index("send_load")] = 1e3
    with pytest.raises(DecideError, match=r"preference of slot0\.push: expected a finite number"):
        Policy(broken).decide(values, ALL, 0.5)
    with pytest.raises(DecideError, match=r"row 0: preference of slot0\.push: expected a finite number"):
        BatchPolicy(broken).probabilities(np.asarray([values]), np.asarray([ALL]))


def test_it_is_read_as_it_was_written() -> None:
    assert read(write(MIXTURE)) == MIXTURE


def changed(**changes: Any) -> dict[str, Any]:
    tree: dict[str, Any] = tree_of(MIXTURE)
    tree["model"]["parts"][1].update(changes)
    return tree


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weight": 0.2}, "model.parts: expected weights that sum to 1, got 1.1"),
        ({"weight": 0.0}, "model.parts[1].weight: expected a number"),
        ({"model": tree_of(MIXTURE)["model"]}, "model.parts[1].model.kind: "),
        ({"exploration": {"kind": "thompson"}}, "model.parts[1].exploration: expected none, epsilon or softmax"),
        ({"share": 0.5}, "model.parts[1].share: unknown field"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read(json.dumps(changed(**changes)), is_draft=True)
    assert told in str(raised.value)


@pytest.mark.parametrize("exploration", [Epsilon(0.1), Softmax(1.0)])
def test_the_whole_does_not_explore(exploration: Any) -> None:
    with pytest.raises(DocumentError, match="exploration: expected none with a mixture: each of its parts explores"):
        write(replace(MIXTURE, exploration=exploration))


def test_parity_is_as_strict_as_its_parts() -> None:
    assert isinstance(SCORECARD.model, Scorecard)
    policy = Policy(MIXTURE)
    values = observation(19.0)
    off = [p + (1e-9 if k else -1e-9) * (k < 2) for k, p in enumerate(policy.probabilities(values, ALL))]
    vector = ParityVector(tuple(values), tuple(ALL), tuple(off))
    with pytest.raises(DocumentError, match="to within 1e-12"):
        Policy(replace(MIXTURE, parity=(vector,)))
