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
from experiments.offline.logs.logged import Bools, Floats, Ints, LoggedRounds
from experiments.offline.models.standardise import centre_and_spread
from experiments.offline.weighed import Weighed
from simulator.measures import plain

LEAST_EFFECTIVE = 30.0  # users' worth of rounds, below which an interval by the normal law means nothing
MOST_UNSUPPORTED = 0.01  # of the target's probability, on what the log never tries
MOST_BY_FEW, FEW = 0.5, 10  # share of all weight that so many rounds, or users, may carry
LEAST_TELLING = 5.0  # rounds in which a segment would have seen an action, by its share elsewhere, had it been tried
LEAST_PAYING, ENOUGH_EXPECTED = 5, 10.0  # rounds with a reward that the policy shares; enough expected to believe fewer
MOST_OFF, MOST_OFF_BY = 6.0, 0.05  # standard errors, and amount, of the mean weight from 1
HEAVY_TAIL = 0.7  # Pareto k-hat: beyond it importance sampling converges too slowly to be of use
ROUNDING = 1e-9  # of a mean weight: closer to 1 it is 1, however small its error
ODD_MEAN = 4.0  # standard errors of the mean weight from 1
ODD_BALANCE = 0.1  # standardised difference of a covariate after weighting, if it is beyond three standard errors
CERTAIN = 1.0 - 1e-9  # a propensity above it leaves nothing to other actions
HIGH_LEVERAGE = 0.25  # of the estimate's variance, that one user adds


@dataclass(frozen=True)
class ActionSupport:
    """How well the log knows one action.

    Attributes:
        action: its name.
        segment: "" for all; else the segment's name and label.
        rounds: of the segment.
        eligible: rounds in which it could be taken.
        taken: rounds in which it was.
        target_share: mean probability by the target policy.
        unsupported_share: of that, where the log never takes the action: see `untried`.
        effective: effective sample size of the rounds in which it was taken.
    """

    action: str
    segment: str
    rounds: int
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
        effective_users: the same of the weights summed by user.
        mean_weight: must be near 1.
        mean_weight_error: its standard error.
        largest_weight: of one round.
        share_of_few: of all weight, that the ten rounds, or the ten users, with the most carry.
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
    effective_users: float
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


def diagnose(weighed: Weighed, *, is_of_episodes: bool = False, refusals: Sequence[str] = ()) -> Diagnosis:
    """Return what can be said of the weights of a log beside a target policy.

    Args:
        weighed: a log beside a policy.
        is_of_episodes: whether the rounds are judged as parts of episodes, whose own products say how few carry an
            estimate: then only missing support refuses.
        refusals: why the log answers for no policy, from whoever read it.
    """
    rounds, w = weighed.rounds, weighed.weights
    by_user = _by_user(weighed)
    barred = untried(weighed.rounds)
    mean = Terms(direct=w)
    figures: dict[str, Any] = {
        "rounds": len(rounds),
        "users": rounds.n_clusters,
        "effective": effective_size(w),
        "effective_users": effective_size(by_user),
        "mean_weight": mean.value,
        "mean_weight_error": mean.standard_error(rounds.clusters),
        "largest_weight": float(w.max()),
        "share_of_few": max(share_of_few(w), share_of_few(by_user)),
        "tail": pareto_tail(w),
        "unsupported": float(weighed.target[barred].sum()) / len(rounds),
        "support": tuple(_support(weighed, barred)),
        "imbalance": imbalance(weighed),
    }
    found = (*refusals, *_refusals(weighed, figures, is_of_episodes))
    return Diagnosis(**figures, refusals=found, warnings=tuple(_warnings(weighed, figures)))


def _by_user(weighed: Weighed) -> Floats:
    clusters = weighed.rounds.clusters
    return weighed.weights if clusters is None else np.bincount(clusters, weighed.weights).astype(np.float64)


