"""The event engine: the same law on SimPy, one process a user, readable and traceable.

A user's process resumes at each of the user's events and sleeps until the next. What happens is the compiled law of
`life`: a generator that brings the user through any number of quiet hours, on the same hour grid as the fleet, and
yields the time of the next event just before it happens. Campaigns are processes that open, refresh and close; the
office is the process that settles, at the start of an hour, what users share: campaign budgets and the gateway.

Both engines give equal users, books and money, to the last bit (tests/simulator/test_parity.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import simpy
from simpy.events import Event as SimpyEvent
from simpy.events import Timeout

from simulator.compiled import compiled_generator
from simulator.config import Scenario, Scheduled
from simulator.life import CENSUS, apply, dispatch, refuse
from simulator.passing_time import DECISION, QUIET, SLOT, advance
from simulator.population_run import PopulationRun
from simulator.records import Books, Event, Floats, Reason, Records, Wishes, World
from simulator.senders import Sender
from simulator.settlement import NO_WISH, REFUSED_HOURS

TRACE_ROWS = 64  # more than one event can write
AFTER_ALL: Any = 2  # SimPy priority: after the users' own events of that instant
Trace = Callable[[dict[str, Any]], None]
CHANNEL_NAMES = ("push", "email", "in_app", "sms")


class EventEngine(PopulationRun):
    """The event engine's run: see `PopulationRun` for what it holds.

    Attributes:
        trace: called with each event as a dictionary: time_hours, user, event, campaign, channel, reason, amount_eur
            and, for what happens to a campaign or the gateway, no user.
        n_steps: SimPy events so far.
        longest_queue_hours: longest wait in the gateway so far.
    """

    def __init__(
        self, scenario: Scenario, first_user: int = 0, n_users: int | None = None, trace: Trace | None = None
    ) -> None:
        super().__init__(scenario, first_user, n_users, journal_rows=TRACE_ROWS if trace else 0)
        self.trace = trace
        self.n_steps = 0
        self.longest_queue_hours = 0.0

    def run(self, sender: Sender, until_day: float | None = None, on_day: Callable[[int], None] | None = None) -> None:
        """Bring all users to a day (default: the horizon) under a sender.

        Args:
            on_day: called with the number of days done.
        """
        until = self.hours_until(until_day)
        env = simpy.Environment(initial_time=float(self.hour))
        rule = sender.record()
        books = Books(*(array[0] for array in self.books))
        wishes = np.full(len(self.users), NO_WISH, np.int32)
        verdicts = np.zeros(len(self.users))
        office = Office(self, env, wishes, verdicts)
        is_sharing = self.shared.is_needed_by(sender)
        for i in range(len(self.users)):
            life = user_life(
                self.users, i, self.history, self.tally, self.world, rule, books, wishes, verdicts, float(until)
            )
            if is_sharing:
                env.process(self._sharing_user(env, life, i, wishes, office))
            elif self.trace:
                env.process(self._traced_user(env, life))
            else:
                env.process(self._user(env, life))
        if self.trace:
            for c in range(len(self.scenario.campaigns)):
                env.process(self._campaign(env, c, until))
            env.process(self._gateway(env, until))
        if on_day:
            for day_end in range(self.hour + 24 - self.hour % 24, until, 24):
                env.run(until=day_end)
                on_day(day_end // 24)
        env.run()
        self.n_steps += next(env._eid)  # how many SimPy has scheduled
        self.hour = until

    def _user(self, env: simpy.Environment, life: Iterator[float]) -> Generator[SimpyEvent, None, None]:
        """A user who shares nothing: sleep until the next event, let it happen, find the next."""
        for when in life:
            yield _at(env, when)

    def _traced_user(self, env: simpy.Environment, life: Iterator[float]) -> Generator[SimpyEvent, None, None]:
        for when in life:
            self._tell()
            yield _at(env, when)
        self._tell()

    def _sharing_user(
        self, env: simpy.Environment, life: Iterator[float], i: int, wishes: np.ndarray, office: Office
    ) -> Generator[SimpyEvent, None, None]:
        """A user whose sends draw on a budget or pass the gateway: each wish waits for the office's verdict."""
        for when in life:
            self._tell()
            yield _at(env, when)
            if wishes[i] != NO_WISH:
                yield office.ask(i)
        self._tell()

    def _campaign(self, env: simpy.Environment, index: int, until: int) -> Generator[SimpyEvent, None, None]:
        """A campaign's own life: it opens, gets fresh content, and closes. Eligibility itself is the law's."""
        campaign = self.scenario.campaigns[index]
        row = self.world.campaigns[index]
        if not isinstance(campaign, Scheduled):
            return
        start, end = int(row["start_hour"]), int(row["end_hour"])
        if env.now <= start < until:
            yield _at(env, float(start))
            self._say("opens", env.now, campaign.name)
        if row["repeat_hours"] > 0:
            fresh = start + row["repeat_hours"] * math.ceil(max(env.now - start, 1e-9) / row["repeat_hours"])
            while fresh < min(end, until):
                yield _at(env, float(fresh))
                self._say("fresh content", env.now, campaign.name)
                fresh += row["repeat_hours"]
        if env.now <= end < until:
            yield _at(env, float(end))
            self._say("closes", env.now, campaign.name)

    def _gateway(self, env: simpy.Environment, until: int) -> Generator[SimpyEvent, None, None]:
        """The gateway's outages; its queue is worked off by the office."""
        for start, end in self.shared.outages:
            for when, what in ((start, "gateway down"), (end, "gateway up")):
                if env.now <= when < until:
                    yield _at(env, float(when))
                    self._say(what, env.now)

    def _say(self, event: str, now: float, campaign: str | None = None) -> None:
        assert self.trace is not None
        self.trace({"time_hours": now, "user": None, "event": event, "campaign": campaign})

    def _tell(self) -> None:
        """Hand the journal's rows to the trace, and empty it."""
        if self.trace is None:
            return
        used = self.books.journal_used[0]
        if used[0] >= TRACE_ROWS:
            raise RuntimeError(f"one event wrote {used[0]} journal rows; room for {TRACE_ROWS}: some may be lost")
        for row in self.books.journal[0, : used[0]]:
            self.trace(told(row, self.scenario))
        used[0] = 0


