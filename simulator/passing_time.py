"""Passing time: from one moment of a user's life to the next in which something happens.

Time is cut only at UTC hours and at the user's own events. Every risk carries one exponential threshold; an interval
uses up its integrated hazard, and the event falls where the threshold is gone. Hazards are integrated exactly, so a
quiet hour costs a few multiplications and neither a draw nor an exponential.
"""

from __future__ import annotations

from simulator.behaviour.attention import (
    IN_TRANSIT,
    MUCH,
    WAITING,
    arrival_hours,
    earliest_notice,
    expiry_hours,
    notice_rate,
    spend_attention,
    spent_on,
)
from simulator.behaviour.churn import base_hazard, churn_irritation, churn_used, hours_to_churn
from simulator.behaviour.sessions import ONE, decay, held_rate, hours_to_session, kept_after, urge
from simulator.behaviour.withdrawal import hours_to_opt_out, opt_out_used
from simulator.compiled import compiled, inlined
from simulator.records import EMAIL, HOURS_A_WEEK, N_MAIL, N_PAYMENTS, NEVER, PUSH, Event, Record, Status, World
from simulator.senders import choose, is_due, phase_of

QUIET = int(Event.QUIET)
DELIVERY = int(Event.DELIVERY)
EXPIRY = int(Event.EXPIRY)
NOTICE = int(Event.NOTICE)
SESSION = int(Event.SESSION)
PAYMENT = int(Event.PAYMENT)
OPT_OUT = int(Event.OPT_OUT)
CHURN = int(Event.CHURN)
DRIFT = int(Event.DRIFT)
DECISION = int(Event.DECISION)
CENSUS = int(Event.CENSUS)
PRESENT = int(Status.PRESENT)
LEFT = int(Status.LEFT)
KNOWN_LEFT = int(Status.KNOWN_LEFT)

SLOT = 64  # an event's code is kind + SLOT * slot


@compiled
def is_epoch(hour: int, epoch_hours: int) -> bool:
    """Return whether the policy may act at an hour.

    A division by a number that the compiler does not know costs as much as an hour's law, hence the common case first.
    """
    return epoch_hours == 1 or hour % epoch_hours == 0


