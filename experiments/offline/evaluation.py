"""What it would be worth to change the policy: estimates beside each other, with intervals, or a refusal.

evaluation = evaluate_policy(rounds, uniform(rounds), name="uniform")
evaluation.is_refused, evaluation.estimates["dr"].interval, evaluation.estimates["dr"].gain
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.offline.diagnostics import HIGH_LEVERAGE, Diagnosis, diagnose, leverage
from experiments.offline.distribution import Distribution, distribution
from experiments.offline.estimators.catalogue import ESTIMATORS, estimated, estimator
from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import Bounds, Interval, Reach, interval, method_of
from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.models.reward_models import cross_fitted
from experiments.offline.naive import Naive, naive
from experiments.offline.weighed import Weighed, greatest_weight, weigh
from simulator.measures import plain

# Whose number is told in a sentence: the first that was asked for.
PREFERRED = ("dr", "snips", "ips", "weighted_dr", "weighted_per_decision_is", "marginalised_is")


@dataclass(frozen=True)
class PolicyEstimate:
    """One estimator's answer.

    Attributes:
        name, title: of the estimator.
        interval: of the policy's value.
        gain: over the log's own mean reward, with the interval of the difference: both share their rounds.
        dial: its setting; None for an estimator without.
        leverage: share of the variance that one user adds.
        is_uncorrected: whether nothing makes up for what its model gets wrong.
        is_shrunk: whether it made weights smaller.
    """

    name: str
    title: str
    interval: Interval
    gain: Interval
    dial: float | None
    leverage: float
    is_uncorrected: bool = False
    is_shrunk: bool = False

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
        naive: what one would read off without weights; None for episodes.
        diagnosis: of the weights; of episodes, of their decisions one by one.
        warnings: of the diagnosis, and of what was estimated on the way.
        distribution: median and worst tenth; None where rewards take two values, or the log cannot answer.
        unit: what values are of: `round` or `episode`.
        refused: why an estimator was refused while others answered, by title.
    """

    policy: str
    log: str
    logged: Interval
    estimates: dict[str, PolicyEstimate]
    naive: Naive | None
    diagnosis: Diagnosis
    warnings: tuple[str, ...]
    distribution: Distribution | None = None
    unit: str = "round"
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether the log cannot answer."""
        return not self.estimates

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it cannot, in sentences."""
        return self.diagnosis.refusals or tuple(f"{title}: {why}." for title, why in self.refused.items())

    @property
    def of_one(self) -> str:
        """What a value is of, with its article."""
        return f"an {self.unit}" if self.unit[0] in "aeiou" else f"a {self.unit}"

    @property
    def told(self) -> PolicyEstimate | None:
        """The estimate that is told in a sentence."""
        names = [*PREFERRED, *self.estimates]
        return next((self.estimates[name] for name in names if name in self.estimates), None)

    @property
    def note(self) -> str:
        """What some of the intervals leave out, in a sentence; "" where none does."""
        modelled = [each.title for each in self.estimates.values() if each.is_uncorrected]
        shrunk = [each.title for each in self.estimates.values() if each.is_shrunk]
        told = [f"the model of rewards may be wrong ({', '.join(modelled)})"] if modelled else []
        told += [f"weights were made smaller ({', '.join(shrunk)})"] if shrunk else []
        return f"Some intervals do not know of a bias: {'; '.join(told)}." if told else ""

    def in_words(self) -> str:
        """Return the answer in a sentence or two."""
        if self.is_refused:
            return f"No estimate of {self.policy!r} is given. " + " ".join(self.refusals)
        told = self.told
        assert told is not None
        gain, interval = told.gain, told.interval
        each = self.of_one
        if told.is_uncorrected:
            return (
                f"{self.policy!r} is worth {interval.value:.4g} {each} by {told.title} alone: a model's word, which no "
                f"propensities correct, and no ground to change a policy on."
            )
        size = f"{gain.value:+.4g} {each} ({100 * gain.confidence:g} %: {gain.low:+.4g} to {gain.high:+.4g})"
        if not gain.is_clear:
            verdict = f"the log cannot tell it from the policy that made it: {size}"
        else:
            verdict = f"{'better' if gain.value > 0 else 'worse'} than the policy that made the log, by {size}"
        return (
            f"{self.policy!r} is worth {interval.value:.4g} {each} ({interval.low:.4g} to {interval.high:.4g}, "
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
            "unit": self.unit,
            "naive": None if self.naive is None else self.naive.to_dict(),
            "refused": dict(self.refused),
            "estimates": {name: each.to_dict() for name, each in self.estimates.items()},
            "note": self.note,
            "distribution": None if self.distribution is None else self.distribution.to_dict(),
            "diagnosis": self.diagnosis.to_dict(),
            "warnings": list(self.warnings),
        }


