"""Regret as theory says: in world B, where every decision's loss is known exactly, and on Bernoulli arms.

Decisions come in batches of 5 % of those made so far, at least 20, so learning is delayed; this costs a bounded factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest

import simulator.exact  # noqa: F401 - registers the worlds
from agents.agent import Experience
from agents.bandits.beta_thompson import BetaThompson
from agents.bandits.settings import (
    BetaThompsonSettings,
    EpsilonGreedySettings,
    LinearThompsonSettings,
    LinUCBSettings,
    LogisticThompsonSettings,
    NeuralLinearSettings,
    SoftmaxSettings,
    UCB1Settings,
)
from agents.bandits.ucb1 import UCB1
from agents.choosing import softmax_probabilities
from agents.kinds import bandit
from agents.problem import Problem, problem_of
from simulator.exact.segments import regret_eur, segment_world
from simulator.exact.standing import standing

SEEDS = range(5)
N = 400_000
OPTIMUM, FIXED, UNIFORM = 0.051624, 0.045520, 0.013386
# A win is worth up to 1.74 EUR and comes in up to 2 % of sends: its standard deviation is about .2 EUR.
CONTEXTUAL: dict[str, Any] = {
    "linucb": LinUCBSettings(alpha=0.6, ridge=1.0),
    "linear_thompson": LinearThompsonSettings(noise_sd=0.2, prior_sd=0.1),
    "logistic_thompson": LogisticThompsonSettings(reward_low=-0.001, reward_high=1.75, prior_sd=2.0),
    "neural_linear": NeuralLinearSettings(noise_sd=0.2, prior_sd=0.1, n_hidden=8, n_memory=N),
}


@dataclass(frozen=True)
class Life:
    """A bandit after n decisions in world B.

    Attributes:
        agent: as it is then.
        times, regrets: decisions and exact expected regret so far, EUR, after each batch.
    """

    agent: Any
    times: Any
    regrets: Any

    def regret(self, n: float) -> float:
        return float(np.interp(n, self.times, self.regrets))


def live(settings: Any, seed: int, n: int = N) -> Life:
    world = segment_world()
    model, n_actions = world.model, len(world.actions)
    agent = bandit(settings, problem_of(gymnasium.make("kairos/ExactB-v0").unwrapped))
    rng = np.random.default_rng(seed)
    times, regrets = [0], [0.0]
    while times[-1] < n:
        size = min(max(20, times[-1] // 20), n - times[-1])
        segments = rng.choice(4, size, p=model.start[:4])
        observations, masks = world.observations[segments], np.ones((size, n_actions), np.bool_)
        actions = agent.act(observations, masks, rng).actions
        is_won = rng.random(size) < model.win_prob[segments, actions]
        rewards = is_won * model.win[segments, actions] - model.cost[segments, actions]
        agent.update(Experience(observations, masks, actions, rewards))
        times.append(times[-1] + size)
        regrets.append(regrets[-1] + float(regret_eur(observations, actions).sum()))
    return Life(agent, np.array(times), np.array(regrets))


def expected_regret(agent: Any) -> float:
    """Return what the next decision loses in expectation, EUR, exactly."""
    model = segment_world().model
    observations = segment_world().observations[:4]
    shares = agent.probabilities(observations, np.ones((4, model.reward.shape[1]), np.bool_))
    losses = model.reward[:4].max(axis=1, keepdims=True) - model.reward[:4]
    return float(model.start[:4] @ (shares * losses).sum(axis=1))


@pytest.mark.parametrize("kind", CONTEXTUAL)
def test_contextual_bandits_find_the_segments_and_their_regret_flattens(kind: str) -> None:
    """Each of five closes .9 of the gap above the best fixed arm, by the exact value of its greedy policy.

    Regret grows at most like sqrt(t), the bound that holds whatever the gaps (Agrawal & Goyal 2013; Li et al. 2010 and
    Chu et al. 2011): the last decade of time costs at most sqrt(10) times as much as the one before, where a linear
    regret would cost 10 times and a logarithmic one as much. Gaps of .002 EUR with noise of .2 are far from the
    logarithmic regime at 4e5 decisions, which is why the logarithm itself is tested on the arms below.
    """
    lives = [live(CONTEXTUAL[kind], seed) for seed in SEEDS]
    env = gymnasium.make("kairos/ExactB-v0")
    closed = []
    for life in lives:

        def greedy(observations: Any, agent: Any = life.agent) -> Any:
            masks = np.ones((len(observations), 17), np.bool_)
            return agent.act(observations, masks, np.random.default_rng(0), is_exploring=False).actions

        closed.append(standing(env, greedy).gap_closed)
    assert min(closed) >= 0.9, closed
    last = sum(life.regret(N) - life.regret(N / 10) for life in lives)
    before = sum(life.regret(N / 10) - life.regret(N / 100) for life in lives)
    assert last / before <= 10**0.5, last / before
    for life in lives:
        assert life.regret(N) < N * (OPTIMUM - FIXED), "worse than the best fixed arm"


def test_without_context_regret_grows_by_the_gap_of_the_best_fixed_arm() -> None:
    """Thompson sampling ends on the best fixed arm, but for what it still explores: at most 5 % of the gap more."""
    settings = BetaThompsonSettings(reward_low=-0.001, reward_high=1.75)
    for seed in SEEDS:
        rate = expected_regret(live(settings, seed).agent)
        assert OPTIMUM - FIXED - 1e-6 <= rate <= 1.05 * (OPTIMUM - FIXED)


def test_epsilon_greedy_loses_by_epsilon_times_the_mean_gap_exactly() -> None:
    """Once its best arm is the best fixed arm: (1 - epsilon) (V* - V_fixed) + epsilon (V* - V_uniform) a decision."""
    for seed in SEEDS:
        life = live(EpsilonGreedySettings(epsilon=0.1, initial_value=1.0), seed)
        expected = 0.9 * (OPTIMUM - FIXED) + 0.1 * (OPTIMUM - UNIFORM)
        assert expected_regret(life.agent) == pytest.approx(expected, abs=1.5e-6)
        # The last half of life is linear at that rate; the segments drawn vary its losses by at most .05 each.
        slope = (life.regret(N) - life.regret(N / 2)) / (N / 2)
        assert slope == pytest.approx(expected, abs=5 * 0.05 / (N / 2) ** 0.5)


def test_softmax_loses_what_its_temperature_says() -> None:
    """The rate is that of exp(true mean / temperature), once the means are known well beside the temperature."""
    model = segment_world().model
    means = (model.start[:4] @ model.reward[:4])[None]
    shares = softmax_probabilities(means, np.ones(means.shape, np.bool_), 0.01)
    expected = OPTIMUM - float(shares[0] @ means[0])
    for seed in SEEDS:
        assert expected_regret(live(SoftmaxSettings(temperature=0.01), seed).agent) == pytest.approx(expected, rel=0.1)


def bernoulli_regrets(agent_of: Any, chances: Any, n: int, n_runs: int, times: Any, share: float = 0.02) -> Any:
    """Return a bandit's mean regret on Bernoulli arms at some times; batches are a share of what was decided, or 1."""
    problem = Problem(
        ("x",), np.zeros(1, np.float32), np.ones(1, np.float32), tuple(f"a{k}" for k in range(len(chances)))
    )
    found = np.zeros(len(times))
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        agent, made, regrets = agent_of(problem), [0], [0.0]
        while made[-1] < n:
            size = min(max(1, int(share * made[-1])), n - made[-1])
            observations, masks = np.zeros((size, 1), np.float32), np.ones((size, len(chances)), np.bool_)
            actions = agent.act(observations, masks, rng).actions
            rewards = (rng.random(size) < chances[actions]).astype(np.float64)
            agent.update(Experience(observations, masks, actions, rewards))
            made.append(made[-1] + size)
            regrets.append(regrets[-1] + float((chances.max() - chances[actions]).sum()))
        found += np.interp(times, made, regrets) / n_runs
    return found


