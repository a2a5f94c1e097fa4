"""All estimators of an episode's value by name: to add one is a function and a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from experiments.offline.estimators.catalogue import row_of
from experiments.offline.estimators.marginalised import marginalised_is
from experiments.offline.estimators.sequential import (
    direct_method,
    per_decision_is,
    sequential_dr,
    trajectory_is,
    weighted_dr,
    weighted_per_decision_is,
    weighted_trajectory_is,
)
from experiments.offline.estimators.terms import Terms

Weights = Literal["episode", "step", "state", "none"]


@dataclass(frozen=True)
class SequentialEstimator:
    """A row of the catalogue.

    Attributes:
        title: in tables.
        of: the function of weighed trajectories; of one by states, with each row's state as second argument.
        weights: by what it weighs: a product of ratios over the whole episode, over the steps so far, the frequency of
            states, or nothing.
        needs_q: whether it asks for Q values.
    """

    title: str
    of: Callable[..., Terms]
    weights: Weights
    needs_q: bool = False


SEQUENTIAL: Mapping[str, SequentialEstimator] = MappingProxyType(
    {
        "trajectory_is": SequentialEstimator("trajectory-wise IS", trajectory_is, "episode"),
        "weighted_trajectory_is": SequentialEstimator("weighted trajectory IS", weighted_trajectory_is, "episode"),
        "per_decision_is": SequentialEstimator("per-decision IS", per_decision_is, "step"),
        "weighted_per_decision_is": SequentialEstimator("weighted per-decision IS", weighted_per_decision_is, "step"),
        "sequential_dr": SequentialEstimator("sequential DR", sequential_dr, "step", needs_q=True),
        "weighted_dr": SequentialEstimator("weighted DR", weighted_dr, "step", needs_q=True),
        "marginalised_is": SequentialEstimator(
            # With ratios divided by their means: over hundreds of steps their product would drift.
            "state-marginalised IS",
            partial(marginalised_is, is_normalised=True),
            "state",
        ),
        "fqe": SequentialEstimator("fitted Q evaluation", direct_method, "none", needs_q=True),
    }
)


def sequential_estimator(name: str) -> SequentialEstimator:
    """Return a row.

    Raises:
        ValueError: there is no such estimator; the message has the nearest.
    """
    return row_of(name, SEQUENTIAL)
