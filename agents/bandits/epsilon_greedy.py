"""Epsilon-greedy: the action with the highest mean reward, and now and then any.

Source: Sutton & Barto, Reinforcement Learning (2018), section 2.2. With epsilon held constant its regret grows
linearly, by epsilon times the mean gap a decision once the best action is known.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.agent import Bools, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.arms import add_to_arms, arm_sums, for_everyone, mean_rewards
from agents.bandits.beliefs.forgetting import Forever, Forgetting, Sums
from agents.bandits.documents import arms_document
from agents.choosing import epsilon_probabilities
from agents.problem import Problem
from agents.settings import Settings
from policies.document import Document
from policies.exploration import Epsilon, Greedy


class EpsilonGreedySettings(Settings):
    """Config of epsilon-greedy.

    Attributes:
        epsilon: chance that the action is drawn from all eligible ones alike, the best among them.
        initial_value: what an action that was never taken is thought to be worth, in units of the reward; a high one
            has every action tried.
        forgetting: what counts of the past.
    """

    kind: Literal["epsilon_greedy"] = "epsilon_greedy"
    epsilon: float = Field(0.1, ge=0.0, le=1.0)
    initial_value: float = 0.0
    forgetting: Forgetting = Forever()


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
