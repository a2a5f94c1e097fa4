"""Intervals of an estimate: asymptotic, by the cluster bootstrap, empirical Bernstein bounds, a confidence sequence.

To add one is a function, a row of `METHODS` and an arm of `interval`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from scipy.stats import norm, t

from experiments.offline.estimators.terms import Terms
from experiments.offline.kernels import replicate
from experiments.offline.logs.logged import Floats, Ints
from simulator.config import did_you_mean
from simulator.measures import plain


@dataclass(frozen=True)
class Interval:
    """A value and the interval that it lies in with some confidence.

    Attributes:
        value: the estimate.
        low, high: of the interval; infinite or NaN where the method knows no bound.
        confidence: in (0, 1).
        method: its name.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": plain(self.value),
            "low": plain(self.low),
            "high": plain(self.high),
            "confidence": self.confidence,
            "method": self.method,
        }


SEQUENCE_BEST_AT = 10_000  # rounds after which a watched interval is tightest
LEAST_SPREADING = 20.0  # rounds that make up the spread, before a sequence begins; with ten, a tenth of sparse ones err
Reach = Literal["reward", "value", "gain"]


@dataclass(frozen=True)
class Method:
    """A row of the methods of intervals.

    Attributes:
        title: what it is.
        wants_mean: whether it asks for a mean of independent rounds.
        wants_bounds: whether it asks for what a round could add at least and at most.
    """

    title: str
    wants_mean: bool = False
    wants_bounds: bool = False


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "asymptotic": Method("Student's t by user"),
        "bootstrap": Method("bootstrap of users"),
        "bernstein": Method("empirical Bernstein, for every number of rounds", wants_mean=True, wants_bounds=True),
        "sequence": Method("a confidence sequence: the log may be looked at as often as one likes", wants_mean=True),
    }
)


def method_of(name: str) -> Method:
    """Return a row.

    Raises:
        ValueError: there is no such method; the message has the nearest.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r}: expected one of {', '.join(METHODS)}.{did_you_mean(name, METHODS)}")
    return METHODS[name]


@dataclass(frozen=True)
class Bounds:
    """What a round can add at least and at most, where rewards and weights are bounded.

    Attributes:
        low, high: of a reward.
        weight: the largest that could have been drawn; weights are at least 0.
    """

    low: float
    high: float
    weight: float

    def of(self, what: Reach) -> tuple[float, float]:
        """Return the bounds of a reward r, of w r, or of (w - 1) r."""
        weights = {"reward": (1.0,), "value": (0.0, self.weight), "gain": (-1.0, self.weight - 1.0)}[what]
        corners = [weight * reward for weight in weights for reward in (self.low, self.high)]
        return min(corners), max(corners)


def interval(
    method: str,
    terms: Terms,
    users: Ints | None,
    confidence: float,
    *,
    replicates: int = 1000,
    seed: int = 0,
    limits: tuple[float, float] | None = None,
) -> Interval:
    """Return an interval by the name of its method.

    Args:
        method: of `METHODS`.
        terms, users, confidence, replicates, seed: as of `bootstrap`.
        limits: what a round could add at least and at most; `bernstein` asks for them.

    Raises:
        ValueError: there is no such method; or the log is none for it.
    """
    if method == "bootstrap":
        return bootstrap(terms, users, confidence, replicates, seed)
    if method == "bernstein":
        if limits is None:
            raise ValueError("bernstein: expected a range of rewards, such as (0, 1), got none")
        return empirical_bernstein(terms, *limits, users, confidence)
    if method == "sequence":
        # One rho at every look: a rho that followed the number of rounds would be another sequence each time.
        low, high = asymptotic_sequence(terms, users, confidence, best_at=SEQUENCE_BEST_AT)
        return Interval(terms.value, float(low[-1]), float(high[-1]), confidence, "confidence sequence")
    method_of(method)
    return asymptotic(terms, users, confidence)


def asymptotic(terms: Terms, clusters: Ints | None = None, confidence: float = 0.95) -> Interval:
    """Return the interval by Student's t with as many degrees of freedom as clusters less one."""
    n = len(terms) if clusters is None else int(clusters.max()) + 1
    error = terms.standard_error(clusters)
    wide = float(t.ppf(0.5 + confidence / 2.0, max(n - 1, 1))) * error
    return Interval(terms.value, terms.value - wide, terms.value + wide, confidence, "asymptotic")


def bootstrap(
    terms: Terms, clusters: Ints | None = None, confidence: float = 0.95, replicates: int = 1000, seed: int = 0
) -> Interval:
    """Return the percentile interval of a Poisson bootstrap of whole clusters.

    Each cluster counts as often as a Poisson number of mean 1 says: for many clusters the multinomial bootstrap of
    Efron (1979), without its bookkeeping (Chamandy, Muralidharan, Najmi & Naidu, "Estimating uncertainty for massive
    data streams", 2012).

    Args:
        terms: of an estimator.
        clusters: a number from 0 for each user, shape (N,); None: every round by itself.
        confidence: in (0, 1).
        replicates: at least 1.
        seed: of the draws.
    """
    values = bootstrap_values(terms, clusters, replicates, seed)
    tail = 50.0 * (1.0 - confidence)
    # A replicate in which no weight is left could have been anything: it is the least on one side, the most on the
    # other. Neighbours are not interpolated then, since infinite ones have nothing between them.
    is_known = np.isfinite(values)
    if is_known.all():
        low, high = np.percentile(values, [tail, 100.0 - tail])
    else:
        low = np.percentile(np.where(is_known, values, -math.inf), tail, method="lower")
        high = np.percentile(np.where(is_known, values, math.inf), 100.0 - tail, method="higher")
    return Interval(terms.value, float(low), float(high), confidence, "bootstrap")


