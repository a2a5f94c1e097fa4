"""What is wrong with a config: where, and in which words. The standard library only, so that `--help` stays quick."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a config.

    Attributes:
        file: the file as the caller named it, or the option (`--set`) that the value came from.
        line: counted from 1; None when no line is to blame (an option, a file that is not there).
        path: dotted path of the field, list entries by index (`campaigns.3.quality`); "" for the file as a whole.
        message: what was expected and what was got.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ConfigError(ValueError):
    """A config that cannot be used, with every fault that was found, by line; faults of options come last."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        by_line = sorted(dict.fromkeys(faults), key=lambda fault: (fault.line is None, fault.line or 0))
        self.faults = tuple(by_line)
        super().__init__("\n".join(map(str, self.faults)))
