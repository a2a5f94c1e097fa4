"""Tiredness: of messages as such (fast) and of one kind of content (slow). Both recover in silence.

These levels are read only when something happens, so they are decayed lazily, from one touch to the next.
"""

from __future__ import annotations

import math

from simulator.behaviour.sessions import decay, kept_after
from simulator.compiled import compiled
from simulator.records import N_CATEGORIES, Record


@compiled
def refresh(user: Record, law: Record) -> None:
    """Bring fatigue, habituation, purchase need and intent up to the user's now.

    Source: exponential recovery, the recency penalty of Yancey & Settles (KDD 2020) for habituation.
    """
    span = user.now_hours - user.levels_hours
    if span <= 0.0:
        return
    user.levels_hours = user.now_hours
    # Most levels are 0 most of the time, and then cost no exponential.
    if user.need_used > 0.0:
        user.need_used = decay(user.need_used, kept_after(span, law.need_hours))
    if user.intent > 0.0:
        user.intent = decay(user.intent, kept_after(span, law.intent_hours))
    if user.fatigue > 0.0:
        user.fatigue = decay(user.fatigue, kept_after(span, law.fatigue_hours))
    habituation = 0.0
    for bucket in range(N_CATEGORIES):
        habituation += user.habituation[bucket]
    if habituation > 0.0:
        kept = kept_after(span, law.habituation_hours)
        for bucket in range(N_CATEGORIES):
            user.habituation[bucket] = decay(user.habituation[bucket], kept)


@compiled
def fatigue_now(user: Record, law: Record) -> float:
    """Return fatigue at the user's now, in push-equivalents, without touching the record."""
    return decay(user.fatigue, math.exp(-max(0.0, user.now_hours - user.levels_hours) / law.fatigue_hours))


@compiled
def tire(user: Record, law: Record, intensity: float, channel: int) -> None:
    """Add the fatigue of one message: its campaign's intensity times its channel's weight."""
    user.fatigue += law.channel_fatigue[channel] * intensity


@compiled
def habituate(user: Record, law: Record, bucket: int) -> None:
    """Add one exposure to a content bucket: H <- (1 - omega) H + 1.

    omega = 1 keeps recency alone (Yancey & Settles), omega = 0 accumulates (rebounding bandits, Leqi et al. 2021).
    """
    user.habituation[bucket] = (1.0 - law.habituation_reset) * user.habituation[bucket] + 1.0
