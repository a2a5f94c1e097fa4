"""Organic sessions: how often a user opens the app unasked, and what a session leaves behind.

The hazard, per hour (modelling choice; resetting satiation and salience at each session makes
message-free use a renewal process with a closed-form survival, and yet holds satiation and forgetting both):

    rate * (1 - satiation) * (floor + (1 - floor) * salience)
    rate = session_rate * organic(hour) * season(day) * (1 + honeymoon) * (1 + habit) / (1 + drag * dissatisfaction)

Within an hour `rate` is held; satiation and salience are integrated exactly.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.compiled import compiled
from simulator.records import Record

ONE: Any = np.float32(1.0)  # float32 on float32 stays float32
ZERO: Any = np.float32(0.0)
FLOOR: Any = np.float32(1e-18)  # no level lingers among denormals, which cost threefold


@compiled
def decay(level: float, kept: float) -> float:
    """Return what is left of a level of which a share is kept; tiny levels become 0, never a denormal.

    Args:
        level: dimensionless, >= 0.
        kept: exp(-elapsed / tau), in [0, 1].
    """
    left = level * kept
    return left if left > FLOOR else ZERO


@compiled
def kept_after(span: float, tau: float) -> float:
    """Return exp(-span/tau), what is kept of a level after a span; both in hours.

    Most spans within an hour are tiny beside tau: there six terms of the series are exact to 1e-12, and cheaper.
    """
    x = span / tau
    if x < 0.03:
        return 1.0 - x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0)))))
    return math.exp(-x)


@compiled
def held_rate(
    session_rate: float,
    habit: float,
    honeymoon: float,
    dissatisfaction: float,
    drag: float,
    organic: float,
    season: float,
) -> float:
    """Return the session rate per hour apart from satiation and salience, held within an hour.

    Args:
        organic: relative rate at this local hour, mean 1 over a weekday.
        season: seasonal index of the day.

    Source: habit is a self-exciting term (Hawkes 1971); the honeymoon, modelling choice: new users are curious.
    """
    return session_rate * organic * season * (ONE + honeymoon) * (ONE + habit) / (ONE + drag * dissatisfaction)


@compiled
def urge(
    satiation: float,
    salience: float,
    floor: float,
    span: float,
    area_satiation: float,
    area_salience: float,
    area_both: float,
) -> float:
    """Return the integral over a span of (1 - satiation) * (floor + (1 - floor) * salience), in hours.

    Args:
        span: hours.
        area_satiation: tau_R (1 - exp(-span/tau_R)), hours; the others alike, with 1/tau' = 1/tau_R + 1/tau_M.

    Source: the exponent of the renewal survival in K5 in docs/known-answers.md.
    """
    steady = floor * (span - satiation * area_satiation)
    return steady + (ONE - floor) * salience * (area_salience - satiation * area_both)


@compiled
def hours_to_session(user: Record, law: Record, rate: float, clock: float, limit: float) -> float:
    """Return when, in hours from now, the session clock is used up, given that it is within `limit`.

    Newton's method inside a shrinking bracket: the integral rises, so it always ends.
    """
    low, high = 0.0, limit
    span = 0.5 * limit
    for _ in range(60):
        left_satiation = math.exp(-span / law.satiation_hours)
        left_salience = math.exp(-span / law.salience_hours)
        used = rate * urge(
            user.satiation,
            user.salience,
            law.floor,
            span,
            law.satiation_hours * (1.0 - left_satiation),
            law.salience_hours * (1.0 - left_salience),
            law.both_hours * (1.0 - left_satiation * left_salience),
        )
        miss = used - clock
        if miss > 0.0:
            high = span
        else:
            low = span
        slope = (
            rate
            * (1.0 - user.satiation * left_satiation)
            * (law.floor + (1.0 - law.floor) * user.salience * left_salience)
        )
        step = span - miss / slope if slope > 0.0 else 0.5 * (low + high)
        if not (low < step < high):
            step = 0.5 * (low + high)
        if abs(step - span) < 1e-12:
            return step
        span = step
    return span


@compiled
def habit_jump(user: Record, law: Record) -> float:
    """Return the habit that one session adds; capped so that sessions breed at most 0.3 sessions each.

    Source: branching ratio n = j tau_E lambda of a Hawkes process (K7); the cap is a modelling choice.
    """
    breeding = law.habit_hours * user.session_rate
    return min(law.habit_gain, 0.3 / breeding) if breeding > 0.0 else law.habit_gain


@compiled
def session_value_eur(user: Record, law: Record) -> float:
    """Return what a session is worth, in euro: less when the user was here a moment ago."""
    return law.session_eur * law.tier_value[user.tier] * (1.0 - user.satiation)


@compiled
def satiate(user: Record, law: Record) -> None:
    """Book a session's effect on the urge to come again: satiated, reminded, a little more used to it."""
    user.habit += habit_jump(user, law)
    user.satiation = law.satiation
    user.salience = 1.0
