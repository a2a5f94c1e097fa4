"""Network: a small multilayer perceptron whose outputs are the actions' preferences (logits, or values of a Q-network).

Each input is standardised, x' = clip((x - mean) / scale, -clip, clip), each layer is x' = f(W x + b). In Python the
sum over inputs runs from left to right in float64 (from Python 3.12 on `sum` compensates its rounding), so interpreters
and libraries agree to about 1e-15 of the sums' size, not to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul
from typing import ClassVar

from policies.inputs import Scope, inputs, read_input
from policies.strict_json import Node, repeated
from policies.vocabulary import action_names, n_actions

MAX_LAYERS = 32
MAX_WIDTH = 4_096
MAX_WEIGHTS = 500_000  # a decision in Python alone then takes some 20 ms


@dataclass(frozen=True)
class NetworkInput:
    """One input of the network and how it is standardised.

    Attributes:
        feature: an entry of the vocabulary, `tier` or `slot0.relevance`; a posterior's is of the user or `slot.*`.
        mean, scale: of the encoded feature; scale > 0.
        clip: bound of the standardised value, > 0; absent for none.
    """

    feature: str
    mean: float = 0.0
    scale: float = 1.0
    clip: float | None = None


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        weights: a row for each output, shape (n_out, n_in), as PyTorch keeps them.
        bias: shape (n_out,).
        activation: `relu`, `tanh` or `identity`.
    """

    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    activation: str


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron from some entries of the vocabulary to the A actions."""

    kind: ClassVar[str] = "network"
    inputs: tuple[NetworkInput, ...]
    layers: tuple[Layer, ...]


def _relu(values: list[float]) -> list[float]:
    return [0.0 if value < 0.0 else value for value in values]  # written so that a NaN stays one and is found


def _tanh(values: list[float]) -> list[float]:
    return list(map(math.tanh, values))


def _identity(values: list[float]) -> list[float]:
    return values


ACTIVATIONS: dict[str, Callable[[list[float]], list[float]]] = {"relu": _relu, "tanh": _tanh, "identity": _identity}


def read(node: Node, n_slots: int) -> Network:
    """Read a network; faults are noted in the node."""
    fields = node.fields(("kind", "inputs", "layers"))
    read = tuple(
        read_network_input(entry, n_slots, "an entry") for entry in fields["inputs"].items(1, MAX_WIDTH, "inputs")
    )
    names = [entry.feature for entry in read if entry.feature]
    if twice := repeated(names):
        fields["inputs"].note(f"expected each feature once, got {twice[0]!r} again")
    layers = []
    width: int = len(read)
    n_weights = 0
    for layer in fields["layers"].items(1, MAX_LAYERS, "layers"):
        layers.append(read_layer(layer, width))
        n_weights += width * len(layers[-1].bias)
        width = len(layers[-1].bias)
    if n_weights > MAX_WEIGHTS:
        fields["layers"].note(f"expected at most {MAX_WEIGHTS:,} weights, got {n_weights:,}")
    if layers and width and width != n_actions(n_slots):
        fields["layers"].note(
            f"expected {n_actions(n_slots)} outputs of the last layer, an action each (1 + 2 * {n_slots} slots), "
            f"got {width}"
        )
    return Network(read, tuple(layers))


def read_network_input(node: Node, n_slots: int, scope: Scope) -> NetworkInput:
    """Read an input, what it may be of a scope of `policies.inputs`."""
    fields = node.fields(("feature", "mean", "scale"), ("clip",))
    entry = read_input(fields["feature"], n_slots, scope)
    return NetworkInput(
        entry.name if entry else "",
        fields["mean"].number(),
        fields["scale"].number(low=0.0, is_low_open=True),
        None if fields["clip"].is_missing else fields["clip"].number(low=0.0, is_low_open=True),
    )


def read_layer(node: Node, n_in: int) -> Layer:
    """Read a layer of n_in inputs; a width of 0 stands for one that could not be read."""
    fields = node.fields(("weights", "bias", "activation"))
    rows = fields["weights"].items(1, MAX_WIDTH, "rows of weights")
    weights = tuple(row.numbers(n_in) for row in rows) if n_in else ()
    bias = fields["bias"].numbers(len(rows)) if rows else ()
    return Layer(weights, bias, fields["activation"].name(tuple(ACTIVATIONS)))


class Chooser:
    """A network made ready for n_slots."""

    def __init__(self, model: Network, n_slots: int) -> None:
        self._names = action_names(n_slots)
        known = inputs(n_slots)
        self._inputs = tuple(
            (known[e.feature].index, e.mean, e.scale, math.inf if e.clip is None else e.clip) for e in model.inputs
        )
        self._layers = tuple((layer.weights, layer.bias, ACTIVATIONS[layer.activation]) for layer in model.layers)
        self.inputs = tuple(entry.feature for entry in model.inputs)

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return the output for each action, -inf where it is not eligible; shape (A,).

        Args:
            values: the observation, shape (29 + 7 C,) or longer.
            eligible: shape (A,).
        """
        x = [max(-clip, min(clip, (values[index] - mean) / scale)) for index, mean, scale, clip in self._inputs]
        for weights, bias, activation in self._layers:
            x = activation([sum(map(mul, row, x), start) for row, start in zip(weights, bias, strict=True)])
        return [value if is_eligible else -math.inf for value, is_eligible in zip(x, eligible, strict=True)]

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return by how much the preferred action leads the next."""
        best = max(range(len(preferences)), key=preferences.__getitem__)
        rest = [action for action in range(len(preferences)) if action != best and eligible[action]]
        following = max(rest, key=preferences.__getitem__)
        margin = preferences[best] - preferences[following]
        lead = f"{margin:.4g} ahead of {self._names[following]}"
        return (f"{self._names[best]} is preferred at {preferences[best]:.4g}, {lead}",)
