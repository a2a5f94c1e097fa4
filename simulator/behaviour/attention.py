"""Attention: how soon a waiting message is noticed, and the mailbox that it waits in.

The notice hazard of a message is the user's attention rate times the local hour's attention, constant within the
hour; each message carries its own threshold. Over users with Gamma rates the delay is Lomax in virtual time (K13;
split hazard in activity time after Bonfrer & Dreze 2007).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.compiled import compiled
from simulator.records import EMAIL, N_MAIL, N_PAYMENTS, NEVER, Mail, Record

EMPTY = int(Mail.EMPTY)
IN_TRANSIT = int(Mail.IN_TRANSIT)
WAITING = int(Mail.WAITING)
MUCH: Any = np.float32(1e30)  # more attention than anyone has


@compiled
def notice_rate(user: Record, channel: int, attention: float) -> float:
    """Return the notice hazard per hour of a message that waits on a channel."""
    return (user.email_attention if channel == EMAIL else user.push_attention) * attention


@compiled
def spent_on(user: Record, channel: int) -> float:
    """Return the attention spent on a channel since the mailbox was last empty: the scale of messages' clocks."""
    return user.email_spent if channel == EMAIL else user.push_spent


@compiled
def spend_attention(user: Record, attention: float, span: float) -> None:
    """Spend attention on whatever waits, over a span of hours within one hour."""
    user.push_spent += user.push_attention * attention * span
    user.email_spent += user.email_attention * attention * span


@compiled
def earliest_notice(user: Record, is_email: bool) -> float:
    """Return at how much attention spent the next message on e-mail, or on any other channel, is noticed."""
    first = MUCH
    for slot in range(N_MAIL):
        if user.mail_state[slot] == WAITING and (user.mail_channel[slot] == EMAIL) == is_email:
            first = min(first, user.mail_clock[slot])
    return first


@compiled
def arrival_hours(user: Record, slot: int) -> float:
    """Return when the message in a slot reaches (or reached) the device."""
    return user.mail_hour[slot] + float(user.mail_delay[slot])


@compiled
def expiry_hours(user: Record, law: Record, slot: int) -> float:
    """Return when the message in a slot lapses unnoticed: its life counts from dispatch, as providers count it."""
    return user.mail_hour[slot] + law.life_hours[user.mail_channel[slot]]


@compiled
def free_slot(user: Record) -> int:
    """Return an empty mailbox slot, or else the one whose message was dispatched first."""
    oldest = 0
    for slot in range(N_MAIL):
        if user.mail_state[slot] == EMPTY:
            return slot
        if user.mail_hour[slot] < user.mail_hour[oldest]:
            oldest = slot
    return oldest


@compiled
def empty_slot(user: Record, slot: int) -> None:
    """Take a message out of its slot. The slot is wiped, so that equal histories leave equal records."""
    if user.mail_state[slot] == WAITING:
        user.n_waiting -= 1
        if user.n_waiting == 0:
            user.push_spent = 0.0
            user.email_spent = 0.0
    user.mail_state[slot] = EMPTY
    user.mail_clock[slot] = 0.0
    user.mail_logit[slot] = 0.0
    user.mail_delay[slot] = 0.0
    user.mail_hour[slot] = 0
    user.mail_campaign[slot] = 0
    user.mail_channel[slot] = 0


@compiled
def earliest_scheduled(user: Record, law: Record) -> float:
    """Return the time of the user's next event that needs no clock: arrival, lapse, payment, drift."""
    first = user.next_drift_hours
    for k in range(N_PAYMENTS):
        first = min(first, user.payment_hours[k])
    for slot in range(N_MAIL):
        if user.mail_state[slot] == IN_TRANSIT:
            first = min(first, arrival_hours(user, slot))
        elif user.mail_state[slot] == WAITING:
            first = min(first, expiry_hours(user, law, slot))
    return min(first, NEVER)
