"""Deciding: send, live on to the next decision, book the reward, let the next user sit down where an episode ended."""

from __future__ import annotations

from policies.constraints import Suppression
from simulator.compiled import compiled, compiled_parallel, each, inlined
from simulator.environments.looking import look, offer_reason
from simulator.environments.seats import (
    N_PARTS,
    NANO,
    NOTIFY,
    QUEUE,
    Outcome,
    Seats,
    Stock,
    View,
    sit_down,
)
from simulator.fleet import live_on, live_quietly, page_of, wish_at
from simulator.life import dispatch
from simulator.records import (
    Books,
    Ints,
    Kind,
    Metric,
    Record,
    Records,
    Status,
    Trigger,
    World,
)
from simulator.visible import (
    channel_suppression,
    is_quiet,
    opened_hour,
    standing,
)

PRESENT = int(Status.PRESENT)
SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)
ELIGIBLE = int(Suppression.ELIGIBLE)
LEFT = int(Suppression.LEFT)
OPENS = int(Metric.OPENS)
CLICKS = int(Metric.CLICKS)


@compiled
def hours_until_local(user: Record, moments: Records, hour: int, local_hour: int, end_hour: int) -> int:
    """Return in how many hours a local hour of the day comes, within 24, or -1: not on this day."""
    for k in range(24):
        if hour + k < end_hour and moments[user.zone, hour + k].local_minute // 60 == local_hour:
            return k
    return -1


@compiled
def has_news(before: tuple[int, int, int, int, int], user: Record, history: Record) -> bool:
    """Return whether something that a sender sees has happened to a user since `seen_state` was taken."""
    return before != seen_state(user, history)


@compiled
def seen_state(user: Record, history: Record) -> tuple[int, int, int, int, int]:
    """Return what changes whenever a sender sees something of a user: a session, an open, an order, a permission."""
    return (
        int(history.session_hour),
        history.n_opened[0] + history.n_opened[1],
        int(history.conversion_hour),
        int(user.seen_opted_in),
        max(user.browse_hour, user.order_hour),
    )


@inlined
def is_opening(user: Record, world: World, hour: int) -> bool:
    """Return whether a triggered campaign opens, or quiet hours end, at this very hour."""
    law = world.law[0]
    moment = world.moments[user.zone, hour]
    if is_quiet(law, world.moments[user.zone, hour - 1]) and not is_quiet(law, moment):
        return True
    for index in range(law.n_campaigns):
        campaign = world.campaigns[index]
        if campaign.kind != SCHEDULED and campaign.trigger != LOCATION:
            if opened_hour(user, campaign, moment, False) == hour:
                return True
    return False


