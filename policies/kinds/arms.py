"""Arms: a score for each action that does not look at the user, as epsilon-greedy, UCB1 and softmax bandits learn.

score(action) = values[action] + sum over terms of weight * the candidate's feature, no terms for silence. A term on
`slot.bucket_recency` with a negative weight is the recency penalty of the recovering difference softmax (Yancey &
Settles, KDD 2020, section 4); scores then go through `softmax`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from policies.inputs import N_CHANNELS, inputs, read_input
from policies.strict_json import Node, repeated
from policies.vocabulary import N_SLOT_FEATURES, action_names, n_actions

MAX_TERMS = 100


@dataclass(frozen=True)
class SlotTerm:
    """A term that is linear in the encoded feature of the candidate.

    Attributes:
        feature: `slot.bucket_recency`.
        weight: score per unit of the encoded feature, the same on all channels.
    """

    feature: str
    weight: float


@dataclass(frozen=True)
class Arms:
    """Scores of the actions.

    Attributes:
        values: shape (A,).
        terms: added in this order.
    """

    kind: ClassVar[str] = "arms"
    values: tuple[float, ...]
    terms: tuple[SlotTerm, ...] = ()


def read(node: Node, n_slots: int) -> Arms:
    """Read arms; faults are noted in the node."""
    fields = node.fields(("kind", "values"), ("terms",))
    listed = [] if fields["terms"].is_missing else fields["terms"].items(0, MAX_TERMS, "terms")
    terms = tuple(_read_term(term, n_slots) for term in listed)
    if twice := repeated([term.feature for term in terms if term.feature]):
        fields["terms"].note(f"expected each feature once, got {twice[0]!r} again")
    return Arms(fields["values"].numbers(n_actions(n_slots)), terms)


def _read_term(node: Node, n_slots: int) -> SlotTerm:
    fields = node.fields(("feature", "weight"))
    entry = read_input(fields["feature"], n_slots, "of the candidate")
    return SlotTerm(entry.name if entry else "", fields["weight"].number())


class Chooser:
    """Arms made ready for n_slots."""

    def __init__(self, model: Arms, n_slots: int) -> None:
        self._names = action_names(n_slots)
        self._values = model.values
        known = inputs(n_slots)
        self._terms = tuple((known[term.feature].index, term.weight) for term in model.terms)
        self.inputs = tuple(term.feature for term in model.terms)

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return the score of each action, -inf where it is not eligible; shape (A,).

        Args:
            values: the observation, shape (29 + 7 C,) or longer.
            eligible: shape (A,).
        """
        found = [score if is_open else -math.inf for score, is_open in zip(self._values, eligible, strict=True)]
        for index, weight in self._terms:
            for action in range(1, len(found)):
                if eligible[action]:
                    found[action] += weight * values[index + (action - 1) // N_CHANNELS * N_SLOT_FEATURES]
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return the best action's score, what it is without the candidate's terms, and the next action's."""
        order = sorted((k for k in range(len(preferences)) if eligible[k]), key=lambda k: -preferences[k])
        best, following = order[:2]
        learned = f" ({self._values[best]:.4g} before the candidate's terms)" if self._terms and best else ""
        lead = f"{preferences[best]:.4g}{learned}, {self._names[following]} {preferences[following]:.4g}"
        return (f"{self._names[best]} scores {lead}",)
