"""Schedules hold their volume on any grid of epochs, caps hold at nought, and names explain themselves."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.config import load_scenario
from simulator.config import Constraints, Gateway, Outage
from simulator.fleet import Fleet
from simulator.records import Metric
from simulator.senders import Sender, sender
from simulator.settlement import Shared


def sends_per_reachable_week(name: str, epoch_hours: int, days: int = 28) -> float:
    overrides = {
        "population.n_users": 500,
        "calendar.horizon_days": days,
        "calendar.epoch_hours": epoch_hours,
        "behaviour.withdrawal.push_prob": 0.0,
    }
    scenario = load_scenario("games", overrides=overrides)
    free = {"campaigns": tuple(c for c in scenario.campaigns if c.budget_eur is None), "constraints": Constraints()}
    scenario = scenario.model_copy(update=free)
    fleet = Fleet(scenario)
    users = fleet.users
    users["churn_rate"] = 0.0
    users["clock_churn"] = 1e18
    stays = (users["opted_in"] & 1 == 1) & (users["is_arrival"] == 0)
    fleet.run(sender(name))
    return float(fleet.tally["counts"][stays, Metric.SENDS].mean()) / days * 7


@pytest.mark.parametrize("epoch_hours", [1, 2, 3, 4, 6, 8, 12, 24])
@pytest.mark.parametrize(("name", "asked"), [("weekly-1", 1.0), ("weekly-7", 7.0), ("evening", 7.0)])
def test_a_longer_epoch_delays_sends_and_loses_none(name, asked, epoch_hours):
    """Up to one send a day fits into every grid; a slot at the end of the run may fall past it."""
    assert sends_per_reachable_week(name, epoch_hours) == pytest.approx(asked, rel=0.08)


def test_more_sends_than_epochs_are_merged():
    assert sends_per_reachable_week("weekly-28", 24) == pytest.approx(7.0, rel=0.05)


@pytest.mark.parametrize("cap", [0, 1, 2, 5])
def test_a_weekly_cap_holds_from_nought_up(cap):
    assert sends_per_reachable_week(f"evening-cap-{cap}", 1) == pytest.approx(cap, abs=0.3 if cap else 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weekly-200", r"policy 'weekly-200': expected N above 0 and at most 98, got 200"),
        ("random-0", r"policy 'random-0': expected N above 0 and at most 98, got 0"),
        ("evening-cap-99999999999", r"policy 'evening-cap-99999999999': expected N from 0 to 7, got 99999999999"),
        ("evning", r"unknown policy 'evning'; expected one of never, .*; did you mean 'evening'\?"),
        ("evening+lri", r"policy 'evening\+lri': unknown option '\+lri'; known: .* Did you mean '\+lru'\?"),
    ],
)
def test_a_name_that_is_none_says_what_was_expected(name, message):
    with pytest.raises(ValueError, match="(?i)" + message):
        sender(name)


def test_outages_that_overlap_count_once():
    scenario = load_scenario("games", overrides={"population.n_users": 1})
    outages = tuple(Outage(start_hour=start, hours=hours) for start, hours in ((12.0, 6.0), (10.0, 10.0), (30.0, 1.0)))
    gateway = Gateway(outages=outages)
    shared = Shared(scenario.model_copy(update={"gateway": gateway}))
    assert np.array_equal(shared.outages, [[10.0, 20.0], [30.0, 31.0]])


def test_a_sender_of_nothing_asks_nothing_of_what_is_shared():
    scenario = load_scenario("games", overrides={"population.n_users": 1})
    assert not Shared(scenario).is_needed_by(Sender())
    assert Shared(scenario).is_needed_by(sender("evening"))
