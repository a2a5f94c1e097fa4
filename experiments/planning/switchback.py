"""Switchbacks: everybody is treated, or nobody, by turns in time.

Where users share a budget, a gateway or each other's attention, an arm takes from the other and a test between users
shows a difference that no rollout would bring. A switchback gives a whole block of time to one arm, by a coin. What one
block leaves to the next (fatigue, a backlog) is the carry-over: the first periods of each block are dropped.

    design = regular_design(n_periods=28 * 24, block_periods=24)
    is_treated = design.assign(rng)                          # one coin a block
    found = analyse(design, is_treated, outcomes, carry_over_periods=6)
    print(found.in_words())

Since every block loses its first periods whatever came before, a block's mean depends on its own coin alone: blocks are
independent, standard errors count blocks, and the randomisation test is exact.

Source: Bojinov, Simchi-Levi & Zhao, Design and analysis of switchback experiments (Management Science 2023; arXiv
2009.00148): blocks, carry-over of a known order, the exact test. Dropping whole beginnings, where the paper weighs each
period by the probability of its assignment path (`horvitz_thompson`), is a modelling choice: it loses periods between
blocks of the same arm, and has no weights that blow up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from experiments.planning.interval import Interval, interval
from experiments.planning.switchback_design import SwitchbackDesign
from experiments.planning.trial import Bools, Floats, require_numbers

FEWEST_BLOCKS = 2  # in an arm, so that blocks have a variance
MOST_ENUMERATED = 50_000  # assignments; more are drawn
N_DRAWN = 9_999


@dataclass(frozen=True)
class SwitchbackEstimate:
    """What treating everybody changes, per period.

    Attributes:
        difference: mean of the treated periods less that of the others; the interval by t with `degrees`.
        degrees: of freedom, by blocks.
        p_value: of the randomisation test of no effect on any period, two-sided.
        n_assignments: that the test looked at.
        is_exact: whether these were all with as many treated blocks.
        n_treated, n_control: blocks.
        n_periods, n_kept: all periods, and those after the carry-over.
    """

    difference: Interval
    degrees: float
    p_value: float
    n_assignments: int
    is_exact: bool
    n_treated: int
    n_control: int
    n_periods: int
    n_kept: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "switchback",
            "difference": self.difference.to_dict(),
            "degrees": self.degrees,
            "p_value": self.p_value,
            "n_assignments": self.n_assignments,
            "is_exact": self.is_exact,
            "n_treated_blocks": self.n_treated,
            "n_control_blocks": self.n_control,
            "n_periods": self.n_periods,
            "n_kept": self.n_kept,
        }

    def in_words(self) -> str:
        """Return the result in a sentence."""
        n = f"{self.n_assignments:,}"
        which = f"all {n} assignments" if self.is_exact else f"{n} drawn assignments"
        return (
            f"Treating everybody changes a period by {self.difference.in_words()}, from {self.n_treated} treated "
            f"blocks and {self.n_control} others, {self.n_kept} of {self.n_periods} periods kept; "
            f"randomisation p-value {self.p_value:.3g} over {which}."
        )


def analyse(
    design: SwitchbackDesign,
    is_treated: Bools,
    outcomes: Floats,
    *,
    carry_over_periods: int,
    level: float = 0.05,
    rng: np.random.Generator | None = None,
) -> SwitchbackEstimate:
    """Return the difference with a standard error by block, and the randomisation test.

    The difference is that of least squares on an indicator. Its variance is clustered: with e the residuals and n_a the
    kept periods of arm a, sum over a of B_a / (B_a - 1) sum over its blocks of (sum of e)^2 / n_a^2. For blocks of
    equal length it is Welch's for block means, and so are the degrees of freedom. The test goes through all assignments
    with as many treated blocks, which are equally likely, given their number, for any coin.

    Args:
        is_treated: of each block, shape (B,).
        outcomes: of each period, such as value per user, shape (T,).
        carry_over_periods: dropped at the start of each block, at least 0.
        level: of the interval, two-sided.
        rng: for drawing assignments where there are more than 50,000; None: seed 0.

    Raises:
        ValueError: shapes do not fit; fewer than two blocks in an arm; a block without periods left.

    Source: Liang & Zeger (Biometrika 1986), clustered by arm; Satterthwaite (Biometrics 1946) for the degrees; Bojinov,
    Simchi-Levi & Zhao (2023), the exact inference, for the test.
    """
    _check("analyse", design, is_treated, outcomes)
    n_treated, n_control = int(is_treated.sum()), int((~is_treated).sum())
    if min(n_treated, n_control) < FEWEST_BLOCKS:
        raise ValueError(
            f"analyse: expected at least {FEWEST_BLOCKS} blocks in each arm, got {n_treated} treated and {n_control} "
            "others: make blocks shorter or run for longer"
        )
    is_kept = design.is_kept(carry_over_periods)
    block_of = design.block_of
    lengths = np.bincount(block_of[is_kept], minlength=design.n_blocks).astype(np.float64)
    if not lengths.all():
        empty = np.flatnonzero(lengths == 0)
        raise ValueError(
            f"analyse: carry_over_periods: expected fewer than the periods of each block, got {carry_over_periods}, "
            f"which leaves nothing of {len(empty)} blocks, the first of them block {empty[0]}"
        )
    weights = outcomes[is_kept].astype(np.float64)
    sums = np.bincount(block_of[is_kept], weights=weights, minlength=design.n_blocks).astype(np.float64)
    difference = float(_differences(is_treated[None, :], sums, lengths)[0])
    variances: list[float] = []
    for is_in, n_blocks in ((is_treated, n_treated), (~is_treated, n_control)):
        n = lengths[is_in].sum()
        left = sums[is_in] - lengths[is_in] * sums[is_in].sum() / n
        variances.append(n_blocks / (n_blocks - 1) * float(left @ left) / float(n) ** 2)
    variance = sum(variances)
    bottom = variances[0] ** 2 / (n_treated - 1) + variances[1] ** 2 / (n_control - 1)
    degrees = float(variance**2 / bottom) if bottom > 0 else float(design.n_blocks - 2)
    p_value, n_assignments, is_exact = _randomisation_test(is_treated, sums, lengths, rng)
    return SwitchbackEstimate(
        difference=interval(difference, math.sqrt(variance), level=level, degrees=degrees),
        degrees=degrees,
        p_value=p_value,
        n_assignments=n_assignments,
        is_exact=is_exact,
        n_treated=n_treated,
        n_control=n_control,
        n_periods=design.n_periods,
        n_kept=int(is_kept.sum()),
    )


def horvitz_thompson(
    design: SwitchbackDesign, is_treated: Bools, outcomes: Floats, *, carry_over_periods: int
) -> float:
    """Return the effect of treating the last m + 1 periods, weighted by how likely each path of assignments was.

    1 / (T - m) sum over t >= m of Y_t (1{all of t - m to t treated} / P(...) - 1{none} / P(...)), where P is the coin's
    probability to the power of the number of blocks that t - m to t touch. Unbiased for any outcomes with a carry-over
    of at most m periods.

    Args:
        is_treated: of each block, shape (B,).
        outcomes: of each period, shape (T,).
        carry_over_periods: m, from 0 to T - 1.

    Source: Bojinov, Simchi-Levi & Zhao (2023), the estimator of the lag-p effect with p = m.
    """
    _check("horvitz_thompson", design, is_treated, outcomes)
    m = carry_over_periods
    if not 0 <= m < design.n_periods:
        raise ValueError(f"horvitz_thompson: carry_over_periods: expected 0 to {design.n_periods - 1}, got {m}")
    block_of = design.block_of
    last, first = block_of[m:], block_of[: design.n_periods - m]
    treated_before = np.concatenate([[0], np.cumsum(is_treated)])
    n_touched = last - first + 1
    n_treated = treated_before[last + 1] - treated_before[first]
    q = design.treated_prob
    weights = (n_treated == n_touched) / q**n_touched - (n_treated == 0) / (1 - q) ** n_touched
    return float((weights * outcomes[m:]).mean())


def _differences(assignments: Bools, sums: Floats, lengths: Floats) -> Floats:
    """Return the difference in means of each assignment, shapes (R, B), (B,), (B,) to (R,)."""
    treated = assignments.astype(np.float64)
    n, total = treated @ lengths, treated @ sums
    found: Floats = total / n - (sums.sum() - total) / (lengths.sum() - n)
    return found


def _randomisation_test(
    is_treated: Bools, sums: Floats, lengths: Floats, rng: np.random.Generator | None
) -> tuple[float, int, bool]:
    """Return the p-value, how many assignments it rests on, and whether these are all."""
    n_blocks, n_treated = len(is_treated), int(is_treated.sum())
    # Sums about the mean: differences do not change, and those that are equal differ in the last place only.
    sums = sums - lengths * sums.sum() / lengths.sum()
    observed = abs(float(_differences(is_treated[None, :], sums, lengths)[0])) * (1 - 1e-9)
    n_all = math.comb(n_blocks, n_treated)
    if n_all <= MOST_ENUMERATED:
        chosen = np.asarray(list(combinations(range(n_blocks), n_treated)))
        assignments = np.zeros((n_all, n_blocks), np.bool_)
        np.put_along_axis(assignments, chosen, True, axis=1)
        as_far = np.abs(_differences(assignments, sums, lengths)) >= observed
        return float(as_far.mean()), n_all, True
    drawn = (rng or np.random.default_rng(0)).permuted(np.tile(is_treated, (N_DRAWN, 1)), axis=1)
    as_far = np.abs(_differences(drawn, sums, lengths)) >= observed
    # The assignment that was made counts too: Phipson & Smyth (2010).
    return float((as_far.sum() + 1) / (N_DRAWN + 1)), N_DRAWN, False


def _check(where: str, design: SwitchbackDesign, is_treated: Any, outcomes: Any) -> None:
    shape = (design.n_blocks,)
    if not isinstance(is_treated, np.ndarray) or is_treated.dtype != np.bool_ or is_treated.shape != shape:
        kind = (
            f"{is_treated.dtype} of shape {is_treated.shape}"
            if isinstance(is_treated, np.ndarray)
            else type(is_treated)
        )
        raise ValueError(f"{where}: is_treated: expected booleans of shape {shape}, one for each block, got {kind}")
    require_numbers(f"{where}: outcomes", outcomes, design.n_periods)
