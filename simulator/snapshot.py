"""Pieces that saved states are made of: arrays copied out, checked, and written back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

State = dict[str, npt.NDArray[Any]]
ABOUT = "about"  # what a state is of, to be compared
TOLD = 60  # characters of a differing value


def copied(arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    """Return copies."""
    return {name: array.copy() for name, array in arrays.items()}


def put_back(places: Mapping[str, npt.NDArray[Any]], state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a state into the arrays that it was copied from, or their like.

    Raises:
        ValueError: names, shapes or types differ; nothing has been written then.
    """
    require_names(places.keys(), state)
    for name, place in places.items():
        array = state[name]
        if (array.shape, array.dtype) != (place.shape, place.dtype):
            raise ValueError(
                f"state: {name}: expected {place.dtype} of shape {place.shape}, got {array.dtype} of {array.shape}: it "
                f"is of another environment"
            )
    for name, place in places.items():
        place[...] = state[name]


def require_names(expected: Iterable[str], state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise a ValueError unless a state has just these arrays."""
    missing, unknown = sorted(set(expected) - state.keys()), sorted(state.keys() - set(expected))
    if missing or unknown:
        raise ValueError(f"state: missing {missing}, unknown {unknown}: it is of another environment")


def require_same(where: str, wanted: Any, found: Any) -> None:
    """Raise a ValueError at the first place where two pieces of plain data differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            require_same(f"{where}.{name}", wanted.get(name), found.get(name))
    elif wanted != found:
        expected, got = (repr(value)[:TOLD] for value in (wanted, found))
        raise ValueError(f"{where}: expected {expected}, got {got}: it is of another environment")


def as_array(plain: Any) -> npt.NDArray[np.uint8]:
    """Return plain data as the bytes of its JSON."""
    return np.frombuffer(json.dumps(plain, sort_keys=True).encode(), np.uint8)


def from_array(array: npt.NDArray[Any]) -> Any:
    """Return the plain data of an array that `as_array` made."""
    return json.loads(array.tobytes())
