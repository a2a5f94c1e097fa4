"""Linear Thompson sampling in which every send has a cost: what a myopic bandit cannot see of fatigue, in one number.

The score of a send is its draw less `cost`; the cost is no money that changes hands, and learning never sees it. An
outer search tunes it on the return of whole episodes, in which tired users and opt-outs show: `with_cost(c)` is the
same bandit at another cost, with what it has learned.

Source: after the action bias of Karine et al., a learned term in the utility of a Thompson sampler, tuned on the
returns of episodes in a simulated intervention. One cost for all sends is a modelling choice: with one for each channel
the search has more dimensions than a few noisy returns support.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Choices, Experience, Floats, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.bandits.beliefs.normal_draws import drawn_best, probabilities_of_best
from agents.bandits.documents import posterior_document
from agents.bandits.settings import SendCostSettings
from agents.designs import design_of
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Thompson


class SendCostThompson(Bandit):
    """The eligible action with the highest draw, less the cost for all but action 0."""

    settings: SendCostSettings
    memory: LinearPosterior

    def __init__(self, settings: SendCostSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        ridge = (settings.noise_sd / settings.prior_sd) ** 2
        self.memory = LinearPosterior(design_of(problem), problem, ridge, settings.forgetting)

    def with_cost(self, cost: float) -> SendCostThompson:
        """Return the same bandit, with a copy of what it has learned, at another cost."""
        settings = SendCostSettings(**{**dict(self.settings), "cost": cost})
        found = SendCostThompson(settings, self.problem)
        found.restore(self.state())
        return found

    def beliefs(self, observations: Observations) -> tuple[Floats, Floats]:
        """Return mean less cost and standard deviation of each action's score, shapes (U, A)."""
        means, widths = self.memory.scores(observations)
        means[:, 1:] -= self.settings.cost
        widths *= self.settings.noise_sd
        return means, widths

    def values(self, observations: Observations) -> Floats:
        """Return the mean less the cost."""
        return self.beliefs(observations)[0]

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability that each action's draw is the highest."""
        return probabilities_of_best(*self.beliefs(observations), masks)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest draws."""
        return drawn_best(*self.beliefs(observations), masks, rng, wants_propensities)

    def learn(self, experience: Experience) -> None:
        """Add to each action's sums, rewards as they are."""
        self.memory.learn(experience)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        how = Thompson() if is_exploring else Greedy()
        own = self.settings
        return posterior_document(name, self.problem, self.memory, how, sd_of_width=own.noise_sd, send_cost=own.cost)
