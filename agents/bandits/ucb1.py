"""UCB1: the highest plausible mean reward.

Source: Auer, Cesa-Bianchi & Fischer (Machine Learning 47, 2002), figure 1 and theorem 1: with rewards in [0, 1] the
expected regret after n decisions is at most 8 sum ln n / gap + (1 + pi^2 / 3) sum gap. Forgetting gives the discounted
and sliding-window forms of Garivier & Moulines (ALT 2011).

Everyone who is decided on at once gets the same action, or what is eligible of it: nothing is random. In large batches
that is one long look at a single action, and Thompson sampling does better.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone, mean_rewards
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.documents import arms_document
from agents.bandits.reward_range import scaled
from agents.bandits.settings import UCB1Settings
from agents.choosing import certainly, greedy_actions, greedy_choices
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy

UNTRIED = 1e9  # stands for infinity, which documents have no word for


class UCB1(Bandit):
    """The eligible action with the highest mean + width sqrt(ln t / n); one never taken comes first."""

    settings: UCB1Settings
    memory: Sums

    def __init__(self, settings: UCB1Settings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = arm_sums(problem.n_actions, settings.forgetting)

    def values(self, observations: Observations) -> Floats:
        """Return mean rewards as shares of their range; one never taken is thought to be worth the least."""
        return for_everyone(mean_rewards(self.memory, 0.0), len(observations))

    def bounds(self, observations: Observations) -> Floats:
        """Return mean + width sqrt(ln t / n), 1e9 where n is 0, shape (U, A)."""
        n = self.memory.totals["n"]
        is_tried = n > 0.0
        slack = np.sqrt(np.log(max(n.sum(), 1.0)) / np.where(is_tried, n, 1.0))
        found = np.where(is_tried, mean_rewards(self.memory, 0.0) + self.settings.width * slack, UNTRIED)
        return for_everyone(found, len(observations))

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return 1 for the action with the highest bound."""
        return certainly(greedy_actions(self.bounds(observations), masks), self.problem.n_actions)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest bounds; nothing is drawn."""
        return greedy_choices(self.bounds(observations), masks, wants_propensities)

    def learn(self, experience: Experience) -> None:
        """Count scaled rewards by action."""
        rewards = scaled(experience.rewards, self.settings)
        add_to_arms(self.memory, experience, rewards)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        nobody = np.zeros((1, self.problem.n_features), np.float32)
        values = self.bounds(nobody) if is_exploring else self.values(nobody)
        return arms_document(name, self.problem, values[0], Greedy())
