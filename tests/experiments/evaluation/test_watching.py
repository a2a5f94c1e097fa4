"""Watching an evaluation: it changes nothing, and its sums are the evaluation's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agents.agent import Choices
from agents.problem import Problem, vocabulary_problem
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.watched_tables import (
    day_columns,
    harm_columns,
    hour_columns,
    segment_columns,
    stacked,
    tired_level,
)
from experiments.evaluation.watching import Watched, Watcher
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import MONEY, NANO, Event, Metric, Reason
from tests.simulator.seated import scenario

N_SLOTS = 2
DAYS = 12
OPT_OUTS = (Metric.OPT_OUTS_PUSH, Metric.OPT_OUTS_EMAIL)


class Eager:
    """Sends the first eligible message, whenever there is one."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def act(self, observations: Any, masks: Any, rng: Any, **_: Any) -> Choices:
        return Choices(1 + masks[:, 1:].argmax(axis=1), None)


def watched_run(n_users: int = 60, seed: int = 3, **options: Any) -> tuple[Evaluation, Watched]:
    watcher = Watcher()
    agent = Eager(vocabulary_problem(N_SLOTS))
    world = scenario(calendar__horizon_days=DAYS)
    found = evaluate(agent, world, n_users, seed, name="eager", n_slots=N_SLOTS, watcher=watcher, **options)  # type: ignore[arg-type]
    return found, watcher.watched


def test_watching_changes_nothing() -> None:
    agent, world = Eager(vocabulary_problem(N_SLOTS)), scenario(calendar__horizon_days=DAYS)
    alone = evaluate(agent, world, 60, 3, name="eager", n_slots=N_SLOTS)  # type: ignore[arg-type]
    found, _ = watched_run()
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name), name)


@pytest.mark.parametrize("chunk_users", [4096, 17])
def test_sums_over_days_and_segments_are_the_evaluations_own(chunk_users: int) -> None:
    found, watched = watched_run(chunk_users=chunk_users)
    assert found.sends.sum() > 100
    assert found.opens.sum() > 0
    for name, metrics in {
        "sends": (Metric.SENDS,),
        "opens": (Metric.OPENS,),
        "clicks": (Metric.CLICKS,),
        "sessions": (Metric.SESSIONS_ORGANIC, Metric.SESSIONS_DRIVEN),
        "opt_outs": OPT_OUTS,
        "churns": (Metric.CHURNS,),
        "present_days": (Metric.PRESENT_DAYS,),
        "surveys": (Metric.SURVEYS,),
        "value_nano": MONEY,
    }.items():
        own = getattr(found, name)
        by_segment = [own[watched.segment == k].sum() for k in range(len(watched.segments))]
        np.testing.assert_array_equal(watched.by_day_of(*metrics).sum(axis=0), by_segment, name)
    assert (watched.by_day_of(Metric.PRESENT_DAYS) >= 0).all()
    assert (watched.by_day_of(Metric.FATIGUE_MICRO) >= 0).all()
    assert watched.by_day_of(Metric.FATIGUE_MICRO).sum() > 0
    assert not watched.by_hour_of(Metric.PRESENT_DAYS, Metric.REACHABLE_DAYS).any()


def test_users_who_leave_before_a_decision_are_in_neither_book() -> None:
    """Tourists leave within hours: others sit down in their place, and the books hold both."""
    watcher = Watcher()
    world = scenario(
        calendar__horizon_days=8,
        population__mature_share=0.0,
        population__arrival_days=1,
        population__tourist_share=0.9,
    )
    found = evaluate(None, world, 40, 1, watcher=watcher, spread_hours=100)
    env = NotifyVectorEnv(40, world, spread_hours=100)
    env.reset(seed=1)
    assert env.seats.episodes.sum() > 10
    assert watcher.watched.by_day_of(Metric.CHURNS).sum() == found.churns.sum() > 10
    assert watcher.watched.by_day_of(Metric.PRESENT_DAYS).sum() == found.present_days.sum()
    assert (watcher.watched.by_day_of(Metric.CHURNS) >= 0).all()


@pytest.mark.parametrize("mode", ["notify", "daily", "queue"])
def test_each_send_is_seen_at_its_local_hour_in_its_segment(mode: str) -> None:
    watcher = Watcher()
    world = scenario(calendar__horizon_days=DAYS)
    env = NotifyVectorEnv(2, world, mode=mode, n_slots=N_SLOTS)
    problem = type("P", (), {"features": env.observation_names, "actions": env.action_names})()
    agent = Eager(problem)
    found = evaluate(agent, world, 40, 2, n_slots=N_SLOTS, mode=mode, watcher=watcher)  # type: ignore[arg-type]
    watched = watcher.watched
    assert found.sends.sum() > 40
    by_hour = np.bincount(watched.send_local_hour, minlength=24)
    np.testing.assert_array_equal(by_hour, watched.by_hour_of(Metric.SENDS))
    by_segment = np.bincount(watched.send_segment, minlength=len(watched.segments))
    np.testing.assert_array_equal(by_segment, watched.by_day_of(Metric.SENDS).sum(axis=0))
    begins, ends = 22, 8
    assert watched.is_night_send.sum() == by_hour[begins:].sum() + by_hour[:ends].sum()


