"""The scenario: everything a person decides about a population, its app, its campaigns and its channels.

A scenario is data. The classes here say which fields exist, in which unit and range; `experiments.config` reads
them from YAML and reports every fault at once; `simulator.law` turns them into the arrays that the engines use.
Only decisions are fields: whatever follows from them is derived elsewhere.

Sources of the defaults are given where each equation lives (`simulator/behaviour/`).
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

N_CATEGORIES = 8
MAX_CAMPAIGNS = 64
MAX_SEGMENTS = 8
MAX_ZONES = 32

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
HourOfDay = Annotated[float, Field(ge=0, le=24)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]
SlotName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]

ChannelName = Literal["push", "email", "in_app", "sms"]
CHANNELS: tuple[ChannelName, ...] = ("push", "email", "in_app", "sms")
StageName = Literal["new", "active", "lapsing", "dormant"]
STAGES: tuple[StageName, ...] = ("new", "active", "lapsing", "dormant")
TriggerName = Literal["browse", "cart", "dormancy", "order", "location"]
TRIGGERS: tuple[TriggerName, ...] = ("browse", "cart", "dormancy", "order", "location")


class Model(BaseModel):
    """Strict, frozen, no unknown keys, no infinities: a fault is an error, never a guess."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class MisfitError(ValueError):
    """Fields that are fine one by one and do not fit together: every such place of one model, at once.

    Args:
        faults: pairs of a path below the model that raises (so that a reader can point at the line) and of what is
            wrong there; at least one.
    """

    def __init__(self, faults: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {what}" for path, what in self.faults))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest of the known names, or "" when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


# ---------------------------------------------------------------------------------------------------- calendar


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

    start: dt.date = Field(dt.date(2026, 1, 5), description="UTC date of hour 0")
    horizon_days: Annotated[int, Field(ge=1, le=1100)] = 182
    epoch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(1, description="hours between decisions")
    season_amplitude: Annotated[float, Field(ge=0, lt=1)] = 0.08
    season_peak_day: Annotated[int, Field(ge=1, le=366)] = 350
    weekend_factor: Positive = Field(1.1, description="weekend sessions relative to a weekday")
    holidays: tuple[Holiday, ...] = ()


# -------------------------------------------------------------------------------------------------- population


class Segment(Model):
    """A part of the population with its own day: its peaks, and by how many hours its clock is shifted."""

    name: SlotName
    share: Share
    shift_hours: Annotated[float, Field(ge=-12, le=12)] = 0.0
    peak_hours: tuple[HourOfDay, HourOfDay, HourOfDay] = (8.0, 12.5, 20.5)
    extra_peak_hour: HourOfDay | None = None
    is_flat: bool = Field(False, description="sessions spread evenly over 7-24 h instead of peaks")


class Tier(Model):
    name: SlotName
    share: Share
    value: NonNegative = Field(1.0, description="multiplies the value of a session")


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
    android: Probability = 0.67
    ios: Probability = 0.56
    email: Probability = 0.70


class Population(Model):
    """Who is there: how many, how they differ, when they install."""

    n_users: Annotated[int, Field(ge=1, le=4_000_000_000)] = 10_000
    mature_share: Share = Field(1.0, description="users there before hour 0; the rest install during the horizon")
    mature_age_days: Positive = Field(365.0, description="mean age of a mature user at hour 0 (exponential)")
    arrival_days: Positive | None = Field(None, description="new users install evenly over these days; null: horizon")
    segments: tuple[Segment, ...]
    tiers: tuple[Tier, ...]
    time_zones: tuple[TimeZone, ...] = (TimeZone(name="utc", share=1.0),)
    sessions_per_day: Positive
    sessions_shape: Positive = Field(0.4, description="Gamma shape of the session rate; small = very unequal")
    churn_shape: Positive = 0.8
    churn_scale_days: Positive = 50.0
    tourist_share: Share = Field(0.25, description="new users who leave within hours")
    tourist_life_hours: Positive = 12.0
    chronotype_sd_hours: NonNegative = 1.5
    open_bias_sd: NonNegative = 0.9
    channel_affinity_sd: NonNegative = 0.4
    sensitivity_cv: NonNegative = Field(0.7, description="coefficient of variation of irritability, mean 1")
    attention_shape: Positive = 1.2
    interest_concentration: Positive = Field(2.0, description="Dirichlet concentration of interests")
    interest_zipf: NonNegative = Field(0.9, description="popularity of category k falls as k ** -zipf")
    interest_drift_days: Positive | None = Field(
        60.0, description="mean days until one interest is redrawn; null: never"
    )
    android_share: Share = 0.6
    android_logit: float = 0.35
    device_shares: tuple[Share, Share, Share] = (0.7, 0.22, 0.08)
    are_devices_deduplicated: bool = False
    consent_share: Share = 0.8
    opt_in: OptIn = OptIn()
    correlations: Correlations = Correlations()

    @model_validator(mode="after")
    def _shares_sum(self) -> Self:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        for what, shares, most in (
            ("segments", [s.share for s in self.segments], MAX_SEGMENTS),
            ("tiers", [t.share for t in self.tiers], None),
            ("time_zones", [z.share for z in self.time_zones], MAX_ZONES),
            ("device_shares", list(self.device_shares), None),
        ):
            if not shares:
                faults.append(((what,), "the list is empty; expected at least one entry"))
            elif abs(sum(shares) - 1) > 1e-9:
                faults.append(((what,), f"the shares sum to {sum(shares):.6g}; expected 1"))
            if most is not None and len(shares) > most:
                faults.append(((what,), f"expected at most {most} entries, got {len(shares)}"))
        faults += _names_used_twice("segments", [s.name for s in self.segments])
        faults += _names_used_twice("tiers", [t.name for t in self.tiers])
        faults += _names_used_twice("time_zones", [z.name for z in self.time_zones])
        if faults:
            raise MisfitError(faults)
        return self


# --------------------------------------------------------------------------------------------------- behaviour


class Sessions(Model):
    """Organic use of the app: rhythm, satiation, forgetting, habit, honeymoon."""

    peak_weights: tuple[NonNegative, NonNegative, NonNegative] = Field(
        (0.45, 0.45, 1.0), description="weights of the morning, noon and evening peaks"
    )
    satiation: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="rho: share of the urge a session uses up")
    satiation_hours: Positive = Field(12.0, description="tau_R: time constant of satiation")
    floor: Annotated[float, Field(gt=0, le=1)] = Field(0.65, description="m0: share of the rate left when forgotten")
    salience_days: Positive = Field(10.0, description="tau_M: time constant of forgetting")
    habit_gain: NonNegative = Field(0.01, description="j_E: habit added by one session")
    habit_days: Positive = Field(14.0, description="tau_E: time constant of habit")
    honeymoon_gain: NonNegative = Field(3.0, description="n0: extra rate of a new user, relative")
    honeymoon_hours: Positive = 84.0
    dissatisfaction_drag: NonNegative = Field(1.0, description="chi_D: how dissatisfaction lowers use and raises churn")
    browse_prob: Probability = Field(0.25, description="a session leaves an intent to browse")
    intent_hours: Positive = Field(18.0, description="tau_J: time constant of intent")
    cart_prob: Probability = Field(0.3, description="a browse leaves a cart")
    survey_prob: Probability = 0.02


