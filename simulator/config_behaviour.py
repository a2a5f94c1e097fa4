"""How users behave, as a person decides it: sessions, attention, response, fatigue, withdrawal, churn, orders.

The equations, with the sources of the defaults, are in `simulator/behaviour/`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from simulator.config_fields import HourOfDay, MisfitError, Model, NonNegative, Positive, Probability, Share


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
    """What is worth money beside orders: a session, and (as a cost) a complaint."""

    session_eur: NonNegative = 0.01
    complaint_eur: NonNegative = 2.0


class Context(Model):
    """Near a store, or not: a two-state Markov process that opens location messages."""

    on_hours: Positive = 2.0
    off_hours: Positive = 72.0


class Behaviour(Model):
    """Everything about how users behave; each part has defaults."""

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
