"""Parity vectors: a few questions with the answers of whoever made the policy, which every load checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.batch.seen import Floats, Observations
from policies.decide import Policy
from policies.document import MAX_PARITY, Document, ParityVector


def with_parity(
    document: Document, observations: Observations, masks: npt.NDArray[Any], probabilities: Floats, n: int = 20
) -> Document:
    """Return a document with parity vectors, once it gives the author's probabilities on them.

    Args:
        document: what was exported; vectors that it has are replaced.
        observations: on which the author's implementation was asked, shape (N, K).
        masks: True, or 1, where an action was eligible, shape (N, A).
        probabilities: what the author's implementation answered, shape (N, A); not what the document would.
        n: how many vectors at most, 1 to 100; they are taken evenly from the rows in which there was a choice.

    Raises:
        ValueError: shapes differ, n is out of range, or there is no row.
        DocumentError: the document does not give these probabilities; the message names vectors and gaps.
    """
    if not 1 <= n <= MAX_PARITY:
        raise ValueError(f"with_parity: n: expected 1 to {MAX_PARITY}, got {n}")
    if not len(observations) == len(masks) == len(probabilities) > 0 or masks.shape != probabilities.shape:
        shapes = f"{observations.shape}, {masks.shape} and {probabilities.shape}"
        raise ValueError(
            f"with_parity: expected observations (N, K), masks and probabilities (N, A), N > 0, got {shapes}"
        )
    rows = np.flatnonzero((masks != 0).sum(axis=1) > 1)
    if not rows.size:
        rows = np.arange(len(masks))
    rows = rows[np.unique(np.linspace(0, rows.size - 1, min(n, rows.size)).astype(np.int64))]
    vectors = tuple(
        ParityVector(
            tuple(observations[row].astype(np.float64).tolist()),
            tuple((masks[row] != 0).tolist()),
            tuple(np.asarray(probabilities[row], np.float64).tolist()),
        )
        for row in rows
    )
    found = replace(document, parity=vectors)
    Policy(found)
    return found
