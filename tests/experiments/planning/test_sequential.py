"""Confidence sequences: what peeking does to a fixed interval, and not to these; their width, their closed forms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from experiments.planning.bounded import bounded_mean_bounds
from experiments.planning.sequential import (
    ConfidenceSequence,
    asymptotic_sequence,
    best_rho,
    bounded_sequence,
    mixture_sprt,
    time_uniform_factor,
)
from experiments.planning.trial import Floats, Trial

LEVEL = 0.05
FALSE_ALARM = 1e-6  # of each statistical assertion
N_PATHS = 2000
N_USERS = 1000

Draw = Callable[[np.random.Generator], Floats]
NORMAL: Draw = lambda rng: rng.normal(3.0, 2.0, size=N_USERS)  # noqa: E731
COMMON: Draw = lambda rng: (rng.random(N_USERS) < 0.3).astype(np.float64)  # noqa: E731


def trial(draw: Draw, seed: int, share: float = 0.5, effect: float = 0.0) -> Trial:
    rng = np.random.default_rng([seed, 17])
    is_treated = rng.random(N_USERS) < share
    return Trial(is_treated, draw(rng) + effect * is_treated, share)


def peeked_fixed(given: Trial, first_look: int) -> bool:
    """Whether the interval for a fixed number of users, looked at after each user, is ever clear of 0."""
    steps = []
    for rows in (given.is_treated, ~given.is_treated):
        n = np.cumsum(rows)
        mean = np.cumsum(given.outcomes * rows) / np.maximum(n, 1)
        square = np.cumsum(given.outcomes**2 * rows) / np.maximum(n, 1)
        steps.append((n, mean, (square - mean**2) / np.maximum(n - 1, 1)))
    (n, mean, error), (m, other, error_2) = steps
    is_clear = np.abs(mean - other) > norm.isf(LEVEL / 2) * np.sqrt(error + error_2)
    return bool((is_clear & (np.minimum(n, m) >= first_look)).any())


@pytest.mark.parametrize(("draw", "share"), [(NORMAL, 0.5), (NORMAL, 0.8), (COMMON, 0.5)])
def test_peeking_breaks_the_fixed_interval_and_not_the_sequences(draw: Draw, share: float) -> None:
    wrong = dict.fromkeys(("fixed", "asymptotic", "sprt"), 0)
    for seed in range(N_PATHS):
        given = trial(draw, seed, share)
        wrong["fixed"] += peeked_fixed(given, 30)
        wrong["asymptotic"] += asymptotic_sequence(given, planned_users=300, level=LEVEL, first_look=30).is_clear
        wrong["sprt"] += mixture_sprt(given, effect_sd=0.3, level=LEVEL, first_look=30).p_values[-1] <= LEVEL
    most = binom.isf(FALSE_ALARM, N_PATHS, LEVEL)  # 149 of 2,000; a rate of .10 would pass it with probability 5e-05
    assert wrong["asymptotic"] <= most
    assert wrong["sprt"] <= most
    assert wrong["fixed"] > binom.isf(FALSE_ALARM, N_PATHS, 3 * LEVEL)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_bounded_sequence_holds_from_the_first_user_also_for_rare_events(share: float) -> None:
    rare: Draw = lambda rng: (rng.random(N_USERS) < 0.02).astype(np.float64)  # noqa: E731
    for draw in (COMMON, rare):
        wrong = sum(bounded_sequence(trial(draw, seed, share), level=LEVEL).is_clear for seed in range(500))
        assert wrong <= binom.isf(FALSE_ALARM, 500, LEVEL)


def test_the_truth_is_kept_where_there_is_an_effect() -> None:
    wrong = 0
    for seed in range(1000):
        given = trial(NORMAL, seed, 0.7, effect=1.0)
        sequence = asymptotic_sequence(given, planned_users=300, first_look=30)
        wrong += sequence.first_clear_of(1.0) is not None
    assert wrong <= binom.isf(FALSE_ALARM, 1000, LEVEL)


def test_effects_are_found_and_the_closed_form_of_when() -> None:
    paths = [trial(NORMAL, seed, effect=1.0) for seed in range(200)]
    found = [asymptotic_sequence(path, planned_users=500, first_look=30).n_users_to_clear for path in paths]
    # standard error 4 / sqrt(n): the margin is 1 where 4 / sqrt(n) * factor(n) = 1
    n = np.arange(1, N_USERS + 1)
    expected = int(n[4 / np.sqrt(n) * time_uniform_factor(n, best_rho(500)) <= 1.0][0])
    times = [each for each in found if each is not None]
    assert len(times) > 195
    assert np.median(times) < expected  # by then half the paths lie above the effect, and some crossed before
    assert np.quantile(times, 0.95) > expected


def test_rho_minimises_the_margin_at_the_planned_number() -> None:
    for n, level in ((100, 0.05), (25_000, 0.01), (7, 0.2)):
        least = minimize_scalar(
            lambda log_rho, n=n, level=level: float(time_uniform_factor(np.asarray(n), math.exp(log_rho), level)),
            bounds=(-12, 4),
            method="bounded",
            options={"xatol": 1e-10},
        )
        rho = best_rho(n, level)
        assert rho == pytest.approx(math.exp(least.x), rel=1e-3)
        # There the factor is the root of the solution y of y - log(y) = 1 - 2 log(level), and rho^2 n is y - 1.
        y = n * rho**2 + 1
        assert y - math.log(y) == pytest.approx(1 - 2 * math.log(level))
        assert float(time_uniform_factor(np.asarray(n), rho, level)) == pytest.approx(math.sqrt(y))


def test_the_width_where_it_was_planned_beside_the_fixed_interval() -> None:
    given = trial(NORMAL, 1)
    sequence = asymptotic_sequence(given, planned_users=N_USERS)
    fixed = norm.isf(LEVEL / 2) * math.sqrt(given.treated.squared_error + given.control.squared_error)
    # y - log(y) = 1 + log(400) is solved by 9.2051: sqrt(9.2051) / 1.95996 = 1.548
    assert (sequence.high[-1] - sequence.low[-1]) / 2 / fixed == pytest.approx(1.548, abs=1e-3)
    assert sequence.estimate[-1] == pytest.approx(given.treated.mean - given.control.mean, abs=1e-12)


def test_every_step_is_what_the_users_so_far_say() -> None:
    given = trial(NORMAL, 5, 0.3)
    whole = asymptotic_sequence(given, planned_users=400)
    sprt = mixture_sprt(given, effect_sd=0.5)
    bounded = bounded_sequence(given, lowest=-20, highest=20)
    for n in (400, 700, 999):
        part = Trial(given.is_treated[:n], given.outcomes[:n], 0.3)
        assert asymptotic_sequence(part, planned_users=400).low[-1] == pytest.approx(whole.low[n - 1], abs=1e-9)
        assert mixture_sprt(part, effect_sd=0.5).p_values[-1] == pytest.approx(sprt.p_values[n - 1], rel=1e-9)
        assert bounded_sequence(part, lowest=-20, highest=20).high[-1] == pytest.approx(bounded.high[n - 1], abs=1e-9)
        error = math.sqrt(part.treated.squared_error + part.control.squared_error)
        factor = float(time_uniform_factor(np.asarray(n), best_rho(400)))
        assert whole.high[n - 1] - whole.estimate[n - 1] == pytest.approx(factor * error, rel=1e-9)


def test_the_bounded_sequence_is_that_of_effects_known_from_the_past_alone() -> None:
    rng = np.random.default_rng(8)
    is_treated = rng.random(400) < 0.6
    outcomes = 2 + 2 * rng.beta(2, 1, size=400)
    effects, past = [], [0.5]
    for treated, outcome in zip(is_treated, outcomes, strict=True):
        y = (outcome - 2) / 2
        effects.append((y - sum(past) / len(past)) * (1 / 0.6 if treated else -1 / 0.4))
        past.append(y)
    low, high = bounded_mean_bounds((np.asarray(effects) + 2.5) / 5, level=0.1, planned=200)
    found = bounded_sequence(Trial(is_treated, outcomes, 0.6), lowest=2, highest=4, planned_users=200, level=0.1)
    assert -1 < found.low[-1] < found.high[-1] < 1  # and so not the bounds that are clear anyway
    assert found.low == pytest.approx(np.maximum(2 * (5 * low - 2.5), -2.0), abs=1e-12)
    assert found.high == pytest.approx(np.minimum(2 * (5 * high - 2.5), 2.0), abs=1e-12)


def test_outcomes_may_be_booleans_or_integers() -> None:
    given = trial(COMMON, 4)
    for outcomes in (given.outcomes > 0, given.outcomes.astype(np.int64)):
        same = Trial(given.is_treated, outcomes)
        assert (bounded_sequence(same).low == bounded_sequence(given).low).all()
        one, other = (asymptotic_sequence(each, planned_users=300) for each in (same, given))
        assert (one.low == other.low).all()
        assert same.treated == given.treated


def test_the_likelihood_ratio_is_the_mixture_integral() -> None:
    given = trial(NORMAL, 3, 0.4)
    sprt = mixture_sprt(given, effect_sd=0.4, first_look=200)
    opened = int(np.flatnonzero(np.isfinite(sprt.sequence.low))[0])
    part = Trial(given.is_treated[: opened + 1], given.outcomes[: opened + 1], 0.4)
    difference = part.treated.mean - part.control.mean
    error = math.sqrt(part.treated.squared_error + part.control.squared_error)

    def mixed(effect: float) -> float:
        return float(norm.pdf(difference, effect, error) * norm.pdf(effect, 0.0, 0.4))

    ratio = quad(mixed, -5, 5, points=[difference], epsabs=1e-13)[0] / norm.pdf(difference, 0.0, error)
    assert sprt.p_values[opened] == pytest.approx(min(1.0, 1 / ratio), rel=1e-6)


def test_the_p_value_and_the_bounds_say_the_same() -> None:
    for seed in range(40):
        sprt = mixture_sprt(trial(NORMAL, seed, effect=0.6), effect_sd=0.5, first_look=30)
        n = sprt.sequence.n_users_to_clear
        reached = np.flatnonzero(sprt.p_values <= LEVEL)
        assert n == (int(reached[0]) + 1 if len(reached) else None)
        assert (np.diff(sprt.p_values) <= 0).all()


def test_both_are_one_mixture_where_the_variance_is_known() -> None:
    # Users by turns, outcomes +-1 by turns in each arm: the standard error is 2 / sqrt(n), up to n - 1.
    is_treated = np.tile([True, False], 2000)
    outcomes = np.tile([1.0, 1.0, -1.0, -1.0], 1000)
    given = Trial(is_treated, outcomes)
    asymptotic = asymptotic_sequence(given, planned_users=2000)
    sprt = mixture_sprt(given, effect_sd=2 * best_rho(2000))
    assert asymptotic.high[-1] == pytest.approx(sprt.sequence.high[-1], rel=1e-3)


def test_nothing_is_said_before_an_arm_has_shown_what_is_unusual() -> None:
    outcomes = np.zeros(3000)
    is_treated = np.tile([True, False], 1500)
    outcomes[np.flatnonzero(is_treated)[:50]] = 1.0
    outcomes[np.flatnonzero(~is_treated)[::150]] = 1.0
    sequence = asymptotic_sequence(Trial(is_treated, outcomes), planned_users=1000)
    tenth = np.flatnonzero(~is_treated)[::150][9]
    assert np.isinf(sequence.low[:tenth]).all()
    assert np.isfinite(sequence.low[tenth:]).all()
    silent = asymptotic_sequence(Trial(is_treated, np.ones(3000)), planned_users=1000)
    assert np.isinf(silent.low).all()
    assert "too few to say anything" in silent.in_words()
    assert silent.to_dict()["low"] is None


def test_an_arm_that_nobody_is_in_says_nothing() -> None:
    given = Trial(np.ones(300, np.bool_), np.arange(300.0))
    assert np.isinf(asymptotic_sequence(given, planned_users=100).high).all()
    assert mixture_sprt(given, effect_sd=1.0).p_values[-1] == 1.0


def test_units_do_not_matter() -> None:
    given = trial(COMMON, 9, 0.3)
    scaled = Trial(given.is_treated, np.asarray(1000 * given.outcomes + 5e4, np.float64), 0.3)
    for one, other in (
        (asymptotic_sequence(given, planned_users=300), asymptotic_sequence(scaled, planned_users=300)),
        (mixture_sprt(given, effect_sd=0.1).sequence, mixture_sprt(scaled, effect_sd=100.0).sequence),
        (bounded_sequence(given), bounded_sequence(scaled, lowest=5e4, highest=5.1e4)),
    ):
        assert other.low == pytest.approx(1000 * one.low, rel=1e-7)
        assert other.high == pytest.approx(1000 * one.high, rel=1e-7)


def test_words_and_plain_data() -> None:
    found = mixture_sprt(trial(NORMAL, 2, effect=2.0), effect_sd=1.0)
    assert "clear of 0 at user" in found.in_words()
    assert "Always-valid p-value" in found.in_words()
    record = json.loads(json.dumps(found.to_dict()))
    assert record["sequence"]["n_users_to_clear"] == found.sequence.n_users_to_clear
    again = ConfidenceSequence("by hand", 0.05, np.zeros(2), np.asarray([0.1, -0.1]), np.asarray([0.3, 0.1]))
    assert again.in_words().endswith("clear of 0 at user 1, which stands although the bounds hold 0 again.")
    unclear = asymptotic_sequence(trial(NORMAL, 2), planned_users=300)
    assert "no difference is not ruled out yet" in unclear.in_words()
    assert "3.0" not in repr(unclear)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: asymptotic_sequence(g, planned_users=0), "planned_users: expected more than 0, got 0"),
        (lambda g: asymptotic_sequence(g, planned_users=9, level=5), r"level: .* got 5; did you mean 0.05\?"),
        (
            lambda g: asymptotic_sequence(g, planned_users=9, first_look=1),
            "first_look: expected at least 2 users in each",
        ),
        (lambda g: mixture_sprt(g, effect_sd=0.0), "mixture_sprt: effect_sd: expected a number between 0 and inf"),
        (lambda g: mixture_sprt(g, effect_sd=1.0, first_look=0), "mixture_sprt: first_look: expected at least 2"),
        (lambda g: bounded_sequence(g, highest=2.0), r"bounded_sequence: outcomes: expected 0 to 2, got 3 in row 1"),
        (
            lambda g: bounded_sequence(g, lowest=3.0, highest=1.0),
            "bounded_sequence: highest: expected .* between 3 and inf",
        ),
        (
            lambda g: Trial(np.asarray([1, 0]), np.ones(2)),
            "is_treated: expected an array of booleans .* got int64 of shape",
        ),
        (lambda g: Trial(np.ones(0, np.bool_), np.ones(0)), "trial: is_treated: expected at least one user, got none"),
        (lambda g: Trial(np.ones(2, np.bool_), np.ones(3)), r"trial: outcomes: expected shape \(2,\), got \(3,\)"),
        (lambda g: Trial(np.ones(2, np.bool_), np.asarray([1.0, np.nan])), "finite numbers, got 1 .* in rows 1"),
        (lambda g: Trial(np.ones(2, np.bool_), np.ones(2), 50), r"treated_share: .* got 50; did you mean 0.5\?"),
        (lambda g: Trial(np.ones(2, np.bool_), np.asarray(["a", "b"])), "expected an array of numbers"),
    ],
)
def test_refusals(call: Callable[[Trial], object], message: str) -> None:
    given = Trial(np.asarray([True, False]), np.asarray([1.0, 3.0]))
    with pytest.raises(ValueError, match=message):
        call(given)
