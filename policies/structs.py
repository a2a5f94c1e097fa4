"""Records as plain data: one table of fields serves the interpreted and the compiled use of the same functions.

The runtime holds a user's history, the rules and a moment as objects with attributes; the simulator holds thousands of
them as records of a NumPy array with the same names. Functions that read and write attributes and entries serve both.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

Field = tuple[str, str, int]  # name, NumPy type code, length (0: one number)
Struct = Any  # an object of these fields, or one record of a NumPy array


def blank(fields: tuple[Field, ...]) -> Struct:
    """Return an object with these fields, every number 0."""
    values: dict[str, Any] = {}
    for name, code, length in fields:
        zero: int | float = 0.0 if code.startswith("f") else 0
        values[name] = [zero] * length if length else zero
    return SimpleNamespace(**values)