class Attention(Model):
    """How soon a waiting message is noticed."""

    push_per_hour: Positive = Field(2.0, description="mean notice rate of a push at full attention")
    email_per_hour: Positive = 0.25
    asleep: NonNegative = Field(0.06, description="attention at night, relative")
    awake_hours: tuple[HourOfDay, HourOfDay] = (7.0, 23.5)
    awake: NonNegative = 0.85
    evening: NonNegative = Field(0.45, description="extra attention around 20:30")

    @model_validator(mode="after")
    def _wakes_before_sleeping(self) -> Self:
        if self.awake_hours[0] >= self.awake_hours[1]:
            hours = f"{self.awake_hours[0]:g} to {self.awake_hours[1]:g}"
            raise MisfitError([(("awake_hours",), f"expected hours that rise, got {hours}")])
        return self


class Response(Model):
    """Opening, clicking: the logit of an open and what moves it."""

    push_logit: float = -3.55
    email_logit: float = -1.4
    in_app_logit: float = -2.0
    relevance: float = Field(0.8, description="beta_R per standard deviation of interest")
    intent: float = Field(1.35, description="beta_J when the message matches what was browsed")
    context: float = Field(0.8, description="beta_C of a location message in place")
    urgency: float = 0.3
    novelty: float = 0.5
    fatigue: NonNegative = Field(0.10, description="beta_F per push-equivalent of fatigue")
    habituation: NonNegative = Field(0.30, description="beta_H per unit of habituation to the bucket")
    competition: NonNegative = Field(0.3, description="beta_X per unit of competing volume")
    waiting: NonNegative = Field(0.7, description="beta_W: loss of appeal of a message noticed late")
    waiting_hours: Positive = 6.0
    crowding: NonNegative = Field(0.15, description="loss per other message waiting")
    email_click_prob: Probability = Field(0.13, description="of an opened e-mail")


