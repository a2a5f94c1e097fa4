"""CUPED: the same experiment with less noise, by what is known of each user from before it began.

A user who opened a lot last month opens a lot this month, whatever it is sent. Taking off what the time before predicts
leaves the effect as it is, because the split knew nothing of it, and takes a share r^2 of the variance, r the
correlation between before and during. A test then needs 1 - r^2 times as many users.

    found = cuped(trial, sessions_before)
    print(found.in_words())

Source: Deng, Xu, Kohavi & Walker, Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data (WSDM 2013); Lin, Agnostic notes on regression adjustments to experimental data
(Annals of Applied Statistics 2013), for slopes of each arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.planning.interval import Interval, finite_or_none, interval
from experiments.planning.trial import Floats, Trial, require_numbers

FEWEST_USERS = 3  # in an arm, so that its residuals have a variance


@dataclass(frozen=True)
class CupedEstimate:
    """A difference in means, as it is and adjusted.

    Attributes:
        adjusted: treated less control, adjusted.
        unadjusted: the same without.
        slopes: of the outcome on the covariate, that of the treated and that of the others; the same when pooled.
        n_treated, n_control: users.
    """

    adjusted: Interval
    unadjusted: Interval
    slopes: tuple[float, float]
    n_treated: int
    n_control: int

    @property
    def variance_ratio(self) -> float:
        """Adjusted over unadjusted variance: about 1 - r^2, and the share of the users that would do as well."""
        unadjusted = self.unadjusted.standard_error
        return (self.adjusted.standard_error / unadjusted) ** 2 if unadjusted > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "cuped",
            "adjusted": self.adjusted.to_dict(),
            "unadjusted": self.unadjusted.to_dict(),
            "slope_treated": self.slopes[0],
            "slope_control": self.slopes[1],
            "variance_ratio": finite_or_none(self.variance_ratio),
            "n_treated": self.n_treated,
            "n_control": self.n_control,
        }

    def in_words(self) -> str:
        """Return the result in a sentence."""
        left = 100 * self.variance_ratio
        gain = "" if math.isnan(left) else f" The adjustment leaves {left:.0f} % of the variance."
        clear = "clear of 0" if self.adjusted.is_clear else "not clear of 0"
        return (
            f"The difference is {self.adjusted.in_words()}, {clear}; without the adjustment it is "
            f"{self.unadjusted.in_words()}.{gain}"
        )


def cuped(trial: Trial, covariate: Floats, *, has_arm_slopes: bool = False, level: float = 0.05) -> CupedEstimate:
    """Return the adjusted difference in means.

    Pooled: mean(Y - b X) of the treated less that of the others, b = cov(X, Y) / var(X) within arms. That is the
    coefficient of the arm in a least-squares fit of Y on the arm and the centred X. With slopes of each arm, X is
    centred at the mean of all users and each arm has its own b: the fit with an interaction, never less precise in
    large samples, also where arms are unequal (a holdout) and the effect grows with X.

    The standard error is s_1^2 / n_1 + s_0^2 / n_0 of the residuals under the root, s^2 with one degree of freedom less
    for the slope; with slopes of each arm, (b_1 - b_0)^2 var(X) / n is added, because the mean of X over users to come
    is not known.

    Args:
        covariate: of each user, from before the experiment, shape (N,).
        has_arm_slopes: each arm has its own slope.
        level: of the intervals, by the normal approximation.

    Raises:
        ValueError: fewer than three users in an arm; a covariate that is not finite or does not vary.
    """
    try:
        require_numbers("cuped: covariate", covariate, len(trial))
    except ValueError as fault:
        raise ValueError(
            f"{fault}. Of users without a past take 0, or any other constant that was fixed before the experiment"
        ) from None
    y, x = np.asarray(trial.outcomes, np.float64), np.asarray(covariate, np.float64)
    is_treated = trial.is_treated
    n_treated, n_control = int(is_treated.sum()), int((~is_treated).sum())
    if min(n_treated, n_control) < FEWEST_USERS:
        raise ValueError(
            f"cuped: expected at least {FEWEST_USERS} users in each arm, got {n_treated} treated and {n_control} others"
        )
    arms = [(y[rows], x[rows]) for rows in (is_treated, ~is_treated)]
    if any(np.ptp(xs) == 0 for _, xs in arms):
        raise ValueError("cuped: covariate: expected one that differs between users of an arm, got a constant")
    crosses = [float((xs - xs.mean()) @ (ys - ys.mean())) for ys, xs in arms]
    squares = [float((xs - xs.mean()) @ (xs - xs.mean())) for _, xs in arms]
    if has_arm_slopes:
        slopes = (crosses[0] / squares[0], crosses[1] / squares[1])
    else:
        slopes = (sum(crosses) / sum(squares),) * 2
    centre = float(x.mean())
    # A slope for both costs one degree of freedom, of which each arm bears the half.
    spent = 2.0 if has_arm_slopes else 1.5
    means, variance = [], (slopes[0] - slopes[1]) ** 2 * float(x.var(ddof=1)) / len(x)
    for (ys, xs), slope in zip(arms, slopes, strict=True):
        left = ys - slope * (xs - centre)
        means.append(float(left.mean()))
        variance += float(((left - left.mean()) ** 2).sum()) / (len(left) - spent) / len(left)
    treated, control = trial.treated, trial.control
    adjusted = interval(means[0] - means[1], math.sqrt(variance), level=level)
    error = math.sqrt(treated.squared_error + control.squared_error)
    unadjusted = interval(treated.mean - control.mean, error, level=level)
    return CupedEstimate(adjusted, unadjusted, slopes, n_treated, n_control)
