"""One population in shards, on processes of this machine or as tasks of a Ray cluster: the same to the last bit.

Luck is keyed by user, and books are integers, so it does not matter who runs whom. Users who share a budget or the
gateway are settled together hour by hour, and can only be run together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.sweep.local import one_thread_processes
from simulator.config import Scenario
from simulator.records import Books, Records
from simulator.senders import Sender


class Shard(NamedTuple):
    """Which users are run: those from the first on."""

    scenario: str
    sender: Sender
    first_user: int
    n_users: int


class Lived(NamedTuple):
    """What became of a shard's users: records of shape (U,), and their books."""

    users: Records
    tally: Records
    books: Books
    hour: int


@dataclass
class Joined:
    """All shards, as what `simulator.measures.measure` reads."""

    scenario: Scenario
    users: Records
    tally: Records
    books: Books
    hour: int

    def totals(self) -> Books:
        """Return the books of all."""
        return self.books


Run = Callable[[Sequence[Shard]], Iterable[Lived]]


def lived(shard: Shard) -> Lived:
    """Bring a shard's users to the horizon."""
    from simulator.fleet import Fleet

    fleet = Fleet(Scenario.model_validate_json(shard.scenario), shard.first_user, shard.n_users)
    fleet.run(shard.sender)
    return Lived(fleet.users, fleet.tally, fleet.totals(), fleet.hour)


def in_processes(shards: Sequence[Shard]) -> Iterator[Lived]:
    """Run each shard in a process of its own, on one thread."""
    with one_thread_processes(len(shards)) as pool:
        yield from pool.map(lived, shards)


def on_ray(shards: Sequence[Shard], address: str) -> Iterator[Lived]:
    """Run each shard as a task of a Ray cluster; `local` starts one."""
    from experiments.sweep.ray_engine import mapped_on_ray

    yield from mapped_on_ray(lived, shards, address)


def simulate_shards(
    scenario: Scenario,
    sender: Sender,
    n_shards: int,
    run: Run = in_processes,
    on_shard: Callable[[int], None] = lambda done: None,
) -> Joined:
    """Return a population brought to its horizon in shards.

    Args:
        n_shards: of about as many users each.
        run: brings shards there, and yields them in their order.
        on_shard: told how many are done.

    Raises:
        ValueError: fewer users than shards; users who share a budget or the gateway.
    """
    from simulator.settlement import Shared

    total = scenario.population.n_users
    if not 1 <= n_shards <= total:
        raise ValueError(f"shards: expected 1 to {total:,}, the number of users, got {n_shards:,}")
    if Shared(scenario).is_needed_by(sender):
        paid = [f"campaigns.{k}.budget_eur" for k, one in enumerate(scenario.campaigns) if one.budget_eur is not None]
        raise ValueError(
            "shards: these users share a budget or the gateway and can only be run together: leave --shards out, or "
            f"take away what they share ({', '.join(f'--set {path}=null' for path in paid) or 'the gateway'})"
        )
    bounds = np.linspace(0, total, n_shards + 1).astype(np.int64).tolist()
    told = scenario.model_dump_json()
    shards = [Shard(told, sender, first, end - first) for first, end in pairwise(bounds)]
    parts = []
    for part in run(shards):
        parts.append(part)
        on_shard(len(parts))
    books = Books(
        by_day=sum_of(parts, "by_day"),
        by_hour=sum_of(parts, "by_hour"),
        by_campaign=sum_of(parts, "by_campaign"),
        by_age=sum_of(parts, "by_age"),
        journal=np.concatenate([part.books.journal for part in parts]),
        journal_used=sum_of(parts, "journal_used"),
    )
    users, tally = (np.concatenate([getattr(part, name) for part in parts]) for name in ("users", "tally"))
    return Joined(scenario, users, tally, books, parts[0].hour)


def sum_of(parts: Sequence[Lived], name: str) -> npt.NDArray[np.int64]:
    """Return a book of all shards."""
    found: npt.NDArray[np.int64] = np.sum([getattr(part.books, name) for part in parts], axis=0)
    return found