def evaluate_policy(
    rounds: LoggedRounds,
    target: Floats,
    *,
    name: str = "policy",
    log: str = "",
    estimators: Sequence[str] | None = None,
    model: str = "additive",
    method: str = "asymptotic",
    confidence: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    n_folds: int = 5,
    warnings: Sequence[str] = (),
    refusals: Sequence[str] = (),
) -> OfflineEvaluation:
    """Return what a log says of a policy.

    Args:
        rounds: with propensities; see `propensities.with_propensities` for one without.
        target: the policy's probabilities, shape (N, A).
        name, log: in tables.
        estimators: of `catalogue.ESTIMATORS`; None: all that the method has intervals for.
        model: of rewards, of `reward_models.MODELS`; cross-fitted by user.
        method: of intervals, of `intervals.METHODS`.
        confidence: in (0, 1).
        reward_range: what a reward can be at least and at most; `bernstein` asks for it.
        replicates, seed: of the bootstrap; the seed is that of the folds, too.
        n_folds: of cross-fitting.
        warnings, refusals: of what was done to the log before; with a refusal no number is given.

    Raises:
        ValueError, LogError: an unknown name; an estimator that the method has no interval for, a log that it is not
            made for; or as `weigh` and `cross_fitted`.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence:g}")
    rows = {each: estimator(each) for each in allowed(method, estimators)}
    users = rounds.clusters
    bare = weigh(rounds, target)
    diagnosis = diagnose(bare, refusals=refusals)
    bounds = Bounds(*reward_range, greatest_weight(bare)) if method == "bernstein" and reward_range else None

    def interval_of(terms: Terms, what: Reach) -> Interval:
        limits = None if bounds is None else bounds.of(what)
        return interval(method, terms, users, confidence, replicates=replicates, seed=seed, limits=limits)

    logged = Terms(direct=rounds.rewards)
    whole = interval_of(logged, "reward")
    found: dict[str, PolicyEstimate] = {}
    if not diagnosis.is_refused:
        weighed = _with_models(bare, {row.fit for row in rows.values() if row.needs_model}, model, n_folds, seed)
        for each, row in rows.items():
            terms, dial = estimated(each, weighed[row.fit] if row.needs_model else bare)
            gain = interval_of(difference(terms, logged), "gain")
            heaviest = leverage(terms, users)[1]
            # Optimistic shrinkage makes every weight smaller, the other dials those beyond it.
            most = math.inf if each == "dr_os" else diagnosis.largest_weight
            found[each] = PolicyEstimate(
                each, row.title, interval_of(terms, "value"), gain, dial, heaviest,
                is_uncorrected=row.is_uncorrected, is_shrunk=dial is not None and dial < most,
            )  # fmt: skip
    heavy = [each.title for each in found.values() if each.leverage > HIGH_LEVERAGE]
    told = [*warnings, *diagnosis.warnings]
    if heavy:
        told.append(f"One user adds more than {100 * HIGH_LEVERAGE:.0f} % of the variance of {', '.join(heavy)}.")
    spread = None if diagnosis.is_refused else distribution(bare, confidence)
    return OfflineEvaluation(name, log, whole, found, naive(bare), diagnosis, tuple(told), spread)


def difference(terms: Terms, logged: Terms) -> Terms:
    """Return a policy's value less the log's mean reward, round by round: both are moved by the same rounds."""
    return Terms(direct=terms.value - logged.value + terms.influence - logged.influence)


def allowed(method: str, estimators: Sequence[str] | None) -> tuple[str, ...]:
    """Return the estimators that were asked for, or all that a method of intervals can be used with.

    Raises:
        ValueError: there is no such method or estimator; the method has no interval for one that was asked for.
    """
    wants = method_of(method)
    fit = [
        name
        for name, row in ESTIMATORS.items()
        if (row.is_mean or not wants.wants_mean) and not (wants.wants_bounds and row.needs_model)
    ]
    asked = tuple(fit) if estimators is None else tuple(estimators)
    for name in asked:
        estimator(name)
        if name not in fit:
            raise ValueError(
                f"estimator {name!r}: the method {method} has intervals for {', '.join(fit)} only: "
                + ("it asks for a mean of bounded terms" if wants.wants_bounds else "it asks for a mean")
            )
    return asked


def _with_models(bare: Weighed, fits: set[str], model: str, n_folds: int, seed: int) -> dict[str, Weighed]:
    found = {}
    for fit in sorted(fits):
        rewards_of = cross_fitted(bare.rounds, model, target=bare.target, fit=fit, n_folds=n_folds, seed=seed)  # type: ignore[arg-type]
        found[fit] = weigh(bare.rounds, bare.target, rewards_of)
    return found
