"""The scenario: everything a person decides about a population, its app, its campaigns and its channels.

A scenario is data. The classes here say which fields exist, in which unit and range; `experiments.config` reads
them from YAML and reports every fault at once; `simulator.law` turns them into the arrays that the engines use.
Only decisions are fields: whatever follows from them is derived elsewhere.

Sources of the defaults are given where each equation lives (`simulator/behaviour/`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.config_behaviour import Behaviour
from simulator.config_campaigns import (
    CHANNELS,
    STAGES,
    TRIGGERS,
    Campaign,
    CampaignBase,
    Channels,
    Scheduled,
    Transactional,
    Triggered,
    is_remembered,
)
from simulator.config_constraints import Constraints
from simulator.config_fields import (
    N_CATEGORIES,
    Correlation,
    Days,
    Gain,
    HourOfDay,
    Hours,
    Logit,
    MisfitError,
    Model,
    NonNegative,
    Positive,
    Probability,
    Rate,
    Shape,
    Share,
    SlotName,
    Strength,
    did_you_mean,
    names_used_twice,
)

# The rest of the project reads a scenario through this module alone.
__all__ = [
    "CHANNELS",
    "MAX_CAMPAIGNS",
    "MAX_SEGMENTS",
    "MAX_TIERS",
    "MAX_ZONES",
    "N_CATEGORIES",
    "STAGES",
    "TRIGGERS",
    "Behaviour",
    "Budgets",
    "Calendar",
    "Campaign",
    "CampaignBase",
    "Channels",
    "Constraints",
    "Correlations",
    "Gateway",
    "Holiday",
    "MisfitError",
    "Model",
    "OptIn",
    "Outage",
    "Population",
    "Scenario",
    "Scheduled",
    "Segment",
    "Tier",
    "TimeZone",
    "Transactional",
    "Triggered",
    "did_you_mean",
]

MAX_CAMPAIGNS = 64
MAX_SEGMENTS = 8
MAX_ZONES = 32
MAX_TIERS = 32
MAX_REMEMBERED = 16  # campaigns of which the history remembers each by itself

# ------------------------------------------------------------------------------------------------------------- calendar


class Holiday(Model):
    """Days on which people behave otherwise: more (or less) demand, more competing messages."""

    name: str
    month: Annotated[int, Field(ge=1, le=12)]
    day: Annotated[int, Field(ge=1, le=31)]
    days: Annotated[int, Field(ge=1, le=31)] = 1
    demand: Annotated[float, Field(ge=-0.9, le=5)] = Field(0.3, description="added to the seasonal index")
    competition: Annotated[float, Field(ge=0, le=3)] = Field(1.0, description="competing volume X, lowers opens")

    @model_validator(mode="after")
    def _is_a_date(self) -> Self:
        try:
            dt.date(2024, self.month, self.day)
        except ValueError:
            raise MisfitError([(("day",), f"month {self.month} has no day {self.day}")]) from None
        return self


class Calendar(Model):
    """When the simulation starts, how long it lasts, and the year's rhythm."""

    start: Annotated[dt.date, Field(ge=dt.date(1970, 1, 1), le=dt.date(2200, 1, 1))] = Field(
        dt.date(2026, 1, 5), description="UTC date of hour 0"
    )
    horizon_days: Annotated[int, Field(ge=1, le=1100)] = 182
    epoch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(1, description="hours between decisions")
    season_amplitude: Annotated[float, Field(ge=0, lt=1)] = 0.08
    season_peak_day: Annotated[int, Field(ge=1, le=366)] = 350
    weekend_factor: Rate = Field(1.1, description="weekend sessions relative to a weekday")
    holidays: tuple[Holiday, ...] = ()


# ----------------------------------------------------------------------------------------------------------- population


class Segment(Model):
    """A part of the population with its own day: its peaks, and by how many hours its clock is shifted."""

    name: SlotName
    share: Share
    shift_hours: Annotated[float, Field(ge=-12, le=12)] = 0.0
    peak_hours: tuple[HourOfDay, HourOfDay, HourOfDay] = (8.0, 12.5, 20.5)
    extra_peak_hour: HourOfDay | None = None
    is_flat: bool = Field(False, description="sessions spread evenly over 7-24 h instead of peaks")


