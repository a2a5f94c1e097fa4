"""The compiled pass over rows against NumPy: what is let in, and what a linear model reads."""

from __future__ import annotations

import numpy as np
import pytest

from agents.problem import Problem
from agents.rows import standardise

K, A = 7, 3
LOW = np.array([-1, 0, -5, 2, 0, -3, -1e6], np.float32)
HIGH = np.array([1, 1, -4, 2, 24, 3, 1e6], np.float32)
PROBLEM = Problem(tuple(f"x{k}" for k in range(K)), LOW, HIGH, tuple(f"a{k}" for k in range(A)))


def is_let_in(observations: object, masks: object) -> bool:
    try:
        PROBLEM.check(observations, masks)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def test_one_row_out_of_a_thousand_is_found_wherever_it_is() -> None:
    """Masks of bytes take the way through NumPy, booleans the compiled one; both let in the same."""
    rng = np.random.default_rng(1)
    observations = rng.uniform(LOW, HIGH, (1_000, K)).astype(np.float32)
    masks = rng.random((1_000, A)) < 0.5
    masks[:, 1] |= ~masks.any(axis=1)
    assert is_let_in(observations, masks)
    low, high = PROBLEM.reach
    for k in range(K):
        down, up = np.float32(-np.inf), np.float32(np.inf)
        beyond = [np.nextafter(low[k], down), np.nextafter(high[k], up), np.nan, down, up]
        for value in (low[k], high[k], *beyond):
            wrong = observations.copy()
            wrong[rng.integers(1_000), k] = value
            assert (
                is_let_in(wrong, masks) == is_let_in(wrong, masks.astype(np.int8)) == bool(low[k] <= value <= high[k])
            )
    for row in (0, 500, 999):
        closed = masks.copy()
        closed[row] = False
        assert not is_let_in(observations, closed)
        assert not is_let_in(observations, closed.astype(np.int8))


def test_the_masks_that_are_returned_are_no_view() -> None:
    masks = np.ones((4, A), np.bool_)
    allowed = PROBLEM.check(np.tile(HIGH, (4, 1)), masks)
    masks[:] = False
    assert allowed.all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_no_row_and_any_order_of_memory(order: str) -> None:
    observations = np.asarray(np.tile(LOW, (5, 1)), np.float32, order=order)  # type: ignore[call-overload]
    masks = np.ones((5, A), np.bool_, order=order)  # type: ignore[call-overload]
    assert PROBLEM.check(observations, masks).shape == (5, A)
    assert PROBLEM.check(observations[:0], masks[:0]).shape == (0, A)
    observations[4, 6] = np.nan
    with pytest.raises(ValueError, match=r"observations\[4\]: expected -1e\+06 <= x6 <= 1e\+06, got nan"):
        PROBLEM.check(observations, masks)


def test_rows_are_standardised_to_the_last_bit() -> None:
    rng = np.random.default_rng(2)
    observations = rng.normal(size=(50, K)).astype(np.float32)
    mean, scale = rng.normal(size=K), rng.random(K) + 0.1
    rows = np.full((50, 1 + K), np.nan)
    standardise(observations, mean, scale, rows)
    np.testing.assert_array_equal(rows, np.column_stack([np.ones(50), (observations - mean) / scale]))
