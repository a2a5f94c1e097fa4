"""The recorder: rows are what the environment said, money adds up, choices have the chances that are written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.choosing import draw_actions
from experiments.recording.logging_policies import (
    of_document,
    of_function,
    uniform_over_eligible,
)
from policies import exploration
from policies.codec import read
from policies.decide import Policy
from policies.ledger import (
    OUTCOME_KINDS,
    read_header,
)
from policies.ledger.converters import to_d3rlpy, to_minari, to_obp
from policies.ledger.trajectories import trajectories
from simulator import luck
from simulator.compiled import most_threads, on_threads
from simulator.records import Metric
from tests.experiments.recordings import Log, N, asks_for_anything, environment, recorded
from tests.policies.documents import RULES, SCORECARD

FALSE_ALARM = 1e-6


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return recorded(tmp_path_factory.mktemp("log"), environment())


def send_costs_nano(log: Log) -> np.ndarray:
    """What each decision's send cost, by the price list."""
    d, world = log.decisions, log.env.world
    is_sent = d.sent_campaign >= 0
    prices = world.law["cost_nano"][0][d.sent_channel] + world.campaigns["cost_nano"][d.sent_campaign]
    return np.where(is_sent, -prices, 0)


def seats_of(user_id: np.ndarray) -> np.ndarray:
    """The seats of users: who leaves before a first decision is passed over, so that numbers may go beyond N."""
    return (user_id % np.uint64(N)).astype(np.int64)


def same_rows(one: Any, other: Any) -> bool:
    return all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())


# ---------------------------------------------------------------------------------------- what the environment said


def test_rows_are_what_the_environment_showed_and_paid(log: Log) -> None:
    """The log's decisions, taken again in a fresh environment, are met by the same sights and rewards."""
    d = log.decisions
    env = environment()
    observations, infos = env.reset(seed=5)
    seat = seats_of(d.user_id)
    at = np.lexsort((d.step, seat))
    first = np.searchsorted(seat[at], np.arange(N))
    n_seen = 0
    elapsed = np.zeros(N)
    for step in range(int(d.step.max()) + 1):
        rows = np.flatnonzero(~env.is_over)
        own = at[first[rows] + step]
        assert (d.step[own] == step).all()
        assert (d.user_id[own] == rows + N * env.seats.episodes[rows]).all()
        assert np.array_equal(d.features[own], observations[rows])
        assert np.array_equal(d.eligible[own], infos["action_mask"][rows] == 1)
        assert np.array_equal(d.reasons[own], infos["reasons"][rows])
        assert np.array_equal(d.candidates[own], infos["candidates"][rows])
        assert np.array_equal(d.time_hours[own], infos["hour"][rows])
        assert np.array_equal(d.luck_key[own], env.seats.users["key"][rows])
        assert np.array_equal(d.elapsed_hours[own], elapsed[rows])
        actions = np.zeros(N, np.int64)
        actions[rows] = d.action[own]
        observations, rewards, terminated, truncated, infos = env.step(actions)
        elapsed = infos["elapsed_hours"]
        assert np.array_equal(d.reward[own], rewards[rows])
        assert np.array_equal(d.reward_nano_eur[own], infos["reward_parts"][rows].sum(axis=1))
        assert np.array_equal(d.terminated[own], terminated[rows])
        assert np.array_equal(d.truncated[own], truncated[rows])
        ended = rows[(terminated | truncated)[rows]]
        endings = [int(np.flatnonzero(seats_of(log.endings.episode_id) == i)[0]) for i in ended]
        assert np.array_equal(log.endings.features[endings], observations[ended])
        assert np.array_equal(log.endings.time_hours[endings], env.seats.users["now_hours"][ended])
        n_seen += len(rows)
    assert env.is_over.all()
    assert n_seen == len(d) == log.recorded.n_decisions
    assert log.recorded.n_episodes == len(log.endings) == N


