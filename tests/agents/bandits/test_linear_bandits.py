"""Linear models against closed forms; one decision at a time against many; the same choices as MABWiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.agent import Experience
from agents.bandits.beliefs import linear_posterior
from agents.bandits.beliefs.linear_posterior import AT_ONCE, LinearPosterior
from agents.bandits.beliefs.singly import unpacked
from agents.bandits.linear_thompson import LinearThompson
from agents.bandits.linucb import LinUCB
from agents.bandits.send_cost import SendCostThompson
from agents.bandits.settings import Discounted, Forever, LinearThompsonSettings, LinUCBSettings, SendCostSettings
from agents.designs import Candidates, EachAction, design_of
from agents.problem import Problem
from tests.agents.bandits.worlds import PROBLEMS, experience, plain_problem, situations

each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def closed_form(problem: Problem, seen: Experience, ridge: float, observations: Any) -> tuple[Any, Any]:
    """Return means and widths by solving each head's normal equations."""
    design = design_of(problem)
    rows, heads = design.taken(seen.observations, seen.actions)
    asked = design.rows(observations)
    means, widths = np.empty((2, len(asked), design.n_heads))
    for h in range(design.n_heads):
        x, y = rows[heads == h], seen.rewards[heads == h]
        precision = x.T @ x + ridge * np.eye(design.n_inputs)
        means[:, h] = asked @ np.linalg.solve(precision, x.T @ y)
        widths[:, h] = np.sqrt((asked * np.linalg.solve(precision, asked.T).T).sum(axis=1))
    return design.of_actions(means), design.of_actions(widths)


