"""Sample sizes and power against enumeration, other distributions and simulation; what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, chi2_contingency, nct, norm, t

from experiments.planning.design import Arrivals, Design, Repeats
from experiments.planning.metrics import Amount, Rate
from experiments.planning.power import plan_test, power, smallest_effect, smallest_effect_in, users_needed
from experiments.planning.sequential import asymptotic_sequence
from experiments.planning.trial import Trial


def exact_power(treated_prob: float, control_prob: float, n_treated: int, n_control: int, level: float) -> float:
    """The pooled z-test of two rates over every pair of counts."""
    x, y = np.arange(n_treated + 1)[:, None], np.arange(n_control + 1)[None, :]
    pooled = (x + y) / (n_treated + n_control)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_treated + 1 / n_control))
    gap = np.abs(x / n_treated - y / n_control)
    is_clear = gap > norm.isf(level / 2) * error
    chances = binom.pmf(x, n_treated, treated_prob) * binom.pmf(y, n_control, control_prob)
    return float(chances[is_clear].sum())


@pytest.mark.parametrize(
    ("control", "treated", "share", "n"), [(0.3, 0.45, 0.5, 300), (0.6, 0.4, 0.7, 240), (0.1, 0.2, 0.25, 500)]
)
def test_the_power_of_rates_is_that_of_enumerating_every_table(
    control: float, treated: float, share: float, n: int
) -> None:
    design = Design(treated_share=share)
    n_treated, n_control = design.split(n)
    exact = exact_power(treated, control, n_treated, n_control, design.level)
    assert power(Rate("opened", control), treated - control, n, design) == pytest.approx(exact, abs=0.02)


def test_enumeration_uses_the_test_that_a_library_does() -> None:
    # The oracle itself: its statistic squared is chi-square without a correction.
    table = [[30, 70], [18, 82]]
    pooled = 48 / 200
    z = (0.30 - 0.18) / math.sqrt(pooled * (1 - pooled) * 2 / 100)
    assert z**2 == pytest.approx(chi2_contingency(table, correction=False).statistic)


def test_the_power_of_means_is_that_of_the_t_test_for_many_users() -> None:
    n, share, effect, sd = 400, 0.25, 0.4, 1.3
    n_treated, n_control = share * n, (1 - share) * n
    shift = effect / (sd * math.sqrt(1 / n_treated + 1 / n_control))
    bound = t.isf(0.025, n - 2)
    exact = nct.sf(bound, n - 2, shift) + nct.cdf(-bound, n - 2, shift)
    assert power(Amount("value", sd), effect, n, Design(share)) == pytest.approx(float(exact), abs=0.003)


def test_published_sizes() -> None:
    # Cohen, Statistical power analysis (1988), table 2.4.1: d = .5, power .8, two-sided .05 takes 64 an arm by the
    # t-test, of which the normal approximation knows all but one.
    assert users_needed(Amount("value", 1.0), 0.5, Design()).n_treated == 63
    # "16 s^2 / d^2 an arm": van Belle, Statistical rules of thumb (2002), 2.1, is (1.96 + .84)^2 * 2 = 15.7 rounded up.
    assert users_needed(Amount("value", 1.0), 0.01, Design()).n_treated == math.ceil(2 * 2.8015852**2 / 0.01**2)
    # Fleiss, Levin & Paik (2003), chapter 4: rates of .60 and .70 at level .01 with power .95 take 827 an arm, which
    # contains the continuity correction n / 4 (1 + sqrt(1 + 4 / (n d)))^2.
    n = users_needed(Rate("improved", 0.6), 0.1, Design(level=0.01, power=0.95)).n_treated
    assert n / 4 * (1 + math.sqrt(1 + 4 / (n * 0.1))) ** 2 == pytest.approx(827, abs=1)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.05])
@pytest.mark.parametrize("is_increase", [True, False])
@pytest.mark.parametrize("metric", [Rate("opt-out rate", 0.03), Amount("value", 4.0, 6.0, "EUR")])
def test_size_power_and_smallest_effect_are_one_equation(
    metric: Rate | Amount, is_increase: bool, share: float
) -> None:
    design = Design(treated_share=share, level=0.02, power=0.9, repeats=Repeats(4, 0.3))
    effect = smallest_effect(metric, 60_000, design, is_increase=is_increase)
    assert (effect > 0) == is_increase
    assert power(metric, effect, 60_000, design) == pytest.approx(0.9, abs=1e-9)
    size = users_needed(metric, effect, design)
    assert size.n_users == pytest.approx(60_000, abs=2)
    assert size.n_treated == pytest.approx(share * 60_000, abs=1)


def test_without_an_effect_the_power_is_the_level() -> None:
    for metric in (Rate("opt-out rate", 0.2), Amount("value", 3.0)):
        assert power(metric, 0.0, 500, Design(treated_share=0.3, level=0.07)) == pytest.approx(0.07)


def test_the_best_share_for_equal_spreads_is_a_half_and_a_holdout_costs_what_it_should() -> None:
    def needed(share: float) -> int:
        return users_needed(Amount("value", 1.0), 0.01, Design(share)).n_users

    assert needed(0.5) < min(needed(0.45), needed(0.55))
    assert needed(0.9) / needed(0.5) == pytest.approx(0.25 / (0.9 * 0.1), rel=1e-4)


def test_the_design_effect_is_the_variance_of_correlated_measurements() -> None:
    rng = np.random.default_rng(3)
    n_users, m, between = 40_000, 6, 0.3
    users = rng.normal(scale=math.sqrt(between), size=(n_users, 1))
    seen = users + rng.normal(scale=math.sqrt(1 - between), size=(n_users, m))
    repeats = Repeats(m, between)
    assert seen.mean(axis=1).var() == pytest.approx(repeats.users_factor, rel=0.04)
    assert repeats.design_effect == pytest.approx(1 + 5 * 0.3)
    assert Repeats(m, 0.0).users_factor == pytest.approx(1 / m)  # as if each came from another user
    assert Repeats(m, 1.0).users_factor == 1.0  # repeats tell nothing new
    once, often = (users_needed(Amount("value", 1.0), 0.01, Design(repeats=each)) for each in (Repeats(), repeats))
    assert often.n_users / once.n_users == pytest.approx(repeats.users_factor, rel=1e-4)


def test_unequal_numbers_of_measurements_cost_what_their_mean_varies() -> None:
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 10, size=(300, 200))  # mean 5, variance 60/9
    between = 0.4
    variance = (counts * (1 + (counts - 1) * between)).sum(axis=1) / counts.sum(axis=1) ** 2  # of the mean over all
    repeats = Repeats(5.0, between, math.sqrt(60 / 9) / 5)
    assert (variance * counts.sum(axis=1)).mean() == pytest.approx(repeats.design_effect, rel=0.02)


def test_a_test_that_is_watched_has_its_power_and_is_mostly_done_before() -> None:
    metric, effect, design = Amount("value", 1.0), 0.3, Design(treated_share=0.7)
    size = users_needed(metric, effect, design, is_watched=True)
    fixed = users_needed(metric, effect, design)
    # (3.0342 + .8416)^2 / (1.9600 + .8416)^2, where 3.0342^2 = 9.206 solves y - log(y) = 1 + log(400)
    assert size.n_users / fixed.n_users == pytest.approx(1.914, abs=0.01)
    assert "at a two-sided level of 5 %, looking at any time, takes" in size.in_words()
    times = []
    for seed in range(400):
        rng = np.random.default_rng([seed, 1])
        is_treated = rng.random(size.n_users) < 0.7
        trial = Trial(is_treated, rng.normal(size=size.n_users) + effect * is_treated, 0.7)
        times.append(asymptotic_sequence(trial, planned_users=size.n_users, first_look=30).n_users_to_clear)
    done = [each for each in times if each is not None]
    assert len(done) >= binom.ppf(1e-6, 400, design.power)
    assert np.median(done) < fixed.n_users


def test_a_plan_counts_days_in_whole_weeks() -> None:
    plan = plan_test(Rate("opt-out rate", 0.02), 0.005, Design(), Arrivals(users_per_day=700, observed_days=14))
    assert plan.days == math.ceil(plan.size.n_users / 700) + 14
    assert 7 * (plan.weeks - 1) < plan.days <= 7 * plan.weeks
    words = plan.in_words()
    assert "To see the opt-out rate change from 2 % to 2.5 % with a power of 80 %" in words
    assert f"plan {plan.weeks} whole weeks" in words
    assert json.loads(json.dumps(plan.to_dict()))["weeks"] == plan.weeks
    assert "rough guide" not in words
    assert (
        "the value change by -0.25 EUR a user" in users_needed(Amount("value", 4.0, unit="EUR"), -0.25, Design()).change
    )


def test_days_and_users_are_inverse() -> None:
    for arrivals in (Arrivals(10.5, 30, 7), Arrivals(0.3), Arrivals(2000.0, 0, 28)):
        for n_users in (1, 31, 500, 12_345):
            days = arrivals.days_for(n_users)
            assert arrivals.users_by(days) >= n_users
            assert days == 1 or arrivals.users_by(days - 1) < n_users
    assert Arrivals(0.0, 500, 28).days_for(500) == 28


def test_what_a_fixed_time_could_see() -> None:
    arrivals, design, rate = Arrivals(500, 1000, 7), Design(0.9), Rate("retention", 0.4)
    effect = smallest_effect_in(rate, 28, design, arrivals, is_increase=False)
    assert effect < 0
    assert plan_test(rate, effect, design, arrivals).days == pytest.approx(28, abs=1)
    with pytest.raises(ValueError, match="expected more than the 7 days for which each user is watched, got 6"):
        smallest_effect_in(rate, 6, design, arrivals)


def test_a_plan_on_few_events_says_that_it_is_rough() -> None:
    size = users_needed(Rate("opt-out rate", 0.001), 0.05, Design(0.9))
    assert size.is_rough
    assert "take this as a rough guide" in size.in_words()
    assert size.fewest_events == pytest.approx(0.001 * size.n_control)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rate("opt-outs", 2.0), r"rate 'opt-outs': control_prob: expected .* got 2; did you mean 0.02\?"),
        (lambda: Amount("value", 0.0), "amount 'value': control_sd: expected a number between 0 and inf"),
        (lambda: Design(level=5), r"design: level: expected .* did you mean 0.05\?"),
        (lambda: Design(power=0.01), "design: power: expected a number between 0.05 and 1"),
        (lambda: Design(treated_share=0.0), "design: treated_share: expected .* got 0$"),
        (lambda: Repeats(0.5), "repeats: per_user: expected a finite number of at least 1, got 0.5"),
        (lambda: Repeats(2, 1.5), "repeats: intraclass_correlation: expected a number from 0 to 1, got 1.5"),
        (lambda: Repeats(2, 0.5, -1.0), "repeats: per_user_cv: expected a finite number of at least 0, got -1"),
        (lambda: Arrivals(-1.0), "arrivals: users_per_day: expected a finite number of at least 0, got -1"),
        (lambda: Arrivals(0.0), "arrivals: expected users_per_day or users_at_start above 0, got 0 for both"),
        (lambda: Arrivals(0.0, 10).days_for(11), "arrivals: expected 11 users, got 10 at the start and none a day"),
        (lambda: power(Rate("r", 0.5), 0.1, 0, Design()), "power: n_users: expected more than 0, got 0"),
        (lambda: users_needed(Rate("r", 0.5), 0.0, Design()), "effect: expected a finite number other than 0, got 0"),
        (lambda: users_needed(Rate("r", 0.9), 0.2, Design()), r"control_prob \+ effect: expected .* got 1.1"),
        (
            lambda: smallest_effect(Rate("r", 0.9), 10, Design()),
            "r: expected users enough to see some increase, got 10",
        ),
    ],
)
def test_refusals(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
