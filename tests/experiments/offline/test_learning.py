"""CQL and BCQ in a small world whose optimum is known: they find it, or stay where the log has been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from experiments.offline.estimators.sequential import direct_method
from experiments.offline.learning.bcq import learn_bcq
from experiments.offline.learning.cql import learn_cql
from experiments.offline.learning.networks import LearnedPolicy, Schedule
from experiments.offline.learning.transitions import transitions_of
from experiments.offline.logs.logged import Bools, Floats
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.fqe import fitted_q
from experiments.offline.weighed_trajectories import weigh_trajectories

# A user up to four steps from buying. `remind` leads a step on, `wait` a step back, `blast` drives away, at a cost.
# `call` ends it at little cost, and is for the last step's users only. Each other decision costs 1.
NAMES = ("wait", "remind", "blast", "call")
N_STATES, STEPS, DISCOUNT = 4, 12, 0.95
LEAVING = -30.0
ELIGIBLE = np.asarray([[True, True, True, state == N_STATES - 1] for state in range(N_STATES)])
QUICK = Schedule(n_steps=600, batch_size=64, learning_rate=3e-3, hidden=(32,), target_every=40)
Learner = Callable[[LoggedTrajectories, float, Schedule, int], LearnedPolicy]
EXPLORING, NARROW = (0.3, 0.4, 0.3), (0.15, 0.85, 0.0)


def move(state: int, action: int) -> tuple[float, int]:
    """Return reward and next state; one beyond the last: it is over."""
    if action == 2:
        return LEAVING, N_STATES
    if action == 3:
        return -0.5, N_STATES
    return -1.0, max(state - 1, 0) if action == 0 else state + 1


@cache
def optimum() -> Floats:
    """Return the best value of each state and action, shape (S, A), by value iteration; -inf where not eligible."""
    q = np.where(ELIGIBLE, 0.0, -np.inf)
    for _ in range(500):
        best = np.append(q.max(axis=1), 0.0)
        for state, action in np.argwhere(ELIGIBLE).tolist():
            reward, to = move(state, action)
            q[state, action] = reward + DISCOUNT * best[to]
    return q


def worth(policy: Floats) -> float:
    """Return the mean value of a policy of shape (S, A) over the states, by linear equations."""
    moves, earned = np.zeros((N_STATES, N_STATES)), np.zeros(N_STATES)
    for state, action in np.argwhere(ELIGIBLE).tolist():
        reward, to = move(state, action)
        earned[state] += policy[state, action] * reward
        if to < N_STATES:
            moves[state, to] += DISCOUNT * policy[state, action]
    return float(np.linalg.solve(np.eye(N_STATES) - moves, earned).mean())


@cache
def logged(chances: tuple[float, float, float], n_episodes: int = 300) -> LoggedTrajectories:
    """Return a log of a policy that waits, reminds and blasts so often, and calls half of those who can be called."""
    rng = np.random.default_rng(1)
    rows: list[tuple[int, int, int, float, int, bool]] = []
    final = np.zeros((n_episodes, N_STATES))
    for episode in range(n_episodes):
        state = int(rng.integers(N_STATES))
        for step in range(STEPS):
            is_called = state == N_STATES - 1 and rng.random() < 0.5
            action = 3 if is_called else int(rng.choice(3, p=chances))
            reward, to = move(state, action)
            rows.append((episode, step, action, reward, state, to == N_STATES))
            if to == N_STATES:
                break
            state = to
            final[episode] = np.eye(N_STATES)[state]
    episodes, steps, actions, rewards, states, is_over = (np.asarray(column) for column in zip(*rows, strict=True))
    return LoggedTrajectories(
        actions, rewards, NAMES, np.eye(N_STATES)[states], tuple(f"step {k}" for k in range(N_STATES)), episodes, steps,
        is_terminated=is_over, is_truncated=(steps == STEPS - 1) & ~is_over, eligible=ELIGIBLE[states],
        final_observations=final, final_eligible=ELIGIBLE[final.argmax(axis=1)], discount_per_hour=DISCOUNT,
    )  # fmt: skip


@cache
def learned(learner: str, strength: float, chances: tuple[float, float, float]) -> LearnedPolicy:
    """Return what CQL learns with some conservatism, or BCQ with some threshold; once for all tests."""
    return (learn_cql if learner == "cql" else learn_bcq)(logged(chances), strength, QUICK)


def choices(policy: LearnedPolicy) -> Floats:
    return policy.probabilities(np.eye(N_STATES), ELIGIBLE)


def test_the_world_is_as_it_is_meant() -> None:
    assert optimum().argmax(axis=1).tolist() == [1, 1, 1, 3]
    assert worth(np.eye(4)[optimum().argmax(axis=1)]) == pytest.approx(optimum().max(axis=1).mean())
    assert logged(NARROW).is_truncated.any()
    assert not (logged(NARROW).actions == 2).any()


@pytest.mark.parametrize("learner", ["cql", "bcq"])
def test_the_optimum_from_good_logs(learner: str) -> None:
    """Where the log tries everything, the greedy policy is the best there is, in every state."""
    log = logged(EXPLORING)
    policy = learned(learner, 0.5 if learner == "cql" else 0.3, EXPLORING)
    assert choices(policy).argmax(axis=1).tolist() == optimum().argmax(axis=1).tolist()
    target = policy.probabilities(log.observations, log.eligibility)
    assert not target[~log.eligibility].any()
    at_end = policy.probabilities(np.asarray(log.final_observations), np.asarray(log.final_eligible))
    q = fitted_q(log, target, final_target=at_end, regressor="tabular")
    told = direct_method(weigh_trajectories(replace(log, propensities=np.ones(len(log))), target, q)).value
    assert told == pytest.approx(optimum().max(axis=1)[log.observations[log.starts].argmax(axis=1)].mean(), rel=1e-3)


@pytest.mark.parametrize("learner", ["cql", "bcq"])
def test_what_is_not_eligible_is_not_imagined(learner: str) -> None:
    """Calls are cheap, and for the last step only: values of reminding know it, to a quarter of a decision."""
    values = learned(learner, 0.0, EXPLORING).values(np.eye(N_STATES))
    np.testing.assert_allclose(values[:, :2], optimum()[:, :2], atol=0.25)
    assert (values[:3, 3] > values[:3, 1]).any()  # it would be taken, were it asked for


@pytest.mark.parametrize("learn", [learn_cql, learn_bcq])
def test_what_is_never_eligible_teaches_nothing(learn: Learner) -> None:
    """Its values are those that the network began with: neither pushed down nor fitted."""
    log = logged(NARROW)
    never = log.eligibility & (np.arange(4) != 2)
    log = replace(log, eligible=never, final_eligible=None)
    few, many = ([*learn(log, 0.5, replace(QUICK, n_steps=n), 0).q.parameters()][-2] for n in (1, 20))
    assert torch.equal(few[2], many[2])
    assert not torch.equal(few[1], many[1])


def test_near_the_log_where_it_is_narrow() -> None:
    """The log never blasts, and all that it knows costs: what is not known looks free, unless a learner is careful."""
    naive = choices(learned("cql", 0.0, NARROW))
    assert naive[:, 2].sum() >= 2  # it drives users away
    best = optimum().max(axis=1).mean()
    assert worth(naive) < best - 10.0
    for careful in (learned("cql", 1.0, NARROW), learned("bcq", 0.3, NARROW)):
        chosen = choices(careful)
        assert not chosen[:, 2].any()
        assert worth(chosen) == pytest.approx(best)
    imagined = choices(learned("bcq", 0.0, NARROW))
    assert imagined[:, 2].sum() >= 2  # without its threshold, BCQ is as naive


def test_a_high_threshold_imitates() -> None:
    """Near 1, BCQ takes the log's most frequent action, here a bad one."""
    policy = learned("bcq", 0.95, (0.7, 0.3, 0.0))
    assert choices(policy).argmax(axis=1).tolist()[:3] == [0, 0, 0]