def effective_size(weights: Floats) -> float:
    """Return (sum w)^2 / sum w^2; 0 where all are 0."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def share_of_few(weights: Floats) -> float:
    """Return the share of all weight that the ten largest carry; 0 where there are not many more than ten."""
    total = float(weights.sum())
    if len(weights) <= 2 * FEW or not total:
        return 0.0
    return float(np.partition(weights, -FEW)[-FEW:].sum()) / total


def untried(rounds: LoggedRounds) -> Bools:
    """Return what the log never tries: whether each action could not have been taken in each round, shape (N, A).

    Where its logged probability is 0; where these are not known, all actions beside one that was taken with certainty,
    those that were never taken, and in a segment those that it never saw though by their share elsewhere it should
    have seen five.
    """
    if rounds.probabilities is not None:
        return np.asarray(rounds.probabilities == 0.0, np.bool_)
    n, n_actions = len(rounds), rounds.n_actions
    assert rounds.propensities is not None
    found = np.repeat((rounds.propensities > CERTAIN)[:, None], n_actions, axis=1)
    found[np.arange(n), rounds.actions] = False
    taken = np.bincount(rounds.actions, minlength=n_actions)
    found[:, taken == 0] = True
    eligible = rounds.eligibility.sum(axis=0)
    for labels in (rounds.segments or {}).values():
        _, codes = np.unique(labels, return_inverse=True)
        n_labels = int(codes.max()) + 1
        seen = np.bincount(codes * n_actions + rounds.actions, minlength=n_labels * n_actions).reshape(-1, n_actions)
        could = np.column_stack([np.bincount(codes, rounds.eligibility[:, a], n_labels) for a in range(n_actions)])
        elsewhere = (taken - seen) / np.maximum(eligible - could, 1.0)
        found |= ((seen == 0) & (could * elsewhere >= LEAST_TELLING))[codes]
    return found


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
    with np.errstate(over="ignore"):  # what is infinitely less likely than another has no share
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
    means, spread = centre_and_spread(rounds.context)
    moved = (weighed.weights @ rounds.context / total - means) / spread
    return dict(zip(rounds.features, moved.tolist(), strict=True))


def odd_balance(weighed: Weighed) -> float:
    """Return from which standardised difference on a covariate is off balance by more than chance."""
    effective = min(effective_size(weighed.weights), effective_size(_by_user(weighed)))
    return max(ODD_BALANCE, 3.0 / math.sqrt(effective)) if effective else math.inf


def _support(weighed: Weighed, barred: Bools) -> Iterator[ActionSupport]:
    """Yield the support of each action: over all, then by segment and label."""
    rounds = weighed.rounds
    groups = {"": np.zeros(len(rounds), np.int64)} | dict(rounds.segments or {})
    places = [np.flatnonzero(rounds.actions == action) for action in range(rounds.n_actions)]
    for name, labels in groups.items():
        values, codes = np.unique(labels, return_inverse=True)
        n = np.bincount(codes)
        columns = []
        for action, rows in enumerate(places):
            share, w = weighed.target[:, action], weighed.weights[rows]
            of = [np.bincount(codes, each, len(n)) for each in (rounds.eligibility[:, action], share)]
            lost = np.bincount(codes, share * barred[:, action], len(n))
            sums, squares = (np.bincount(codes[rows], each, len(n)) for each in (w, w**2))
            effective = np.divide(sums**2, squares, out=np.zeros(len(n)), where=squares > 0.0)
            columns.append((of[0], np.bincount(codes[rows], minlength=len(n)), of[1] / n, lost / n, effective))
        for k, label in enumerate(values):
            for action, (could, took, mean, without, effect) in enumerate(columns):
                yield ActionSupport(
                    rounds.action_names[action], f"{name} = {label}" if name else "", int(n[k]), int(could[k]),
                    int(took[k]), float(mean[k]), float(without[k]), float(effect[k]),
                )  # fmt: skip


def _refusals(weighed: Weighed, told: dict[str, Any], is_of_episodes: bool) -> Iterator[str]:
    rounds = weighed.rounds
    if told["unsupported"] > MOST_UNSUPPORTED:
        if is_deterministic(rounds):
            yield (
                "The log is deterministic: each action was taken with certainty, so nothing is known of what the "
                "policy would do otherwise. Log decisions with some exploration."
            )
        else:
            yield (
                f"Support is missing: the policy puts {100 * told['unsupported']:.1f} % of its probability on what the "
                f"log never tries ({_unsupported_words(told['support'])}); at most {100 * MOST_UNSUPPORTED:g} % can be."
            )
    if is_of_episodes:
        return
    effective, of = told["effective"], f"{told['rounds']:,} rounds"
    if told["effective_users"] < effective:
        effective, of = told["effective_users"], f"{told['users']:,} users"
    if effective < LEAST_EFFECTIVE:
        yield (
            f"A handful of {of.partition(' ')[2]} carries the estimate: the effective sample size is {effective:.1f} "
            f"of {of} (at least {LEAST_EFFECTIVE:g} are needed); the largest weight is {told['largest_weight']:,.0f}."
        )
    elif told["share_of_few"] > MOST_BY_FEW:
        yield (
            f"A handful of {of.partition(' ')[2]} carries the estimate: {FEW} of {of} hold "
            f"{100 * told['share_of_few']:.0f} % of all weight."
        )
    off = abs(told["mean_weight"] - 1.0)
    if off > max(MOST_OFF_BY, MOST_OFF * told["mean_weight_error"]) and told["unsupported"] <= MOST_UNSUPPORTED:
        yield (
            f"The mean weight is {told['mean_weight']:.3f}, where 1 is expected: the propensities are not those that "
            f"the log was made with, or rounds that the policy lives by were hardly ever drawn."
        )
    yield from _too_few_rewards(weighed, effective)


def _too_few_rewards(weighed: Weighed, effective: float) -> Iterator[str]:
    """Yield a refusal where rounds that the policy shares hold next to no reward, and are too few to be telling."""
    is_paying = weighed.rewards != 0.0
    n, n_shared = int(is_paying.sum()), int((is_paying & (weighed.weights > 0.0)).sum())
    if n_shared < LEAST_PAYING and n and effective * is_paying.mean() < ENOUGH_EXPECTED:
        yield (
            f"Only {n_shared:,} of the {n:,} rounds with a reward are of a kind that the policy shares (at least "
            f"{LEAST_PAYING} are needed, or so many rounds that none is telling): its intervals would mean nothing."
        )


def _warnings(weighed: Weighed, told: dict[str, Any]) -> Iterator[str]:
    off = (told["mean_weight"] - 1.0) / told["mean_weight_error"] if told["mean_weight_error"] else 0.0
    if abs(off) > ODD_MEAN and abs(told["mean_weight"] - 1.0) > ROUNDING:
        yield (
            f"The mean weight is {told['mean_weight']:.3f}, {abs(off):.1f} standard errors from 1: the propensities "
            f"are not those that the log was made with, or support is missing."
        )
    if told["tail"] > HEAVY_TAIL:
        yield (
            f"The weights have a heavy tail (Pareto k {told['tail']:.2f}, above {HEAVY_TAIL}): intervals are too "
            f"narrow, and more rounds help little. Believe a clipped or doubly robust estimate before a plain one."
        )
    least = odd_balance(weighed)
    if odd := {name: value for name, value in told["imbalance"].items() if abs(value) > least}:
        name = max(odd, key=lambda each: abs(odd[each]))
        yield (
            f"{len(odd)} of {len(told['imbalance'])} covariates are off balance after weighting, {name!r} the most, by "
            f"{odd[name]:+.2f} standard deviations (up to {least:.2g} is usual)."
        )


def is_deterministic(rounds: LoggedRounds) -> bool:
    """Return whether every action was taken with certainty."""
    return rounds.propensities is not None and bool(np.all(rounds.propensities > CERTAIN))


def _unsupported_words(support: Sequence[ActionSupport]) -> str:
    """Return where most of the probability without support lies; in a segment if nearly all of it does."""

    def mass(each: ActionSupport) -> float:
        return each.unsupported_share * each.rounds

    whole = max((each for each in support if not each.segment), key=mass)
    parts = [
        each for each in support if each.segment and each.action == whole.action and mass(each) > 0.9 * mass(whole)
    ]
    worst = min(parts, key=lambda each: each.rounds, default=whole)
    where = f" where {worst.segment}" if worst.segment else ""
    return f"most of it on {worst.action!r}{where}: taken in {worst.taken:,} of {worst.eligible:,} rounds"


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, float) else value
