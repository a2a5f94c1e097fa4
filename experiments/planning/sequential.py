"""Looking at a running test as often as one likes: intervals that hold at all times together.

An interval for one fixed number of users is wrong far more often than its level when it is looked at again and again.
A confidence sequence is wrong with at most that probability at *any* of the looks, so a test may stop whenever it is
clear. What that costs is width: about half as much again at the number of users that it was planned for.

    asymptotic_sequence   differences of means, by the central limit theorem; tightest where it was planned for
    mixture_sprt          the same as a test, p-values that may be watched, tuned by effects that are likely
    bounded_sequence      outcomes within known bounds, exact for any number of users; wider, and right for rare events

Source: Robbins (Annals of Mathematical Statistics 1970) for the mixture; Johari, Koomen, Pekelis & Walsh, Always valid
inference: continuous monitoring of A/B tests (Operations Research 2022; arXiv 1512.04922); Waudby-Smith, Arbour, Sinha,
Kennedy & Ramdas, Time-uniform central limit theory and asymptotic confidence sequences (Annals of Statistics 2024;
arXiv 2103.06476); Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting (JRSS B 2024; arXiv
2010.09686).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import lambertw

from experiments.planning.bounded import bounded_mean_bounds
from experiments.planning.interval import finite_or_none
from experiments.planning.trial import Bools, Floats, Ints, Trial, require_inside

FIRST_LOOK = 100  # users in each arm before the central limit theorem is trusted; see asymptotic_sequence
FEWEST_UNUSUAL = 10  # outcomes of an arm that are not its commonest, before its variance is


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """Bounds of a difference, treated less control, after each user.

    Attributes:
        method: in words.
        level: probability that the truth is left out at any time, at most.
        estimate: NaN while an arm is empty, shape (N,).
        low, high: infinite while nothing can be said, shape (N,).
    """

    method: str
    level: float
    estimate: Floats
    low: Floats
    high: Floats

    def __len__(self) -> int:
        return len(self.estimate)

    def __repr__(self) -> str:
        return f"ConfidenceSequence({self.method!r}, level={self.level}, users={len(self)})"

    def first_clear_of(self, value: float) -> int | None:
        """Return after how many users the value is first left out, counted from 1; None: it never is."""
        rows = np.flatnonzero((self.low > value) | (self.high < value))
        return int(rows[0]) + 1 if len(rows) else None

    @property
    def n_users_to_clear(self) -> int | None:
        """After how many users 0 is first left out; None: it never is."""
        return self.first_clear_of(0.0)

    @property
    def is_clear(self) -> bool:
        """Whether 0 was left out at any time: having been clear once is enough."""
        return self.n_users_to_clear is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the last bounds and when they became clear, plain data for JSON."""
        return {
            "kind": "confidence_sequence",
            "method": self.method,
            "level": self.level,
            "n_users": len(self),
            "estimate": finite_or_none(self.estimate[-1]),
            "low": finite_or_none(self.low[-1]),
            "high": finite_or_none(self.high[-1]),
            "n_users_to_clear": self.n_users_to_clear,
        }

    def in_words(self) -> str:
        """Return where it stands in a sentence."""
        if not math.isfinite(self.low[-1]):
            return f"After {len(self):,} users there are too few to say anything ({self.method})."
        found = self.n_users_to_clear
        clear = "no difference is not ruled out yet" if found is None else f"clear of 0 at user {found:,}"
        if found is not None and self.low[-1] <= 0 <= self.high[-1]:
            clear += ", which stands although the bounds hold 0 again"
        return (
            f"After {len(self):,} users the difference is {self.estimate[-1]:.4g}, between {self.low[-1]:.4g} and "
            f"{self.high[-1]:.4g} however often one looks (level {self.level:g}, {self.method}): {clear}."
        )


@dataclass(frozen=True, eq=False)
class AlwaysValidTest:
    """A test that may be looked at after each user.

    Attributes:
        sequence: the bounds that belong to it.
        p_values: the smallest so far; stop when it is at most the level, shape (N,).
    """

    sequence: ConfidenceSequence
    p_values: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"kind": "always_valid_test", "p_value": float(self.p_values[-1]), "sequence": self.sequence.to_dict()}

    def in_words(self) -> str:
        """Return where it stands in a sentence."""
        return f"{self.sequence.in_words()} Always-valid p-value: {self.p_values[-1]:.3g}."


def best_rho(planned_users: float, level: float = 0.05) -> float:
    """Return the tuning parameter for which the asymptotic sequence is tightest at a planned number of users.

    rho = sqrt((-W(-level^2 / e) - 1) / n) with the lower branch of Lambert's W, the minimum over rho of the margin in
    `time_uniform_factor`. There the factor is sqrt(-W(-level^2 / e)): 3.03 at a level of .05, beside 1.96.

    Source: Waudby-Smith et al. (2024), appendix on optimising the boundary for a time; Howard, Ramdas, McAuliffe &
    Sekhon (Annals of Statistics 2021), proposition 3.
    """
    require_inside("best_rho: level", level)
    if not planned_users > 0:
        raise ValueError(f"best_rho: planned_users: expected more than 0, got {planned_users}")
    return math.sqrt((-float(lambertw(-(level**2) / math.e, -1).real) - 1.0) / planned_users)