@compiled
def next_epoch_after(hour: int, epoch_hours: int) -> int:
    """Return the first decision epoch after an hour."""
    return hour + 1 if epoch_hours == 1 else (hour // epoch_hours + 1) * epoch_hours


@compiled
def coast(user: Record, history: Record, law: Record, rule: Record, hour: int, last: int, local: int) -> None:
    """Live through whole quiet hours: from the start of `hour`, which has been begun, while nothing happens.

    Stops at the start of the first hour in which something may happen or the sender is due, or at `last`. Everything
    stays in registers; levels are rounded to float32 each hour, so it does not matter where a run is cut.

    Args:
        local: local time of `hour`, as in the world's table; no daylight saving begins or ends before `last`.
    """
    habit, satiation, salience = user.habit, user.satiation, user.salience
    dissatisfaction, honeymoon = user.dissatisfaction, user.honeymoon
    push, email, in_app = user.irritation_push, user.irritation_email, user.irritation_in_app
    clock_session, clock_churn = user.clock_session, user.clock_churn
    clock_push, clock_email = user.clock_push, user.clock_email
    push_spent, email_spent = user.push_spent, user.email_spent
    push_limit, email_limit = MUCH, MUCH
    if user.n_waiting > 0:
        push_limit, email_limit = earliest_notice(user, False), earliest_notice(user, True)
    phase = phase_of(user, rule)
    kept = law.keep_irritation
    begun = hour
    next_epoch = last if last == hour + 1 else next_epoch_after(hour, law.epoch_hours)
    while hour < last:
        week_hour = local % HOURS_A_WEEK
        rate = held_rate(
            user.session_rate,
            habit,
            honeymoon,
            dissatisfaction,
            law.drag,
            law.organic[user.table_row, week_hour],
            law.days[local // 24, 0],
        )
        base = base_hazard(user.churn_rate, habit, dissatisfaction, law.drag, law.habit_shield)
        bother = churn_irritation(push, email, in_app, law)
        session_used = rate * urge(
            satiation, salience, law.floor, ONE, law.area_satiation, law.area_salience, law.area_both
        )
        churn_hour = churn_used(base, law, bother, ONE, kept)
        push_used = opt_out_used(law.opt_out_prob[PUSH], push, kept)
        email_used = opt_out_used(law.opt_out_prob[EMAIL], email, kept)
        if (
            clock_session <= session_used
            or clock_churn <= churn_hour
            or clock_push <= push_used
            or clock_email <= email_used
        ):
            break
        if user.n_waiting > 0:
            attention = law.attention[user.table_row, week_hour]
            push_after = push_spent + user.push_attention * attention
            email_after = email_spent + user.email_attention * attention
            if push_after >= push_limit or email_after >= email_limit:
                break
            push_spent = push_after
            email_spent = email_after
        clock_session -= session_used
        clock_churn -= churn_hour
        clock_push -= push_used
        clock_email -= email_used
        habit = decay(habit, law.keep_habit)
        satiation = decay(satiation, law.keep_satiation)
        salience = decay(salience, law.keep_salience)
        dissatisfaction = decay(dissatisfaction, law.keep_dissatisfaction)
        honeymoon = decay(honeymoon, law.keep_honeymoon)
        push = decay(push, kept)
        email = decay(email, kept)
        in_app = decay(in_app, kept)
        hour += 1
        local += 1
        if hour == last:
            break
        if hour == next_epoch:
            next_epoch += law.epoch_hours
            if is_due(user, history, rule, local, hour, phase, law.epoch_hours):
                break
        begun = hour
    user.hour_begun = begun
    user.now_hours = hour
    user.habit, user.satiation, user.salience = habit, satiation, salience
    user.dissatisfaction, user.honeymoon = dissatisfaction, honeymoon
    user.irritation_push, user.irritation_email, user.irritation_in_app = push, email, in_app
    user.clock_session, user.clock_churn = clock_session, clock_churn
    user.clock_push, user.clock_email = clock_push, clock_email
    user.push_spent, user.email_spent = push_spent, email_spent


@compiled
def last_hour(user: Record, world: World, hour: int, until: float) -> int:
    """Return up to where a user may coast: `until`, something scheduled, midnight (census), or a change of clocks."""
    last = min(int(until), int(min(user.next_scheduled_hours, 1e9)), (hour // 24 + 1) * 24)
    local = world.local_hours[user.zone]
    return last if local[last - 1] - local[hour] == last - 1 - hour else hour + 1


@compiled
def find_event(user: Record, law: Record, hour: int, organic: float, season: float, attention: float) -> int:
    """Bring a user to its next own event within the hour, or to the hour's end, whichever comes first.

    Args:
        organic, attention: the tables' values for this user and hour; season: the day's index. (Scalars, because
            handing on the world's tables costs more than what is done with them.)

    Returns:
        The event's code, kind + SLOT * slot, or QUIET at the end of the hour. The event has not happened yet.
    """
    rate = held_rate(user.session_rate, user.habit, user.honeymoon, user.dissatisfaction, law.drag, organic, season)
    base = base_hazard(user.churn_rate, user.habit, user.dissatisfaction, law.drag, law.habit_shield)
    irritation = churn_irritation(user.irritation_push, user.irritation_email, user.irritation_in_app, law)
    start = user.now_hours
    end = hour + 1.0
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
                channel = user.mail_channel[slot]
                hazard = notice_rate(user, channel, attention)
                left = user.mail_clock[slot] - spent_on(user, channel)
                if hazard * span >= left:
                    time = start + max(left, 0.0) / hazard if hazard > 0.0 else start
                    if is_sooner(time, NOTICE, when, code):
                        when, code = time, NOTICE + SLOT * slot

    # Clocks of the whole user. Most are far from used up; then an upper bound of the hazard says so without an
    # exponential: satiation and salience only lower the session rate, and irritation only decays.
    if rate * span >= user.clock_session:
        left_satiation = kept_after(span, law.satiation_hours)
        left_salience = kept_after(span, law.salience_hours)
        if rate * urge_over(user, law, span, left_satiation, left_salience) >= user.clock_session:
            time = start + hours_to_session(user, law, rate, user.clock_session, span)
            if is_sooner(time, SESSION, when, code):
                when, code = time, SESSION
    share = span / law.irritation_hours  # >= 1 - exp(-share)
    if law.opt_out_prob[PUSH] * user.irritation_push * share >= user.clock_push:
        kept = kept_after(span, law.irritation_hours)
        if opt_out_used(law.opt_out_prob[PUSH], user.irritation_push, kept) >= user.clock_push:
            time = start + hours_to_opt_out(law, law.opt_out_prob[PUSH], user.irritation_push, user.clock_push)
            if is_sooner(time, OPT_OUT, when, code):
                when, code = time, OPT_OUT + SLOT * PUSH
    if law.opt_out_prob[EMAIL] * user.irritation_email * share >= user.clock_email:
        kept = kept_after(span, law.irritation_hours)
        if opt_out_used(law.opt_out_prob[EMAIL], user.irritation_email, kept) >= user.clock_email:
            time = start + hours_to_opt_out(law, law.opt_out_prob[EMAIL], user.irritation_email, user.clock_email)
            if is_sooner(time, OPT_OUT, when, code):
                when, code = time, OPT_OUT + SLOT * EMAIL
    if base * span + law.churn_prob * irritation * share >= user.clock_churn:
        kept = kept_after(span, law.irritation_hours)
        if churn_used(base, law, irritation, span, kept) >= user.clock_churn:
            time = start + hours_to_churn(base, law, irritation, user.clock_churn, span)
            if is_sooner(time, CHURN, when, code):
                when, code = time, CHURN

    pass_time(user, law, end if code == QUIET else when, rate, base, irritation, attention)
    return code


@compiled
def pass_time(
    user: Record, law: Record, when: float, rate: float, base: float, irritation: float, attention: float
) -> None:
    """Bring a user to `when`, within one hour and without any event: spend the clocks and decay the levels."""
    span = when - user.now_hours
    if span > 0.0:
        left_satiation = kept_after(span, law.satiation_hours)
        left_salience = kept_after(span, law.salience_hours)
        kept = kept_after(span, law.irritation_hours)
        user.clock_session -= rate * urge_over(user, law, span, left_satiation, left_salience)
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
    user.now_hours = when


@compiled
def urge_over(user: Record, law: Record, span: float, left_satiation: float, left_salience: float) -> float:
    """Return `urge` over a span of hours from the user's state, given exp(-span/tau) of satiation and salience."""
    return urge(
        user.satiation,
        user.salience,
        law.floor,
        span,
        law.satiation_hours * (1.0 - left_satiation),
        law.salience_hours * (1.0 - left_salience),
        law.both_hours * (1.0 - left_satiation * left_salience),
    )


@compiled
def is_sooner(time: float, kind: int, when: float, code: int) -> bool:
    """Return whether an event at `time` comes before the one found so far; ties by the order of `Event`."""
    return time < when or (time == when and code != QUIET and kind < code % SLOT)


@compiled
def scheduled_event(user: Record, law: Record) -> tuple[float, int]:
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
def is_gone(user: Record, hour: int) -> bool:
    """Return whether the sender knows by the start of an hour that the user has left."""
    if user.status == LEFT and hour >= user.next_drift_hours:
        user.status = KNOWN_LEFT
    return user.status == KNOWN_LEFT


@inlined
def begin_hour(user: Record, history: Record, world: World, rule: Record, hour: int, local: int) -> int:
    """Work off the start of an hour, once: the census of a new day comes first, then the sender's decision."""
    if hour % 24 == 0 and user.status == PRESENT and user.census_day != hour // 24:
        user.census_day = hour // 24
        return CENSUS
    user.hour_begun = hour
    epoch_hours = world.law[0].epoch_hours
    if is_epoch(hour, epoch_hours) and is_due(user, history, rule, local, hour, phase_of(user, rule), epoch_hours):
        wish = choose(user, history, world, rule, hour)
        if wish >= 0:
            return DECISION + SLOT * wish
    return QUIET


@inlined
def advance(user: Record, history: Record, world: World, rule: Record, until: float) -> int:
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
        if user.now_hours == hour and user.next_scheduled_hours >= hour + 1:
            coast(user, history, law, rule, hour, last_hour(user, world, hour, until), local)
            if user.now_hours > hour:
                continue
        week_hour = local % HOURS_A_WEEK
        organic = law.organic[user.table_row, week_hour]
        attention = law.attention[user.table_row, week_hour]
        code = find_event(user, law, hour, organic, law.days[local // 24, 0], attention)
        if code != QUIET:
            return code
    return QUIET
