"""The empirical Bernstein sequence: its equation step by step, its promise, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from experiments.planning.bounded import bounded_mean_bounds


def one_by_one(values: list[float], level: float, planned: int | None = None) -> tuple[list[float], list[float]]:
    """Theorem 2 of Waudby-Smith & Ramdas as it is printed, in a loop: psi_E is a quarter, v four times."""
    bets, lows, highs = [], [], []
    seen: list[float] = []
    squares = 0.25
    total = weighted = penalty = 0.0
    for t, x in enumerate(values, start=1):
        mean_before = (0.5 + sum(seen)) / t
        variance_before = squares / t
        pace = t * math.log(1 + t) if planned is None else planned
        bet = min(0.5, math.sqrt(2 * math.log(2 / level) / (variance_before * pace)))
        bets.append(bet)
        total += bet
        weighted += bet * x
        penalty += 4 * (x - mean_before) ** 2 * (-math.log(1 - bet) - bet) / 4
        seen.append(x)
        squares += (x - (0.5 + sum(seen)) / (t + 1)) ** 2
        margin = (math.log(2 / level) + penalty) / total
        lows.append(max(0.0, weighted / total - margin))
        highs.append(min(1.0, weighted / total + margin))
    return lows, highs


@pytest.mark.parametrize("planned", [None, 150])
def test_it_is_the_theorem(planned: int | None) -> None:
    values = np.random.default_rng(1).beta(2, 5, size=300)
    low, high = bounded_mean_bounds(values, level=0.1, planned=planned)
    lows, highs = one_by_one(values.tolist(), 0.1, planned)
    assert low == pytest.approx(lows, abs=1e-12)
    assert high == pytest.approx(highs, abs=1e-12)


@pytest.mark.parametrize("planned", [None, 400])
@pytest.mark.parametrize("shape", [(0.2, 0.2), (1.0, 30.0), (30.0, 1.0)])
def test_the_mean_is_kept_at_all_times(shape: tuple[float, float], planned: int | None) -> None:
    rng = np.random.default_rng(2)
    truth = beta.mean(*shape)
    n_paths, wrong = 400, 0
    for _ in range(n_paths):
        low, high = bounded_mean_bounds(rng.beta(*shape, size=600), level=0.2, planned=planned)
        wrong += bool(((low > truth) | (high < truth)).any())
    assert wrong <= binom.isf(1e-6, n_paths, 0.2)


def test_it_narrows_with_the_variance_not_with_the_range() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for shape in ((50.0, 50.0), (0.5, 0.5)):
        low, high = bounded_mean_bounds(rng.beta(*shape, size=20_000))
        widths.append(high[-1] - low[-1])
    assert widths[0] < 0.25 * widths[1]


def test_planned_it_is_near_the_interval_of_a_fixed_number() -> None:
    values = (np.random.default_rng(4).random(20_000) < 0.3).astype(np.float64)
    low, high = bounded_mean_bounds(values, planned=20_000)
    # Bernstein's sqrt(2 log(2 / level) v / n) is 1.39 times the normal's 1.96 sqrt(v / n).
    bernstein = math.sqrt(2 * math.log(40) * 0.21 / 20_000)
    assert (high[-1] - low[-1]) / 2 == pytest.approx(bernstein, rel=0.05)


@pytest.mark.parametrize(
    ("values", "level", "planned", "message"),
    [
        ([0.5, 1.5], 0.05, None, "values: expected 0 to 1, got 1.5 in row 1"),
        ([0.5, np.nan], 0.05, None, "values: expected 0 to 1, got nan in row 1"),
        ([0.5], 0.0, None, "level: expected a number between 0 and 1"),
        ([0.5], 0.05, 0, "planned: expected at least 1, got 0"),
    ],
)
def test_refusals(values: list[float], level: float, planned: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"bounded_mean_bounds: {message}"):
        bounded_mean_bounds(np.asarray(values), level=level, planned=planned)
