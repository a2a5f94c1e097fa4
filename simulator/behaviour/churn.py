"""Churn: leaving for good. A base hazard that differs between users, and irritation that piles on it.

    h = churn_rate * (1 + drag * dissatisfaction) * (1 + habit) ** -shield + (pi_X / tau_I) * weighted irritation

Heterogeneity alone makes the hazard of a cohort fall (Fader & Hardie: shifted beta geometric; here Gamma, K9).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.behaviour.sessions import ONE, ZERO
from simulator.compiled import compiled
from simulator.records import Record

HALF: Any = np.float32(0.5)


@compiled
def shield_of(habit: float, power: float) -> float:
    """Return (1 + habit) ** -power, without a power for the common ones."""
    if power == HALF:
        return ONE / math.sqrt(ONE + habit)
    if power == ZERO:
        return ONE
    return (ONE + habit) ** -power


@compiled
def base_hazard(churn_rate: float, habit: float, dissatisfaction: float, drag: float, power: float) -> float:
    """Return the churn hazard per hour apart from irritation, held within an hour."""
    return churn_rate * (ONE + drag * dissatisfaction) * shield_of(habit, power)


@compiled
def churn_irritation(push: float, email: float, in_app: float, law: Record) -> float:
    """Return the irritation that counts towards leaving, weighted by channel."""
    return push + law.churn_email_weight * email + law.churn_in_app_weight * in_app


@compiled
def churn_used(base: float, law: Record, irritation: float, span: float, kept: float) -> float:
    """Return the churn hazard integrated over a span of hours, `kept` = exp(-span/tau_I)."""
    return base * span + law.churn_prob * irritation * (ONE - kept)


@compiled
def hours_to_churn(base: float, law: Record, irritation: float, clock: float, limit: float) -> float:
    """Return when, in hours from now, the churn clock is used up, given that it is within `limit`: Newton."""
    low, high = 0.0, limit
    span = 0.5 * limit
    for _ in range(60):
        kept = math.exp(-span / law.irritation_hours)
        miss = churn_used(base, law, irritation, span, kept) - clock
        if miss > 0.0:
            high = span
        else:
            low = span
        slope = base + law.churn_prob * irritation * kept / law.irritation_hours
        step = span - miss / slope if slope > 0.0 else 0.5 * (low + high)
        if not (low < step < high):
            step = 0.5 * (low + high)
        if abs(step - span) < 1e-12:
            return step
        span = step
    return span
