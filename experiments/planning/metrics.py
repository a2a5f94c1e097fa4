"""What a test compares, one number a user: a rate or an amount, and how much it spreads.

Source of the spreads: Fleiss, Levin & Paik, Statistical methods for rates and proportions (3rd edition 2003),
chapter 4, for rates and unequal shares; Chow, Shao, Wang & Lokhnygina, Sample size calculations in clinical research
(3rd edition 2017), chapter 3, for means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from experiments.planning.trial import require_inside


class Metric(Protocol):
    """What is compared, one number a user."""

    @property
    def name(self) -> str:
        """For messages."""

    def spreads(self, effect: float, treated_share: float) -> tuple[float, float]:
        """Return V0 and V1: N times the variance of the difference, without and with the effect."""

    def fewest_events(self, effect: float, n_treated: int, n_control: int) -> float | None:
        """Return the least number of events, or of their absence, to be expected in an arm; None: not counted."""

    def largest_effect(self, *, is_increase: bool) -> float:
        """Return the bound that effects stay below, in absolute value; may be infinite."""

    def in_words(self, effect: float) -> str:
        """Return the change in words."""


@dataclass(frozen=True)
class Rate:
    """A share of users: who opted out, who was still there after four weeks.

    Attributes:
        name: for messages.
        control_prob: in the control arm, in (0, 1).
    """

    name: str
    control_prob: float

    def __post_init__(self) -> None:
        require_inside(f"rate {self.name!r}: control_prob", self.control_prob)

    def spreads(self, effect: float, treated_share: float) -> tuple[float, float]:
        """Return V0, pooled as the test pools, and V1."""
        treated_prob = self.control_prob + effect
        require_inside(f"rate {self.name!r}: control_prob + effect", treated_prob)
        pooled = treated_share * treated_prob + (1 - treated_share) * self.control_prob
        without = pooled * (1 - pooled) / (treated_share * (1 - treated_share))
        with_ = treated_prob * (1 - treated_prob) / treated_share
        return without, with_ + self.control_prob * (1 - self.control_prob) / (1 - treated_share)

    def fewest_events(self, effect: float, n_treated: int, n_control: int) -> float:
        """Return the least number of events, or of their absence, to be expected in an arm."""
        treated_prob = self.control_prob + effect
        return min(
            n_treated * min(treated_prob, 1 - treated_prob), n_control * min(self.control_prob, 1 - self.control_prob)
        )

    def largest_effect(self, *, is_increase: bool) -> float:
        """Return how far the rate is from 1 or from 0."""
        return 1 - self.control_prob if is_increase else self.control_prob

    def in_words(self, effect: float) -> str:
        """Return the change in words."""
        return f"the {self.name} change from {percent(self.control_prob)} to {percent(self.control_prob + effect)}"


@dataclass(frozen=True)
class Amount:
    """A mean per user: value, sessions.

    Attributes:
        name: for messages.
        control_sd: standard deviation between users in the control arm, above 0, in the metric's unit.
        treated_sd: in the treated arm; None: the same.
        unit: for messages, such as "EUR".
    """

    name: str
    control_sd: float
    treated_sd: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        for which, sd in (("control_sd", self.control_sd), ("treated_sd", self.treated_sd)):
            if sd is not None:
                require_inside(f"amount {self.name!r}: {which}", sd, 0.0, math.inf)

    def spreads(self, effect: float, treated_share: float) -> tuple[float, float]:
        """Return V0 and V1, which are the same: the variances are given, an effect does not move them."""
        treated_sd = self.control_sd if self.treated_sd is None else self.treated_sd
        spread = treated_sd**2 / treated_share + self.control_sd**2 / (1 - treated_share)
        return spread, spread

    def fewest_events(self, effect: float, n_treated: int, n_control: int) -> None:
        """Return None: there are no events to count."""

    def largest_effect(self, *, is_increase: bool) -> float:
        """Return infinity."""
        return math.inf

    def in_words(self, effect: float) -> str:
        """Return the change in words."""
        return f"the {self.name} change by {effect:+.4g}{' ' + self.unit if self.unit else ''} a user"


def percent(share: float) -> str:
    """Return a share as a message shows it."""
    return f"{100 * share:.4g} %"
