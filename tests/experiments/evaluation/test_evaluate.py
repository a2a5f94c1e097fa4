"""Evaluation against the engine's own books, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.agent import Choices
from agents.problem import Problem, vocabulary_problem
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import ARRAYS, paired
from simulator.environments.vector import NotifyVectorEnv
from simulator.fleet import Fleet
from simulator.records import MONEY, Metric, Status
from simulator.senders import Sender
from tests.simulator.seated import scenario

N_SLOTS = 2
DAYS = 40


class Eager:
    """Sends the first eligible message and notes what it was asked."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rows_asked = 0

    def act(self, observations: Any, masks: Any, rng: Any, **_: Any) -> Choices:
        self.problem.check(observations, masks)
        assert masks[:, 1:].any(axis=1).all()
        self.rows_asked += len(masks)
        return Choices(1 + masks[:, 1:].argmax(axis=1), None)


def test_silence_is_the_engines_own_silent_run_of_the_same_users() -> None:
    world = scenario(calendar__horizon_days=DAYS)
    found = evaluate(None, world, 12, seed=5, chunk_users=7)
    env = NotifyVectorEnv(12, world, autoresets=False)
    env.reset(seed=5)
    for user, user_id in enumerate(env.seats.episodes):
        one = world.model_copy(update={"seed": 5 + user})
        run = Fleet(one, first_user=int(user_id), n_users=1)
        run.run(Sender())
        counts, money = run.tally["counts"][0].astype(np.int64), run.tally["money"][0]
        assert found.value_nano[user] == money.sum()
        not_orders = [k for k, part in enumerate(MONEY) if part not in (Metric.MARGIN, Metric.DISCOUNT)]
        assert found.expected_nano[user] == money[not_orders].sum() + run.tally["expected_nano"][0]
        assert found.sessions[user] == counts[Metric.SESSIONS_ORGANIC] + counts[Metric.SESSIONS_DRIVEN]
        assert found.present_days[user] == counts[Metric.PRESENT_DAYS]
        assert found.surveys[user] == counts[Metric.SURVEYS]
        assert found.satisfaction_milli[user] == counts[Metric.SATISFACTION_MILLI]
        assert found.churns[user] == (run.users["status"][0] != Status.PRESENT)
        assert found.retained[user] == (run.users["last_session_hours"][0] >= 24 * (DAYS - 28))
    assert not found.sends.any()
    assert found.sessions.any()
    assert 0 < found.churns.sum() < 12


def test_rewards_add_up_to_the_value_and_sends_are_those_that_were_asked_for() -> None:
    world = scenario(calendar__horizon_days=5)
    agent = Eager(vocabulary_problem(N_SLOTS))
    found = evaluate(agent, world, 30, seed=2, n_slots=N_SLOTS)  # type: ignore[arg-type]
    assert found.sends.sum() == agent.rows_asked > 30
    env = NotifyVectorEnv(30, world, autoresets=False, n_slots=N_SLOTS)
    env.reset(seed=2)
    total = env.seats.tally["money"].sum(axis=1)
    while not env.is_over.all():
        masks = env.action_masks()
        actions = np.where(masks[:, 1:].any(axis=1) & ~env.is_over, 1 + masks[:, 1:].argmax(axis=1), 0)
        total += env.step(actions)[4]["reward_parts"].sum(axis=1)
    np.testing.assert_array_equal(found.value_nano, total)


def test_chunks_and_threads_do_not_change_what_happens() -> None:
    world = scenario(calendar__horizon_days=4)
    agent = Eager(vocabulary_problem(N_SLOTS))
    whole, parts, alone = (
        evaluate(agent, world, 23, seed=9, n_slots=N_SLOTS, chunk_users=chunk, n_threads=n_threads)  # type: ignore[arg-type]
        for chunk, n_threads in ((4096, None), (10, 1), (1, 1))
    )
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name), name)
        np.testing.assert_array_equal(getattr(whole, name), getattr(alone, name), name)
    assert paired(whole, parts).estimate.mean == 0.0


def test_progress_tells_days_of_all_chunks_in_order() -> None:
    told: list[tuple[int, int]] = []
    evaluate(None, scenario(calendar__horizon_days=3), 6, seed=1, chunk_users=3, on_day=lambda *days: told.append(days))
    days = [done for done, _ in told]
    assert days == sorted(days)
    assert told[-1] == (6, 6)
    assert {of for _, of in told} == {6}


def test_an_agent_of_other_actions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evaluate: agent: expected an environment of its 57 features, got one of 43"):
        evaluate(Eager(vocabulary_problem(4)), scenario(), 2, seed=1, n_slots=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 0}, "expected at least one user, got n_users=0"),
        ({"n_users": 1, "chunk_users": 0}, "chunk_users=0"),
        ({"n_users": 1, "autoresets": True}, "autoresets: set by the evaluation itself"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(None, "ecommerce", seed=1, **arguments)


def test_other_users_are_not_compared() -> None:
    world = scenario(calendar__horizon_days=1)
    one, other, more = (evaluate(None, world, n, seed, name=f"{n}/{seed}") for n, seed in ((3, 1), (3, 2), (4, 1)))
    with pytest.raises(ValueError, match=r"'3/1' and '3/2' cannot be compared: seed is 1 and 2"):
        paired(one, other)
    with pytest.raises(ValueError, match="they are of 3 and 4 users"):
        paired(one, more)
    with pytest.raises(ValueError, match="outcome: expected value_nano, expected_nano"):
        paired(one, one, "valu")
