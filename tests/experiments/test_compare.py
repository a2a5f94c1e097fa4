"""Paired comparison: exact where it must be, right on average where it estimates."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.compare import Comparison, choose_baseline, compare, difference, mean_ratio
from experiments.config import load_scenario
from experiments.headlines import comparison_headline, days_ahead, policy_words, run_headline, span_words
from simulator.fleet import Fleet
from simulator.measures import Counts, Measures, measure
from simulator.records import N_METRICS, Ints, Metric
from simulator.senders import sender


def run(policy: str, **overrides: object) -> Measures:
    settings = {"population.n_users": 300, "calendar.horizon_days": 21} | overrides
    fleet = Fleet(load_scenario("ecommerce", settings))
    fleet.run(sender(policy))
    return measure(fleet)


@pytest.fixture(scope="module")
def measured() -> dict[str, Measures]:
    return {name: run(name) for name in ("never", "weekly-7", "weekly-28")}


def with_users(measures: Measures, rows: Ints, counts: Ints) -> Measures:
    return replace(measures, by_user=Counts(rows, counts))


def made_up(measures: Measures, **amounts: list[int]) -> Measures:
    """Measures of a few users of whom only some amounts are known, by metric name."""
    n = len(next(iter(amounts.values())))
    counts = np.zeros((n, N_METRICS - 1), np.int64)
    for name, amount in amounts.items():
        counts[:, Metric[name]] = amount
    return with_users(measures, np.arange(n), counts)


def test_a_policy_against_itself_differs_by_nothing(measured: dict[str, Measures]) -> None:
    again = compare({"weekly-7": measured["weekly-7"], "again": run("weekly-7")}, "weekly-7")
    for effect in again.effects:
        for change in effect.differences.values():
            assert change.estimate.mean == 0
            assert change.estimate.standard_error == 0
            assert change.paired_variance == 0
        assert effect.differences["value_eur"].times_lower == math.inf


def test_the_order_of_users_changes_nothing(measured: dict[str, Measures]) -> None:
    order = np.random.default_rng(1).permutation(300)
    users = measured["weekly-7"].by_user
    shuffled = measured | {"weekly-7": with_users(measured["weekly-7"], users.rows[order], users.counts[order])}
    assert compare(shuffled).to_dict() == compare(measured).to_dict()


def test_luck_is_shared(measured: dict[str, Measures]) -> None:
    """Without a message, two runs are the same; with some, most of a user's luck is. Seen: 8 and more."""
    for effect in compare(measured).effects[1:]:
        assert effect.differences["value_eur"].times_lower > 2
        assert effect.differences["sessions"].times_lower > 2


def test_differences_counted_by_hand(measured: dict[str, Measures]) -> None:
    silent = made_up(measured["never"], SESSIONS_ORGANIC=[3, 0, 5], MARGIN=[9_000_000_000, 0, 0])
    loud = made_up(
        measured["never"],
        SESSIONS_ORGANIC=[2, 0, 4],
        SESSIONS_DRIVEN=[2, 1, 1],
        MARGIN=[0, 9_000_000_000, 9_000_000_000],
        SEND_COST=[-1_000_000_000, -1_000_000_000, -1_000_000_000],
        OPT_OUTS_PUSH=[0, 1, 0],
        CHURNS=[0, 0, 1],
    )
    comparison = compare({"loud": loud, "never": silent})
    assert comparison.baseline == comparison.silent == "never"
    effect = comparison.effects[0]
    assert effect.value_eur == 5.0
    value = effect.differences["value_eur"]
    # Differences are -10, 8 and 8 euro.
    assert value.estimate.mean == 2.0
    assert value.paired_variance == pytest.approx(108 / 3)
    assert value.unpaired_variance == pytest.approx((27 + 27) / 3)
    assert value.times_lower == pytest.approx(0.5)
    assert value.estimate.low == pytest.approx(2 - 1.959964 * 6, abs=1e-4)
    assert effect.differences["sessions"].estimate.mean == pytest.approx(2 / 3)
    assert effect.differences["opt_outs"].estimate.mean == pytest.approx(1 / 3)
    assert effect.differences["churns"].estimate.mean == pytest.approx(1 / 3)
    assert effect.incremental_sessions is not None
    assert effect.incremental_sessions.estimate.mean == pytest.approx(2 / 3)
    assert effect.incremental_per_driven is not None
    assert effect.incremental_per_driven.mean == pytest.approx(2 / 4)
    assert effect.value_per_cost == pytest.approx(6 / 3)


