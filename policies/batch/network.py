"""Networks for many users: matrix products in float64, equal to `policies.kinds.network` up to the order of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from policies.batch.seen import Bools, Floats, Seen
from policies.inputs import inputs
from policies.kinds.network import Layer, Network, NetworkInput


class Standardised:
    """Inputs made ready: where they stand and how they are standardised.

    Attributes:
        n: their number.
    """

    def __init__(self, read: Sequence[NetworkInput], n_slots: int) -> None:
        known = inputs(n_slots)
        self.n = len(read)
        self._is_per_slot = [known[entry.feature].is_per_slot for entry in read]
        self._indices = [known[entry.feature].index for entry in read]
        self._mean = [entry.mean for entry in read]
        self._scale = [entry.scale for entry in read]
        self._clip = [entry.clip for entry in read]

    def matrix(self, seen: Seen, slot: int = -1) -> Floats:
        """Return the standardised inputs of each user, shape (inputs, n).

        Args:
            slot: whose candidate the per-slot inputs are of; -1: of none, and they are 0.
        """
        found = np.zeros((self.n, seen.n))
        for place, (index, out) in enumerate(zip(self._indices, found, strict=True)):
            if self._is_per_slot[place] and slot < 0:
                continue
            values = seen.of_slots(index)[slot] if self._is_per_slot[place] else seen.column(index)
            np.subtract(values, self._mean[place], out=out)
            out /= self._scale[place]
            if (clip := self._clip[place]) is not None:
                np.clip(out, -clip, clip, out=out)
        return found


def _relu(values: Floats) -> Floats:
    return np.where(values < 0.0, 0.0, values)  # written so that a NaN stays one and is found


def _identity(values: Floats) -> Floats:
    return values


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"relu": _relu, "tanh": np.tanh, "identity": _identity}


class Perceptron:
    """Layers made ready, from columns to columns."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = [
            (np.asarray(layer.weights), np.asarray(layer.bias)[:, None], ACTIVATIONS[layer.activation])
            for layer in layers
        ]

    def n_outputs(self, n_inputs: int) -> int:
        """Return the number of outputs: of the last layer, or the inputs where there is none."""
        return len(self._layers[-1][1]) if self._layers else n_inputs

    def __call__(self, x: Floats) -> Floats:
        """Return the last layer's outputs, shape (inputs, n) to (outputs, n)."""
        for weights, bias, activation in self._layers:
            x = activation(weights @ x + bias)
        return x


class BatchNetwork:
    """A network made ready for n_slots."""

    def __init__(self, model: Network, n_slots: int) -> None:
        self._inputs = Standardised(model.inputs, n_slots)
        self._layers = Perceptron(model.layers)

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return the output for each action, -inf where it is not eligible; shape (A, n)."""
        return np.where(eligible, self._layers(self._inputs.matrix(seen)), -np.inf)
