"""Small recordings for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import load_scenario
from experiments.recording.logging_policies import LoggingPolicy, uniform_policy
from experiments.recording.record import Recorded, journal_rows, ledger_header, record
from policies.ledger import (
    OUTCOME_KINDS,
    Decisions,
    Endings,
    LedgerWriter,
    Outcomes,
    read_decisions,
    read_endings,
    read_outcomes,
)
from simulator.config import Scenario
from simulator.environments.vector import NotifyVectorEnv

N = 30
LOG: dict[str, Any] = {"autoresets": False, "horizon_days": 8, "spread_hours": 30}


def scenario() -> Scenario:
    """A shop; without campaigns that have a budget, as they have no place where each user is alone."""
    world = load_scenario("ecommerce")
    return world.model_copy(update={"campaigns": tuple(c for c in world.campaigns if c.budget_eur is None)})


def environment(num_envs: int = N, **arguments: Any) -> NotifyVectorEnv:
    return NotifyVectorEnv(num_envs, scenario(), **{"journal_rows": journal_rows(num_envs), **LOG, **arguments})


class Log:
    """What a recording left in its folder."""

    def __init__(self, folder: Path, recorded: Recorded, env: NotifyVectorEnv) -> None:
        self.folder, self.recorded, self.env = folder, recorded, env
        self.decisions: Decisions = read_decisions(folder).decisions()
        self.outcomes: Outcomes = read_outcomes(folder).outcomes()
        self.endings: Endings = read_endings(folder).endings()

    def of_kind(self, kind: str) -> np.ndarray:
        return np.asarray(self.outcomes.kind == OUTCOME_KINDS.index(kind))


def recorded(folder: Path, env: NotifyVectorEnv, policy: LoggingPolicy | None = None, **options: Any) -> Log:
    policy = uniform_policy(env.n_slots) if policy is None else policy
    with LedgerWriter(folder, ledger_header(env, "a test")) as writer:
        result = record(env, policy, writer, **{"seed": 5, **options})
    return Log(folder, result, env)


def asks_for_anything(observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Half a no_send, half any of the others, eligible or not."""
    n_actions = masks.shape[1]
    found = np.full(masks.shape, 0.5 / (n_actions - 1))
    found[:, 0] = 0.5
    return found