def test_money_adds_up_to_the_nano_euro(log: Log) -> None:
    """Of each user over the whole episode: outcomes less the price of sends are the rewards."""
    d, o = log.decisions, log.outcomes
    seat = seats_of(d.user_id)
    seat_of = dict(zip(d.decision_id.tolist(), seat.tolist(), strict=True))
    earned = np.zeros(N, np.int64)
    np.add.at(earned, [seat_of[decision] for decision in o.decision_id.tolist()], o.amount_nano_eur)
    np.add.at(earned, seat, send_costs_nano(log))
    booked = np.zeros(N, np.int64)
    np.add.at(booked, seat, d.reward_nano_eur)
    assert np.array_equal(earned, booked)
    assert (booked != 0).sum() > N / 2
    assert log.recorded.value_nano_eur == booked.sum()


def test_outcomes_come_after_their_decision_and_before_the_next(log: Log) -> None:
    d, o = log.decisions, log.outcomes
    place = {decision: row for row, decision in enumerate(d.decision_id.tolist())}
    rows = np.array([place[decision] for decision in o.decision_id.tolist()])
    assert (o.time_hours >= d.time_hours[rows]).all()
    direct = rows[~o.is_attributed]
    assert (o.time_hours[~o.is_attributed] < d.time_hours[direct] + 1 + 1e-9).all(), "hourly decisions"
    # What came through a message belongs to a decision that sent one; each is delivered, or fails, at most once.
    assert (d.sent_campaign[rows[o.is_attributed]] >= 0).all()
    for kind in ("delivered", "failed", "expired", "opened", "clicked"):
        assert o.is_attributed[log.of_kind(kind)].all()
        assert len(set(o.decision_id[log.of_kind(kind)].tolist())) == log.of_kind(kind).sum() > 0
    opened = set(o.decision_id[log.of_kind("opened")].tolist())
    assert set(o.decision_id[log.of_kind("clicked")].tolist()) <= opened
    assert opened <= set(o.decision_id[log.of_kind("delivered")].tolist())
    assert log.of_kind("delivered").sum() + log.of_kind("failed").sum() <= log.recorded.n_sends
    late = o.time_hours[o.is_attributed] - d.time_hours[rows[o.is_attributed]]
    assert late.max() > 2, "some message comes to something only after later decisions"
    sessions = log.of_kind("session") & o.is_attributed
    assert np.array_equal(np.sort(o.decision_id[sessions]), np.sort(o.decision_id[log.of_kind("clicked")]))


def test_counts_are_those_of_the_books(log: Log) -> None:
    """The engine counts for itself what the journal tells; before a first decision no message can come to anything."""
    counts = log.env.books.by_day.sum(axis=(0, 1, 2))
    by_kind = log.recorded.outcomes_by_kind()
    assert by_kind == dict(
        zip(OUTCOME_KINDS, np.bincount(log.outcomes.kind, minlength=len(OUTCOME_KINDS)).tolist(), strict=True)
    )
    assert counts[Metric.SENDS] == log.recorded.n_sends
    for kind, metric in (
        ("delivered", Metric.DELIVERIES),
        ("failed", Metric.FAILURES),
        ("expired", Metric.EXPIRIES),
        ("opened", Metric.OPENS),
        ("clicked", Metric.CLICKS),
    ):
        assert counts[metric] == by_kind[kind], kind
    attributed = log.outcomes.is_attributed
    assert counts[Metric.SESSIONS_DRIVEN] == (attributed & log.of_kind("session")).sum()
    assert counts[Metric.CONVERSIONS_DRIVEN] == (attributed & log.of_kind("conversion")).sum()


# ------------------------------------------------------------------------------------------------- chances and luck