@each_problem
@pytest.mark.parametrize("n", [0, 1, 131, 2 * AT_ONCE + 5])
def test_means_and_widths_are_those_of_the_normal_equations(problem: Problem, n: int) -> None:
    posterior = LinearPosterior(design_of(problem), problem, 0.7, Forever())
    if n:
        posterior.learn(experience(problem, n, 1))
    observations, _ = situations(problem, 300, 2)
    seen = experience(problem, n or 1, 1)
    if not n:
        seen = Experience(seen.observations[:0], seen.masks[:0], seen.actions[:0], seen.rewards[:0])
    for found, expected in zip(
        posterior.scores(observations), closed_form(problem, seen, 0.7, observations), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_prior_and_noise_are_those_of_the_config() -> None:
    """Before anything is known a weight is N(0, prior_sd^2); n looks at x = 0 add n / sigma^2 to its precision."""
    problem = Problem(("x",), np.asarray([-1], np.float32), np.asarray([1], np.float32), ("a", "b"))
    agent = LinearThompson(LinearThompsonSettings(noise_sd=0.2, prior_sd=3.0), problem)
    zeros = np.zeros((50, 1), np.float32)
    means, sds = agent.beliefs(zeros[:1])
    np.testing.assert_allclose(sds, [[3.0, 3.0]])
    agent.update(Experience(zeros, np.ones((50, 2), np.bool_), np.zeros(50, np.int64), np.full(50, 0.4)))
    precision = 1 / 3.0**2 + 50 / 0.2**2
    means, sds = agent.beliefs(zeros[:1])
    np.testing.assert_allclose(sds, [[precision**-0.5, 3.0]])
    np.testing.assert_allclose(means, [[50 * 0.4 / 0.2**2 / precision, 0.0]])


@pytest.mark.parametrize(("n_features", "n_actions"), [(1, 2), (2, 3), (14, 3), (15, 2), (16, 2), (23, 5), (40, 4)])
def test_what_is_known_of_single_decisions_is_the_closed_form(n_features: int, n_actions: int) -> None:
    """Odd and even numbers of regressors, below, at and above a multiple of 16."""
    problem = plain_problem(n_features, n_actions)
    single, batch = (LinearThompson(LinearThompsonSettings(noise_sd=0.5), problem) for _ in range(2))
    observations, masks = situations(problem, 120, 6)
    noise = np.random.default_rng(3).standard_normal((120, n_actions))
    rewards = np.random.default_rng(2).normal(size=120)
    actions = np.empty(120, np.int64)
    for k in range(120):
        actions[k] = single.choose_one(observations[k], masks[k], noise[k])
        single.learn_one(observations[k], actions[k], rewards[k])
    assert single.memory._known is not None
    theta, inverse, moment, outer = unpacked(single.memory._known)
    batch.update(Experience(observations, masks, actions, rewards))
    np.testing.assert_allclose(theta, batch.memory.theta, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(inverse, batch.memory.inverse, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(moment, batch.memory.sums.totals["moment"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.tril(outer), np.tril(batch.memory.sums.totals["outer"]), rtol=1e-10, atol=1e-12)
    drifted = [single.choose_one(*row) for row in zip(observations, masks, noise, strict=True)]
    assert (single.memory.precision > 0.0).any()  # counts them, and inverts anew
    assert [single.choose_one(*row) for row in zip(observations, masks, noise, strict=True)] == drifted
    assert single.memory.choose(observations, masks, 0.5, np.random.default_rng(3)).tolist() == drifted
    assert single.memory.sums.n_updates == 120


@pytest.mark.parametrize("kind", ["linucb", "linear_thompson"])
def test_one_by_one_is_as_many_at_once(kind: str) -> None:
    """The compiled way for single decisions takes the same actions, and knows the same after 1,000 of them."""
    problem = plain_problem(24, 8)
    single, batch = (
        LinUCB(LinUCBSettings(alpha=0.5), problem)
        if kind == "linucb"
        else LinearThompson(LinearThompsonSettings(noise_sd=0.5), problem)
        for _ in range(2)
    )
    observations, masks = situations(problem, 1_000, 6)
    rewards = np.random.default_rng(2).normal(size=1_000)
    noise = np.random.default_rng(3).standard_normal((1_000, 8))  # drawn ahead: the numbers that `act` draws
    rng = np.random.default_rng(3)
    for k in range(1_000):
        row = slice(k, k + 1)
        if isinstance(single, LinUCB):
            action = single.choose_one(observations[k], masks[k])
        else:
            action = single.choose_one(observations[k], masks[k], noise[k])
        choices = batch.act(observations[row], masks[row], rng)
        assert action == choices.actions[0]
        single.learn_one(observations[k], action, rewards[k])
        batch.update(Experience(observations[row], masks[row], choices.actions, rewards[row]))
    assert single.memory._known is not None
    drifted = unpacked(single.memory._known)[:2]
    found, expected = (agent.state() for agent in (single, batch))
    for name in ("outer", "moment"):
        lower, other = (np.tril(np.asarray(state[name], np.float64)) for state in (found, expected))
        np.testing.assert_allclose(lower, other, rtol=1e-9, atol=1e-11)
    assert found["n_updates"] == expected["n_updates"] == 1_000
    np.testing.assert_allclose(drifted[0], batch.memory.theta, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(drifted[1], batch.memory.inverse, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(single.memory.inverse, batch.memory.inverse, rtol=1e-9, atol=1e-13)


def test_a_stream_is_decided_and_learned_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same actions as call by call, also where some rewards are not known and A^-1 is inverted anew on the way."""
    problem = plain_problem(24, 8)
    n = 3_000
    observations, masks = situations(problem, n, 6)
    rewards = np.random.default_rng(2).normal(size=(n, 8))
    rewards[np.random.default_rng(4).random((n, 8)) < 0.3] = np.nan
    for most in (20_000, 700):
        monkeypatch.setattr(linear_posterior, "REFRESH", most)
        stream, single = (LinUCB(LinUCBSettings(alpha=0.5), problem) for _ in range(2))
        drawing, drawn = (LinearThompson(LinearThompsonSettings(noise_sd=0.5), problem) for _ in range(2))
        actions = stream.replay(observations, masks, rewards)
        draws = drawing.replay(observations, masks, rewards, np.random.default_rng(3))
        noise = np.random.default_rng(3).standard_normal((n, 8))
        n_learned = 0
        for k in range(n):
            assert single.choose_one(observations[k], masks[k]) == actions[k]
            assert drawn.choose_one(observations[k], masks[k], noise[k]) == draws[k]
            for agent, action in ((single, actions[k]), (drawn, draws[k])):
                if not np.isnan(rewards[k, action]):
                    agent.learn_one(observations[k], action, rewards[k, action])
                    n_learned += agent is single
        assert stream.memory.sums.n_updates == single.memory.sums.n_updates == n_learned
        assert 0.6 * n < n_learned < 0.8 * n
        np.testing.assert_array_equal(stream.memory.theta, single.memory.theta)


def test_a_streams_bad_input_is_named() -> None:
    problem = plain_problem()
    agent = LinUCB(LinUCBSettings(), problem)
    rows, masks, rewards = np.zeros((3, 5), np.float32), np.ones((3, 4), np.bool_), np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"rewards: expected shape \(3, 4\), as of masks, got \(3, 3\)"):
        agent.replay(rows, masks, rewards[:, :3])
    with pytest.raises(ValueError, match=r"rewards\[2, 1\]: expected a finite number, got inf"):
        agent.replay(rows, masks, np.where(np.arange(12).reshape(3, 4) == 9, np.inf, rewards))
    with pytest.raises(ValueError, match=r"masks\[0\]: expected at least one eligible action of 4, got none"):
        agent.replay(rows, ~masks, rewards)
    rows, masks = np.zeros((20, 5), np.float32), np.ones((20, 4), np.bool_)
    huge = np.where(np.arange(20)[:, None] % 2, -1.7e308, np.full((20, 4), 1.7e308))
    with pytest.raises(ValueError, match="rewards: expected sums that float64 can hold, no longer so at row"):
        agent.replay(rows, masks, huge)
    assert len(agent.replay(rows[:0], masks[:0], rewards[:0])) == 0


def test_one_at_a_time_bad_input_is_named() -> None:
    problem = plain_problem()
    agent = LinUCB(LinUCBSettings(), problem)
    row, mask = np.zeros(5, np.float32), np.ones(4, np.bool_)
    wrong = row.copy()
    wrong[1] = np.nan
    with pytest.raises(ValueError, match=r"observations\[0\]: expected -1 <= x1 <= 3, got nan"):
        agent.choose_one(wrong, mask)
    with pytest.raises(ValueError, match=r"masks\[0\]: expected at least one eligible action of 4, got none"):
        agent.choose_one(row, ~mask)
    with pytest.raises(ValueError, match=r"observations: expected shape \(U, 5\), got \(1, 6\)"):
        agent.choose_one(np.zeros(6, np.float32), mask)
    with pytest.raises(ValueError, match=r"masks: expected shape \(1, 4\), got \(1, 3\)"):
        agent.choose_one(row, mask[:3])
    thompson = LinearThompson(LinearThompsonSettings(), problem)
    for noise in (np.ones(3), np.full(4, np.nan)):
        with pytest.raises(ValueError, match="noise: expected 4 finite numbers, got"):
            thompson.choose_one(row, mask, noise)
    with pytest.raises(ValueError, match=r"observations\[0\]: expected -1 <= x1 <= 3, got nan"):
        agent.learn_one(wrong, 1, 0.0)
    with pytest.raises(ValueError, match=r"rewards\[0\]: expected a finite number, got inf"):
        agent.learn_one(row, 1, np.inf)
    with pytest.raises(ValueError, match=r"actions\[0\]: expected 0 to 3, got 4"):
        agent.learn_one(row, 4, 0.0)
    with pytest.raises(ValueError, match=r"actions\[0\]: expected 0 to 3, got -1"):
        agent.learn_one(row, -1, 0.0)
    assert not agent.memory.sums.totals["outer"].any()
    forgetful = LinUCB(LinUCBSettings(forgetting=Discounted(factor=0.9)), problem)
    with pytest.raises(ValueError, match="one at a time: expected a head for each action and nothing forgotten"):
        forgetful.choose_one(row, mask)


def test_candidates_are_judged_by_what_they_are_not_where() -> None:
    """Swapping two slots swaps their actions' scores: slots share weights."""
    problem = PROBLEMS["vocabulary"]
    agent = LinUCB(LinUCBSettings(), problem)
    assert isinstance(agent.memory.design, Candidates)
    agent.update(experience(problem, 200, 1))
    observations, _ = situations(problem, 20, 3)
    swapped = observations.copy()
    swapped[:, 29:36], swapped[:, 36:43] = observations[:, 36:43], observations[:, 29:36]
    np.testing.assert_allclose(agent.bounds(swapped), agent.bounds(observations)[:, [0, 3, 4, 1, 2]], rtol=1e-12)


def test_a_cost_lowers_every_send_and_nothing_else() -> None:
    problem = PROBLEMS["vocabulary"]
    agent = SendCostThompson(SendCostSettings(noise_sd=0.3), problem)
    agent.update(experience(problem, 200, 1))
    dearer = agent.with_cost(0.25)
    observations, masks = situations(problem, 30, 4)
    away = agent.values(observations) - dearer.values(observations)
    np.testing.assert_allclose(away, np.broadcast_to([0.0, 0.25, 0.25, 0.25, 0.25], away.shape), atol=1e-12)
    never = agent.with_cost(1e9).act(observations, masks | (np.arange(5) == 0), np.random.default_rng(1)).actions
    assert not never.any()
    free = LinearThompson(LinearThompsonSettings(noise_sd=0.3), problem)
    free.update(experience(problem, 200, 1))
    np.testing.assert_array_equal(free.probabilities(observations, masks), agent.probabilities(observations, masks))


@pytest.mark.filterwarnings("ignore")  # MABWiser's own
def test_the_choices_are_those_of_mabwiser() -> None:
    mab = pytest.importorskip("mabwiser.mab", reason="MABWiser is not installed: pip install mabwiser")
    problem = plain_problem(24, 8)
    agent = LinUCB(LinUCBSettings(alpha=0.8, ridge=1.5), problem)
    assert isinstance(agent.memory.design, EachAction)
    peer = mab.MAB(list(range(8)), mab.LearningPolicy.LinUCB(alpha=0.8, l2_lambda=1.5))
    masks = np.ones((400, 8), np.bool_)
    rng = np.random.default_rng(8)
    for turn in range(6):
        observations, _ = situations(problem, 400, turn)
        contexts = agent.memory.design.rows(observations)
        if turn:
            actions = agent.act(observations, masks, rng).actions
            assert actions.tolist() == peer.predict(contexts)
            assert len(set(actions.tolist())) > 1
        else:
            actions = rng.integers(0, 8, 400)
        rewards = rng.normal(contexts[:, 1] * (actions % 3 - 1), 0.3)
        agent.update(Experience(observations, masks, actions, rewards))
        (peer.partial_fit if turn else peer.fit)(actions, rewards, contexts)
