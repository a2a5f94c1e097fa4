"""The one door to Numba for agents: compiled on one thread, kept on disk from one start to the next.

Kernels are few and stand alone, so Numba's own check of a file's time stamp is enough for their cache; the simulator's
door hashes all sources because its law is spread over many files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from agents.training_extra import missing

try:
    from numba import njit
except ModuleNotFoundError as error:
    raise missing(error) from error

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return a function compiled at its first call."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def compiled_sums(function: Function) -> Function:
    """Return a function compiled at its first call, in which a sum may be added up in any order.

    Vector instructions can then add up one sum; between processors its last digits differ. NaN stays NaN.
    """
    order = {"reassoc", "nsz", "contract"}
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy", fastmath=order)(function))
