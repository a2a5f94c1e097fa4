"""Standings: agents on the same users, over silence, and what share of the way from a baseline to a bound each goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.compare import Difference, Estimate, mean_ratio
from experiments.evaluation.outcomes import Evaluation, paired, require_same_users
from simulator.measures import plain


@dataclass(frozen=True)
class Standing:
    """One agent.

    Attributes:
        agent: its name.
        value_eur: per user over silence, orders at their expectation.
        realised_eur: the same with orders as they happened.
        over_baseline_eur: per user over the baseline, orders at their expectation; None for the baseline itself, and
            without one.
        gap_closed: (V - V_baseline) / (V_bound - V_baseline); None without baseline or bound.
        sends_per_user_week: per user present.
        opt_outs: per user.
        retained: share with a session in the last 28 days.
        satisfaction: mean answer, in (0, 1].
    """

    agent: str
    value_eur: Difference
    realised_eur: Difference
    over_baseline_eur: Difference | None
    gap_closed: Estimate | None
    sends_per_user_week: float
    opt_outs: float
    retained: float
    satisfaction: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "agent": self.agent,
            "value_over_silence_eur": self.value_eur.to_dict(),
            "realised_value_over_silence_eur": self.realised_eur.to_dict(),
            "value_over_baseline_eur": self.over_baseline_eur and self.over_baseline_eur.to_dict(),
            "gap_closed": self.gap_closed and self.gap_closed.to_dict(),
            "sends_per_user_week": plain(self.sends_per_user_week),
            "opt_outs_per_user": self.opt_outs,
            "retained": self.retained,
            "satisfaction": plain(self.satisfaction),
        }


@dataclass(frozen=True)
class Standings:
    """All agents on one scenario.

    Attributes:
        scenario: its name.
        n_users, n_days, seed: of every run.
        baseline, bound: agents between which the gap lies; None without.
        rows: in the order given.
    """

    scenario: str
    n_users: int
    n_days: int
    seed: int
    baseline: str | None
    bound: str | None
    rows: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "standings",
            "version": 1,
            "scenario": self.scenario,
            "n_users": self.n_users,
            "n_days": self.n_days,
            "seed": self.seed,
            "baseline": self.baseline,
            "bound": self.bound,
            "agents": [row.to_dict() for row in self.rows],
        }

    def to_markdown(self) -> str:
        """Return a table; intervals are of 95 %."""
        lines = [
            "| agent | over silence, EUR a user | gap closed | sends a week | opt-outs | retained | satisfaction |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            closed = "" if row.gap_closed is None else _shown(row.gap_closed, 100.0, 0, " %")
            lines.append(
                f"| {row.agent} | {_shown(row.value_eur.estimate, 1.0, 3)} | {closed} | {row.sends_per_user_week:.2f} "
                f"| {row.opt_outs:.3f} | {100 * row.retained:.1f} % | {row.satisfaction:.3f} |"
            )
        return "\n".join(lines) + "\n"


def standings(
    evaluations: Sequence[Evaluation], silent: Evaluation, *, baseline: str | None = None, bound: str | None = None
) -> Standings:
    """Return the standings of agents.

    Args:
        evaluations: of the same users, each agent once.
        silent: the run without sends.
        baseline: the agent that the gap begins at, as a rule the best tuned one, chosen on other users than these.
        bound: the agent that the gap ends at, as a rule one that sees the latent state.

    Raises:
        ValueError: other users, an agent twice, a name that is not there, or a bound without a baseline.
    """
    by_name = {evaluation.agent: evaluation for evaluation in evaluations}
    if len(by_name) < len(evaluations):
        raise ValueError(f"standings: expected each agent once, got {[each.agent for each in evaluations]}")
    for role, name in (("baseline", baseline), ("bound", bound)):
        if name is not None and name not in by_name:
            raise ValueError(f"standings: {role}: expected one of {', '.join(by_name)}; got {name!r}")
    if bound is not None and baseline is None:
        raise ValueError(f"standings: bound {bound!r}: expected a baseline with it, got none")
    if silent.sends.any():
        raise ValueError(f"standings: silent: expected a run under silence, got {silent.agent!r}, which sent messages")
    for evaluation in evaluations:
        require_same_users(evaluation, silent)
    from_ = None if baseline is None else by_name[baseline]
    to = None if bound is None else by_name[bound]
    rows = tuple(_standing(evaluation, silent, from_, to) for evaluation in evaluations)
    return Standings(silent.scenario, len(silent), silent.n_days, silent.seed, baseline, bound, rows)


def gap_closed(evaluation: Evaluation, baseline: Evaluation, bound: Evaluation) -> Estimate:
    """Return (V - V_baseline) / (V_bound - V_baseline) with its interval, orders at their expectation.

    NaN where the bound is worth as much as the baseline. The interval is by linearisation: it means little where the
    gap itself is not clear of 0.
    """
    gained = evaluation.expected_nano - baseline.expected_nano
    to_gain = bound.expected_nano - baseline.expected_nano
    return mean_ratio(gained, to_gain) if to_gain.sum() else Estimate(float("nan"), float("nan"))


def _standing(evaluation: Evaluation, silent: Evaluation, from_: Evaluation | None, to: Evaluation | None) -> Standing:
    is_other = from_ is not None and evaluation.agent != from_.agent
    return Standing(
        agent=evaluation.agent,
        value_eur=paired(evaluation, silent, "expected_nano"),
        realised_eur=paired(evaluation, silent, "value_nano"),
        over_baseline_eur=paired(evaluation, from_, "expected_nano") if from_ is not None and is_other else None,
        gap_closed=None if from_ is None or to is None else gap_closed(evaluation, from_, to),
        sends_per_user_week=evaluation.sends_per_user_week,
        opt_outs=float(evaluation.opt_outs.mean()),
        retained=float(evaluation.retained.mean()),
        satisfaction=evaluation.satisfaction.mean,
    )


def _shown(estimate: Estimate, scale: float, digits: int, unit: str = "") -> str:
    if np.isnan(estimate.mean):
        return "-"
    low, high = scale * estimate.low, scale * estimate.high
    return f"{scale * estimate.mean:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"