class Fatigue(Model):
    """Tiredness of messages as such (fast) and of one kind of content (slow)."""

    fatigue_hours: Positive = Field(96.0, description="tau_F")
    habituation_half_life_days: Positive = 15.0
    habituation_reset: Annotated[float, Field(ge=0, le=1)] = Field(
        0.35, description="omega: 1 recency only, 0 cumulative"
    )


class Withdrawal(Model):
    """Irritation by channel, and giving up a channel because of it."""

    irritation_hours: Positive = Field(48.0, description="tau_I")
    push_prob: NonNegative = Field(0.0016, description="pi_P: opt-out probability per unit of irritation")
    email_prob: NonNegative = 0.0035
    in_app_prob: NonNegative = 0.0
    fatigue_gain: NonNegative = Field(0.15, description="kappa_F: fatigue amplifies irritation")
    relevance_relief: Annotated[float, Field(ge=0, le=1)] = Field(
        0.7, description="psi: a relevant message irritates less"
    )
    night_factor: Annotated[float, Field(ge=1)] = Field(3.0, description="Q: a push at night irritates more")
    night_hours: tuple[HourOfDay, HourOfDay] = Field((22.0, 8.0), description="local; may pass midnight")
    opt_in_again_prob: Probability = Field(0.002, description="per session, after an opt-out")
    complaint_prob: Probability = Field(0.05, description="of e-mail opt-outs")
    dissatisfaction_gain: NonNegative = Field(0.010, description="delta_D: irritation that settles as dissatisfaction")
    dissatisfaction_email: NonNegative = Field(0.3, description="e-mail counts for this much")
    dissatisfaction_hours: Positive = Field(1440.0, description="tau_D")


class Churn(Model):
    """Leaving for good."""

    habit_shield: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="chi_E: habit ** -chi_E lowers the hazard"
    )
    irritation_prob: NonNegative = Field(0.0003, description="pi_X: churn probability per unit of irritation")
    email_weight: NonNegative = 0.3
    in_app_weight: NonNegative = 0.2
    uninstall_seen_days: NonNegative = Field(3.0, description="mean days until the sender knows")


class Delivery(Model):
    """What happens between dispatch and the device."""

    android_prob: Probability = 0.95
    ios_prob: Probability = 0.98
    email_prob: Probability = 0.99
    stale_hazard_per_day: NonNegative = Field(0.08 / 90, description="a token goes stale while the app is not used")
    offline_prob: Probability = 0.12
    offline_hours: Positive = 5.0
    push_life_hours: Positive = Field(24.0, description="TTL")
    email_life_hours: Positive = 72.0


