"""States that a policy comes into, in the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.distil.trees import States
from policies.batch import BatchPolicy
from policies.document import Document
from simulator.config import Scenario
from simulator.environments.vector import NotifyVectorEnv

MOST_STATES = 100_000


def visited(
    document: Document, scenario: Scenario, n_users: int, seed: int, most: int = MOST_STATES, **arguments: Any
) -> States:
    """Return states in which something could be sent while a document decides, evenly picked where there are too many.

    Args:
        document: the policy.
        scenario: with its horizon.
        n_users: U; user u has the luck of seed + u.
        seed: at least 0.
        most: states.
        arguments: of `NotifyVectorEnv`.
    """
    policy = BatchPolicy(document)
    env = NotifyVectorEnv(n_users, scenario, n_slots=document.n_slots, autoresets=False, **arguments)
    rng = np.random.default_rng(seed)
    observations, _ = env.reset(seed=seed)
    seen, masks = [], []
    while not env.is_over.all():
        allowed = np.asarray(env.action_masks()) != 0
        rows = np.flatnonzero(allowed[:, 1:].any(axis=1) & ~env.is_over)
        actions = np.zeros(n_users, np.int64)
        if rows.size:
            seen.append(observations[rows].copy())
            masks.append(allowed[rows])
            actions[rows] = policy.decide(seen[-1], masks[-1], rng.random(rows.size)).actions
        observations = env.step(actions)[0]
    if not seen:
        width = observations.shape[1]
        return States(np.zeros((0, width), np.float32), np.zeros((0, 1 + 2 * document.n_slots), np.bool_))
    found = States(np.concatenate(seen), np.concatenate(masks))
    picked = np.linspace(0, len(found.masks) - 1, min(most, len(found.masks))).astype(np.int64)
    return States(found.observations[picked], found.masks[picked])
