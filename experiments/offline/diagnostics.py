"""Whether a log can answer for a policy at all: overlap, weight tails, balance, leverage; and when it must be refused.

An estimate is refused where no number could be trusted: the log never tries what the policy would do, or a handful of
rounds would carry the answer. It is told with a warning where the number may be worse than its interval says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import Floats, Ints, LoggedRounds
from experiments.offline.weighed import Weighed
from simulator.measures import plain

LEAST_EFFECTIVE = 30.0  # users' worth of rounds, below which an interval by the normal law means nothing
MOST_UNSUPPORTED = 0.01  # of the target's probability, on what the log never tries
MOST_BY_FEW, FEW = 0.5, 10  # share of all weight that so many rounds may carry
HEAVY_TAIL = 0.7  # Pareto k-hat: beyond it importance sampling converges too slowly to be of use
ODD_MEAN = 4.0  # standard errors of the mean weight from 1
ODD_BALANCE = 0.1  # standardised difference of a covariate after weighting
HIGH_LEVERAGE = 0.25  # of the estimate's variance, that one user adds


@dataclass(frozen=True)
class ActionSupport:
    """How well the log knows one action.

    Attributes:
        action: its name.
        segment: "" for all; else the segment's name and label.
        eligible: rounds in which it could be taken.
        taken: rounds in which it was.
        target_share: mean probability by the target policy.
        unsupported_share: of that, where the log never takes the action: in a segment without a round of it, or where
            its logged probability is 0.
        effective: effective sample size of the rounds in which it was taken.
    """

    action: str
    segment: str
    eligible: int
    taken: int
    target_share: float
    unsupported_share: float
    effective: float


@dataclass(frozen=True)
class Diagnosis:
    """What the weights look like, and what follows.

    Attributes:
        rounds, users: of the log.
        effective: (sum w)^2 / sum w^2, the number of rounds that would tell as much without weights (Kish, 1965).
        mean_weight: must be near 1.
        mean_weight_error: its standard error.
        largest_weight: of one round.
        share_of_few: of all weight, that the ten largest carry.
        tail: k-hat of the weights' generalised Pareto tail; NaN where too few differ.
        unsupported: the target's probability on what the log never tries.
        support: by action, and by segment and action.
        imbalance: covariates after weighting less before, in standard deviations, by feature.
        refusals: why no estimate is given; empty: one is.
        warnings: what to keep in mind.
    """

    rounds: int
    users: int
    effective: float
    mean_weight: float
    mean_weight_error: float
    largest_weight: float
    share_of_few: float
    tail: float
    unsupported: float
    support: tuple[ActionSupport, ...]
    imbalance: dict[str, float]
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether the log cannot answer."""
        return bool(self.refusals)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = asdict(self)
        data["support"] = [{name: _plain(value) for name, value in each.items()} for each in data["support"]]
        data["imbalance"] = {name: plain(value) for name, value in self.imbalance.items()}
        return {name: _plain(value) for name, value in data.items()}


def diagnose(weighed: Weighed) -> Diagnosis:
    """Return what can be said of the weights of a log beside a target policy."""
    rounds, w = weighed.rounds, weighed.weights
    total, squares = float(w.sum()), float(w @ w)
    few = np.sort(np.partition(w, -FEW)[-FEW:]) if len(w) > FEW else w
    support = tuple(_support(weighed))
    mean = Terms(direct=w)
    figures: dict[str, Any] = {
        "rounds": len(rounds),
        "users": rounds.n_clusters,
        "effective": total**2 / squares if squares else 0.0,
        "mean_weight": mean.value,
        "mean_weight_error": mean.standard_error(rounds.clusters),
        "largest_weight": float(w.max()),
        "share_of_few": float(few.sum()) / total if total else math.nan,
        "tail": pareto_tail(w),
        "unsupported": _unsupported(weighed),
        "support": support,
        "imbalance": imbalance(weighed),
    }
    return Diagnosis(
        **figures, refusals=tuple(_refusals(weighed, figures)), warnings=tuple(_warnings(weighed, figures))
    )


