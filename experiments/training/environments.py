"""From a training's config to Gymnasium: the environment that is learned in, and the one that the agent is tried in."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

import simulator.environments  # noqa: F401  # makes the ids known
from agents.kinds import discount_per_day
from experiments.training.config import (
    ExpectedConversion,
    FixedNormalisation,
    Lens,
    Oracle,
    PaidParts,
    PastSteps,
    PotentialShaping,
    UsersEnvironment,
)
from experiments.training.source import Plan

AnyVectorEnv = VectorEnv[Any, Any, Any]


def training_env(plan: Plan) -> AnyVectorEnv:
    """Return the environment that a plan's agent learns in.

    Raises:
        ValueError, TypeError: the config asks for what the environment or a lens cannot do.
    """
    about = plan.config.environment
    if isinstance(about, UsersEnvironment):
        return _users(plan, about, about.n_users, about.horizon_days, about.lenses, spread_hours=about.spread_hours)
    options: dict[str, Any] = {"max_steps": about.max_steps, "reward": about.reward}
    given = {name: value for name, value in options.items() if value is not None}
    return gymnasium.make_vec(about.id, num_envs=about.n_users, vectorization_mode="vector_entry_point", **given)


def trial_env(plan: Plan) -> AnyVectorEnv:
    """Return users to try an agent on: an episode each, seen as in training; nobody waits before the first decision."""
    about, trial = plan.config.environment, plan.config.training.evaluation
    assert isinstance(about, UsersEnvironment), "exact worlds are judged without being played"
    days = trial.horizon_days or about.horizon_days
    seen = tuple(lens for lens in about.lenses if isinstance(lens, PastSteps | FixedNormalisation | Oracle))
    return _users(plan, about, trial.n_users, days, seen, autoresets=False)


def exact_world(plan: Plan) -> gymnasium.Env[Any, Any]:
    """Return the exact world of a plan, which knows the value of any policy."""
    return gymnasium.make(plan.config.environment.id)


def _users(
    plan: Plan, about: UsersEnvironment, n_users: int, days: int | None, lenses: tuple[Lens, ...], **options: Any
) -> AnyVectorEnv:
    from simulator.environments.lenses import wrap

    env = gymnasium.make_vec(
        about.id,
        num_envs=n_users,
        vectorization_mode="vector_entry_point",
        scenario=plan.scenario,
        n_slots=about.n_slots,
        horizon_days=days,
        epoch_hours=about.epoch_hours,
        trigger=about.trigger,
        most_wait_hours=about.most_wait_hours,
        **options,
    )
    return wrap(env, *(_lens(lens, plan) for lens in lenses)) if lenses else env


def _lens(lens: Lens, plan: Plan) -> Any:
    from simulator.environments import lenses

    match lens:
        case ExpectedConversion():
            return lenses.RewardParts(lenses.EXPECTED_CONVERSION)
        case PaidParts():
            return lenses.RewardParts(lens.weights)
        case PotentialShaping():
            # Only the learner's own discount leaves the optimum where it is: Ng, Harada & Russell (1999).
            discount = discount_per_day(plan.config.agent, plan.config.credit)
            return lenses.Shaping(discount ** (1 / 24), lens.channel_eur_per_day, lens.discount_rate_per_day)
        case PastSteps():
            return lenses.History(lens.n)
        case FixedNormalisation():
            return lenses.Normalisation()
        case Oracle():
            return lenses.OracleObservation()
