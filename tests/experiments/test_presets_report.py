"""The presets' report: its statistics against closed forms, and that it can be written."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.presets_report import (
    PRESETS,
    PROTOTYPE,
    RATES_PER_WEEK,
    Mean,
    Reading,
    bare_scenario,
    broadcast_scenario,
    mean_of,
    open_rate_change,
    rows_of,
    variance_ratio,
)


def reading(opens: list[int], deliveries: list[int]) -> Reading:
    n = len(opens)
    counts = (np.asarray(opens, np.int32), np.asarray(deliveries, np.int32))
    return Reading(1, np.zeros(n), np.zeros(n, np.int32), *counts, opt_outs_per_week=0.0)


def test_mean_has_the_textbook_error() -> None:
    found = mean_of(np.array([1.0, 2.0, 3.0, 6.0]))
    assert found.value == 3.0
    assert found.error == pytest.approx(np.sqrt(14 / 3 / 4))
    assert str(Mean(0.5, 0.25)) == "+0.500 ± 0.250"
    assert Mean(0.5, 0.25).in_errors == 2.0


def test_variance_ratio_of_independent_columns_is_one_and_of_like_ones_large() -> None:
    first = np.array([1.0, 1.0, -1.0, -1.0])
    assert variance_ratio(first, np.array([1.0, -1.0, 1.0, -1.0])) == 1.0
    assert variance_ratio(first, first + np.array([0.1, -0.1, 0.1, -0.1])) == pytest.approx(201.0)


def test_open_rate_change_pairs_the_users() -> None:
    fewer = reading([1, 0, 3, 0], [10, 10, 10, 10])
    assert open_rate_change(fewer, fewer) == Mean(0.0, 0.0)
    twice = reading([2, 0, 6, 0], [10, 10, 10, 10])
    change = open_rate_change(twice, fewer)
    assert change.value == pytest.approx(0.1)
    # Equal deliveries: the error is that of the mean of the differences in opens, over deliveries.
    assert change.error == pytest.approx(np.std([1, 0, 3, 0], ddof=1) / 2 / 10)


@pytest.mark.parametrize("preset", PRESETS)
def test_broadcasts_choose_among_eight_pushes_that_share_no_budget(preset: str) -> None:
    scenario = broadcast_scenario(preset, 10)
    assert [c.category for c in scenario.campaigns] == list(range(8))
    assert all(c.budget_eur is None for c in scenario.campaigns)
    bare = bare_scenario(scenario)
    assert sum(c.quality for c in bare.campaigns) == pytest.approx(0, abs=1e-12)
    assert bare.behaviour.conversion == scenario.behaviour.conversion
    assert bare.behaviour.fatigue == scenario.behaviour.fatigue


def test_rows_hold_every_figure_of_the_prototype() -> None:
    told: list[str] = []
    rows, grid = rows_of("games", 50, told.append)
    assert len(rows) == 10
    assert [row[1] for row in rows[:4]] == [
        "0.23 / 0.15 / 0.10",
        "0.64",
        "0.078 / 0.047 / 0.015",
        "0.0009 / 0.007 / 0.058",
    ]
    assert [float(row[0]) for row in grid] == list(RATES_PER_WEEK[1:])
    assert set(PROTOTYPE) == set(PRESETS)
    assert told
