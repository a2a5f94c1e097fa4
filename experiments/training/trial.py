"""What an agent's greedy policy is worth: on the same users with the same luck each time, or exactly.

Of users, the value is what they bring until the horizon, undiscounted, orders at their expectation given the session:
its mean is that of the money that changes hands, with less noise. Two evaluations are compared user by user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.agent import Agent
from experiments.compare import Estimate
from experiments.training.config import ExactEnvironment
from experiments.training.environments import AnyVectorEnv, exact_world, trial_env
from experiments.training.source import Plan
from simulator.environments.vector import REWARD_PARTS
from simulator.exact.standing import standing
from simulator.records import NANO, Floats, Metric

KEPT_PARTS = ("session_value", "send_cost", "complaint_cost")  # beside orders at their expectation
Act = Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], npt.NDArray[np.integer[Any]]]


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of trying a policy.

    Attributes:
        values: EUR, of each user, shape (U,); of an exact world the one exact value, shape (1,).
        figures: the row of the learning curve, by name.
    """

    values: Floats
    figures: Mapping[str, float]


class Judge(Protocol):
    """Tries a policy.

    Attributes:
        references: values to see a policy's against, by name: EUR.
        unit: what a value is.
    """

    references: Mapping[str, float]
    unit: str

    def try_out(self, agent: Agent) -> Trial:
        """Return what an agent's greedy policy is worth."""
        ...


def judge_of(plan: Plan) -> Judge:
    """Return who judges the agent of a plan."""
    return ExactJudge(plan) if isinstance(plan.config.environment, ExactEnvironment) else UsersJudge(plan)


class ExactJudge:
    """The exact value in a world whose optimum is known."""

    def __init__(self, plan: Plan) -> None:
        self._env = exact_world(plan)
        world: Any = self._env.unwrapped
        self._masks = world.all_action_masks() != 0
        simple = world.baselines()
        best = max(simple, key=simple.__getitem__)
        self.references: Mapping[str, float] = {"optimum": world.optimal_value(), best: simple[best]}
        self.unit = "EUR from the start, exact"

    def try_out(self, agent: Agent) -> Trial:
        """Return the greedy policy's exact value, and the share of the gap from the best simple rule to the optimum."""

        def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return agent.act(observations, self._masks, np.random.default_rng(0), is_exploring=False).actions

        found = standing(self._env, act)
        return Trial(np.asarray([found.value]), {"value_eur": found.value, "gap_closed": found.gap_closed})


class UsersJudge:
    """The same users, with the same luck, each time; and as the measure of gain, the same users left in silence."""

    def __init__(self, plan: Plan) -> None:
        self._env = trial_env(plan)
        self._seed = plan.config.training.evaluation.seed
        self._silent: Floats | None = None
        self.unit = "EUR per user over silence"
        self.references: Mapping[str, float] = {"silence": 0.0}

    def try_out(self, agent: Agent) -> Trial:
        """Return what users bring under the greedy policy."""
        if self._silent is None:
            self._silent, _ = self._play(_silence)
        rng = np.random.default_rng(0)
        values, figures = self._play(lambda seen, masks: agent.act(seen, masks, rng, is_exploring=False).actions)
        gain = paired(values, self._silent)
        over = {"over_silence_eur": gain.mean, "over_silence_low": gain.low, "over_silence_high": gain.high}
        return Trial(values, over | figures)

    def _play(self, act: Act) -> tuple[Floats, dict[str, float]]:
        """Return each user's value until the horizon, shape (U,), and the figures of all."""
        users = play(self._env, act, self._seed)
        n, weeks = len(users.value_eur), users.hours.sum() / 168
        return users.value_eur, {
            "value_eur": float(users.value_eur.mean()),
            "realised_eur": float(users.realised_eur.mean()),
            "sends_per_user_week": float(users.counts[:, Metric.SENDS].sum() / max(weeks, 1e-9)),
            "opt_outs_per_100": float(100 * users.counts[:, [Metric.OPT_OUTS_PUSH, Metric.OPT_OUTS_EMAIL]].sum() / n),
            "left_share": float(users.has_left.mean()),
        }


@dataclass(frozen=True, eq=False)
class Played:
    """Users at the end of their episodes.

    Attributes:
        value_eur: orders at their expectation, shape (U,).
        realised_eur: orders as they happened, shape (U,).
        counts: by `Metric`, below the money, shape (U, M).
        hours: that each was there, shape (U,).
        has_left: shape (U,).
    """

    value_eur: Floats
    realised_eur: Floats
    counts: npt.NDArray[np.int64]
    hours: Floats
    has_left: npt.NDArray[np.bool_]


def play(env: AnyVectorEnv, act: Act, seed: int) -> Played:
    """Let every user of an environment without autoresets live to the end of its episode.

    Args:
        env: of users, with `autoresets=False`.
        act: decides where something besides no_send may be done: observations (N, K) and masks (N, A) to actions (N,).
        seed: of the first user; user i has seed + i.
    """
    seats = env.unwrapped
    observations, infos = env.reset(seed=seed)
    hours, has_left = np.zeros(env.num_envs), np.zeros(env.num_envs, np.bool_)
    is_over = np.zeros(env.num_envs, np.bool_)
    while not is_over.all():
        masks = np.asarray(infos["action_mask"]) != 0
        actions = np.zeros(env.num_envs, np.int64)
        asked = np.flatnonzero(masks[:, 1:].any(axis=1) & ~is_over)
        if len(asked):
            actions[asked] = act(observations[asked], masks[asked])
        observations, _, terminated, truncated, infos = env.step(actions)
        hours += infos["elapsed_hours"]
        has_left |= terminated
        is_over |= terminated | truncated
    tally = seats.seats.tally  # type: ignore[attr-defined]
    money = tally["money"].astype(np.int64)
    kept = money[:, [REWARD_PARTS.index(part) for part in KEPT_PARTS]].sum(axis=1)
    return Played(
        (kept + tally["expected_nano"]) / NANO,
        money.sum(axis=1) / NANO,
        tally["counts"].astype(np.int64),
        hours,
        has_left,
    )


def paired(values: Floats, others: Floats) -> Estimate:
    """Return the mean difference of the same users, with its standard error; a single value is exact, without error."""
    differences = values - others
    n = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Estimate(float(differences.mean()), error)


def _silence(observations: npt.NDArray[np.float32], masks: npt.NDArray[Any]) -> npt.NDArray[np.integer[Any]]:
    del masks
    return np.zeros(len(observations), np.int64)