class Conversion(Model):
    """Buying, and paying later."""

    driven_logit: float = Field(-3.7, description="zeta, after a session that a message drove")
    organic_prob: Probability = Field(0.02, description="p0, after an organic session")
    relevance: float = 0.4
    intent: float = 0.5
    margin_eur: NonNegative = 9.0
    need_used: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="share of the need that a purchase uses up")
    need_days: Positive = Field(14.0, description="tau_N: until the need is back")
    fast_share: Share = 0.4
    fast_hours: Positive = 0.5
    slow_hours: Positive = 130.0


class Value(Model):
    session_eur: NonNegative = 0.01
    complaint_eur: NonNegative = 2.0


class Context(Model):
    """Near a store, or not: a two-state Markov process that opens location messages."""

    on_hours: Positive = 2.0
    off_hours: Positive = 72.0


class Behaviour(Model):
    sessions: Sessions = Sessions()
    attention: Attention = Attention()
    response: Response = Response()
    fatigue: Fatigue = Fatigue()
    withdrawal: Withdrawal = Withdrawal()
    churn: Churn = Churn()
    delivery: Delivery = Delivery()
    conversion: Conversion = Conversion()
    value: Value = Value()
    context: Context = Context()


# --------------------------------------------------------------------------------------- channels and campaigns


class Channel(Model):
    """One way to reach a user. Only push and e-mail act; in-app and SMS are rows that no preset opens yet."""

    is_open: bool = False
    cost_eur: NonNegative = 0.0
    fatigue: NonNegative = Field(1.0, description="phi: push-equivalents of fatigue per message")


class Channels(Model):
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
    name: SlotName
    category: Annotated[int, Field(ge=0, lt=N_CATEGORIES)] = Field(description="interest that it speaks to")
    bucket: Annotated[int, Field(ge=0, lt=N_CATEGORIES)] | None = Field(
        None, description="content bucket that wears out together; null: the category"
    )
    channels: tuple[ChannelName, ...] = ("push",)
    quality: Annotated[float, Field(ge=-3, le=3)] = Field(0.0, description="creative quality, logit")
    format: Literal["text", "image", "video"] = "text"
    is_personalised: bool = False
    urgency: Annotated[float, Field(ge=0, le=1)] = 0.0
    novelty_hours: Positive = Field(72.0, description="how fast the news wears off")
    margin_eur: NonNegative | None = Field(None, description="per conversion; null: the app's own")
    discount_eur: NonNegative = 0.0
    cost_eur: NonNegative = Field(0.0, description="per send, on top of the channel")
    budget_eur: Positive | None = Field(None, description="shared by all users; null: unlimited")
    per_user_cap: Annotated[int, Field(ge=1, le=255)] | None = None
    audience: Audience = Audience()


class Scheduled(CampaignBase):
    """Marketing with a window."""

    kind: Literal["scheduled"]
    start_day: NonNegative = 0.0
    end_day: Positive | None = Field(None, description="null: until the horizon")
    repeat_days: Positive | None = Field(None, description="fresh content every so many days; null: one creative")

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
    dormancy_days: Positive = Field(7.0, description="for trigger dormancy: days without a session")

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


# ----------------------------------------------------------------------------------------------------- gateway


class Outage(Model):
    start_hour: NonNegative
    hours: Positive


class Gateway(Model):
    """The shared pipe to the push and e-mail providers."""

    per_hour: Positive | None = Field(None, description="messages that it can take in an hour; null: unlimited")
    latency_seconds: NonNegative = Field(0.0, description="mean time from dispatch to device, exponential")
    outages: tuple[Outage, ...] = ()


# ---------------------------------------------------------------------------------------------------- scenario


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
    gateway: Gateway = Gateway()

    @model_validator(mode="after")
    def _campaigns_fit(self) -> Self:
        faults = _names_used_twice("campaigns", [c.name for c in self.campaigns])
        for index, campaign in enumerate(self.campaigns):
            faults += [(("campaigns", index, *path), what) for path, what in self._misfits_of(campaign)]
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


def _names_used_twice(what: str, names: list[str]) -> list[tuple[tuple[str | int, ...], str]]:
    return [
        ((what, index, "name"), f"the name {name!r} is used twice; names must differ")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
