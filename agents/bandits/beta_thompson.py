"""Thompson sampling with Beta posteriors: a plausible mean is drawn for each action, and the highest is taken.

Source: Thompson (1933); Agrawal & Goyal (COLT 2012), Algorithm 1, for rewards of 0 and 1. For rewards in between they
toss a coin with that chance (Algorithm 2); here the reward is counted as that fraction of a success, which has the same
expectation, no further noise and no random numbers in learning. The posterior is then wider than that of the rewards
themselves, whose variance is below a coin's.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone
from agents.bandits.beliefs.best_of_betas import best_of_betas
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.beliefs.normal_draws import LEAST
from agents.bandits.documents import beta_arms_document
from agents.bandits.reward_range import scaled
from agents.bandits.settings import BetaThompsonSettings
from agents.choosing import greedy_actions
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Thompson


class BetaThompson(Bandit):
    """The eligible action with the highest draw of its Beta posterior, drawn anew for each user."""

    settings: BetaThompsonSettings
    memory: Sums

    def __init__(self, settings: BetaThompsonSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = arm_sums(problem.n_actions, settings.forgetting)

    def beliefs(self) -> tuple[Floats, Floats]:
        """Return successes and failures of each action, the prior's among them, shapes (A,)."""
        n, successes = self.memory.totals["n"], self.memory.totals["reward"]
        # A sum of fractions can pass its count by a rounding error.
        return self.settings.prior_successes + successes, self.settings.prior_failures + np.maximum(n - successes, 0.0)

    def values(self, observations: Observations) -> Floats:
        """Return posterior means, shares of the range."""
        successes, failures = self.beliefs()
        return for_everyone(successes / (successes + failures), len(observations))

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability that each action's draw is the highest."""
        return best_of_betas(*self.beliefs(), masks)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest draws."""
        successes, failures = self.beliefs()
        draws = rng.beta(successes, failures, masks.shape)
        actions = greedy_actions(draws, masks)
        if not wants_propensities:
            return Choices(actions, None)
        shares = best_of_betas(successes, failures, masks)[np.arange(len(actions)), actions]
        return Choices(actions, np.maximum(shares, LEAST))

    def learn(self, experience: Experience) -> None:
        """Count scaled rewards by action."""
        rewards = scaled(experience.rewards, self.settings)
        add_to_arms(self.memory, experience, rewards)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        return beta_arms_document(name, self.problem, *self.beliefs(), Thompson() if is_exploring else Greedy())
