"""A user's life, hour by hour: the one composition of the law that both engines run.

Time is cut only at UTC hours and at the user's own events. `next_event` brings a user to the next of these;
`apply` lets the event happen; `dispatch` sends one message. Every clock carries one exponential threshold; an interval
uses up its integrated hazard, and the event falls where the threshold is gone (`luck`, DESIGN "Clocks, not dice").

A quiet whole hour costs a few multiplications: neither a draw nor an exponential.
"""

from __future__ import annotations

import numpy as np

from simulator import luck
from simulator.behaviour.attention import (
    IN_TRANSIT,
    WAITING,
    arrival_hours,
    earliest_scheduled,
    empty_slot,
    expiry_hours,
    free_slot,
    notice_rate,
)
from simulator.behaviour.churn import base_hazard, churn_irritation, churn_used, hours_to_churn
from simulator.behaviour.delivery import delay_hours, failure_reason
from simulator.behaviour.fatigue import fatigue_now, habituate, refresh, tire
from simulator.behaviour.interest import draw_category, drift, is_in_context, relevance
from simulator.behaviour.response import is_click, open_logit, open_prob, order_prob, payment_delay_hours
from simulator.behaviour.sessions import decay, held_rate, kept_after, hours_to_session, satiate, session_value_eur, urge
from simulator.behaviour.withdrawal import (
    hours_to_opt_out,
    irritate,
    irritation_of,
    is_night,
    opt_out_used,
)
from simulator.books import count, count_census, journal, mark_active, moment, nano
from simulator.compiled import compiled, inlined
from simulator.records import (
    EMAIL,
    HOURS_A_WEEK,
    N_MAIL,
    N_PAYMENTS,
    NEVER,
    PUSH,
    Event,
    Kind,
    Metric,
    Reason,
    Stage,
    Status,
    Trigger,
)

QUIET = int(Event.QUIET)
CENSUS = int(Event.CENSUS)
REFUSED = int(Event.REFUSED)
SEND = int(Event.SEND)
FAILURE = int(Event.FAILURE)
DELIVERY = int(Event.DELIVERY)
EXPIRY = int(Event.EXPIRY)
NOTICE = int(Event.NOTICE)
SESSION = int(Event.SESSION)
CONVERSION = int(Event.CONVERSION)
PAYMENT = int(Event.PAYMENT)
OPT_OUT = int(Event.OPT_OUT)
OPT_IN = int(Event.OPT_IN)
CHURN = int(Event.CHURN)
DRIFT = int(Event.DRIFT)

SENDS = int(Metric.SENDS)
FAILURES = int(Metric.FAILURES)
DELIVERIES = int(Metric.DELIVERIES)
NOTICES = int(Metric.NOTICES)
OPENS = int(Metric.OPENS)
CLICKS = int(Metric.CLICKS)
EXPIRIES = int(Metric.EXPIRIES)
SESSIONS_ORGANIC = int(Metric.SESSIONS_ORGANIC)
SESSIONS_DRIVEN = int(Metric.SESSIONS_DRIVEN)
CONVERSIONS_ORGANIC = int(Metric.CONVERSIONS_ORGANIC)
CONVERSIONS_DRIVEN = int(Metric.CONVERSIONS_DRIVEN)
PAYMENTS = int(Metric.PAYMENTS)
OPT_OUTS_PUSH = int(Metric.OPT_OUTS_PUSH)
OPT_OUTS_EMAIL = int(Metric.OPT_OUTS_EMAIL)
OPT_INS = int(Metric.OPT_INS)
COMPLAINTS = int(Metric.COMPLAINTS)
CHURNS = int(Metric.CHURNS)
NIGHT_SENDS = int(Metric.NIGHT_SENDS)
REFUSALS = int(Metric.REFUSALS)
SURVEYS = int(Metric.SURVEYS)
SATISFACTION_MILLI = int(Metric.SATISFACTION_MILLI)
PRESENT_DAYS = int(Metric.PRESENT_DAYS)
REACHABLE_DAYS = int(Metric.REACHABLE_DAYS)
FATIGUE_MICRO = int(Metric.FATIGUE_MICRO)
SESSION_VALUE = int(Metric.SESSION_VALUE)
MARGIN = int(Metric.MARGIN)
DISCOUNT = int(Metric.DISCOUNT)
SEND_COST = int(Metric.SEND_COST)
COMPLAINT_COST = int(Metric.COMPLAINT_COST)

