"""Recovering difference softmax: what an arm adds when it is sent, less a penalty for having been sent just now.

    score = (m+ - m-) / m- - gamma * 2 ** (-days / half_life),   probability in proportion to exp(score / temperature)

m+ is the mean reward of the decisions in which the arm was chosen, m- that of those in which it was eligible and
another was chosen, each decision weighted by one over the logging policy's probability of that having happened (1 / p
or 1 / (1 - p), and divided by the sum of the weights), so that users and hours in which the arm is chosen more often do
not count more. Days are since the arm was last sent.

Source: Yancey & Settles, A Sleeping, Recovering Bandit Algorithm for Optimizing Recurring Notifications (KDD 2020);
their gamma .017, half-life 15 days and temperature .0025 are the defaults. Modelling choices: the weights are those of
self-normalised inverse propensities; an arm with nothing to compare, or whose m- is not above 0, scores 0 before the
penalty; over the feature vocabulary the arms are silence, push and e-mail, since a slot is another campaign each time.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Experience, Floats, Ints, Observations
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.documents import arms_document
from agents.bandits.settings import RecoveringSoftmaxSettings
from agents.choosing import softmax_probabilities
from agents.designs import NO_SEND, PUSH
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Softmax

FEATURE_HALF_LIFE_DAYS = 15.0  # of the vocabulary's `bucket_recency`
LEAST = 1e-6  # of a probability that weighs


class RecoveringSoftmax(Bandit):
    """An eligible action drawn by what its arm adds, less the penalty for recency.

    Experience should carry the logging policy's probabilities. Where it does not, they are taken to be those of this
    bandit as it stands: right when it decided itself and has learned nothing since.

    Recency is read from `slot<i>.bucket_recency`, and in other problems from `<action>.recency`, a feature in [0, 1]
    that halves in 15 days; an action without one has no penalty.
    """

    settings: RecoveringSoftmaxSettings
    memory: Sums
    weighs_by_propensity = True

    def __init__(self, settings: RecoveringSoftmaxSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self._arm_of_action = _arms(problem)
        self._n_arms = int(self._arm_of_action.max()) + 1
        names = ("chosen", "chosen_reward", "passed", "passed_reward")
        self.memory = Sums(dict.fromkeys(names, (self._n_arms,)), settings.forgetting)
        places = {name: place for place, name in enumerate(problem.features)}
        wanted = [
            f"{name.split('.')[0]}.bucket_recency" if problem.n_slots else f"{name}.recency" for name in problem.actions
        ]
        self._recency = [(action, places[name]) for action, name in enumerate(wanted) if name in places]

    def differences(self) -> Floats:
        """Return (m+ - m-) / m- of each arm, shape (number of arms,)."""
        totals = self.memory.totals
        is_known = (totals["chosen"] > 0.0) & (totals["passed"] > 0.0)
        chosen, passed = (
            totals[f"{name}_reward"] / np.where(totals[name] > 0.0, totals[name], 1.0) for name in ("chosen", "passed")
        )
        is_known &= passed > 0.0
        found: Floats = np.where(is_known, (chosen - passed) / np.where(is_known, passed, 1.0), 0.0)
        return found

    def values(self, observations: Observations) -> Floats:
        """Return the score of each action."""
        found = np.tile(self.differences()[self._arm_of_action], (len(observations), 1))
        power = FEATURE_HALF_LIFE_DAYS / self.settings.half_life_days
        for action, place in self._recency:
            recency = np.clip(observations[:, place].astype(np.float64), 0.0, 1.0)
            found[:, action] -= self.settings.recency_penalty * recency**power
        return found

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return shares in proportion to exp(score / temperature)."""
        return softmax_probabilities(self.values(observations), masks, self.settings.temperature)

    def learn(self, experience: Experience) -> None:
        """Count each decision for the arm chosen, and for each arm that could have been."""
        masks, probabilities = experience.masks != 0, experience.probabilities
        if probabilities is None:
            probabilities = self.exploring_probabilities(experience.observations, masks)
        arms = self._arm_of_action[:, None] == np.arange(self._n_arms)
        is_eligible = masks @ arms
        shares = probabilities @ arms
        is_chosen = arms[experience.actions]
        chosen = is_chosen / np.maximum(shares, LEAST)
        passed = (is_eligible & ~is_chosen) / np.maximum(1.0 - shares, LEAST)
        self.memory.add(
            {
                "chosen": chosen.sum(axis=0),
                "chosen_reward": experience.rewards @ chosen,
                "passed": passed.sum(axis=0),
                "passed_reward": experience.rewards @ passed,
            }
        )

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities.

        Raises:
            ValueError: the problem is none of documents; the half-life is not that of the feature.
        """
        if self.settings.half_life_days != FEATURE_HALF_LIFE_DAYS:
            raise ValueError(
                f"to_policy: {name}: half_life_days: expected {FEATURE_HALF_LIFE_DAYS:g}, that of bucket_recency, in "
                f"which documents are linear, got {self.settings.half_life_days:g}"
            )
        values = self.differences()[self._arm_of_action]
        exploration = Softmax(self.settings.temperature) if is_exploring else Greedy()
        return arms_document(name, self.problem, values, exploration, self.settings.recency_penalty)


def _arms(problem: Problem) -> Ints:
    """Return each action's arm, shape (A,)."""
    actions = np.arange(problem.n_actions)
    if not problem.n_slots:
        return actions
    return np.where(actions == 0, NO_SEND, PUSH + (actions - 1) % 2)  # the heads of the design
