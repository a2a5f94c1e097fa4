"""The Open Bandit data set: probabilities by which its policies choose an item in each place.

Saito, Aihara, Matsutani & Narita, "Open Bandit Dataset and Pipeline" (2020, arXiv 2008.07146). The mapping
`open-bandit` reads its logs; a policy's probabilities, by item and place, are a table with one row an item and the
columns pos1, pos2 and pos3.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, LoggedRounds
from simulator.config import did_you_mean

PLACES = ("1", "2", "3")


def by_place(rounds: LoggedRounds, table: pl.DataFrame) -> Floats:
    """Return the probability of each item in the place that a round is about, shape (N, A).

    Args:
        rounds: read by the mapping `open-bandit`, with the segment `position`.
        table: `item_id`, `pos1`, `pos2`, `pos3`; each place's column sums to 1.

    Raises:
        LogError: a column is missing, or the items are not those of the log.
    """
    wanted = ("item_id", *(f"pos{place}" for place in PLACES))
    missing = [
        f"no column {name!r}.{did_you_mean(name, table.columns)}" for name in wanted if name not in table.columns
    ]
    if missing:
        raise LogError(missing)
    items = table["item_id"].cast(pl.String).to_list()
    if sorted(items) != sorted(rounds.action_names):
        unknown = sorted(set(rounds.action_names) ^ set(items))
        raise LogError([f"item_id: expected the items of the log, got other ones: {', '.join(unknown[:5])}"])
    order = [items.index(name) for name in rounds.action_names]
    of_place = np.stack([table[f"pos{place}"].to_numpy()[order] for place in PLACES])
    places = None if rounds.segments is None else rounds.segments.get("position")
    if places is None:
        raise LogError(["segments: expected 'position', which the mapping open-bandit reads"])
    found: Floats = of_place[[PLACES.index(str(place)) for place in places]]
    found /= found.sum(axis=1, keepdims=True)
    return found
