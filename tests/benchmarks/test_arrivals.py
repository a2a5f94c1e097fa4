"""First arrivals and medians of times, some of them censored: what is not known must not look known."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.arrivals import Look, Median, Run, Time, duration, goal_of, median, ratio_words, report

CAP = {"value_eur": 1.0, "half_width_eur": 0.1, "settings": "a cap"}
SETTING = {"minutes": 20.0, "n_users": 1024, "every_seconds": {"ours": 10.0, "theirs": 30.0}}


def run_of(learner: str, seed: int, *looks: tuple[float, float]) -> Run:
    return Run(
        learner,
        seed,
        tuple(Look(seconds, int(seconds) * 100, value, 0.1) for seconds, value in looks),
        looks[-1][0] / 2,
    )


def test_the_first_look_at_or_above_the_goal_is_the_time_and_nothing_is_interpolated() -> None:
    run = run_of("ours", 1, (0, 0.0), (10, 1.9), (20, 2.0), (30, 1.0), (40, 3.0))
    assert run.arrival(2.0) == Time(20, 2000)
    assert run.arrival(1.95) == Time(20, 2000)
    assert run.arrival(-1.0) == Time(0, 0)


def test_a_run_that_stays_below_is_censored_at_its_end() -> None:
    time = run_of("theirs", 1, (0, 0.0), (600, 1.9), (1200, 1.0)).arrival(2.0)
    assert time == Time(1200, 120_000, is_censored=True)
    assert str(time) == "> 20 min"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(5, False), (1, False), (3, False)], "3 s"),
        ([(5, False), (1, False), (1200, True)], "5 s"),
        ([(5, False), (1200, True), (1200, True)], "> 20 min"),
        ([(4, False), (6, False)], "5 s"),
        ([(4, False), (1200, True)], "> 10 min"),  # half of (4 + more than 1,200)
    ],
)
def test_in_a_median_a_censored_time_is_infinite(times: list[tuple[float, bool]], expected: str) -> None:
    assert str(median([Time(seconds, 0, is_censored) for seconds, is_censored in times])) == expected


def test_a_median_is_right_or_a_lower_bound_whatever_was_censored() -> None:
    """Against the median of the times that nobody saw, over a thousand draws of times and ends of runs."""
    rng = np.random.default_rng(1)
    n_bounds = 0
    for _ in range(1000):
        true = rng.exponential(600.0, size=int(rng.integers(1, 8)))
        ends = rng.uniform(100.0, 1500.0, len(true))
        seen = [Time(min(t, end), 0, bool(t > end)) for t, end in zip(true.tolist(), ends.tolist(), strict=True)]
        found, wanted = median(seen), statistics.median(true.tolist())
        if found.is_censored:
            n_bounds += 1
            assert found.seconds <= wanted
        else:
            # One that was censored early may have come before the middle; then infinity is too long, never too short.
            assert found.seconds >= wanted
    assert n_bounds > 100


def test_no_times_have_no_median() -> None:
    with pytest.raises(ValueError, match="expected at least one time, got none"):
        median([])


def test_the_goal_lies_half_way_from_the_cap_to_the_best_of_all_runs() -> None:
    runs = [run_of("ours", 1, (0, 0.0), (10, 3.0), (20, 2.0)), run_of("theirs", 1, (0, 0.0), (30, 5.0))]
    assert goal_of(1.0, runs) == 3.0
    assert math.isnan(goal_of(5.0, runs))


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (Median(60.0, False), Median(900.0, False), "15"),
        (Median(60.0, False), Median(1200.0, True), "at least 20"),
        (Median(170.0, True), Median(1200.0, False), "unknown: ours did not arrive in most runs"),
        (Median(0.0, False), Median(1200.0, False), "without meaning: ours arrived before it learned"),
    ],
)
def test_a_ratio_says_what_it_does_not_know(ours: Median, theirs: Median, words: str) -> None:
    assert ratio_words(ours, theirs) == words


def test_durations_are_told_to_three_digits() -> None:
    assert [duration(seconds) for seconds in (9.87654, 119.0, 120.0, 754.0)] == ["9.88 s", "119 s", "2 min", "12.6 min"]


def report_of(runs: list[Run]) -> list[str]:
    setting: dict[str, Any] = SETTING
    return report(CAP, runs, setting).splitlines()


def test_the_report_shows_all_runs_medians_and_ratio() -> None:
    ours = [run_of("ours", seed, (0, 0.0), (10, 1.5), (20.0 + seed, 3.0)) for seed in (1, 2, 3)]
    theirs = [run_of("theirs", seed, (0, 0.0), (1200, 1.5)) for seed in (1, 2, 3)]
    lines = report_of(ours + theirs)
    assert "- goal, half-way between: 2.0000" in lines
    assert "| ours | 1 | 21 s | 2,100 | 3.0000 | 3.0000 | 21 s | 50% | 2,100 | 100 |" in lines
    assert "| theirs | 3 | > 20 min | - | 1.5000 | 1.5000 | 20 min | 50% | 120,000 | 100 |" in lines
    assert "| ours | 3 | 3 | 22 s |" in lines
    assert "| theirs | 3 | 0 | > 20 min |" in lines
    assert "Median of theirs over median of ours: at least 54.5." in lines


def test_a_third_learner_is_shown_and_does_not_set_the_goal() -> None:
    runs = [run_of("ours", 1, (0, 0.0), (10, 3.0)), run_of("theirs", 1, (0, 0.0), (30, 3.0))]
    lines = report_of([*runs, run_of("tuned", 1, (0, 0.0), (60, 9.0))])
    assert "- goal, half-way between: 2.0000" in lines
    assert "| tuned | 1 | 1 | 60 s |" in lines
    assert "Median of theirs over median of ours: 3." in lines


def test_where_nobody_beats_the_cap_there_is_no_goal_and_no_time() -> None:
    lines = report_of([run_of("ours", 1, (0, 0.0), (10, 0.9)), run_of("theirs", 1, (0, 0.0))])
    assert "- goal: none, because no run was ever above the cap" in lines
    assert "| ours | 1 | - | - | 0.9000 | 0.9000 | 10 s | 50% | 1,000 | 100 |" in lines
    assert not any("Median" in line for line in lines)


def test_a_missing_learner_is_told() -> None:
    with pytest.raises(ValueError, match="at least one finished run of 'theirs', got none"):
        report_of([run_of("ours", 1, (0, 0.0), (10, 3.0))])
