"""The fleet engine: the law over records of users, in parallel.

Users who share nothing are run one after another, each through all its hours (fused: the record stays in cache).
Where they share a budget or a gateway, or a policy outside decides, all users go hour by hour (lock step). Both run
`life.next_event`, `life.apply` and `life.dispatch`, so both give the same users to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled, compiled_parallel, each, inlined, threads
from simulator.config import Scenario
from simulator.law import build_world
from simulator.life import (
    CENSUS,
    KNOWN_LEFT,
    LEFT,
    PRESENT,
    QUIET,
    SLOT,
    apply,
    dispatch,
    next_event,
    refuse,
)
from simulator.population import blank_history, blank_tally, population
from simulator.records import EVENT, HOURS_A_WEEK, N_METRICS, Books, Event, Ints, Records, World
from simulator.senders import Sender, choose, is_due
from simulator.settlement import NO_WISH, REFUSED_HOURS, Shared

DECISION = int(Event.DECISION)
SILENT = Sender().record()


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


class Fleet:
    """Some or all users of a scenario, and how far they have come.

    Attributes:
        users, history, tally: records of shape (U,).
        books: integer accumulators, one set a worker; `totals` sums them.
        shared: budgets and gateway.
        hour: all users have been brought to the start of this hour.
    """

    def __init__(
        self, scenario: Scenario, first_user: int = 0, n_users: int | None = None, journal_rows: int = 0
    ) -> None:
        self.scenario = scenario
        self.world: World = build_world(scenario)
        self.users = population(scenario, self.world, first_user, n_users)
        self.history = blank_history(len(self.users))
        self.tally = blank_tally(self.users)
        self.books = blank_books(scenario, threads(), journal_rows)
        self.shared = Shared(scenario)
        self.hour = 0

    def run(self, sender: Sender, until_day: float | None = None, on_day: Callable[[int], None] | None = None) -> None:
        """Bring all users to a day (default: the horizon) under a sender.

        Args:
            until_day: a whole number of hours.
            on_day: called with the number of days done, for progress and interruption.
        """
        run_together([self], sender, until_day, on_day)

    def wishes(self, rule: Records) -> npt.NDArray[np.int32]:
        """Begin the present hour for all users and return what the sender wishes for each, NO_WISH for silence."""
        wishes = np.empty(len(self.users), np.int32)
        _wish_blocks(self.users, self.history, self.tally, self.world, rule, *self._split(), self.hour, wishes)
        return wishes

    def step(
        self, wishes: npt.NDArray[np.int32], queue_hours: npt.NDArray[np.float64], rule: Records, n_hours: int = 1
    ) -> npt.NDArray[np.int32]:
        """Carry out one decision for each user, live through `n_hours`, and return the sender's next wishes.

        Args:
            wishes: campaign * 4 + channel, or NO_WISH; shape (U,).
            queue_hours: time in the gateway, or REFUSED_HOURS; shape (U,).
        """
        after = np.empty(len(self.users), np.int32)
        _step_blocks(
            self.users,
            self.history,
            self.tally,
            self.world,
            rule,
            *self._split(),
            self.hour,
            self.hour + n_hours,
            self.scenario.calendar.horizon_days * 24,
            wishes,
            queue_hours,
            SILENT,
            after,
        )
        self.hour += n_hours
        return after

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
            np.savez(
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
    def load(cls, path: Path, scenario: Scenario) -> Fleet:
        """Return the fleet saved in a file.

        Raises:
            ValueError: the file was written under another scenario.
        """
        with np.load(path) as saved:
            written = json.loads(bytes(saved["scenario"]).decode())
            now = json.loads(scenario.model_dump_json())
            if written != now:
                differing = sorted(key for key in now if written.get(key) != now[key])
                raise ValueError(f"{path}: saved under another scenario; these parts differ: {', '.join(differing)}")
            fleet = cls.__new__(cls)
            fleet.scenario = scenario
            fleet.world = build_world(scenario)
            fleet.users, fleet.history, fleet.tally = saved["users"], saved["history"], saved["tally"]
            fleet.hour = int(saved["hour"])
            fleet.books = blank_books(scenario, threads())
            for name, array in fleet.books._asdict().items():
                if not name.startswith("journal"):
                    array[0] = saved[f"books_{name}"]
            fleet.shared = Shared(scenario)
            fleet.shared.restore({name: saved[f"shared_{name}"] for name in fleet.shared.state()})
        return fleet

    def _split(self) -> tuple[Any, ...]:
        """Return the books' arrays and the bounds of each worker's users."""
        bounds = np.linspace(0, len(self.users), self.books.by_day.shape[0] + 1).astype(np.int64)
        return (*self.books, bounds)

    def _run_fused(self, rule: Records, until_hour: int) -> None:
        _run_blocks(self.users, self.history, self.tally, self.world, rule, *self._split(), float(until_hour))
        self.hour = until_hour


def run_together(
    fleets: Sequence[Fleet],
    sender: Sender,
    until_day: float | None = None,
    on_day: Callable[[int], None] | None = None,
) -> None:
    """Bring shards of one population to a day under a sender; what they share is settled over all of them."""
    first = fleets[0]
    hours = (first.scenario.calendar.horizon_days if until_day is None else until_day) * 24
    until = round(hours)
    if abs(hours - until) > 1e-9 or not first.hour <= until <= first.scenario.calendar.horizon_days * 24:
        raise ValueError(
            f"until_day: expected whole hours from day {first.hour / 24:g} (now) to day "
            f"{first.scenario.calendar.horizon_days} (the horizon), got {until_day}"
        )
    rule = sender.record()
    if not first.shared.is_needed:
        # Only to report progress are users stopped on the way: a stop changes nothing.
        for day_end in _stops(first.hour, until, 24 * 7 if on_day else until):
            for fleet in fleets:
                fleet._run_fused(rule, day_end)
            if on_day:
                on_day(day_end // 24)
        return
    shared = first.shared
    wishes = [fleet.wishes(rule) for fleet in fleets]
    for hour in range(first.hour, until):
        verdicts = settle_wishes(fleets, wishes, shared, hour)
        wishes = [fleet.step(w, v, rule) for fleet, w, v in zip(fleets, wishes, verdicts, strict=True)]
        if on_day and (hour + 1) % 24 == 0:
            on_day((hour + 1) // 24)
    for fleet in fleets[1:]:
        fleet.shared.restore(shared.state())


def settle_wishes(
    fleets: Sequence[Fleet], wishes: Sequence[npt.NDArray[np.int32]], shared: Shared, hour: int
) -> list[npt.NDArray[np.float64]]:
    """Return, for each shard, the queueing hours of each user's wish or REFUSED_HOURS; silence gets 0."""
    verdicts = [np.zeros(len(w)) for w in wishes]
    chosen = [np.flatnonzero(w != NO_WISH) for w in wishes]
    if sum(map(len, chosen)):
        keys = np.concatenate([fleet.users["key"][rows] for fleet, rows in zip(fleets, chosen, strict=True)])
        asked = np.concatenate([w[rows] for w, rows in zip(wishes, chosen, strict=True)])
        world = fleets[0].world
        answers = shared.settle(keys, asked, hour, world.law, world.campaigns)
        parts = np.split(answers, np.cumsum([len(rows) for rows in chosen])[:-1])
        for verdict, rows, part in zip(verdicts, chosen, parts, strict=True):
            verdict[rows] = part
    return verdicts