def test_actions_come_as_often_as_their_probabilities_say(log: Log) -> None:
    """Each action's count beside the sum of its probabilities: a sum of independent draws given what was seen.

    Bernstein's inequality bounds the chance of a false alarm; 9 actions share the rate of 1e-6. It would catch a
    tenth too many of any action that is expected 3,000 times.
    """
    d = log.decisions
    threshold = math.log(2 * d.probabilities.shape[1] / FALSE_ALARM)
    for action in range(d.probabilities.shape[1]):
        p = d.probabilities[:, action]
        gap = abs((d.action == action).sum() - p.sum())
        variance = (p * (1 - p)).sum()
        bound = threshold / 3 + math.sqrt((threshold / 3) ** 2 + 2 * threshold * variance)
        assert gap <= bound, action
    assert (d.action > 0).sum() > 300
    assert np.array_equal(d.propensity, d.probabilities[np.arange(len(d)), d.action])


def test_every_action_is_drawn_with_the_users_own_number(log: Log) -> None:
    d = log.decisions
    for row in range(0, len(d), 37):
        number = luck.uniform(d.luck_key[row], luck.DECISION, np.uint64(1 + int(d.time_hours[row])))
        assert exploration.draw(d.probabilities[row].tolist(), number) == d.action[row]


def test_drawing_for_many_is_drawing_for_one() -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.random((2000, 7)) * (draw.random((2000, 7)) < 0.6)
    probabilities[:, 0] += 0.1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[::3] = probabilities[::3].astype(np.float32)  # whose sums are not quite 1
    uniforms = draw.random(2000)
    uniforms[:500] = np.nextafter(1.0, 0.0)
    uniforms[500:1000] = probabilities[500:1000].cumsum(axis=1)[:, 2] * (1 - 2**-52)  # at a border between two
    expected = [exploration.draw(p, u) for p, u in zip(probabilities.tolist(), uniforms.tolist(), strict=True)]
    assert draw_actions(probabilities, uniforms).tolist() == expected


def test_the_same_seed_writes_the_same_rows_with_any_number_of_threads(tmp_path: Path) -> None:
    n_users = 1100  # enough to be worth a second thread
    logs = []
    for n_threads in sorted({1, most_threads()}):
        with on_threads(n_threads):
            env = environment(n_users, horizon_days=2, spread_hours=20)
            assert env.n_workers == n_threads
            logs.append(recorded(tmp_path / str(n_threads), env))
    if len(logs) == 1:
        logs.append(recorded(tmp_path / "again", environment(n_users, horizon_days=2, spread_hours=20)))
    one, other = logs
    assert len(one.decisions) > 10_000
    for table in ("decisions", "outcomes", "endings"):
        assert same_rows(getattr(one, table), getattr(other, table)), table
    differing = recorded(tmp_path / "differing", environment(n_users, horizon_days=2, spread_hours=20), seed=6)
    assert not np.isin(differing.decisions.decision_id, one.decisions.decision_id).any()
    shared = np.isin(differing.decisions.luck_key, one.decisions.luck_key)
    assert set(differing.decisions.user_id[~shared].tolist()) == {1099}, "seat i of seed 6 is seat i + 1 of seed 5"


# ------------------------------------------------------------------------------------------------ stopping, resuming


def test_a_log_that_stops_early_has_whole_episodes(tmp_path: Path) -> None:
    """Users who take each other's place, and a stop in the middle: trajectories need nothing left out."""
    env = environment(autoresets=True, horizon_days=3)
    log = recorded(tmp_path, env, n_decisions=3000)
    assert 3000 <= len(log.decisions) < 3000 + N
    whole = trajectories(log.decisions, log.endings)
    assert len(whole) == log.recorded.n_episodes > N
    assert whole.n_incomplete == 0
    assert not np.isnan(whole.final_features).any()
    assert len(set(log.decisions.luck_key.tolist())) == len(whole), "one user an episode"
    first = whole.starts[:-1]
    assert (whole.decisions.elapsed_hours[first] == 0).all()
    lengths = np.diff(whole.starts)
    inner = np.setdiff1d(np.arange(len(log.decisions)), first)
    d = whole.decisions
    assert np.array_equal(d.time_hours[inner], d.time_hours[inner - 1] + d.elapsed_hours[inner])
    assert lengths.max() > 24
    assert np.isin(log.outcomes.decision_id, d.decision_id).all()
    assert send_costs_nano(log).sum() + log.outcomes.amount_nano_eur.sum() == d.reward_nano_eur.sum()


