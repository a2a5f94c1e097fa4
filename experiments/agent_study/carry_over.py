"""The dial of carry-over: how much of what a send does lasts beyond it.

At 0 a send neither tires, wears out, irritates nor drives away: every decision stands for itself, and an agent that
looks at its own window only has nothing to lose by it. At 1 the scenario is as it is written. What sessions do to later
ones (satiation, salience, the need that an order uses up) is no matter of sends and stays.
"""

from __future__ import annotations

from typing import Any

from simulator.config import Scenario

CARRIED = (
    "behaviour.response.fatigue",
    "behaviour.response.habituation",
    "behaviour.withdrawal.push_prob",
    "behaviour.withdrawal.email_prob",
    "behaviour.withdrawal.dissatisfaction_gain",
    "behaviour.churn.irritation_prob",
)


def carry_over_settings(scenario: Scenario, dial: float) -> dict[str, object]:
    """Return the scenario's carry-over times a dial, as values by dotted path; none for a dial of 1."""
    if dial == 1.0:
        return {}
    return {path: dial * _value(scenario, path) for path in CARRIED}


def _value(scenario: Scenario, path: str) -> float:
    at: Any = scenario
    for name in path.split("."):
        at = getattr(at, name)
    return float(at)
