"""How rewards would be distributed under another policy, not only their mean: quantiles, and the mean of the worst.

F(r) = sum w 1[reward <= r] / sum w; source: Chandak, Niekum, da Silva, Learned-Miller, Brunskill & Thomas, "Universal
off-policy evaluation" (NeurIPS 2021), eq. 5, with weights that sum to 1 as Huang, Leqi, Lipton & Azizzadenesheli
(NeurIPS 2021) advise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import Interval, asymptotic
from experiments.offline.logs.logged import Floats
from experiments.offline.weighed import Weighed

WORST = 0.1  # share of rounds whose mean is told


@dataclass(frozen=True)
class Distribution:
    """What rounds bring beside their mean, under the policy and in the log.

    Attributes:
        median, worst: under the policy; `worst` is the mean reward of the worst tenth of rounds.
        logged_median, logged_worst: the same of the log as it is.
    """

    median: Interval
    worst: Interval
    logged_median: Interval
    logged_worst: Interval

    def in_words(self) -> str:
        """Return it in a sentence; "" where all are the same, as where most rounds bring nothing."""
        if len({each.value for each in (self.median, self.worst, self.logged_median, self.logged_worst)}) == 1:
            return ""
        return (
            f"Half of the rounds bring at most {_told(self.median)}, in the log {_told(self.logged_median)}; the worst "
            f"tenth {_told(self.worst)} on average, in the log {_told(self.logged_worst)}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: getattr(self, name).to_dict() for name in asdict(self)}


def distribution(weighed: Weighed, confidence: float = 0.95) -> Distribution | None:
    """Return what there is beside the mean; None where rewards take two values, whose mean says all.

    Args:
        weighed: a log beside a policy.
        confidence: of the intervals, in (0, 1).
    """
    first = weighed.rewards[0]
    others = weighed.rewards[weighed.rewards != first]
    if not len(others) or (others == others[0]).all():
        return None
    as_logged = replace(weighed, weights=np.ones(len(weighed.rewards)))
    return Distribution(
        quantile_interval(weighed, 0.5, confidence),
        cvar_interval(weighed, WORST, confidence),
        quantile_interval(as_logged, 0.5, confidence),
        cvar_interval(as_logged, WORST, confidence),
    )


def quantile(weighed: Weighed, shares: Sequence[float]) -> Floats:
    """Return quantiles of the reward under the target policy; NaN where all weights are 0.

    Args:
        weighed: a log beside a policy.
        shares: each in (0, 1); .5 is the median.
    """
    order = np.argsort(weighed.rewards, kind="stable")
    mass = np.cumsum(weighed.weights[order])
    if not mass[-1] > 0.0:
        return np.full(len(shares), math.nan)
    places = np.searchsorted(mass / mass[-1], np.asarray(shares) - 1e-12)
    return np.asarray(weighed.rewards[order][np.minimum(places, len(order) - 1)], np.float64)


def cvar(weighed: Weighed, share: float) -> float:
    """Return the mean reward of the worst `share` of rounds under the target policy; NaN where all weights are 0.

    Args:
        weighed: a log beside a policy.
        share: in (0, 1].
    """
    order = np.argsort(weighed.rewards, kind="stable")
    w = weighed.weights[order]
    total = float(w.sum())
    if not total > 0.0:
        return math.nan
    before = np.cumsum(w) - w
    counted = np.clip(share * total - before, 0.0, w)
    return float(counted @ weighed.rewards[order]) / (share * total)


def quantile_interval(weighed: Weighed, share: float, confidence: float = 0.95) -> Interval:
    """Return a quantile with its interval: the quantiles where F, at the estimate, would be as far off as its interval.

    Source: Woodruff, "Confidence intervals for medians and other position measures" (JASA 1952). Clusters are users.

    Args:
        weighed: a log beside a policy.
        share: in (0, 1).
        confidence: in (0, 1).
    """
    value = float(quantile(weighed, (share,))[0])
    w = weighed.weights
    below = Terms(correction=w * (weighed.rewards <= value), scale=w)
    found = asymptotic(below, weighed.rounds.clusters, confidence)
    wide = found.high - found.value
    ends = np.clip((share - wide, share + wide), 0.0, 1.0)
    low, high = quantile(weighed, ends.tolist()) if math.isfinite(wide) else (math.nan, math.nan)
    return Interval(value, float(low), float(high), confidence, "Woodruff")


def cvar_interval(weighed: Weighed, share: float, confidence: float = 0.95) -> Interval:
    """Return the mean of the worst `share` of rounds with its interval.

    It is the greatest over q of q - E[max(q - r, 0)] / share, reached at the quantile (Rockafellar & Uryasev, Journal
    of Risk 2000), so that an error of the quantile is no error of first order, and what is left is a weighted mean.

    Args:
        weighed: a log beside a policy.
        share: in (0, 1).
        confidence: in (0, 1).
    """
    q = float(quantile(weighed, (share,))[0])
    w = weighed.weights
    found = asymptotic(
        Terms(correction=w * (q - np.maximum(q - weighed.rewards, 0.0) / share), scale=w),
        weighed.rounds.clusters,
        confidence,
    )
    return replace(found, method="linearised")


def _told(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
