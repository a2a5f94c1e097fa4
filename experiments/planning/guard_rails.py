"""Guard rails: a policy may win on value and still not go out if it drives people away.

A guard rail is a harm, such as more opt-outs or lower retention, and a margin: how much of it would be borne at most.
The question is not whether there is any harm, which a small test could never rule out, but whether it is clearly below
the margin (safe), clearly above it (stop), or neither yet (go on).

    rate_guard_rail        once, at a number of users fixed before: opt-outs, retention
    amount_guard_rail      the same for means
    watch                  after each user, by a confidence sequence: stops as soon as harm is clear

Source: Farrington & Manning, Test statistics and sample size formulae for comparative binomial trials with null
hypothesis of non-zero risk difference or non-unity relative risk (Statistics in Medicine 1990), for the test of rates
with a margin; Welch (Biometrika 1947) for means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

from experiments.planning.interval import finite_or_none
from experiments.planning.sequential import ConfidenceSequence
from experiments.planning.trial import Arm, require_inside

Verdict = Literal["stop", "go on", "safe"]
HarmIs = Literal["increase", "decrease"]  # which change of the metric is the harm


@dataclass(frozen=True)
class Guard:
    """A harm and how much of it is borne.

    Attributes:
        name: of the metric, for messages: "opt-out rate".
        margin: the harm that is just not borne any more, above 0, in the metric's unit.
        harm_is: which change of the metric is harm: an "increase" of opt-outs, a "decrease" of retention.
    """

    name: str
    margin: float
    harm_is: HarmIs = "increase"

    def __post_init__(self) -> None:
        require_inside(f"guard {self.name!r}: margin", self.margin, 0.0, math.inf)
        if self.harm_is not in ("increase", "decrease"):
            raise ValueError(f"guard {self.name!r}: harm_is: expected 'increase' or 'decrease', got {self.harm_is!r}")


@dataclass(frozen=True)
class GuardVerdict:
    """What a guard rail says.

    Attributes:
        guard: what was asked.
        verdict: "stop", "go on" or "safe".
        reason: in words.
        harm: estimate; above 0 is harm.
        low, high: its bounds.
        n_users: of both arms, when it was decided, or until now.
    """

    guard: Guard
    verdict: Verdict
    reason: str
    harm: float
    low: float
    high: float
    n_users: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "guard_rail",
            "metric": self.guard.name,
            "margin": self.guard.margin,
            "harm_is": self.guard.harm_is,
            "verdict": self.verdict,
            "reason": self.reason,
            "harm": finite_or_none(self.harm),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "n_users": self.n_users,
        }

    def in_words(self) -> str:
        """Return the verdict in a sentence."""
        return f"{self.verdict[0].upper()}{self.verdict[1:]}: {self.reason}."


def rate_guard_rail(
    guard: Guard, treated_events: int, n_treated: int, control_events: int, n_control: int, *, level: float = 0.05
) -> GuardVerdict:
    """Return the verdict of a test of two rates with a margin, once.

    The bounds are the margins that the one-sided tests of Farrington & Manning at this level would just not refuse, so
    the verdict is theirs: safe where the upper bound is below the margin, stop where the lower one is above it.

    Args:
        treated_events, control_events: users in whom it happened.
        n_treated, n_control: users.
        level: one-sided probability to call safe what is at the margin, and to stop what is.
    """
    require_inside("rate_guard_rail: level", level, 0.0, 0.5)
    for name, events, n in (("treated", treated_events, n_treated), ("control", control_events, n_control)):
        if n < 1 or not 0 <= events <= n:
            raise ValueError(f"rate_guard_rail: {name}: expected 0 to n events of n >= 1 users, got {events} of {n}")
    if guard.margin >= 1.0:
        raise ValueError(
            f"rate_guard_rail: {guard.name}: margin: expected below 1, got {guard.margin:g}; "
            f"did you mean {guard.margin / 100:g}?"
        )
    worse, better = (treated_events, n_treated), (control_events, n_control)
    if guard.harm_is == "decrease":
        worse, better = better, worse
    harm = worse[0] / worse[1] - better[0] / better[1]
    bound = float(norm.isf(level))

    def root(target: float) -> float:
        """Return the margin at which the statistic, which falls with it, takes a value."""
        edges = (-1.0 + 1e-12, 1.0 - 1e-12)
        gaps = [score_statistic(*worse, *better, edge) - target for edge in edges]
        if gaps[0] <= 0:
            return -1.0
        if gaps[1] >= 0:
            return 1.0
        return float(brentq(lambda at: score_statistic(*worse, *better, at) - target, *edges, xtol=1e-12))

    low, high = root(bound), root(-bound)
    return _verdict(guard, harm, low, high, n_treated + n_control, f"one-sided level {level:g}")


def amount_guard_rail(guard: Guard, treated: Arm, control: Arm, *, level: float = 0.05) -> GuardVerdict:
    """Return the verdict of a test of two means with a margin, once: Welch's bounds, each of a one-sided level."""
    require_inside("amount_guard_rail: level", level, 0.0, 0.5)
    if min(treated.n_users, control.n_users) < 2:
        raise ValueError(
            f"amount_guard_rail: expected at least 2 users in each arm, got {treated.n_users} and {control.n_users}"
        )
    sign = 1.0 if guard.harm_is == "increase" else -1.0
    harm = sign * (treated.mean - control.mean)
    parts = (treated.squared_error, control.squared_error)
    bottom = parts[0] ** 2 / (treated.n_users - 1) + parts[1] ** 2 / (control.n_users - 1)
    degrees = sum(parts) ** 2 / bottom if bottom > 0 else math.inf
    margin = float(t.isf(level, degrees)) * math.sqrt(sum(parts))
    n_users = treated.n_users + control.n_users
    return _verdict(guard, harm, harm - margin, harm + margin, n_users, f"one-sided level {level:g}")


