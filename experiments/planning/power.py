"""How many users an A/B test or a holdout needs, for how long, and what it could miss.

    rate = Rate("opt-out rate", control_prob=0.02)
    plan = plan_test(rate, effect=0.005, design=Design(treated_share=0.9), arrivals=Arrivals(users_per_day=800))
    print(plan.in_words())

Two-sided tests of a difference between two arms by the normal approximation. With N users of whom a share q is
treated, the difference has variance V/N: V0 without an effect, V1 with the effect d. Then

    power(N) = Phi((|d| sqrt(N) - z sqrt(V0)) / sqrt(V1)) + Phi((-|d| sqrt(N) - z sqrt(V0)) / sqrt(V1))
    N        = (z sqrt(V0) + z_power sqrt(V1))^2 / d^2        z of 1 - level / 2

The second term of the power is the chance to be clear on the wrong side; the sample size leaves it out, as is usual.
For tiny arms or rare events the approximation is rough: a plan says so when fewer than ten events are to be expected.

Source: Fleiss, Levin & Paik, Statistical methods for rates and proportions (3rd edition 2003), chapter 4,
without the continuity correction, for rates and unequal shares; Chow, Shao, Wang & Lokhnygina, Sample size calculations
in clinical research (3rd edition 2017), chapter 3, for means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from experiments.planning.design import Arrivals, Design
from experiments.planning.metrics import Metric, percent
from experiments.planning.sequential import best_rho, time_uniform_factor

DAYS_PER_WEEK = 7
FEWEST_EVENTS = 10.0  # rule of thumb: normal approximations of rates are poor below


def power(metric: Metric, effect: float, n_users: int, design: Design) -> float:
    """Return the probability that a test with so many users is clear when the effect is there.

    Args:
        effect: treated less control, in the metric's unit; 0 gives the level.
        n_users: of both arms, above 0. The design's own power is not looked at.
    """
    if not n_users > 0:
        raise ValueError(f"power: n_users: expected more than 0, got {n_users}")
    without, with_ = metric.spreads(effect, design.treated_share)
    shift = abs(effect) * math.sqrt(n_users / design.repeats.users_factor)
    bound = float(norm.isf(design.level / 2)) * math.sqrt(without)
    return float(norm.cdf((shift - bound) / math.sqrt(with_)) + norm.cdf((-shift - bound) / math.sqrt(with_)))


@dataclass(frozen=True)
class SampleSize:
    """How many users a test needs, and what for.

    Attributes:
        change: in words.
        effect: treated less control, in the metric's unit.
        design: what was asked.
        n_treated, n_control: users of the two arms.
        fewest_events: least number of events or of their absence to be expected in an arm; None where none are counted.
        is_watched: whether the test may be looked at all the time.
    """

    change: str
    effect: float
    design: Design
    n_treated: int
    n_control: int
    fewest_events: float | None
    is_watched: bool = False

    @property
    def n_users(self) -> int:
        """Users of both arms."""
        return self.n_treated + self.n_control

    @property
    def is_rough(self) -> bool:
        """Whether events are too few for the normal approximation."""
        return self.fewest_events is not None and self.fewest_events < FEWEST_EVENTS

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "sample_size",
            "change": self.change,
            "effect": self.effect,
            "treated_share": self.design.treated_share,
            "level": self.design.level,
            "power": self.design.power,
            "design_effect": self.design.repeats.design_effect,
            "n_treated": self.n_treated,
            "n_control": self.n_control,
            "fewest_events": self.fewest_events,
            "is_rough": self.is_rough,
            "is_watched": self.is_watched,
        }

    def in_words(self) -> str:
        """Return the size in a sentence."""
        watched = ", looking at any time," if self.is_watched else ""
        rough = ""
        if self.is_rough:
            rough = f" Only {self.fewest_events:.1f} events are to be expected in an arm: take this as a rough guide."
        return (
            f"To see {self.change} with a power of {percent(self.design.power)} at a two-sided level of "
            f"{percent(self.design.level)}{watched} takes {self.n_users:,} users: {self.n_treated:,} treated and "
            f"{self.n_control:,} others.{rough}"
        )


def users_needed(metric: Metric, effect: float, design: Design, *, is_watched: bool = False) -> SampleSize:
    """Return how many users see an effect.

    A test that is watched by `asymptotic_sequence`, planned for this number, needs (f + z_power)^2 V1 / d^2 users,
    where f = sqrt(-W(-level^2 / e)) stands for z: 1.9 times as many at a level of .05 and a power of .8. That is how
    many it takes at most: as a rule it is clear long before.

    Args:
        effect: treated less control, in the metric's unit, not 0.
        is_watched: the test may be looked at all the time.
    """
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"users_needed: effect: expected a finite number other than 0, got {effect:g}")
    without, with_ = metric.spreads(effect, design.treated_share)
    bound = float(norm.isf(design.level / 2)) * math.sqrt(without)
    if is_watched:
        bound = float(time_uniform_factor(np.asarray(1), best_rho(1, design.level), design.level)) * math.sqrt(with_)
    reach = float(norm.ppf(design.power)) * math.sqrt(with_)
    # Below a power of about a half * level the sum is negative and one user would do.
    n_users = max(bound + reach, 0.0) ** 2 / effect**2 * design.repeats.users_factor
    n_treated, n_control = (max(1, n) for n in design.split(n_users))
    fewest = metric.fewest_events(effect, n_treated, n_control)
    return SampleSize(metric.in_words(effect), effect, design, n_treated, n_control, fewest, is_watched)


def smallest_effect(metric: Metric, n_users: int, design: Design, *, is_increase: bool = True) -> float:
    """Return the minimum detectable effect, with its sign: what so many users see with the design's power.

    Raises:
        ValueError: even the largest possible change of a rate would not be seen.
    """
    if not n_users > 0:
        raise ValueError(f"smallest_effect: n_users: expected more than 0, got {n_users}")
    sign = 1.0 if is_increase else -1.0
    most = metric.largest_effect(is_increase=is_increase)

    def missing(size: float) -> float:
        return power(metric, sign * size, n_users, design) - design.power

    if math.isinf(most):
        spread = metric.spreads(0.0, design.treated_share)[0] * design.repeats.users_factor
        most = 20.0 * float(norm.isf(min(design.level / 2, 1 - design.power))) * math.sqrt(spread / n_users)
    else:
        most *= 1 - 1e-9
    if missing(most) < 0:
        way = "increase" if is_increase else "decrease"
        raise ValueError(
            f"smallest_effect: {metric.name}: expected users enough to see some {way}, got {n_users}, which see not "
            f"even the largest, by {most:.4g}, with a power of {design.power:g}"
        )
    return sign * float(brentq(missing, 0.0, most, xtol=1e-14, rtol=1e-12))


@dataclass(frozen=True)
class Plan:
    """How many users, and for how long.

    Attributes:
        size: users.
        arrivals: how they come in.
        days: until the last outcome is known.
    """

    size: SampleSize
    arrivals: Arrivals
    days: int

    @property
    def weeks(self) -> int:
        """Whole weeks: people differ by weekday, so each day should count as often as the others."""
        return math.ceil(self.days / DAYS_PER_WEEK)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "plan",
            "size": self.size.to_dict(),
            "users_per_day": self.arrivals.users_per_day,
            "users_at_start": self.arrivals.users_at_start,
            "observed_days": self.arrivals.observed_days,
            "days": self.days,
            "weeks": self.weeks,
        }

    def in_words(self) -> str:
        """Return the plan in a few sentences."""
        watched = f", each watched for {self.arrivals.observed_days} days" if self.arrivals.observed_days else ""
        weeks = "1 whole week" if self.weeks == 1 else f"{self.weeks} whole weeks"
        return (
            f"{self.size.in_words()} With {self.arrivals.users_at_start:,} users at the start and "
            f"{self.arrivals.users_per_day:,g} new ones a day{watched}, that is {self.days} days: plan {weeks}."
        )


def plan_test(metric: Metric, effect: float, design: Design, arrivals: Arrivals, *, is_watched: bool = False) -> Plan:
    """Return how many users see an effect, and after how many days they have come; arguments as in `users_needed`."""
    size = users_needed(metric, effect, design, is_watched=is_watched)
    return Plan(size, arrivals, arrivals.days_for(size.n_users))


def smallest_effect_in(
    metric: Metric, n_days: int, design: Design, arrivals: Arrivals, *, is_increase: bool = True
) -> float:
    """Return the minimum detectable effect of a test that runs for so many days, with its sign."""
    n_users = arrivals.users_by(n_days)
    if n_users == 0:
        raise ValueError(
            f"smallest_effect_in: n_days: expected more than the {arrivals.observed_days} days for which each user is "
            f"watched, got {n_days}"
        )
    return smallest_effect(metric, n_users, design, is_increase=is_increase)