NO_REASON = int(Reason.NONE)
OPENED = int(Reason.OPENED)
CLICKED = int(Reason.CLICKED)
IGNORED = int(Reason.IGNORED)
ORGANIC = int(Reason.ORGANIC)
DRIVEN = int(Reason.DRIVEN)
CLEARED = int(Reason.CLEARED)
DISPLACED = int(Reason.DISPLACED)
WITHDRAWN = int(Reason.WITHDRAWN)
IRRITATION = int(Reason.IRRITATION)
COMPLAINED = int(Reason.COMPLAINT)
BASE = int(Reason.BASE)
TOO_LATE = int(Reason.TOO_LATE)
NO_BUDGET = int(Reason.NO_BUDGET)

PRESENT = int(Status.PRESENT)
LEFT = int(Status.LEFT)
KNOWN_LEFT = int(Status.KNOWN_LEFT)

NEW = int(Stage.NEW)
ACTIVE = int(Stage.ACTIVE)
LAPSING = int(Stage.LAPSING)
DORMANT = int(Stage.DORMANT)

SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)

SLOT = 64  # an event's code is kind + SLOT * slot


# ------------------------------------------------------------------------------------------------ passing time


@compiled
def next_event(user, law, hour, organic, season, attention):  # type: ignore[no-untyped-def]
    """Bring a user to its next own event, or to the end of the hour, whichever comes first.

    Args:
        organic, attention: the tables' values for this user and hour; season: the day's index. (Scalars, because
            passing the world's tables to a function that runs once an hour would cost more than the hour.)

    Returns:
        The event's code, kind + SLOT * slot, or QUIET at the end of the hour. The event has not happened yet.
    """
    start = user.now_hours
    end = hour + 1.0
    rate = held_rate(user, law, organic, season)
    base = base_hazard(user, law)
    irritation = churn_irritation(user, law)

    if start == hour and user.next_scheduled_hours >= end:
        session_used = rate * urge(user, law, 1.0, law.area_satiation, law.area_salience, law.area_both)
        kept = law.keep_irritation
        churn_hour = churn_used(base, law, irritation, 1.0, kept)
        push_used = opt_out_used(law.opt_out_prob[PUSH], user.irritation_push, kept)
        email_used = opt_out_used(law.opt_out_prob[EMAIL], user.irritation_email, kept)
        if (
            user.clock_session > session_used
            and user.clock_churn > churn_hour
            and user.clock_push > push_used
            and user.clock_email > email_used
            and (user.n_waiting == 0 or is_mail_quiet(user, attention))
        ):
            user.clock_session -= session_used
            user.clock_churn -= churn_hour
            user.clock_push -= push_used
            user.clock_email -= email_used
            if user.n_waiting > 0:
                spend_attention(user, attention, 1.0)
            user.habit = decay(user.habit, law.keep_habit)
            user.satiation = decay(user.satiation, law.keep_satiation)
            user.salience = decay(user.salience, law.keep_salience)
            user.dissatisfaction = decay(user.dissatisfaction, law.keep_dissatisfaction)
            user.honeymoon = decay(user.honeymoon, law.keep_honeymoon)
            user.irritation_push = decay(user.irritation_push, kept)
            user.irritation_email = decay(user.irritation_email, kept)
            user.irritation_in_app = decay(user.irritation_in_app, kept)
            user.now_hours = end
            return QUIET
    return find_event(user, law, end, rate, base, irritation, attention)


