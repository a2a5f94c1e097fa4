"""What an agent that learns as it goes would have earned, from a log of another policy: replay by rejection.

found = replay(rounds, settings, seed=1)  # settings of a bandit
found.value, found.n_counted

The agent meets the rounds in their order. A round counts, and is learned from, where the agent's own draw is what was
logged and a coin of probability c / p agrees; c is the smallest propensity of the log. A round then counts with
probability c whatever the agent does, so that those that do are what the agent would have met and done online, in
distribution. From a uniform log, where c = p, this is the replay of Li, Chu, Langford & Wang ("Unbiased offline
evaluation of contextual-bandit-based news article recommendation algorithms", WSDM 2011); the coin is that of Mandel,
Liu, Brunskill & Popovic ("Offline evaluation of online reinforcement learning algorithms", AAAI 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.agent import Experience, Learner
from agents.kinds import bandit, is_bandit, kind_of
from agents.problem import Problem
from agents.settings import Settings
from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import Interval, asymptotic
from experiments.offline.logs.logged import LoggedRounds

ROWS_BETWEEN_CALLS = 1024


@dataclass(frozen=True)
class Replay:
    """One path of a learning agent through a log.

    Attributes:
        agent: its kind.
        value: the mean reward of the rounds that counted, by user; it says nothing of the agent's other paths.
        logged: the log's own mean reward.
        n_counted, n_rounds: of the log.
    """

    agent: str
    value: Interval
    logged: Interval
    n_counted: int
    n_rounds: int

    def in_words(self) -> str:
        """Return it in a sentence."""
        found = self.value
        return (
            f"{self.agent}, learning as it goes: {found.value:.4g} a round ({found.low:.4g} to {found.high:.4g}) over "
            f"the {self.n_counted:,} of {self.n_rounds:,} rounds that count; the log's own mean is "
            f"{self.logged.value:.4g}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "agent": self.agent,
            "value": self.value.to_dict(),
            "logged": self.logged.to_dict(),
            "n_counted": self.n_counted,
            "n_rounds": self.n_rounds,
        }


def replay(
    rounds: LoggedRounds,
    settings: Settings,
    *,
    seed: int = 0,
    batch: int = 1,
    confidence: float = 0.95,
    on_rows: Callable[[int, int], None] | None = None,
) -> Replay:
    """Return what a bandit that begins knowing nothing would have earned.

    Args:
        rounds: in the order in which they came, with propensities.
        settings: of a bandit.
        seed: of its draws and of the coins; 0 or more.
        batch: rounds that it decides before it learns of them; at least 1.
        confidence: of the interval, in (0, 1).
        on_rows: called now and then with how many rounds of how many are done.

    Raises:
        ValueError: the agent is no bandit; the log has no propensities; fewer than two rounds count.
    """
    kind = kind_of(settings)
    if not is_bandit(kind):
        raise ValueError(f"replay: expected a bandit, got {kind}: it learns from states that follow each other")
    if rounds.propensities is None:
        raise ValueError("replay: expected a log with propensities, got one without")
    if batch < 1:
        raise ValueError(f"replay: batch: expected at least 1, got {batch}")
    rng = np.random.default_rng(seed)
    coins = rng.random(len(rounds)) < rounds.propensities.min() / rounds.propensities
    agent, rows = bandit(settings, problem_of_rounds(rounds)), np.flatnonzero(coins)
    counted = [np.empty(0, np.int64)]
    told = 0
    for start in range(0, len(rows), batch):
        counted.append(_met(agent, rounds, rows[start : start + batch], rng))
        if on_rows is not None and start - told >= ROWS_BETWEEN_CALLS:
            told = start
            on_rows(int(rows[start]), len(rounds))
    found = np.concatenate(counted)
    if len(found) < 2:
        least = float(rounds.propensities.min())
        raise ValueError(
            f"replay: expected at least two rounds that count, got {len(found)} of {len(rounds):,}: a round counts "
            f"with the smallest propensity of the log, {least:.3g}"
        )
    clusters = rounds.take(found).clusters
    value = asymptotic(Terms(direct=rounds.rewards[found]), clusters, confidence)
    logged = asymptotic(Terms(direct=rounds.rewards), rounds.clusters, confidence)
    return Replay(kind, value, logged, len(found), len(rounds))


def problem_of_rounds(rounds: LoggedRounds) -> Problem:
    """Return what an agent decides about in a log: its features with the ranges that occur, and its actions."""
    known = np.zeros((1, 0)) if rounds.context is None else rounds.context
    low, high = (of.astype(np.float32) for of in (known.min(axis=0), known.max(axis=0)))
    return Problem(rounds.features, low, high, rounds.action_names)


def _met(agent: Learner, rounds: LoggedRounds, rows: Any, rng: np.random.Generator) -> Any:
    """Let the agent decide on some rounds and learn from those in which it did what was logged; return these."""
    masks = rounds.eligibility[rows]
    known = np.zeros((len(rows), 0)) if rounds.context is None else rounds.context[rows]
    observations = known.astype(np.float32)
    is_same = agent.act(observations, masks, rng).actions == rounds.actions[rows]
    same = rows[is_same]
    if len(same):
        agent.update(Experience(observations[is_same], masks[is_same], rounds.actions[same], rounds.rewards[same]))
    return same
