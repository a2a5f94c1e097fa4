"""Who takes part in the study, and how each comes to its policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.evaluation.tuned_baselines import KINDS

Role = Literal["baseline", "bandit", "learner", "oracle"]
SILENCE, ORACLE = "never", "oracle"


@dataclass(frozen=True)
class Contender:
    """One who takes part.

    Attributes:
        name: in tables.
        role: `baseline`, `bandit`, `learner` (by reinforcement), or `oracle`, which sees the hidden state.
        training: config that trains it; "" for a baseline, which is tuned.
        costs_eur: of a send, among which a search by whole lives chooses; empty: none is charged.
        begins_with: name of the contender whose best policy its training begins with; "": with nothing.
    """

    name: str
    role: Role
    training: str = ""
    costs_eur: tuple[float, ...] = ()
    begins_with: str = ""


SEND_COSTS_EUR = (0.0, 0.001, 0.002, 0.004, 0.006, 0.009, 0.013, 0.02, 0.03, 0.05)

CONTENDERS = (
    *(Contender(kind, "baseline") for kind in KINDS if kind != SILENCE),
    Contender("epsilon-greedy", "bandit", "users-epsilon-greedy"),
    Contender("UCB1", "bandit", "users-ucb1"),
    Contender("Beta Thompson", "bandit", "users-beta-thompson"),
    Contender("softmax", "bandit", "users-softmax"),
    Contender("recovering softmax", "bandit", "users-recovering-softmax"),
    Contender("LinUCB", "bandit", "users-linucb"),
    Contender("linear Thompson", "bandit", "users-linear-thompson"),
    Contender("logistic Thompson", "bandit", "users-logistic-thompson"),
    Contender("neural-linear", "bandit", "users-neural-linear"),
    Contender("linear Thompson, send cost", "bandit", "users-send-cost", SEND_COSTS_EUR),
    Contender("DQN", "learner", "users-dqn"),
    Contender("PPO", "learner", "users-ppo"),
    Contender("MaskablePPO", "learner", "users-maskable-ppo"),
    Contender(ORACLE, "oracle", "users-oracle", begins_with="MaskablePPO"),
)


def contenders(names: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> tuple[Contender, ...]:
    """Return those named, in the order of the study, all if none is; less those that are to stay out.

    Raises:
        ValueError: nobody of a name takes part.
    """
    known = {contender.name: contender for contender in CONTENDERS}
    if unknown := [name for name in (*names, *without) if name not in known]:
        raise ValueError(f"contender {unknown[0]!r}: expected one of {', '.join(known)}")
    asked = [contender for contender in CONTENDERS if not names or contender.name in names]
    return tuple(contender for contender in asked if contender.name not in without)


def horizons() -> str:
    """Return how far ahead those look who are trained, as sentences."""
    from agents.kinds import horizon_words
    from experiments.training.source import load_training

    far: dict[str, list[str]] = {}
    for contender in CONTENDERS:
        if contender.training:
            config = load_training(contender.training).config
            far.setdefault(horizon_words(config.agent, config.credit), []).append(contender.name)
    return " ".join(f"{', '.join(names)}: {words}" for words, names in far.items())
