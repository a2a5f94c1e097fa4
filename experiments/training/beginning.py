"""What a training begins with instead of nothing: the policy that another one had learned.

A network that sees more than the other one begins as the same function: `agents.reinforcement.beginning`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from agents.agent import State
from agents.saved_state import read
from agents.trainer import Trainer
from experiments.faults import ConfigError, Fault

BEST = "checkpoints/best.npz"  # in the folder of a training: what its agent had learned at its best evaluation
OPTION = "--begin-with"


@dataclass(frozen=True, eq=False)
class Beginning:
    """The best policy of a training, as its `checkpoints/best.npz` has it.

    Attributes:
        folder: of that training.
        name: of its config.
        features: that its agent saw.
        learned: its agent's state.
    """

    folder: Path
    name: str
    features: tuple[str, ...]
    learned: State

    @property
    def hash(self) -> str:
        """SHA-256 over names and arrays: what a training that began so depends on."""
        found = hashlib.sha256()
        for name in sorted(self.learned):
            found.update(name.encode() + b"\0" + np.ascontiguousarray(self.learned[name]).tobytes())
        return found.hexdigest()

    def to_data(self) -> dict[str, str]:
        """Return plain data; the folder stays out, since it may be moved."""
        return {"name": self.name, "weights_sha256": self.hash}


@runtime_checkable
class Beginner(Protocol):
    """A trainer that can begin with what another one's agent had learned."""

    def begin_with(self, learned: State, known: Sequence[str]) -> None:
        """Begin so; see `agents.reinforcement.trainer.SB3Trainer`."""
        ...


def beginning(folder: Path) -> Beginning:
    """Return what a training in a folder had learned at its best evaluation.

    Raises:
        ConfigError: there is no training, or its checkpoint cannot be read.
    """
    path = folder / BEST
    if not path.is_file():
        raise ConfigError([Fault(OPTION, None, "", f"{folder}: expected the folder of a training; there is no {BEST}")])
    try:
        learned, header = read(path)
        return Beginning(folder, header["config"]["name"], tuple(header["problem"]["features"]), learned)
    except (ValueError, KeyError, TypeError) as error:
        told = f"{path}: expected the checkpoint of a training: {error}"
        raise ConfigError([Fault(OPTION, None, "", told)]) from None


def begin_with(trainer: Trainer, begun: Beginning) -> None:
    """Let a trainer begin so.

    Raises:
        ConfigError: it cannot begin with another's policy, or the other's network does not fit.
    """
    told = "expected an agent that learns by reinforcement; a bandit begins with a log"
    if isinstance(trainer, Beginner):
        try:
            return trainer.begin_with(begun.learned, begun.features)
        except ValueError as error:
            told = f"{begun.folder}: {error}"
    raise ConfigError([Fault(OPTION, None, "", told)])
