"""Versions of what decides a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("kairos-notify", "numpy", "numba", "scipy", "gymnasium", "torch", "stable-baselines3", "sb3-contrib")


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed, of those that decide a result.

    Args:
        more: libraries beside `LIBRARIES`.
    """
    found = {"python": platform.python_version()}
    for library in (*LIBRARIES, *more):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
