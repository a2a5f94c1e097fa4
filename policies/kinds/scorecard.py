"""Scorecard: each candidate on each channel is scored by a sum of a few terms, and sent if that beats a threshold.

score(slot, channel) = base[channel] + sum over terms of weight[channel] * x, or of points[channel][bin of x],

where x is the user's feature or the candidate's own. Slots share the terms, so where a candidate stands does not
matter. The score of sending nothing is the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from policies.inputs import N_CHANNELS, bin_of, edges, inputs, read_input, read_threshold
from policies.strict_json import Node
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, action_names

MAX_TERMS = 1_000
MAX_BINS = 200
N_REASONS = 3  # terms that are named


@dataclass(frozen=True)
class Weighted:
    """A term that is linear in the *encoded* feature, as it stands in the observation.

    Attributes:
        feature: of the user, `local_hour`, or of the candidate (`slot.relevance`).
        weight: score per unit of the encoded feature, for each channel.
    """

    feature: str
    weight: Mapping[str, float]


@dataclass(frozen=True)
class Binned:
    """A term that is a step function of the feature.

    Attributes:
        feature: of the user, `local_hour`, or of the candidate (`slot.relevance`).
        thresholds: rising, in the feature's unit; bin k holds thresholds[k - 1] <= value < thresholds[k].
        points: score in each bin, for each channel: one more than thresholds.
    """

    feature: str
    thresholds: tuple[float, ...]
    points: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Scorecard:
    """A table of points.

    Attributes:
        threshold: score of sending nothing; what does not beat it is not sent.
        base: score of a candidate before any term, for each channel.
        terms: added up in this order.
    """

    kind: ClassVar[str] = "scorecard"
    threshold: float
    base: Mapping[str, float]
    terms: tuple[Weighted | Binned, ...]


def read(node: Node, n_slots: int) -> Scorecard:
    """Read a scorecard; faults are noted in the node."""
    fields = node.fields(("kind", "threshold", "base", "terms"))
    terms = fields["terms"].items(0, MAX_TERMS, "terms")
    return Scorecard(
        fields["threshold"].number(),
        {channel: value.number() for channel, value in fields["base"].fields(CHANNELS_OF_A_SLOT).items()},
        tuple(_read_term(term, n_slots) for term in terms),
    )


def _read_term(node: Node, n_slots: int) -> Weighted | Binned:
    is_binned = isinstance(node.value, dict) and ("thresholds" in node.value or "points" in node.value)
    fields = node.fields(("feature", "thresholds", "points") if is_binned else ("feature", "weight"))
    entry = read_input(fields["feature"], n_slots, "shared")
    name = entry.name if entry else ""
    if not is_binned:
        weights = fields["weight"].fields(CHANNELS_OF_A_SLOT)
        return Weighted(name, {channel: value.number() for channel, value in weights.items()})
    listed = fields["thresholds"].items(1, MAX_BINS, "thresholds")
    thresholds = tuple(read_threshold(threshold, entry) for threshold in listed)
    for k in range(1, len(thresholds)):
        if not thresholds[k - 1] < thresholds[k]:
            listed[k].refuse(f"rising thresholds, above {thresholds[k - 1]:g}")
    points = fields["points"].fields(CHANNELS_OF_A_SLOT)
    return Binned(name, thresholds, {name: column.numbers(len(thresholds) + 1) for name, column in points.items()})


class Chooser:
    """A scorecard made ready for n_slots."""

    def __init__(self, model: Scorecard, n_slots: int) -> None:
        self._names = action_names(n_slots)
        self._threshold = model.threshold
        self._base = tuple(model.base[channel] for channel in CHANNELS_OF_A_SLOT)
        known = inputs(n_slots)
        terms = [_Term(term, known[term.feature].index, edges_of(term, n_slots)) for term in model.terms]
        self._of_user = [t for t in terms if not known[t.name].is_per_slot]
        self._of_slot = [t for t in terms if known[t.name].is_per_slot]
        self.inputs = tuple(dict.fromkeys(term.feature for term in model.terms))

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return the score of each action, -inf where it is not eligible; shape (A,).

        Args:
            values: the observation and the local hour, shape (29 + 7 C + 1,).
            eligible: shape (A,).
        """
        found = [-math.inf] * len(eligible)
        found[0] = self._threshold
        common = list(self._base)
        for term in self._of_user:
            points = term.points(values[term.index])
            for channel in range(N_CHANNELS):
                common[channel] += points[channel]
        for first in range(1, len(eligible), N_CHANNELS):
            if not any(eligible[first : first + N_CHANNELS]):
                continue
            scores = list(common)
            offset = (first - 1) // N_CHANNELS * N_SLOT_FEATURES
            for term in self._of_slot:
                points = term.points(values[term.index + offset])
                for channel in range(N_CHANNELS):
                    scores[channel] += points[channel]
            for channel in range(N_CHANNELS):
                if eligible[first + channel]:
                    found[first + channel] = scores[channel]
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return the best candidate's score beside the threshold, and the terms that weighed most in it."""
        best = max(range(1, len(preferences)), key=preferences.__getitem__)  # the first of equals
        score = preferences[best]
        beats = "beats" if score > self._threshold else "does not beat"
        terms = sorted(self._contributions(values, best), key=lambda term: -abs(term[1]))
        return (
            f"{self._names[best]} scores {score:.4g}, which {beats} the threshold {self._threshold:.4g}",
            *(f"{name} {points:+.4g}" for name, points in terms[:N_REASONS] if points != 0.0),
        )

    def _contributions(self, values: Sequence[float], action: int) -> Iterator[tuple[str, float]]:
        slot, channel = divmod(action - 1, N_CHANNELS)
        yield f"base.{CHANNELS_OF_A_SLOT[channel]}", self._base[channel]
        for term in self._of_user:
            yield term.name, term.points(values[term.index])[channel]
        for term in self._of_slot:
            yield term.name, term.points(values[term.index + slot * N_SLOT_FEATURES])[channel]


def edges_of(term: Weighted | Binned, n_slots: int) -> tuple[float, ...]:
    """Return the encoded thresholds of a term; none of one that is weighted."""
    return edges(inputs(n_slots)[term.feature], term.thresholds) if isinstance(term, Binned) else ()


class _Term:
    """A term made ready: points of both channels, by weight when there are no edges, else by bin."""

    __slots__ = ("_edges", "_table", "index", "name")

    def __init__(self, term: Weighted | Binned, index: int, edges: Sequence[float]) -> None:
        self.name = term.feature
        self.index = index
        self._edges = edges
        self._table: list[tuple[float, ...]]
        if isinstance(term, Weighted):
            self._table = [tuple(term.weight[channel] for channel in CHANNELS_OF_A_SLOT)]
        else:
            self._table = list(zip(*(term.points[channel] for channel in CHANNELS_OF_A_SLOT), strict=True))

    def points(self, value: float) -> tuple[float, ...]:
        """Return the points of an encoded value, shape (channels,)."""
        if self._edges:
            return self._table[bin_of(self._edges, value)]
        push, email = self._table[0]
        return push * value, email * value
