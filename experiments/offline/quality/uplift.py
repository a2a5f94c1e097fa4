"""Uplift: how much more comes of treating those whom a score puts first, from rows treated and untreated by chance.

Rows are taken in falling order of score. Of the first share phi, with weights t/e for treated rows and (1-t)/(1-e) for
the others (e: the propensity), four sums grow: of weights, N_t and N_c, and of weighted outcomes, Y_t and Y_c. All
curves and the uplift at a share are made of them.

Ties: rows with equal scores could stand in any order. Each of the four sums is its mean over all orders, which is
linear in phi across them. So "gain" curves and their areas are exactly the means over all orders; the other two divide
means of sums, as a policy would that treats such rows with equal chances. A constant score has the random line.

    curve = uplift_curve(Trial.of(is_visit, is_sent, scores))
    curve.over_random, uplift_at(trial, 0.2)

Source: inverse propensity weights, normalised to sum to 1 within each arm: Hajek (1971); Hirano, Imbens & Ridder
(Econometrica 2003).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from agents.agent import Floats, Ints
from experiments.offline.quality.rows import Trial

CurveForm = Literal["qini", "uplift", "gain"]
MOST_POINTS = 101  # of a curve in plain data


@dataclass(frozen=True, eq=False)
class UpliftCurve:
    """What treating the first share of rows brings, in the unit of the outcome, per row of all.

    Attributes:
        form: which of the three definitions, see `uplift_curve`.
        shares: rising from 0 to 1, shape (M,).
        heights: from 0 to the effect of treating everybody, shape (M,).
    """

    form: CurveForm
    shares: Floats
    heights: Floats

    @property
    def effect(self) -> float:
        """Of treating everybody: the curve's end, the difference in (weighted) means of the arms."""
        return float(self.heights[-1])

    @property
    def area(self) -> float:
        """Under the curve, shares from 0 to 1; of the form "uplift" this is the AUUC."""
        return float(np.trapezoid(self.heights, self.shares))

    @property
    def random_area(self) -> float:
        """Under the straight line from 0 to the effect: what targeting at random brings."""
        return self.effect / 2

    @property
    def over_random(self) -> float:
        """Area above the random line; of the form "qini" this is the Qini measure q, not yet a ratio."""
        return self.area - self.random_area

    def at(self, share: float) -> float:
        """Return the height at a share from 0 to 1."""
        return float(np.interp(share, self.shares, self.heights))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, the curve at MOST_POINTS even shares."""
        shares = np.linspace(0.0, 1.0, MOST_POINTS)
        return {
            "form": self.form,
            "effect": self.effect,
            "area": self.area,
            "random_area": self.random_area,
            "over_random": self.over_random,
            "shares": shares.tolist(),
            "heights": np.interp(shares, self.shares, self.heights).tolist(),
        }


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in falling order of score.

    Attributes:
        order: of rows, shape (N,).
        levels: 0, 1, ... of distinct scores in that order, shape (N,).
        columns: of the rows in that order, what they add to N_t, Y_t, N_c, Y_c, shape (4, N).
    """

    order: Ints
    levels: Ints
    columns: Floats

    @classmethod
    def of(cls, trial: Trial, scores: Floats) -> Ranking:
        """Return a trial's rows ranked by these scores, shape (N,)."""
        order: Ints = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        levels = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])]).astype(np.int64)
        treated, control = _arm_weights(trial)
        columns = np.stack([treated, treated * trial.outcomes, control, control * trial.outcomes])
        return cls(order, levels, columns[:, order])

    def sums(self, counts: Floats | None = None) -> Sums:
        """Return the four sums as the share grows.

        Args:
            counts: how often each row of the trial counts, shape (N,); None: once each.
        """
        levels, columns = self.levels, self.columns
        often = np.ones(len(levels)) if counts is None else counts[self.order]
        if counts is not None:
            is_kept = often > 0
            levels, columns, often = levels[is_kept], columns[:, is_kept], often[is_kept]
        grown = np.concatenate([np.zeros((4, 1)), np.cumsum(columns * often, axis=1)], axis=1)
        shares = np.concatenate([[0.0], np.cumsum(often)])
        shares /= shares[-1]
        ends = np.concatenate([[0], 1 + np.flatnonzero(levels[1:] != levels[:-1]), [len(levels)]])
        if len(ends) < len(shares):  # the mean over all orders of rows with equal scores
            grown = np.stack([np.interp(shares, shares[ends], each[ends]) for each in grown])
        return Sums(shares, *grown)


