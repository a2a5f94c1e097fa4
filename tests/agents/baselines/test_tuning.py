"""The search finds a known best, uses the same users for all, and says what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.baselines.frequency_cap import FrequencyCap
from agents.baselines.tuning import tune

N_SD = 4.9  # two-sided false-alarm rate 1e-6


def noisy_returns(candidate: float, first: int, n: int) -> np.ndarray:
    """Best at 3; the luck of a user, sd 10, is common to all candidates, and each adds a little of its own, sd 0.1."""
    users = range(first, first + n)
    luck = np.asarray([np.random.default_rng([7, user]).normal(0, 10) for user in users])
    own = np.asarray([np.random.default_rng([8, user, int(10 * candidate)]).normal(0, 0.1) for user in users])
    found: np.ndarray = -((candidate - 3.0) ** 2) + luck + own
    return found


def test_the_known_best_of_a_noisy_objective_is_found_by_common_luck() -> None:
    # Unpaired, 64 users leave a mean uncertain by 1.25, and 2.5 and 3.5 are behind by 0.25 only; paired by 0.018.
    candidates = [k / 2 for k in range(13)]
    found = tune(candidates, noisy_returns, first_users=16, most_users=64)
    assert found.best == 3.0
    assert sorted(trial.candidate for trial in found.trials) == candidates
    for trial in found.trials:
        if trial.n_users == 64 and trial.candidate != 3.0:
            expected = -((trial.candidate - 3.0) ** 2)
            assert abs(trial.behind - expected) < N_SD * trial.standard_error < 0.15


def test_users_double_the_field_halves_and_nobody_is_met_twice() -> None:
    met: dict[int, list[tuple[int, int]]] = {}

    def returns_of(candidate: int, first: int, n: int) -> np.ndarray:
        met.setdefault(candidate, []).append((first, n))
        return np.full(n, float(candidate))

    found = tune(list(range(8)), returns_of, first_users=2, most_users=100)
    assert found.best == 7
    assert met[7] == [(0, 2), (2, 2), (4, 4), (8, 8)]
    assert [met[k] for k in (0, 4, 6)] == [[(0, 2)], [(0, 2), (2, 2)], [(0, 2), (2, 2), (4, 4)]]
    assert [trial.candidate for trial in found.trials] == [7, 6, 5, 4, 3, 2, 1, 0]


def test_the_first_of_equals_is_taken_and_the_table_shows_all() -> None:
    grid = (FrequencyCap(gap_hours=20.0), FrequencyCap(gap_hours=44.0))
    found = tune(grid, lambda candidate, first, n: np.ones(n), first_users=4, most_users=4)
    assert found.best is grid[0]
    assert "gap_hours=44.0" in found.to_markdown()
    assert found.trials[1].behind == 0.0


def test_the_table_says_where_the_best_is_on_the_edge_of_the_grid() -> None:
    def told(gap_hours: float, pushes: int | None) -> str:
        grid = [
            FrequencyCap(gap_hours=gap, pushes_per_week=most, hours=(18,))
            for gap in (2.0, 8.0, 20.0)
            for most in (1, 2, None)
        ]
        best = FrequencyCap(gap_hours=gap_hours, pushes_per_week=pushes, hours=(18,))
        found = tune(grid, lambda candidate, first, n: np.full(n, candidate == best), first_users=2, most_users=4)
        assert found.best == best
        return found.to_markdown().rpartition("|\n")[2]

    assert told(2.0, 1) == "\nThe best is on the grid's edge: gap_hours 2, pushes_per_week 1.\n"
    assert told(20.0, 2) == "\nThe best is on the grid's edge: gap_hours 20.\n"
    # No limit at all is beyond two a week.
    assert told(8.0, 2) == told(8.0, None) == ""
    numbers = tune([1.0, 2.0], lambda candidate, first, n: np.full(n, candidate), first_users=2, most_users=2)
    assert numbers.on_the_edge() == ("candidate 2",)


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one candidate, got none"):
        tune([], noisy_returns, first_users=1, most_users=1)
    with pytest.raises(ValueError, match="expected 1 <= first_users <= most_users, got first_users=8, most_users=4"):
        tune([1.0], noisy_returns, first_users=8, most_users=4)
    with pytest.raises(ValueError, match=r"tune: 1.0: expected returns of shape \(3,\), got \(2,\)"):
        tune([1.0], lambda candidate, first, n: np.zeros(2), first_users=3, most_users=3)
    with pytest.raises(ValueError, match=r"tune: 1.0: returns\[1\]: expected a finite number, got nan"):
        tune([1.0], lambda candidate, first, n: np.asarray([0.0, math.nan]), first_users=2, most_users=2)
