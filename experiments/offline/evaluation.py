"""What it would be worth to change the policy: estimates beside each other, with intervals, or a refusal.

evaluation = evaluate_policy(rounds, uniform(rounds), name="uniform")
evaluation.is_refused, evaluation.estimates["dr"].interval, evaluation.estimates["dr"].gain
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.compare import Estimate
from experiments.offline.diagnostics import HIGH_LEVERAGE, Diagnosis, diagnose, leverage
from experiments.offline.estimators.catalogue import ESTIMATORS, estimated, estimator
from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import Interval, asymptotic, bootstrap
from experiments.offline.logs.logged import Floats, Ints, LoggedRounds
from experiments.offline.models.reward_models import cross_fitted
from experiments.offline.naive import Naive, naive
from experiments.offline.weighed import Weighed, weigh
from simulator.measures import plain

PREFERRED = ("dr", "snips", "ips")  # whose number is told in a sentence: the first that was asked for


@dataclass(frozen=True)
class PolicyEstimate:
    """One estimator's answer.

    Attributes:
        name, title: of the estimator.
        interval: of the policy's value.
        gain: over the log's own mean reward, with the error of the difference: both share their rounds.
        dial: its setting; None for an estimator without.
        leverage: share of the variance that one user adds.
    """

    name: str
    title: str
    interval: Interval
    gain: Estimate
    dial: float | None
    leverage: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "title": self.title,
            **self.interval.to_dict(),
            "gain": self.gain.to_dict(),
            "dial": None if self.dial is None else plain(self.dial),
            "leverage": self.leverage,
        }


@dataclass(frozen=True)
class OfflineEvaluation:
    """A policy judged by a log.

    Attributes:
        policy: its name.
        log: the log's name.
        logged: the log's own mean reward, with its interval.
        estimates: by estimator; empty where the log cannot answer.
        naive: what one would read off without weights.
        diagnosis: of the weights.
        warnings: of the diagnosis, and of what was estimated on the way.
    """

    policy: str
    log: str
    logged: Interval
    estimates: dict[str, PolicyEstimate]
    naive: Naive
    diagnosis: Diagnosis
    warnings: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether the log cannot answer."""
        return self.diagnosis.is_refused

    @property
    def told(self) -> PolicyEstimate | None:
        """The estimate that is told in a sentence."""
        names = [*PREFERRED, *self.estimates]
        return next((self.estimates[name] for name in names if name in self.estimates), None)

    def in_words(self) -> str:
        """Return the answer in a sentence or two."""
        if self.is_refused:
            return f"No estimate of {self.policy!r} is given. " + " ".join(self.diagnosis.refusals)
        told = self.told
        assert told is not None
        gain, interval = told.gain, told.interval
        size = f"{gain.mean:+.4g} a round (95 %: {gain.low:+.4g} to {gain.high:+.4g})"
        if not gain.is_clear:
            verdict = f"the log cannot tell it from the policy that made it: {size}"
        else:
            verdict = f"{'better' if gain.mean > 0 else 'worse'} than the policy that made the log, by {size}"
        return (
            f"{self.policy!r} is worth {interval.value:.4g} a round ({interval.low:.4g} to {interval.high:.4g}, "
            f"{told.title}); {verdict}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "offline-evaluation",
            "version": 1,
            "policy": self.policy,
            "log": self.log,
            "is_refused": self.is_refused,
            "in_words": self.in_words(),
            "logged": self.logged.to_dict(),
            "naive": self.naive.to_dict(),
            "estimates": {name: each.to_dict() for name, each in self.estimates.items()},
            "diagnosis": self.diagnosis.to_dict(),
            "warnings": list(self.warnings),
        }


def evaluate_policy(
    rounds: LoggedRounds,
    target: Floats,
    *,
    name: str = "policy",
    log: str = "",
    estimators: Sequence[str] = tuple(ESTIMATORS),
    model: str = "additive",
    method: str = "asymptotic",
    confidence: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    n_folds: int = 5,
    warnings: Sequence[str] = (),
) -> OfflineEvaluation:
    """Return what a log says of a policy.

    Args:
        rounds: with propensities; see `propensities.with_propensities` for one without.
        target: the policy's probabilities, shape (N, A).
        name, log: in tables.
        estimators: of `catalogue.ESTIMATORS`.
        model: of rewards, of `reward_models.MODELS`; cross-fitted by user.
        method: of intervals: `asymptotic` or `bootstrap`.
        confidence: in (0, 1).
        replicates, seed: of the bootstrap; the seed is that of the folds, too.
        n_folds: of cross-fitting.
        warnings: of what was done to the log before.

    Raises:
        ValueError, LogError: an unknown name; or as `weigh` and `cross_fitted`.
    """
    if method not in ("asymptotic", "bootstrap"):
        raise ValueError(f"method {method!r}: expected asymptotic or bootstrap")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence:g}")
    rows = {each: estimator(each) for each in estimators}
    users = rounds.clusters

    def interval_of(terms: Terms) -> Interval:
        if method == "bootstrap":
            return bootstrap(terms, users, confidence, replicates, seed)
        return asymptotic(terms, users, confidence)

    bare = weigh(rounds, target)
    diagnosis = diagnose(bare)
    logged = Terms(direct=rounds.rewards)
    found: dict[str, PolicyEstimate] = {}
    if not diagnosis.is_refused:
        weighed = _with_models(bare, {row.fit for row in rows.values() if row.needs_model}, model, n_folds, seed)
        for each, row in rows.items():
            terms, dial = estimated(each, weighed[row.fit] if row.needs_model else bare)
            found[each] = PolicyEstimate(
                each, row.title, interval_of(terms), gain_over(terms, logged, users), dial, leverage(terms, users)[1]
            )
    heavy = [each.title for each in found.values() if each.leverage > HIGH_LEVERAGE]
    told = [*warnings, *diagnosis.warnings]
    if heavy:
        told.append(f"One user adds more than {100 * HIGH_LEVERAGE:.0f} % of the variance of {', '.join(heavy)}.")
    return OfflineEvaluation(name, log, interval_of(logged), found, naive(bare), diagnosis, tuple(told))


def gain_over(terms: Terms, logged: Terms, users: Ints | None) -> Estimate:
    """Return a policy's value less the log's mean reward, with the standard error of the difference."""
    moved = terms.influence - logged.influence
    difference = Terms(direct=moved)
    return Estimate(terms.value - logged.value, difference.standard_error(users))


def _with_models(bare: Weighed, fits: set[str], model: str, n_folds: int, seed: int) -> dict[str, Weighed]:
    found = {}
    for fit in sorted(fits):
        rewards_of = cross_fitted(bare.rounds, model, target=bare.target, fit=fit, n_folds=n_folds, seed=seed)  # type: ignore[arg-type]
        found[fit] = weigh(bare.rounds, bare.target, rewards_of)
    return found


def quantile(weighed: Weighed, shares: Sequence[float]) -> Floats:
    """Return quantiles of the reward under the target policy, from self-normalised weights.

    F(r) = sum w 1[reward <= r] / sum w; source: Chandak, Niekum, da Silva, Learned-Miller, Brunskill & Thomas,
    "Universal off-policy evaluation" (NeurIPS 2021), eq. 5, with weights that sum to 1 as Huang, Leqi, Lipton &
    Azizzadenesheli (NeurIPS 2021) advise.

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
    """Return the mean reward of the worst `share` of rounds under the target policy, from the same distribution.

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