@pytest.mark.parametrize("learn", [learn_cql, learn_bcq])
def test_a_seed_is_a_policy(learn: Learner) -> None:
    """The same seed, the same weights to the last bit, whatever was drawn before; another seed, others."""
    short = replace(QUICK, n_steps=20)
    outside = torch.get_rng_state()
    first = learn(logged(NARROW), 0.5, short, 3).values(np.eye(N_STATES))
    assert torch.equal(outside, torch.get_rng_state())
    torch.rand(5)
    np.testing.assert_array_equal(first, learn(logged(NARROW), 0.5, short, 3).values(np.eye(N_STATES)))
    assert (first != learn(logged(NARROW), 0.5, short, 4).values(np.eye(N_STATES))).all()


def test_values_of_conservatism() -> None:
    """More of it, lower values of what the log does not do, beside those of what it does."""
    gaps = []
    for conservatism in (0.0, 1.0, 5.0):
        values = learned("cql", conservatism, NARROW).values(np.eye(N_STATES))
        gaps.append(float((values[:, 1] - values[:, 2])[:3].mean()))
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.0 < gaps[1]


def test_transitions() -> None:
    """Terminal rewards stand alone, truncated rows look at the final observation, or are left out."""
    yes, no = True, False
    log = LoggedTrajectories(
        np.asarray([0, 1, 1, 0]), np.asarray([1.0, 2.0, 3.0, 4.0]), ("none", "push"),
        np.asarray([[1.0], [2.0], [3.0], [4.0]]), ("age",), np.asarray([0, 0, 1, 1]), np.asarray([0, 1, 0, 1]),
        np.asarray([no, yes, no, no]), np.asarray([no, no, no, yes]),
        eligible=np.asarray([[1, 1], [1, 1], [1, 1], [1, 0]]),
        elapsed_hours=np.asarray([1.0, 1.0, 2.0, 3.0]), discount_per_hour=0.5,
        final_observations=np.asarray([[0.0], [9.0]]), final_eligible=np.asarray([[1, 1], [0, 1]]),
    )  # fmt: skip
    found = transitions_of(log)
    assert found.next_observations.ravel().tolist() == [2.0, 0.0, 4.0, 9.0]
    assert found.discounts.tolist() == [0.5, 0.0, 0.25, 0.125]
    assert found.next_eligible.tolist() == [[yes, yes], [yes, yes], [yes, no], [no, yes]]
    cut = transitions_of(replace(log, final_observations=None, final_eligible=None))
    assert cut.rewards.tolist() == [1.0, 2.0, 3.0]
    assert len(cut) == 3


