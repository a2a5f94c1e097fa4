"""Parity vectors are the author's answers, and a document that gives others is not given out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from policies.batch import BatchPolicy, with_parity
from policies.codec import DocumentError, write
from policies.decide import load
from policies.document import Document
from tests.policies.documents import EXAMPLES, RULES
from tests.policies.random_documents import hard_observations


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda d: d.name)
def test_the_authors_answers_are_attached(document: Document) -> None:
    observations, masks = hard_observations(document, np.random.default_rng(1), 300)
    answers = BatchPolicy(document).probabilities(observations.astype(np.float32), masks)
    found = with_parity(document, observations.astype(np.float32), masks.astype(np.int8), answers)
    assert len(found.parity) == 20
    assert all(sum(vector.eligible) > 1 for vector in found.parity)
    assert load(write(found)).document == found


def test_other_answers_are_refused() -> None:
    observations, masks = hard_observations(RULES, np.random.default_rng(1), 50)
    answers = np.roll(BatchPolicy(RULES).probabilities(observations, masks), 1, axis=1)
    with pytest.raises(DocumentError, match=r"parity\[0\]: expected probability .* of no_send to within 1e-12, got"):
        with_parity(RULES, observations, masks, answers, 3)


def test_fewer_rows_than_asked_for() -> None:
    observations, masks = np.zeros((2, 57)), np.eye(1, 9, dtype=np.bool_).repeat(2, axis=0)
    found = with_parity(RULES, observations, masks, masks.astype(np.float64), 100)
    assert len(found.parity) == 2


@pytest.mark.parametrize(
    ("n_rows", "n", "message"),
    [
        (3, 0, "with_parity: n: expected 1 to 100, got 0"),
        (3, 101, "with_parity: n: expected 1 to 100, got 101"),
        (
            2,
            5,
            "with_parity: expected observations (N, K), masks and probabilities (N, A), N > 0, got (3, 57), (3, 9) and",
        ),
    ],
)
def test_what_does_not_fit_is_refused(n_rows: int, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        with_parity(RULES, np.zeros((3, 57)), np.ones((3, 9)), np.zeros((n_rows, 9)), n)
