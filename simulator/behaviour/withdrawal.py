"""Withdrawal: irritation, and giving up a channel because of it. The sender learns of it later.

The opt-out hazard of a channel is (pi / tau_I) * irritation. Irritation decays exponentially, so the hazard
integrates to pi * I * (1 - exp(-t/tau_I)): pi is the opt-out probability per unit of irritation (K11), and the time
of an opt-out has a closed form.
"""

from __future__ import annotations

import math

from simulator.behaviour.response import logistic
from simulator.behaviour.sessions import ONE
from simulator.compiled import compiled
from simulator.records import EMAIL, PUSH, Record


@compiled
def is_night(law: Record, local_hour: int) -> bool:
    """Return whether a local hour of the day lies in the night of the law; the night may pass midnight."""
    if law.night_start <= law.night_end:
        return law.night_start <= local_hour < law.night_end
    return local_hour >= law.night_start or local_hour < law.night_end


@compiled
def irritation_of(user: Record, law: Record, intensity: float, channel: int, r: float, local_hour: int) -> float:
    """Return the irritation of one message: more when tired or at night, less when relevant.

    Source: modelling choice; direction from Wohllebe (2021) and Sahni et al. (2018).
    """
    irritation = user.sensitivity * intensity
    irritation *= 1.0 + law.fatigue_gain * user.fatigue
    irritation *= 1.0 - law.relevance_relief * logistic(1.5 * r)
    if channel == PUSH and is_night(law, local_hour):
        irritation *= law.night_factor
    return irritation


@compiled
def irritate(user: Record, law: Record, irritation: float, channel: int) -> None:
    """Book irritation on its channel; a part settles as slow dissatisfaction."""
    if channel == EMAIL:
        user.irritation_email += irritation
        user.dissatisfaction += law.dissatisfaction_gain * law.dissatisfaction_email * irritation
    elif channel == PUSH:
        user.irritation_push += irritation
        user.dissatisfaction += law.dissatisfaction_gain * irritation
    else:
        user.irritation_in_app += irritation
        user.dissatisfaction += law.dissatisfaction_gain * irritation


@compiled
def opt_out_used(prob: float, irritation: float, kept: float) -> float:
    """Return the opt-out hazard integrated over a span: pi * I * (1 - exp(-span/tau_I))."""
    return prob * irritation * (ONE - kept)


@compiled
def hours_to_opt_out(law: Record, prob: float, irritation: float, clock: float) -> float:
    """Return when, in hours from now, an opt-out clock is used up, given that it will be: closed form."""
    return max(0.0, -law.irritation_hours * math.log1p(-clock / (prob * irritation)))