def test_endings_are_what_those_saw_who_made_way(tmp_path: Path) -> None:
    env = environment(autoresets=True, horizon_days=3)
    log = recorded(tmp_path, env, n_decisions=N * 60)
    env.reset(seed=5)
    n_ended = n_of_the_last_step = 0
    for actions in log.decisions.action.reshape(60, N):
        n_of_the_last_step = 0
        numbers = np.arange(N) + N * env.seats.episodes
        observations, *_, infos = env.step(actions)
        for i in np.flatnonzero(infos.get("_final_obs", np.zeros(N, bool))):
            [ending] = np.flatnonzero(log.endings.episode_id == numbers[i])
            assert np.array_equal(log.endings.features[ending], infos["final_obs"][i])
            assert not np.array_equal(log.endings.features[ending], observations[i])
            n_ended += 1
            n_of_the_last_step += 1
    assert n_ended > N / 2
    assert len(log.endings) == n_ended + N - n_of_the_last_step, "everyone's episode ends with the log"


def test_a_stop_that_is_asked_for_closes_the_episodes(tmp_path: Path) -> None:
    seen: list[int] = []
    log = recorded(tmp_path, environment(), on_step=seen.append, should_stop=lambda: len(seen) >= 9)
    assert seen == list(range(1, 11))
    assert log.decisions.truncated.sum() == N
    assert len(trajectories(log.decisions, log.endings)) == N


# -------------------------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize("document", [RULES, SCORECARD], ids=["rules", "scorecard"])
def test_a_document_decides_row_by_row_as_decide_does(tmp_path: Path, document: Any) -> None:
    policy = Policy(document)
    log = recorded(tmp_path, environment(10, horizon_days=3), of_document(policy))
    d = log.decisions
    assert d.policy_hashes == (policy.policy_hash,)
    for row in range(len(d)):
        number = luck.uniform(d.luck_key[row], luck.DECISION, np.uint64(1 + int(d.time_hours[row])))
        decision = policy.decide(d.features[row], d.eligible[row], number, explain=False)
        assert (decision.action, decision.propensity) == (d.action[row], d.propensity[row])
        assert decision.probabilities == tuple(d.probabilities[row])
    assert log.recorded.n_sends > 0
    [kept] = (tmp_path / "policies").iterdir()
    assert kept.name == f"{policy.policy_hash.replace(':', '-')}.json"
    assert read(kept.read_text("utf-8")) == document


def test_random_is_a_document_too(log: Log) -> None:
    [kept] = (log.folder / "policies").iterdir()
    policy = Policy(read(kept.read_text("utf-8")))
    d = log.decisions
    assert d.policy_hashes == (policy.policy_hash,)
    for row in range(0, len(d), 29):
        assert policy.probabilities(d.features[row], d.eligible[row]) == tuple(d.probabilities[row])


