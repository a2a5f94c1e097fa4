"""From a training's config to Gymnasium: the environment that is learned in, and what an evaluation shares with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

import simulator.environments  # noqa: F401  # makes the ids known
from agents.kinds import discount_per_day, ignores_masks
from experiments.training.config import (
    ExactEnvironment,
    ExpectedConversion,
    FixedNormalisation,
    Lens,
    Oracle,
    OverSilence,
    PaidParts,
    PastSteps,
    PotentialShaping,
    UsersEnvironment,
)
from experiments.training.pilot import pilot_inputs
from experiments.training.source import Plan
from simulator.environments.lenses import (
    EXPECTED_CONVERSION,
    AgainstSilence,
    History,
    Normalisation,
    OracleObservation,
    RewardParts,
    Shaping,
    wrap,
)

AnyVectorEnv = VectorEnv[Any, Any, Any]
MODES = {"kairos/Notify-v0": "notify", "kairos/NotifyDaily-v0": "daily", "kairos/NotifyCandidates-v0": "queue"}


def training_env(plan: Plan) -> AnyVectorEnv:
    """Return the environment that a plan's agent learns in.

    Raises:
        ValueError, TypeError: the config asks for what the environment or a lens cannot do.
    """
    about = plan.config.environment
    if isinstance(about, UsersEnvironment):
        # Steps that last until something happens are discounted within, too; but parts of a reward are plain sums.
        is_paid_by_parts = any(isinstance(lens, ExpectedConversion | PaidParts) for lens in about.lenses)
        discounts_within = about.trigger == "event" and not is_paid_by_parts
        if (
            about.trigger == "event"
            and is_paid_by_parts
            and any(isinstance(each, OverSilence) for each in about.lenses)
        ):
            raise ValueError(
                "lenses: with trigger 'event', expected against_silence without expected_conversion or reward_parts: "
                "parts are plain sums over a step that lasts until something happens, and the twin's are discounted"
            )
        env = gymnasium.make_vec(
            about.id,
            num_envs=about.n_users,
            vectorization_mode="vector_entry_point",
            scenario=plan.scenario,
            spread_hours=about.spread_hours,
            discount_per_hour=_discount_per_hour(plan) if discounts_within else 1.0,
            on_ineligible="no_send" if ignores_masks(plan.config.agent) else "error",
            **user_options(plan),
        )
        lenses = training_lenses(plan)
        return wrap(env, *lenses) if lenses else env
    options = {"max_steps": about.max_steps, "reward": about.reward} | _world_options(about)
    given = {name: value for name, value in options.items() if value is not None}
    return gymnasium.make_vec(about.id, num_envs=about.n_users, vectorization_mode="vector_entry_point", **given)


def user_options(plan: Plan) -> dict[str, Any]:
    """Return what training and evaluation have in common, as arguments of `NotifyVectorEnv`."""
    about = plan.config.environment
    assert isinstance(about, UsersEnvironment), "exact worlds have no users"
    names = ("n_slots", "horizon_days", "epoch_hours", "trigger", "most_wait_hours")
    return {name: getattr(about, name) for name in names}


def training_lenses(plan: Plan) -> tuple[Any, ...]:
    """Return all lenses of a plan's users, the first nearest to the environment."""
    about = plan.config.environment
    assert isinstance(about, UsersEnvironment), "exact worlds have no lenses"
    return _lenses(plan, about.lenses)


def shown_lenses(plan: Plan) -> tuple[Any, ...]:
    """Return the lenses that change what an agent sees; what training pays is of no account in an evaluation."""
    about = plan.config.environment
    assert isinstance(about, UsersEnvironment), "exact worlds have no lenses"
    seen = [lens for lens in about.lenses if isinstance(lens, PastSteps | FixedNormalisation | Oracle)]
    return _lenses(plan, seen)


def exact_world(plan: Plan) -> gymnasium.Env[Any, Any]:
    """Return the exact world of a plan, which knows the value of any policy."""
    about = plan.config.environment
    assert isinstance(about, ExactEnvironment), "users are judged by playing"
    return gymnasium.make(about.id, **_world_options(about))


def _world_options(about: ExactEnvironment) -> dict[str, Any]:
    """Return what makes the world another one, for those who learn in it and for its exact values."""
    return {} if about.carry_over is None else {"carry_over": about.carry_over}


def _lenses(plan: Plan, asked: Iterable[Lens]) -> tuple[Any, ...]:
    made: list[Any] = []
    for lens in asked:
        if isinstance(lens, FixedNormalisation) and lens.by == "pilot":
            shown = [each for each in made if isinstance(each, History | OracleObservation | Normalisation)]
            made.append(Normalisation(pilot_inputs(plan, user_options(plan), shown)))
        else:
            made.append(_lens(lens, plan))
    return tuple(made)


def _discount_per_hour(plan: Plan) -> float:
    """Return the agent's own discount."""
    return float(discount_per_day(plan.config.agent, plan.config.credit) ** (1 / 24))


def _lens(lens: Lens, plan: Plan) -> Any:
    match lens:
        case ExpectedConversion():
            return RewardParts(EXPECTED_CONVERSION)
        case PaidParts():
            return RewardParts(lens.weights)
        case PotentialShaping():
            # Only the learner's own discount leaves the optimum where it is: Ng, Harada & Russell (1999).
            return Shaping(_discount_per_hour(plan), lens.channel_eur_per_day, lens.discount_rate_per_day)
        case OverSilence():
            return AgainstSilence(_discount_per_hour(plan))
        case PastSteps():
            return History(lens.n)
        case FixedNormalisation():
            return Normalisation()
        case Oracle():
            return OracleObservation()