def test_what_is_refused() -> None:
    log = logged(NARROW)
    with pytest.raises(ValueError, match="conservatism: expected at least 0, got -1"):
        learn_cql(log, -1.0)
    with pytest.raises(ValueError, match=r"threshold: expected at least 0 and below 1, got 1\.0"):
        learn_bcq(log, 1.0)
    with pytest.raises(ValueError, match="Schedule: n_steps: expected above 0, got 0"):
        Schedule(n_steps=0)
    with pytest.raises(ValueError, match=r"Schedule: hidden: expected layers of at least 1 unit, got \(8, 0\)"):
        Schedule(hidden=(8, 0))
    single = LoggedTrajectories(
        np.asarray([0]), np.asarray([1.0]), ("none", "push"), np.zeros((1, 0)), (), np.asarray([0]), np.asarray([0]),
        np.asarray([False]), np.asarray([True]),
    )  # fmt: skip
    with pytest.raises(ValueError, match="transitions_of: expected a decision that another follows, got truncated"):
        transitions_of(single)
    nothing: Bools = np.zeros((N_STATES, 4), np.bool_)
    policy = learn_cql(log, 1.0, replace(QUICK, n_steps=1))
    with pytest.raises(ValueError, match="eligible: expected an action in each row, got none in row 0"):
        policy.probabilities(np.eye(N_STATES), nothing)