def bootstrap_values(terms: Terms, clusters: Ints | None, replicates: int, seed: int) -> Floats:
    """Return the estimate of each replicate, shape (B,); see `bootstrap`."""
    direct, correction, scale = terms.columns()
    columns = np.column_stack([direct, correction, scale, np.ones(len(terms))])
    if clusters is not None:
        n = int(clusters.max()) + 1
        columns = np.column_stack([np.bincount(clusters, columns[:, k], n) for k in range(4)])
    keys = np.asarray(np.random.SeedSequence(seed).generate_state(replicates, np.uint64), np.uint64)
    sums = np.empty((replicates, 5))
    replicate(np.ascontiguousarray(columns), keys, sums)
    n_rows = sums[:, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        values: Floats = sums[:, 0] / n_rows + sums[:, 1] / (n_rows if terms.scale is None else sums[:, 2])
    return values


def empirical_bernstein(
    terms: Terms, low: float, high: float, clusters: Ints | None = None, confidence: float = 0.95
) -> Interval:
    """Return an interval that holds for every N, given bounds of what a round can add.

    mean +- sqrt(2 s^2 ln(4 / delta) / n) + 7 (high - low) ln(4 / delta) / (3 (n - 1)), both sides together with
    probability 1 - delta (Maurer & Pontil, COLT 2009, Theorem 4, at delta / 2 a side).

    Args:
        terms: of an estimator without a scale: a ratio is no mean.
        low, high: bounds of direct + correction in every round that could have been logged.
        clusters: must hold one round each, or None: sums over users of many rounds have other bounds.
        confidence: 1 - delta.

    Raises:
        ValueError: the estimator is self-normalised, a user has several rounds, or a round lies beyond the bounds.
    """
    _require_mean_of_users(terms, clusters, "empirical_bernstein")
    direct, correction, _ = terms.columns()
    rounds = direct + correction
    if rounds.min() < low or rounds.max() > high:
        row = int(np.argmax((rounds < low) | (rounds > high)))
        raise ValueError(
            f"empirical_bernstein: expected terms from {low:g} to {high:g}, got {rounds[row]:g} in row {row}"
        )
    n = len(rounds)
    if n < 2:
        return Interval(terms.value, low, high, confidence, "empirical Bernstein")
    log = math.log(4.0 / (1.0 - confidence))
    wide = math.sqrt(2.0 * float(rounds.var(ddof=1)) * log / n) + 7.0 * (high - low) * log / (3.0 * (n - 1))
    return Interval(terms.value, terms.value - wide, terms.value + wide, confidence, "empirical Bernstein")


def asymptotic_sequence(
    terms: Terms, clusters: Ints | None = None, confidence: float = 0.95, best_at: int | None = None
) -> tuple[Floats, Floats]:
    """Return bounds that hold at all times together, for watching an estimate while rounds come in.

    After i rounds, with the mean m and standard deviation s so far,

        m +- s sqrt( 2 (i rho^2 + 1) / (i^2 rho^2) ln( sqrt(i rho^2 + 1) / alpha ) )

    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences" (Annals of Statistics 2024), eq. 2 with the rho of eq. 8 that is tightest after `best_at` rounds.

    Args:
        terms: of an estimator without a scale, rounds in the order in which they came.
        clusters: must hold one round each, or None: rounds of one user are not independent.
        confidence: 1 - alpha.
        best_at: rounds; None: all.

    Returns:
        Lower and upper bounds, shapes (N,); infinite while too few rounds make up the spread: the law that the bounds
        come from is that of many, and before the first reward of a rare kind the spread would be 0.

    Raises:
        ValueError: the estimator is self-normalised; a user has several rounds.
    """
    _require_mean_of_users(terms, clusters, "asymptotic_sequence")
    direct, correction, _ = terms.columns()
    rounds = direct + correction
    n, alpha = np.arange(1, len(rounds) + 1), 1.0 - confidence
    means = np.cumsum(rounds) / n
    shift = rounds - rounds[0]  # keeps the sums of powers small
    mean, second, third, fourth = (np.cumsum(shift**k) / n for k in range(1, 5))
    variance = np.maximum(second - mean**2, 0.0)
    log = math.log(alpha)
    rho2 = (-2.0 * log + math.log(-2.0 * log + 1.0)) / (best_at or len(rounds))
    wide = np.sqrt(variance * 2.0 * (n * rho2 + 1.0) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1.0) / alpha))
    # Of n deviations from the mean, sum(d^2)^2 / sum(d^4) make up the spread: with rewards that are rare, those.
    moment = fourth - 4.0 * mean * third + 6.0 * mean**2 * second - 3.0 * mean**4
    wide[n * variance**2 < LEAST_SPREADING * moment] = math.inf
    wide[variance <= 1e-12 * second] = math.inf
    wide[0] = math.inf
    return means - wide, means + wide


def _require_mean_of_users(terms: Terms, clusters: Ints | None, what: str) -> None:
    if terms.scale is not None:
        raise ValueError(f"{what}: expected an estimator that is a mean, got a self-normalised one")
    if clusters is not None and (n := int(clusters.max()) + 1) != len(terms):
        raise ValueError(
            f"{what}: expected one round a user, got {len(terms):,} rounds of {n:,} users: use the bootstrap"
        )


def normal_quantile(confidence: float) -> float:
    """Return the number of standard errors on each side."""
    return float(norm.ppf(0.5 + confidence / 2.0))
