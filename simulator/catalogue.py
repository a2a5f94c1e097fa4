"""Campaigns as the engines see them, and which of them a user may be sent at an hour."""

from __future__ import annotations

import math

import numpy as np

from simulator.behaviour.interest import is_in_context
from simulator.compiled import compiled
from simulator.config import CHANNELS, STAGES, TRIGGERS, Scenario, Scheduled, Triggered
from simulator.records import CAMPAIGN, EMAIL, PUSH, Kind, Record, Records, Trigger

SCHEDULED = int(Kind.SCHEDULED)
BROWSE = int(Trigger.BROWSE)
CART = int(Trigger.CART)
DORMANCY = int(Trigger.DORMANCY)
ORDER = int(Trigger.ORDER)

# How much a message of each kind tires and irritates (m), and what format and personalisation add to its logit.
# Source: modelling choice; personalisation after Sahni et al. (2018), open rates +20 %.
INTENSITY = {Kind.SCHEDULED: 1.0, Kind.TRIGGERED: 0.5, Kind.TRANSACTIONAL: 0.2}
FORMAT_LOGIT = {"text": 0.0, "image": 0.1, "video": 0.15}
FORMAT_COST_EUR = {"text": 0.0, "image": 0.00001, "video": 0.00003}
PERSONALISED_LOGIT = 0.2
NANO = 1e9


def campaign_records(scenario: Scenario) -> Records:
    """Return the scenario's campaigns as records.

    Returns:
        Records CAMPAIGN of shape (C,), in the order of the file.
    """
    horizon_hours = scenario.calendar.horizon_days * 24
    segments = [s.name for s in scenario.population.segments]
    tiers = [t.name for t in scenario.population.tiers]
    rows = np.zeros(len(scenario.campaigns), CAMPAIGN)
    for row, c in zip(rows, scenario.campaigns, strict=True):
        kind = Kind[c.kind.upper()]
        audience = c.audience
        row["kind"] = kind
        row["category"] = c.category
        row["bucket"] = c.category if c.bucket is None else c.bucket
        row["channels"] = _bits(c.channels, CHANNELS)
        row["needs_consent"] = audience.needs_consent
        row["segments"] = _bits(audience.segments, segments)
        row["tiers"] = _bits(audience.tiers, tiers)
        row["stages"] = _bits(audience.stages, STAGES)
        row["oses"] = _bits(audience.os, ("android", "ios"))
        row["per_user_cap"] = 0 if c.per_user_cap is None else c.per_user_cap
        row["end_hour"] = horizon_hours
        row["quality"] = c.quality
        row["format_logit"] = FORMAT_LOGIT[c.format]
        row["personal_logit"] = PERSONALISED_LOGIT if c.is_personalised else 0.0
        row["intensity"] = INTENSITY[kind]
        row["urgency"] = c.urgency
        row["novelty_hours"] = c.novelty_hours
        row["margin_eur"] = scenario.behaviour.conversion.margin_eur if c.margin_eur is None else c.margin_eur
        row["discount_eur"] = c.discount_eur
        row["cost_nano"] = round((c.cost_eur + FORMAT_COST_EUR[c.format]) * NANO)
        row["budget_nano"] = -1 if c.budget_eur is None else round(c.budget_eur * NANO)
        if isinstance(c, Scheduled):
            row["start_hour"] = round(c.start_day * 24)
            row["end_hour"] = horizon_hours if c.end_day is None else round(c.end_day * 24)
            row["repeat_hours"] = 0.0 if c.repeat_days is None else c.repeat_days * 24
        else:
            row["trigger"] = TRIGGERS.index(c.trigger)
            row["delay_hours"] = c.delay_hours
            row["expiry_hours"] = c.expiry_hours
            row["dormancy_hours"] = c.dormancy_days * 24 if isinstance(c, Triggered) else 0.0
    return rows


def _bits(chosen: tuple[str, ...] | None, known: tuple[str, ...] | list[str]) -> int:
    """Return a bit mask of the chosen names; None chooses all."""
    return sum(1 << k for k, name in enumerate(known) if chosen is None or name in chosen)


@compiled
def is_triggered(user: Record, law: Record, campaign: Record, hour: int) -> bool:
    """Return whether the user's own event holds a triggered campaign open at an hour.

    An event in hour h opens the campaign from hour h + 1 + delay until h + 1 + expiry (exclusive).
    """
    if campaign.trigger == BROWSE:
        since = user.browse_hour
    elif campaign.trigger == CART:
        since = user.cart_hour
    elif campaign.trigger == ORDER:
        since = user.order_hour
    elif campaign.trigger == DORMANCY:
        since = int(math.floor(user.last_session_hours + campaign.dormancy_hours))
    else:
        return is_in_context(user, law)
    return since + 1 + campaign.delay_hours <= hour < since + 1 + campaign.expiry_hours


@compiled
def is_eligible(user: Record, history: Record, law: Record, campaign: Record, campaign_index: int, hour: int) -> bool:
    """Return whether a campaign may be sent to a user at an hour, channels apart: window, trigger, audience, cap."""
    if campaign.kind == SCHEDULED:
        if not campaign.start_hour <= hour < campaign.end_hour:
            return False
    elif not is_triggered(user, law, campaign, hour):
        return False
    # One branch for the whole audience: this is asked of every campaign at every send.
    audience = (campaign.segments >> user.segment) & (campaign.tiers >> user.tier)
    audience &= (campaign.stages >> user.stage) & (campaign.oses >> user.os)
    if not audience & (user.has_consent | ~campaign.needs_consent) & 1:
        return False
    return campaign.per_user_cap == 0 or history.campaign_sent[campaign_index] < campaign.per_user_cap


@compiled
def open_channel(user: Record, law: Record, campaign: Record, allowed: int) -> int:
    """Return the channel to use for a campaign among those allowed and visibly consented to, push first; or -1."""
    usable = campaign.channels & allowed & user.seen_opted_in
    if law.is_open[PUSH] and usable & 1:
        return PUSH
    if law.is_open[EMAIL] and usable & 2:
        return EMAIL
    return -1
