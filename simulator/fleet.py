"""The fleet engine: the law over records of users, in parallel.

Users who share nothing are run one after another, each through all its hours (fused: the record stays in cache).
Where they share a budget or a gateway, or a policy outside decides, all users go hour by hour (lock step). Both run
`life.next_event`, `life.apply` and `life.dispatch`, so both give the same users to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled, compiled_parallel, each, inlined, on_threads
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
from simulator.population_run import PopulationRun
from simulator.records import HOURS_A_WEEK, Books, Event, Records
from simulator.senders import Sender, choose, is_due
from simulator.settlement import NO_WISH, REFUSED_HOURS, Shared

DECISION = int(Event.DECISION)
SILENT = Sender().record()


class Fleet(PopulationRun):
    """The fleet engine's run: see `PopulationRun` for what it holds."""

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
        with on_threads(len(self.books.by_day)):
            _wish_blocks(self.users, self.history, self.tally, self.world, rule, *self._split(), self.hour, wishes)
        return wishes

    def step(
        self,
        wishes: npt.NDArray[np.int32],
        queue_hours: npt.NDArray[np.float64],
        rule: Records,
        n_hours: int = 1,
        *,
        is_last: bool = False,
    ) -> npt.NDArray[np.int32]:
        """Carry out one decision for each user, live through `n_hours`, and return the sender's next wishes.

        Args:
            wishes: campaign * 4 + channel, or NO_WISH; shape (U,).
            queue_hours: time in the gateway, or REFUSED_HOURS; shape (U,).
            is_last: the run stops here: the next hour is not begun, and nobody is asked for a wish.
        """
        after = np.empty(len(self.users), np.int32)
        with on_threads(len(self.books.by_day)):
            _step_blocks(
                self.users,
                self.history,
                self.tally,
                self.world,
                rule,
                *self._split(),
                self.hour,
                self.hour + n_hours,
                not is_last,
                wishes,
                queue_hours,
                SILENT,
                after,
            )
        self.hour += n_hours
        return after

    def _split(self) -> tuple[Any, ...]:
        """Return the books' arrays and the bounds of each worker's users."""
        bounds = np.linspace(0, len(self.users), self.books.by_day.shape[0] + 1).astype(np.int64)
        return (*self.books, bounds)

    def _run_fused(self, rule: Records, until_hour: int) -> None:
        with on_threads(len(self.books.by_day)):
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
    until = first.hours_until(until_day)
    rule = sender.record()
    if not first.shared.is_needed_by(sender):
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
        wishes = [fleet.step(w, v, rule, is_last=hour + 1 == until) for fleet, w, v in zip(fleets, wishes, verdicts, strict=True)]
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
    epoch = world.law[0].epoch_hours
    if (epoch == 1 or hour % epoch == 0) and is_due(user, history, rule, local):
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
    begins_next,
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
            if begins_next:
                after[i] = wish_at(user, history[i], tally[i], world, rule[0], books, until)
