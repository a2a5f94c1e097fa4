"""What one would read off the log without weights, and whether that is to be believed.

The naive value of a policy is the mean reward of the rounds in which the log did what the policy would do. Where the
log chose its actions by who the user was, these rounds are not of the same users: the mean is confounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.offline.diagnostics import ODD_BALANCE, imbalance, odd_balance
from experiments.offline.estimators.terms import Terms
from experiments.offline.weighed import Weighed
from simulator.measures import plain


@dataclass(frozen=True)
class Naive:
    """The naive value of a policy.

    Attributes:
        value: mean reward of the rounds that agree; NaN without any.
        standard_error: as if they had been drawn at random.
        share: of rounds that agree, each counted by the target's probability of the action taken.
        imbalance: covariates of these rounds less those of all, in standard deviations, by feature.
        propensity_spread: standard deviation over mean of the propensities of the rounds that agree: 0 in a trial.
        usual_imbalance: up to which an imbalance may be chance.
    """

    value: float
    standard_error: float
    share: float
    imbalance: dict[str, float]
    propensity_spread: float
    usual_imbalance: float = ODD_BALANCE

    @property
    def is_confounded(self) -> bool:
        """Whether who was sent what depends on who they are: the value is then no estimate of the policy's."""
        is_off = any(abs(value) > self.usual_imbalance for value in self.imbalance.values())
        return is_off or self.propensity_spread > ODD_BALANCE

    def in_words(self) -> str:
        """Return a sentence about it."""
        if not self.is_confounded:
            return f"The naive mean is {self.value:.4g}; the rounds that agree are like all others."
        told = f"The naive mean, {self.value:.4g}, is confounded: "
        if not self.imbalance or max(map(abs, self.imbalance.values())) <= self.usual_imbalance:
            return told + "the log took these actions with unequal probabilities."
        name = max(self.imbalance, key=lambda each: abs(self.imbalance[each]))
        return told + f"{name!r} of the rounds that agree is off by {self.imbalance[name]:+.2f} standard deviations."

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": plain(self.value),
            "standard_error": plain(self.standard_error),
            "share": self.share,
            "imbalance": {name: plain(value) for name, value in self.imbalance.items()},
            "is_confounded": self.is_confounded,
        }


def naive(weighed: Weighed) -> Naive:
    """Return the naive value of a target policy."""
    rounds = weighed.rounds
    agrees = weighed.target[np.arange(len(rounds)), rounds.actions]
    terms = Terms(correction=agrees * rounds.rewards, scale=agrees)
    unweighed = Weighed(rounds, weighed.target, agrees)
    total = float(agrees.sum())
    spread = 0.0
    if rounds.propensities is not None and total:
        mean = float(agrees @ rounds.propensities) / total
        spread = math.sqrt(float(agrees @ (rounds.propensities - mean) ** 2) / total) / mean
    error = terms.standard_error(rounds.clusters) if total else math.nan
    return Naive(terms.value, error, total / len(rounds), imbalance(unweighed), spread, odd_balance(unweighed))
