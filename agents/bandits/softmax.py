"""Softmax (Boltzmann) exploration: actions in proportion to exp(mean reward / temperature).

Source: Sutton & Barto, Reinforcement Learning (1998), section 2.3. With a temperature held constant its regret grows
linearly.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.agent import Bools, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone, mean_rewards
from agents.bandits.beliefs.forgetting import Forever, Forgetting, Sums
from agents.bandits.documents import arms_document
from agents.choosing import softmax_probabilities
from agents.problem import Problem
from agents.settings import Settings
from policies.document import Document
from policies.exploration import Greedy, Softmax


class SoftmaxSettings(Settings):
    """Config of softmax exploration.

    Attributes:
        temperature: in units of the reward; about the gap between actions that should still be told apart.
        initial_value: what an action that was never taken is thought to be worth, in units of the reward.
        forgetting: what counts of the past.
    """

    kind: Literal["softmax"] = "softmax"
    temperature: float = Field(0.1, gt=0.0)
    initial_value: float = 0.0
    forgetting: Forgetting = Forever()


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