def _stops(start: int, until: int, every: int) -> list[int]:
    return [*range(start + every, until, every), until]


@compiled
def is_gone(user, hour):  # type: ignore[no-untyped-def]
    """Return whether the sender knows by the start of an hour that the user has left."""
    if user.status == LEFT and hour >= user.next_drift_hours:
        user.status = KNOWN_LEFT
    return user.status == KNOWN_LEFT


@inlined
def begin_hour(user, history, world, rule, hour, local):  # type: ignore[no-untyped-def]
    """Work off the start of an hour, once: the census of a new day comes first, then the sender's decision."""
    if hour % 24 == 0 and user.status == PRESENT and user.census_day != hour // 24:
        user.census_day = hour // 24
        return CENSUS
    user.hour_begun = hour
    if hour % world.law[0].epoch_hours == 0 and is_due(user, history, rule, local):
        wish = choose(user, history, world, rule, hour)
        if wish >= 0:
            return DECISION + SLOT * wish
    return QUIET


@compiled
def advance(user, history, world, rule, until):  # type: ignore[no-untyped-def]
    """Bring a user to its next event, census or decision, however many quiet hours away, or to `until`.

    Returns:
        An event's code (kind + SLOT * slot), CENSUS, DECISION + SLOT * wish, or QUIET: `until` is reached.
    """
    law = world.law[0]
    while user.now_hours < until:
        hour = int(user.now_hours)
        if user.status != PRESENT and is_gone(user, hour):
            user.now_hours = until
            return QUIET
        local = world.local_hours[user.zone, hour]
        if user.hour_begun != hour:
            code = begin_hour(user, history, world, rule, hour, local)
            if code != QUIET:
                return code
        if user.status != PRESENT:
            user.now_hours = hour + 1.0
            continue
        week_hour = local % HOURS_A_WEEK
        organic = world.organic[user.table_row, week_hour]
        attention = world.attention[user.table_row, week_hour]
        code = next_event(user, law, hour, organic, world.days[local // 24, 0], attention)
        if code != QUIET:
            return code
    return QUIET


@inlined
def live(user, history, tally, world, rule, books, until):  # type: ignore[no-untyped-def]
    """Live through all events until `until`; sends are granted at once."""
    while True:
        code = advance(user, history, world, rule, until)
        if code == QUIET:
            return
        if code % SLOT == DECISION:
            wish = code // SLOT
            dispatch(user, world, books, tally, history, int(user.now_hours), wish // 4, wish % 4, 0.0)
        else:
            apply(user, world, books, tally, code)


@compiled_parallel
def _run_blocks(  # type: ignore[no-untyped-def]
    users, history, tally, world, rule, by_day, by_hour, by_campaign, by_age, journal, used, bounds, until
):
    for w in each(bounds.shape[0] - 1):
        books = Books(by_day[w], by_hour[w], by_campaign[w], by_age[w], journal[w], used[w])
        for i in range(bounds[w], bounds[w + 1]):
            live(users[i], history[i], tally[i], world, rule[0], books, until)


@compiled_parallel
def _wish_blocks(  # type: ignore[no-untyped-def]
    users, history, tally, world, rule, by_day, by_hour, by_campaign, by_age, journal, used, bounds, hour, wishes
):
    for w in each(bounds.shape[0] - 1):
        books = Books(by_day[w], by_hour[w], by_campaign[w], by_age[w], journal[w], used[w])
        for i in range(bounds[w], bounds[w + 1]):
            wishes[i] = wish_at(users[i], history[i], tally[i], world, rule[0], books, hour)


@inlined
def wish_at(user, history, tally, world, rule, books, hour):  # type: ignore[no-untyped-def]
    """Begin an hour for a user who stands at its start, and return what the sender wishes."""
    while user.now_hours == hour and user.hour_begun != hour:
        if user.status != PRESENT and is_gone(user, hour):
            return NO_WISH
        code = begin_hour(user, history, world, rule, hour, world.local_hours[user.zone, hour])
        if code == CENSUS:
            apply(user, world, books, tally, code)
        elif code != QUIET:
            return code // SLOT
    return NO_WISH


@compiled_parallel
def _step_blocks(  # type: ignore[no-untyped-def]
    users,
    history,
    tally,
    world,
    rule,
    by_day,
    by_hour,
    by_campaign,
    by_age,
    journal,
    used,
    bounds,
    hour,
    until,
    horizon,
    wishes,
    queue_hours,
    silent,
    after,
):
    for w in each(bounds.shape[0] - 1):
        books = Books(by_day[w], by_hour[w], by_campaign[w], by_age[w], journal[w], used[w])
        for i in range(bounds[w], bounds[w + 1]):
            user = users[i]
            if wishes[i] >= 0:
                campaign, channel = wishes[i] // 4, wishes[i] % 4
                if queue_hours[i] == REFUSED_HOURS:
                    refuse(user, world, books, tally[i], hour, campaign, channel)
                else:
                    dispatch(user, world, books, tally[i], history[i], hour, campaign, channel, queue_hours[i])
            live(user, history[i], tally[i], world, silent[0], books, float(until))
            after[i] = NO_WISH
            if until < horizon:
                after[i] = wish_at(user, history[i], tally[i], world, rule[0], books, until)
