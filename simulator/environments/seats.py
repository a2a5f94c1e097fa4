"""Seats: users who live side by side, each at an hour of its own, asking for a decision and looking up again.

One compiled pass takes every seat through one decision: send, live on to the next one, book the reward, let the next
user sit down where an episode ended, and write what a sender may see: observation, mask, reasons. The law, the
constraints and the features are those of everything else; here they are only put in order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.constraints import CANCEL, Suppression
from policies.history import LONG_AGO
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES
from simulator import luck
from simulator.behaviour.interest import relevance
from simulator.catalogue import is_placed
from simulator.compiled import compiled, compiled_parallel, each, inlined
from simulator.fleet import live_on, live_quietly, page_of, wish_at
from simulator.life import dispatch
from simulator.population import begin_history, make_user
from simulator.records import (
    N_CATEGORIES,
    TALLY,
    USER,
    Books,
    Floats,
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
    campaign_suppression,
    category_of,
    channel_suppression,
    expires_hour,
    is_quiet,
    opened_hour,
    standing,
    trigger_hour,
    write_slot_features,
    write_user_features,
)

NOTIFY, DAILY, QUEUE = 0, 1, 2  # what an action means
PRESENT = int(Status.PRESENT)
KNOWN_LEFT = int(Status.KNOWN_LEFT)
SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)
ELIGIBLE = int(Suppression.ELIGIBLE)
EMPTY_SLOT = int(Suppression.EMPTY_SLOT)
LEFT = int(Suppression.LEFT)
OPENS = int(Metric.OPENS)
CLICKS = int(Metric.CLICKS)
NO_BUDGET = int(Suppression.NO_BUDGET)
ALREADY_SENT = int(Suppression.ALREADY_SENT)
SEEN_NOISE_SD = 0.5  # of the estimated interest; USER_MODEL: r + N(0, .5^2)
N_PARTS = 5
NANO = 1e9

SETTINGS = np.dtype(
    [
        ("mode", "u1"),
        ("n_slots", "i4"),
        ("n_tiers", "i4"),
        ("n_capped", "i4"),  # campaigns with a cap for each user
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
OFFERS = np.dtype([("n", "i4"), ("until_hour", "i4"), ("session_hour", "i4"), ("n_capped", "i4"), ("n_drifts", "i4")])


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


class Outcome(NamedTuple):
    """What a decision led to; leading axis: seat."""

    rewards: Floats  # (U,) EUR
    parts: Ints  # (U, 5) nano-euro, not discounted
    signals: Ints  # (U, 3) expected margin in nano-euro, opens, clicks: what other rewards may be made of
    elapsed_hours: Floats  # (U,)
    terminated: Ints  # (U,) bool
    truncated: Ints  # (U,) bool
    refusals: Ints  # (U,) uint8: why the action was not carried out, or ELIGIBLE
    final_observations: Floats  # (U, K) where an episode ended, as the next two
    final_users: Records  # (U,) USER, who sat there; room that is kept from step to step
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


# ------------------------------------------------------------------------------------------------------ sitting down


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


# ------------------------------------------------------------------------------------------------------- looking up


@compiled
def estimate_interest(user: Record, interest: Floats) -> None:
    """Write the sender's estimate of a user's relevances, true plus noise of the user's own, shape (8,).

    Source: modelling choice: what a production model knows of interests is noisy and stays so.
    """
    stream = luck.stream_key(user.key, luck.TRAIT_SEEN_INTEREST)
    for k in range(N_CATEGORIES):
        noise = luck.normal_quantile(luck.uniform_in(stream, np.uint64(k)))
        interest[k] = relevance(user, k) + SEEN_NOISE_SD * noise


@compiled
def edition_start(user: Record, campaign: Record, moment: Record, is_in_context: bool) -> int:
    """Return since when this edition of a candidate has been there: fresh content, or the user's own event."""
    opened = opened_hour(user, campaign, moment, is_in_context)
    if campaign.kind == SCHEDULED and campaign.repeat_hours > 0.0:
        return opened + int(
            math.floor(math.floor((moment.hour - opened) / campaign.repeat_hours) * campaign.repeat_hours)
        )
    return opened


@compiled
def edition_end(user: Record, campaign: Record, moment: Record, is_in_context: bool) -> int:
    """Return when a candidate lapses: at its expiry, or when fresh content takes its place."""
    end = expires_hour(user, campaign, moment)
    if campaign.kind == SCHEDULED and campaign.repeat_hours > 0.0:
        next_edition = edition_start(user, campaign, moment, is_in_context) + int(math.ceil(campaign.repeat_hours))
        return min(end, next_edition)
    return end


