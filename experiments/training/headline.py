"""What a training came to, in a sentence; and what it was, in another."""

from __future__ import annotations

from collections.abc import Mapping

from agents.kinds import kind_of
from experiments.training.source import Plan

WORDS = {"ppo": "PPO", "maskable_ppo": "MaskablePPO", "dqn": "DQN", "linucb": "LinUCB", "ucb1": "UCB1"}


def agent_words(kind: str) -> str:
    """Return an agent's kind as a sentence can begin with it."""
    return WORDS.get(kind, kind.replace("_", " ").capitalize())


def headline(plan: Plan, best: Mapping[str, float]) -> str:
    """Return the best evaluation in a sentence without a full stop."""
    who = agent_words(kind_of(plan.config.agent))
    if "over_silence_eur" in best:
        gain, half = best["over_silence_eur"], best["over_silence_high"] - best["over_silence_eur"]
        if abs(gain) <= half:
            return f"{who} has no clear gain over silence: {gain:+.3f} ± {half:.3f} EUR per user"
        verb = "earns" if gain > 0 else "loses"
        return f"{who} {verb} {abs(gain):.3f} ± {half:.3f} EUR per user against silence"
    closed = best["gap_closed"]
    if closed >= 0:
        return f"{who} closes {100 * closed:.0f} % of the gap from the best simple rule to the optimum"
    return f"{who} stays below the best simple rule: {best['value_eur']:.4g} EUR"


def subtitle(plan: Plan, n_steps: int) -> str:
    """Return what was trained, where, and for how long."""
    config = plan.config
    where = config.environment.id if plan.scenario is None else f"{config.environment.id}, {plan.scenario.name}"
    return f"{config.name}: {where}, {n_steps:,} decisions, seed {config.seed}"
