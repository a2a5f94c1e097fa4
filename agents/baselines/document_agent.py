"""A policy document as an agent: how every baseline takes part where agents do.

A baseline is a document and a few candidates of its settings to tune it by, so what is measured is what production
would run, and exporting it is handing the document over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Choices, Floats, Observations, State, require_state
from agents.problem import Problem
from policies.batch import BatchPolicy
from policies.document import Document, Exploration, Greedy, require_no_limits


class DocumentAgent:
    """Decides by a document.

    Attributes:
        document: the policy.
        problem: the feature vocabulary's, with as many slots as the document.
        is_chance_the_policy: whether the document's exploration is what it is about, as with the random baseline: then
            it is kept where exploring is not asked for.

    Raises:
        ValueError: the problem is another than the document's; the document has limits of its own.
        DocumentError: the document is not sound.
    """

    def __init__(self, document: Document, problem: Problem, *, is_chance_the_policy: bool = False) -> None:
        require_no_limits(document, "a simulation")
        if document.n_slots != problem.n_slots:
            got = f"{problem.n_slots}" if problem.n_slots else "other features than the vocabulary's"
            raise ValueError(f"document {document.name!r}: expected a problem of {document.n_slots} slots, got {got}")
        self.document, self.problem = document, problem
        self.is_chance_the_policy = is_chance_the_policy
        self._as_written = BatchPolicy(document)
        is_same = is_chance_the_policy or isinstance(document.exploration, Greedy)
        # Its parity vectors are those of the exploration as written.
        without = replace(document, exploration=Greedy(), parity=())
        self._without_chance = self._as_written if is_same else BatchPolicy(without)

    def act(
        self,
        observations: Observations,
        masks: Bools,
        rng: np.random.Generator,
        *,
        is_exploring: bool = True,
        wants_propensities: bool = False,
    ) -> Choices:
        """Decide as the document does; see `agents.agent.Agent`."""
        allowed = self.problem.check(observations, masks)
        found = self._policy(is_exploring).decide(observations, allowed, rng.random(len(allowed)))
        return Choices(found.actions, found.propensities if wants_propensities else None)

    def probabilities(self, observations: Observations, masks: Bools, *, is_exploring: bool = True) -> Floats:
        """Return the document's probabilities, shape (U, A)."""
        allowed = self.problem.check(observations, masks)
        return self._policy(is_exploring).probabilities(observations, allowed)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return the document under a name."""
        kept = self._exploration(is_exploring)
        is_same = kept == self.document.exploration
        return replace(self.document, name=name, exploration=kept, parity=self.document.parity if is_same else ())

    def state(self) -> State:
        """Return nothing: a document does not learn."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up nothing."""
        require_state({}, state)

    def _policy(self, is_exploring: bool) -> BatchPolicy:
        return self._as_written if is_exploring else self._without_chance

    def _exploration(self, is_exploring: bool) -> Exploration:
        return self.document.exploration if is_exploring or self.is_chance_the_policy else Greedy()
