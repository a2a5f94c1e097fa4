"""One law, two engines, to the last bit: at any number of threads, in any shards, stopped and resumed.

Every comparison here is `==` on bytes and integers; a tolerance would hide the first wrong bit until it is a session.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from experiments.config import load_scenario, preset_names
from simulator import population_run
from simulator.compiled import most_threads, on_threads
from simulator.config import Gateway, Outage, Scenario
from simulator.events import EventEngine
from simulator.fleet import Fleet, run_together
from simulator.population_run import PopulationRun
from simulator.records import Metric, Status
from simulator.senders import Sender, sender

POLICIES = ("never", "weekly-7", "weekly-28+lru+triggered+email", "evening-cap-5+interest", "random-14+triggered")
GATEWAY = Gateway(per_hour=40.0, latency_seconds=30.0, outages=(Outage(start_hour=113.9, hours=7.25),))


def scenario(preset: str, n_users: int = 500, days: int = 60, **updates: object) -> Scenario:
    """Return a preset of this size, with every fourth scheduled campaign on a budget that runs out."""
    small = load_scenario(preset, overrides={"population.n_users": n_users, "calendar.horizon_days": days})
    campaigns = tuple(
        c.model_copy(update={"budget_eur": 0.02}) if k % 4 == 0 else c for k, c in enumerate(small.campaigns)
    )
    return small.model_copy(update={"campaigns": campaigns, **updates})


def assert_equal(one: PopulationRun, other: PopulationRun) -> None:
    """Two runs hold equal users, histories, tallies, books and shared state; the message names the first part."""
    for part in ("users", "history", "tally"):
        a, b = getattr(one, part), getattr(other, part)
        for name in a.dtype.names:
            differing = np.flatnonzero((a[name] != b[name]).reshape(len(a), -1).any(axis=1))
            assert not len(differing), f"{part}.{name} differs for users {a['user_id'][differing[:5]]}"
        assert a.tobytes() == b.tobytes()
    for name, a, b in zip(one.totals()._fields, one.totals(), other.totals(), strict=True):
        if not name.startswith("journal"):
            assert np.array_equal(a, b), f"books.{name} differ"
    for name, array in one.shared.state().items():
        assert np.array_equal(array, other.shared.state()[name]), f"shared.{name} differs"


def run(engine: type[PopulationRun], world: Scenario, rule: Sender) -> PopulationRun:
    done = engine(world)
    done.run(rule)  # type: ignore[attr-defined]
    return done


def metrics(done: PopulationRun) -> np.ndarray:
    totals: np.ndarray = done.totals().by_day.sum(axis=(0, 1))
    return totals


@pytest.mark.parametrize(("preset", "policy"), list(itertools.product(preset_names(), POLICIES)))
def test_engines_give_equal_users_books_and_money(preset, policy):
    world, rule = scenario(preset), sender(policy)
    fleet, events = run(Fleet, world, rule), run(EventEngine, world, rule)
    assert_equal(fleet, events)
    if policy != "never":
        assert metrics(fleet)[Metric.SENDS] > 1000
        assert metrics(fleet)[Metric.REFUSALS] > 0, "no budget ran out: the settlement was not tried"
        spent = fleet.shared.spent_nano
        assert spent.any()


@pytest.mark.parametrize("preset", preset_names())
def test_engines_agree_without_anything_shared(preset):
    world = load_scenario(preset, overrides={"population.n_users": 500, "calendar.horizon_days": 60})
    world = world.model_copy(update={"campaigns": tuple(c for c in world.campaigns if c.budget_eur is None)})
    rule = sender("weekly-14+mru+triggered+email")
    fleet, events = run(Fleet, world, rule), run(EventEngine, world, rule)
    assert not fleet.shared.is_needed_by(rule)
    assert_equal(fleet, events)


def test_engines_agree_through_the_gateways_queue_and_outage():
    """Stronger than agreement in distribution: first come, first served settles every waiting time at once."""
    world, rule = scenario("ecommerce", gateway=GATEWAY), sender("evening+triggered+email")
    fleet, events = run(Fleet, world, rule), run(EventEngine, world, rule)
    assert_equal(fleet, events)
    assert isinstance(events, EventEngine)
    assert events.longest_queue_hours > 7.15, "nobody waited through the outage"
    free = run(Fleet, world.model_copy(update={"gateway": Gateway()}), rule)
    assert metrics(free)[Metric.DELIVERIES] > metrics(fleet)[Metric.DELIVERIES], "a queue loses what it holds too long"


@pytest.mark.parametrize("policy", ["weekly-28+triggered", "never"])
def test_number_of_threads_changes_nothing(monkeypatch, policy):
    if most_threads() < 2:
        pytest.skip("this machine has one core")
    monkeypatch.setattr(population_run, "USERS_WORTH_A_THREAD", 1)
    world, rule = scenario("games"), sender(policy)
    with on_threads(most_threads()):
        two = run(Fleet, world, rule)
    with on_threads(1):
        one = run(Fleet, world, rule)
    assert (len(one.books.by_day), len(two.books.by_day)) == (1, most_threads())
    assert_equal(one, two)


@pytest.mark.parametrize("policy", ["weekly-28+triggered", "never"])
def test_one_run_equals_four_shards(policy):
    world, rule = scenario("news"), sender(policy)
    whole = run(Fleet, world, rule)
    cuts = [0, 90, 200, 201, 500]
    shards = [Fleet(world, first, last - first) for first, last in itertools.pairwise(cuts)]
    run_together(shards, rule)
    for part in ("users", "history", "tally"):
        joined = np.concatenate([getattr(shard, part) for shard in shards])
        assert joined.tobytes() == getattr(whole, part).tobytes(), part
    for name in ("by_day", "by_hour", "by_campaign", "by_age"):
        assert np.array_equal(sum(getattr(s.totals(), name) for s in shards), getattr(whole.totals(), name)), name
    for shard in shards:
        assert np.array_equal(shard.shared.spent_nano, whole.shared.spent_nano)


@pytest.mark.parametrize(("first", "then"), list(itertools.product([Fleet, EventEngine], repeat=2)))
def test_stopped_at_day_20_and_resumed(tmp_path, first, then):
    """Either engine goes on, from a file, with what either began."""
    world, rule = scenario("learning", n_users=200, gateway=GATEWAY), sender("weekly-28+lru+email")
    whole = run(Fleet, world, rule)
    part = first(world)
    part.run(rule, until_day=20)
    part.save(tmp_path / "run.npz")
    resumed = then.load(tmp_path / "run.npz", world)
    resumed.run(rule)
    assert_equal(whole, resumed)


def test_a_run_saved_under_another_scenario_is_refused(tmp_path):
    world = scenario("learning", n_users=10, days=3)
    run(Fleet, world, sender("never")).save(tmp_path / "run.npz")
    other = world.model_copy(update={"seed": 2})
    with pytest.raises(ValueError, match=r"saved under another scenario; these parts differ: seed$"):
        Fleet.load(tmp_path / "run.npz", other)


def test_epochs_of_one_and_four_hours_with_the_same_sends():
    """Sends at local noon of UTC users fall on both grids; a longer epoch must give the same users."""
    rule = Sender(kind="hours", hours=(12, 20), pick="uniform", serves=("scheduled", "triggered"))
    runs = []
    for epoch in (1, 4):
        world = scenario("ecommerce")
        zones = (
            world.population.time_zones[0].model_copy(
                update={"offset_hours": 0, "daylight_saving": "none", "share": 1.0}
            ),
        )
        calendar = world.calendar.model_copy(update={"epoch_hours": epoch})
        population = world.population.model_copy(update={"time_zones": zones})
        runs.append(run(Fleet, world.model_copy(update={"calendar": calendar, "population": population}), rule))
    assert metrics(runs[0])[Metric.SENDS] > 1000
    assert_equal(*runs)


@pytest.mark.parametrize("day", [-1, 61, 20.01])
def test_a_day_outside_the_run_is_refused(day):
    with pytest.raises(
        ValueError, match=rf"expected whole hours from day 0 \(now\) to day 60 \(the horizon\), got {day}"
    ):
        Fleet(scenario("news", n_users=5)).run(sender("never"), until_day=day)


def test_a_step_past_the_horizon_is_refused():
    """It would write past the books' last day."""
    fleet = Fleet(scenario("news", n_users=5, days=1))
    rule = sender("weekly-7").record()
    wishes = fleet.wishes(rule)
    for _ in range(24):
        wishes = fleet.step(wishes, np.zeros(5), rule)
    with pytest.raises(
        ValueError, match=r"n_hours: expected 0 to 0 before the horizon \(hour 24; now is hour 24\), got 1"
    ):
        fleet.step(wishes, np.zeros(5), rule)
    with pytest.raises(ValueError, match="hour 24 is the horizon: nothing is decided any more"):
        fleet.wishes(rule)


def test_a_wish_for_someone_who_is_not_there_is_left_undone():
    """Not yet installed, or known to have left."""
    fleet = Fleet(scenario("news", n_users=3, days=2))
    rule = sender("never").record()
    fleet.users["opted_in"] = fleet.users["seen_opted_in"] = 1
    fleet.users["status"][:] = 0, Status.KNOWN_LEFT, 0
    fleet.users["now_hours"][2] = fleet.users["installed_hours"][2] = 30.5
    fleet.wishes(rule)
    fleet.step(np.zeros(3, np.int32), np.zeros(3), rule)
    assert fleet.tally["counts"][1:, Metric.SENDS].sum() == 0
    assert fleet.tally["counts"][0, Metric.SENDS] == (fleet.users["now_hours"][0] == 1.0)