class Office:
    """The process that settles, at the start of an hour, the wishes of all users for what they share.

    It waits until every user has spoken (a lower priority at the same instant), settles in keyed order, and lets all
    go on. The gateway is first come, first served, so a message's time in its queue is known when it joins it
    (Lindley's recursion); the user therefore need not be interrupted later.
    """

    def __init__(self, run: EventEngine, env: simpy.Environment, wishes: np.ndarray, verdicts: np.ndarray) -> None:
        self.run = run
        self.env = env
        self.wishes = wishes
        self.verdicts = verdicts
        self.waiting: list[tuple[int, SimpyEvent]] = []

    def ask(self, i: int) -> SimpyEvent:
        """Return the event that fires when user `i` has a verdict on its wish."""
        if not self.waiting:
            opening = SimpyEvent(self.env)
            opening.callbacks = [self._settle]
            opening._ok, opening._value = True, None
            self.env.schedule(opening, priority=AFTER_ALL)
        answer = SimpyEvent(self.env)
        self.waiting.append((i, answer))
        return answer

    def _settle(self, _: SimpyEvent) -> None:
        rows = np.asarray([row for row, _ in self.waiting])
        run = self.run
        answers = run.shared.settle(
            run.users["key"][rows], self.wishes[rows], round(self.env.now), run.world.law, run.world.campaigns
        )
        self.verdicts[rows] = answers
        run.longest_queue_hours = max(run.longest_queue_hours, float(answers.max()))
        waiting, self.waiting = self.waiting, []
        for _row, answer in waiting:
            answer.succeed()


def told(row: Any, scenario: Scenario) -> dict[str, Any]:
    """Return one journal row in words."""
    kind, campaign, reason = Event(int(row["kind"])), int(row["campaign"]), Reason(int(row["reason"]))
    has_channel = campaign >= 0 or kind in (Event.OPT_OUT, Event.OPT_IN)
    return {
        "time_hours": float(row["time_hours"]),
        "user": int(row["user_id"]),
        "event": kind.name.lower(),
        "campaign": scenario.campaigns[campaign].name if campaign >= 0 else None,
        "channel": CHANNEL_NAMES[row["channel"]] if has_channel else None,
        "reason": reason.name.lower() if reason else None,
        "amount_eur": int(row["amount_nano"]) / 1e9,
        "sent_hour": int(row["hour"]) if row["hour"] >= 0 else None,
    }


def _at(env: simpy.Environment, when: float) -> Timeout:
    """Return a timeout that fires at exactly `when`.

    SimPy knows delays only, and now + (when - now) may miss `when` by a rounding: then the start of an hour would not
    be one instant for all users.
    """
    now = env._now
    delay = when - now
    while now + delay < when:
        delay = math.nextafter(delay, math.inf)
    while now + delay > when and delay > 0.0:
        delay = math.nextafter(delay, 0.0)
    return Timeout(env, delay)


@compiled_generator
def user_life(
    users: Records,
    i: int,
    history: Records,
    tally: Records,
    world: World,
    rule: Records,
    books: Books,
    wishes: Wishes,
    verdicts: Floats,
    until: float,
) -> Iterator[float]:
    """Live one user's life until `until`, yielding the time of each event just before it happens.

    A decision to send leaves its wish in `wishes[i]` and finds the office's verdict in `verdicts[i]`. The census needs
    no time of its own: it sees this user alone.
    """
    while True:
        # A generator keeps a record that lives across a yield as a copy: take it anew from the array each time.
        code = advance(users[i], history[i], world, rule[0], until)
        if code == QUIET:
            return
        if code == CENSUS:
            apply(users[i], history[i], world, books, tally[i], code)
        elif code % SLOT == DECISION:
            wishes[i] = code // SLOT
            yield users[i].now_hours
            wish = wishes[i]
            wishes[i] = NO_WISH
            hour = int(users[i].now_hours)
            if verdicts[i] == REFUSED_HOURS:
                refuse(users[i], world, books, tally[i], hour, wish // 4, wish % 4)
            else:
                dispatch(users[i], world, books, tally[i], history[i], hour, wish // 4, wish % 4, verdicts[i])
        else:
            yield users[i].now_hours
            apply(users[i], history[i], world, books, tally[i], code)
