"""Response: whether a noticed message is opened, clicked, and leads to an order, and when the order is paid."""

from __future__ import annotations

import math

import numpy as np

from simulator import luck
from simulator.compiled import compiled
from simulator.records import EMAIL, Kind, Record

SCHEDULED = int(Kind.SCHEDULED)


@compiled
def logistic(x: float) -> float:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + math.exp(-x))


@compiled
def novelty_of(campaign: Record, hour: int) -> float:
    """Return exp(-age/life) of a campaign's news at an hour. Triggered messages are always fresh.

    Source: modelling choice: news age by hours, promotions by days.
    """
    if campaign.kind != SCHEDULED:
        return 1.0
    age = float(hour - campaign.start_hour)
    if campaign.repeat_hours > 0.0:
        age -= math.floor(age / campaign.repeat_hours) * campaign.repeat_hours
    return math.exp(-age / campaign.novelty_hours)


@compiled
def open_logit(
    user: Record,
    law: Record,
    campaign: Record,
    channel: int,
    r: float,
    is_intended: bool,
    in_place: bool,
    hour: int,
    competition: float,
) -> float:
    """Return the logit of opening a message that reaches the device now, before it has any effect itself.

    Args:
        r: relevance of the message's category.
        is_intended: the category is the one that the user has in mind.
        in_place: a location message, and the user is there.

    Source: modelling choice The gap between contextual and generic pushes sets beta_intent (Batch benchmark 2025). That
    a personal touch wears off with exposures to its bucket, as 1/(1 + H): modelling choice after its effect (Sahni et
    al. 2018) and the null replication (Defau 2023).
    """
    worn = user.habituation[campaign.bucket]
    z = law.logit[channel] + campaign.quality + campaign.format_logit + user.open_bias
    z += campaign.personal_logit / (1.0 + worn)
    if channel < 2:
        z += user.affinity[channel]
    z += law.beta_relevance * r
    if is_intended:
        z += law.beta_intent * user.intent
    if in_place:
        z += law.beta_context
    z += law.beta_urgency * campaign.urgency + law.beta_novelty * novelty_of(campaign, hour)
    z -= law.beta_fatigue * user.fatigue + law.beta_habituation * worn
    return z - law.beta_competition * competition


@compiled
def open_prob(law: Record, logit: float, waited_hours: float, n_others: int) -> float:
    """Return the probability of opening a message noticed after a wait, among others that wait too."""
    late = law.beta_waiting * (1.0 - math.exp(-waited_hours / law.waiting_hours))
    return logistic(logit - late - law.crowding * n_others)


@compiled
def is_click(user: Record, law: Record, channel: int, index: np.uint64) -> bool:
    """Return whether an opened message leads into the app: every push does, an e-mail sometimes."""
    if channel != EMAIL:
        return True
    return luck.uniform(user.key, luck.SEND_CLICK, index) < law.email_click_prob


@compiled
def order_prob(user: Record, law: Record, logit: float, r: float) -> float:
    """Return the probability of an order after a session that a message drove; a recent one lowers it.

    Args:
        logit: zeta of the campaign.
        r: relevance of its category.
    """
    return logistic(logit + law.order_relevance * r + law.order_intent * user.intent) * (1.0 - user.need_used)


@compiled
def payment_delay_hours(law: Record, key: np.uint64, is_fast_stream: int, hours_stream: int, index: np.uint64) -> float:
    """Return hours from order to payment: a quick share and a slow one.

    Source: mixture of two exponentials through Chapelle's (KDD 2014) 35 % in an hour and 50 % in a day (K15).
    """
    wait = luck.exponential(key, hours_stream, index)
    is_fast = luck.uniform(key, is_fast_stream, index) < law.fast_share
    return wait * (law.fast_hours if is_fast else law.slow_hours)
