"""Softmax (Boltzmann) exploration: actions in proportion to exp(mean reward / temperature).

Source: Sutton & Barto, Reinforcement Learning (1998), section 2.3. With a temperature held constant its regret grows
linearly.
"""

from __future__ import annotations

from agents.agent import Bools, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone, mean_rewards
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.documents import arms_document
from agents.bandits.settings import SoftmaxSettings
from agents.choosing import softmax_probabilities
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Softmax


class SoftmaxBandit(Bandit):
    """An eligible action drawn in proportion to exp(mean reward / temperature)."""

    settings: SoftmaxSettings
    memory: Sums

    def __init__(self, settings: SoftmaxSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = arm_sums(problem.n_actions, settings.forgetting)

    def values(self, observations: Observations) -> Floats:
        """Return mean rewards, the same for every user."""
        return for_everyone(mean_rewards(self.memory, self.settings.initial_value), len(observations))

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return shares in proportion to exp(mean reward / temperature)."""
        return softmax_probabilities(self.values(observations), masks, self.settings.temperature)

    def learn(self, experience: Experience) -> None:
        """Count rewards by action."""
        add_to_arms(self.memory, experience, experience.rewards)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        values = mean_rewards(self.memory, self.settings.initial_value)
        exploration = Softmax(self.settings.temperature) if is_exploring else Greedy()
        return arms_document(name, self.problem, values, exploration)