@compiled
def offer_reason(
    user: Record,
    history: Record,
    law: Record,
    campaign: Record,
    moment: Record,
    settings: Record,
    last_sent: int,
    budget_left: int,
) -> int:
    """Return why a campaign is no candidate for a user at a moment, or ELIGIBLE."""
    if campaign.budget_nano >= 0 and not settings.shares:
        return NO_BUDGET  # a budget is common to many: it has no place where each user is alone
    placed = is_placed(user, law, campaign)
    reason = campaign_suppression(law, history, user, campaign, moment, placed)
    if reason == ELIGIBLE and settings.mode == QUEUE:
        if last_sent >= edition_start(user, campaign, moment, placed):
            return ALREADY_SENT
    if reason == ELIGIBLE and settings.shares and budget_left <= 0:
        return NO_BUDGET
    return reason


@compiled
def place_candidate(slots: Ints, scores: Floats, n: int, campaign: int, score: float) -> int:
    """Put a campaign among the best so far, best first, ties by index; return how many there are now."""
    size = slots.shape[0]
    place = n
    while place > 0 and score > scores[place - 1]:
        place -= 1
    if place >= size:
        return n
    for k in range(min(n, size - 1), place, -1):
        scores[k] = scores[k - 1]
        slots[k] = slots[k - 1]
    scores[place] = score
    slots[place] = campaign
    return min(n + 1, size)


@compiled
def send_reason(
    law: Record, bits: int, user: Record, campaign: Record, channel: int, budget_left: int, shares: int
) -> int:
    """Return why a candidate may not go out on a channel now, or ELIGIBLE."""
    reason = channel_suppression(law, bits, user, campaign, channel)
    if reason == ELIGIBLE and shares:
        if law.cost_nano[channel] + campaign.cost_nano > budget_left:
            return NO_BUDGET
    return reason


@compiled
def capped_sends(history: Record, settings: Record) -> int:
    """Return how many sends of campaigns with a cap for each user there have been: one may have reached its cap."""
    n = 0
    for k in range(settings.n_capped):
        n += history.campaign_sent[k]
    return n