def test_thompson_sampling_loses_as_little_as_can_be() -> None:
    """Its regret's slope on log time is Lai & Robbins' constant sum gap / KL (Kaufmann, Korda & Munos, ALT 2012).

    From 1e3 to 1e5 decisions the mean slope of 40 runs is within a factor of two of it; a linear regret's would be
    hundreds of times as much, and that of UCB1, by its own bound, could be twenty times.
    """
    chances = np.array([0.6, 0.4, 0.2])
    divergence = chances * np.log(chances / 0.6) + (1 - chances) * np.log((1 - chances) / 0.4)
    constant = float(((0.6 - chances)[1:] / divergence[1:]).sum())
    early, late = bernoulli_regrets(lambda p: BetaThompson(BetaThompsonSettings(), p), chances, 100_000, 40, [1e3, 1e5])
    slope = (late - early) / np.log(1e5 / 1e3)
    assert 0.5 * constant < slope < 2.0 * constant, slope / constant


def test_ucb1_keeps_its_bound_and_is_logarithmic() -> None:
    """Auer et al. 2002, theorem 1: 8 sum ln n / gap + (1 + pi^2 / 3) sum gap; each decade costs at most its share.

    One by one: a batch that grows with time is one look at a poor arm that costs in proportion to time.
    """
    chances = np.array([0.6, 0.4, 0.2])
    gaps = np.array([0.2, 0.4])
    times = np.array([50, 500, 5_000])
    regrets = bernoulli_regrets(lambda p: UCB1(UCB1Settings(), p), chances, 5_000, 8, times, share=0.0)
    bounds = 8 * np.log(times) * (1 / gaps).sum() + (1 + np.pi**2 / 3) * gaps.sum()
    assert (regrets < bounds).all()
    decades = np.diff(regrets)
    assert (decades > 0).all()
    assert decades[-1] < 8 * np.log(10) * (1 / gaps).sum()
    assert decades[-1] < 2 * decades[-2], "not logarithmic"
