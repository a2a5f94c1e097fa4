"""Attention: how soon a waiting message is noticed, and the mailbox that it waits in.

The notice hazard of a message is the user's attention rate times the local hour's attention, constant within the
hour; each message carries its own threshold. Over users with Gamma rates the delay is Lomax in virtual time (K13;
split hazard in activity time after Bonfrer & Dreze 2007).
"""

from __future__ import annotations

from simulator.compiled import compiled
from simulator.records import EMAIL, NEVER, N_MAIL, N_PAYMENTS, Mail

EMPTY = int(Mail.EMPTY)
IN_TRANSIT = int(Mail.IN_TRANSIT)
WAITING = int(Mail.WAITING)


@compiled
def notice_rate(user, channel, attention):  # type: ignore[no-untyped-def]
    """Return the notice hazard per hour of a message that waits on a channel."""
    return (user.email_attention if channel == EMAIL else user.push_attention) * attention


@compiled
def arrival_hours(user, slot):  # type: ignore[no-untyped-def]
    """Return when the message in a slot reaches (or reached) the device."""
    return user.mail_hour[slot] + float(user.mail_delay[slot])


@compiled
def expiry_hours(user, law, slot):  # type: ignore[no-untyped-def]
    """Return when the message in a slot lapses unnoticed: its life counts from dispatch, as providers count it."""
    return user.mail_hour[slot] + law.life_hours[user.mail_channel[slot]]


@compiled
def free_slot(user):  # type: ignore[no-untyped-def]
    """Return an empty mailbox slot, or else the one whose message was dispatched first."""
    oldest = 0
    for slot in range(N_MAIL):
        if user.mail_state[slot] == EMPTY:
            return slot
        if user.mail_hour[slot] < user.mail_hour[oldest]:
            oldest = slot
    return oldest


@compiled
def empty_slot(user, slot):  # type: ignore[no-untyped-def]
    """Take a message out of its slot. The slot is wiped, so that equal histories leave equal records."""
    if user.mail_state[slot] == WAITING:
        user.n_waiting -= 1
    user.mail_state[slot] = EMPTY
    user.mail_clock[slot] = 0.0
    user.mail_logit[slot] = 0.0
    user.mail_delay[slot] = 0.0
    user.mail_hour[slot] = 0
    user.mail_campaign[slot] = 0
    user.mail_channel[slot] = 0


@compiled
def earliest_scheduled(user, law):  # type: ignore[no-untyped-def]
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