def time_uniform_factor(n_users: Ints | Floats, rho: float, level: float = 0.05) -> Floats:
    """Return what the standard error is to be multiplied with, where 1.96 stands in a fixed interval, shape as given.

    sqrt(2 (n rho^2 + 1) / (n rho^2) log(sqrt(n rho^2 + 1) / level))

    Source: Waudby-Smith et al. (2024), theorem 2.2: the margin there is sigma / sqrt(n) times this.
    """
    require_inside("time_uniform_factor: level", level)
    require_inside("time_uniform_factor: rho", rho, 0.0, math.inf)
    size = np.asarray(n_users, np.float64) * rho**2
    found: Floats = np.sqrt(2.0 * (size + 1.0) / size * np.log(np.sqrt(size + 1.0) / level))
    return found


def asymptotic_sequence(
    trial: Trial, *, planned_users: int, level: float = 0.05, first_look: int = FIRST_LOOK
) -> ConfidenceSequence:
    """Return an asymptotic confidence sequence of the difference in means.

    difference +- standard error * time_uniform_factor. The difference in means is the doubly robust estimate whose
    model of an outcome is the mean of its arm, and s_1^2 / n_1 + s_0^2 / n_0 the estimated variance of its influence
    function over n.

    It holds as the first look goes to later users. Of rare events wait for some in each arm, or take
    `bounded_sequence`: until ten outcomes of each arm are other than its commonest, nothing is said here.

    Measured without an effect at a level of .05, in 1,000 paths of 20,000 users from a first look at 100 an arm on: a
    rate of 2 % with nine tenths treated left out 0 at some time in 2.3 %, a rate of .5 % with halves in 1.0 %. Amounts
    with a long tail in a small arm want a later first look: lognormal with a spread of 1.5, nine tenths treated, 10.3 %
    in 5,000 users, and 4.7 % in 10,000 from a first look at 500 an arm on.

    Args:
        planned_users: of both arms, at which it is to be tightest.
        level: two-sided.
        first_look: users in each arm before anything is said, at least 2.

    Source: Waudby-Smith et al. (2024), theorem 2.2 and, for two arms, theorem 3.1.
    """
    if first_look < 2:
        raise ValueError(f"asymptotic_sequence: first_look: expected at least 2 users in each arm, got {first_look}")
    rho = best_rho(planned_users, level)
    path = _path(trial)
    factor = time_uniform_factor(np.arange(1, len(trial) + 1), rho, level)
    method = f"asymptotic confidence sequence, planned for {planned_users:,} users"
    return _around(method, level, path, factor * np.sqrt(path.squared_errors), path.is_open(first_look))


def mixture_sprt(
    trial: Trial, *, effect_sd: float, level: float = 0.05, first_look: int = FIRST_LOOK
) -> AlwaysValidTest:
    """Return the mixture sequential probability ratio test of no difference in means.

    With d the difference, v its squared standard error so far, and effects taken as normal around 0 with variance t^2:

        likelihood ratio = sqrt(v / (v + t^2)) exp(t^2 d^2 / (2 v (v + t^2)))
        p-value          = min(1, 1 / the largest ratio so far)

    and the bounds are the differences that the test would not refuse. With v = sigma^2 / n it is the asymptotic
    sequence at rho = t / sigma.

    Args:
        effect_sd: t, how large effects are as a rule, in the metric's unit, above 0. It moves the power, never the
            level.
        level: two-sided.
        first_look: as in `asymptotic_sequence`, because variances are estimated here too.

    Source: Johari et al. (2022): the mixture SPRT with a normal mixture, for two streams.
    """
    require_inside("mixture_sprt: effect_sd", effect_sd, 0.0, math.inf)
    require_inside("mixture_sprt: level", level)
    if first_look < 2:
        raise ValueError(f"mixture_sprt: first_look: expected at least 2 users in each arm, got {first_look}")
    path = _path(trial)
    is_open = path.is_open(first_look)
    v = np.where(is_open, path.squared_errors, 1.0)
    difference = np.where(is_open, path.estimate, 0.0)
    shrunk = 0.5 * np.log(v / (v + effect_sd**2))
    log_ratio = np.where(is_open, shrunk + effect_sd**2 * difference**2 / (2 * v * (v + effect_sd**2)), 0.0)
    margin = np.sqrt(2 * v * (v + effect_sd**2) / effect_sd**2 * (-shrunk - math.log(level)))
    method = f"mixture SPRT for effects of about {effect_sd:.4g}"
    p_values: Floats = np.exp(-np.maximum.accumulate(np.maximum(log_ratio, 0.0)))
    return AlwaysValidTest(_around(method, level, path, margin, is_open), p_values)