def watch(guard: Guard, sequence: ConfidenceSequence) -> GuardVerdict:
    """Return the verdict of a guard rail that is looked at after each user.

    The first time that the whole interval of the harm lies beyond the margin decides, and what was decided stays. All
    that it says is right with probability 1 - level of the sequence, however often one looks and whenever one stops.
    """
    if not len(sequence):
        raise ValueError(f"watch: {guard.name}: sequence: expected at least one user, got none")
    sign = 1.0 if guard.harm_is == "increase" else -1.0
    low, high = (sequence.low, sequence.high) if sign > 0 else (-sequence.high, -sequence.low)
    decided = np.flatnonzero((low > guard.margin) | (high < guard.margin))
    at = int(decided[0]) if len(decided) else len(sequence) - 1
    harm = sign * float(sequence.estimate[at])
    return _verdict(guard, harm, float(low[at]), float(high[at]), at + 1, f"at any time, level {sequence.level:g}")


def score_statistic(events_1: int, n_1: int, events_2: int, n_2: int, difference: float) -> float:
    """Return Farrington & Manning's statistic of p_1 - p_2 = difference, normal under it.

    (x_1 / n_1 - x_2 / n_2 - d) over its standard error at the likeliest p_1, p_2 that differ by d, a root of a cubic.

    Args:
        events_1, events_2: x.
        n_1, n_2: users.
        difference: d, in (-1, 1).

    Source: Farrington & Manning (1990), appendix.
    """
    share_1, share_2 = events_1 / n_1, events_2 / n_2
    p_1, p_2 = likeliest_rates(share_1, share_2, n_2 / n_1, difference)
    variance = p_1 * (1 - p_1) / n_1 + p_2 * (1 - p_2) / n_2
    gap = share_1 - share_2 - difference
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def likeliest_rates(share_1: float, share_2: float, ratio: float, difference: float) -> tuple[float, float]:
    """Return the likeliest p_1 and p_2 = p_1 - difference, given observed shares and ratio = n_2 / n_1."""
    s = difference
    a = 1 + ratio
    b = -(1 + ratio + share_1 + ratio * share_2 + s * (ratio + 2))
    c = s**2 + s * (2 * share_1 + ratio + 1) + share_1 + ratio * share_2
    d = -share_1 * s * (1 + s)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    turn = (math.pi + math.acos(min(1.0, max(-1.0, v / u**3)))) / 3 if u else math.pi / 2
    p_1 = 2 * u * math.cos(turn) - b / (3 * a)
    # Rounding may lead out of where both are probabilities.
    p_1 = min(max(p_1, 0.0, s), 1.0, 1.0 + s)
    return p_1, p_1 - s


def _verdict(guard: Guard, harm: float, low: float, high: float, n_users: int, how: str) -> GuardVerdict:
    verdict: Verdict = "go on"
    if low > guard.margin:
        verdict = "stop"
    elif high < guard.margin:
        verdict = "safe"
    if not math.isfinite(low) and not math.isfinite(high):
        reason = f"{n_users:,} users do not say anything of the {guard.name} yet"
    else:
        what = f"the {guard.harm_is} of the {guard.name} is {harm:.4g} (bounds {low:.4g} to {high:.4g}, {how})"
        reason = {
            "stop": f"after {n_users:,} users {what}, clearly more than the margin of {guard.margin:g}",
            "safe": f"after {n_users:,} users {what}, clearly less than the margin of {guard.margin:g}",
            "go on": f"after {n_users:,} users {what}, and the margin of {guard.margin:g} lies between the bounds",
        }[verdict]
    return GuardVerdict(guard, verdict, reason, harm, low, high, n_users)
