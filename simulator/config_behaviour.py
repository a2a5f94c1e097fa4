"""How users behave, as a person decides it: sessions, attention, response, fatigue, withdrawal, churn, orders.

The equations, with the sources of the defaults, are in `simulator/behaviour/`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from simulator.config_fields import (
    Days,
    Euros,
    Gain,
    HourOfDay,
    Hours,
    Logit,
    MisfitError,
    Model,
    Probability,
    Rate,
    Share,
    Strength,
)


class Sessions(Model):
    """Organic use of the app: rhythm, satiation, forgetting, habit, honeymoon."""

    peak_weights: tuple[Gain, Gain, Gain] = Field(
        (0.45, 0.45, 1.0), description="weights of the morning, noon and evening peaks"
    )
    satiation: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="rho: share of the urge a session uses up")
    satiation_hours: Hours = Field(12.0, description="tau_R: time constant of satiation")
    floor: Annotated[float, Field(gt=0, le=1)] = Field(0.65, description="m0: share of the rate left when forgotten")
    salience_days: Days = Field(10.0, description="tau_M: time constant of forgetting")
    habit_gain: Strength = Field(0.01, description="j_E: habit added by one session")
    habit_days: Days = Field(14.0, description="tau_E: time constant of habit")
    honeymoon_gain: Gain = Field(3.0, description="n0: extra rate of a new user, relative")
    honeymoon_hours: Hours = 84.0
    dissatisfaction_drag: Gain = Field(1.0, description="chi_D: how dissatisfaction lowers use and raises churn")
    browse_prob: Probability = Field(0.25, description="a session leaves an intent to browse")
    intent_hours: Hours = Field(18.0, description="tau_J: time constant of intent")
    cart_prob: Probability = Field(0.3, description="a browse leaves a cart")
    survey_prob: Probability = 0.02


class Attention(Model):
    """How soon a waiting message is noticed."""

    push_per_hour: Rate = Field(2.0, description="mean notice rate of a push at full attention")
    email_per_hour: Rate = 0.25
    asleep: Gain = Field(0.06, description="attention at night, relative")
    awake_hours: tuple[HourOfDay, HourOfDay] = (7.0, 23.5)
    awake: Gain = 0.85
    evening: Gain = Field(0.45, description="extra attention around 20:30")

    @model_validator(mode="after")
    def _wakes_before_sleeping(self) -> Self:
        if self.awake_hours[0] >= self.awake_hours[1]:
            hours = f"{self.awake_hours[0]:g} to {self.awake_hours[1]:g}"
            raise MisfitError([(("awake_hours",), f"expected hours that rise, got {hours}")])
        return self


class Response(Model):
    """Opening, clicking: the logit of an open and what moves it."""

    push_logit: Logit = -3.55
    email_logit: Logit = -1.4
    in_app_logit: Logit = -2.0
    relevance: Logit = Field(0.8, description="beta_R per standard deviation of interest")
    intent: Logit = Field(1.35, description="beta_J when the message matches what was browsed")
    context: Logit = Field(0.8, description="beta_C of a location message in place")
    urgency: Logit = 0.3
    novelty: Logit = 0.5
    fatigue: Gain = Field(0.10, description="beta_F per push-equivalent of fatigue")
    habituation: Gain = Field(0.30, description="beta_H per unit of habituation to the bucket")
    competition: Gain = Field(0.3, description="beta_X per unit of competing volume")
    waiting: Gain = Field(0.7, description="beta_W: loss of appeal of a message noticed late")
    waiting_hours: Hours = 6.0
    crowding: Gain = Field(0.15, description="loss per other message waiting")
    email_click_prob: Probability = Field(0.13, description="of an opened e-mail")


class Fatigue(Model):
    """Tiredness of messages as such (fast) and of one kind of content (slow)."""

    fatigue_hours: Hours = Field(96.0, description="tau_F")
    habituation_half_life_days: Days = 15.0
    habituation_reset: Annotated[float, Field(ge=0, le=1)] = Field(
        0.35, description="omega: 1 recency only, 0 cumulative"
    )


class Withdrawal(Model):
    """Irritation by channel, and giving up a channel because of it."""

    irritation_hours: Hours = Field(48.0, description="tau_I")
    push_prob: Strength = Field(0.0016, description="pi_P: opt-out probability per unit of irritation")
    email_prob: Strength = 0.0035
    in_app_prob: Strength = 0.0
    fatigue_gain: Gain = Field(0.15, description="kappa_F: fatigue amplifies irritation")
    relevance_relief: Annotated[float, Field(ge=0, le=1)] = Field(
        0.7, description="psi: a relevant message irritates less"
    )
    night_factor: Annotated[float, Field(ge=1, le=100)] = Field(3.0, description="Q: a push at night irritates more")
    night_hours: tuple[HourOfDay, HourOfDay] = Field((22.0, 8.0), description="local; may pass midnight")
    opt_in_again_prob: Probability = Field(0.002, description="per session, after an opt-out")
    complaint_prob: Probability = Field(0.05, description="of e-mail opt-outs")
    dissatisfaction_gain: Strength = Field(0.010, description="delta_D: irritation that settles as dissatisfaction")
    dissatisfaction_email: Strength = Field(0.3, description="e-mail counts for this much")
    dissatisfaction_hours: Hours = Field(1440.0, description="tau_D")


class Churn(Model):
    """Leaving for good."""

    habit_shield: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="chi_E: habit ** -chi_E lowers the hazard"
    )
    irritation_prob: Strength = Field(0.0003, description="pi_X: churn probability per unit of irritation")
    email_weight: Strength = 0.3
    in_app_weight: Strength = 0.2
    uninstall_seen_days: Gain = Field(3.0, description="mean days until the sender knows")


class Delivery(Model):
    """What happens between dispatch and the device."""

    android_prob: Probability = 0.95
    ios_prob: Probability = 0.98
    email_prob: Probability = 0.99
    stale_hazard_per_day: Strength = Field(0.08 / 90, description="a token goes stale while the app is not used")
    offline_prob: Probability = 0.12
    offline_hours: Hours = 5.0
    push_life_hours: Hours = Field(24.0, description="TTL")
    email_life_hours: Hours = 72.0


class Conversion(Model):
    """Buying, and paying later."""

    driven_logit: Logit = Field(-3.7, description="zeta, after a session that a message drove")
    organic_prob: Probability = Field(0.02, description="p0, after an organic session")
    relevance: Logit = 0.4
    intent: Logit = 0.5
    margin_eur: Euros = 9.0
    need_used: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="share of the need that a purchase uses up")
    need_days: Days = Field(14.0, description="tau_N: until the need is back")
    fast_share: Share = 0.4
    fast_hours: Hours = 0.5
    slow_hours: Hours = 130.0


class Value(Model):
    """What is worth money beside orders: a session, and (as a cost) a complaint."""

    session_eur: Euros = 0.01
    complaint_eur: Euros = 2.0


class Context(Model):
    """Near a store, or not: a two-state Markov process that opens location messages."""

    on_hours: Annotated[float, Field(ge=0.5, le=100_000)] = 2.0
    off_hours: Annotated[float, Field(ge=0.5, le=100_000)] = 72.0


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
