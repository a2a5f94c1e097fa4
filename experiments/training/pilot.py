"""Numbers to normalise observations by: mean and spread among users who are sent something at random now and then.

An entry's range says how far it could go, not how far it goes: the sends of the last week lie within a twentieth of
theirs, and a network that sees them so learns slowly what depends on them. The pilot is drawn by the training's seed
alone, so training, evaluation and a resumed run all have the same numbers, which the exported policy tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

import simulator.environments  # noqa: F401  # makes the ids known
from experiments.training.config import UsersEnvironment
from experiments.training.source import Plan
from simulator.environments.lenses import RunningNormalisation, wrap
from simulator.environments.lenses.normalisation import Input

USERS, HOURS = 256, 336
SEND_PROB = 0.05  # a step, where something is eligible
CLIP = 5.0
USERS_FROM = 10**9  # seeds so far off that no user is met twice


def pilot_inputs(plan: Plan, options: dict[str, Any], lenses: Sequence[Any]) -> tuple[Input, ...]:
    """Return how each entry is normalised, as it is shown through some lenses.

    Args:
        plan: of users.
        options: arguments of the environment, besides scenario and number of users.
        lenses: under the normalisation, the nearest to the environment first.
    """
    told = plan.to_data()
    key = json.dumps([told["environment"], told["seed"], options, list(map(repr, lenses))], sort_keys=True)
    if key not in _FOUND:
        if len(_FOUND) >= MOST_KEPT:
            _FOUND.pop(next(iter(_FOUND)))
        _FOUND[key] = _found(plan, options, lenses)
    return _FOUND[key]


MOST_KEPT = 8
_FOUND: dict[str, tuple[Input, ...]] = {}


def _found(plan: Plan, options: dict[str, Any], lenses: Sequence[Any]) -> tuple[Input, ...]:
    about = plan.config.environment
    assert isinstance(about, UsersEnvironment), "exact worlds have no users"
    env: Any = gymnasium.make_vec(
        about.id, num_envs=USERS, vectorization_mode="vector_entry_point", scenario=plan.scenario,
        spread_hours=about.spread_hours, **options,
    )  # fmt: skip
    env = wrap(env, *lenses, RunningNormalisation(CLIP))
    rng = np.random.default_rng([plan.config.seed, USERS_FROM])
    _, infos = env.reset(seed=plan.config.seed + USERS_FROM)
    for _ in range(HOURS // (about.epoch_hours or 1)):
        masks = infos["action_mask"][:, 1:] != 0
        edges = masks.cumsum(axis=1)
        drawn = 1 + (edges <= rng.random((USERS, 1)) * edges[:, -1:]).sum(axis=1)
        sends = (rng.random(USERS) < SEND_PROB) & masks.any(axis=1)
        infos = env.step(np.where(sends, drawn, 0))[4]
    inputs: tuple[Input, ...] = env.layer.inputs
    return inputs