def leverage(terms: Terms, clusters: Ints | None = None) -> tuple[int, float]:
    """Return which round (or user, by cluster number) adds most to an estimate's variance, and its share of it."""
    sums = terms.influence if clusters is None else np.bincount(clusters, terms.influence)
    squares = sums**2
    total = float(squares.sum())
    if not total:
        return 0, 0.0
    at = int(squares.argmax())
    return at, float(squares[at]) / total


def pareto_tail(weights: Floats) -> float:
    """Return k-hat: the shape of a generalised Pareto law fitted to the largest weights.

    The largest min(N / 5, 3 sqrt(N)) weights less the largest of the others are fitted by the empirical Bayes estimate
    of Zhang & Stephens (Technometrics 2009), as in Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance
    sampling" (JMLR 2024), with their weakly informative prior. Above 0.7 the variance of the estimate is of no use.
    """
    n = int(min(0.2 * len(weights), 3.0 * math.sqrt(len(weights))))
    if n < 5:
        return math.nan
    ordered = np.sort(weights)
    excess = ordered[-n:] - ordered[-n - 1]
    if excess[0] < 0.0 or excess[-1] <= 0.0 or np.unique(excess).size < 5:
        return math.nan  # weights of a few values have no tail to fit: the shares tell
    excess = excess[excess > 0.0]
    n = len(excess)
    n_grid = 30 + int(math.sqrt(n))
    quarter = excess[int(n / 4 + 0.5) - 1]
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))) / (3.0 * quarter)
    shape = np.log1p(-theta[:, None] * excess).mean(axis=1)
    likelihood = n * (np.log(-theta / shape) - shape - 1.0)
    share = 1.0 / np.exp(likelihood[None, :] - likelihood[:, None]).sum(axis=1)
    best = float((theta * share).sum())
    fitted = float(np.log1p(-best * excess).mean())
    return (n * fitted + 10.0 * 0.5) / (n + 10.0)


def imbalance(weighed: Weighed) -> dict[str, float]:
    """Return by how much each covariate's weighted mean is off its mean over all rounds, in standard deviations.

    Weights with the right propensities leave every covariate's mean as it is, whatever the target policy.
    """
    rounds, total = weighed.rounds, float(weighed.weights.sum())
    if rounds.context is None or not total:
        return {}
    spread = rounds.context.std(axis=0)
    moved = weighed.weights @ rounds.context / total - rounds.context.mean(axis=0)
    return {
        name: float(shift / sd) if sd > 0.0 else 0.0
        for name, shift, sd in zip(rounds.features, moved, spread, strict=True)
    }


def _support(weighed: Weighed) -> Iterator[ActionSupport]:
    rounds = weighed.rounds
    yield from _actions_in("", np.ones(len(rounds), np.bool_), weighed)
    for name, labels in (rounds.segments or {}).items():
        for label in np.unique(labels):
            yield from _actions_in(f"{name} = {label}", labels == label, weighed)


def _actions_in(segment: str, inside: Any, weighed: Weighed) -> Iterator[ActionSupport]:
    rounds = weighed.rounds
    for action, name in enumerate(rounds.action_names):
        share = weighed.target[inside, action]
        taken = inside & (rounds.actions == action)
        w = weighed.weights[taken]
        squares = float(w @ w)
        mean = float(share.mean())
        if rounds.probabilities is not None:
            lost = float(share[rounds.probabilities[inside, action] == 0.0].sum()) / max(len(share), 1)
        else:
            lost = 0.0 if taken.any() else mean
        yield ActionSupport(
            name, segment, int(rounds.eligibility[inside, action].sum()), int(taken.sum()), mean, lost,
            float(w.sum()) ** 2 / squares if squares else 0.0,
        )  # fmt: skip


