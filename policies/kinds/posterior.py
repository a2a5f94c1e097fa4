"""Posterior: what a Bayesian linear model believes of each candidate on each channel, mean and uncertainty.

With x = [1, h], h the standardised inputs or what a network makes of them, a head's score of a candidate has

    mean = mean . x,    standard deviation = |factor^T x|,    as its weights are N(mean, factor factor^T).

The preference is mean + optimism * standard deviation (LinUCB: Li, Chu, Langford & Schapire, WWW 2010, algorithm 1);
with exploration `thompson` an action is taken with the probability that it is the best (Agrawal & Goyal, ICML 2013).
With layers this is neural-linear (Riquelme, Tucker & Snoek, ICLR 2018). Slots share the heads of `push` and `email`;
silence has a head of its own, for which the candidate's inputs are at their means, that is 0 once standardised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import ClassVar

from policies.best_of_normals import best_of_normals
from policies.inputs import N_CHANNELS, inputs
from policies.kinds.network import (
    ACTIVATIONS,
    MAX_LAYERS,
    MAX_WEIGHTS,
    MAX_WIDTH,
    Layer,
    NetworkInput,
    read_layer,
    read_network_input,
)
from policies.strict_json import Node, repeated
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, action_names

HEADS = ("no_send", *CHANNELS_OF_A_SLOT)


@dataclass(frozen=True)
class Believed:
    """A head whose weights are N(mean, factor factor^T).

    Attributes:
        mean: shape (D,), the constant's weight first; D is 1 + the number of inputs, or of the last layer's outputs.
        factor: lower triangle of a square root of the covariance, such as Cholesky's: row i has i + 1 numbers, D rows.
    """

    mean: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Known:
    """A head whose score is known: silence that earns nothing."""

    value: float


@dataclass(frozen=True)
class Posterior:
    """Bayesian linear models of silence, push and e-mail.

    Attributes:
        inputs: features of the user, `local_hour`, or of the candidate (`slot.relevance`).
        layers: hidden layers, none for a linear model.
        heads: by name, one for each of HEADS.
        optimism: standard deviations that are added to the mean, >= 0.
    """

    kind: ClassVar[str] = "posterior"
    inputs: tuple[NetworkInput, ...]
    layers: tuple[Layer, ...]
    heads: Mapping[str, Believed | Known]
    optimism: float = 0.0


def read(node: Node, n_slots: int) -> Posterior:
    """Read a posterior; faults are noted in the node."""
    fields = node.fields(("kind", "inputs", "layers", "heads"), ("optimism",))
    entries = fields["inputs"].items(1, MAX_WIDTH, "inputs")
    read = tuple(read_network_input(entry, n_slots, "shared") for entry in entries)
    if twice := repeated([entry.feature for entry in read if entry.feature]):
        fields["inputs"].note(f"expected each feature once, got {twice[0]!r} again")
    layers: list[Layer] = []
    width = len(read)
    n_weights = 0
    for layer in fields["layers"].items(0, MAX_LAYERS, "layers"):
        layers.append(read_layer(layer, width))
        n_weights += width * len(layers[-1].bias)
        width = len(layers[-1].bias)
    n_weights += len(HEADS) * (width + 1) * (width + 2) // 2
    if n_weights > MAX_WEIGHTS:
        node.note(f"expected at most {MAX_WEIGHTS:,} weights, got {n_weights:,}")
        width = 0
    heads = {name: _read_head(head, width) for name, head in fields["heads"].fields(HEADS).items()}
    optimism = 0.0 if fields["optimism"].is_missing else fields["optimism"].number(low=0.0)
    return Posterior(read, tuple(layers), heads, optimism)


def _read_head(node: Node, width: int) -> Believed | Known:
    """Read a head over [1, h], h of a width; 0 stands for one that could not be read."""
    if isinstance(node.value, dict) and "value" in node.value:
        return Known(node.fields(("value",))["value"].number())
    fields = node.fields(("mean", "factor"))
    if not width:
        return Known(0.0)
    rows = fields["factor"].items(1 + width, 1 + width, "rows of a lower triangle")
    return Believed(fields["mean"].numbers(1 + width), tuple(row.numbers(k + 1) for k, row in enumerate(rows)))


class Chooser:
    """A posterior made ready for n_slots."""

    def __init__(self, model: Posterior, n_slots: int) -> None:
        self._names = action_names(n_slots)
        known = inputs(n_slots)
        self._inputs = tuple(
            (
                known[e.feature].index,
                known[e.feature].is_per_slot,
                e.mean,
                e.scale,
                math.inf if e.clip is None else e.clip,
            )
            for e in model.inputs
        )
        self._layers = tuple((layer.weights, layer.bias, ACTIVATIONS[layer.activation]) for layer in model.layers)
        self._heads = tuple(_Head(model.heads[name]) for name in HEADS)
        self._optimism = model.optimism
        self.inputs = tuple(entry.feature for entry in model.inputs)

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return mean + optimism * standard deviation of each action, -inf where it is not eligible; shape (A,).

        Args:
            values: the observation and the local hour, shape (29 + 7 C + 1,).
            eligible: shape (A,).
        """
        found = [-math.inf] * len(eligible)
        for action, head, x in self._candidates(values, eligible):
            found[action] = head.mean(x)
            if self._optimism:
                found[action] += self._optimism * head.sd(x)
        return found

    def best_chances(self, values: Sequence[float], eligible: Sequence[bool], scale: float) -> list[float]:
        """Return the probability that a draw of each action's score is the highest, shape (A,).

        Args:
            values, eligible: as of `preferences`.
            scale: by which standard deviations are multiplied.
        """
        candidates = self._candidates(values, eligible)
        chances = best_of_normals(
            [head.mean(x) for _, head, x in candidates], [scale * head.sd(x) for _, head, x in candidates]
        )
        found = [0.0] * len(eligible)
        for (action, _, _), chance in zip(candidates, chances, strict=True):
            found[action] = chance
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return the preferred action's score and how sure it is, and the next action's."""
        told = {
            action: f"{self._names[action]} is expected to score {head.mean(x):.4g}, give or take {head.sd(x):.4g}"
            for action, head, x in self._candidates(values, eligible)
        }
        order = sorted(told, key=lambda action: -preferences[action])  # stable: the lowest of equals first
        bonus = f", and {self._optimism:g} of that is added for what may be learned" if self._optimism else ""
        return (f"{told[order[0]]}{bonus}", f"next, {told[order[1]]}")

    def _candidates(
        self, values: Sequence[float], eligible: Sequence[bool]
    ) -> list[tuple[int, _Head, Sequence[float]]]:
        """Return of each eligible action its head and [1, h]."""
        found: list[tuple[int, _Head, Sequence[float]]] = [(0, self._heads[0], self._hidden(values, None))]
        for slot in range(len(eligible) // N_CHANNELS):
            first = 1 + N_CHANNELS * slot
            if any(eligible[first : first + N_CHANNELS]):
                x = self._hidden(values, slot)
                channels = (channel for channel in range(N_CHANNELS) if eligible[first + channel])
                found += ((first + channel, self._heads[1 + channel], x) for channel in channels)
        return found

    def _hidden(self, values: Sequence[float], slot: int | None) -> list[float]:
        """Return [1, h] of a slot's candidate, or of silence."""
        x = []
        for index, is_per_slot, mean, scale, clip in self._inputs:
            if is_per_slot and slot is None:
                x.append(0.0)
                continue
            value = values[index + N_SLOT_FEATURES * slot] if is_per_slot and slot is not None else values[index]
            x.append(max(-clip, min(clip, (value - mean) / scale)))
        for weights, bias, activation in self._layers:
            x = activation([sum(map(mul, row, x), start) for row, start in zip(weights, bias, strict=True)])
        return [1.0, *x]


class _Head:
    """A head made ready."""

    def __init__(self, head: Believed | Known) -> None:
        self._value = head.value if isinstance(head, Known) else 0.0
        self._mean = () if isinstance(head, Known) else head.mean
        rows = () if isinstance(head, Known) else head.factor
        self._columns = [tuple(row[k] for row in rows[k:]) for k in range(len(rows))]

    def mean(self, x: Sequence[float]) -> float:
        """Return the expected score."""
        return sum(map(mul, self._mean, x), self._value)

    def sd(self, x: Sequence[float]) -> float:
        """Return the standard deviation of the score."""
        return math.hypot(*(sum(map(mul, column, x[k:])) for k, column in enumerate(self._columns)))
