"""Looking up: what a sender sees of the user at a seat: candidates, observation, mask, and why not."""

from __future__ import annotations

import math

import numpy as np

from policies.constraints import CANCEL, Suppression
from policies.history import LONG_AGO
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES
from simulator import luck
from simulator.behaviour.interest import relevance
from simulator.catalogue import is_placed
from simulator.compiled import compiled, inlined
from simulator.environments.seats import (
    DAILY,
    NOTIFY,
    QUEUE,
    Seats,
    Stock,
    View,
)
from simulator.records import (
    N_CATEGORIES,
    Floats,
    Ints,
    Kind,
    Record,
    Status,
    Trigger,
    World,
)
from simulator.visible import (
    campaign_suppression,
    category_of,
    channel_suppression,
    expires_hour,
    opened_hour,
    standing,
    standing_on,
    trigger_hour,
    write_slot_features,
    write_user_features,
)

KNOWN_LEFT = int(Status.KNOWN_LEFT)
SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)
ELIGIBLE = int(Suppression.ELIGIBLE)
EMPTY_SLOT = int(Suppression.EMPTY_SLOT)
LEFT = int(Suppression.LEFT)
NO_BUDGET = int(Suppression.NO_BUDGET)
ALREADY_SENT = int(Suppression.ALREADY_SENT)
SEEN_NOISE_SD = 0.5  # of the estimated interest; USER_MODEL: r + N(0, .5^2)


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
def remembered_sends_key(history: Record, settings: Record) -> int:
    """Return a number that changes with each send of a campaign that is remembered by itself: it may be no more."""
    key = 0
    for k in range(settings.n_remembered):
        key += history.campaign_hour[k]
    return key


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
            again = history.campaign_hour[campaign.counter] + campaign.expiry_hours
            if hour < again:
                until = min(until, again)
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
    offers.sends_key = remembered_sends_key(history, settings)
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
        or offers.sends_key != remembered_sends_key(history, settings)
        or offers.n_drifts != user.n_drifts
    ):
        find_offers(i, hour, user, history, world, settings, seats, stock, stock.scores[worker])
    n = offers.n
    slots = seats.slots[i]
    tier_share = user.tier / float(settings.n_tiers - 1) if settings.n_tiers > 1 else 0.0
    write_user_features(out, law, history, user, moment, tier_share, budget_share, backlog_hours)
    view.user_ids[i] = user.user_id
    view.hours[i] = hour
    mask[0] = 1
    reasons[0] = ELIGIBLE
    empty = EMPTY_SLOT if is_there else LEFT
    bits = standing_on(law, history, moment, law.open_channels & user.seen_opted_in)
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
