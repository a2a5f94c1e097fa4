"""Weights to begin with, from a network that saw fewer features: those it did not see begin without any effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agents.agent import State

FIRST_LAYER = ".0.weight"  # as torch names it in a Sequential; SB3's other layers have other numbers, or none
Weights = Mapping[str, npt.NDArray[np.generic]]


def grown(fresh: Weights, features: Sequence[str], learned: Weights, known: Sequence[str]) -> State:
    """Return the weights of a network over `features` that computes what one over `known` had learned to.

    A first layer's column goes with its feature's name; the columns of features that are not among `known` are 0, so
    that the two networks are the same function until the new one learns.

    Args:
        fresh: weights by name of the network to begin; a first layer has shape (H, K) for K features.
        features: names of its K inputs.
        learned: weights by the same names; a first layer has shape (H, L).
        known: names of the L inputs that these were learned on; all among `features`.

    Raises:
        ValueError: features of `known` are not among `features`; layers of other names or shapes.
    """
    if gone := [name for name in known if name not in features]:
        raise ValueError(f"expected a network over some of the same features; {gone[0]!r} is not seen here")
    if differing := sorted(fresh.keys() ^ learned.keys()):
        raise ValueError(f"expected a network of the same algorithm and depth; {differing[0]!r} is in one of them only")
    place = {name: k for k, name in enumerate(features)}
    columns = [place[name] for name in known]
    begun: State = {}
    for name, weights in fresh.items():
        array = np.array(learned[name])
        is_first = name.endswith(FIRST_LAYER)
        expected = (len(weights), len(known)) if is_first else weights.shape
        if array.shape != expected:
            raise ValueError(f"{name}: expected weights of shape {expected}, got {array.shape}: other hidden layers")
        if is_first:
            begun[name] = np.zeros_like(weights)
            begun[name][:, columns] = array
        else:
            begun[name] = array
    return begun
