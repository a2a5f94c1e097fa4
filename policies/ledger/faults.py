"""What can be wrong with a ledger, and how it is said."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LedgerError(ValueError):
    """Something that a ledger cannot take or give, one line a fault."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class MissingExtraError(ImportError):
    """A library of an extra is not installed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known name, or all of them when they are few; to be put after a message."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" There are: {', '.join(names)}." if len(names) <= 30 else ""


def need_arrow() -> None:
    """Import what the ledger's files need.

    Raises:
        MissingExtraError: pyarrow or numpy is not installed; the message names the extra.
    """
    try:
        import numpy as np  # noqa: F401
        import pyarrow.parquet  # noqa: F401
    except ImportError as missing:
        raise MissingExtraError(
            f'The decision ledger needs {missing.name}: pip install "kairos-notify[ledger]"', name=missing.name
        ) from missing
