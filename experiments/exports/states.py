"""States that a policy comes into, in the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.agent import Bools, Choices, Observations
from agents.baselines.document_agent import DocumentAgent
from agents.distil.lessons import States
from agents.problem import vocabulary_problem
from experiments.evaluation.evaluate import evaluate
from policies.document import Document
from policies.vocabulary import n_actions, n_features
from simulator.config import Scenario

MOST_STATES = 100_000


class _Watched(DocumentAgent):
    """Decides as its document does, and remembers what it was asked."""

    def __init__(self, document: Document) -> None:
        super().__init__(document, vocabulary_problem(document.n_slots), is_chance_the_policy=True)
        n_slots = document.n_slots
        # Nothing yet, so that there is something to join where nobody asks.
        self.observations = [np.zeros((0, n_features(n_slots)), np.float32)]
        self.masks = [np.zeros((0, n_actions(n_slots)), np.bool_)]

    def act(self, observations: Observations, masks: Bools, rng: np.random.Generator, **options: Any) -> Choices:
        self.observations.append(observations.copy())
        self.masks.append(masks.copy())
        return super().act(observations, masks, rng, **options)


def visited(
    document: Document, scenario: Scenario, n_users: int, seed: int, most: int = MOST_STATES, **arguments: Any
) -> States:
    """Return states in which something could be sent while a document decides, evenly picked where there are too many.

    Args:
        document: the policy.
        scenario: with its horizon.
        n_users: U; user u has the luck of seed + u.
        seed: at least 0.
        most: states.
        arguments: of `NotifyVectorEnv`.
    """
    agent = _Watched(document)
    evaluate(agent, scenario, n_users, seed, n_slots=document.n_slots, **arguments)
    found = States(np.concatenate(agent.observations), np.concatenate(agent.masks))
    picked = np.linspace(0, max(len(found.masks) - 1, 0), min(most, len(found.masks))).astype(np.int64)
    return States(found.observations[picked], found.masks[picked])
