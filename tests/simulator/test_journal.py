"""The events of a step: whose they are, that they explain the reward, and what is said when there are none to tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.compiled import most_threads, on_threads
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import Records


def random_actions(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    return np.asarray((rng.random(masks.shape) * masks).argmax(axis=1))


def environment(num_envs: int = 6, journal_rows: int = 400, **arguments: Any) -> NotifyVectorEnv:
    return NotifyVectorEnv(num_envs, "learning", journal_rows=journal_rows, **{"horizon_days": 4, **arguments})


@pytest.mark.parametrize("arguments", [{}, {"spread_hours": 48}, {"autoresets": False}, {"mode": "daily"}])
def test_events_are_those_of_the_users_decided_for_and_explain_every_reward(arguments: dict[str, Any]) -> None:
    env = environment(**arguments)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    n_events, n_ended = 0, 0
    for _ in range(150):
        users = env.seats.users["user_id"].copy()
        hours = env.seats.users["now_hours"].copy()
        was_over = env.is_over.copy()
        actions = np.where(was_over, 0, random_actions(rng, env.action_masks()))
        _, _, terminated, truncated, infos = env.step(actions)
        events, seats = env.events()
        assert (np.diff(seats) >= 0).all()
        assert not was_over[seats].any()
        assert np.array_equal(events["user_id"], users[seats])
        assert (events["time_hours"] >= hours[seats]).all()
        assert (events["time_hours"] <= hours[seats] + infos["elapsed_hours"][seats]).all()
        earned = np.zeros(env.num_envs, np.int64)
        np.add.at(earned, seats, events["amount_nano"])
        assert np.array_equal(earned, infos["reward_parts"].sum(axis=1))
        n_events += len(events)
        n_ended += int((terminated | truncated).sum())
    assert n_events > 100
    assert n_ended > 0


def test_threads_change_no_event_and_a_journal_changes_no_reward() -> None:
    n = 1030  # enough to be worth a second thread
    told: list[tuple[Records, np.ndarray]] = []
    rewards = []
    for n_threads, rows in ((1, 10_000), (most_threads(), 10_000), (1, 0)):
        with on_threads(n_threads):
            env = environment(n, rows)
        assert env.n_workers == n_threads
        env.reset(seed=3)
        rng = np.random.default_rng(0)
        rewards.append([env.step(random_actions(rng, env.action_masks()))[1] for _ in range(12)])
        if rows:
            told.append(env.events())
    assert np.array_equal(told[0][0], told[1][0])
    assert np.array_equal(told[0][1], told[1][1])
    assert len(told[0][0]) > 100
    assert np.array_equal(rewards[0], rewards[1])
    assert np.array_equal(rewards[0], rewards[2])


def test_no_events_is_an_error_and_never_an_empty_answer() -> None:
    env = environment()
    for _ in range(2):
        env.reset(seed=1)
        with pytest.raises(ValueError, match=r"events: expected a step before, got none"):
            env.events()
        env.step(np.zeros(6, np.int64))
        env.events()
    env = environment(journal_rows=0)
    env.reset(seed=1)
    env.step(np.zeros(6, np.int64))
    with pytest.raises(ValueError, match=r"events: journal_rows is 0: no events are kept; expected room"):
        env.events()
    with pytest.raises(ValueError, match=r"journal_rows: expected a whole number from 0 to \d+, got -1"):
        environment(journal_rows=-1)


def test_a_full_journal_is_an_error_and_is_empty_again_after_the_next_step() -> None:
    env = environment(60, journal_rows=20)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    while env.books.journal_used[0, 0] < 20:
        env.step(random_actions(rng, env.action_masks()))
    with pytest.raises(RuntimeError, match=r"journal of worker 0 \(60 users\) is full with 20 events .* try 80"):
        env.events()
    env = environment(1, journal_rows=400)
    env.reset(seed=2)
    for _ in range(90):
        env.step(np.zeros(1, np.int64))
        assert len(env.events()[0]) < 20