class Tier(Model):
    """How much a user is worth to the app."""

    name: SlotName
    share: Share
    value: Gain = Field(1.0, description="multiplies the value of a session")


class TimeZone(Model):
    """Whole hours from UTC, with daylight saving by the rule of the EU, the US, or none."""

    name: SlotName
    share: Share
    offset_hours: Annotated[int, Field(ge=-12, le=14)] = 0
    daylight_saving: Literal["none", "eu", "us"] = "none"


class Correlations(Model):
    """Gaussian-copula correlations between traits."""

    sessions_churn: Correlation = -0.4
    sessions_openness: Correlation = 0.3
    openness_sensitivity: Correlation = -0.3


class OptIn(Model):
    """Shares of users who accept each channel when they install."""

    android: Probability = 0.67
    ios: Probability = 0.56
    email: Probability = 0.70


class Population(Model):
    """Who is there: how many, how they differ, when they install."""

    n_users: Annotated[int, Field(ge=1, le=4_000_000_000)] = 10_000
    mature_share: Share = Field(1.0, description="users there before hour 0; the rest install during the horizon")
    mature_age_days: Days = Field(365.0, description="mean age of a mature user at hour 0 (exponential)")
    arrival_days: Days | None = Field(None, description="new users install evenly over these days; null: horizon")
    segments: tuple[Segment, ...]
    tiers: tuple[Tier, ...]
    time_zones: tuple[TimeZone, ...] = (TimeZone(name="utc", share=1.0),)
    sessions_per_day: Rate
    sessions_shape: Shape = Field(0.4, description="Gamma shape of the session rate; small = very unequal")
    churn_shape: Shape = 0.8
    churn_scale_days: Days = 50.0
    tourist_share: Share = Field(0.25, description="new users who leave within hours")
    tourist_life_hours: Hours = 12.0
    chronotype_sd_hours: NonNegative = 1.5
    open_bias_sd: Strength = 0.9
    channel_affinity_sd: Strength = 0.4
    sensitivity_cv: Strength = Field(0.7, description="coefficient of variation of irritability, mean 1")
    attention_shape: Shape = 1.2
    interest_concentration: Shape = Field(2.0, description="Dirichlet concentration of interests")
    interest_zipf: Strength = Field(0.9, description="popularity of category k falls as k ** -zipf")
    interest_drift_days: Annotated[float, Field(ge=0.1, le=10_000)] | None = Field(
        60.0, description="mean days until one interest is redrawn; null: never"
    )
    android_share: Share = 0.6
    android_logit: Logit = 0.35
    device_shares: tuple[Share, Share, Share] = (0.7, 0.22, 0.08)
    are_devices_deduplicated: bool = False
    consent_share: Share = 0.8
    muted_category_share: Share = Field(0.0, description="chance that a user has muted a category, each")
    opt_in: OptIn = OptIn()
    correlations: Correlations = Correlations()

    @model_validator(mode="after")
    def _shares_sum(self) -> Self:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        for what, shares, most in (
            ("segments", [s.share for s in self.segments], MAX_SEGMENTS),
            ("tiers", [t.share for t in self.tiers], MAX_TIERS),
            ("time_zones", [z.share for z in self.time_zones], MAX_ZONES),
            ("device_shares", list(self.device_shares), None),
        ):
            if not shares:
                faults.append(((what,), "the list is empty; expected at least one entry"))
            elif abs(sum(shares) - 1) > 1e-9:
                faults.append(((what,), f"the shares sum to {sum(shares):.6g}; expected 1"))
            if most is not None and len(shares) > most:
                faults.append(((what,), f"expected at most {most} entries, got {len(shares)}"))
        faults += names_used_twice("segments", [s.name for s in self.segments])
        faults += names_used_twice("tiers", [t.name for t in self.tiers])
        faults += names_used_twice("time_zones", [z.name for z in self.time_zones])
        if faults:
            raise MisfitError(faults)
        return self


# -------------------------------------------------------------------------------------------------------------- gateway


class Outage(Model):
    """Hours in which the gateway stands still; what waits goes out afterwards."""

    start_hour: NonNegative
    hours: Hours


class Gateway(Model):
    """The shared pipe to the push and e-mail providers."""

    per_hour: Positive | None = Field(None, description="messages that it can take in an hour; null: unlimited")
    latency_seconds: NonNegative = Field(0.0, description="mean time from dispatch to device, exponential")
    outages: tuple[Outage, ...] = ()