@inlined
def find_offers(
    i: int,
    hour: int,
    user: Record,
    history: Record,
    world: World,
    settings: Record,
    seats: Seats,
    stock: Stock,
    scores: Floats,
) -> None:
    """Find a seat's candidates, and until when they stand if no session, drift or send of a capped campaign intervenes.

    What else may change them is known beforehand: windows, triggers and expiries, the nightly snapshot, the context.
    Budgets, editions and cancelling quiet hours are looked at anew each time.
    """
    law = world.law[0]
    slots = seats.slots[i]
    offers = seats.offers[i]
    interest = seats.interest[i]
    until = (hour // 24 + 1) * 24
    if settings.mode != NOTIFY or settings.shares or law.quiet_mode == CANCEL:
        until = hour
    n_hours = 24 if settings.mode == DAILY else 1
    n = 0
    for index in range(law.n_campaigns):
        campaign = world.campaigns[index]
        left = stock.budget_left[index]
        last_sent = seats.last_sent[i, index] if settings.mode == QUEUE else -1
        for k in range(n_hours):
            when = world.moments[user.zone, min(hour + k, settings.end_hour)]
            if offer_reason(user, history, law, campaign, when, settings, last_sent, left) == ELIGIBLE:
                score = 10.0 * campaign.kind + campaign.urgency
                if user.has_consent:
                    score += interest[category_of(history, campaign)]
                n = place_candidate(slots, scores, n, index, score)
                break
        if campaign.kind != SCHEDULED and campaign.trigger == LOCATION:
            until = min(until, int(min(user.context_switch_hours, 1e9)))
        elif campaign.kind == SCHEDULED or trigger_hour(user, campaign) > LONG_AGO:
            moment = world.moments[user.zone, hour]
            opens = opened_hour(user, campaign, moment, False)
            ends = expires_hour(user, campaign, moment)
            if hour < opens:
                until = min(until, opens)
            elif hour < ends:
                until = min(until, ends)
    offers.n = n
    offers.until_hour = until
    offers.session_hour = history.session_hour
    offers.n_capped = capped_sends(history, settings)
    offers.n_drifts = user.n_drifts


@inlined
def look(
    i: int,
    worker: int,
    hour: int,
    seats: Seats,
    stock: Stock,
    world: World,
    settings: Record,
    view: View,
    budget_share: float,
    backlog_hours: float,
) -> None:
    """Write what seat `i` shows: candidates, observation, mask and reasons.

    Candidates are the campaigns that window, trigger, audience and the user's wishes allow: transactional before
    triggered before scheduled, then by estimated interest and urgency, the first C of them.
    """
    user = seats.users[i]
    history = seats.history[i]
    law = world.law[0]
    moment = world.moments[user.zone, hour]
    interest = seats.interest[i]
    if seats.interest_drifts[i] != user.n_drifts:
        estimate_interest(user, interest)
        seats.interest_drifts[i] = user.n_drifts
    out = view.observations[i]
    mask = view.masks[i]
    reasons = view.reasons[i]
    # A user who has not installed yet, or is known to have left, has nothing to be offered.
    is_there = user.status != KNOWN_LEFT and user.now_hours == hour
    offers = seats.offers[i]
    if not is_there:
        offers.n = 0
        offers.until_hour = -1
    elif (
        hour >= offers.until_hour
        or offers.session_hour != history.session_hour
        or offers.n_capped != capped_sends(history, settings)
        or offers.n_drifts != user.n_drifts
    ):
        find_offers(i, hour, user, history, world, settings, seats, stock, stock.scores[worker])
    n = offers.n
    slots = seats.slots[i]
    tier_share = user.tier / float(settings.n_tiers - 1) if settings.n_tiers > 1 else 0.0
    write_user_features(out, law, history, user, moment, tier_share, budget_share, backlog_hours)
    mask[0] = 1
    reasons[0] = ELIGIBLE
    empty = EMPTY_SLOT if is_there else LEFT
    bits = standing(law, history, moment)
    for slot in range(settings.n_slots):
        start = N_USER_FEATURES + N_SLOT_FEATURES * slot
        view.slots[i, slot] = slots[slot] if slot < n else -1
        if slot >= n:
            for k in range(N_SLOT_FEATURES):
                out[start + k] = 0.0
        else:
            campaign = world.campaigns[slots[slot]]
            category = int(category_of(history, campaign))
            ends = expires_hour(user, campaign, moment)
            if settings.mode == QUEUE:
                ends = edition_end(user, campaign, moment, is_placed(user, law, campaign))
            write_slot_features(
                out,
                start,
                history,
                user,
                campaign,
                moment,
                category,
                interest[category],
                stock.encoded[slots[slot], 0],
                stock.encoded[slots[slot], 1],
                ends,
            )
        if settings.mode == NOTIFY:
            for channel in range(2):
                reason = empty
                if slot < n:
                    campaign = world.campaigns[slots[slot]]
                    left = stock.budget_left[slots[slot]]
                    reason = send_reason(law, bits, user, campaign, channel, left, settings.shares)
                reasons[1 + 2 * slot + channel] = reason
                mask[1 + 2 * slot + channel] = reason == ELIGIBLE
        elif settings.mode == QUEUE:
            reason = EMPTY_SLOT
            view.channels[i, slot] = 0
            if slot < n:
                campaign = world.campaigns[slots[slot]]
                reason = channel_suppression(law, bits, user, campaign, 0)
                if reason != ELIGIBLE and channel_suppression(law, bits, user, campaign, 1) == ELIGIBLE:
                    reason = ELIGIBLE
                    view.channels[i, slot] = 1
            reasons[1 + slot] = reason
            mask[1 + slot] = reason == ELIGIBLE
    if settings.mode == DAILY:
        plan_day(user, history, world, settings, slots, n, mask, reasons)


@inlined
def plan_day(
    user: Record,
    history: Record,
    world: World,
    settings: Record,
    slots: Ints,
    n: int,
    mask: Ints,
    reasons: Ints,
) -> None:
    """Write mask and reasons for each local hour of the coming day, slot and channel.

    Only one send a day is made, so that what holds at an hour is known now, but for what the user does until then.
    """
    law = world.law[0]
    hour = int(user.now_hours)
    width = 2 * settings.n_slots
    for k in range(24 * width):
        mask[1 + k] = 0
        reasons[1 + k] = EMPTY_SLOT
    for k in range(23, -1, -1):  # backwards: where clocks are set back, the earlier of two equal hours stands
        if hour + k >= settings.end_hour:
            continue
        when = world.moments[user.zone, hour + k]
        bits = standing(law, history, when)
        first = 1 + when.local_minute // 60 * width
        for slot in range(n):
            campaign = world.campaigns[slots[slot]]
            offer = offer_reason(user, history, law, campaign, when, settings, -1, 0)
            for channel in range(2):
                reason = offer
                if reason == ELIGIBLE:
                    reason = channel_suppression(law, bits, user, campaign, channel)
                reasons[first + 2 * slot + channel] = reason
                mask[first + 2 * slot + channel] = reason == ELIGIBLE


# ---------------------------------------------------------------------------------------------------------- deciding


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
                last = -1
                refusal = offer_reason(user, history, world.law[0], row, when, settings, last, 0)
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
def rest(i: int, user: Record, outcome: Outcome) -> None:
    """Let a seat rest whose episode is over: nothing happens, it stays over."""
    outcome.terminated[i] = user.status != PRESENT
    outcome.truncated[i] = user.status == PRESENT


@compiled
def make_way(i: int, seats: Seats, view: View, outcome: Outcome) -> None:
    """Keep what was last of an episode, observation, candidates and user, and count the user who leaves the seat.

    A function of its own, because in a parallel loop's own body Numba takes writes to the arrays of a tuple for dead
    code and drops them.
    """
    seats.episodes[i] += 1
    outcome.final_users[i] = seats.users[i]
    for k in range(view.observations.shape[1]):
        outcome.final_observations[i, k] = view.observations[i, k]
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
                rest(i, seats.users[i], outcome)
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