def test_what_is_not_eligible_is_assigned_and_not_sent(tmp_path: Path) -> None:
    env = environment(on_ineligible="no_send")
    log = recorded(tmp_path, env, of_function("anything", 9, asks_for_anything))
    d = log.decisions
    rows = np.arange(len(d))
    number = np.empty(len(d))
    luck.decision_uniforms(d.luck_key, d.time_hours.astype(np.int64), number)
    asked = np.minimum((np.maximum(number - 0.5, 0.0) / 0.5 * 8).astype(int), 7) + 1
    asked[number < 0.5] = 0
    is_open = d.eligible[rows, asked]
    assert np.array_equal(d.action, np.where(is_open, asked, 0))
    offered = np.where(asked > 0, d.candidates[rows, (asked - 1) // 2], -1)
    assert np.array_equal(d.assigned_campaign, offered)
    assert np.array_equal(d.assigned_channel, np.where(offered >= 0, (asked - 1) % 2, -1))
    assert np.array_equal(d.sent_campaign, np.where(is_open, offered, -1))
    assert ((d.assigned_campaign >= 0) & (d.sent_campaign < 0)).sum() > 100
    assert (d.sent_campaign >= 0).sum() == log.recorded.n_sends > 50
    assert log.recorded.n_refused == (~is_open).sum()
    # A no_send has the chance of all that becomes one.
    expected = 0.5 + 0.5 / 8 * (~d.eligible).sum(axis=1)
    np.testing.assert_allclose(d.probabilities[:, 0], expected, rtol=1e-12)
    assert send_costs_nano(log).sum() + log.outcomes.amount_nano_eur.sum() == d.reward_nano_eur.sum()


def test_probabilities_that_add_up_to_a_little_more_than_one_are_logged(tmp_path: Path) -> None:
    """As a float32 softmax's do; a no_send that takes them all over has probability 1."""
    policy = of_function("float32", 9, lambda seen, masks: asks_for_anything(seen, masks) * (1 + 1e-6))
    log = recorded(tmp_path, environment(horizon_days=3, on_ineligible="no_send"), policy)
    is_shut = ~log.decisions.eligible[:, 1:].any(axis=1)
    assert is_shut.sum() > 100
    assert (log.decisions.propensity[is_shut] == 1.0).all()


def test_daily_plans_are_logged_with_their_hour(tmp_path: Path) -> None:
    env = environment(mode="daily", spread_hours=0, horizon_days=10)
    log = recorded(tmp_path, env, of_function("any plan", 193, uniform_over_eligible))
    d = log.decisions
    header = read_header(tmp_path)
    assert header.actions[:3] == ("no_send", "slot0.push.00h", "slot0.email.00h")
    assert header.actions[-1] == "slot3.email.23h"
    assert len(d) > 5 * N
    sends = d.sent_campaign >= 0
    assert sends.sum() > N
    assert np.array_equal(d.assigned_channel[d.action > 0], (d.action[d.action > 0] - 1) % 2)
    place = {decision: row for row, decision in enumerate(d.decision_id.tolist())}
    o = log.outcomes
    rows = np.array([place[decision] for decision in o.decision_id.tolist()])
    assert (d.sent_campaign[rows[o.is_attributed]] >= 0).all()
    told = log.of_kind("delivered") | log.of_kind("failed")
    assert len(set(o.decision_id[told].tolist())) == told.sum() > 0
    assert send_costs_nano(log).sum() + o.amount_nano_eur.sum() == d.reward_nano_eur.sum()


def test_event_triggered_decisions_keep_their_messages_apart(tmp_path: Path) -> None:
    log = recorded(tmp_path, environment(trigger="event", discount_per_hour=0.999))
    d, o = log.decisions, log.outcomes
    assert d.elapsed_hours.max() > 1
    assert len(trajectories(d, log.endings)) == N
    place = {decision: row for row, decision in enumerate(d.decision_id.tolist())}
    rows = np.array([place[decision] for decision in o.decision_id.tolist()])
    assert (d.sent_campaign[rows[o.is_attributed]] >= 0).all()
    told = log.of_kind("delivered") | log.of_kind("failed")
    assert len(set(o.decision_id[told].tolist())) == told.sum() > 0
    assert send_costs_nano(log).sum() + o.amount_nano_eur.sum() == d.reward_nano_eur.sum()


# ------------------------------------------------------------------------------------------------------- converters


@pytest.mark.filterwarnings("ignore:`:UserWarning", "ignore:env_spec is None:UserWarning")  # Minari misses authors
def test_other_libraries_take_the_log(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    d = log.decisions
    feedback = to_obp(d)
    assert feedback["n_rounds"] == len(d)
    np.testing.assert_array_equal(feedback["reward"], d.reward)
    arrays = to_d3rlpy(d, log.endings)
    assert arrays.terminals.sum() == d.terminated.sum()
    assert arrays.timeouts.sum() == d.truncated.sum()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    pytest.importorskip("minari")
    dataset = to_minari(d, read_header(log.folder), "kairos/recorded/random-v0", log.endings)
    assert dataset.total_episodes == N
    assert dataset.total_steps == len(d)