class Budgets(Model):
    """What all users share, beside the budgets of single campaigns and the gateway."""

    total_eur: Positive | None = Field(None, description="for the costs of all sends; null: unlimited")
    sends_per_hour: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(None, description="null: unlimited")


# ------------------------------------------------------------------------------------------------------------- scenario


class Scenario(Model):
    """One population, one app, its campaigns: all that a simulation needs but the policy."""

    kind: Literal["scenario"] = "scenario"
    name: SlotName
    title: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    calendar: Calendar = Calendar()
    population: Population
    behaviour: Behaviour = Behaviour()
    channels: Channels = Channels()
    campaigns: Annotated[tuple[Campaign, ...], Field(max_length=MAX_CAMPAIGNS)] = ()
    constraints: Constraints = Constraints()
    gateway: Gateway = Gateway()
    budgets: Budgets = Budgets()

    @model_validator(mode="after")
    def _campaigns_fit(self) -> Self:
        faults = names_used_twice("campaigns", [c.name for c in self.campaigns])
        for index, campaign in enumerate(self.campaigns):
            faults += [(("campaigns", index, *path), what) for path, what in self._misfits_of(campaign)]
        remembered = [index for index, campaign in enumerate(self.campaigns) if is_remembered(campaign)]
        for index in remembered[MAX_REMEMBERED:]:
            what = (
                f"expected at most {MAX_REMEMBERED} campaigns that are triggered, transactional or have a cap for each "
                f"user, got {len(remembered)}"
            )
            faults.append((("campaigns", index), what))
        zones = [zone.name for zone in self.population.time_zones]
        asked = self.constraints.project_zone
        if asked is not None and asked not in zones:
            what = f"no {asked!r} in population.time_zones; known: {', '.join(zones)}.{did_you_mean(asked, zones)}"
            faults.append((("constraints", "project_zone"), what))
        horizon_hours = 24 * self.calendar.horizon_days
        for index, outage in enumerate(self.gateway.outages):
            if outage.start_hour >= horizon_hours:
                late = f"starts at hour {outage.start_hour:g}, after the horizon of {horizon_hours} hours"
                faults.append((("gateway", "outages", index, "start_hour"), late))
        if faults:
            raise MisfitError(faults)
        return self

    def _misfits_of(self, campaign: CampaignBase) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what of one campaign does not fit the rest: audience, channels, window."""
        faults: list[tuple[tuple[str | int, ...], str]] = []
        android = self.population.android_share
        audiences: tuple[tuple[str, tuple[str, ...] | None, dict[str, float]], ...] = (
            ("segments", campaign.audience.segments, {s.name: s.share for s in self.population.segments}),
            ("tiers", campaign.audience.tiers, {t.name: t.share for t in self.population.tiers}),
            ("stages", campaign.audience.stages, dict.fromkeys(STAGES, 1.0)),
            ("os", campaign.audience.os, {"android": android, "ios": 1 - android}),
        )
        for key, asked, shares in audiences:
            if asked is None:
                continue
            path = ("audience", key)
            unknown = [(place, name) for place, name in enumerate(asked) if name not in shares]
            for place, name in unknown:
                hint = did_you_mean(name, shares)
                faults.append(((*path, place), f"no {name!r} in the population; known: {', '.join(shares)}.{hint}"))
            if not asked:
                faults.append((path, "the audience is empty: the list has no entry; leave the key out for everybody"))
            elif not unknown and sum(shares[name] for name in asked) == 0:
                faults.append((path, f"the audience is empty: nobody is {' or '.join(asked)}"))
        if not campaign.channels:
            faults.append((("channels",), f"the list is empty; expected some of {', '.join(CHANNELS)}"))
        for place, channel in enumerate(campaign.channels):
            if not getattr(self.channels, channel).is_open:
                faults.append((("channels", place), f"channel {channel} is not open"))
            if channel in campaign.channels[:place]:
                faults.append((("channels", place), f"channel {channel} is listed twice"))
        if isinstance(campaign, Scheduled) and campaign.start_day >= self.calendar.horizon_days:
            late = f"starts on day {campaign.start_day:g}, after the horizon of {self.calendar.horizon_days} days"
            faults.append((("start_day",), late))
        return faults
