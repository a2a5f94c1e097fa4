"""All estimators of a mean reward by name: to add one is a function and a row.

Some have a dial: how large a weight may be, or how far weights shrink. It is set as its authors do, by the smallest
estimate of the mean squared error: the variance of the terms over N, plus the square of an estimate of the bias, which
is what the changed weights leave out of the correction. (Su, Dimakopoulou, Krishnamurthy & Dudik, ICML 2020, section
5.2; Wang, Agarwal & Dudik, ICML 2017, section 4.3.)
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from experiments.offline.estimators.importance import clipped_ips, ips, snips
from experiments.offline.estimators.model_based import dm, dr, dr_optimistic_shrinkage, sndr, switch_dr
from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import Floats
from experiments.offline.weighed import Weighed

Row = TypeVar("Row")
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)  # of the weights, that a dial may be set to; and infinity


@dataclass(frozen=True)
class Estimator:
    """A row of the catalogue.

    Attributes:
        title: in tables.
        of: the function; of one with a dial, with the dial's setting as second argument.
        needs_model: whether it asks for a reward model.
        has_dial: whether it takes a setting.
        fit: how the model it asks for is fitted; see `reward_models.cross_fitted`.
        is_mean: whether it is a mean of terms that no dial was set by; a ratio is none.
        is_uncorrected: whether nothing makes up for what its model gets wrong.
    """

    title: str
    of: Callable[..., Terms]
    needs_model: bool = False
    has_dial: bool = False
    fit: str = "plain"
    is_mean: bool = False
    is_uncorrected: bool = False


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "ips": Estimator("IPS", ips, is_mean=True),
        "snips": Estimator("SNIPS", snips),
        "clipped_ips": Estimator("clipped IPS", clipped_ips, has_dial=True),
        "dm": Estimator("DM", dm, needs_model=True, is_mean=True, is_uncorrected=True),
        "dr": Estimator("DR", dr, needs_model=True, is_mean=True),
        "sndr": Estimator("SNDR", sndr, needs_model=True),
        "switch_dr": Estimator("Switch-DR", switch_dr, needs_model=True, has_dial=True),
        "dr_os": Estimator("DR, optimistic shrinkage", dr_optimistic_shrinkage, needs_model=True, has_dial=True),
        "mrdr": Estimator("MRDR", dr, needs_model=True, fit="mrdr", is_mean=True),
    }
)


def estimator(name: str) -> Estimator:
    """Return a row.

    Raises:
        ValueError: there is no such estimator; the message has the nearest.
    """
    return row_of(name, ESTIMATORS)


def row_of(name: str, rows: Mapping[str, Row]) -> Row:
    """Return a catalogue's row.

    Raises:
        ValueError: there is no such estimator; the message has the nearest.
    """
    if name not in rows:
        told = re.sub(r"[^a-z]+", "_", name.lower())  # tables show titles, such as Switch-DR
        near = difflib.get_close_matches(told, rows, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"estimator {name!r}: expected one of {', '.join(rows)}.{hint}")
    return rows[name]


def estimated(name: str, weighed: Weighed) -> tuple[Terms, float | None]:
    """Return an estimator's terms, and the setting of its dial; None for one without.

    Args:
        name: of `ESTIMATORS`.
        weighed: with the model that the estimator asks for.
    """
    row = estimator(name)
    if not row.has_dial:
        return row.of(weighed), None
    plain = row.of(weighed, math.inf)
    users = weighed.rounds.clusters
    best: tuple[float, float, Terms] | None = None
    for setting in (*_settings(weighed.weights, name == "dr_os"), math.inf):
        terms = row.of(weighed, setting)
        bias = terms.value - plain.value
        error = terms.standard_error(users) ** 2 + bias**2
        if best is None or error < best[0]:
            best = (error, setting, terms)
    assert best is not None
    return best[2], best[1]


def _settings(weights: Floats, is_squared: bool) -> tuple[float, ...]:
    found = np.unique(np.quantile(weights, QUANTILES))
    return tuple(float(value**2 if is_squared else value) for value in found if value > 0.0)
