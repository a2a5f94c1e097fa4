"""Before a new policy goes out: where it differs from the old one in the states of a ledger, and how to let it out.

The states are those that the logging policy led to; where the new one leads itself is not in them. So this says what
changes on the first day, and a ramp with a guard rail says the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.offline.logs.ledgers import ledger_rounds
from experiments.offline.logs.logged import Bools, Floats, Ints, LoggedRounds
from experiments.planning.design import Design
from experiments.planning.metrics import Rate
from experiments.planning.power import smallest_effect, users_needed
from policies.batch import BatchPolicy
from policies.batch.seen import local_hours
from policies.document import Document, require_no_limits
from policies.ledger import OUTCOME_KINDS, read_decisions, read_outcomes
from policies.vocabulary import action_names, feature_names

RAMP = (0.01, 0.05, 0.2, 0.5)  # shares of users, before all of them
NIGHT = (22, 7)  # local hours, from and to
N_FATIGUE = 5  # classes of send_load, of as many decisions each
DAYS_A_STEP = 14
HOURS_A_WEEK = 168.0


@dataclass(frozen=True)
class Group:
    """Decisions of a kind, and how many sends each policy would make in a hundred of them.

    Attributes:
        name: of the group.
        decisions: in it.
        old, new: expected sends a decision.
    """

    name: str
    decisions: int
    old: float
    new: float


@dataclass(frozen=True)
class Step:
    """A step of the ramp.

    Attributes:
        share: of users who get the new policy.
        users: they.
        seen: the smallest rise of the opt-out rate that a fortnight would show with a power of .8, looked at once; NaN
            where none would.
        days: until a rise of the margin would show at this share; infinite where it takes more users than there are.
        lost_by_then: opt-outs beyond the usual ones by then, if the rise is just the margin.
    """

    share: float
    users: int
    seen: float
    days: float
    lost_by_then: float


@dataclass(frozen=True)
class Rollout:
    """What changes, and how to let it out.

    Attributes:
        old, new: names.
        old_hash, new_hash: of the documents.
        decisions, users: of the ledger, with a choice.
        same: share of decisions in which both prefer the same.
        moved: mean total variation: the share of decisions that would come out otherwise under common luck, at least.
        sends_old, sends_new: expected, a user and week, in these states.
        night_old, night_new: share of them at night.
        channels, fatigue, hours: groups.
        opt_out_prob: share of users who opted out of something within a fortnight, as logged.
        margin: rise of it that is just not borne.
        steps: of the ramp.
    """

    old: str
    new: str
    old_hash: str
    new_hash: str
    decisions: int
    users: int
    same: float
    moved: float
    sends_old: float
    sends_new: float
    night_old: float
    night_new: float
    channels: tuple[Group, ...]
    fatigue: tuple[Group, ...]
    hours: tuple[Group, ...]
    opt_out_prob: float
    margin: float
    steps: tuple[Step, ...]

    def in_words(self) -> str:
        """Return it in a few sentences."""
        change = self.sends_new / self.sends_old - 1.0 if self.sends_old else math.inf
        more = f"{abs(change):.0%} {'more' if change > 0 else 'fewer'}" if math.isfinite(change) else "all new"
        return (
            f"In {self.decisions:,} decisions of {self.users:,} users {self.new!r} prefers what {self.old!r} does in "
            f"{self.same:.1%}. It would send {self.sends_new:.2f} a user and week instead of {self.sends_old:.2f} "
            f"({more}), {self.night_new:.1%} of them at night instead of {self.night_old:.1%}. Roll back when the "
            f"share of users who opt out within a fortnight, {self.opt_out_prob:.2%} today, is clearly more than "
            f"{self.margin:.2%} higher."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = asdict(self)
        for step in data["steps"]:
            for name in ("seen", "days", "lost_by_then"):
                step[name] = step[name] if math.isfinite(step[name]) else None
        return {"kind": "rollout", "version": 1, "in_words": self.in_words(), **data}

    def to_markdown(self) -> str:
        """Return a page."""
        lines = ["# Rollout", "", self.in_words(), ""]
        lines += [f"- old `{self.old_hash}`", f"- new `{self.new_hash}`", ""]
        tables = (("channel", self.channels), ("send_load", self.fatigue), ("local hour", self.hours))
        for title, groups in tables:
            lines += [f"| {title} | decisions | sends in a hundred, old | new |", "|---|---|---|---|"]
            lines += [f"| {g.name} | {g.decisions:,} | {100 * g.old:.2f} | {100 * g.new:.2f} |" for g in groups]
            lines.append("")
        lines += [
            "## Ramp",
            "",
            f"Each step at least a fortnight, watched all the time; the guard rail is {self.margin:.2%} more opt-outs.",
            "",
            "| share | users | a fortnight shows, at one look | days until the margin shows | opt-outs lost by then |",
            "|---|---|---|---|---|",
        ]
        for s in self.steps:
            seen = "none" if math.isnan(s.seen) else f"{s.seen:.2%}"
            days = f"{s.days:,.0f}" if math.isfinite(s.days) else "never: too few users"
            lost = (
                f"{s.lost_by_then:,.0f}"
                if math.isfinite(s.lost_by_then)
                else f"{s.users * self.margin:,.0f} a fortnight"
            )
            lines.append(f"| {s.share:.0%} | {s.users:,} | {seen} | {days} | {lost} |")
        return "\n".join(lines) + "\n"


def rollout(
    old: Document,
    new: Document,
    ledger: Path,
    *,
    population: int,
    margin: float | None = None,
    ramp: Sequence[float] = RAMP,
) -> Rollout:
    """Return where two policies differ in a ledger's states, and a ramp.

    Args:
        old, new: for as many candidates as the ledger has.
        ledger: folder.
        population: users whom the ramp lets in by and by, at least 100.
        margin: rise of the share of users who opt out within a fortnight that is just not borne; None: a tenth of it.
        ramp: shares of users, rising, in (0, 1).

    Raises:
        ValueError, LogError, LedgerError: the policies do not fit the ledger, nobody ever opted out and no margin is
            named, or a number is out of range.
    """
    if population < 100:
        raise ValueError(f"population: expected at least 100 users, got {population}")
    if list(ramp) != sorted(set(ramp)) or not all(0.0 < share < 1.0 for share in ramp):
        raise ValueError(f"ramp: expected rising shares between 0 and 1, got {', '.join(f'{s:g}' for s in ramp)}")
    rounds, _ = ledger_rounds(ledger)
    for document in (old, new):
        require_no_limits(document, "a ledger")
        _require_fitting(document, rounds)
    assert rounds.context is not None
    assert rounds.hours is not None
    policies = [BatchPolicy(document) for document in (old, new)]
    shares = [policy.probabilities(rounds.context, rounds.eligibility) for policy in policies]
    sends = [1.0 - each[:, 0] for each in shares]
    hours = local_hours(rounds.context[:, 0], rounds.context[:, 1]).astype(np.int64)
    is_night = (hours >= NIGHT[0]) | (hours < NIGHT[1])
    weeks = max(float(np.ptp(rounds.hours)) / HOURS_A_WEEK, 1.0 / 7.0) * rounds.n_clusters
    prob = _opt_out_prob(ledger, rounds)
    if margin is None and not prob > 0.0:
        raise ValueError("margin: nobody opted out in the ledger: name the rise that is just not borne")
    margin = 0.1 * prob if margin is None else margin
    if not 0.0 < margin < 1.0 - prob:
        raise ValueError(f"margin: expected above 0 and below {1.0 - prob:g}, got {margin:g}")
    return Rollout(
        old=old.name,
        new=new.name,
        old_hash=policies[0].policy_hash,
        new_hash=policies[1].policy_hash,
        decisions=len(rounds),
        users=rounds.n_clusters,
        same=float((shares[0].argmax(axis=1) == shares[1].argmax(axis=1)).mean()),
        moved=float(0.5 * np.abs(shares[0] - shares[1]).sum(axis=1).mean()),
        sends_old=float(sends[0].sum()) / weeks,
        sends_new=float(sends[1].sum()) / weeks,
        night_old=_share_of(sends[0], is_night),
        night_new=_share_of(sends[1], is_night),
        channels=tuple(_channels(rounds, shares)),
        fatigue=tuple(_by_fatigue(rounds, sends)),
        hours=tuple(Group(f"{hour:02d}", *_group(hours == hour, sends)) for hour in np.unique(hours).tolist()),
        opt_out_prob=prob,
        margin=margin,
        # Where nobody did, one in all users is as good a guess as any.
        steps=tuple(_step(share, population, max(prob, 1.0 / rounds.n_clusters), margin) for share in ramp),
    )


def _require_fitting(document: Document, rounds: LoggedRounds) -> None:
    wanted = feature_names(document.n_slots)
    if rounds.features != wanted or rounds.action_names != action_names(document.n_slots):
        raise ValueError(
            f"policy {document.name!r}: expected a ledger of {document.n_slots} candidates with the vocabulary's "
            f"{len(wanted)} features, got one of {len(rounds.action_names)} actions and {len(rounds.features)} features"
        )


def _opt_out_prob(ledger: Path, rounds: LoggedRounds) -> float:
    """Return the share of users who opt out within a fortnight, by opt-outs a user and day that was logged."""
    found = read_outcomes(ledger, ("decision_id", "kind")).arrays()
    decisions = read_decisions(ledger, ("decision_id", "user_id")).arrays()
    left = found["decision_id"][found["kind"] == OUTCOME_KINDS.index("opt_out")]
    users = np.unique(decisions["user_id"][np.isin(decisions["decision_id"], left)])
    assert rounds.hours is not None
    days = max(float(np.ptp(rounds.hours)) / 24.0, 1.0)
    ever = min(len(users) / rounds.n_clusters, 1.0 - 1e-9)
    return float(1.0 - (1.0 - ever) ** (DAYS_A_STEP / days))


def _share_of(sends: Floats, rows: Bools) -> float:
    total = float(sends.sum())
    return float(sends[rows].sum()) / total if total else 0.0


def _group(rows: Bools, sends: Sequence[Floats]) -> tuple[int, float, float]:
    n = int(rows.sum())
    old, new = (float(each[rows].mean()) if n else 0.0 for each in sends)
    return n, old, new


def _channels(rounds: LoggedRounds, shares: Sequence[Floats]) -> list[Group]:
    found = []
    for channel in ("push", "email"):
        columns = [k for k, name in enumerate(rounds.action_names) if name.endswith(f".{channel}")]
        could = np.asarray(rounds.eligibility[:, columns].any(axis=1), np.bool_)
        found.append(Group(channel, *_group(could, [each[:, columns].sum(axis=1) for each in shares])))
    return found


def _by_fatigue(rounds: LoggedRounds, sends: Sequence[Floats]) -> list[Group]:
    """Return classes of send_load, from rested to tired, of as many decisions each as ties allow."""
    assert rounds.context is not None
    load = rounds.context[:, rounds.features.index("send_load")]
    edges = np.unique(np.quantile(load, np.arange(1, N_FATIGUE) / N_FATIGUE))
    classes: Ints = np.searchsorted(edges, load, side="right")
    bounds = [float(load.min()), *edges.tolist(), float(load.max())]
    return [
        Group(f"{bounds[k]:.2g} to {bounds[k + 1]:.2g}", *_group(classes == k, sends))
        for k in range(len(edges) + 1)
        if (classes == k).any()
    ]


def _step(share: float, population: int, prob: float, margin: float) -> Step:
    rate, design = Rate("opt-out rate", prob), Design(treated_share=share)
    needed = users_needed(rate, margin, design, is_watched=True).n_users
    try:
        seen = smallest_effect(rate, population, design)
    except ValueError:
        seen = math.nan
    # A fortnight tells one outcome a user; more fortnights tell more of them.
    days = DAYS_A_STEP * max(needed / population, 1.0)
    is_hopeless = days > 365.0
    lost = math.inf if is_hopeless else share * population * margin * days / DAYS_A_STEP
    return Step(share, round(share * population), seen, math.inf if is_hopeless else days, lost)
