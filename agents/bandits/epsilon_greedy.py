"""Epsilon-greedy: the action with the highest mean reward, and now and then any.

Source: Sutton & Barto, Reinforcement Learning (2018), section 2.2. With epsilon held constant its regret grows
linearly, by epsilon times the mean gap a decision once the best action is known.
"""

from __future__ import annotations

from agents.agent import Bools, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone, mean_rewards
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.documents import arms_document
from agents.bandits.settings import EpsilonGreedySettings
from agents.choosing import epsilon_probabilities
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Epsilon, Greedy


class EpsilonGreedy(Bandit):
    """The eligible action with the highest mean reward with 1 - epsilon, any eligible with epsilon."""

    settings: EpsilonGreedySettings
    memory: Sums

    def __init__(self, settings: EpsilonGreedySettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = arm_sums(problem.n_actions, settings.forgetting)

    def values(self, observations: Observations) -> Floats:
        """Return mean rewards, the same for every user."""
        return for_everyone(mean_rewards(self.memory, self.settings.initial_value), len(observations))

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return 1 - epsilon for the best and epsilon shared by all eligible."""
        return epsilon_probabilities(self.values(observations), masks, self.settings.epsilon)

    def learn(self, experience: Experience) -> None:
        """Count rewards by action."""
        add_to_arms(self.memory, experience, experience.rewards)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        values = mean_rewards(self.memory, self.settings.initial_value)
        epsilon = self.settings.epsilon if is_exploring else 0.0
        return arms_document(name, self.problem, values, Epsilon(epsilon) if epsilon else Greedy())