@inlined
def decide(
    i: int,
    action: int,
    seats: Seats,
    stock: Stock,
    world: World,
    books: Books,
    settings: Record,
    view: View,
    outcome: Outcome,
) -> None:
    """Carry out one action at seat `i` and live on to the user's next decision."""
    user = seats.users[i]
    history = seats.history[i]
    tally = seats.tally[i]
    silent = stock.silent[0]
    start = int(user.now_hours)
    refusal = ELIGIBLE
    campaign, channel, send_hour = -1, 0, start
    if action > 0:
        if settings.mode == NOTIFY:
            campaign = view.slots[i, (action - 1) // 2]
            channel = (action - 1) % 2
        elif settings.mode == QUEUE:
            campaign = view.slots[i, action - 1]
            channel = view.channels[i, action - 1]
        else:
            width = 2 * settings.n_slots
            campaign = view.slots[i, (action - 1) % width // 2]
            channel = (action - 1) % 2
            wait = hours_until_local(user, world.moments, start, (action - 1) // width, settings.end_hour)
            send_hour = start + max(wait, 0)
        if view.masks[i, action] == 0:
            refusal = view.reasons[i, action]
            campaign = -1
    for k in range(N_PARTS):
        outcome.parts[i, k] = -tally.money[k]
    outcome.signals[i, 0] = -tally.expected_nano
    outcome.signals[i, 1] = -tally.counts[OPENS]
    outcome.signals[i, 2] = -tally.counts[CLICKS]
    seen = seen_state(user, history) if settings.by_event else (0, 0, 0, 0, 0)
    reward = 0.0
    weight = 1.0
    until = start
    while True:
        before = 0
        for k in range(N_PARTS):
            before += tally.money[k]
        until += settings.epoch_hours
        if campaign >= 0:
            if send_hour > start:
                live_on(user, history, tally, world, silent, books, float(send_hour))
                wish_at(user, history, tally, world, silent, books, send_hour)
                when = world.moments[user.zone, send_hour]
                row = world.campaigns[campaign]
                refusal = offer_reason(user, history, world.law[0], row, when, settings, -1, 0)
                if user.status != PRESENT:
                    refusal = LEFT
                if refusal == ELIGIBLE:
                    bits = standing(world.law[0], history, when)
                    refusal = channel_suppression(world.law[0], bits, user, row, channel)
            if refusal == ELIGIBLE:
                seats.last_sent[i, campaign] = send_hour
                dispatch(user, world, books, tally, history, send_hour, campaign, channel, 0.0)
            campaign = -1
        live_quietly(user, history, tally, world, silent, books, float(until))
        earned = -before
        for k in range(N_PARTS):
            earned += tally.money[k]
        reward += weight * (earned / NANO)
        if user.status != PRESENT or until >= settings.end_hour:
            break
        if until % 24 == 0:
            wish_at(user, history, tally, world, silent, books, until)
        else:
            user.hour_begun = until  # in silence, nothing else is done at the start of an hour
        if not settings.by_event or until - start >= settings.most_wait_hours:
            break
        if has_news(seen, user, history) or is_opening(user, world, until):
            break
        weight *= settings.keep_per_epoch
    for k in range(N_PARTS):
        outcome.parts[i, k] += tally.money[k]
    outcome.signals[i, 0] += tally.expected_nano
    outcome.signals[i, 1] += tally.counts[OPENS]
    outcome.signals[i, 2] += tally.counts[CLICKS]
    outcome.rewards[i] = reward
    outcome.elapsed_hours[i] = until - start
    outcome.refusals[i] = refusal
    outcome.terminated[i] = user.status != PRESENT
    outcome.truncated[i] = user.status == PRESENT and until >= settings.end_hour
    outcome.journal_ends[i] = books.journal_used[0]


@compiled
def is_over(user: Record, settings: Record) -> bool:
    """Return whether the episode of the user at a seat is over."""
    return user.status != PRESENT or user.now_hours >= settings.end_hour


@compiled
def rest(i: int, user: Record, outcome: Outcome, journal_used: int) -> None:
    """Let a seat rest whose episode is over: nothing happens, it stays over."""
    outcome.terminated[i] = user.status != PRESENT
    outcome.truncated[i] = user.status == PRESENT
    outcome.rewards[i] = 0.0
    outcome.elapsed_hours[i] = 0.0
    outcome.refusals[i] = ELIGIBLE
    outcome.journal_ends[i] = journal_used
    for k in range(N_PARTS):
        outcome.parts[i, k] = 0
    for k in range(outcome.signals.shape[1]):
        outcome.signals[i, k] = 0


@compiled
def make_way(i: int, seats: Seats, view: View, outcome: Outcome) -> None:
    """Keep what was last of an episode, observation, candidates and user, and count the user who leaves the seat.

    A function of its own, because in a parallel loop's own body Numba takes writes to the arrays of a tuple for dead
    code and drops them.
    """
    seats.episodes[i] += 1
    outcome.final_users[i] = seats.users[i]
    for k in range(view.observations.shape[1]):
        view.final_observations[i, k] = view.observations[i, k]
    for slot in range(view.slots.shape[1]):
        outcome.final_slots[i, slot] = view.slots[i, slot]


@compiled
def forget(journal_used: Ints, end: int) -> None:
    """Drop what the journal holds from a row on: what a new user did before its first decision is nobody's outcome."""
    journal_used[0] = end


@compiled_parallel
def seat_all(
    seats: Seats,
    stock: Stock,
    world: World,
    books: Books,
    settings: Records,
    view: View,
    chosen: Ints,
    bounds: Ints,
) -> None:
    """Let a user sit down wherever `chosen` is set, and look up."""
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for i in range(bounds[w], bounds[w + 1]):
            if chosen[i]:
                sit_down(i, seats, stock, world, own, settings[0])
            look(i, w, int(seats.users[i].now_hours), seats, stock, world, settings[0], view, 1.0, 0.0)


@compiled_parallel
def look_all(
    hour: int,
    seats: Seats,
    stock: Stock,
    world: World,
    settings: Records,
    view: View,
    bounds: Ints,
    budget_share: float,
    backlog_hours: float,
) -> None:
    """Look up at all seats at a common hour."""
    for w in each(bounds.shape[0] - 1):
        for i in range(bounds[w], bounds[w + 1]):
            look(i, w, hour, seats, stock, world, settings[0], view, budget_share, backlog_hours)


@compiled_parallel
def decide_all(
    actions: Ints,
    seats: Seats,
    stock: Stock,
    world: World,
    books: Books,
    settings: Records,
    view: View,
    next_view: View,
    outcome: Outcome,
    bounds: Ints,
) -> None:
    """Take every seat through one decision. Seats whose user has left, and that do not start anew, rest."""
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for i in range(bounds[w], bounds[w + 1]):
            if is_over(seats.users[i], settings[0]):
                rest(i, seats.users[i], outcome, own.journal_used[0])
            else:
                decide(i, actions[i], seats, stock, world, own, settings[0], view, outcome)
            look(i, w, int(seats.users[i].now_hours), seats, stock, world, settings[0], next_view, 1.0, 0.0)
            if settings[0].autoresets and (outcome.terminated[i] or outcome.truncated[i]):
                make_way(i, seats, next_view, outcome)
                sit_down(i, seats, stock, world, own, settings[0])
                forget(own.journal_used, outcome.journal_ends[i])
                look(i, w, int(seats.users[i].now_hours), seats, stock, world, settings[0], next_view, 1.0, 0.0)


@compiled
def first_ineligible(actions: Ints, masks: Ints) -> int:
    """Return the first seat whose action is masked, or -1."""
    for i in range(actions.shape[0]):
        if masks[i, actions[i]] == 0:
            return i
    return -1
