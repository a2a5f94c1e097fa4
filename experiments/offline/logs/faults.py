"""What is wrong with a log, all of it at once: the row, the column, what was expected and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

MOST_TOLD = 5  # rows of one kind of fault; the rest are counted


class LogError(ValueError):
    """A log that cannot be used as it is.

    Attributes:
        faults: one message each.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def rows_that_are(
    is_wrong: npt.NDArray[np.bool_], column: str, expected: str, told: Callable[[int], object]
) -> list[str]:
    """Return a message for each of the first rows at fault, and one that counts the others.

    Args:
        is_wrong: shape (N,).
        column: its name.
        expected: what a value must be.
        told: what there is in a row.
    """
    rows = np.flatnonzero(is_wrong)
    faults = [f"row {row}: {column}: expected {expected}, got {told(int(row))}" for row in rows[:MOST_TOLD].tolist()]
    if len(rows) > MOST_TOLD:
        faults.append(f"{column}: {len(rows) - MOST_TOLD:,} more rows like these")
    return faults