def test_fatigue_at_a_send_follows_from_the_sends_before_it() -> None:
    """Each send adds its weight, and it decays: reckoned here from the journal of one user."""
    world = scenario(calendar__horizon_days=DAYS)
    env = NotifyVectorEnv(1, world, n_slots=N_SLOTS, autoresets=False, journal_rows=10_000)
    env.reset(seed=4)
    law = env.world.law[0]
    level, at, expected = 0.0, 0.0, []
    while not env.is_over.all():
        masks = env.action_masks()
        env.step(np.where(masks[:, 1:].any(axis=1), 1 + masks[:, 1:].argmax(axis=1), 0))
        for event in env.events()[0]:
            if event["kind"] in (Event.SEND, Event.DELIVERY, Event.FAILURE):
                level *= math.exp(-(event["time_hours"] - at) / law["fatigue_hours"])
                at = event["time_hours"]
            if event["kind"] == Event.SEND:
                expected.append(level)
            if event["kind"] == Event.DELIVERY:
                level += law["channel_fatigue"][event["channel"]] * env.world.campaigns["intensity"][event["campaign"]]
            assert event["reason"] != Reason.NO_BUDGET
    watcher = Watcher()
    evaluate(Eager(vocabulary_problem(N_SLOTS)), world, 1, 4, n_slots=N_SLOTS, watcher=watcher)  # type: ignore[arg-type]
    assert len(expected) > 5
    np.testing.assert_allclose(watcher.watched.send_fatigue, expected, rtol=1e-3, atol=1e-5)
    assert watcher.watched.send_fatigue.max() > 0.1


def test_tables_hold_the_sums() -> None:
    found, watched = watched_run()
    level = tired_level("eager", watched)
    days, hours = day_columns("eager", watched), hour_columns("eager", watched)
    segments, harm = (
        segment_columns("eager", watched, found),
        harm_columns("eager", watched, found, level),
    )
    for name in ("sends", "opens", "opt_outs"):
        total = getattr(found, name).sum()
        assert sum(days[name]) == sum(hours[name]) == total  # type: ignore[arg-type]
        assert np.dot(segments[name], segments["users"]) == pytest.approx(total)
    assert sum(days["value_eur"]) == pytest.approx(found.value_nano.sum() / NANO)  # type: ignore[arg-type]
    assert harm["segment"] == ["", *watched.segments]
    for name in ("users", "sends", "night_sends", "fatigued_sends", "opt_outs"):
        first, *rest = harm[name]
        assert first == sum(rest), name  # type: ignore[arg-type]
    assert harm["sends"][0] == found.sends.sum()
    assert harm["opt_outs"][0] == found.opt_outs.sum()
    assert harm["exposure"][0] == pytest.approx(found.sends_per_user_week)
    assert {len(column) for column in harm.values()} == {1 + len(watched.segments)}
    one = segments["segment"].index(watched.segments[0])  # type: ignore[arg-type]
    own = found.expected_nano[watched.segment == 0] / NANO
    assert segments["value_eur"][one] == pytest.approx(own.mean())
    assert segments["value_eur_se"][one] == pytest.approx(own.std(ddof=1) / math.sqrt(len(own)))


def test_gains_by_segment_are_over_the_same_users() -> None:
    found, watched = watched_run()
    silent = evaluate(None, scenario(calendar__horizon_days=DAYS), 60, 3, name="silence")
    segments = segment_columns("eager", watched, found, silent)
    gained = (found.expected_nano - silent.expected_nano) / NANO
    for k in range(len(watched.segments)):
        own = gained[watched.segment == k]
        if len(own) > 1:
            half = 1.96 * own.std(ddof=1) / math.sqrt(len(own))
            assert segments["gain_eur"][k] == pytest.approx(own.mean())
            assert segments["gain_high"][k] == pytest.approx(own.mean() + half, rel=1e-3)
    assert all(math.isnan(gain) for gain in segment_columns("eager", watched, found)["gain_eur"])  # type: ignore[arg-type]
    few = evaluate(None, scenario(calendar__horizon_days=DAYS), 9, 3, name="few")
    with pytest.raises(ValueError, match="'eager' and 'few' cannot be compared: they are of 60 and 9 users"):
        segment_columns("eager", watched, found, few)


def test_a_tenth_of_the_references_own_sends_go_to_the_tired() -> None:
    found, watched = watched_run()
    level = tired_level("eager", watched)
    harm = harm_columns("eager", watched, found, level)
    assert harm["fatigued_sends"][0] == pytest.approx(0.1 * found.sends.sum(), abs=1)
    assert "most tired tenth of eager" in level.says
    silent = tired_level("silence", None)
    assert silent.fatigue == 1.0
    assert silent.says == "hidden fatigue above 1 push-equivalent (silence sends nothing to measure by)"


def test_what_does_not_belong_together_is_refused() -> None:
    found, watched = watched_run()
    other = evaluate(None, scenario(calendar__horizon_days=2), 3, 1, name="other")
    with pytest.raises(ValueError, match="'other': expected what was watched of its own 3 users and 0 sends, got 60"):
        segment_columns("other", watched, other)
    with pytest.raises(ValueError, match="expected an evaluation with this watcher first"):
        Watcher().watched  # noqa: B018
    with pytest.raises(ValueError, match="expected columns policy, local_hour, sends, opens, opt_outs; got policy"):
        stacked([hour_columns("eager", watched), segment_columns("eager", watched, found)])
    both = stacked([hour_columns("a", watched), hour_columns("b", watched)])
    assert both["policy"] == ["a"] * 24 + ["b"] * 24
