"""No policy whatever breaks a limit: in both engines, and in the environments with actions that ignore the mask."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.constraints import say
from simulator.config import Scenario
from simulator.environments.population import PopulationVectorEnv
from simulator.environments.vector import NotifyVectorEnv
from simulator.events import EventEngine
from simulator.fleet import Fleet
from simulator.population_run import blank_books
from simulator.presets import scenario_of
from simulator.records import Books, Event, Status
from simulator.senders import PICKS, Sender
from tests.simulator.bare import bare
from tests.simulator.lives import TWO_DAYS_BEFORE_CLOCKS_TURN, ZONES, Life, Told, lives_of
from tests.simulator.test_parity import assert_equal

KINDS = ("scheduled", "triggered", "transactional")
CHANNELS = ("push", "email")
BOTH = ("push", "email")
CAMPAIGNS = (
    {"kind": "scheduled", "name": "promo", "category": 0, "channels": BOTH, "tags": ("promo",)},
    {"kind": "scheduled", "name": "digest", "category": 1, "channels": ("email",), "tags": ("digest",), "end_day": 6.0},
    {"kind": "scheduled", "name": "rare", "category": 2, "per_user_cap": 3, "tags": ("digest",), "start_day": 1.0},
    {"kind": "scheduled", "name": "paid", "category": 3, "budget_eur": 0.002},
    {"kind": "triggered", "name": "browse", "category": 4, "trigger": "browse", "tags": ("promo",)},
    {"kind": "triggered", "name": "cart", "category": 5, "trigger": "cart", "channels": BOTH, "expiry_hours": 50},
    {"kind": "triggered", "name": "come-back", "category": 6, "trigger": "dormancy", "dormancy_days": 1.0},
    {"kind": "transactional", "name": "receipt", "category": 7, "channels": BOTH, "tags": ("promo",)},
)
# People who come, browse, order, tire of it, withdraw, and sometimes permit again.
BUSY: dict[str, Any] = {
    "behaviour": {
        "sessions": {"browse_prob": 0.4, "cart_prob": 0.5},
        "attention": {"asleep": 0.05, "awake": 1.0},
        "response": {"push_logit": -1.5, "email_logit": -1.5},
        "withdrawal": {"push_prob": 0.03, "email_prob": 0.05, "opt_in_again_prob": 0.3},
        "churn": {"irritation_prob": 0.002},
        "conversion": {"organic_prob": 0.3},
        "delivery": {"offline_prob": 0.2},
    },
    "campaigns": CAMPAIGNS,
}


def busy(limits: dict[str, Any], start: Any, days: int, n_users: int, seed: int, zones: dict[str, float]) -> Scenario:
    """Return a busy scenario under limits; zones: the share of users in each."""
    time_zones = tuple(ZONES[name][1].model_dump() | {"share": share} for name, share in zones.items())
    population = {"time_zones": time_zones, "sessions_per_day": 2.0, "churn_scale_days": 200.0}
    settings = BUSY | {"calendar": {"start": start}, "population": population, "constraints": limits}
    return bare(n_users, days, seed, **settings)


def some(of: tuple[str, ...], least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(of), min_size=least, unique=True).map(tuple)


@st.composite
def caps(draw: st.DrawFn) -> dict[str, Any]:
    cap: dict[str, Any] = {
        "limit": draw(st.integers(0, 6)),
        "window": draw(st.sampled_from(("rolling", "day", "week", "month"))),
        "zone": draw(st.sampled_from(("user", "project"))),
        "channels": draw(st.none() | some(CHANNELS)),
        "tags": draw(st.none() | some(("promo", "digest"))),
    }
    if cap["window"] == "rolling":
        cap["hours"] = draw(st.sampled_from((1, 5, 24, 36, 168)))
    if cap["tags"]:
        cap["overrides_channels"] = draw(st.booleans())
    return cap


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Return constraints as a scenario states them."""
    quiet = None
    if draw(st.booleans()):
        start, hours = draw(st.integers(0, 47)) / 2, draw(st.integers(1, 24)) / 2
        quiet = {
            "start": start,
            "end": (start + hours) % 24,
            "mode": draw(st.sampled_from(("drop", "defer", "cancel"))),
            "zone": draw(st.sampled_from(("user", "project"))),
            "channels": draw(st.none() | some(CHANNELS)),
        }
    kinds = some(KINDS, least=0)
    return {
        "caps": tuple({"name": f"cap-{k}", **cap} for k, cap in enumerate(draw(st.lists(caps(), max_size=4)))),
        "gap_hours": draw(st.sampled_from((0, 0, 1, 3, 10))),
        "push_gap_hours": draw(st.sampled_from((0, 0, 2, 20))),
        "email_gap_hours": draw(st.sampled_from((0, 0, 5, 60))),
        "quiet": quiet,
        "passes_caps": draw(st.just(("transactional",)) | kinds),
        "passes_gap": draw(st.just(("transactional",)) | kinds),
        "passes_quiet": draw(st.just(()) | kinds),
        "project_zone": draw(st.none() | st.sampled_from(tuple(ZONES))),
    }


