"""LinUCB: the highest plausible mean of a linear model of each action.

Source: Li, Chu, Langford & Schapire (WWW 2010), Algorithm 1, disjoint linear models; here the observation is
standardised to [-1, 1] with a constant before it (`agents.designs`), and `ridge` stands for their 1.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Ints, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.bandits.documents import posterior_document
from agents.bandits.settings import LinUCBSettings
from agents.choosing import certainly, greedy_actions
from agents.designs import design_of
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy


class LinUCB(Bandit):
    """The eligible action with the highest theta' x + alpha sqrt(x' A^-1 x), the lowest index of equals."""

    settings: LinUCBSettings
    memory: LinearPosterior

    def __init__(self, settings: LinUCBSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = LinearPosterior(design_of(problem), problem, settings.ridge, settings.forgetting)
        self._ones = np.ones(problem.n_actions)

    def values(self, observations: Observations) -> Floats:
        """Return theta' x."""
        return self.memory.scores(observations)[0]

    def bounds(self, observations: Observations) -> Floats:
        """Return theta' x + alpha sqrt(x' A^-1 x), shape (U, A)."""
        means, widths = self.memory.scores(observations)
        widths *= self.settings.alpha
        widths += means
        return widths

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return 1 for the action with the highest bound."""
        return certainly(greedy_actions(self.bounds(observations), masks), self.problem.n_actions)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest bounds; nothing is drawn."""
        actions = self.memory.choose(observations, masks, self.settings.alpha)
        return Choices(actions, np.ones(len(actions)) if wants_propensities else None)

    def learn(self, experience: Experience) -> None:
        """Add to each action's sums."""
        self.memory.learn(experience)

    def choose_one(self, observation: Observations, mask: Bools) -> int:
        """Return `act`'s choice for one user, quickly; shapes (K,) and (A,).

        Raises:
            ValueError: heads are not actions, or something is forgotten; or as `act`.
        """
        return self.memory.choose_one(observation, mask, self.settings.alpha, self._ones)

    def learn_one(self, observation: Observations, action: int, reward: float) -> None:
        """Learn one decision as `update` would, quickly; shape (K,); errors as `choose_one` and `update`."""
        self.memory.learn_one(observation, action, reward)

    def replay(self, observations: Observations, masks: Bools, rewards: Floats) -> Ints:
        """Decide on rows in their order and learn each before the next, quickly; see `LinearPosterior.replay`.

        A log is replayed with the rewards of what was not done left NaN, an experiment with all of them.

        Args:
            observations, masks: as of `act`.
            rewards: of each action, NaN where nobody knows, shape (U, A).

        Returns:
            The actions, shape (U,).

        Raises:
            ValueError: as `choose_one`; a reward is infinite.
        """
        return self.memory.replay(observations, masks, rewards, self.settings.alpha)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        optimism = self.settings.alpha if is_exploring else 0.0
        return posterior_document(name, self.problem, self.memory, Greedy(), sd_of_width=1.0, optimism=optimism)
