"""Linear Thompson sampling: a plausible mean is drawn for each action, and the highest is taken.

Source: Agrawal & Goyal (ICML 2013), Algorithm 1, with a model for each head of the design and v = `noise_sd`; theirs
is v = R sqrt(9 d ln(t / delta)), which their proof asks for and which explores far more than Bayes' rule.

They draw the weights, once a user, and score all actions by them. Here each action's score is drawn by itself, from
the same normal distribution: theta' x + noise_sd sqrt(x' A^-1 x) z. Where every action has weights of its own
(`EachAction`) this is the same thing. Candidates share the weights of their channel, and there the draws are
independent between candidates where theirs are not: the marginal form, whose propensities are one-dimensional
integrals (`best_of_normals`).
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Ints, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.bandits.beliefs.normal_draws import drawn_best, probabilities_of_best
from agents.bandits.documents import posterior_document
from agents.bandits.settings import LinearThompsonSettings
from agents.designs import design_of
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Thompson


class LinearThompson(Bandit):
    """The eligible action with the highest draw of theta' x + noise_sd sqrt(x' A^-1 x) z, z standard normal."""

    settings: LinearThompsonSettings
    memory: LinearPosterior

    def __init__(self, settings: LinearThompsonSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = LinearPosterior(design_of(problem), problem, settings.ridge, settings.forgetting)

    def values(self, observations: Observations) -> Floats:
        """Return theta' x."""
        return self.memory.scores(observations)[0]

    def beliefs(self, observations: Observations) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of each action's mean reward, shapes (U, A)."""
        means, widths = self.memory.scores(observations)
        widths *= self.settings.noise_sd
        return means, widths

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability that each action's draw is the highest."""
        return probabilities_of_best(*self.beliefs(observations), masks)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest draws."""
        if wants_propensities:
            return drawn_best(*self.beliefs(observations), masks, rng, wants_propensities)
        return Choices(self.memory.choose(observations, masks, self.settings.noise_sd, rng), None)

    def learn(self, experience: Experience) -> None:
        """Add to each action's sums."""
        self.memory.learn(experience)

    def choose_one(self, observation: Observations, mask: Bools, noise: Floats) -> int:
        """Return a choice for one user, quickly; shapes (K,) and (A,).

        Args:
            observation, mask: as a row of `act`'s.
            noise: standard normal, shape (A,). `act` draws rng.standard_normal(A) for each user; whoever decides often
                draws for many at once, rng.standard_normal((n, A)), and hands over row after row: the same numbers
                for a tenth of the time.

        Raises:
            ValueError: heads are not actions, or something is forgotten; or as `act`.
        """
        return self.memory.choose_one(observation, mask, self.settings.noise_sd, noise)

    def learn_one(self, observation: Observations, action: int, reward: float) -> None:
        """Learn one decision as `update` would, quickly; shape (K,); errors as `choose_one` and `update`."""
        self.memory.learn_one(observation, action, reward)

    def replay(self, observations: Observations, masks: Bools, rewards: Floats, rng: np.random.Generator) -> Ints:
        """Decide on rows in their order and learn each before the next, quickly; see `LinearPosterior.replay`.

        A log is replayed with the rewards of what was not done left NaN, an experiment with all of them.

        Args:
            observations, masks: as of `act`.
            rewards: of each action, NaN where nobody knows, shape (U, A).
            rng: as of `act`.

        Returns:
            The actions, shape (U,).

        Raises:
            ValueError: as `choose_one`; a reward is infinite.
        """
        return self.memory.replay(observations, masks, rewards, self.settings.noise_sd, rng)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        how = Thompson() if is_exploring else Greedy()
        return posterior_document(name, self.problem, self.memory, how, sd_of_width=self.settings.noise_sd)