senders = st.builds(
    Sender,
    kind=st.sampled_from(("hours", "random", "evenly")),
    per_week=st.sampled_from((20.0, 98.0)),
    hours=st.just(tuple(range(24))),
    pick=st.sampled_from(PICKS[:-1]),
    serves=some(KINDS),
    channels=some(CHANNELS),
)
seeds = st.integers(0, 2**20)
starts = st.sampled_from(TWO_DAYS_BEFORE_CLOCKS_TURN)
thorough = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def zones_of(fleet: Fleet) -> dict[int, int]:
    return dict(zip(fleet.users["user_id"].tolist(), fleet.users["zone"].tolist(), strict=True))


def run(scenario: Scenario, rule: Sender) -> tuple[Fleet, dict[int, Life]]:
    """Run the fleet and judge every life in it."""
    fleet = Fleet(scenario, journal_rows=ROWS)
    fleet.run(rule)
    journal = fleet.totals().journal
    assert len(journal) < ROWS, "the journal is full"
    lives = lives_of(Told(scenario), journal, zones_of(fleet))
    for user in fleet.users[fleet.users["status"] != Status.PRESENT]:
        known_hours = user["next_drift_hours"]
        assert all(sent.hour < known_hours for sent in lives[int(user["user_id"])].sends), "known to have left"
    return fleet, lives


@given(limits(), senders, starts, seeds)
@settings(thorough, max_examples=40)
def test_no_sender_breaks_a_limit_in_either_engine(stated, rule, start, seed):
    shares = {"utc": 0.2, "paris": 0.4, "new-york": 0.4}
    scenario = busy(stated, start, 12, 20, seed, shares)
    fleet, _ = run(scenario, rule)
    events = EventEngine(scenario)
    events.run(rule)
    assert_equal(fleet, events)


def test_the_judge_sees_what_goes_wrong():
    """Lives under no limits, judged by limits that they did not know, break each of them."""
    shares = {"paris": 1.0, "utc": 0.0}
    free = busy({}, TWO_DAYS_BEFORE_CLOCKS_TURN[0], 8, 10, 5, shares)
    rule = Sender(kind="hours", hours=tuple(range(24)), serves=KINDS, channels=CHANNELS)
    fleet, lives = run(free, rule)
    assert sum(life.n_blind for life in lives.values()) > 0, "nothing was sent to a withdrawal not visible yet"
    assert {sent.kind for life in lives.values() for sent in life.sends} == set(KINDS)
    assert any(life.has_left or len(life.permitted) < 2 for life in lives.values())
    for broken, message in (
        ({"caps": ({"name": "a", "limit": 5, "window": "rolling", "hours": 24},)}, "send 6 under cap"),
        ({"caps": ({"name": "a", "limit": 9, "window": "day"},)}, "send 10 under cap"),
        ({"caps": ({"name": "a", "limit": 9, "window": "week", "channels": ("push",)},)}, "send 10 under cap"),
        ({"caps": ({"name": "a", "limit": 1, "window": "month", "tags": ("promo",)},)}, "send 2 under cap"),
        ({"gap_hours": 2}, "1 hours after the last$"),
        ({"push_gap_hours": 2}, "1 hours after the last push"),
        ({"quiet": {"start": 3.0, "end": 4.0}}, "is quiet"),
    ):
        told = Told(busy(broken, free.calendar.start, 8, 10, 5, shares))
        with pytest.raises(AssertionError, match=message):
            lives_of(told, fleet.totals().journal, zones_of(fleet))
    deaf = Life(Told(free), Told(free).clocks(0), seen=set())
    journal = fleet.totals().journal
    with pytest.raises(AssertionError, match="after a withdrawal that could be seen"):
        deaf.take(journal[journal["kind"] == Event.SEND][0])
    deaf.permitted.clear()
    with pytest.raises(AssertionError, match="after its withdrawal"):
        deaf.take(journal[journal["kind"] == Event.DELIVERY][-1])


def test_transactional_messages_go_out_under_a_cap_of_nothing_at_all():
    nothing = {"caps": ({"name": "none", "limit": 0, "window": "day"},), "gap_hours": 24}
    scenario = busy(nothing, TWO_DAYS_BEFORE_CLOCKS_TURN[0], 12, 60, 3, {"paris": 1.0})
    rule = Sender(kind="hours", hours=tuple(range(24)), serves=KINDS, channels=CHANNELS)
    _, lives = run(scenario, rule)
    sent = [sent for life in lives.values() for sent in life.sends]
    assert len(sent) > 100
    assert {s.kind for s in sent} == {"transactional"}


