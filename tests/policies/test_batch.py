"""Policies in batches: row by row what one decision at a time gives, on documents of every kind at random."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from policies.batch import BatchPolicy
from policies.batch.exploration import draw
from policies.batch.policy import BLOCK
from policies.batch.seen import local_hours
from policies.codec import DocumentError
from policies.decide import DecideError, Policy
from policies.document import Arms, Document, Epsilon, ParityVector, Rules, Scorecard, Softmax, Tree, Weighted
from policies.exploration import draw as draw_one
from policies.inputs import local_hour
from tests.policies.documents import EXAMPLES, RULES, SCORECARD, C, random_observation
from tests.policies.random_documents import KINDS, hard_observations, random_document

N_DOCUMENTS = 40  # of each kind
# 116 thousand rows in all; a quadrature of Python's takes its time.
N_ROWS = {
    "rules": 700,
    "scorecard": 700,
    "tree": 700,
    "network": 400,
    "posterior": 200,
    "arms": 500,
    "beta_arms": 400,
    "mixture": 150,
}


def tolerance(document: Document) -> float:
    if isinstance(document.model, Rules | Scorecard | Tree | Arms):
        return 1e-12 if isinstance(document.exploration, Softmax) else 0.0
    return 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_single_decisions(kind: str) -> None:
    luck, rows = random.Random(kind), np.random.default_rng(17)
    for k in range(N_DOCUMENTS):
        n_rows = N_ROWS[kind]
        document = random_document(kind, luck, luck.choice((1, 2) if kind == "beta_arms" else (1, 2, 4)))
        single, batch = Policy(document), BatchPolicy(document)
        observations, masks = hard_observations(document, rows, n_rows)
        as_given = observations.astype(np.float32) if k % 3 == 0 else observations
        expected = np.array([single.probabilities(*row) for row in zip(as_given, masks, strict=True)])
        found = batch.probabilities(as_given, masks)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance(document), err_msg=str(document))
        assert (found[~masks] == 0.0).all()
        uniforms = rows.random(n_rows)
        actions, propensities = batch.decide(as_given, masks.astype(np.int8), uniforms)
        place = np.arange(n_rows)
        assert (propensities == found[place, actions]).all()
        assert (propensities > 0.0).all()
        reached = expected.cumsum(axis=1)
        is_clear = np.abs(reached - uniforms[:, None]).min(axis=1) > 1e-8
        singly = [single.decide(*row, explain=False).action for row in zip(as_given, masks, uniforms, strict=True)]
        assert (actions == singly)[is_clear | (tolerance(document) == 0.0)].all()


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda d: d.name)
def test_slices_and_other_layouts_are_the_same_rows(document: Document) -> None:
    observations, masks = hard_observations(document, np.random.default_rng(3), 60)
    batch = BatchPolicy(document)
    whole = batch.probabilities(observations, masks)
    turned = batch.probabilities(np.asfortranarray(observations), np.asfortranarray(masks))
    np.testing.assert_allclose(turned, whole, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(batch.probabilities(observations[::2], masks[::2]), whole[::2], rtol=0.0, atol=1e-12)
    assert batch.probabilities(observations[:0], masks[:0]).shape == (0, 9)
    assert batch.decide(observations[:0], masks[:0], np.empty(0)).actions.shape == (0,)


def test_nothing_but_silence_is_silence() -> None:
    batch = BatchPolicy(replace(SCORECARD, exploration=Epsilon(0.5)))
    masks = np.zeros((5, 9), np.bool_)
    masks[:, 0] = True
    assert (batch.probabilities(np.zeros((5, 57)), masks) == np.eye(9)[[0] * 5]).all()
    actions, propensities = batch.decide(np.zeros((5, 57)), masks, np.full(5, 0.999))
    assert (actions == 0).all()
    assert (propensities == 1.0).all()


def test_local_hours_are_those_of_one_at_a_time() -> None:
    luck = np.random.default_rng(5)
    near = luck.integers(0, 25, 20_000) + luck.choice((0.0, -5e-5, 5e-5), 20_000) + luck.normal(0.0, 1e-12, 20_000)
    angles = np.concatenate((near, luck.uniform(0, 24, 20_000))) * (math.pi / 12)
    sines, cosines = np.sin(angles), np.cos(angles)
    expected = [local_hour(pair) for pair in zip(sines.tolist(), cosines.tolist(), strict=True)]
    assert (local_hours(sines, cosines) == expected).all()


def test_draws_are_those_of_one_at_a_time() -> None:
    luck = np.random.default_rng(6)
    shares = luck.dirichlet((0.2,) * 9, 2_000) * (luck.random((2_000, 9)) < 0.7)
    shares[:, 0] += 0.1
    shares /= shares.sum(axis=1, keepdims=True)
    shares[0] = (0.1,) * 9
    uniforms = luck.random(2_000)
    uniforms[0] = 0.95  # beyond the sum
    uniforms[1:500] = shares.cumsum(axis=1)[1:500, 4].clip(0, math.nextafter(1, 0))
    expected = [draw_one(row, u) for row, u in zip(shares.tolist(), uniforms.tolist(), strict=True)]
    assert (draw(np.ascontiguousarray(shares.T), uniforms) == expected).all()


def question() -> dict[str, npt.NDArray[Any]]:
    return {"observations": np.zeros((3, 57)), "masks": np.ones((3, 9), np.int8), "uniforms": np.zeros(3)}


def put(name: str, place: Any, value: object) -> Callable[[dict[str, Any]], None]:
    def change(asked: dict[str, Any]) -> None:
        asked[name][place] = value

    return change


def swap(name: str, value: npt.NDArray[Any]) -> Callable[[dict[str, Any]], None]:
    def change(asked: dict[str, Any]) -> None:
        asked[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            swap("observations", np.zeros((3, 56))),
            "observations: expected shape (U, 57) (29 + 7 * 4 slots), got (3, 56)",
        ),
        (swap("observations", np.zeros((2, 57))), "uniforms: expected shape (2,), one a row, got (3,)"),
        (swap("masks", np.ones((2, 9))), "masks: expected shape (3, 9), a row an observation and an action a column"),
        (put("observations", (1, 3), np.nan), "observations[1, 3] (season_index): expected a finite number, got nan"),
        (put("observations", (2, 30), -np.inf), "observations[2, 30] (slot0.relevance): expected a finite number, got"),
        (put("masks", (1, 0), 0), "masks[1, 0] (no_send): expected true, silence is always eligible, got False"),
        (put("masks", (1, 4), 2), "masks[1, 4]: expected true or false, 1 or 0, got 2"),
        (put("uniforms", 2, 1.0), "uniforms[2]: expected a number in [0, 1), got 1.0"),
        (put("uniforms", 0, np.nan), "uniforms[0]: expected a number in [0, 1), got nan"),
    ],
)
def test_a_bad_question_is_told_what_was_expected(change: Callable[[dict[str, Any]], None], message: str) -> None:
    asked = question()
    change(asked)
    with pytest.raises(DecideError, match=re.escape(f"policy 'evening push': {message}")):
        BatchPolicy(RULES).decide(**asked)


def test_what_overflows_is_told_with_its_row() -> None:
    steep = Document(
        "steep", C, Scorecard(0.0, {"push": 1e308, "email": 0.0}, (Weighted("tier", {"push": 1e308, "email": 0}),))
    )
    asked = question()
    asked["observations"][2, 23] = 1.0
    with pytest.raises(DecideError, match=r"row 2: preference of slot0\.push: expected a finite number .*, got inf"):
        BatchPolicy(steep).decide(**asked)


def test_observations_whose_sum_overflows_are_taken() -> None:
    observations = np.zeros((2, 57), np.float32)
    observations[:, 40] = 3e38
    assert BatchPolicy(RULES).probabilities(observations, np.ones((2, 9), np.bool_)).sum() == 2.0


def test_parity_vectors_are_checked() -> None:
    wrong = ParityVector(tuple(random_observation(random.Random(1))), (True,) * 9, (0.5, 0.5) + (0.0,) * 7)
    with pytest.raises(DocumentError, match=r"parity\[0\]: expected probability"):
        BatchPolicy(replace(RULES, parity=(wrong,)))


@pytest.mark.parametrize("kind", ["network", "rules", "posterior"])
def test_many_users_are_many_times_some(kind: str) -> None:
    """Users are looked at in blocks; where a block ends makes no difference, and faults are told by the user's row."""
    document = random_document(kind, random.Random(kind), 2)
    batch = BatchPolicy(document)
    n = 2 * BLOCK + 77
    observations, masks = hard_observations(document, np.random.default_rng(4), n)
    uniforms = np.random.default_rng(5).random(n)
    whole, decided = batch.probabilities(observations, masks), batch.decide(observations, masks, uniforms)
    for rows in (slice(0, 50), slice(BLOCK - 25, BLOCK + 25), slice(n - 50, n)):
        part = batch.decide(observations[rows], masks[rows], uniforms[rows])
        np.testing.assert_allclose(batch.probabilities(observations[rows], masks[rows]), whole[rows], atol=1e-9, rtol=0)
        np.testing.assert_array_equal(part.actions, decided.actions[rows])
        np.testing.assert_allclose(part.propensities, decided.propensities[rows], atol=1e-9, rtol=0)
    row = BLOCK + 3
    observations[row, 2], masks[row] = np.nan, True
    asks = (lambda: batch.probabilities(observations, masks), lambda: batch.decide(observations, masks, uniforms))
    for ask in asks:
        with pytest.raises(DecideError, match=rf"observations\[{row}, 2\] \(is_weekend\): expected a finite number"):
            ask()
    with pytest.raises(DecideError, match=rf"masks: expected shape \({n}, 5\), .* got \({n + BLOCK}, 5\)"):
        batch.probabilities(observations, np.concatenate([masks, masks[:BLOCK]]))
