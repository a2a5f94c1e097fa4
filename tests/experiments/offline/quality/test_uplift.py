"""Uplift curves: by hand with exact fractions, over all orders of ties, and in a world whose effects are known."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.offline.quality.rows import Trial
from experiments.offline.quality.uplift import (
    CurveForm,
    UpliftCurve,
    contributions,
    perfect_curve,
    uplift_at,
    uplift_curve,
)

Floats = npt.NDArray[np.float64]
FORMS: tuple[CurveForm, ...] = ("qini", "uplift", "gain")
Row = tuple[int, int, Fraction]  # outcome, whether treated, propensity


def by_hand(rows: Sequence[Row]) -> dict[str, list[Fraction]]:
    """The three curves of rows in this order, one height after each row."""
    zero = Fraction(0)
    totals = [sum((t / e for _, t, e in rows), zero), sum(((1 - t) / (1 - e) for _, t, e in rows), zero)]
    n_t = y_t = n_c = y_c = zero
    heights: dict[str, list[Fraction]] = {form: [zero] for form in FORMS}
    for k, (outcome, t, e) in enumerate(rows, 1):
        n_t, y_t = n_t + t / e, y_t + outcome * t / e
        n_c, y_c = n_c + (1 - t) / (1 - e), y_c + outcome * (1 - t) / (1 - e)
        expected = y_c * n_t / n_c if n_c else zero
        means = y_t / n_t if n_t else zero, y_c / n_c if n_c else zero
        heights["qini"].append((y_t - expected) / totals[0])
        heights["uplift"].append(Fraction(k, len(rows)) * (means[0] - means[1]))
        heights["gain"].append(y_t / totals[0] - y_c / totals[1])
    return heights


def trial_of(rows: Sequence[Row], scores: Sequence[float]) -> Trial:
    outcomes, treated, propensities = zip(*rows, strict=True)
    return Trial.of(outcomes, treated, scores, [float(e) for e in propensities])


HALF, THIRD, MOST = Fraction(1, 2), Fraction(1, 3), Fraction(4, 5)
UNIFORM: list[Row] = [(y, t, HALF) for y, t in ((1, 1), (0, 0), (1, 1), (0, 1), (1, 0), (0, 0), (1, 0))]
MIXED: list[Row] = [
    (y, t, e) for (y, t, _), e in zip(UNIFORM, (HALF, THIRD, MOST, HALF, MOST, THIRD, HALF), strict=True)
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [UNIFORM, MIXED])
def test_curves_by_hand(rows: list[Row], form: CurveForm) -> None:
    curve = uplift_curve(trial_of(rows, [7, 6, 5, 4, 3, 2, 1]), form)
    expected = by_hand(rows)[form]
    np.testing.assert_allclose(curve.shares, np.arange(8) / 7, atol=1e-15)
    np.testing.assert_allclose(curve.heights, [float(height) for height in expected], atol=1e-15)
    area = sum((a + b) / 14 for a, b in pairwise(expected))
    assert curve.area == pytest.approx(float(area), abs=1e-15)
    assert curve.over_random == pytest.approx(float(area - expected[-1] / 2), abs=1e-15)
    assert curve.effect == pytest.approx(float(expected[-1]), abs=1e-15)


def test_figures_worked_out_on_paper() -> None:
    """First four rows: three treated with 2 of 3 responding, one control with 0 of 1; all: 2/3 against 2/4."""
    trial = trial_of(UNIFORM, [7, 6, 5, 4, 3, 2, 1])
    assert uplift_at(trial, 4 / 7) == pytest.approx(2 / 3)
    assert uplift_at(trial, 1.0) == pytest.approx(2 / 3 - 2 / 4)
    # The share .5 holds half of the fourth row: 2 of 2.5 treated respond.
    assert uplift_at(trial, 0.5) == pytest.approx(2 / 2.5)
    qini = uplift_curve(trial, "qini")
    assert qini.at(4 / 7) == pytest.approx(2 / 3)  # 2 responders over 3 treated
    assert qini.at(5 / 7) == pytest.approx((2 - 1 * 3 / 2) / 3)  # two controls, one of whom responds
    perfect = perfect_curve(trial, "qini")  # treated responders, those without a response, untreated responders
    assert perfect.at(2 / 7) == pytest.approx(2 / 3)
    assert perfect.at(5 / 7) == pytest.approx(2 / 3)
    assert perfect.at(1) == pytest.approx(2 / 3 - 2 / 4)


def orders_allowed(scores: Sequence[float]) -> list[tuple[int, ...]]:
    """All orders in which scores do not rise, up to 7! of them."""
    return [order for order in permutations(range(7)) if all(scores[a] >= scores[b] for a, b in pairwise(order))]


def added(rows: Sequence[Row]) -> Floats:
    """What each row adds to N_t, Y_t, N_c, Y_c, shape (7, 4)."""
    return np.asarray(
        [[float(part) for part in (t / e, y * t / e, (1 - t) / (1 - e), y * (1 - t) / (1 - e))] for y, t, e in rows]
    )


TIED = ([2, 2, 2, 2, 2, 2, 2], [3, 3, 3, 2, 2, 2, 1], [1, 5, 5, 5, 5, 2, 2])


@pytest.mark.parametrize("scores", TIED)
@pytest.mark.parametrize("rows", [UNIFORM, MIXED])
def test_the_gain_of_ties_is_the_mean_over_all_orders(rows: list[Row], scores: list[int]) -> None:
    sums, orders = added(rows), orders_allowed(scores)
    steps = sums[:, 1] / sums[:, 0].sum() - sums[:, 3] / sums[:, 2].sum()
    heights = np.concatenate([[0.0], np.mean([np.cumsum(steps[list(order)]) for order in orders], axis=0)])
    curve = uplift_curve(trial_of(rows, scores), "gain")
    np.testing.assert_allclose(curve.heights, heights, atol=1e-12)
    assert curve.area == pytest.approx(float(np.trapezoid(heights, np.arange(8) / 7)), abs=1e-12)


@pytest.mark.parametrize("scores", TIED)
@pytest.mark.parametrize("rows", [UNIFORM, MIXED])
def test_other_figures_of_ties_divide_the_means_of_sums(rows: list[Row], scores: list[int]) -> None:
    sums, orders = added(rows), orders_allowed(scores)
    means = np.mean([np.cumsum(sums[list(order)], axis=0) for order in orders], axis=0)
    trial = trial_of(rows, scores)
    for k, (n_t, y_t, n_c, y_c) in enumerate(means, 1):
        if n_t > 1e-12 and n_c > 1e-12:
            assert uplift_at(trial, k / 7) == pytest.approx(y_t / n_t - y_c / n_c, abs=1e-12)
            assert uplift_curve(trial, "uplift").at(k / 7) == pytest.approx(k / 7 * (y_t / n_t - y_c / n_c), abs=1e-12)
            qini = (y_t - y_c * n_t / n_c) / sums[:, 0].sum()
            assert uplift_curve(trial, "qini").at(k / 7) == pytest.approx(qini, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_ratios_are_near_the_mean_over_orders(form: CurveForm) -> None:
    """Of 600 rows with 5 distinct scores, 400 random orders of the ties: the mean within 5 of its errors."""
    rng = np.random.default_rng(4)
    scores, treated = rng.integers(0, 5, 600), rng.random(600) < 0.4
    outcomes = (rng.random(600) < 0.1 + 0.06 * scores * treated).astype(float)
    ours = uplift_curve(Trial.of(outcomes, treated, scores), form).over_random
    broken = [uplift_curve(Trial.of(outcomes, treated, scores + rng.random(600)), form).over_random for _ in range(400)]
    assert ours == pytest.approx(np.mean(broken), abs=5 * float(np.std(broken)) / 20)


@pytest.mark.parametrize("form", FORMS)
def test_a_constant_score_is_the_random_line(form: CurveForm) -> None:
    rng = np.random.default_rng(5)
    trial = Trial.of(rng.normal(size=500), rng.random(500) < 0.3, np.zeros(500), rng.uniform(0.2, 0.4, 500))
    curve = uplift_curve(trial, form)
    np.testing.assert_allclose(curve.heights, curve.effect * curve.shares, atol=1e-13)
    assert curve.over_random == pytest.approx(0.0, abs=1e-13)


# A world in which every expectation is met exactly: (effect, treated, of whom respond, control, of whom respond).
# Those with the greatest effect respond least of themselves and were treated least: naive means mislead.
WORLD = ((0.4, 20, 10, 80, 8), (0.2, 50, 20, 50, 10), (0.0, 80, 40, 20, 10), (-0.1, 90, 63, 10, 8))


def known_world(is_weighted: bool = True) -> tuple[Trial, Floats]:
    """Return the trial and the effects of the four types, each a quarter of the rows."""
    outcomes: list[int] = []
    treated: list[int] = []
    effects: list[float] = []
    propensities: list[float] = []
    for effect, n_treated, k_treated, n_control, k_control in WORLD:
        outcomes += [1] * k_treated + [0] * (n_treated - k_treated) + [1] * k_control + [0] * (n_control - k_control)
        treated += [1] * n_treated + [0] * n_control
        effects += [effect] * 100
        propensities += [n_treated / 100] * 100
    trial = Trial.of(outcomes, treated, effects, propensities if is_weighted else None)
    return trial, np.asarray([row[0] for row in WORLD])


@pytest.mark.parametrize("form", FORMS)
def test_the_true_uplift_where_it_is_known(form: CurveForm) -> None:
    trial, effects = known_world()
    for k in range(1, 5):
        assert uplift_at(trial, k / 4) == pytest.approx(effects[:k].mean(), abs=1e-12)
    assert uplift_at(trial, 0.375) == pytest.approx((0.4 + 0.2 / 2) / 1.5, abs=1e-12)  # half of the second type
    curve = uplift_curve(trial, form)
    ends = np.concatenate([[0.0], np.cumsum(effects) / 4])
    assert [curve.at(k / 4) for k in range(5)] == pytest.approx(ends.tolist(), abs=1e-12)
    assert curve.area == pytest.approx(np.trapezoid(ends, np.arange(5) / 4), abs=1e-12)


def test_without_propensities_the_naive_means_mislead() -> None:
    trial, effects = known_world(is_weighted=False)
    treated, control = 133 / 240, 36 / 160
    assert uplift_at(trial, 1.0) == pytest.approx(treated - control)
    assert abs(uplift_at(trial, 1.0) - effects.mean()) > 0.1


@pytest.mark.parametrize("form", FORMS)
def test_only_the_order_of_scores_counts(form: CurveForm) -> None:
    rng = np.random.default_rng(6)
    scores = np.round(rng.normal(size=400), 1)
    columns: dict[str, Any] = {"outcomes": rng.exponential(1.0, 400), "is_treated": rng.random(400) < 0.5}
    base = uplift_curve(Trial.of(**columns, scores=scores), form)
    for transform in (np.exp, lambda s: 3 * s - 7, np.arctan, lambda s: s**3):
        moved = uplift_curve(Trial.of(**columns, scores=transform(scores)), form)
        np.testing.assert_array_equal(moved.heights, base.heights)
    turned = rng.permutation(400)
    again = uplift_curve(Trial.of(columns["outcomes"][turned], columns["is_treated"][turned], scores[turned]), form)
    np.testing.assert_allclose(again.heights, base.heights, atol=1e-12)


def test_a_reversed_score_loses_what_the_score_gains() -> None:
    rng = np.random.default_rng(7)
    scores = rng.integers(0, 30, 300)
    outcomes, treated = rng.random(300) < 0.4, rng.random(300) < 0.5
    one, other = (uplift_curve(Trial.of(outcomes, treated, sign * scores), "gain") for sign in (1, -1))
    assert one.over_random == pytest.approx(-other.over_random, abs=1e-14)


def test_no_order_gains_more_than_the_perfect_one() -> None:
    rows = MIXED
    bound = perfect_curve(trial_of(rows, [0] * 7), "gain")
    for order in permutations(range(7)):
        curve = uplift_curve(trial_of([rows[k] for k in order], [7, 6, 5, 4, 3, 2, 1]), "gain")
        assert (curve.heights <= bound.heights + 1e-12).all()
    assert contributions(trial_of(rows, [0] * 7)).sum() == pytest.approx(bound.effect)


def test_treating_all_is_the_difference_in_means() -> None:
    rng = np.random.default_rng(8)
    outcomes, treated = rng.normal(5.0, 2.0, 1_000), rng.random(1_000) < 0.2
    trial = Trial.of(outcomes, treated, rng.normal(size=1_000))
    expected = outcomes[treated].mean() - outcomes[~treated].mean()
    assert uplift_at(trial, 1.0) == pytest.approx(expected, abs=1e-12)
    for form in FORMS:
        assert uplift_curve(trial, form).effect == pytest.approx(expected, abs=1e-12)


def test_plain_data() -> None:
    curve = uplift_curve(known_world()[0])
    plain = curve.to_dict()
    assert (plain["form"], len(plain["shares"]), plain["heights"][-1]) == ("qini", 101, pytest.approx(0.125))
    assert isinstance(curve, UpliftCurve)