# ------------------------------------------------------------------------------------------- environments


ROWS = 100_000
Env = NotifyVectorEnv | PopulationVectorEnv


class Witness:
    """Reads an environment's journal as it grows, and lives through it."""

    def __init__(self, env: Env, books: Books, zones: dict[int, int] | None = None) -> None:
        self.books = books
        self.told = Told(env.scenario)
        self.zones = zones or {}  # of users; others live in the first
        self.lives: dict[int, Life] = {}
        self.used = [0] * len(books.journal)

    def life(self, user: int) -> Life:
        return self.lives.setdefault(user, Life(self.told, self.told.clocks(self.zones.get(user, 0))))

    def read(self) -> dict[int, list[Any]]:
        """Hand the new rows to the lives, and return the sends among them by user."""
        sent: dict[int, list[Any]] = defaultdict(list)
        for worker, journal in enumerate(self.books.journal):
            last = int(self.books.journal_used[worker, 0])
            assert last < ROWS, "the journal is full"
            for row in journal[self.used[worker] : last]:
                self.life(int(row["user_id"])).take(row)
                if row["kind"] == Event.SEND:
                    sent[int(row["user_id"])].append(row.copy())
            self.used[worker] = last
        return sent

    def turn_page(self) -> None:
        """Expect the journal to be emptied before the next event, as environments of single users do at each step."""
        self.used = [0] * len(self.books.journal)