@compiled
def find_event(user, law, end, rate, base, irritation, attention):  # type: ignore[no-untyped-def]
    """Find the earliest event before `end`, ties in the order of `Event`, and bring the user there."""
    start = user.now_hours
    span = end - start
    when = end
    code = QUIET

    # What is scheduled.
    if user.next_scheduled_hours < end:
        when, code = scheduled_event(user, law)
        when = max(when, start)

    # Notices: constant hazard within the hour.
    if user.n_waiting > 0:
        for slot in range(N_MAIL):
            if user.mail_state[slot] == WAITING:
                hazard = notice_rate(user, user.mail_channel[slot], attention)
                if hazard * span >= user.mail_clock[slot]:
                    time = start + user.mail_clock[slot] / hazard
                    if is_sooner(time, NOTICE, when, code):
                        when, code = time, NOTICE + SLOT * slot

    # Clocks of the whole user.
    left_satiation = kept_after(span, law.satiation_hours)
    left_salience = kept_after(span, law.salience_hours)
    kept = kept_after(span, law.irritation_hours)
    session_used = rate * urge(
        user,
        law,
        span,
        law.satiation_hours * (1.0 - left_satiation),
        law.salience_hours * (1.0 - left_salience),
        law.both_hours * (1.0 - left_satiation * left_salience),
    )
    if session_used >= user.clock_session:
        time = start + hours_to_session(user, law, rate, user.clock_session, span)
        if is_sooner(time, SESSION, when, code):
            when, code = time, SESSION
    if opt_out_used(law.opt_out_prob[PUSH], user.irritation_push, kept) >= user.clock_push:
        time = start + hours_to_opt_out(law, law.opt_out_prob[PUSH], user.irritation_push, user.clock_push)
        if is_sooner(time, OPT_OUT, when, code):
            when, code = time, OPT_OUT + SLOT * PUSH
    if opt_out_used(law.opt_out_prob[EMAIL], user.irritation_email, kept) >= user.clock_email:
        time = start + hours_to_opt_out(law, law.opt_out_prob[EMAIL], user.irritation_email, user.clock_email)
        if is_sooner(time, OPT_OUT, when, code):
            when, code = time, OPT_OUT + SLOT * EMAIL
    if churn_used(base, law, irritation, span, kept) >= user.clock_churn:
        time = start + hours_to_churn(base, law, irritation, user.clock_churn, span)
        if is_sooner(time, CHURN, when, code):
            when, code = time, CHURN

    if code == QUIET:
        spend(user, law, span, rate, base, irritation, attention, left_satiation, left_salience, kept)
        user.now_hours = end
        return QUIET
    span = when - start
    if span > 0.0:
        left_satiation = kept_after(span, law.satiation_hours)
        left_salience = kept_after(span, law.salience_hours)
        kept = kept_after(span, law.irritation_hours)
        spend(user, law, span, rate, base, irritation, attention, left_satiation, left_salience, kept)
    user.now_hours = when
    return code


@compiled
def is_sooner(time, kind, when, code):  # type: ignore[no-untyped-def]
    """Return whether an event at `time` comes before the one found so far; ties by the order of `Event`."""
    return time < when or (time == when and code != QUIET and kind < code % SLOT)


@compiled
def scheduled_event(user, law):  # type: ignore[no-untyped-def]
    """Return (time, code) of the earliest scheduled event; ties by the order of `Event`, then by slot."""
    when, code = NEVER, QUIET
    for slot in range(N_MAIL):
        if user.mail_state[slot] == IN_TRANSIT:
            time = arrival_hours(user, slot)
            if time < when or (time == when and code % SLOT > DELIVERY):
                when, code = time, DELIVERY + SLOT * slot
        elif user.mail_state[slot] == WAITING:
            time = expiry_hours(user, law, slot)
            if time < when:
                when, code = time, EXPIRY + SLOT * slot
    for k in range(N_PAYMENTS):
        if user.payment_hours[k] < when:
            when, code = user.payment_hours[k], PAYMENT + SLOT * k
    if user.next_drift_hours < when:
        when, code = user.next_drift_hours, DRIFT
    return when, code


@compiled
def spend(user, law, span, rate, base, irritation, attention, left_satiation, left_salience, kept):  # type: ignore[no-untyped-def]
    """Use up the clocks and decay the levels over a span of hours within one hour.

    Args:
        left_satiation, left_salience, kept: exp(-span/tau) of satiation, salience and irritation.
    """
    user.clock_session -= rate * urge(
        user,
        law,
        span,
        law.satiation_hours * (1.0 - left_satiation),
        law.salience_hours * (1.0 - left_salience),
        law.both_hours * (1.0 - left_satiation * left_salience),
    )
    user.clock_churn -= churn_used(base, law, irritation, span, kept)
    user.clock_push -= opt_out_used(law.opt_out_prob[PUSH], user.irritation_push, kept)
    user.clock_email -= opt_out_used(law.opt_out_prob[EMAIL], user.irritation_email, kept)
    if user.n_waiting > 0:
        spend_attention(user, attention, span)
    user.habit = decay(user.habit, kept_after(span, law.habit_hours))
    user.satiation = decay(user.satiation, left_satiation)
    user.salience = decay(user.salience, left_salience)
    user.dissatisfaction = decay(user.dissatisfaction, kept_after(span, law.dissatisfaction_hours))
    user.honeymoon = decay(user.honeymoon, kept_after(span, law.honeymoon_hours))
    user.irritation_push = decay(user.irritation_push, kept)
    user.irritation_email = decay(user.irritation_email, kept)
    user.irritation_in_app = decay(user.irritation_in_app, kept)


