"""Delivery: what happens to a message between dispatch and the device."""

from __future__ import annotations

import math

import numpy as np

from simulator import luck
from simulator.compiled import compiled
from simulator.records import EMAIL, PUSH, Reason, Record, Status

PRESENT = int(Status.PRESENT)
NOT_OPTED_IN = int(Reason.NOT_OPTED_IN)
USER_LEFT = int(Reason.USER_LEFT)
STALE_TOKEN = int(Reason.STALE_TOKEN)
REJECTED = int(Reason.REJECTED)


@compiled
def is_token_stale(user: Record, law: Record) -> bool:
    """Return whether the push token went stale since the app was last used; a session renews it.

    Source: 5-10 % of tokens stale per 90 days (Appolar). The threshold is keyed by the sessions so far.
    """
    used = law.stale_hazard * (user.now_hours - user.last_session_hours)
    unit = luck.uniform(user.key, luck.STALE_TOKEN, np.uint64(user.n_sessions))
    # used > -log(unit); most often 1 - used, which is below exp(-used), settles it without a logarithm
    return unit >= 1.0 - used and used > -math.log(unit)


@compiled
def failure_reason(user: Record, law: Record, channel: int, index: np.uint64) -> int:
    """Return why a dispatched message will never reach the device, or 0: it will."""
    if user.status != PRESENT:
        return USER_LEFT
    if not (user.opted_in >> channel) & 1:
        return NOT_OPTED_IN
    if channel == PUSH and is_token_stale(user, law):
        return STALE_TOKEN
    accept = law.accept_prob[2] if channel == EMAIL else law.accept_prob[user.os]
    if luck.uniform(user.key, luck.SEND_ACCEPTED, index) >= accept:
        return REJECTED
    return 0


@compiled
def delay_hours(user: Record, law: Record, channel: int, index: np.uint64) -> float:
    """Return hours from the gateway to the device: latency, and waiting for an offline device.

    Source: about 15 % of devices are disconnected (MoEngage); exponential reconnection, modelling choice (K19).
    """
    delay = 0.0
    if law.latency_hours > 0.0:
        delay += law.latency_hours * luck.exponential(user.key, luck.SEND_LATENCY, index)
    if channel == PUSH and luck.uniform(user.key, luck.SEND_IS_OFFLINE, index) < law.offline_prob:
        delay += law.offline_hours * luck.exponential(user.key, luck.SEND_OFFLINE_HOURS, index)
    return delay
