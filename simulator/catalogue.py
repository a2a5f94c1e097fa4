"""Campaigns as the engines see them, and which of them a user may be sent at an hour."""

from __future__ import annotations

import numpy as np

from policies.constraints import Suppression
from policies.history import N_COUNTERS
from simulator.behaviour.interest import is_in_context
from simulator.compiled import compiled
from simulator.config import CHANNELS, STAGES, TRIGGERS, Scenario, Scheduled, Triggered
from simulator.config_campaigns import is_remembered
from simulator.records import CAMPAIGN, EMAIL, PUSH, Kind, Record, Records, Trigger
from simulator.visible import campaign_suppression, channel_suppression

SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)
ELIGIBLE = int(Suppression.ELIGIBLE)

# How much a message of each kind tires and irritates (m), and what format and personalisation add to its logit.
# Source: modelling choice; personalisation after Sahni et al. (2018), open rates +20 %.
INTENSITY = {Kind.SCHEDULED: 1.0, Kind.TRIGGERED: 0.5, Kind.TRANSACTIONAL: 0.2}
FORMAT_LOGIT = {"text": 0.0, "image": 0.1, "video": 0.15}
FORMAT_COST_EUR = {"text": 0.0, "image": 0.00001, "video": 0.00003}
PERSONALISED_LOGIT = 0.2
NANO = 1e9
NO_END_HOUR = 2**30  # not the horizon: nobody is to see in a candidate's expiry that the simulation will stop


def campaign_records(scenario: Scenario) -> Records:
    """Return the scenario's campaigns as records.

    Returns:
        Records CAMPAIGN of shape (C,), in the order of the file.
    """
    segments = [s.name for s in scenario.population.segments]
    tiers = [t.name for t in scenario.population.tiers]
    limits = scenario.constraints.limits()
    n_remembered = 0
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
        row["counter"] = N_COUNTERS
        if is_remembered(c):
            row["counter"], row["per_user_cap"] = n_remembered, c.per_user_cap or 0
            n_remembered += 1
        row["tags"] = limits.tag_bits(c.tags)
        row["end_hour"] = NO_END_HOUR
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
            row["end_hour"] = NO_END_HOUR if c.end_day is None else round(c.end_day * 24)
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
def is_placed(user: Record, law: Record, campaign: Record) -> bool:
    """Return whether the user is where a location campaign is about; False for every other campaign."""
    return campaign.trigger == LOCATION and campaign.kind != SCHEDULED and is_in_context(user, law)


@compiled
def eligible_channel(
    user: Record, history: Record, law: Record, campaign: Record, moment: Record, standing_bits: int, allowed: int
) -> int:
    """Return the channel to use for a campaign among those allowed, push first; or -1: it may not be sent now.

    Args:
        standing_bits: of `policies.constraints.standing`, asked once for all campaigns.
    """
    usable = campaign.channels & allowed & user.seen_opted_in
    if not usable & 3:
        return -1
    if campaign_suppression(law, history, user, campaign, moment, is_placed(user, law, campaign)) != ELIGIBLE:
        return -1
    for channel in (PUSH, EMAIL):
        if usable >> channel & 1 and channel_suppression(law, standing_bits, user, campaign, channel) == ELIGIBLE:
            return channel
    return -1
