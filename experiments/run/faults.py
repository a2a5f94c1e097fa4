"""What can go wrong with a run beside its config."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from experiments.faults import ConfigError


class RunError(ValueError):
    """A run that cannot go on, or a folder that is none; the message says what to do."""


class Interrupted(Exception):  # noqa: N818  # no error: somebody asked for it
    """Somebody wants the run to stop; what is done is kept."""


@contextmanager
def told_by(what: object) -> Iterator[None]:
    """Tell a failure of the disk as a RunError.

    Args:
        what: could not be written, where the system does not name a file itself.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {error.filename or what}: {error.strerror or os.strerror(error.errno or 0)}"
        ) from None


@contextmanager
def told_of_stages() -> Iterator[None]:
    """Tell what a stage refuses, such as an estimator, an export or a checkpoint, as a RunError."""
    try:
        yield
    except (ConfigError, RunError):
        raise
    except ValueError as error:
        raise RunError(str(error)) from error
