"""The order of simultaneous events is a table (`records.Event`), and part of the law."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from experiments.config import load_scenario
from simulator.behaviour.attention import IN_TRANSIT, WAITING, earliest_scheduled
from simulator.config import Constraints
from simulator.events import EventEngine
from simulator.fleet import Fleet
from simulator.passing_time import SLOT, is_sooner, scheduled_event
from simulator.records import Event
from simulator.senders import Sender

ORDER = ["CENSUS", "DECISION", "REFUSED", "SEND", "FAILURE", "DELIVERY", "EXPIRY", "NOTICE", "SESSION", "CONVERSION"]
ORDER += ["PAYMENT", "OPT_OUT", "OPT_IN", "CHURN", "DRIFT"]
COMPETING = [Event.DELIVERY, Event.EXPIRY, Event.NOTICE, Event.SESSION, Event.PAYMENT, Event.OPT_OUT, Event.CHURN]


def test_the_table():
    assert [event.name for event in sorted(Event)][1:] == ORDER


@pytest.mark.parametrize(("later", "sooner"), list(itertools.permutations(COMPETING, 2)))
def test_a_tie_goes_to_the_kind_that_stands_first(later, sooner):
    """Slots ride on the code and must not matter."""
    for slot in (0, 3):
        assert is_sooner(5.0, int(sooner), 5.0, int(later) + SLOT * slot) == (sooner < later)
    assert is_sooner(4.0, int(sooner), 5.0, int(later))
    assert not is_sooner(6.0, int(sooner), 5.0, int(later))


def test_an_event_at_the_very_end_of_the_hour_waits_for_the_next():
    """At the hour's end the code is QUIET, and no tie with it may win: the next hour's start comes first."""
    assert not is_sooner(5.0, int(Event.SESSION), 5.0, int(Event.QUIET))


def crowded(engine):
    """Return a one-user run in which four scheduled events and a decision all fall on hour 30."""
    world = load_scenario("ecommerce", overrides={"population.n_users": 1, "calendar.horizon_days": 3, "seed": 4})
    free = {"campaigns": tuple(c for c in world.campaigns if c.budget_eur is None), "constraints": Constraints()}
    world = world.model_copy(update=free)
    done = engine(world)
    user = done.users[0]
    done.world.organic[:] = 0.0
    user["opted_in"] = user["seen_opted_in"] = 3
    user["zone"] = 0
    user["churn_rate"] = 0.0
    user["next_drift_hours"] = 30.0
    user["payment_hours"][0] = 30.0
    # Slot 0 lapses at hour 30 (24 h after 6); slot 1 arrives at hour 30. The later kind stands in the earlier slot.
    user["mail_state"][:2] = WAITING, IN_TRANSIT
    user["mail_hour"][:2] = 6, 10
    user["mail_delay"][:2] = 0.0, 20.0
    user["mail_clock"][:2] = 1e9, 0.0
    user["n_waiting"] = 1
    user["next_scheduled_hours"] = earliest_scheduled(done.users[0], done.world.law[0])
    return done


def test_scheduled_ties_are_found_in_the_tables_order():
    done = crowded(Fleet)
    time, code = scheduled_event(done.users[0], done.world.law[0])
    assert (time, code % SLOT, code // SLOT) == (30.0, Event.DELIVERY, 1)


def test_both_engines_work_off_a_crowded_instant_in_the_tables_order():
    rule = Sender(kind="hours", hours=tuple(range(24)), gap_hours=1000)
    told: list[dict[str, Any]] = []
    events = crowded(lambda world: EventEngine(world, trace=told.append))
    events.history["sent_hour"] = 30 - 1000  # the first send is due at hour 30
    events.run(rule)
    at_30 = [row["event"] for row in told if row["time_hours"] == 30.0 and row["user"] is not None]
    assert at_30[:1] == ["send"]
    assert set(at_30) - {"failure", "delivery"} == {"send", "expiry", "payment", "drift"}
    after_dispatch = at_30[at_30.index("delivery") :]
    kinds = [Event[name.upper()] for name in after_dispatch]
    tail = kinds[kinds.index(Event.EXPIRY) - 1 :]
    assert tail == sorted(tail)
    fleet = crowded(lambda world: Fleet(world, journal_rows=10_000))
    fleet.history["sent_hour"] = 30 - 1000
    fleet.run(rule)
    journal = fleet.totals().journal
    assert [Event(kind).name.lower() for kind in journal["kind"][journal["time_hours"] == 30.0]] == at_30
    assert np.array_equal(fleet.users, events.users)
