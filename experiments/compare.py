"""Policies compared under common luck: what each changes for the same users, with honest intervals.

Every policy meets the same population, and the luck of each user is keyed, so two runs differ only where the policies
made them differ. Differences are taken user by user; their mean is the effect, their spread the uncertainty. That
spread is over users of this population: it says nothing about whether the scenario itself is true. Users who share a
budget are not quite independent, and the intervals do not know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.measures import Measures, plain
from simulator.records import NANO, Ints, Metric

Floats = npt.NDArray[np.float64]

Z_95 = 1.959963984540054  # normal quantile of 0.975

# What is compared, per user over the whole run: key, words with the unit.
OUTCOMES = {
    "value_eur": "value, EUR a user",
    "sessions": "sessions a user",
    "driven_sessions": "driven sessions a user",
    "opt_outs": "opt-outs a user",
    "churns": "users who left",
}


@dataclass(frozen=True)
class Estimate:
    """A mean over users and its uncertainty.

    Attributes:
        mean: in the unit of what is measured.
        standard_error: of the mean; NaN with fewer than two users.
    """

    mean: float
    standard_error: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval, by the normal approximation."""
        return self.mean - Z_95 * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval, by the normal approximation."""
        return self.mean + Z_95 * self.standard_error

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "mean": plain(self.mean),
            "standard_error": plain(self.standard_error),
            "low_95": plain(self.low),
            "high_95": plain(self.high),
        }


@dataclass(frozen=True)
class Difference:
    """What a policy changed, against the baseline.

    Attributes:
        estimate: mean paired difference per user.
        paired_variance: of that mean, s^2 of the differences / n.
        unpaired_variance: that the same mean would have had with luck of its own for each policy,
            (s^2 of one + s^2 of the other) / n.
    """

    estimate: Estimate
    paired_variance: float
    unpaired_variance: float

    @property
    def times_lower(self) -> float:
        """Unpaired over paired variance: how many times as many users luck of its own would need.

        Infinite when every user differs by the same amount; NaN when nothing varies at all.
        """
        if self.paired_variance > 0:
            return self.unpaired_variance / self.paired_variance
        return math.inf if self.unpaired_variance > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self.estimate.to_dict() | {
            "paired_variance": plain(self.paired_variance),
            "unpaired_variance": plain(self.unpaired_variance),
            "variance_times_lower": plain(self.times_lower),
        }


@dataclass(frozen=True)
class Effect:
    """One policy against the baseline.

    Attributes:
        policy: its name.
        sends_per_user_week: per user present.
        value_eur: mean value per user over the run, not a difference.
        differences: by outcome, keys of OUTCOMES.
        incremental_sessions: per user, all sessions less those under silence; None when no policy was silent.
        incremental_per_driven: incremental sessions per driven session; None also when the policy drove none.
            Below 1, messages replaced sessions that would have come anyway, or cost later ones; below 0 they cost more
            than they brought.
        value_per_cost: value over that of the silent run, per euro of send cost; None when no policy was silent or
            sending was free.
    """

    policy: str
    sends_per_user_week: float
    value_eur: float
    differences: dict[str, Difference]
    incremental_sessions: Difference | None
    incremental_per_driven: Estimate | None
    value_per_cost: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "policy": self.policy,
            "sends_per_user_week": plain(self.sends_per_user_week),
            "value_per_user_eur": plain(self.value_eur),
            "differences": {name: difference.to_dict() for name, difference in self.differences.items()},
            "incremental_sessions": self.incremental_sessions and self.incremental_sessions.to_dict(),
            "incremental_per_driven": self.incremental_per_driven and self.incremental_per_driven.to_dict(),
            "value_per_cost": None if self.value_per_cost is None else plain(self.value_per_cost),
        }


@dataclass(frozen=True)
class Comparison:
    """Policies on one population.

    Attributes:
        scenario: its name.
        baseline: name of the policy that the others are held against.
        silent: name of the policy that sends nothing, or None.
        n_users, n_days: of every run.
        effects: one a policy, in the order asked for, the baseline's own among them (all differences 0).
    """

    scenario: str
    baseline: str
    silent: str | None
    n_users: int
    n_days: int
    effects: tuple[Effect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "comparison",
            "version": 1,
            "scenario": self.scenario,
            "baseline": self.baseline,
            "silent": self.silent,
            "n_users": self.n_users,
            "n_days": self.n_days,
            "effects": [effect.to_dict() for effect in self.effects],
        }


def choose_baseline(policies: tuple[str, ...] | list[str], asked: str | None = None) -> str:
    """Return the policy to hold the others against: the one asked for, else the silent one, else the first.

    Raises:
        ValueError: the one asked for is not among the policies.
    """
    if asked is None:
        return silent_policy(policies) or policies[0]
    if asked not in policies:
        raise ValueError(f"baseline {asked!r} is not among the policies: {', '.join(policies)}")
    return asked


def silent_policy(policies: tuple[str, ...] | list[str]) -> str | None:
    """Return the first policy that never sends, whatever its options, or None."""
    return next((name for name in policies if name.split("+")[0] == "never"), None)


def compare(measured: Mapping[str, Measures], baseline: str | None = None) -> Comparison:
    """Hold policies against a baseline, user by user.

    Args:
        measured: by policy name, runs of the same population over the same days; at least one.
        baseline: one of the names; None: the silent policy, else the first.

    Raises:
        ValueError: the runs are not of the same users, seed and days.
    """
    names = list(measured)
    against = choose_baseline(names, baseline)
    base, silent = _Users.of(measured[against]), silent_policy(names)
    quiet = None if silent is None else _Users.of(measured[silent])
    for name in names:
        _check_same_population(name, measured[name], against, measured[against])
    return Comparison(
        scenario=measured[against].scenario,
        baseline=against,
        silent=silent,
        n_users=measured[against].n_users,
        n_days=measured[against].n_days,
        effects=tuple(_effect(name, measured[name], base, quiet) for name in names),
    )


@dataclass(frozen=True, eq=False)
class _Users:
    """What happened to each user, in the order of their ids; integers, shape (U,)."""

    ids: Ints
    outcomes: dict[str, Ints]  # value in nano-euro
    send_cost_nano: Ints

    @classmethod
    def of(cls, measures: Measures) -> _Users:
        users = measures.by_user
        # Sorted by id, so that sums are taken in the same order however the run kept its users.
        order = np.argsort(users.rows, kind="stable")
        outcomes = {
            "value_eur": users.value_nano,
            "sessions": users.sessions,
            "driven_sessions": users.of(Metric.SESSIONS_DRIVEN),
            "opt_outs": users.opt_outs,
            "churns": users.of(Metric.CHURNS),
        }
        return cls(
            users.rows[order].astype(np.int64),
            {name: amounts[order] for name, amounts in outcomes.items()},
            -users.of(Metric.SEND_COST)[order],
        )


def _check_same_population(name: str, measures: Measures, against: str, base: Measures) -> None:
    for what in ("scenario", "seed", "n_days", "n_users"):
        ours, theirs = getattr(measures, what), getattr(base, what)
        if ours != theirs:
            raise ValueError(f"{name!r} and {against!r} cannot be compared: {what} is {ours} and {theirs}")
    ids, others = (np.sort(m.by_user.rows) for m in (measures, base))
    if (ids[1:] == ids[:-1]).any():
        twice = ids[1:][ids[1:] == ids[:-1]][0]
        raise ValueError(f"{name!r}: user {twice} is there twice")
    if (ids != others).any():
        k = int(np.argmax(ids != others))
        raise ValueError(
            f"{name!r} and {against!r} cannot be compared: their users differ, first {ids[k]} and {others[k]}"
        )


def _effect(name: str, measures: Measures, base: _Users, quiet: _Users | None) -> Effect:
    users = _Users.of(measures)
    incremental = per_driven = value_per_cost = None
    if quiet is not None:
        incremental = difference(users.outcomes["sessions"], quiet.outcomes["sessions"])
        driven = users.outcomes["driven_sessions"]
        if driven.any():
            per_driven = mean_ratio(users.outcomes["sessions"] - quiet.outcomes["sessions"], driven)
        cost = int(users.send_cost_nano.sum())
        if cost > 0:
            value_per_cost = int((users.outcomes["value_eur"] - quiet.outcomes["value_eur"]).sum()) / cost
    scale = {"value_eur": NANO}
    return Effect(
        policy=name,
        sends_per_user_week=measures.sends_per_user_week,
        value_eur=float(users.outcomes["value_eur"].mean()) / NANO,
        differences={key: difference(users.outcomes[key], base.outcomes[key], scale.get(key, 1.0)) for key in OUTCOMES},
        incremental_sessions=incremental,
        incremental_per_driven=per_driven,
        value_per_cost=value_per_cost,
    )


def difference(amounts: Ints, others: Ints, scale: float = 1.0) -> Difference:
    """Return the mean paired difference of two policies over the same users.

    Args:
        amounts: one a user, shape (U,).
        others: of the same users in the same order, shape (U,).
        scale: both are divided by it.
    """
    n = len(amounts)
    paired = (amounts - others) / scale
    spread = float(paired.var(ddof=1)) / n if n > 1 else math.nan
    apart = float((amounts / scale).var(ddof=1) + (others / scale).var(ddof=1)) / n if n > 1 else math.nan
    return Difference(Estimate(float(paired.mean()), math.sqrt(spread)), spread, apart)


def mean_ratio(numerators: Ints, denominators: Ints) -> Estimate:
    """Return sum / sum over users, with its standard error by linearisation.

    With R the ratio, the error is that of the mean of (y - R x) / mean(x).

    Args:
        numerators: y, shape (U,).
        denominators: x, shape (U,), not all 0.

    Source: Cochran, Sampling Techniques (1977), section 6.3; Deng et al. (KDD 2018) for its use in experiments.
    """
    n, total = len(numerators), float(denominators.sum())
    share = float(numerators.sum()) / total
    residuals = (numerators - share * denominators) / (total / n)
    return Estimate(share, math.sqrt(float(residuals.var(ddof=1)) / n) if n > 1 else math.nan)
