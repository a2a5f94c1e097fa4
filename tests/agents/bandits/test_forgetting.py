"""Sums with each kind of forgetting, against what they are defined to be."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.settings import Discounted, Forever, Window

BATCHES = np.random.default_rng(1).normal(size=(30, 2, 3)) * 10.0 ** np.arange(-8, 22)[:, None, None]


def totals(forgetting: Forever | Discounted | Window) -> np.ndarray:
    sums = Sums({"x": (2, 3)}, forgetting)
    for batch in BATCHES:
        sums.add({"x": batch})
    return sums.totals["x"]


def test_forever_adds_everything() -> None:
    np.testing.assert_allclose(totals(Forever()), BATCHES.sum(axis=0), rtol=1e-13)


def test_discounted_weighs_by_age() -> None:
    weights = 0.8 ** np.arange(30)[::-1]
    np.testing.assert_allclose(totals(Discounted(factor=0.8)), np.tensordot(weights, BATCHES, 1), rtol=1e-13)


@pytest.mark.parametrize("n", [1, 4, 100])
def test_a_window_holds_the_last_and_only_those(n: int) -> None:
    np.testing.assert_allclose(totals(Window(n_updates=n)), BATCHES[-n:].sum(axis=0), rtol=1e-13)


def test_a_window_does_not_drift() -> None:
    """What passed through the window, 1e20 times as large as what is in it now, leaves nothing behind."""
    sums = Sums({"x": ()}, Window(n_updates=3))
    for value in (1e20, -3e19, 7.0, 1.0, 2.0, 3.0):
        sums.add({"x": np.asarray(value)})
    assert sums.totals["x"] == 6.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Discounted(factor=1.0), "less than 1"),
        (lambda: Discounted(factor=0.0), "greater than 0"),
        (lambda: Window(n_updates=0), "greater than or equal to 1"),
    ],
)
def test_a_config_has_bounds(make, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()