def _unsupported(weighed: Weighed) -> float:
    """Return the target's probability on what the log never tries.

    Where the log's probabilities are not known, on actions never taken, over all or by segments, whichever is more.
    """
    rounds = weighed.rounds
    if rounds.probabilities is not None:
        return float(weighed.target[rounds.probabilities == 0.0].sum()) / len(rounds)
    worst = 0.0
    for labels in ({"": np.zeros(len(rounds))} | dict(rounds.segments or {})).values():
        _, codes = np.unique(labels, return_inverse=True)
        taken = np.zeros((int(codes.max()) + 1, rounds.n_actions), np.bool_)
        taken[codes, rounds.actions] = True
        worst = max(worst, float(weighed.target[~taken[codes]].sum()) / len(rounds))
    return worst


def _refusals(weighed: Weighed, told: dict[str, Any]) -> Iterator[str]:
    rounds = weighed.rounds
    if is_deterministic(rounds) and not np.array_equal(weighed.target.argmax(axis=1), rounds.actions):
        yield (
            "The log is deterministic: each action was taken with certainty, so nothing is known of what the policy "
            "would do otherwise. Log decisions with some exploration."
        )
    if told["unsupported"] > MOST_UNSUPPORTED:
        yield (
            f"Support is missing: the policy puts {100 * told['unsupported']:.1f} % of its probability on what "
            f"the log never tries ({_unsupported_words(told['support'])}); at most {100 * MOST_UNSUPPORTED:g} % can be."
        )
    if told["effective"] < LEAST_EFFECTIVE:
        yield (
            f"A handful of rounds carries the estimate: the effective sample size is {told['effective']:.1f} of "
            f"{told['rounds']:,} rounds (at least {LEAST_EFFECTIVE:g} are needed); the largest weight is "
            f"{told['largest_weight']:,.0f}."
        )
    elif told["share_of_few"] > MOST_BY_FEW and told["rounds"] > 2 * FEW:
        yield (
            f"A handful of rounds carries the estimate: {FEW} of {told['rounds']:,} hold "
            f"{100 * told['share_of_few']:.0f} % of all weight."
        )


def _warnings(weighed: Weighed, told: dict[str, Any]) -> Iterator[str]:
    off = (told["mean_weight"] - 1.0) / told["mean_weight_error"] if told["mean_weight_error"] else 0.0
    if abs(off) > ODD_MEAN and not is_deterministic(weighed.rounds):
        yield (
            f"The mean weight is {told['mean_weight']:.3f}, {abs(off):.1f} standard errors from 1: the propensities "
            f"are not those that the log was made with, or support is missing."
        )
    if told["tail"] > HEAVY_TAIL:
        yield (
            f"The weights have a heavy tail (Pareto k {told['tail']:.2f}, above {HEAVY_TAIL}): intervals are too "
            f"narrow, and more rounds help little. Believe a clipped or doubly robust estimate before a plain one."
        )
    if odd := {name: value for name, value in told["imbalance"].items() if abs(value) > ODD_BALANCE}:
        name = max(odd, key=lambda each: abs(odd[each]))
        yield (
            f"{len(odd)} of {len(told['imbalance'])} covariates are off balance after weighting, {name!r} the most, by "
            f"{odd[name]:+.2f} standard deviations (up to {ODD_BALANCE} is usual)."
        )


def is_deterministic(rounds: LoggedRounds) -> bool:
    """Return whether every action was taken with certainty."""
    return rounds.propensities is not None and bool(np.all(rounds.propensities > 1.0 - 1e-9))


def _unsupported_words(support: Sequence[ActionSupport]) -> str:
    worst = max(support, key=lambda each: each.unsupported_share)
    where = f" where {worst.segment}" if worst.segment else ""
    return f"most of it on {worst.action!r}{where}: taken in {worst.taken:,} of {worst.eligible:,} rounds"


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, float) else value
