"""Everything about one uplift score, with intervals that know that a user's rows belong together.

found = uplift_quality(Trial.of(is_visit, is_sent, scores, clusters=user_ids))
found.qini.low > 0  # better than targeting at random, beyond luck
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.agent import Floats
from experiments.offline.quality.rows import Trial
from experiments.offline.quality.uplift import Ranking, UpliftCurve, contributions, require_share
from simulator.measures import plain

SHARES = tuple(round(0.05 * k, 2) for k in range(1, 21))
LEAST_REPLICATES = 20  # below, ends of a 95 % interval are no more than the extremes


@dataclass(frozen=True)
class Interval:
    """A figure and how far it moves when users are drawn again.

    Attributes:
        value: on the rows as they are.
        standard_error: standard deviation over resamples.
        low, high: 95 % percentile interval. NaN, as the error, where half the resamples or more do not have the figure.
    """

    value: float
    standard_error: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": plain(self.value),
            "standard_error": plain(self.standard_error),
            "low_95": plain(self.low),
            "high_95": plain(self.high),
        }


@dataclass(frozen=True)
class AtShare:
    """What is found when the rows with the highest scores are treated.

    Attributes:
        share: of rows treated, in (0, 1].
        uplift: difference in means of the arms among them, in the unit of the outcome.
        qini: height of the Qini curve: what treating them brings, per row of all.
    """

    share: float
    uplift: Interval
    qini: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"share": self.share, "uplift": self.uplift.to_dict(), "qini": self.qini.to_dict()}


@dataclass(frozen=True)
class UpliftQuality:
    """Everything about one uplift score.

    Attributes:
        n_rows, n_clusters, n_replicates: judged on, and resampled.
        effect: of treating everybody.
        qini: area between the Qini curve and the random line, outcome per row; 0 is no better than random.
        qini_coefficient: the same over that of the perfect curve: Radcliffe's Q, at most 1.
        auuc: area under the uplift curve (the form "uplift"), outcome per row; random targeting has effect / 2.
        perfect_auuc: of the score that knows every outcome.
        curve, perfect: Qini curves of the score and of the one that knows every outcome.
        at_shares: by rising share.
    """

    n_rows: int
    n_clusters: int
    n_replicates: int
    effect: Interval
    qini: Interval
    qini_coefficient: Interval
    auuc: Interval
    perfect_auuc: float
    curve: UpliftCurve
    perfect: UpliftCurve
    at_shares: tuple[AtShare, ...]

    @property
    def random_auuc(self) -> float:
        """Area under the line of targeting at random."""
        return self.effect.value / 2

    @property
    def is_better_than_random(self) -> bool:
        """Whether the interval of the Qini measure lies above 0."""
        return self.qini.low > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "uplift_quality",
            "version": 1,
            "n_rows": self.n_rows,
            "n_clusters": self.n_clusters,
            "n_replicates": self.n_replicates,
            "effect": self.effect.to_dict(),
            "qini": self.qini.to_dict(),
            "qini_coefficient": self.qini_coefficient.to_dict(),
            "is_better_than_random": self.is_better_than_random,
            "auuc": self.auuc.to_dict(),
            "random_auuc": plain(self.random_auuc),
            "perfect_auuc": plain(self.perfect_auuc),
            "at_shares": [each.to_dict() for each in self.at_shares],
            "qini_curve": self.curve.to_dict(),
            "perfect_qini_curve": self.perfect.to_dict(),
        }


def uplift_quality(
    trial: Trial, *, shares: Sequence[float] = SHARES, n_replicates: int = 400, seed: int = 0
) -> UpliftQuality:
    """Return everything about one uplift score.

    Intervals are by the cluster bootstrap: whole clusters are drawn with replacement, as many as there are. The score
    is held as it is, so it must not have been fitted to these rows. Cross-fitted scores are ranked together only after
    each fold's mean is taken from them: a fold left out whose effect is low lifts the level of the scores it is given,
    which alone puts the wrong rows first.

    Args:
        trial: rows, with whose they are.
        shares: in (0, 1], at which uplift is shown.
        n_replicates: at least LEAST_REPLICATES.
        seed: of the resamples; two scores on the same rows have the same ones.

    Source: Davison & Hinkley, Bootstrap Methods and their Application (1997), sections 3.8 and 5.3; Field & Welsh,
    Bootstrapping clustered data (JRSS B 2007).

    Raises:
        ValueError: a share or the number of replicates is out of range, or there are no two clusters.
    """
    wanted = sorted(shares)
    for share in wanted:
        require_share("uplift_quality: shares", share)
    model, known = Ranking.of(trial, trial.scores), Ranking.of(trial, contributions(trial))

    def figures(counts: Floats | None) -> Floats:
        sums = model.sums(counts)
        qini = sums.curve("qini")
        best = known.sums(counts).curve("qini").over_random
        ratio = qini.over_random / best if best > 0 else math.nan
        heads = [qini.effect, qini.over_random, ratio, sums.curve("uplift").area]
        return np.asarray([*heads, *map(sums.uplift_at, wanted), *map(qini.at, wanted)])

    found = _intervals(trial, figures, n_replicates, seed)
    n = len(wanted)
    return UpliftQuality(
        n_rows=len(trial),
        n_clusters=trial.n_clusters,
        n_replicates=n_replicates,
        effect=found[0],
        qini=found[1],
        qini_coefficient=found[2],
        auuc=found[3],
        perfect_auuc=known.sums().curve("uplift").area,
        curve=model.sums().curve("qini"),
        perfect=known.sums().curve("qini"),
        at_shares=tuple(map(AtShare, wanted, found[4 : 4 + n], found[4 + n :])),
    )


def qini_difference(trial: Trial, other: Trial, *, n_replicates: int = 400, seed: int = 0) -> Interval:
    """Return the Qini measure of one score less that of another on the same rows, over the same resamples.

    Raises:
        ValueError: the rows differ in anything but their scores.
    """
    for name in ("outcomes", "is_treated", "propensities", "clusters"):
        if not np.array_equal(getattr(trial, name), getattr(other, name)):
            raise ValueError(f"qini_difference: {name}: expected the same rows in the same order, got others")
    rankings = [Ranking.of(each, each.scores) for each in (trial, other)]

    def figures(counts: Floats | None) -> Floats:
        one, two = (ranking.sums(counts).curve("qini").over_random for ranking in rankings)
        return np.asarray([one - two])

    return _intervals(trial, figures, n_replicates, seed)[0]


def _intervals(
    trial: Trial, figures: Callable[[Floats | None], Floats], n_replicates: int, seed: int
) -> list[Interval]:
    """Return figures of the rows, as they are and resampled by cluster, with intervals; one for each figure."""
    if n_replicates < LEAST_REPLICATES:
        raise ValueError(f"n_replicates: expected at least {LEAST_REPLICATES}, got {n_replicates}")
    if trial.n_clusters < 2:
        raise ValueError(f"clusters: expected at least 2 to draw from, got 1 for all {len(trial)} rows")
    rng = np.random.default_rng(seed)
    values = figures(None)
    drawn = np.full((n_replicates, len(values)), np.nan)
    for row in drawn:
        often = np.bincount(rng.integers(trial.n_clusters, size=trial.n_clusters), minlength=trial.n_clusters)
        counts = often[trial.clusters].astype(np.float64)
        n_treated = counts[trial.is_treated].sum()
        if 0 < n_treated < counts.sum():  # else there is no effect in it to be seen
            row[:] = figures(counts)
    return [_interval(float(value), each) for value, each in zip(values, drawn.T, strict=True)]


def _interval(value: float, drawn: Floats) -> Interval:
    known = drawn[np.isfinite(drawn)]
    if 2 * len(known) <= len(drawn) or not math.isfinite(value):
        return Interval(value, math.nan, math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(known.std(ddof=1)), float(low), float(high))
