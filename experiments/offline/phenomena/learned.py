"""How few policies that were learned from a log beat the policy that made it.

World A, whose values are exact. The log is of a team's decent practice: the best set of slots with the best threshold,
and a tenth at random. From logs of several sizes policies are learned by solving the model that the log shows, with
several discounts, plain or kept to actions that the log knows well (Fujimoto, Meger & Precup, "Off-policy deep
reinforcement learning without exploration", ICML 2019, in its tabular form). In the field 38 of 128 such policies beat
the one that made the log (a professional network's notifications, CIKM 2022).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.offline.logs.logged import Bools, Floats, Ints
from simulator.exact.fatigue import MAX_FATIGUE, N_SLOTS, fatigue_world
from simulator.exact.finite import FiniteModel, start_value, value_iteration
from simulator.exact.sampling import Sampler

EXPLORATION = 0.1
N_STEPS = 360  # of four hours: two months
SIZES = (10, 40, 160, 640)  # users in a log
DISCOUNTS = (0.0, 0.9, 0.98, 1.0)  # a step, beside the world's own
LEAST_SEEN = 5  # rounds of an action in a state, from which on the log knows it well
MOST_SWEEPS, ENOUGH = 2_000, 1e-9


@dataclass(frozen=True)
class LearnedPolicy:
    """One policy, and its value from the start, EUR, exactly.

    Attributes:
        n_users: in its log.
        seed: of the log.
        discount: a step, that it was learned with, beside the world's own.
        is_constrained: whether it keeps to what the log knows well.
        value: EUR.
    """

    n_users: int
    seed: int
    discount: float
    is_constrained: bool
    value: float


@dataclass(frozen=True)
class LearnedFromLogs:
    """Policies learned from logs, beside the policy that made these.

    Attributes:
        logging_value: of the policy that made the logs, its exploration included.
        practice_value: of the same without exploration.
        best_value: of the optimum.
        policies: learned.
    """

    logging_value: float
    practice_value: float
    best_value: float
    policies: tuple[LearnedPolicy, ...]

    @property
    def n_better(self) -> int:
        """How many beat the logging policy."""
        return sum(policy.value > self.logging_value for policy in self.policies)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "n_better": self.n_better}


def learned_from_logs(n_seeds: int = 4, seed: int = 0) -> LearnedFromLogs:
    """Return the values of policies learned from logs of every size, with every setting.

    Args:
        n_seeds: logs of each size, at least 1.
        seed: of all luck.

    Raises:
        ValueError: no log.
    """
    if n_seeds < 1:
        raise ValueError(f"learned_from_logs: n_seeds: expected at least 1, got {n_seeds}")
    model, practice = fatigue_world().model, decent_practice()
    logging = exploring(practice, EXPLORATION)
    found = []
    for n_users, k in itertools.product(SIZES, range(n_seeds)):
        counts, rewards = counted(model, logging, n_users, np.random.default_rng([seed, n_users, k]))
        for discount, is_constrained in itertools.product(DISCOUNTS, (False, True)):
            actions = learned(counts, rewards, discount * model.discount, model.is_final, is_constrained=is_constrained)
            found.append(LearnedPolicy(n_users, k, discount, is_constrained, start_value(model, actions)))
    best = float(model.start @ value_iteration(model).values)
    return LearnedFromLogs(start_value(model, logging), start_value(model, practice), best, tuple(found))


def decent_practice() -> Ints:
    """Return the actions of the best set of slots with the best threshold of fatigue, shape (S,)."""
    model = fatigue_world().model
    slot, fatigue = np.divmod(np.arange(model.n_states), MAX_FATIGUE + 1)
    best, highest = np.zeros(model.n_states, np.int64), -math.inf
    for chosen, most in itertools.product(range(2**N_SLOTS), range(MAX_FATIGUE + 1)):
        actions = (((chosen >> slot) & 1).astype(np.bool_) & (fatigue <= most) & ~model.is_final).astype(np.int64)
        value = start_value(model, actions)
        if value > highest:
            best, highest = actions, value
    return best


def exploring(actions: Ints, share: float) -> Floats:
    """Return probabilities of a policy that acts at random in a share of its decisions, shape (S, 2)."""
    return (1.0 - share) * np.eye(2)[actions] + share / 2.0


def counted(model: FiniteModel, logging: Floats, n_users: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return what a log counts: transitions by state, action and next state, and summed rewards by state and action.

    Shapes (S, A, S) and (S, A). Rewards are sampled; the log ends after two months, or when the user has opted out.
    """
    sampler = Sampler(model, is_reward_sampled=True)
    counts, rewards = np.zeros((model.n_states, 2, model.n_states)), np.zeros((model.n_states, 2))
    states = sampler.start(rng.random((n_users, 1)))
    for _ in range(N_STEPS):
        here = states[~model.is_final[states]]
        actions = (rng.random(len(here)) < logging[here, 1]).astype(np.int64)
        states, paid = sampler.step(here, actions, rng.random((len(here), sampler.n_step_uniforms)))
        np.add.at(counts, (here, actions, states), 1.0)
        np.add.at(rewards, (here, actions), paid)
    return counts, rewards


def learned(counts: Floats, rewards: Floats, discount: float, is_final: Bools, *, is_constrained: bool) -> Ints:
    """Return the best actions of the model that a log shows, shape (S,); of a state that it does not show, silence.

    Args:
        counts, rewards: as of `counted`.
        discount: a step, in [0, 1).
        is_final: states after which nothing comes, shape (S,).
        is_constrained: whether actions that the log knows little of are left out.
    """
    n = counts.sum(axis=2)
    chances, means = counts / np.maximum(n, 1.0)[:, :, None], rewards / np.maximum(n, 1.0)
    is_open = n >= (LEAST_SEEN if is_constrained else 1)
    values = np.zeros(len(counts))
    for _ in range(MOST_SWEEPS):
        worth = np.where(is_open, means + discount * chances @ values, -math.inf)
        best = np.where(is_open.any(axis=1) & ~is_final, worth.max(axis=1), 0.0)
        if np.abs(best - values).max() < ENOUGH:
            break
        values = best
    return np.where(is_open.any(axis=1), worth.argmax(axis=1), 0).astype(np.int64)
