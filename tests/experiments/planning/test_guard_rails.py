"""Guard rails against maximum likelihood by search, enumeration, and harm that is just at the margin."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, ttest_ind

from experiments.planning.guard_rails import (
    Guard,
    amount_guard_rail,
    likeliest_rates,
    rate_guard_rail,
    score_statistic,
    watch,
)
from experiments.planning.sequential import ConfidenceSequence, asymptotic_sequence, bounded_sequence
from experiments.planning.trial import Trial, arm_of

OPT_OUTS = Guard("opt-out rate", 0.02)


@pytest.mark.parametrize(
    ("x_1", "n_1", "x_2", "n_2"),
    [(12, 100, 7, 90), (0, 50, 0, 80), (50, 50, 20, 20), (0, 30, 30, 30), (3, 400, 9, 40), (1, 1, 0, 1)],
)
@pytest.mark.parametrize("difference", [-0.4, -0.02, 0.0, 0.05, 0.6])
def test_the_rates_under_a_margin_are_the_likeliest(x_1: int, n_1: int, x_2: int, n_2: int, difference: float) -> None:
    def loss(p_1: float) -> float:
        p_2 = p_1 - difference
        found = xlogy(x_1, p_1) + xlogy(n_1 - x_1, 1 - p_1) + xlogy(x_2, p_2) + xlogy(n_2 - x_2, 1 - p_2)
        return -float(found)

    edges = (max(0.0, difference), min(1.0, 1.0 + difference))
    searched = minimize_scalar(loss, bounds=edges, method="bounded", options={"xatol": 1e-12})
    p_1, p_2 = likeliest_rates(x_1 / n_1, x_2 / n_2, n_2 / n_1, difference)
    assert p_1 - p_2 == pytest.approx(difference, abs=1e-12)
    assert edges[0] <= p_1 <= edges[1]
    assert loss(min(max(p_1, edges[0] + 1e-12), edges[1] - 1e-12)) <= searched.fun + 1e-6


def test_without_a_margin_it_is_the_pooled_test() -> None:
    pooled = 19 / 190
    expected = (12 / 100 - 7 / 90) / math.sqrt(pooled * (1 - pooled) * (1 / 100 + 1 / 90))
    assert score_statistic(12, 100, 7, 90, 0.0) == pytest.approx(expected)


@pytest.mark.parametrize(("n_treated", "n_control"), [(150, 150), (240, 60)])
@pytest.mark.parametrize("control_prob", [0.02, 0.2])
def test_at_the_margin_both_mistakes_are_as_rare_as_they_should(
    control_prob: float, n_treated: int, n_control: int
) -> None:
    """Enumerated over all tables: harm is exactly the margin, so neither verdict is right."""
    margin, level = 0.1, 0.05
    chances = {"safe": 0.0, "stop": 0.0}
    for x in range(n_treated + 1):
        for y in range(n_control + 1):
            prob = binom_pmf(x, n_treated, control_prob + margin) * binom_pmf(y, n_control, control_prob)
            if prob > 1e-12:
                z = score_statistic(x, n_treated, y, n_control, margin)
                chances["safe"] += prob * (z < -1.6448536269514722)
                chances["stop"] += prob * (z > 1.6448536269514722)
    assert 0.3 * level < chances["safe"] < 1.35 * level
    assert 0.3 * level < chances["stop"] < 1.35 * level


def binom_pmf(x: int, n: int, prob: float) -> float:
    return math.comb(n, x) * prob**x * (1 - prob) ** (n - x)


def test_the_bounds_say_what_the_tests_do() -> None:
    for x in range(0, 60, 3):
        found = rate_guard_rail(OPT_OUTS, x, 900, 4, 300)
        z = score_statistic(x, 900, 4, 300, OPT_OUTS.margin)
        assert found.verdict == ("safe" if z < -1.6448536 else "stop" if z > 1.6448536 else "go on")
        assert found.low <= found.harm <= found.high
        assert score_statistic(x, 900, 4, 300, found.high) == pytest.approx(-1.6448536, abs=1e-5)


def test_nothing_happened_in_either_arm() -> None:
    few, many = rate_guard_rail(OPT_OUTS, 0, 20, 0, 20), rate_guard_rail(OPT_OUTS, 0, 20_000, 0, 20_000)
    assert (few.verdict, many.verdict) == ("go on", "safe")
    assert rate_guard_rail(OPT_OUTS, 20, 20, 0, 20).verdict == "stop"
    assert rate_guard_rail(OPT_OUTS, 0, 20, 20, 20).verdict == "safe"


def test_a_decrease_may_be_the_harm() -> None:
    retention = Guard("retention", 0.02, "decrease")
    found = rate_guard_rail(retention, 500, 1000, 600, 1000)
    assert found.verdict == "stop"
    assert found.harm == pytest.approx(0.1)
    assert "the decrease of the retention is 0.1" in found.in_words()
    mirrored = rate_guard_rail(OPT_OUTS, 500, 1000, 400, 1000)  # who was not retained
    assert (found.low, found.high) == pytest.approx((mirrored.low, mirrored.high), abs=1e-9)
    assert rate_guard_rail(retention, 600, 1000, 500, 1000).verdict == "safe"


def test_means_are_welch_with_a_margin() -> None:
    rng = np.random.default_rng(1)
    treated, control = rng.normal(1.0, 2.0, size=80), rng.normal(1.4, 1.0, size=30)
    found = amount_guard_rail(Guard("value", 0.5, "decrease"), arm_of(treated), arm_of(control), level=0.1)
    interval = ttest_ind(control, treated, equal_var=False).confidence_interval(0.8)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def constant_sequence(lows: list[float], highs: list[float]) -> ConfidenceSequence:
    low, high = np.asarray(lows), np.asarray(highs)
    return ConfidenceSequence("by hand", 0.05, (low + high) / 2, low, high)


def test_the_first_clear_look_decides_and_stays() -> None:
    sequence = constant_sequence([-0.1, 0.01, 0.03, -0.1, -0.1], [0.2, 0.1, 0.05, 0.01, 0.1])
    found = watch(OPT_OUTS, sequence)
    assert (found.verdict, found.n_users) == ("stop", 3)
    assert "after 3 users the increase of the opt-out rate is 0.04" in found.reason
    assert found.in_words().startswith("Stop: ")
    assert watch(OPT_OUTS, constant_sequence([-0.1, -0.2], [0.1, 0.01])).verdict == "safe"
    assert watch(OPT_OUTS, constant_sequence([-0.1, 0.03], [0.01, 0.1])).verdict == "safe"
    undecided = watch(OPT_OUTS, constant_sequence([-0.1, 0.0], [0.1, 0.05]))
    assert undecided.verdict == "go on"
    assert "lies between the bounds" in undecided.in_words()
    mirrored = watch(Guard("retention", 0.02, "decrease"), constant_sequence([-0.05], [-0.03]))
    assert (mirrored.verdict, mirrored.low, mirrored.high) == ("stop", 0.03, 0.05)
    silent = watch(
        OPT_OUTS, ConfidenceSequence("by hand", 0.05, *(np.asarray([x, x]) for x in (0.0, -math.inf, math.inf)))
    )
    assert silent.in_words() == "Go on: 2 users do not say anything of the opt-out rate yet."
    assert json.loads(json.dumps(silent.to_dict()))["low"] is None


def opt_out_trial(seed: int, harm: float, n: int = 4000) -> Trial:
    rng = np.random.default_rng([seed, 3])
    is_treated = rng.random(n) < 0.5
    return Trial(is_treated, (rng.random(n) < 0.03 + harm * is_treated).astype(np.float64))


def test_at_the_margin_watching_all_the_time_decides_seldom() -> None:
    guard = Guard("opt-out rate", 0.04)
    n_paths, wrong = 400, {"asymptotic": 0, "bounded": 0}
    for seed in range(n_paths):
        trial = opt_out_trial(seed, harm=guard.margin)
        wrong["asymptotic"] += watch(guard, asymptotic_sequence(trial, planned_users=1000)).verdict != "go on"
        wrong["bounded"] += watch(guard, bounded_sequence(trial)).verdict != "go on"
    assert max(wrong.values()) <= binom.isf(1e-6, n_paths, 0.05)


def test_harm_is_stopped_early_and_harmlessness_is_found() -> None:
    guard = Guard("opt-out rate", 0.04)
    harmful = [watch(guard, asymptotic_sequence(opt_out_trial(s, 0.15), planned_users=1000)) for s in range(50)]
    harmless = [watch(guard, asymptotic_sequence(opt_out_trial(s, 0.0), planned_users=2000)) for s in range(50)]
    assert {each.verdict for each in harmful} == {"stop"}
    assert np.median([each.n_users for each in harmful]) < 1000
    assert {each.verdict for each in harmless} == {"safe"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Guard("opt-outs", 0.0), "guard 'opt-outs': margin: expected a number between 0 and inf"),
        (lambda: Guard("r", 0.1, "less"), "guard 'r': harm_is: expected 'increase' or 'decrease', got 'less'"),  # type: ignore[arg-type]
        (lambda: rate_guard_rail(OPT_OUTS, 5, 4, 0, 10), "treated: expected 0 to n events of n >= 1 users, got 5 of 4"),
        (lambda: rate_guard_rail(OPT_OUTS, 0, 4, 0, 0), "control: expected 0 to n events of n >= 1 users, got 0 of 0"),
        (
            lambda: rate_guard_rail(Guard("r", 2.0), 0, 4, 0, 4),
            r"r: margin: expected below 1, got 2; did you mean 0.02\?",
        ),
        (lambda: rate_guard_rail(OPT_OUTS, 0, 4, 0, 4, level=0.6), "level: expected a number between 0 and 0.5"),
        (
            lambda: amount_guard_rail(OPT_OUTS, arm_of(np.ones(1)), arm_of(np.ones(3))),
            "amount_guard_rail: expected at least 2 users in each arm, got 1 and 3",
        ),
        (lambda: watch(OPT_OUTS, constant_sequence([], [])), "sequence: expected at least one user, got none"),
    ],
)
def test_refusals(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
