"""Switchbacks against enumeration of every assignment, against Welch and a permutation test; what is refused."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, permutation_test, ttest_ind

from experiments.planning.switchback import analyse, horvitz_thompson
from experiments.planning.switchback_design import SwitchbackDesign, minimax_design, regular_design
from experiments.planning.trial import Bools, Floats


def assignments(design: SwitchbackDesign) -> list[tuple[Bools, float]]:
    """Every assignment and its probability."""
    found = []
    for coins in product([False, True], repeat=design.n_blocks):
        is_treated = np.asarray(coins)
        n = int(is_treated.sum())
        found.append((is_treated, design.treated_prob**n * (1 - design.treated_prob) ** (design.n_blocks - n)))
    return found


def lagged_outcomes(design: SwitchbackDesign, is_treated: Bools, effects: Floats, base: Floats) -> Floats:
    """Outcomes to which the treatment of a period adds, now and later: effects by lag, shape (m + 1,)."""
    treated = is_treated[design.block_of].astype(np.float64)
    lags = [np.concatenate([np.zeros(lag), treated[: len(treated) - lag]]) for lag in range(len(effects))]
    found: Floats = base + sum(effect * lag for effect, lag in zip(effects, lags, strict=True))
    return found


@pytest.mark.parametrize("treated_prob", [0.5, 0.3])
@pytest.mark.parametrize(
    "design", [regular_design(12, 3), minimax_design(12, 2), SwitchbackDesign(11, (0, 1, 5, 6, 9))]
)
def test_weighting_by_paths_is_unbiased_over_every_assignment(design: SwitchbackDesign, treated_prob: float) -> None:
    design = SwitchbackDesign(design.n_periods, design.starts, treated_prob)
    base = np.random.default_rng(1).normal(size=design.n_periods)
    effects = np.asarray([0.7, -0.2, 0.1])
    expected = sum(
        prob
        * horvitz_thompson(
            design, coins, lagged_outcomes(design, coins, effects, base), carry_over_periods=len(effects) - 1
        )
        for coins, prob in assignments(design)
    )
    assert expected == pytest.approx(float(effects.sum()), abs=1e-12)


def test_dropping_the_carry_over_leaves_the_effect_and_keeping_it_does_not() -> None:
    design = regular_design(32, 4)
    effects = np.asarray([1.0, 0.5, 0.25])
    base = np.zeros(design.n_periods)
    found: dict[int, list[float]] = {0: [], 2: []}
    for coins, _ in assignments(design):
        if 2 <= coins.sum() <= design.n_blocks - 2:
            outcomes = lagged_outcomes(design, coins, effects, base)
            for carry_over, differences in found.items():
                result = analyse(design, coins, outcomes, carry_over_periods=carry_over)
                differences.append(result.difference.mean)
    assert np.asarray(found[2]) == pytest.approx(1.75)
    assert np.mean(found[0]) < 1.6


def test_over_assignments_the_difference_is_unbiased_and_its_variance_conservative() -> None:
    """Neyman (1923): with a fixed number of treated blocks the estimated variance is on average at least the true."""
    design = regular_design(27, 3)
    rng = np.random.default_rng(8)
    base, effect = rng.normal(size=27), rng.normal(0.4, 1.0, size=27)
    means, variances = [], []
    for coins, _ in assignments(design):
        if coins.sum() == 4:
            outcomes = base + effect * coins[design.block_of]
            found = analyse(design, coins, outcomes, carry_over_periods=1)
            means.append(found.difference.mean)
            variances.append(found.difference.standard_error**2)
    kept = design.is_kept(1)
    assert np.mean(means) == pytest.approx(float(effect[kept].mean()), abs=1e-12)
    by_block = effect[kept].reshape(9, 2).mean(axis=1)
    # Exactly: the surplus is the variance of the blocks' effects over their number.
    assert np.mean(variances) - np.var(means) == pytest.approx(by_block.var(ddof=1) / 9, abs=1e-12)


def test_equal_blocks_are_welch_on_block_means() -> None:
    design = regular_design(60, 5)
    rng = np.random.default_rng(2)
    coins = np.asarray([True, False, False, True, True, False, False, True, False, False, False, True])
    outcomes = rng.normal(size=60) + rng.normal(size=12)[design.block_of]
    found = analyse(design, coins, outcomes, carry_over_periods=2, level=0.1)
    means = outcomes.reshape(12, 5)[:, 2:].mean(axis=1)
    welch = ttest_ind(means[coins], means[~coins], equal_var=False)
    interval = welch.confidence_interval(0.9)
    assert found.difference.mean == pytest.approx(means[coins].mean() - means[~coins].mean(), abs=1e-12)
    assert found.degrees == pytest.approx(welch.df)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), abs=1e-10)
    assert found.n_kept == 36


def test_the_randomisation_test_is_the_exact_permutation_test() -> None:
    design = regular_design(40, 4)
    rng = np.random.default_rng(3)
    coins = np.arange(10) % 3 == 0
    outcomes = rng.normal(size=40) + 0.8 * coins[design.block_of]
    found = analyse(design, coins, outcomes, carry_over_periods=1)
    means = outcomes.reshape(10, 4)[:, 1:].mean(axis=1)
    library = permutation_test(
        (means[coins], means[~coins]), lambda one, other: abs(one.mean() - other.mean()), alternative="greater"
    )
    assert found.is_exact
    assert found.n_assignments == math.comb(10, 4)
    assert found.p_value == pytest.approx(library.pvalue, abs=1e-12)


def test_without_an_effect_every_p_value_is_as_rare_as_it_says() -> None:
    design = SwitchbackDesign(20, (0, 2, 4, 8, 10, 13, 15, 18))  # unequal blocks
    outcomes = np.random.default_rng(4).normal(size=20)
    found = [
        analyse(design, coins, outcomes, carry_over_periods=0).p_value
        for coins, _ in assignments(design)
        if coins.sum() == 3
    ]
    for level in np.unique(found):
        assert np.mean(np.asarray(found) <= level + 1e-12) <= level + 1e-12


def test_many_blocks_are_drawn_and_agree_with_the_normal_approximation() -> None:
    design = regular_design(400, 4)
    rng = np.random.default_rng(5)
    coins = design.assign(rng)
    outcomes = rng.normal(size=400)
    found = analyse(design, coins, outcomes, carry_over_periods=0, rng=rng)
    assert not found.is_exact
    z = abs(found.difference.mean) / found.difference.standard_error
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.03)
    clear = analyse(design, coins, outcomes + 5 * coins[design.block_of], carry_over_periods=0)
    assert clear.p_value == 1 / 10_000


def worst_variance(design: SwitchbackDesign, carry_over_periods: int) -> float:
    """Of the estimate when each outcome is 1, which the paper proves to be the worst for outcomes within +-1."""
    ones = np.ones(design.n_periods)
    return sum(
        prob * horvitz_thompson(design, coins, ones, carry_over_periods=carry_over_periods) ** 2
        for coins, prob in assignments(design)
    )


@pytest.mark.parametrize(("n_periods", "carry_over_periods"), [(4, 1), (6, 1), (7, 1), (8, 2), (4, 0)])
def test_no_other_blocks_have_a_smaller_worst_variance(n_periods: int, carry_over_periods: int) -> None:
    others = [
        SwitchbackDesign(n_periods, (0, *(t for t, is_start in enumerate(starts, start=1) if is_start)))
        for starts in product([False, True], repeat=n_periods - 1)
    ]
    least = min(worst_variance(design, carry_over_periods) for design in others)
    best = minimax_design(n_periods, carry_over_periods)
    assert worst_variance(best, carry_over_periods) == pytest.approx(least, abs=1e-12)


def test_coins_fall_as_they_should() -> None:
    design = regular_design(20_000, 1, treated_prob=0.2)
    n_treated = int(design.assign(np.random.default_rng(6)).sum())
    assert binom.ppf(5e-7, 20_000, 0.2) <= n_treated <= binom.isf(5e-7, 20_000, 0.2)


def test_blocks_and_what_is_kept() -> None:
    design = regular_design(7, 3)
    assert design.block_of.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert design.is_kept(1).tolist() == [False, True, True, False, True, True, False]
    assert minimax_design(12, 2).starts == (0, 4, 6, 8)


def test_words_and_plain_data() -> None:
    design = regular_design(24, 4)
    coins = np.asarray([True, False, True, False, True, False])
    found = analyse(design, coins, np.arange(24.0), carry_over_periods=1)
    assert "from 3 treated blocks and 3 others, 18 of 24 periods kept" in found.in_words()
    assert "over all 20 assignments" in found.in_words()
    assert json.loads(json.dumps(found.to_dict()))["p_value"] == found.p_value


COINS = np.asarray([True, False, True, False])


@pytest.mark.parametrize(
    ("design", "coins", "carry_over", "message"),
    [
        (
            regular_design(8, 2),
            COINS[:3],
            0,
            r"analyse: is_treated: expected booleans of shape \(4,\), one for each block",
        ),
        (regular_design(8, 2), COINS * 1, 0, "is_treated: .* got int64 of shape"),
        (regular_design(8, 2), COINS, 2, "got 2, which leaves nothing of 4 blocks, the first of them block 0"),
        (regular_design(8, 2), COINS, -1, "carry_over_periods: expected at least 0, got -1"),
        (
            regular_design(8, 2),
            np.arange(4) == 1,
            0,
            "2 blocks in each arm, got 1 treated and 3 others: make blocks shorter",
        ),
        (regular_design(9, 2), np.arange(5) < 2, 0, r"analyse: outcomes: expected shape \(9,\), got \(8,\)"),
    ],
)
def test_refusals_of_an_analysis(design: SwitchbackDesign, coins: Bools, carry_over: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analyse(design, coins, np.zeros(8), carry_over_periods=carry_over)


def test_refusals_of_a_design() -> None:
    with pytest.raises(ValueError, match=r"starts: expected rising periods from 0 to below 5, got \(0, 3, 2\)"):
        SwitchbackDesign(5, (0, 3, 2))
    with pytest.raises(ValueError, match="starts: expected rising periods"):
        SwitchbackDesign(5, (1, 3))
    with pytest.raises(ValueError, match="treated_prob: expected a number between 0 and 1"):
        regular_design(5, 1, 1.0)
    with pytest.raises(ValueError, match="block_periods: expected at least 1, got 0"):
        regular_design(5, 0)
    with pytest.raises(ValueError, match="expected a multiple of carry_over_periods = 3, at least 12, got 10"):
        minimax_design(10, 3)
    with pytest.raises(ValueError, match="horvitz_thompson: carry_over_periods: expected 0 to 7, got 8"):
        horvitz_thompson(regular_design(8, 2), COINS, np.zeros(8), carry_over_periods=8)
