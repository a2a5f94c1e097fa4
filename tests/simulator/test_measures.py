"""Measures of a run: against a case counted by hand, against a recount of the journal, and against themselves."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from experiments.config import load_scenario
from simulator.config import Scenario
from simulator.fleet import Fleet
from simulator.measures import CENSUS, Counts, Measures, gini, measure, ratio
from simulator.population import blank_tally
from simulator.population_run import blank_books
from simulator.records import MONEY, USER, Books, Event, Metric, Reason, Records
from simulator.senders import sender

DAYS = 30


@dataclass
class MadeUpRun:
    scenario: Scenario
    users: Records
    tally: Records
    books: Books
    hour: int = 0

    def totals(self) -> Books:
        return self.books


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Enough of everything: mature and new users, push and e-mail, triggers, opt-outs and complaints."""
    overrides = {
        "population.n_users": 400,
        "population.mature_share": 0.5,
        "calendar.horizon_days": DAYS,
        "behaviour.withdrawal.email_prob": 0.05,
        "behaviour.withdrawal.complaint_prob": 0.5,
        "behaviour.sessions.survey_prob": 0.2,
    }
    run = Fleet(load_scenario("ecommerce", overrides), journal_rows=300_000)
    run.run(sender("weekly-14+triggered+email"))
    return run


@pytest.fixture(scope="module")
def measures(fleet: Fleet) -> Measures:
    return measure(fleet)


# ------------------------------------------------------------------------------------------------ counted by hand


def three_users() -> MadeUpRun:
    """One mature user, one who installs at hour 12, one at hour 100; nine days; one campaign."""
    campaign = {"kind": "scheduled", "name": "only", "category": 0}
    overrides = {"population.n_users": 3, "calendar.horizon_days": 9, "campaigns": [campaign]}
    scenario = load_scenario("ecommerce", overrides)
    users = np.zeros(3, USER)
    users["user_id"] = [0, 1, 2]
    users["is_arrival"] = [0, 1, 1]
    users["installed_hours"] = [-500.0, 12.0, 100.0]
    tally = blank_tally(users)
    books = Books(*(array[0] for array in blank_books(scenario, 1)))
    return MadeUpRun(scenario, users, tally, books, hour=9 * 24)


def test_a_small_case_counted_by_hand() -> None:
    run = three_users()
    by_day = run.books.by_day
    by_day[0, 0, Metric.SENDS] = 4
    by_day[0, 0, Metric.DELIVERIES] = 3
    by_day[1, 2, Metric.DELIVERIES] = 1
    by_day[8, 2, Metric.CLICKS] = 1
    by_day[8, 2, [Metric.MARGIN, Metric.DISCOUNT, Metric.SEND_COST]] = [9_000_000_000, -2_000_000_000, -500_000_000]
    by_day[:, 0, Metric.PRESENT_DAYS] = [1, 2, 2, 2, 2, 3, 3, 3, 2]
    by_day[:, 0, Metric.REACHABLE_DAYS] = 1
    by_day[2, 0, Metric.FATIGUE_MICRO] = 3_000_000
    by_day[:, 1, Metric.ACTIVE_DAYS] = 1
    by_day[[0, 8], 1, Metric.ACTIVE_WEEKS] = 1
    by_day[3, 0, Metric.OPT_OUTS_PUSH] = 1
    measures = measure(run)
    assert measures.n_ever.tolist() == [1, 2, 2, 2, 2, 3, 3, 3, 3, 3]
    assert measures.total.of(Metric.SENDS).tolist() == [4]
    assert measures.total.delivery_rate.tolist() == [1.0]
    assert measures.total.ctr.tolist() == [0.25]
    assert measures.by_segment.of(Metric.DELIVERIES).tolist()[:3] == [3, 0, 1]
    assert measures.by_week.of(Metric.DELIVERIES).tolist() == [4, 0]
    assert measures.by_week.of(Metric.CLICKS).tolist() == [0, 1]
    assert measures.value_per_user_eur == 6.5 / 3
    assert measures.total.benefit_cost_ratio.tolist() == [9 / 2.5]
    assert measures.dau.tolist() == [1] * 9
    assert measures.wau.tolist() == [1, 1]
    assert measures.reachable_of_present.tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3, 0.5]
    assert measures.reachable_of_ever.tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3, 1 / 3]
    assert measures.fatigue[2] == 1.5
    assert measures.opt_outs_by_channel["push"].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert measures.sends_per_user_week == 7 * 4 / 20


def test_retention_asks_only_users_observed_through_the_day() -> None:
    run = three_users()
    # The user of hour 12 lives through 8 whole days and half of a ninth, on which it is active; that of hour 100
    # through 4 whole days and 20 hours of a fifth, on which it is not, though it is on its fourth (day 3).
    run.books.by_age[1, [0, 3, 8]] = [1, 2, 1]
    run.books.by_age[0, [0, 8]] = [0, 1]
    run.tally["last_age"] = [8, 8, 3]
    measures = measure(run)
    assert measures.new.observed.tolist() == [2, 2, 2, 2, 1, 1, 1, 1, 0]
    assert measures.new.active.tolist() == [2, 0, 0, 2, 0, 0, 0, 0, 0]
    assert measures.new.share.tolist()[:5] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert math.isnan(measures.new.share[8])
    assert measures.mature.observed.tolist() == [1] * 9
    assert measures.mature.share.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 8], 0.75), ([4, 2, 1, 3], 0.25), ([5], 0.0), ([0, 1], 0.5)],
)
def test_gini_of_known_amounts(amounts: list[int], expected: float) -> None:
    assert gini(amounts) == pytest.approx(expected, abs=1e-15)


