"""What longer horizons do to sequential estimators, in a chain whose value is known.

A user is keen or tired. Sending tires, silence rests; keen users reward a send, tired ones punish it. The logging
policy sends half the time; the target policy sends more often, and so meets more users who are tired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from experiments.offline.estimators.marginalised import marginalised_is
from experiments.offline.estimators.sequential import (
    one_step,
    per_decision_is,
    trajectory_is,
    weighted_per_decision_is,
)
from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import Floats
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.weighed_trajectories import WeighedTrajectories, weigh_trajectories

Estimator = Callable[[WeighedTrajectories], Terms]


@dataclass(frozen=True)
class Chain:
    """Two states, keen and tired; two actions, silence and send.

    Attributes:
        tired_prob: of being tired at the next decision, by state and action.
        rewards: by state and action.
        send_prob: of the logging policy, by state.
        target_send_prob: of the target policy, by state.
    """

    tired_prob: tuple[tuple[float, float], tuple[float, float]] = ((0.05, 0.6), (0.4, 0.95))
    rewards: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, -0.5))
    send_prob: tuple[float, float] = (0.5, 0.5)
    target_send_prob: tuple[float, float] = (0.8, 0.8)

    def value(self, horizon: int) -> float:
        """Return the target policy's expected sum of rewards from a keen user on, by the Markov chain."""
        send = np.asarray(self.target_send_prob)
        policy = np.column_stack([1.0 - send, send])
        tired = (policy * np.asarray(self.tired_prob)).sum(axis=1)
        moves = np.column_stack([1.0 - tired, tired])
        earned = (policy * np.asarray(self.rewards)).sum(axis=1)
        states, total = np.asarray([1.0, 0.0]), 0.0
        for _ in range(horizon):
            total += float(states @ earned)
            states = states @ moves
        return total

    def log(self, n_episodes: int, horizon: int, rng: np.random.Generator) -> WeighedTrajectories:
        """Return episodes of the logging policy beside the target policy; the state is the one feature."""
        states, actions = np.empty((2, n_episodes, horizon), np.int64)
        state = np.zeros(n_episodes, np.int64)
        for step in range(horizon):
            states[:, step] = state
            actions[:, step] = rng.random(n_episodes) < np.asarray(self.send_prob)[state]
            state = (rng.random(n_episodes) < np.asarray(self.tired_prob)[state, actions[:, step]]).astype(np.int64)
        state, action = states.ravel(), actions.ravel()
        send = np.asarray(self.send_prob)[state]
        steps = np.tile(np.arange(horizon), n_episodes)
        log = LoggedTrajectories(
            action, np.asarray(self.rewards)[state, action], ("silence", "send"), state[:, None].astype(np.float64),
            ("is_tired",), np.repeat(np.arange(n_episodes), horizon), steps, np.zeros(len(steps), np.bool_),
            steps == horizon - 1, propensities=np.where(action == 1, send, 1.0 - send),
        )  # fmt: skip
        target = np.asarray(self.target_send_prob)[state]
        return weigh_trajectories(log, np.column_stack([1.0 - target, target]))


def marginalised(weighed: WeighedTrajectories) -> Terms:
    """Marginalised importance sampling on the chain's state."""
    return marginalised_is(weighed, weighed.log.observations[:, 0].astype(np.int64))


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "trajectory": trajectory_is,
        "per decision": per_decision_is,
        "weighted per decision": weighted_per_decision_is,
        "marginalised": marginalised,
        "one step": one_step,
    }
)


@dataclass(frozen=True, eq=False)
class HorizonErrors:
    """How far each estimator is off, over many logs.

    Attributes:
        horizons: steps an episode, H of them.
        n_episodes: in each log.
        n_logs: from which bias and deviation are told.
        values: of the target policy, exactly, shape (H,).
        biases: by estimator, mean estimate less value, shape (H,).
        deviations: by estimator, standard deviation over logs, shape (H,).
    """

    horizons: tuple[int, ...]
    n_episodes: int
    n_logs: int
    values: Floats
    biases: Mapping[str, Floats]
    deviations: Mapping[str, Floats]


def horizon_errors(
    horizons: Sequence[int], n_episodes: int, n_logs: int, seed: int = 0, chain: Chain | None = None
) -> HorizonErrors:
    """Return bias and standard deviation of the estimators by horizon, over simulated logs.

    Args:
        horizons: steps an episode, each at least 1.
        n_episodes: in each log.
        n_logs: at least 2.
        seed: of the first log; each horizon and log has draws of its own.
        chain: None: the default one.

    Raises:
        ValueError: no horizon, or one below 1; fewer than two logs.
    """
    if not horizons or min(horizons) < 1:
        raise ValueError(f"horizons: expected at least one, each at least 1, got {list(horizons)}")
    if n_logs < 2:
        raise ValueError(f"n_logs: expected at least 2, got {n_logs}")
    chain = chain or Chain()
    found = np.empty((len(horizons), n_logs, len(ESTIMATORS)))
    for h, horizon in enumerate(horizons):
        for k in range(n_logs):
            weighed = chain.log(n_episodes, horizon, np.random.default_rng([seed, horizon, k]))
            found[h, k] = [estimator(weighed).value for estimator in ESTIMATORS.values()]
    values = np.asarray([chain.value(horizon) for horizon in horizons])
    biases, deviations = found.mean(axis=1) - values[:, None], found.std(axis=1, ddof=1)
    return HorizonErrors(
        tuple(horizons), n_episodes, n_logs, values,
        {name: biases[:, k] for k, name in enumerate(ESTIMATORS)},
        {name: deviations[:, k] for k, name in enumerate(ESTIMATORS)},
    )  # fmt: skip