def test_paired_variance_is_the_unpaired_less_twice_the_covariance() -> None:
    luck = np.random.default_rng(8)
    shared = luck.poisson(3, 500)
    one, other = shared + luck.poisson(1, 500), shared + luck.poisson(2, 500)
    change = difference(one, other)
    covariance = np.cov(one, other)[0, 1]
    assert change.paired_variance == pytest.approx(change.unpaired_variance - 2 * covariance / 500, rel=1e-12)


def test_intervals_cover_what_they_claim() -> None:
    """2,000 comparisons of 400 users: a 95 % interval covers 1900 +- 10 times.

    The bounds are 4.9 standard deviations wide (a false alarm in a million), with one more percent for the skew of
    the counts. A standard error that is 15 % too small or 20 % too large would be caught.
    """
    luck = np.random.default_rng(11)
    n_repeats, n_users = 2000, 400
    n_covered = n_ratio_covered = 0
    for _ in range(n_repeats):
        shared, extra = luck.poisson(2.0, n_users), luck.poisson(0.5, n_users)
        driven = extra + luck.poisson(0.5, n_users)
        estimate = difference(shared + extra, shared).estimate
        n_covered += estimate.low <= 0.5 <= estimate.high
        per_driven = mean_ratio(extra, driven)
        n_ratio_covered += per_driven.low <= 0.5 <= per_driven.high
    room = 4.9 * math.sqrt(0.95 * 0.05 / n_repeats) + 0.01
    assert abs(n_covered / n_repeats - 0.95) < room
    assert abs(n_ratio_covered / n_repeats - 0.95) < room


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"population.n_users": 299}, "'other' and 'never' cannot be compared: n_users is 299 and 300"),
        ({"seed": 2}, "'other' and 'never' cannot be compared: seed is 2 and 1"),
        ({"calendar.horizon_days": 20}, "'other' and 'never' cannot be compared: n_days is 20 and 21"),
    ],
)
def test_runs_of_other_populations_are_refused(
    measured: dict[str, Measures], overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare({"never": measured["never"], "other": run("never", **overrides)})


def test_users_that_do_not_match_are_refused(measured: dict[str, Measures]) -> None:
    never = measured["never"]
    others = never.by_user.rows.copy()
    others[7] = 900
    with pytest.raises(ValueError, match="'other' and 'never' cannot be compared: their users differ, first 8 and 7"):
        compare({"never": never, "other": with_users(never, others, never.by_user.counts)})
    others[7] = 8
    with pytest.raises(ValueError, match="'other': user 8 is there twice"):
        compare({"never": never, "other": with_users(never, others, never.by_user.counts)})


def test_the_baseline_is_silence_else_the_first() -> None:
    assert choose_baseline(["weekly-7", "never"]) == "never"
    assert choose_baseline(["weekly-7", "never+email"]) == "never+email"
    assert choose_baseline(["weekly-7", "always"]) == "weekly-7"
    assert choose_baseline(["weekly-7", "never"], "weekly-7") == "weekly-7"
    with pytest.raises(ValueError, match="baseline 'evening' is not among the policies: weekly-7, never"):
        choose_baseline(["weekly-7", "never"], "evening")


def test_without_silence_nothing_is_incremental(measured: dict[str, Measures]) -> None:
    comparison = compare({name: measured[name] for name in ("weekly-7", "weekly-28")})
    assert comparison.silent is None
    assert all(effect.incremental_sessions is None for effect in comparison.effects)
    assert all(effect.value_per_cost is None for effect in comparison.effects)


def test_one_user_has_no_interval(measured: dict[str, Measures]) -> None:
    one = made_up(measured["never"], SESSIONS_ORGANIC=[3])
    told = compare({"never": one, "other": one}).to_dict()
    assert told["effects"][1]["differences"]["sessions"]["standard_error"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told


# ---------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("policy", "words", "is_plural"),
    [
        ("never", "Silence", False),
        ("weekly-1", "One send a week", False),
        ("weekly-3", "Three sends a week", True),
        ("weekly-2.5", "2.5 sends a week", True),
        ("weekly-7", "One send a day", False),
        ("weekly-28", "Four sends a day", True),
        ("weekly-91", "13 sends a day", True),
        ("random-14+lru+email", "Two sends a day at random times (lru, email)", True),
        ("evening-cap-5+triggered", "The policy evening-cap-5 (triggered)", False),
    ],
)
def test_policies_in_words(policy: str, words: str, is_plural: bool) -> None:
    assert policy_words(policy) == (words, is_plural)


@pytest.mark.parametrize(("days", "words"), [(1, "1 day"), (13, "13 days"), (15, "two weeks"), (140, "20 weeks")])
def test_spans_in_words(days: int, words: str) -> None:
    assert span_words(days) == words


def with_gains(
    measured: dict[str, Measures], gains: list[float], error: float
) -> tuple[Comparison, dict[str, Measures]]:
    """A comparison of weekly-28 with silence whose value per user grows by the given amounts a day, in euro."""
    never, loud = measured["never"], measured["weekly-28"]
    counts = never.by_day.counts.copy()
    counts[:, Metric.MARGIN] += np.round(np.asarray(gains) * never.n_users * 1e9).astype(np.int64)
    runs = {"never": never, "weekly-28": replace(loud, by_day=Counts(never.by_day.rows, counts))}
    comparison = compare(runs)
    value = comparison.effects[1].differences["value_eur"]
    estimate = replace(value.estimate, mean=sum(gains), standard_error=error)
    effect = replace(comparison.effects[1], differences={"value_eur": replace(value, estimate=estimate)})
    return replace(comparison, effects=(comparison.effects[0], effect)), runs


@pytest.mark.parametrize(
    ("gains", "error", "headline"),
    [
        (
            [0.1] * 7 + [-0.1] * 14,
            0.05,
            "Four sends a day earn more than silence for 13 days, and lose EUR 0.70 a user by day 21",
        ),
        ([-0.1] * 21, 0.05, "Four sends a day lose EUR 2.10 a user by day 21 against silence"),
        ([0.1] * 21, 0.05, "Four sends a day earn EUR 2.10 a user more than silence in 21 days"),
        ([0.1] * 21, 2.0, "No policy is clearly worth more or less than silence after 21 days"),
        # An early gain that may be noise is not spoken of.
        ([0.02] + [-0.1] * 20, 0.5, "Four sends a day lose EUR 1.98 a user by day 21 against silence"),
    ],
)
def test_the_answer_in_words(measured: dict[str, Measures], gains: list[float], error: float, headline: str) -> None:
    comparison, runs = with_gains(measured, gains, error)
    assert comparison_headline(comparison, runs) == headline


def test_an_early_gain_must_stand_out(measured: dict[str, Measures]) -> None:
    for error, expected in ((0.2, 13), (2.0, 0)):
        comparison, runs = with_gains(measured, [0.1] * 7 + [-0.1] * 14, error)
        assert days_ahead(comparison.effects[1], runs["weekly-28"], runs["never"]) == expected


def test_a_run_in_words(measured: dict[str, Measures]) -> None:
    assert run_headline(measured["never"], "never").startswith("Silence earns EUR ")
    assert "% of messages are clicked" in run_headline(measured["weekly-28"], "weekly-28")
