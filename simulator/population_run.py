"""A population on its way: its users, its books, what it shares, and how far it has come.

Both engines carry exactly this, which is what makes them comparable, and what a stopped run is resumed from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np

from simulator.compiled import threads
from simulator.config import Scenario
from simulator.law import build_world
from simulator.population import blank_tally, first_history, population
from simulator.records import EVENT, HOURS_A_WEEK, N_METRICS, Books, World
from simulator.settlement import Shared

USERS_WORTH_A_THREAD = 4096


class PopulationRun:
    """Some or all users of a scenario, and all that has happened to them.

    Attributes:
        users, history, tally: records of shape (U,).
        books: integer accumulators, one set a worker (leading axis); `totals` sums them.
        shared: budgets and gateway.
        hour: every user has been brought to the start of this hour.
    """

    def __init__(
        self,
        scenario: Scenario,
        first_user: int = 0,
        n_users: int | None = None,
        *,
        journal_rows: int = 0,
        world: World | None = None,
    ) -> None:
        self.scenario = scenario
        self.world = build_world(scenario) if world is None else world
        self.users = population(scenario, self.world, first_user, n_users)
        self.history = first_history(self.users, self.world)
        self.tally = blank_tally(self.users)
        self.books = blank_books(scenario, self._n_workers(), journal_rows)
        self.shared = Shared(scenario)
        self.hour = 0

    def totals(self) -> Books:
        """Return the books summed over workers; the sum does not depend on how the work was split."""
        b = self.books
        journal = np.concatenate([rows[:used] for rows, used in zip(b.journal, b.journal_used[:, 0], strict=True)])
        return Books(
            b.by_day.sum(axis=0),
            b.by_hour.sum(axis=0),
            b.by_campaign.sum(axis=0),
            b.by_age.sum(axis=0),
            journal,
            b.journal_used.sum(axis=0),
        )

    def save(self, path: Path) -> None:
        """Write all state to one file, which appears whole or not at all."""
        temporary = path.with_suffix(".partial")
        with temporary.open("wb") as file:
            save: Any = np.savez
            save(
                file,
                users=self.users,
                history=self.history,
                tally=self.tally,
                hour=np.int64(self.hour),
                scenario=np.frombuffer(self.scenario.model_dump_json().encode(), np.uint8),
                **{f"books_{k}": v for k, v in self.totals()._asdict().items() if not k.startswith("journal")},
                **{f"shared_{k}": v for k, v in self.shared.state().items()},
            )
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, scenario: Scenario) -> Self:
        """Return the run saved in a file; either engine may go on with what the other began.

        Raises:
            ValueError: the file was written under another scenario.
        """
        with np.load(path) as saved:
            written = json.loads(bytes(saved["scenario"]).decode())
            now = json.loads(scenario.model_dump_json())
            if written != now:
                differing = sorted(key for key in now if written.get(key) != now[key])
                raise ValueError(f"{path}: saved under another scenario; these parts differ: {', '.join(differing)}")
            run = cls(scenario, n_users=0)
            run.users, run.history, run.tally = saved["users"], saved["history"], saved["tally"]
            run.hour = int(saved["hour"])
            for name, array in run.books._asdict().items():
                if not name.startswith("journal"):
                    array[0] = saved[f"books_{name}"]
            run.shared.restore({name: saved[f"shared_{name}"] for name in run.shared.state()})
        return run

    def hours_until(self, until_day: float | None) -> int:
        """Return the hour at which a day ends, None for the horizon.

        Raises:
            ValueError: not a whole hour between now and the horizon.
        """
        horizon = self.scenario.calendar.horizon_days
        hours = (horizon if until_day is None else until_day) * 24
        until = round(hours)
        if abs(hours - until) > 1e-9 or not self.hour <= until <= horizon * 24:
            raise ValueError(
                f"until_day: expected whole hours from day {self.hour / 24:g} (now) to day {horizon} (the horizon), "
                f"got {until_day}"
            )
        return until

    def _n_workers(self) -> int:
        """Return among how many threads the users are split: waking a second one pays above some thousands."""
        return threads() if len(self.users) >= USERS_WORTH_A_THREAD else 1


def blank_books(scenario: Scenario, n_workers: int, journal_rows: int = 0) -> Books:
    """Return empty books, one set a worker (the leading axis)."""
    days = scenario.calendar.horizon_days
    return Books(
        by_day=np.zeros((n_workers, days, len(scenario.population.segments), N_METRICS), np.int64),
        by_hour=np.zeros((n_workers, HOURS_A_WEEK, N_METRICS), np.int64),
        by_campaign=np.zeros((n_workers, len(scenario.campaigns) + 1, 4, N_METRICS), np.int64),
        by_age=np.zeros((n_workers, 2, days + 1), np.int64),
        journal=np.zeros((n_workers, journal_rows), EVENT),
        journal_used=np.zeros((n_workers, 1), np.int64),
    )