@dataclass(frozen=True, eq=False)
class Sums:
    """Weights and weighted outcomes of the arms among the rows that come first, each of shape (M,), from 0."""

    shares: Floats
    treated: Floats
    treated_outcomes: Floats
    control: Floats
    control_outcomes: Floats

    def curve(self, form: CurveForm) -> UpliftCurve:
        """Return a curve; an arm of which nobody has come yet counts as 0."""
        match form:
            case "qini":
                expected = self.control_outcomes * _ratio(self.treated, self.control)
                heights = (self.treated_outcomes - expected) / self.treated[-1]
            case "uplift":
                means = _ratio(self.treated_outcomes, self.treated), _ratio(self.control_outcomes, self.control)
                heights = self.shares * (means[0] - means[1])
            case "gain":
                heights = self.treated_outcomes / self.treated[-1] - self.control_outcomes / self.control[-1]
        return UpliftCurve(form, self.shares, heights)

    def uplift_at(self, share: float) -> float:
        """Return the difference in means among the first share; NaN where an arm has nobody there."""
        treated, treated_outcomes, control, control_outcomes = (
            float(np.interp(share, self.shares, each))
            for each in (self.treated, self.treated_outcomes, self.control, self.control_outcomes)
        )
        if treated <= 0 or control <= 0:
            return math.nan
        return treated_outcomes / treated - control_outcomes / control


def uplift_curve(trial: Trial, form: CurveForm = "qini") -> UpliftCurve:
    """Return what treating the rows with the highest scores brings, as their share phi grows.

    In one of three forms; the sums are those of the first share phi, see the module, capitals with a star of all rows:

        qini    (Y_t - Y_c N_t / N_c) / N_t*      Radcliffe (2007), his count of responders over the treated rows
        uplift  phi (Y_t / N_t - Y_c / N_c)       Gutierrez & Gerardy (2016), their number over N
        gain    Y_t / N_t* - Y_c / N_c*           the sums alone, linear in the rows

    All end at the same effect, and differ by the luck of how many of each arm come first. The area under "uplift" is
    the AUUC of Gutierrez & Gerardy, over N: in the terms of Devriendt et al. (2020) a joint one, both arms ranked
    together and not each by itself. It is an outcome per row, not scaled to 1; targeting at random has effect / 2.

    Source: Radcliffe, Using control groups to target on predicted lift (Direct Marketing Analytics Journal 2007);
    Gutierrez & Gerardy, Causal inference and uplift modelling: a review of the literature (PMLR 67, 2016); Devriendt,
    Guns & Verbeke, Learning to rank for uplift modeling (arXiv 2002.05897, 2020).

    Raises:
        ValueError: there is no such form.
    """
    _require_form(form)
    return Ranking.of(trial, trial.scores).sums().curve(form)


def perfect_curve(trial: Trial, form: CurveForm = "qini") -> UpliftCurve:
    """Return the curve of a score that knows every row's outcome: a bound that no real score can reach.

    Rows stand by what they add, outcome * (t / e) or -outcome * (1 - t) / (1 - e), the most first: treated responders,
    then all without an outcome, then untreated responders. Of "gain" no curve lies above it; of the other two it is the
    customary reference.

    Source: Radcliffe (2007), the optimum that negative effects are allowed in.

    Raises:
        ValueError: there is no such form.
    """
    _require_form(form)
    return Ranking.of(trial, contributions(trial)).sums().curve(form)


def contributions(trial: Trial) -> Floats:
    """Return what each row adds to the gain, up to the arms' sizes: the transformed outcome, shape (N,).

    Source: Athey & Imbens, Recursive partitioning for heterogeneous causal effects (PNAS 2016).
    """
    treated, control = _arm_weights(trial)
    found: Floats = trial.outcomes * (treated / treated.sum() - control / control.sum())
    return found


def uplift_at(trial: Trial, share: float) -> float:
    """Return the uplift among the share of rows with the highest scores: the difference in the arms' weighted means.

    A share that ends within a row, or among rows with equal scores, counts them in part.

    Raises:
        ValueError: the share is not above 0 and at most 1, or one of the arms has nobody in it.
    """
    require_share("uplift_at: share", share)
    found = Ranking.of(trial, trial.scores).sums().uplift_at(share)
    if math.isnan(found):
        raise ValueError(
            f"uplift_at: share {share:g} of {len(trial)} rows: expected treated and untreated rows in it, got one arm "
            f"only; take a larger share"
        )
    return found


def require_share(name: str, share: float) -> None:
    """Raise a ValueError unless a share is above 0 and at most 1."""
    if not 0.0 < share <= 1.0:
        hint = f"; {share:g} % is {share / 100:g}" if 1.0 < share <= 100.0 else ""
        raise ValueError(f"{name}: expected above 0 and at most 1, got {share:g}{hint}")


def _require_form(form: str) -> None:
    if form not in get_args(CurveForm):
        raise ValueError(f"form: expected one of {', '.join(get_args(CurveForm))}; got {form!r}")


def _arm_weights(trial: Trial) -> tuple[Floats, Floats]:
    """Return t / e and (1 - t) / (1 - e), each of shape (N,)."""
    treated = np.where(trial.is_treated, 1.0 / trial.propensities, 0.0)
    control = np.where(trial.is_treated, 0.0, 1.0 / (1.0 - trial.propensities))
    return treated, control


def _ratio(parts: Floats, wholes: Floats) -> Floats:
    """Return parts over wholes, 0 where the whole is 0."""
    found: Floats = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)
    return found
