"""The same luck for every policy, and money that adds up (K21, K22)."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.config import load_scenario
from simulator.compiled import threads, use_threads
from simulator.config import Scenario
from simulator.fleet import Fleet, run_together
from simulator.records import HISTORY, MONEY, Event, Metric, Records
from simulator.senders import Sender, sender
from simulator.settlement import NO_WISH
from tests.simulator.bare import SILENCE, bare, events, send, wait

DAYS = 21


def ecommerce(overrides: dict[str, object] | None = None) -> Scenario:
    """Return the preset, with nothing switched off: new users, all triggers, e-mail, budgets."""
    settings = {"population.n_users": 400, "population.mature_share": 0.5, "calendar.horizon_days": DAYS}
    return load_scenario("ecommerce", settings | (overrides or {}))


def without_budgets(scenario: Scenario) -> Scenario:
    campaigns = tuple(c.model_copy(update={"budget_eur": None}) for c in scenario.campaigns)
    return scenario.model_copy(update={"campaigns": campaigns})


def same(one: Records, other: Records) -> None:
    """Assert that records are equal to the last bit; name the fields that are not."""
    differing = [name for name in one.dtype.fields or () if one[name].tobytes() != other[name].tobytes()]
    assert not differing


def in_lock_step(scenario: Scenario, n_hours: int) -> Fleet:
    """Return a fleet to which an outside policy said nothing, hour by hour."""
    fleet = Fleet(scenario)
    wishes = fleet.wishes(SILENCE)
    for _ in range(DAYS * 24 // n_hours):
        assert (wishes == NO_WISH).all()
        wishes = fleet.step(wishes, np.zeros(len(wishes)), SILENCE, n_hours)
    return fleet


# ------------------------------------------------------------------------------------------- K21: common luck


@pytest.mark.parametrize("n_hours", [1, 6, 24])
def test_k21_wishing_nothing_is_sending_nothing_bit_for_bit(n_hours):
    scenario = without_budgets(ecommerce())
    never = Fleet(scenario)
    never.run(sender("never"))
    silent = in_lock_step(scenario, n_hours)
    same(never.users, silent.users)
    same(never.tally, silent.tally)
    assert never.totals().by_day.tobytes() == silent.totals().by_day.tobytes()
    assert never.tally["counts"][:, Metric.SESSIONS_ORGANIC].sum() > 100


def test_k21_a_message_that_does_nothing_changes_no_session():
    """All that a send may do is switched off, but for its cost: use, orders and leaving are those of silence."""
    users = 500
    sessions = {"satiation": 0.8, "floor": 0.4, "habit_gain": 0.02, "browse_prob": 0.3}
    behaviour = {"sessions": sessions, "conversion": {"organic_prob": 0.2}}
    population = {"sessions_per_day": 1.0, "churn_scale_days": 30.0, "interest_drift_days": 5.0}
    fleets = []
    for is_sent in (False, True):
        fleet = Fleet(bare(users, DAYS, population=population, behaviour=behaviour), journal_rows=users * 200)
        for _ in range(DAYS):
            if is_sent:
                send(fleet)
            wait(fleet, 24)
        fleets.append(fleet)
    kinds = (Event.SESSION, Event.CONVERSION, Event.PAYMENT, Event.CHURN, Event.DRIFT)
    logs = [events(fleet, *kinds) for fleet in fleets]
    assert len(logs[0]) > 5_000
    same(*logs)


def test_k21_what_is_sent_to_some_users_leaves_the_others_bit_for_bit():
    scenario = without_budgets(ecommerce())
    alone = in_lock_step(scenario, 1)
    fleet = Fleet(scenario)
    wishes = fleet.wishes(SILENCE)
    is_treated = np.arange(len(wishes)) % 7 == 0
    for hour in range(DAYS * 24):
        is_there = fleet.users["now_hours"] == hour
        wishes[is_treated & is_there & (hour % 12 == 0)] = 0
        wishes = fleet.step(wishes, np.zeros(len(wishes)), SILENCE)
    same(alone.users[~is_treated], fleet.users[~is_treated])
    same(alone.tally[~is_treated], fleet.tally[~is_treated])
    assert fleet.tally["counts"][is_treated, Metric.SENDS].sum() > 100
    assert fleet.users[is_treated].tobytes() != alone.users[is_treated].tobytes()


@pytest.mark.parametrize("rule", ["never", "weekly-7+triggered+email", "random-14+interest", "evening+lru"])
def test_k21_the_same_policy_meets_the_same_luck_in_any_split(rule):
    """With budgets and a gateway that all users share, over one to three shards and one to two threads."""
    scenario = ecommerce()
    first = Fleet(scenario)
    first.run(sender(rule))
    before = threads()
    try:
        use_threads(1)
        shards = [Fleet(scenario, 0, 90), Fleet(scenario, 90, 10), Fleet(scenario, 100, 300)]
        run_together(shards, sender(rule))
    finally:
        use_threads(before)
    same(first.users, np.concatenate([s.users for s in shards]))
    same(first.tally, np.concatenate([s.tally for s in shards]))
    same(first.history, np.concatenate([s.history for s in shards]))
    assert first.history.dtype == HISTORY
    by_day = sum(s.totals().by_day for s in shards)
    assert np.array_equal(first.totals().by_day, by_day)


# ------------------------------------------------------------------------------------------- K22: money


def test_k22_the_parts_of_the_reward_add_up_exactly_in_every_book():
    """Integers: no tolerance. The journal, each user's tally and each book hold the same money and the same counts."""
    scenario = ecommerce({"behaviour.withdrawal.email_prob": 0.4, "behaviour.withdrawal.complaint_prob": 0.5})
    fleet = Fleet(scenario, journal_rows=200_000)
    fleet.run(sender("weekly-14+triggered+email"))
    books = fleet.totals()
    journal = events(fleet, *Event)
    by_user = np.zeros(len(fleet.users), np.int64)
    np.add.at(by_user, journal["user_id"], journal["amount_nano"])
    reward = fleet.tally["money"].sum(axis=1)
    assert np.array_equal(reward, by_user)
    parts = [int(fleet.tally["money"][:, k].sum()) for k in range(len(MONEY))]
    assert all(parts), "every part of the reward must have occurred"
    for k, metric in enumerate(MONEY):
        for book in (books.by_day, books.by_hour, books.by_campaign):
            assert int(book[..., metric].sum()) == parts[k], metric.name
    assert sum(parts) == int(books.by_day[..., list(MONEY)].sum())
    for place in range(int(Metric.SESSION_VALUE)):
        total = int(fleet.tally["counts"][:, place].sum())
        is_census = place in (Metric.PRESENT_DAYS, Metric.REACHABLE_DAYS, Metric.FATIGUE_MICRO)
        filed = (books.by_day,) if is_census else (books.by_day, books.by_hour, books.by_campaign)
        for book in filed:
            if place != Metric.FATIGUE_MICRO:  # summed over users only
                assert int(book[..., place].sum()) == total, Metric(place).name


def test_k22_costs_are_negative_and_whole_multiples():
    scenario = without_budgets(ecommerce())
    fleet = Fleet(scenario)
    fleet.run(Sender(kind="evenly", per_week=7.0, pick="fixed", campaign=0))
    counts, money = fleet.tally["counts"], fleet.tally["money"]
    assert np.array_equal(money[:, MONEY.index(Metric.SEND_COST)], -50_000 * counts[:, Metric.SENDS].astype(np.int64))
    orders = counts[:, Metric.CONVERSIONS_ORGANIC] + counts[:, Metric.CONVERSIONS_DRIVEN]
    assert np.array_equal(money[:, MONEY.index(Metric.MARGIN)], 9_000_000_000 * orders.astype(np.int64))
    assert (money[:, MONEY.index(Metric.SESSION_VALUE)] >= 0).all()
