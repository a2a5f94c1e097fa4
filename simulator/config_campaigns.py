"""Channels and campaigns: what can be sent, to whom, when, and what it costs and earns."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from simulator.config_fields import (
    N_CATEGORIES,
    Days,
    Euros,
    Gain,
    Hours,
    MisfitError,
    Model,
    NonNegative,
    Positive,
    SlotName,
)

ChannelName = Literal["push", "email", "in_app", "sms"]
CHANNELS: tuple[ChannelName, ...] = ("push", "email", "in_app", "sms")
StageName = Literal["new", "active", "lapsing", "dormant"]
STAGES: tuple[StageName, ...] = ("new", "active", "lapsing", "dormant")
TriggerName = Literal["browse", "cart", "dormancy", "order", "location"]
TRIGGERS: tuple[TriggerName, ...] = ("browse", "cart", "dormancy", "order", "location")


class Channel(Model):
    """One way to reach a user. Only push and e-mail act; in-app and SMS are rows that no preset opens yet."""

    is_open: bool = False
    cost_eur: Euros = 0.0
    fatigue: Gain = Field(1.0, description="phi: push-equivalents of fatigue per message")


class Channels(Model):
    """The channels that there are; a channel given in part keeps its other defaults."""

    push: Channel = Channel(is_open=True, cost_eur=0.00005, fatigue=1.0)
    email: Channel = Channel(is_open=True, cost_eur=0.0008, fatigue=0.35)
    in_app: Channel = Channel(is_open=False, cost_eur=0.0, fatigue=0.1)
    sms: Channel = Channel(is_open=False, cost_eur=0.04, fatigue=1.0)

    @model_validator(mode="before")
    @classmethod
    def _keep_the_defaults_of_the_channel(cls, given: Any) -> Any:
        """A channel of which only the cost is given keeps its own defaults, not those of a channel in general."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, field in cls.model_fields.items():
            if isinstance(given.get(name), dict):
                filled[name] = field.default.model_dump() | given[name]
        return filled

    @model_validator(mode="after")
    def _only_what_acts_is_open(self) -> Self:
        faults = [
            ((name, "is_open"), f"channel {name} cannot be opened yet; only push and email act")
            for name in ("in_app", "sms")
            if getattr(self, name).is_open
        ]
        if faults:
            raise MisfitError(faults)
        return self


class Audience(Model):
    """Whom a campaign is for. Stages are read from a nightly snapshot, so they are up to a day stale."""

    segments: tuple[SlotName, ...] | None = None
    tiers: tuple[SlotName, ...] | None = None
    stages: tuple[StageName, ...] | None = None
    os: tuple[Literal["android", "ios"], ...] | None = None
    needs_consent: bool = Field(False, description="only users who agreed to personal data being used")


class CampaignBase(Model):
    """What all kinds of campaigns share."""

    name: SlotName
    category: Annotated[int, Field(ge=0, lt=N_CATEGORIES)] = Field(
        description="interest that it speaks to; a browse, cart or order message speaks to what was browsed or bought"
    )
    bucket: Annotated[int, Field(ge=0, lt=N_CATEGORIES)] | None = Field(
        None, description="content bucket that wears out together; null: the category"
    )
    channels: tuple[ChannelName, ...] = ("push",)
    quality: Annotated[float, Field(ge=-3, le=3)] = Field(0.0, description="creative quality, logit")
    format: Literal["text", "image", "video"] = "text"
    is_personalised: bool = False
    urgency: Annotated[float, Field(ge=0, le=1)] = 0.0
    novelty_hours: Hours = Field(72.0, description="how fast the news wears off")
    margin_eur: Euros | None = Field(None, description="per conversion; null: the app's own")
    discount_eur: Euros = 0.0
    cost_eur: Euros = Field(0.0, description="per send, on top of the channel")
    budget_eur: Positive | None = Field(None, description="shared by all users; null: unlimited")
    per_user_cap: Annotated[int, Field(ge=1, le=255)] | None = None
    tags: tuple[SlotName, ...] = Field((), description="that caps may speak of")
    audience: Audience = Audience()


class Scheduled(CampaignBase):
    """Marketing with a window."""

    kind: Literal["scheduled"]
    start_day: NonNegative = 0.0
    end_day: Days | None = Field(None, description="null: until the horizon")
    repeat_days: Days | None = Field(None, description="fresh content every so many days; null: one creative")

    @model_validator(mode="after")
    def _window_opens_before_it_closes(self) -> Self:
        if self.end_day is not None and self.end_day <= self.start_day:
            window = f"closes (end_day {self.end_day:g}) before it opens (start_day {self.start_day:g})"
            raise MisfitError([(("end_day",), f"the window {window}")])
        return self


class Triggered(CampaignBase):
    """Opened by the user's own event, and gone after a while."""

    kind: Literal["triggered"]
    trigger: TriggerName
    delay_hours: Annotated[int, Field(ge=0, le=720)] = 1
    expiry_hours: Annotated[int, Field(ge=1, le=1440)] = 24
    dormancy_days: Days = Field(7.0, description="for trigger dormancy: days without a session")

    @model_validator(mode="after")
    def _opens_before_it_expires(self) -> Self:
        if self.expiry_hours <= self.delay_hours:
            window = f"expires (expiry_hours {self.expiry_hours}) before it opens (delay_hours {self.delay_hours})"
            raise MisfitError([(("expiry_hours",), window)])
        return self


class Transactional(CampaignBase):
    """About the user's own order: may pass marketing caps, hardly tires."""

    kind: Literal["transactional"]
    trigger: Literal["order"] = "order"
    delay_hours: Annotated[int, Field(ge=0, le=720)] = 0
    expiry_hours: Annotated[int, Field(ge=1, le=1440)] = 24

    @model_validator(mode="after")
    def _opens_before_it_expires(self) -> Self:
        if self.expiry_hours <= self.delay_hours:
            window = f"expires (expiry_hours {self.expiry_hours}) before it opens (delay_hours {self.delay_hours})"
            raise MisfitError([(("expiry_hours",), window)])
        return self


Campaign = Annotated[Scheduled | Triggered | Transactional, Field(discriminator="kind")]


def is_remembered(campaign: CampaignBase) -> bool:
    """Return whether a user's history remembers a campaign by itself: it has a cap, or an event opens it once."""
    return campaign.per_user_cap is not None or not isinstance(campaign, Scheduled)
