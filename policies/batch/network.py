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
        is_per_slot: of each input, whether it is the candidate's, shape (D,).
    """

    def __init__(self, read: Sequence[NetworkInput], n_slots: int) -> None:
        known = inputs(n_slots)
        self.is_per_slot = [known[entry.feature].is_per_slot for entry in read]
        self._indices = [known[entry.feature].index for entry in read]
        self._mean = [entry.mean for entry in read]
        self._scale = [entry.scale for entry in read]
        self._clip = [entry.clip for entry in read]

    def write(self, place: int, values: Floats, out: Floats) -> None:
        """Write an input's standardised values into `out`, in their shape."""
        np.subtract(values, self._mean[place], out=out)
        out /= self._scale[place]
        clip = self._clip[place]
        if clip is not None:
            np.clip(out, -clip, clip, out=out)

    def matrix(self, seen: Seen) -> Floats:
        """Return the inputs of each user where none is per slot, shape (D, n)."""
        found = np.empty((len(self._indices), seen.n))
        for place, index in enumerate(self._indices):
            self.write(place, seen.column(index), found[place])
        return found

    def index(self, place: int) -> int:
        """Return where an input stands in the observation."""
        return self._indices[place]


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
