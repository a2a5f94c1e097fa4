"""Mixture: several policies as one, each with the share of decisions that its weight says.

P(a) = sum over parts of weight * P_part(a)

So an ensemble, or a new policy beside an old one, is one document whose probabilities can be logged and judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from policies.exploration import Exploration, greedy_action, shares
from policies.strict_json import Node
from policies.vocabulary import action_names

if TYPE_CHECKING:
    from policies.document import Chooser as AnyChooser
    from policies.document import Model

MAX_PARTS = 10
SUM_ERROR = 1e-12  # of the weights


@dataclass(frozen=True)
class Part:
    """One of the policies.

    Attributes:
        weight: its share of decisions, in (0, 1].
        model: how it prefers actions; no mixture.
        exploration: how it chooses among them.
    """

    weight: float
    model: Model
    exploration: Exploration


@dataclass(frozen=True)
class Mixture:
    """Policies with weights that sum to 1."""

    kind: ClassVar[str] = "mixture"
    parts: tuple[Part, ...]


def read(node: Node, read_part: Callable[[Node, Node], tuple[Model, Exploration]]) -> Mixture:
    """Read a mixture; faults are noted in the node.

    Args:
        node: of the model.
        read_part: from the nodes of a part's model and exploration to both.
    """
    listed = node.fields(("kind", "parts"))["parts"]
    parts = []
    for entry in listed.items(1, MAX_PARTS, "parts"):
        fields = entry.fields(("weight", "model", "exploration"))
        weight = fields["weight"].number(0.0, 1.0, is_low_open=True)
        parts.append(Part(weight, *read_part(fields["model"], fields["exploration"])))
    total = math.fsum(part.weight for part in parts)
    if parts and abs(total - 1.0) > SUM_ERROR:
        listed.note(f"expected weights that sum to 1, got {total!r}")
    return Mixture(tuple(parts))


class ReadyPart(NamedTuple):
    """A part made ready."""

    weight: float
    chooser: AnyChooser
    exploration: Exploration


class Chooser:
    """A mixture made ready; its preferences are the probabilities."""

    def __init__(self, parts: Sequence[ReadyPart], n_slots: int) -> None:
        self._parts = tuple(parts)
        self._names = action_names(n_slots)
        self.inputs = tuple(dict.fromkeys(name for part in parts for name in part.chooser.inputs))

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return the probability of each action, -inf where it is not eligible; shape (A,).

        NaN where a part's own preference is none.
        """
        found = [0.0 if is_eligible else -math.inf for is_eligible in eligible]
        for weight, chooser, exploration in self._parts:
            wished = chooser.preferences(values, eligible)
            for action, is_eligible in enumerate(eligible):
                if is_eligible and not math.isfinite(wished[action]):
                    found[action] = math.nan
                    return found
            of_part = shares(chooser, exploration, values, eligible, wished)
            for action, is_eligible in enumerate(eligible):
                if is_eligible:
                    found[action] += weight * of_part[action]
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return what each part prefers, and its own first reason."""
        found = []
        for weight, chooser, _ in self._parts:
            wished = chooser.preferences(values, eligible)
            first = chooser.reasons(values, eligible, wished)[0]
            found.append(f"a part of {weight:.4g} prefers {self._names[greedy_action(wished)]}: {first}")
        return tuple(found)