def act_blindly(env: Env, witness: Witness, infos: dict[str, Any], seed: int, n_steps: int) -> tuple[int, int]:
    """Take random actions, eligible or not, and judge what becomes of each; return (sends, refusals)."""
    draw = np.random.default_rng(seed)
    mode = getattr(env, "mode", "population")
    n_sent = n_refused = 0
    for step in range(n_steps):
        witness.read()
        mask, why, slots = infos["action_mask"].copy(), infos["reasons"].copy(), infos["candidates"].copy()
        users, hours = infos["user_id"].copy(), infos["hour"].astype(int)
        assert np.array_equal(mask == 1, why == 0), "every suppressed action has a reason, and no other"
        assert all(say(int(reason), env.cap_names) for reason in np.unique(why))
        if mode == "notify" and step % 3 == 0:
            for i, slot in np.argwhere(slots >= 0):
                for c, channel in enumerate(CHANNELS):
                    is_open = bool(mask[i, 1 + 2 * slot + c])
                    allowed = witness.life(int(users[i])).allows(int(hours[i]), slots[i, slot], channel)
                    assert allowed == is_open, say(why[i, 1 + 2 * slot + c])
        actions = draw.integers(1, mask.shape[1], len(mask))
        if mode != "population":
            witness.turn_page()
        infos = env.step(actions)[4]
        sent = witness.read()
        for i, action in enumerate(actions):
            rows, refusal = sent[int(users[i])], infos["refusals"][i]
            if not mask[i, action]:
                assert refusal == why[i, action] > 0
            assert len(rows) == (refusal == 0)
            if rows:
                per_slot = 1 if mode == "queue" else 2
                assert rows[0]["campaign"] == slots[i, (action - 1) // per_slot % env.n_slots]
                assert mode == "queue" or rows[0]["channel"] == (action - 1) % 2
            n_sent += refusal == 0
            n_refused += refusal != 0
    return n_sent, n_refused


def beside(scenario: Scenario, seed: int, n_steps: int, **arguments: Any) -> tuple[int, int]:
    """Act blindly on five users side by side, each in an episode of its own."""
    env = NotifyVectorEnv(5, scenario, n_slots=3, on_ineligible="no_send", journal_rows=ROWS, **arguments)
    env.reset(seed=seed)
    env.books.journal_used[:] = 0
    env.seats.episodes[:] = np.arange(5) * 1000  # so that no two seats have users of the same number
    _, infos = env.reset()
    return act_blindly(env, Witness(env, env.books), infos, seed, n_steps)


def in_one_zone(stated: dict[str, Any], start: Any, zone: str, days: int = 12) -> Scenario:
    return busy(stated, start, days, 1, 1, {zone: 1.0} | {name: 0.0 for name in ZONES if name != zone})


@given(limits(), starts, seeds, st.sampled_from(("paris", "new-york")), st.sampled_from(("clock", "event")))
@settings(thorough, max_examples=25)
def test_no_action_breaks_a_limit_and_the_mask_is_what_the_limits_allow(stated, start, seed, zone, trigger):
    beside(in_one_zone(stated, start, zone), seed, 100, trigger=trigger)


@pytest.mark.parametrize("mode", ["daily", "queue"])
@given(stated=limits(), start=starts, seed=seeds)
@settings(thorough, max_examples=15)
def test_no_plan_and_no_queue_breaks_a_limit(mode, stated, start, seed):
    beside(in_one_zone(stated, start, "paris"), seed, 15 if mode == "daily" else 60, mode=mode)


@pytest.mark.parametrize("mode", ["notify", "daily", "queue"])
def test_blind_actions_are_sometimes_sent_and_sometimes_refused(mode):
    stated = {"caps": ({"name": "two-a-day", "limit": 2, "window": "day"},), "quiet": {}}
    scenario = in_one_zone(stated, TWO_DAYS_BEFORE_CLOCKS_TURN[0], "paris", 30)
    n_sent, n_refused = beside(scenario, 1, 25 if mode == "daily" else 100, mode=mode)
    assert n_sent >= 10
    assert n_refused >= 10


@given(limits(), starts, seeds, st.sampled_from((1, 4)))
@settings(thorough, max_examples=15)
def test_a_population_keeps_its_limits_and_what_it_shares(stated, start, seed, epoch_hours):
    scenario = busy(stated, start, 12, 15, seed, {"utc": 0.2, "paris": 0.4, "new-york": 0.4})
    budgets = {"total_eur": 0.03, "sends_per_hour": 4}
    tree = scenario.model_dump() | {"budgets": budgets}
    tree["calendar"] |= {"epoch_hours": epoch_hours}
    env = PopulationVectorEnv(scenario=Scenario.model_validate(tree), n_slots=3, on_ineligible="no_send")
    _, infos = env.reset(seed=seed)
    assert env.fleet is not None
    env.fleet.books = blank_books(env.scenario, len(env.fleet.books.by_day), ROWS)
    witness = Witness(env, env.fleet.books, zones_of(env.fleet))
    act_blindly(env, witness, infos, seed, 72 // epoch_hours)
    journal = env.fleet.totals().journal
    sends = journal[journal["kind"] == Event.SEND]
    assert -int(sends["amount_nano"].sum()) <= round(0.03e9)
    assert np.unique(sends["hour"], return_counts=True)[1].max(initial=0) <= 4
    paid = sends[sends["campaign"] == [c.name for c in env.scenario.campaigns].index("paid")]
    assert -int(paid["amount_nano"].sum()) <= round(0.002e9)


@given(limits(), starts, seeds, st.sampled_from(("clock", "event")))
@settings(thorough, max_examples=15)
def test_candidates_that_are_kept_are_those_that_would_be_found_anew(stated, start, seed, trigger):
    scenario = in_one_zone(stated, start, "paris")
    draw = np.random.default_rng(seed)
    envs = [NotifyVectorEnv(8, scenario, n_slots=3, on_ineligible="no_send", trigger=trigger) for _ in range(2)]
    for env in envs:
        env.reset(seed=seed)
    for _ in range(100):
        actions = draw.integers(0, 7, 8) * (draw.random(8) < 0.3)
        envs[1].seats.offers["until_hour"] = -1
        (seen, *_, told), (anew, *_, expected) = (env.step(actions) for env in envs)
        assert np.array_equal(told["candidates"], expected["candidates"])
        assert np.array_equal(told["reasons"], expected["reasons"])
        assert seen.tobytes() == anew.tobytes()


@pytest.mark.proof
@given(limits(), senders, starts, seeds)
@settings(thorough, max_examples=1000)
def test_proof_no_sender_breaks_a_limit(stated, rule, start, seed):
    run(busy(stated, start, 40, 30, seed, {"utc": 0.2, "paris": 0.4, "new-york": 0.4}), rule)


@pytest.mark.proof
@given(limits(), starts, seeds, st.sampled_from(("paris", "new-york")), st.sampled_from(("notify", "daily", "queue")))
@settings(thorough, max_examples=500)
def test_proof_no_action_breaks_a_limit(stated, start, seed, zone, mode):
    beside(in_one_zone(stated, start, zone), seed, 20 if mode == "daily" else 150, mode=mode)


def test_more_campaigns_than_a_history_remembers_are_refused() -> None:
    tree = scenario_of("games").model_dump(mode="json")
    triggered = next(campaign for campaign in tree["campaigns"] if campaign["kind"] == "triggered")
    tree["campaigns"] += [triggered | {"name": f"more-{k}"} for k in range(13)]
    with pytest.raises(
        ValueError, match="at most 16 campaigns that are triggered, transactional or have a cap for each user, got 18"
    ):
        scenario_of(tree)
