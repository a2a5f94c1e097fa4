"""Figures row by row: the learning curve, and what each portion of learning told; exact on disk and in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agents.agent import State


class Figures:
    """A table of numbers to which rows are added; a row may lack columns, and may bring new ones.

    Attributes:
        columns: by name, each as long as there are rows; NaN where a row lacked it.
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}

    def __len__(self) -> int:
        return max(map(len, self.columns.values()), default=0)

    def add(self, row: Mapping[str, float]) -> None:
        """Add a row."""
        n = len(self)
        for name in row:
            self.columns.setdefault(name, [math.nan] * n)
        for name, column in self.columns.items():
            column.append(float(row.get(name, math.nan)))

    def row(self, index: int) -> dict[str, float]:
        """Return a row by its columns."""
        return {name: column[index] for name, column in self.columns.items()}

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column, shape (rows,); NaN throughout where there is none of that name."""
        return np.asarray(self.columns.get(name, [math.nan] * len(self)))

    def to_csv(self) -> str:
        """Return the table as text that reads back to the last bit: whole numbers plain, a missing one empty."""
        lines = [",".join(self.columns)]
        lines += [",".join(map(_written, values)) for values in zip(*self.columns.values(), strict=True)]
        return "\n".join(lines) + "\n"

    def state(self) -> State:
        """Return the columns as arrays."""
        return {name: np.asarray(column) for name, column in self.columns.items()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take the columns of a state."""
        self.columns = {name: [float(value) for value in np.asarray(column)] for name, column in state.items()}


def _written(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
