"""The rule of early stopping, on curves made up for it."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.training.stopping import EarlyStopping
from experiments.training.trial import paired


def test_clear_gains_go_on_and_patience_ends() -> None:
    """Two users, +-1 of noise that both evaluations share: differences are exact, so each gain is clear."""
    stopping = EarlyStopping(patience=2)
    luck = np.asarray([-100.0, 100.0])
    clear = []
    stops = []
    for mean in (0.0, 1.0, 0.5, 0.9, 1.1, 1.1, 1.1):
        clear.append(stopping.judge(mean + luck).is_clear)
        stops.append(stopping.should_stop)
    #          first  gain  less   less   gain: but patience was at its end before
    assert clear == [False, True, False, False, True, False, False]
    assert stops == [False, False, False, True, False, False, True]


def test_a_gain_within_the_noise_is_not_clear_and_yet_the_best() -> None:
    rng = np.random.default_rng(5)
    stopping = EarlyStopping(patience=1)
    first = rng.normal(size=400)
    stopping.judge(first)
    change = rng.normal(size=400)
    change += 0.05 - change.mean()  # mean .05, standard error about .05
    verdict = stopping.judge(first + change)
    assert verdict.gain is not None
    assert verdict.gain.mean == pytest.approx(0.05)
    assert verdict.gain.standard_error == pytest.approx(change.std(ddof=1) / 20)
    assert (verdict.is_clear, verdict.is_best, stopping.should_stop) == (False, True, True)


def test_small_gains_add_up_until_they_are_clear_together() -> None:
    rng = np.random.default_rng(6)
    first = rng.normal(size=100)
    noise = rng.normal(size=100)
    noise -= noise.mean()
    stopping = EarlyStopping(patience=10)
    found = [stopping.judge(first + 0.05 * k + noise * (k > 0)).is_clear for k in range(8)]
    bar = 1.959963984540054 * noise.std(ddof=1) / 10
    assert bar > 0.05, "no single step may be clear, else this shows nothing"
    assert found.index(True) == int(bar / 0.05) + 1


def test_an_exact_value_has_no_interval() -> None:
    stopping = EarlyStopping(patience=2, least_gain_eur=0.01)
    clear = [stopping.judge(np.asarray([value])).is_clear for value in (1.0, 1.009, 1.011, 1.012)]
    assert clear == [False, False, True, False]
    assert paired(np.asarray([2.0]), np.asarray([1.5])).standard_error == 0.0


def test_the_earliest_of_equals_is_the_best_and_none_never_stops() -> None:
    stopping = EarlyStopping(patience=None)
    best = [stopping.judge(np.asarray([value, value])).is_best for value in (1.0, 1.0, 2.0, 1.5)]
    assert best == [True, False, True, False]
    assert not stopping.should_stop


def test_a_state_goes_on_where_it_was_taken() -> None:
    rng = np.random.default_rng(7)
    curve = [rng.normal(size=30) + 0.1 * k for k in range(12)]
    whole = EarlyStopping(patience=3)
    expected = [whole.judge(values) for values in curve]
    for cut in range(1, len(curve)):
        first, second = EarlyStopping(patience=3), EarlyStopping(patience=3)
        for values in curve[:cut]:
            first.judge(values)
        second.restore(first.state())
        assert [second.judge(values) for values in curve[cut:]] == expected[cut:]
        assert second.n_without == whole.n_without