@compiled
def is_mail_quiet(user, attention):  # type: ignore[no-untyped-def]
    """Return whether no waiting message is noticed within a whole hour."""
    for slot in range(N_MAIL):
        if user.mail_state[slot] == WAITING:
            if notice_rate(user, user.mail_channel[slot], attention) >= user.mail_clock[slot]:
                return False
    return True


@compiled
def spend_attention(user, attention, span):  # type: ignore[no-untyped-def]
    """Use up the notice thresholds of waiting messages over a span of hours."""
    for slot in range(N_MAIL):
        if user.mail_state[slot] == WAITING:
            user.mail_clock[slot] -= notice_rate(user, user.mail_channel[slot], attention) * span


# ------------------------------------------------------------------------------------------------------- events


@inlined
def apply(user, world, books, tally, code):  # type: ignore[no-untyped-def]
    """Let the event happen to which `next_event` has brought the user."""
    law = world.law[0]
    kind = code % SLOT
    slot = code // SLOT
    if kind == SESSION:
        user.n_sessions += 1
        user.clock_session = luck.exponential(user.key, luck.CLOCK_SESSION, np.uint64(user.n_sessions))
        have_session(user, world, books, tally, -1, 0, -1)
    elif kind == NOTICE:
        notice(user, world, books, tally, slot)
    elif kind == DELIVERY:
        arrive(user, world, books, tally, slot)
    elif kind == EXPIRY:
        lose(user, world, books, tally, slot, NO_REASON)
    elif kind == PAYMENT:
        pay(user, world, books, tally, slot)
    elif kind == OPT_OUT:
        opt_out(user, world, books, tally, slot)
    elif kind == CHURN:
        leave(user, world, books, tally)
    elif kind == CENSUS:
        take_census(user, world, books, tally)
    elif kind == DRIFT:
        drift(user, law, world.interest)
        journal(user, books, DRIFT, NO_REASON, -1, 0, -1, 0)
    if user.status == PRESENT:
        user.next_scheduled_hours = earliest_scheduled(user, law)


@inlined
def dispatch(user, world, books, tally, history, hour, campaign_index, channel, queue_hours):  # type: ignore[no-untyped-def]
    """Send one message at the start of an hour: it is paid now, and reaches the device now, later or never.

    Args:
        queue_hours: hours that the gateway makes it wait.
    """
    at = moment(user, world)
    law = world.law[0]
    campaign = world.campaigns[campaign_index]
    cost = law.cost_nano[channel] + campaign.cost_nano
    index = luck.send_index(hour, campaign_index, channel)
    count(user, at, books, tally, SENDS, 1, campaign_index, channel)
    count(user, at, books, tally, SEND_COST, -cost, campaign_index, channel)
    if is_night(law, world.local_hours[user.zone, hour] % 24):
        count(user, at, books, tally, NIGHT_SENDS, 1, campaign_index, channel)
    journal(user, books, SEND, NO_REASON, campaign_index, channel, hour, -cost)
    history.sent_hour = hour
    history.n_sent += 1
    week = world.local_hours[user.zone, hour] // HOURS_A_WEEK
    history.sent_this_week = history.sent_this_week + 1 if history.week == week else 1
    history.week = week
    history.bucket_hour[campaign.bucket] = hour
    if history.campaign_sent[campaign_index] < 255:
        history.campaign_sent[campaign_index] += 1

    reason = failure_reason(user, law, channel, index)
    delay = 0.0
    if reason == 0:
        delay = queue_hours + delay_hours(user, law, channel, index)
        if delay >= law.life_hours[channel]:
            reason = TOO_LATE
    if reason != 0:
        count(user, at, books, tally, FAILURES, 1, campaign_index, channel)
        journal(user, books, FAILURE, reason, campaign_index, channel, hour, 0)
        return
    slot = free_slot(user)
    if user.mail_state[slot] != 0:
        lose(user, world, books, tally, slot, DISPLACED)
    user.mail_state[slot] = IN_TRANSIT
    user.mail_delay[slot] = delay
    user.mail_hour[slot] = hour
    user.mail_campaign[slot] = campaign_index
    user.mail_channel[slot] = channel
    if user.mail_delay[slot] == 0.0:
        arrive(user, world, books, tally, slot)
    user.next_scheduled_hours = earliest_scheduled(user, law)


