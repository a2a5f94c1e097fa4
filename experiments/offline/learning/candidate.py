"""A policy learned from a log is a candidate, until users that it was not learned from say that it is better.

The log's users are parted in two halves. From one the policy is learned; by the other it is judged, with an estimator
that knows no model. Only a gain whose interval lies above 0 lets the policy call itself better than the one that made
the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.offline.diagnostics import LEAST_EFFECTIVE, diagnose, effective_size
from experiments.offline.estimators.sequential import weighted_per_decision_is, weighted_trajectory_is
from experiments.offline.estimators.terms import Terms
from experiments.offline.evaluation import difference
from experiments.offline.intervals import Interval, asymptotic
from experiments.offline.learning.networks import LearnedPolicy
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.folds import folds
from experiments.offline.sequential_evaluation import odd_products
from experiments.offline.weighed import weigh
from experiments.offline.weighed_trajectories import WeighedTrajectories, weigh_trajectories
from simulator.measures import plain

Learn = Callable[[LoggedTrajectories], LearnedPolicy]
Estimator = Callable[[WeighedTrajectories], Terms]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A learned policy, and what the other half of the users says of it.

    Attributes:
        policy: learned from one half.
        value: of an episode under it, by the other half.
        gain: over the mean return of that half, with the interval of the difference.
        effective: how many of its episodes would tell as much without weights.
        episodes: of that half.
        refusals: why that half cannot judge it: what it would do was not tried, or products of ratios are odd.
    """

    policy: LearnedPolicy
    value: float
    gain: Interval
    effective: float
    episodes: int
    refusals: tuple[str, ...] = ()

    @property
    def is_better(self) -> bool:
        """Whether it may call itself better than the policy that made the log."""
        return not self.refusals and self.effective >= LEAST_EFFECTIVE and self.gain.low > 0.0

    def in_words(self) -> str:
        """Return what can be said of it, in a sentence."""
        if self.effective < LEAST_EFFECTIVE:
            return (
                f"Nothing can be said of this policy: {self.effective:.1f} of {self.episodes:,} episodes do what it "
                f"would do (at least {LEAST_EFFECTIVE:g} are needed)."
            )
        if self.refusals:
            return "Nothing can be said of this policy. " + " ".join(self.refusals)
        size = f"{self.gain.value:+.4g} an episode (95 %: {self.gain.low:+.4g} to {self.gain.high:+.4g})"
        if self.is_better:
            return f"Better than the policy that made the log, by {size}, on users that it was not learned from."
        return f"Not shown to be better than the policy that made the log: {size}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": plain(self.value),
            "gain": self.gain.to_dict(),
            "effective": plain(self.effective),
            "episodes": self.episodes,
            "is_better": self.is_better,
            "refusals": list(self.refusals),
        }


def learned_candidate(
    log: LoggedTrajectories, learn: Learn, estimator: Estimator = weighted_per_decision_is, seed: int = 0
) -> Candidate:
    """Learn a policy from half of a log's users, and judge it by the others.

    Args:
        log: with propensities.
        learn: from a log to a policy: `lambda half: learn_bcq(half)`.
        estimator: of a policy's value from weighed episodes.
        seed: of the halves.

    Raises:
        ValueError: fewer than two users, or no propensities.
    """
    half_of = folds(log.n_episodes, log.clusters, 2, seed)
    policy = learn(log.take(half_of == 0))
    judge = log.take(half_of == 1)
    target = policy.probabilities(judge.observations, judge.eligibility)
    weighed = weigh_trajectories(judge, target)
    refusals = [*diagnose(weigh(judge.to_rounds(), target), is_of_episodes=True).refusals]
    if not refusals and (why := odd_products(weighed)):
        refusals.append(f"It was refused, since {why}.")
    terms, logged = estimator(weighed), Terms(direct=judge.returns)
    weights = weighted_trajectory_is(weighed).scale
    assert weights is not None
    gain = asymptotic(difference(terms, logged), judge.clusters)
    return Candidate(policy, terms.value, gain, effective_size(weights), judge.n_episodes, tuple(refusals))
