"""All baselines by name: their settings, the candidates that each is tuned by, and the agent of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from agents.baselines import (
    best_hour,
    expected_value,
    fixed_hour,
    frequency_cap,
    priority,
    simplest,
    survival,
    triggered_first,
    uplift,
)
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.pilot import Pilot
from agents.problem import Problem
from policies.document import Document


class Baseline(Protocol):
    """Settings of a baseline, and the policy that they stand for.

    A model that a pilot teaches has `needs_pilot = True` as a class attribute and makes its document from the pilot;
    the others have none and make it for a number of slots.
    """

    @property
    def kind(self) -> str:
        """Name of the baseline."""
        ...

    def document(self, source: Any, /) -> Document:
        """Return the policy."""
        ...


GRIDS: Mapping[str, tuple[Baseline, ...]] = MappingProxyType(
    {
        "never": (simplest.Never(),),
        "always": (simplest.Always(),),
        "random": simplest.RANDOM_GRID,
        "fixed_hour": fixed_hour.GRID,
        "best_hour": best_hour.GRID,
        "frequency_cap": frequency_cap.GRID,
        "priority": priority.GRID,
        "triggered_first": triggered_first.GRID,
        "expected_value": expected_value.GRID,
        "uplift_t": uplift.T_GRID,
        "uplift_x": uplift.X_GRID,
        "survival": survival.GRID,
    }
)
"""What each is tuned by; those of `volume` come out of its own pilot, `volume.best_volumes`."""


def needs_pilot(settings: Baseline) -> bool:
    """Return whether a baseline is a model that a pilot teaches."""
    return bool(getattr(settings, "needs_pilot", False))


def baseline_agent(settings: Baseline, problem: Problem, log: Pilot | None = None) -> DocumentAgent:
    """Return the agent of a baseline's settings.

    Args:
        log: of the same problem; needed by those that learn from a pilot.

    Raises:
        ValueError: it learns from a pilot, and there is none; or the problem is not the vocabulary's.
    """
    if not problem.n_slots:
        raise ValueError(
            f"baseline {settings.kind!r}: expected the feature vocabulary as it stands, got a problem of "
            f"{problem.n_features} other features"
        )
    if needs_pilot(settings):
        if log is None:
            raise ValueError(f"baseline {settings.kind!r}: expected a pilot that teaches it, got none")
        return DocumentAgent(settings.document(log), problem)
    is_random = isinstance(settings, simplest.RandomChoice)
    return DocumentAgent(settings.document(problem.n_slots), problem, is_chance_the_policy=is_random)
