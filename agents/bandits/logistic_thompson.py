"""Logistic Thompson sampling: a plausible logit is drawn for each action, and the highest is taken.

Source: Chapelle & Li (NIPS 2011), Algorithm 3: after each batch the posterior is the normal distribution around the
mode of prior times likelihood, and the next batch's prior. They keep the diagonal of its precision, for models of
millions of weights; here it is kept whole. What a batch adds to precision and to precision times mean is a sum that can
be forgotten like any other (the sites of assumed-density filtering). It is made at the mode of its time, so unlike in
linear models the order and size of batches matter a little, and a fading trace of what is forgotten stays in the rest.

Rewards between 0 and 1 count as that fraction of a success: with them the logit of the mean reward is learned, and the
width is that of coins, which rewards within a range never exceed. Draws are independent between actions, as in
`linear_thompson`.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.laplace import laplace
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.bandits.beliefs.normal_draws import drawn_best, probabilities_of_best
from agents.bandits.documents import posterior_document
from agents.bandits.reward_range import scaled
from agents.bandits.settings import LogisticThompsonSettings
from agents.designs import design_of
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Thompson


class LogisticThompson(Bandit):
    """The eligible action with the highest draw of theta' x + sqrt(x' A^-1 x) z, z standard normal."""

    settings: LogisticThompsonSettings
    memory: LinearPosterior

    def __init__(self, settings: LogisticThompsonSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = LinearPosterior(design_of(problem), problem, settings.prior_sd**-2, settings.forgetting)

    def values(self, observations: Observations) -> Floats:
        """Return logits."""
        return self.memory.scores(observations)[0]

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability that each action's draw is the highest."""
        return probabilities_of_best(*self.memory.scores(observations), masks)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest draws."""
        return drawn_best(*self.memory.scores(observations), masks, rng, wants_propensities)

    def learn(self, experience: Experience) -> None:
        """Move to the mode, and count the curvature there."""
        targets = scaled(experience.rewards, self.settings)
        rows, heads = self.memory.design.taken(experience.observations, experience.actions)
        mean, precision = self.memory.theta, self.memory.precision
        mode, curvature = laplace(rows, heads, targets, mean, precision)
        moved = np.einsum("hij,hj->hi", precision + curvature, mode) - np.einsum("hij,hj->hi", precision, mean)
        self.memory.add(curvature, moved)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        how = Thompson() if is_exploring else Greedy()
        return posterior_document(name, self.problem, self.memory, how, sd_of_width=1.0)
