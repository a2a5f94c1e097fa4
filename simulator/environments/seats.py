"""Seats: users who live side by side, each at an hour of its own; what is kept of them, and how the next one sits down.

`looking` writes what a seat shows, `deciding` takes it through a decision. The law, the constraints and the features
are those of everything else; here they are only put in order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.constraints import Suppression
from simulator import luck
from simulator.compiled import compiled, inlined
from simulator.fleet import live_on, wish_at
from simulator.population import begin_history, make_user
from simulator.records import (
    TALLY,
    USER,
    Books,
    Floats,
    Ints,
    Record,
    Records,
    Status,
    World,
)

NOTIFY, DAILY, QUEUE = 0, 1, 2  # what an action means
N_PARTS = 5
NANO = 1e9
PRESENT = int(Status.PRESENT)
ELIGIBLE = int(Suppression.ELIGIBLE)

SETTINGS = np.dtype(
    [
        ("mode", "u1"),
        ("n_slots", "i4"),
        ("n_tiers", "i4"),
        ("n_remembered", "i4"),  # campaigns that the history remembers each by itself
        ("epoch_hours", "i4"),
        ("end_hour", "i4"),
        ("spread_hours", "i4"),
        ("most_wait_hours", "i4"),
        ("keep_per_epoch", "f8"),  # reward within an interval is discounted by this to its beginning
        ("by_event", "u1"),
        ("autoresets", "u1"),
        ("shares", "u1"),  # budgets and gateway are common to all seats
    ]
)


# What a seat's candidates were found by, and until when they stand unless that changes.
OFFERS = np.dtype([("n", "i4"), ("until_hour", "i4"), ("session_hour", "i4"), ("sends_key", "i4"), ("n_drifts", "i4")])


class Seats(NamedTuple):
    """The users and what the seat itself has to remember of them; leading axis: seat."""

    users: Records
    history: Records
    tally: Records
    seeds: Ints  # (U,) of luck
    episodes: Ints  # (U,) how many users have sat here before this one: the user's id
    interest: Floats  # (U, 8) estimated
    interest_drifts: Ints  # (U,) at how many drifts it was estimated
    last_sent: Ints  # (U, campaigns) hour at which each campaign was last sent to the user here; for a queue
    offers: Records  # OFFERS (U,)
    slots: Ints  # (U, C) the candidates, -1: none


class View(NamedTuple):
    """What the seats show after a decision; leading axis: seat. Two of them take turns."""

    observations: Floats  # (U, K) float32
    masks: Ints  # (U, A) int8
    reasons: Ints  # (U, A) uint8, Suppression
    slots: Ints  # (U, C) campaign, or -1
    channels: Ints  # (U, C) that a queue's candidate would go by
    user_ids: Ints  # (U,) who sits there
    hours: Floats  # (U,)
    final_observations: Floats  # (U, K) of episodes that ended with this decision, else 0


class Outcome(NamedTuple):
    """What a decision led to; leading axis: seat."""

    rewards: Floats  # (U,) EUR
    parts: Ints  # (U, 5) nano-euro, not discounted
    signals: Ints  # (U, 3) expected margin in nano-euro, opens, clicks: what other rewards may be made of
    elapsed_hours: Floats  # (U,)
    terminated: Ints  # (U,) bool
    truncated: Ints  # (U,) bool
    refusals: Ints  # (U,) uint8: why the action was not carried out, or ELIGIBLE
    final_users: Records  # (U,) USER, who sat there where an episode ended; room that is kept from step to step
    final_slots: Ints  # (U, C) the candidates shown last
    journal_ends: Ints  # (U,) how far the worker's journal was written when the decision was through


class Stock(NamedTuple):
    """What it takes to seat a new user, and facts of the campaigns."""

    people: Records  # PEOPLE[1]
    tables: Floats
    blank_user: Records  # USER[1]
    blank_tally: Records  # TALLY[1]
    encoded: Floats  # (campaigns, 2) margin and click rate as features
    budget_left: Ints  # (campaigns,) nano-euro that a send may cost at most
    scores: Floats  # (workers, C) room to sort candidates in
    silent: Records  # SENDER[1] that never sends


def blank_stock_rows() -> tuple[Records, Records]:
    """Return the records that a new user begins with, USER[1] and TALLY[1]."""
    tally = np.zeros(1, TALLY)
    tally["last_day"] = tally["last_week"] = tally["last_age"] = -1
    return np.zeros(1, USER), tally


@compiled
def first_epoch(user: Record, settings: Record) -> int:
    """Return the hour of a new user's first decision: the first epoch, after a spread of the user's own."""
    wait = 0
    if settings.spread_hours > 0:
        wait = int(luck.uniform(user.key, luck.DECISION, np.uint64(0)) * (settings.spread_hours + 1))
    begins = int(math.ceil(user.now_hours)) + wait
    return -(-begins // settings.epoch_hours) * settings.epoch_hours


@inlined
def sit_down(i: int, seats: Seats, stock: Stock, world: World, books: Books, settings: Record) -> None:
    """Let the next user of this seat's luck sit down, and live in silence to its first decision.

    Users who leave before it, or install too late for one, are passed over.
    """
    user = seats.users[i]
    silent = stock.silent[0]
    while True:
        seats.users[i] = stock.blank_user[0]
        seats.tally[i] = stock.blank_tally[0]
        key = luck.user_key(seats.seeds[i], seats.episodes[i])
        make_user(user, seats.episodes[i], key, world, stock.people[0], stock.tables)
        seats.tally[i].user_id = user.user_id
        begin_history(user, seats.history[i], world.law[0], world.local_hours[user.zone, 0])
        hour = first_epoch(user, settings)
        if hour < settings.end_hour:
            live_on(user, seats.history[i], seats.tally[i], world, silent, books, float(hour))
            if user.status == PRESENT:
                break
        seats.episodes[i] += 1
    wish_at(user, seats.history[i], seats.tally[i], world, silent, books, int(user.now_hours))
    seats.interest_drifts[i] = -1
    seats.offers[i].until_hour = -1
    for c in range(seats.last_sent.shape[1]):
        seats.last_sent[i, c] = -1