def bounded_sequence(
    trial: Trial, *, lowest: float = 0.0, highest: float = 1.0, planned_users: int | None = None, level: float = 0.05
) -> ConfidenceSequence:
    """Return a confidence sequence of the difference in means that holds for any number of users.

    Each user gives one number whose expectation is the effect, whatever came before:

        (T / q - (1 - T) / (1 - q)) (Y - m),    m the mean outcome of all users before

    which lies within plus or minus (highest - lowest) / min(q, 1 - q); its mean is bounded by the predictable plug-in
    empirical Bernstein sequence of `bounded_mean_bounds`. It needs users who are assigned one by one with a known
    probability q, and no approximation. That m may be anything known before is a modelling choice for less variance.

    Args:
        lowest, highest: bounds of an outcome.
        planned_users: at which to be tightest; None: no plan.
        level: two-sided.

    Raises:
        ValueError: an outcome lies outside the bounds.

    Source: Waudby-Smith & Ramdas (2024), theorem 2; Horvitz & Thompson (JASA 1952) for the weights.
    """
    require_inside("bounded_sequence: highest", highest, lowest, math.inf)
    outside = np.flatnonzero((trial.outcomes < lowest) | (trial.outcomes > highest))
    if len(outside):
        row = outside[0]
        raise ValueError(
            f"bounded_sequence: outcomes: expected {lowest:g} to {highest:g}, got {trial.outcomes[row]:g} in row {row}"
        )
    q = trial.treated_share
    y = (np.asarray(trial.outcomes, np.float64) - lowest) / (highest - lowest)
    before = (0.5 + np.concatenate([[0.0], np.cumsum(y)[:-1]])) / np.arange(1, len(y) + 1)
    effects = np.where(trial.is_treated, 1 / q, -1 / (1 - q)) * (y - before)
    half = 1 / min(q, 1 - q)
    low, high = bounded_mean_bounds((effects + half) / (2 * half), level=level, planned=planned_users)
    unit = highest - lowest
    bounds = [np.clip(unit * (2 * half * bound - half), -unit, unit) for bound in (low, high)]
    method = f"empirical Bernstein confidence sequence for outcomes from {lowest:g} to {highest:g}"
    return ConfidenceSequence(method, level, _path(trial).estimate, bounds[0], bounds[1])


@dataclass(frozen=True, eq=False)
class _Path:
    """Difference in means and its squared standard error after each user; NaN where an arm has too few."""

    estimate: Floats  # (N,)
    squared_errors: Floats  # (N,)
    fewest: Ints  # users in the smaller arm, (N,)
    fewest_unusual: Ints  # outcomes that are not the commonest of their arm, in the arm with fewer, (N,)

    def is_open(self, first_look: int) -> Bools:
        """Return where bounds may be given: an arm in which nearly all are alike has a variance that is not known."""
        return (self.fewest >= first_look) & (self.fewest_unusual >= FEWEST_UNUSUAL)


def _path(trial: Trial) -> _Path:
    y = np.asarray(trial.outcomes, np.float64)
    # Variances do not depend on it, and sums of squares about the mean do not cancel.
    centre = float(y.mean()) if len(y) else 0.0
    means, errors, counts, unusual = [], [], [], []
    for is_in in (trial.is_treated, ~trial.is_treated):
        n = np.cumsum(is_in)
        total = np.cumsum(np.where(is_in, y - centre, 0.0))
        squares = np.cumsum(np.where(is_in, (y - centre) ** 2, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            means.append(np.where(n > 0, total / n, np.nan))
            errors.append(np.where(n > 1, np.maximum(squares - total**2 / n, 0.0) / (n - 1) / n, np.nan))
        counts.append(n)
        unusual.append(n - _commonest_counts(y, is_in))
    return _Path(means[0] - means[1], errors[0] + errors[1], np.minimum(*counts), np.minimum(*unusual))


def _commonest_counts(outcomes: Floats, is_in: Bools) -> Ints:
    """Return how often an arm's commonest outcome has come so far, shape (N,)."""
    own = outcomes[is_in]
    order = np.argsort(own, kind="stable")
    is_new = np.concatenate([[True], np.diff(own[order]) != 0])[: len(own)]
    places = np.arange(len(own))
    times = np.zeros(len(outcomes), np.int64)
    times[np.flatnonzero(is_in)[order]] = 1 + places - np.maximum.accumulate(np.where(is_new, places, 0))
    found: Ints = np.maximum.accumulate(times)
    return found


def _around(method: str, level: float, path: _Path, margin: Floats, is_open: Bools) -> ConfidenceSequence:
    low = np.where(is_open, path.estimate - margin, -np.inf)
    high = np.where(is_open, path.estimate + margin, np.inf)
    return ConfidenceSequence(method, level, path.estimate, low, high)