def test_gini_is_the_mean_absolute_difference() -> None:
    amounts = np.random.default_rng(5).integers(0, 1000, 60)
    mean_difference = np.abs(amounts[:, None] - amounts[None, :]).mean()
    assert gini(amounts) == pytest.approx(mean_difference / (2 * amounts.mean()), rel=1e-12)


def test_a_ratio_without_a_denominator_is_not_a_number() -> None:
    assert np.isnan(ratio([0, 1], [0, 0])).all()
    assert ratio([1, 6], 2).tolist() == [0.5, 3.0]
    assert math.isnan(gini([0, 0]))
    assert math.isnan(gini([]))


# ------------------------------------------------------------------------------------------- counted once more


def test_counts_agree_with_a_recount_of_the_journal(fleet: Fleet, measures: Measures) -> None:
    journal = fleet.totals().journal
    assert len(journal) < len(fleet.books.journal[0]), "the journal is full: some events are missing"
    metrics = {
        Event.SEND: Metric.SENDS,
        Event.FAILURE: Metric.FAILURES,
        Event.DELIVERY: Metric.DELIVERIES,
        Event.NOTICE: Metric.NOTICES,
        Event.EXPIRY: Metric.EXPIRIES,
        Event.PAYMENT: Metric.PAYMENTS,
        Event.CHURN: Metric.CHURNS,
        Event.OPT_IN: Metric.OPT_INS,
        Event.REFUSED: Metric.REFUSALS,
    }
    seen: Counter[Metric] = Counter()
    by_campaign: Counter[int] = Counter()
    by_user: Counter[int] = Counter()
    for row in journal:
        kind, reason = Event(row["kind"]), Reason(row["reason"])
        if kind in metrics:
            seen[metrics[kind]] += 1
        if kind is Event.NOTICE and reason is not Reason.IGNORED:
            seen[Metric.OPENS] += 1
        if kind is Event.NOTICE and reason is Reason.CLICKED:
            seen[Metric.CLICKS] += 1
        if kind is Event.SESSION:
            seen[Metric.SESSIONS_DRIVEN if reason is Reason.DRIVEN else Metric.SESSIONS_ORGANIC] += 1
        if kind is Event.CONVERSION:
            seen[Metric.CONVERSIONS_DRIVEN if reason is Reason.DRIVEN else Metric.CONVERSIONS_ORGANIC] += 1
        if kind is Event.OPT_OUT:
            seen[Metric.OPT_OUTS_EMAIL if row["channel"] else Metric.OPT_OUTS_PUSH] += 1
            seen[Metric.COMPLAINTS] += reason is Reason.COMPLAINT
        if kind is Event.DELIVERY:
            by_campaign[int(row["campaign"])] += 1
            by_user[int(row["user_id"])] += 1
    for metric, count in seen.items():
        assert measures.total.of(metric).tolist() == [count], metric.name
    assert seen[Metric.COMPLAINTS] > 0
    assert seen[Metric.OPT_OUTS_PUSH] > 0
    n_campaigns = len(fleet.scenario.campaigns)
    assert measures.by_campaign.of(Metric.DELIVERIES)[:-1].tolist() == [by_campaign[c] for c in range(n_campaigns)]
    deliveries = dict(zip(measures.by_user.rows.tolist(), measures.by_user.of(Metric.DELIVERIES), strict=True))
    assert {user: count for user, count in deliveries.items() if count} == by_user


def test_money_agrees_with_the_journal_user_by_user(fleet: Fleet, measures: Measures) -> None:
    earned: defaultdict[int, int] = defaultdict(int)
    for row in fleet.totals().journal:
        earned[int(row["user_id"])] += int(row["amount_nano"])
    values = zip(measures.by_user.rows.tolist(), measures.by_user.value_nano.tolist(), strict=True)
    assert all(earned[user] == value for user, value in values)


