"""What happens to a user: the events of the law, and the sending of one message.

`passing_time` brings a user to its next event; `apply` lets it happen; `dispatch` sends. Both engines run these, in
the same order for the same user, which is why they agree to the last bit.
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
    free_slot,
    spent_on,
)
from simulator.behaviour.churn import base_hazard, churn_irritation
from simulator.behaviour.delivery import delay_hours, failure_reason
from simulator.behaviour.fatigue import fatigue_now, habituate, refresh, tire
from simulator.behaviour.interest import category_of, draw_category, drift, is_in_context, relevance
from simulator.behaviour.response import is_click, open_logit, open_prob, order_prob, payment_delay_hours
from simulator.behaviour.sessions import satiate, session_value_eur
from simulator.behaviour.withdrawal import irritate, irritation_of, is_night
from simulator.books import count, count_census, journal, mark_active, moment, nano
from simulator.compiled import compiled, inlined
from simulator.passing_time import SLOT
from simulator.records import (
    EMAIL,
    N_MAIL,
    N_PAYMENTS,
    NEVER,
    PUSH,
    Books,
    Event,
    Kind,
    Metric,
    Reason,
    Record,
    Stage,
    Status,
    Trigger,
    World,
)
from simulator.visible import record_conversion, record_interest, record_open, record_send, record_session

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
NEW = int(Stage.NEW)
ACTIVE = int(Stage.ACTIVE)
LAPSING = int(Stage.LAPSING)
DORMANT = int(Stage.DORMANT)
SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)


@inlined
def apply(user: Record, history: Record, world: World, books: Books, tally: Record, code: int) -> None:
    """Let the event happen to which `passing_time.advance` has brought the user."""
    law = world.law[0]
    kind = code % SLOT
    slot = code // SLOT
    if kind == SESSION:
        user.n_sessions += 1
        user.clock_session = luck.exponential(user.key, luck.CLOCK_SESSION, np.uint64(user.n_sessions))
        have_session(user, history, world, books, tally, -1, 0, -1)
    elif kind == NOTICE:
        notice(user, history, world, books, tally, slot)
    elif kind == DELIVERY:
        arrive(user, world, books, tally, slot)
    elif kind == EXPIRY:
        lose(user, world, books, tally, slot, NO_REASON)
    elif kind == PAYMENT:
        pay(user, history, world, books, tally, slot)
    elif kind == OPT_OUT:
        opt_out(user, world, books, tally, slot)
    elif kind == CHURN:
        leave(user, history, world, books, tally)
    elif kind == CENSUS:
        take_census(user, world, books, tally)
    elif kind == DRIFT:
        drift(user, law, world.interest)
        journal(user, books, DRIFT, NO_REASON, -1, 0, -1, 0)
    if user.status == PRESENT:
        user.next_scheduled_hours = earliest_scheduled(user, law)


@inlined
def dispatch(
    user: Record,
    world: World,
    books: Books,
    tally: Record,
    history: Record,
    hour: int,
    campaign_index: int,
    channel: int,
    queue_hours: float,
) -> None:
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
    is_uncounted = law.passes_caps >> campaign.kind & 1
    record_send(history, hour, channel, campaign.tags, is_uncounted, campaign.bucket, campaign.counter)

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
def refuse(user: Record, world: World, books: Books, tally: Record, hour: int, campaign: int, channel: int) -> None:
    """Book a wish that a shared budget could not pay."""
    at = moment(user, world)
    count(user, at, books, tally, REFUSALS, 1, campaign, channel)
    journal(user, books, REFUSED, NO_BUDGET, campaign, channel, hour, 0)


@inlined
def arrive(user: Record, world: World, books: Books, tally: Record, slot: int) -> None:
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
    category = category_of(user, campaign)
    r = relevance(user, category)
    is_intended = category == user.intent_category
    in_place = campaign.trigger == LOCATION and campaign.kind != SCHEDULED and is_in_context(user, law)
    user.mail_logit[slot] = open_logit(
        user, law, campaign, channel, r, is_intended, in_place, hour, law.days[local // 24, 1]
    )
    user.mail_clock[slot] = spent_on(user, channel) + luck.exponential(user.key, luck.SEND_NOTICE, index)
    user.mail_state[slot] = WAITING
    user.n_waiting += 1
    irritate(user, law, irritation_of(user, law, campaign.intensity, channel, r, local % 24), channel)
    tire(user, law, campaign.intensity, channel)
    habituate(user, law, campaign.bucket)
    count(user, at, books, tally, DELIVERIES, 1, campaign_index, channel)
    journal(user, books, DELIVERY, NO_REASON, campaign_index, channel, user.mail_hour[slot], 0)


@inlined
def notice(user: Record, history: Record, world: World, books: Books, tally: Record, slot: int) -> None:
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
        journal(user, books, NOTICE, IGNORED, campaign, channel, hour, 0)
        return
    record_open(history, channel)
    count(user, at, books, tally, OPENS, 1, campaign, channel)
    if not is_click(user, law, channel, index):
        journal(user, books, NOTICE, OPENED, campaign, channel, hour, 0)
        return
    count(user, at, books, tally, CLICKS, 1, campaign, channel)
    journal(user, books, NOTICE, CLICKED, campaign, channel, hour, 0)
    have_session(user, history, world, books, tally, campaign, channel, hour)


@compiled
def lose(user: Record, world: World, books: Books, tally: Record, slot: int, reason: int) -> None:
    """A message leaves the mailbox unnoticed."""
    at = moment(user, world)
    campaign = user.mail_campaign[slot]
    channel = user.mail_channel[slot]
    hour = user.mail_hour[slot]
    empty_slot(user, slot)
    count(user, at, books, tally, EXPIRIES, 1, campaign, channel)
    journal(user, books, EXPIRY, reason, campaign, channel, hour, 0)


@inlined
def have_session(
    user: Record, history: Record, world: World, books: Books, tally: Record, campaign: int, channel: int, hour: int
) -> None:
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
        about = category_of(user, offer)
        prob = order_prob(user, law, law.driven_logit + 0.5 * offer.quality, relevance(user, about))
        margin, discount = offer.margin_eur, offer.discount_eur
    else:
        prob = law.organic_order_prob * (1.0 - user.need_used)
        margin, discount = law.margin_eur, 0.0
    tally.expected_nano += nano(prob * (margin - discount))
    if luck.uniform(key, luck.SEND_ORDER + offset, index) < prob:
        if is_driven:
            category = int(category_of(user, world.campaigns[campaign]))
        else:
            category = draw_category(user, luck.uniform(key, luck.SEND_CATEGORY + offset, index))
        order(user, history, world, books, tally, campaign, channel, hour, category, margin, discount, offset, index)
    elif luck.uniform(key, luck.SEND_BROWSE + offset, index) < law.browse_prob:
        user.intent = 1.0
        user.intent_category = draw_category(user, luck.uniform(key, luck.SEND_CATEGORY + offset, index))
        user.browse_hour = int(user.now_hours)
        record_interest(history, user.intent_category)
        if luck.uniform(key, luck.SEND_CART + offset, index) < law.cart_prob:
            user.cart_hour = int(user.now_hours)

    satiate(user, law)
    user.last_session_hours = user.now_hours
    record_session(history, int(user.now_hours))
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
def order(
    user: Record,
    history: Record,
    world: World,
    books: Books,
    tally: Record,
    campaign: int,
    channel: int,
    hour: int,
    category: int,
    margin: float,
    discount: float,
    offset: int,
    index: np.uint64,
) -> None:
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
    record_interest(history, category)
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
        pay(user, history, world, books, tally, place)
    delay = payment_delay_hours(
        law, user.key, luck.SEND_PAYMENT_IS_FAST + offset, luck.SEND_PAYMENT_HOURS + offset, index
    )
    user.payment_hours[place] = user.now_hours + delay


@inlined
def pay(user: Record, history: Record, world: World, books: Books, tally: Record, place: int) -> None:
    """An order is paid: an outcome with its time; its money was booked with the order."""
    at = moment(user, world)
    user.payment_hours[place] = NEVER
    record_conversion(history, int(user.now_hours))
    count(user, at, books, tally, PAYMENTS, 1, -1, 0)
    journal(user, books, PAYMENT, NO_REASON, -1, 0, -1, 0)


@inlined
def opt_out(user: Record, world: World, books: Books, tally: Record, channel: int) -> None:
    """A channel is given up. Nothing on it is delivered from now on; for push the sender learns at the next session."""
    at = moment(user, world)
    law = world.law[0]
    n = user.n_opt_outs[channel]
    if n < 255:
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
def leave(user: Record, history: Record, world: World, books: Books, tally: Record) -> None:
    """The user leaves for good. The sender can know only some days later; open orders are paid now."""
    at = moment(user, world)
    law = world.law[0]
    base = base_hazard(user.churn_rate, user.habit, user.dissatisfaction, law.drag, law.habit_shield)
    irritation = churn_irritation(user.irritation_push, user.irritation_email, user.irritation_in_app, law)
    driven = law.churn_prob * irritation / law.irritation_hours
    for slot in range(N_MAIL):
        if user.mail_state[slot] != 0:
            lose(user, world, books, tally, slot, WITHDRAWN)
    for k in range(N_PAYMENTS):
        if user.payment_hours[k] < NEVER:
            pay(user, history, world, books, tally, k)
    user.status = LEFT
    wait = law.uninstall_seen_hours * luck.exponential(user.key, luck.UNINSTALL_SEEN, np.uint64(0))
    user.next_drift_hours = user.now_hours + wait
    user.next_scheduled_hours = NEVER
    count(user, at, books, tally, CHURNS, 1, -1, 0)
    journal(user, books, CHURN, IRRITATION if driven > base else BASE, -1, 0, -1, 0)


@inlined
def take_census(user: Record, world: World, books: Books, tally: Record) -> None:
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
