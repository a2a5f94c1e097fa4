"""From a ledger to experience: what a bandit knows before its first decision.

    bandit.update(experience_of(folder, bandit.problem, OutcomeWithin("clicked", hours=24.0)))

Decisions are joined with what followed them; the reward is named by the caller. Those in which a single action was
eligible teach nothing of a choice and are left out, as they are in learning online. Propensities are handed on, for
those that weigh by them; the others need none: given the observation, the logging policy chose without knowing the
reward.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.agent import Bools, Experience, Floats
from agents.problem import Problem
from policies.ledger import OUTCOME_KINDS, Decisions, Outcomes, read_decisions, read_header, read_outcomes
from policies.ledger.faults import did_you_mean
from policies.vocabulary import action_names, feature_names


@dataclass(frozen=True)
class Booked:
    """The reward as it was booked until the next decision; decisions where it was not known yet are left out."""


@dataclass(frozen=True)
class OutcomeWithin:
    """1 where the decision's own message led to an outcome in time, else 0.

    Decisions in the last `hours` of the log are left out: what they led to may not have been seen.

    Attributes:
        kind: of `policies.ledger.OUTCOME_KINDS`: "clicked", "opened", "conversion", ...
        hours: after the decision, > 0.
    """

    kind: str
    hours: float

    def __post_init__(self) -> None:
        if self.kind not in OUTCOME_KINDS:
            raise ValueError(f"OutcomeWithin: kind: unknown {self.kind!r}.{did_you_mean(self.kind, OUTCOME_KINDS)}")
        if not self.hours > 0.0:
            raise ValueError(f"OutcomeWithin: hours: expected more than 0, got {self.hours}")


@dataclass(frozen=True)
class AmountWithin:
    """The money that changed hands through the decision's own message in time, EUR.

    Attributes:
        hours: after the decision, > 0; the last of the log are left out, as in `OutcomeWithin`.
    """

    hours: float

    def __post_init__(self) -> None:
        if not self.hours > 0.0:
            raise ValueError(f"AmountWithin: hours: expected more than 0, got {self.hours}")


Reward = Booked | OutcomeWithin | AmountWithin


def experience_of(folder: Path | str, problem: Problem, reward: Reward) -> Experience:
    """Return a ledger's decisions in which there was a choice, with their rewards.

    Raises:
        ValueError: the ledger's features or actions are not the problem's.
        LedgerError: the ledger cannot be read; see `read_decisions`.
    """
    header = read_header(folder)
    features = header.features or feature_names(header.n_slots)
    actions = header.actions or action_names(header.n_slots)
    _require_same(f"{folder}: features", problem.features, features)
    _require_same(f"{folder}: actions", problem.actions, actions)
    decisions = read_decisions(folder).decisions()
    if isinstance(reward, Booked):
        return _experience(decisions, decisions.reward, np.isfinite(decisions.reward))
    outcomes = read_outcomes(folder).outcomes()
    rewards = rewards_of(decisions, outcomes, reward)
    last_hours = max(
        (float(times.max()) for times in (decisions.time_hours, outcomes.time_hours) if len(times)), default=0.0
    )
    return _experience(decisions, rewards, decisions.time_hours + reward.hours <= last_hours)


def rewards_of(decisions: Decisions, outcomes: Outcomes, reward: OutcomeWithin | AmountWithin) -> Floats:
    """Return each decision's reward by the outcomes that came through its own message in time, shape (N,)."""
    if not len(decisions) or not len(outcomes):
        return np.zeros(len(decisions))
    order = np.argsort(decisions.decision_id)
    place = np.minimum(np.searchsorted(decisions.decision_id[order], outcomes.decision_id), len(order) - 1)
    row = order[place]
    waited = outcomes.time_hours - decisions.time_hours[row]
    counts = (decisions.decision_id[row] == outcomes.decision_id) & outcomes.is_attributed
    counts &= (waited >= 0.0) & (waited <= reward.hours)
    if isinstance(reward, AmountWithin):
        amounts = outcomes.amount_nano_eur[counts] / 1e9
        return np.bincount(row[counts], amounts, len(decisions)).astype(np.float64)
    counts &= outcomes.kind == OUTCOME_KINDS.index(reward.kind)
    return (np.bincount(row[counts], minlength=len(decisions)) > 0).astype(np.float64)


def _experience(decisions: Decisions, rewards: Floats, is_known: Bools) -> Experience:
    kept = is_known & ((decisions.eligible != 0).sum(axis=1) > 1)
    return Experience(
        decisions.features[kept],
        decisions.eligible[kept],
        decisions.action[kept].astype(np.int64),
        np.asarray(rewards, np.float64)[kept],
        decisions.probabilities[kept],
    )


def _require_same(what: str, wanted: tuple[str, ...], found: tuple[str, ...]) -> None:
    """Raise a ValueError at the first name that differs."""
    if wanted == found:
        return
    if len(wanted) != len(found):
        raise ValueError(f"{what}: expected the problem's {len(wanted)}, got {len(found)}: it is of another problem")
    k = next(k for k, pair in enumerate(zip(wanted, found, strict=True)) if pair[0] != pair[1])
    raise ValueError(f"{what}[{k}]: expected {wanted[k]!r}, got {found[k]!r}: it is of another problem")