def test_active_users_and_retention_agree_with_the_sessions_in_the_journal(fleet: Fleet, measures: Measures) -> None:
    installed = dict(zip(fleet.users["user_id"].tolist(), fleet.users["installed_hours"].tolist(), strict=True))
    days, weeks, ages = set(), set(), set()
    for row in fleet.totals().journal:
        if row["kind"] == Event.SESSION:
            user, now = int(row["user_id"]), float(row["time_hours"])
            days.add((user, int(now) // 24))
            weeks.add((user, int(now) // 168))
            ages.add((user, int((now - max(0.0, installed[user])) // 24)))
    per_day = Counter(day for _, day in days)
    per_week = Counter(week for _, week in weeks)
    assert measures.dau.tolist() == [per_day[day] for day in range(DAYS)]
    assert measures.wau.tolist() == [per_week[week] for week in range(math.ceil(DAYS / 7))]
    for curve, is_new in ((measures.new, True), (measures.mature, False)):
        for age in range(DAYS):
            lived = {u for u, t in installed.items() if (t > 0) == is_new and max(0.0, t) + 24 * (age + 1) <= 24 * DAYS}
            assert curve.observed[age] == len(lived)
            active = lived if is_new and age == 0 else {u for u in lived if (u, age) in ages}
            assert curve.active[age] == len(active), (is_new, age)


# --------------------------------------------------------------------------------------------- parts and wholes


def test_the_parts_of_money_sum_to_the_reward(measures: Measures) -> None:
    for counts in tables(measures):
        parts = np.sum([counts.of(metric) for metric in MONEY], axis=0)
        assert parts.tolist() == counts.value_nano.tolist()
        assert counts.value_nano.sum() == measures.total.value_nano[0]


def test_every_table_sums_to_the_total(measures: Measures) -> None:
    for counts in tables(measures):
        unknown = set() if counts.has_census else set(CENSUS)
        if counts is measures.by_user:
            unknown = {Metric.FATIGUE_MICRO, Metric.EXPIRIES}
        for metric in set(Metric) - unknown:
            assert counts.of(metric).sum() == measures.total.of(metric)[0], metric.name


def tables(measures: Measures) -> list[Counts]:
    return [
        measures.by_user,
        measures.by_segment,
        measures.by_campaign,
        measures.by_channel,
        measures.by_local_hour,
        measures.by_day,
        measures.by_week,
    ]


def test_what_no_message_caused_belongs_to_no_channel(measures: Measures) -> None:
    rows = measures.by_channel.rows.tolist()
    assert rows == ["push", "email", "in_app", "sms", "none"]
    for metric in (Metric.SESSIONS_ORGANIC, Metric.CHURNS, Metric.PAYMENTS):
        assert measures.by_channel.of(metric)[:-1].tolist() == [0, 0, 0, 0]
    for metric, channel in ((Metric.OPT_OUTS_PUSH, 0), (Metric.OPT_OUTS_EMAIL, 1), (Metric.COMPLAINTS, 1)):
        counts = measures.by_channel.of(metric)
        assert counts[channel] == counts.sum() > 0
    assert measures.by_channel.of(Metric.SENDS)[4] == 0


def test_the_order_of_users_does_not_matter(fleet: Fleet, measures: Measures) -> None:
    order = np.random.default_rng(3).permutation(len(fleet.users))
    shuffled = measure(MadeUpRun(fleet.scenario, fleet.users[order], fleet.tally[order], fleet.totals(), fleet.hour))
    assert shuffled.to_dict() == measures.to_dict()


def test_a_run_cut_short_is_measured_up_to_the_cut(fleet: Fleet) -> None:
    short = Fleet(fleet.scenario)
    short.run(sender("weekly-14+triggered+email"), until_day=10)
    measures = measure(short)
    assert measures.n_days == len(measures.dau) == len(measures.mature.share) == 10
    # A stop changes nothing, so the first ten days are those of the whole run; new users have been seen less long.
    whole = measure(fleet)
    assert measures.dau.tolist() == whole.dau[:10].tolist()
    assert measures.mature.active.tolist() == whole.mature.active[:10].tolist()
    assert measures.new.observed[9] < whole.new.observed[9]
    assert measures.total.value_nano[0] == whole.by_day.value_nano[:10].sum()


@pytest.mark.parametrize("hour", [0, 23, 25])
def test_a_run_is_measured_in_whole_days(fleet: Fleet, hour: int) -> None:
    unfinished = MadeUpRun(fleet.scenario, fleet.users, fleet.tally, fleet.totals(), hour)
    with pytest.raises(ValueError, match=f"measured in whole days, at least one; it stands at hour {hour}"):
        measure(unfinished)


def test_silence_and_emptiness_give_none_in_json(fleet: Fleet) -> None:
    overrides: dict[str, Any] = {"population.n_users": 1, "calendar.horizon_days": 1, "campaigns": []}
    run = Fleet(load_scenario("ecommerce", overrides))
    run.run(sender("never"))
    measures = measure(run)
    told = measures.to_dict()
    assert told["total"]["ctr"] is None
    assert told["exposure_gini"] is None
    assert told["exposure_coverage"] is None
    assert told["total"]["benefit_cost_ratio"] is None
    assert told["retention"]["new"]["share"] == [None]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_json_tells_what_the_tables_hold(measures: Measures) -> None:
    told = measures.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["total"]["sends"] == measures.total.of(Metric.SENDS)[0]
    assert told["total"]["value_nano"] == measures.total.value_nano[0]
    assert [row["name"] for row in told["by_local_hour"]][:2] == ["Mon 00", "Mon 01"]
    assert len(told["by_local_hour"]) == 168
    assert sum(row["clicks"] for row in told["by_campaign"]) == told["total"]["clicks"]