@inlined
def refuse(user, world, books, tally, hour, campaign, channel):  # type: ignore[no-untyped-def]
    """Book a wish that a shared budget could not pay."""
    at = moment(user, world)
    count(user, at, books, tally, REFUSALS, 1, campaign, channel)
    journal(user, books, REFUSED, NO_BUDGET, campaign, channel, hour, 0)


@inlined
def arrive(user, world, books, tally, slot):  # type: ignore[no-untyped-def]
    """A message reaches the device: its appeal is fixed from the state before it, then it tires and irritates."""
    at = moment(user, world)
    law = world.law[0]
    campaign_index = user.mail_campaign[slot]
    channel = user.mail_channel[slot]
    campaign = world.campaigns[campaign_index]
    hour = int(user.now_hours)
    local = world.local_hours[user.zone, hour]
    refresh(user, law)
    index = luck.send_index(user.mail_hour[slot], campaign_index, channel)
    r = relevance(user, campaign.category)
    in_place = campaign.trigger == LOCATION and campaign.kind != SCHEDULED and is_in_context(user, law)
    user.mail_logit[slot] = open_logit(user, law, campaign, channel, r, in_place, hour, world.days[local // 24, 1])
    user.mail_clock[slot] = luck.exponential(user.key, luck.SEND_NOTICE, index)
    user.mail_state[slot] = WAITING
    user.n_waiting += 1
    irritate(user, law, irritation_of(user, law, campaign.intensity, channel, r, local % 24), channel)
    tire(user, law, campaign.intensity, channel)
    habituate(user, law, campaign.bucket)
    count(user, at, books, tally, DELIVERIES, 1, campaign_index, channel)
    journal(user, books, DELIVERY, NO_REASON, campaign_index, channel, user.mail_hour[slot], 0)


@inlined
def notice(user, world, books, tally, slot):  # type: ignore[no-untyped-def]
    """A waiting message is noticed: it reminds of the app, and may be opened, clicked, and lead into a session."""
    at = moment(user, world)
    law = world.law[0]
    campaign = user.mail_campaign[slot]
    channel = user.mail_channel[slot]
    hour = user.mail_hour[slot]
    index = luck.send_index(hour, campaign, channel)
    waited = user.now_hours - arrival_hours(user, slot)
    prob = open_prob(law, user.mail_logit[slot], waited, user.n_waiting - 1)
    empty_slot(user, slot)
    user.salience += 0.5 * (1.0 - user.salience)
    count(user, at, books, tally, NOTICES, 1, campaign, channel)
    if luck.uniform(user.key, luck.SEND_OPEN, index) >= prob:
        user.unopened = min(255, user.unopened + 1)
        journal(user, books, NOTICE, IGNORED, campaign, channel, hour, 0)
        return
    user.unopened = 0
    count(user, at, books, tally, OPENS, 1, campaign, channel)
    if not is_click(user, law, channel, index):
        journal(user, books, NOTICE, OPENED, campaign, channel, hour, 0)
        return
    count(user, at, books, tally, CLICKS, 1, campaign, channel)
    journal(user, books, NOTICE, CLICKED, campaign, channel, hour, 0)
    have_session(user, world, books, tally, campaign, channel, hour)


@compiled
def lose(user, world, books, tally, slot, reason):  # type: ignore[no-untyped-def]
    """A message leaves the mailbox unnoticed."""
    at = moment(user, world)
    campaign = user.mail_campaign[slot]
    channel = user.mail_channel[slot]
    hour = user.mail_hour[slot]
    user.unopened = min(255, user.unopened + 1)
    empty_slot(user, slot)
    count(user, at, books, tally, EXPIRIES, 1, campaign, channel)
    journal(user, books, EXPIRY, reason, campaign, channel, hour, 0)


@inlined
def have_session(user, world, books, tally, campaign, channel, hour):  # type: ignore[no-untyped-def]
    """A session, unasked (campaign -1) or driven by a message: its value, an order perhaps, and what it leaves.

    The marks of a driven session are keyed by its send, those of an organic one by its count.
    """
    at = moment(user, world)
    law = world.law[0]
    is_driven = campaign >= 0
    refresh(user, law)
    offset = 0 if is_driven else luck.FREE_OFFSET
    index = luck.send_index(hour, campaign, channel) if is_driven else np.uint64(user.n_sessions)
    key = user.key
    value = nano(session_value_eur(user, law))
    count(user, at, books, tally, SESSIONS_DRIVEN if is_driven else SESSIONS_ORGANIC, 1, campaign, channel)
    count(user, at, books, tally, SESSION_VALUE, value, campaign, channel)
    mark_active(user, at, books, tally, campaign, channel)
    journal(user, books, SESSION, DRIVEN if is_driven else ORGANIC, campaign, channel, hour, value)

    # An order, judged by the state before this session changes it.
    if is_driven:
        offer = world.campaigns[campaign]
        prob = order_prob(user, law, law.driven_logit + 0.5 * offer.quality, relevance(user, offer.category))
        margin, discount = offer.margin_eur, offer.discount_eur
    else:
        prob = law.organic_order_prob * (1.0 - user.need_used)
        margin, discount = law.margin_eur, 0.0
    if luck.uniform(key, luck.SEND_ORDER + offset, index) < prob:
        if is_driven:
            category = int(world.campaigns[campaign].category)
        else:
            category = draw_category(user, luck.uniform(key, luck.SEND_CATEGORY + offset, index))
        order(user, world, books, tally, campaign, channel, hour, category, margin, discount, offset, index)
    elif luck.uniform(key, luck.SEND_BROWSE + offset, index) < law.browse_prob:
        user.intent = 1.0
        user.intent_category = draw_category(user, luck.uniform(key, luck.SEND_CATEGORY + offset, index))
        user.browse_hour = int(user.now_hours)
        if luck.uniform(key, luck.SEND_CART + offset, index) < law.cart_prob:
            user.cart_hour = int(user.now_hours)

    satiate(user, law)
    user.last_session_hours = user.now_hours
    if luck.uniform(key, luck.SEND_SURVEY + offset, index) < law.survey_prob:
        count(user, at, books, tally, SURVEYS, 1, campaign, channel)
        satisfaction = int(round(1000.0 / (1.0 + user.dissatisfaction)))
        count(user, at, books, tally, SATISFACTION_MILLI, satisfaction, campaign, channel)
    # The app is open: notifications are cleared, and the sender learns of the permission.
    for slot in range(N_MAIL):
        if user.mail_state[slot] == WAITING and user.mail_channel[slot] == PUSH:
            lose(user, world, books, tally, slot, CLEARED)
    if not user.opted_in & 1 and user.n_opt_outs[PUSH] > 0:
        if luck.uniform(key, luck.SEND_OPT_IN + offset, index) < law.opt_in_again_prob:
            user.opted_in |= 1
            user.clock_push = luck.exponential(key, luck.CLOCK_PUSH_OPT_OUT, np.uint64(user.n_opt_outs[PUSH]))
            count(user, at, books, tally, OPT_INS, 1, -1, PUSH)
            journal(user, books, OPT_IN, NO_REASON, -1, PUSH, -1, 0)
    user.seen_opted_in = user.opted_in


@inlined
def order(user, world, books, tally, campaign, channel, hour, category, margin, discount, offset, index):  # type: ignore[no-untyped-def]
    """An order: money is booked at once, paid later; the need is used up, and its category stays on the mind."""
    at = moment(user, world)
    law = world.law[0]
    is_driven = campaign >= 0
    gained = nano(margin)
    count(user, at, books, tally, CONVERSIONS_DRIVEN if is_driven else CONVERSIONS_ORGANIC, 1, campaign, channel)
    count(user, at, books, tally, MARGIN, gained, campaign, channel)
    if discount > 0.0:
        count(user, at, books, tally, DISCOUNT, -nano(discount), campaign, channel)
    journal(user, books, CONVERSION, DRIVEN if is_driven else ORGANIC, campaign, channel, hour, gained - nano(discount))
    user.need_used = law.need_used
    user.intent = 0.7
    user.intent_category = category
    user.order_hour = int(user.now_hours)
    # A place for the payment; when all are taken (one user in millions), the earliest is paid now.
    place = 0
    for k in range(N_PAYMENTS):
        if user.payment_hours[k] < user.payment_hours[place]:
            place = k
    for k in range(N_PAYMENTS):
        if user.payment_hours[k] >= NEVER:
            place = k
    if user.payment_hours[place] < NEVER:
        pay(user, world, books, tally, place)
    delay = payment_delay_hours(
        law, user.key, luck.SEND_PAYMENT_IS_FAST + offset, luck.SEND_PAYMENT_HOURS + offset, index
    )
    user.payment_hours[place] = user.now_hours + delay


@inlined
def pay(user, world, books, tally, place):  # type: ignore[no-untyped-def]
    """An order is paid: an outcome with its time; its money was booked with the order."""
    at = moment(user, world)
    user.payment_hours[place] = NEVER
    count(user, at, books, tally, PAYMENTS, 1, -1, 0)
    journal(user, books, PAYMENT, NO_REASON, -1, 0, -1, 0)


@inlined
def opt_out(user, world, books, tally, channel):  # type: ignore[no-untyped-def]
    """A channel is given up. Nothing on it is delivered from now on; for push the sender learns at the next session."""
    at = moment(user, world)
    law = world.law[0]
    n = user.n_opt_outs[channel]
    user.n_opt_outs[channel] += 1
    user.opted_in &= ~(1 << channel) & 0xFF
    for slot in range(N_MAIL):
        if user.mail_state[slot] != 0 and user.mail_channel[slot] == channel:
            lose(user, world, books, tally, slot, WITHDRAWN)
    reason = IRRITATION
    cost = 0
    if channel == EMAIL:
        user.clock_email = NEVER
        user.seen_opted_in &= ~(1 << EMAIL) & 0xFF
        if luck.uniform(user.key, luck.COMPLAINT, np.uint64(n)) < law.complaint_prob:
            reason = COMPLAINED
            cost = nano(law.complaint_eur)
            count(user, at, books, tally, COMPLAINTS, 1, -1, channel)
            count(user, at, books, tally, COMPLAINT_COST, -cost, -1, channel)
    else:
        user.clock_push = NEVER
    count(user, at, books, tally, OPT_OUTS_EMAIL if channel == EMAIL else OPT_OUTS_PUSH, 1, -1, channel)
    journal(user, books, OPT_OUT, reason, -1, channel, -1, -cost)


@inlined
def leave(user, world, books, tally):  # type: ignore[no-untyped-def]
    """The user leaves for good. The sender can know only some days later; open orders are paid now."""
    at = moment(user, world)
    law = world.law[0]
    base = base_hazard(user, law)
    driven = law.churn_prob * churn_irritation(user, law) / law.irritation_hours
    for slot in range(N_MAIL):
        if user.mail_state[slot] != 0:
            lose(user, world, books, tally, slot, WITHDRAWN)
    for k in range(N_PAYMENTS):
        if user.payment_hours[k] < NEVER:
            pay(user, world, books, tally, k)
    user.status = LEFT
    wait = law.uninstall_seen_hours * luck.exponential(user.key, luck.UNINSTALL_SEEN, np.uint64(0))
    user.next_drift_hours = user.now_hours + wait
    user.next_scheduled_hours = NEVER
    count(user, at, books, tally, CHURNS, 1, -1, 0)
    journal(user, books, CHURN, IRRITATION if driven > base else BASE, -1, 0, -1, 0)


@inlined
def take_census(user, world, books, tally):  # type: ignore[no-untyped-def]
    """The nightly snapshot: who is there, who can be reached, how tired they are, and each user's lifecycle stage."""
    at = moment(user, world)
    law = world.law[0]
    count_census(user, at, books, tally, PRESENT_DAYS, 1)
    if user.opted_in & 1:
        count_census(user, at, books, tally, REACHABLE_DAYS, 1)
    if user.fatigue > 0.0:
        count_census(user, at, books, tally, FATIGUE_MICRO, int(round(fatigue_now(user, law) * 1e6)))
    idle_days = (user.now_hours - user.last_session_hours) / 24.0
    if user.now_hours - user.installed_hours < 7 * 24.0:
        user.stage = NEW
    elif idle_days < 7.0:
        user.stage = ACTIVE
    elif idle_days < 30.0:
        user.stage = LAPSING
    else:
        user.stage = DORMANT
