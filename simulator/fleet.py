"""The fleet engine: the law over records of users, in parallel.

Users who share nothing are run one after another, each through all its hours (fused: the record stays in cache).
Where they share a budget or a gateway, or a policy outside decides, all users go hour by hour (lock step). Both run
`passing_time.advance`, `life.apply` and `life.dispatch`, so both give the same users to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled, compiled_parallel, each, inlined, on_threads
from simulator.config import Scenario
from simulator.law import build_world
from simulator.life import CENSUS, apply, dispatch, refuse
from simulator.passing_time import DECISION, KNOWN_LEFT, PRESENT, QUIET, SLOT, advance, begin_hour, coast, is_gone
from simulator.population_run import PopulationRun
from simulator.records import Books, Floats, Ints, Record, Records, Wishes, World
from simulator.senders import Sender
from simulator.settlement import NO_WISH, REFUSED_HOURS, Shared

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
        """Begin the present hour for all users and return what the sender wishes for each, NO_WISH for silence.

        Raises:
            ValueError: the horizon is reached.
        """
        if self.hour >= self.scenario.calendar.horizon_days * 24:
            raise ValueError(f"hour {self.hour} is the horizon: nothing is decided any more")
        wishes = np.empty(len(self.users), np.int32)
        with on_threads(len(self.books.by_day)):
            _wish_blocks(
                self.users, self.history, self.tally, self.world, rule, self.books, self.bounds(), self.hour, wishes
            )
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
            wishes: campaign * 4 + channel, or NO_WISH; shape (U,). A wish for a user who is not there yet, or who is
                known to have left, is left undone.
            queue_hours: time in the gateway, or REFUSED_HOURS; shape (U,).
            n_hours: 0 only sends.
            is_last: the run stops here: the next hour is not begun, and nobody is asked for a wish.
        """
        horizon = self.scenario.calendar.horizon_days * 24
        if not 0 <= n_hours <= horizon - self.hour or self.hour == horizon:
            raise ValueError(
                f"n_hours: expected 0 to {horizon - self.hour} before the horizon (hour {horizon}; now is hour "
                f"{self.hour}), got {n_hours}"
            )
        after = np.empty(len(self.users), np.int32)
        with on_threads(len(self.books.by_day)):
            _step_blocks(
                self.users,
                self.history,
                self.tally,
                self.world,
                rule,
                self.books,
                self.bounds(),
                self.hour,
                self.hour + n_hours,
                not is_last and self.hour + n_hours < horizon,
                wishes,
                queue_hours,
                SILENT,
                after,
            )
        self.hour += n_hours
        return after

    def bounds(self) -> Ints:
        """Return where each worker's users begin and end, shape (workers + 1,)."""
        return np.linspace(0, len(self.users), len(self.books.by_day) + 1).astype(np.int64)

    def _run_fused(self, rule: Records, until_hour: int) -> None:
        with on_threads(len(self.books.by_day)):
            _run_blocks(
                self.users, self.history, self.tally, self.world, rule, self.books, self.bounds(), float(until_hour)
            )
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
        wishes = [
            fleet.step(w, v, rule, is_last=hour + 1 == until)
            for fleet, w, v in zip(fleets, wishes, verdicts, strict=True)
        ]
        if on_day and (hour + 1) % 24 == 0:
            on_day((hour + 1) // 24)
    for fleet in fleets[1:]:
        fleet.shared.restore(shared.state())


def run_in_chunks(
    scenario: Scenario,
    sender: Sender,
    chunk: int = 65_536,
    on_chunk: Callable[[int], None] | None = None,
) -> Iterator[Fleet]:
    """Run a population of any size, one chunk of users after another, and yield each chunk when it is through.

    Memory stays that of one chunk. The users are the same as in one run; whoever needs the whole keeps the tallies
    and adds up the books.

    Args:
        on_chunk: called with the number of users done.

    Raises:
        ValueError: the users share a budget or the gateway, so that no part of them can be run alone.
    """
    world = build_world(scenario)
    total = scenario.population.n_users
    for first in range(0, total, chunk):
        fleet = Fleet(scenario, first, min(chunk, total - first), world=world)
        if fleet.shared.is_needed_by(sender):
            raise ValueError(
                "these users share a budget or the gateway and can only be run together: use Fleet(scenario).run(...), "
                "or leave campaigns with a budget out of what the policy serves"
            )
        fleet.run(sender)
        if on_chunk:
            on_chunk(first + len(fleet.users))
        yield fleet


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


@inlined
def live(user: Record, history: Record, tally: Record, world: World, rule: Record, books: Books, until: float) -> None:
    """Live through all events until `until`; sends are granted at once."""
    while True:
        code = advance(user, history, world, rule, until)
        if code == QUIET:
            return
        if code % SLOT == DECISION:
            wish = code // SLOT
            dispatch(user, world, books, tally, history, int(user.now_hours), wish // 4, wish % 4, 0.0)
        else:
            apply(user, history, world, books, tally, code)


@inlined
def page_of(books: Books, worker: int) -> Books:
    """Return one worker's books."""
    return Books(
        books.by_day[worker],
        books.by_hour[worker],
        books.by_campaign[worker],
        books.by_age[worker],
        books.journal[worker],
        books.journal_used[worker],
    )


@compiled_parallel
def _run_blocks(
    users: Records,
    history: Records,
    tally: Records,
    world: World,
    rule: Records,
    books: Books,
    bounds: Ints,
    until: float,
) -> None:
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for i in range(bounds[w], bounds[w + 1]):
            live(users[i], history[i], tally[i], world, rule[0], own, until)


@compiled_parallel
def _wish_blocks(
    users: Records,
    history: Records,
    tally: Records,
    world: World,
    rule: Records,
    books: Books,
    bounds: Ints,
    hour: int,
    wishes: Wishes,
) -> None:
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for i in range(bounds[w], bounds[w + 1]):
            wishes[i] = wish_at(users[i], history[i], tally[i], world, rule[0], own, hour)


@compiled
def live_on(
    user: Record, history: Record, tally: Record, world: World, rule: Record, books: Books, until: float
) -> None:
    """Do as `live`, called rather than copied: for loops in which it is the exception."""
    live(user, history, tally, world, rule, books, until)


@inlined
def live_quietly(
    user: Record, history: Record, tally: Record, world: World, silent: Record, books: Books, until: float
) -> None:
    """Live in silence until `until`. Most users have one quiet hour before them, and never leave these few lines."""
    hour = int(user.now_hours)
    is_begun = user.now_hours == hour < until and user.hour_begun == hour
    if is_begun and user.status == PRESENT and user.next_scheduled_hours >= hour + 1:
        coast(user, history, world.law[0], silent, hour, hour + 1, world.local_hours[user.zone, hour])
    if user.now_hours < until:
        live(user, history, tally, world, silent, books, until)


@compiled
def carry_out(
    user: Record,
    world: World,
    books: Books,
    tally: Record,
    history: Record,
    hour: int,
    wish: int,
    queue_hours: float,
) -> None:
    """Send, or book the refusal of, one wish."""
    if queue_hours == REFUSED_HOURS:
        refuse(user, world, books, tally, hour, wish // 4, wish % 4)
    else:
        dispatch(user, world, books, tally, history, hour, wish // 4, wish % 4, queue_hours)


@compiled
def wish_at(user: Record, history: Record, tally: Record, world: World, rule: Record, books: Books, hour: int) -> int:
    """Begin an hour for a user who stands at its start, and return what the sender wishes."""
    while user.now_hours == hour and user.hour_begun != hour:
        if user.status != PRESENT and is_gone(user, hour):
            return NO_WISH
        code = begin_hour(user, history, world, rule, hour, world.local_hours[user.zone, hour])
        if code == CENSUS:
            apply(user, history, world, books, tally, code)
        elif code != QUIET:
            return code // SLOT
    return NO_WISH


@compiled_parallel
def _step_blocks(
    users: Records,
    history: Records,
    tally: Records,
    world: World,
    rule: Records,
    books: Books,
    bounds: Ints,
    hour: int,
    until: int,
    begins_next: bool,
    wishes: Wishes,
    queue_hours: Floats,
    silent: Records,
    after: Wishes,
) -> None:
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for i in range(bounds[w], bounds[w + 1]):
            user = users[i]
            if wishes[i] >= 0 and user.now_hours == hour and user.status != KNOWN_LEFT:
                carry_out(user, world, own, tally[i], history[i], hour, wishes[i], queue_hours[i])
            live_quietly(user, history[i], tally[i], world, silent[0], own, float(until))
            after[i] = NO_WISH
            if begins_next and user.now_hours == until and user.status != KNOWN_LEFT:
                if until % 24 == 0 or user.status != PRESENT:
                    after[i] = wish_at(user, history[i], tally[i], world, rule[0], own, until)
                else:
                    code = begin_hour(user, history[i], world, rule[0], until, world.local_hours[user.zone, until])
                    if code != QUIET:
                        after[i] = code // SLOT
