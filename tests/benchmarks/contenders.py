"""Who learns against whom in `time_to_value`: the training as shipped, and SB3 as it comes, in the same environment.

All see the same observations and masks, are paid the same rewards, discount alike, and begin with users of all ages.
The baseline is spared what would slow it down and teaches nothing: Gymnasium's checker and SB3's Monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import gymnasium
from gymnasium.wrappers import TransformReward
from sb3_contrib import MaskablePPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv

import simulator.environments  # noqa: F401  # makes the ids known
from agents.agent import Agent
from agents.kinds import build_trainer
from agents.problem import problem_of
from agents.reinforcement.agent import SB3Agent
from agents.reinforcement.ppo import begin_with_silence, learn_from_rollout
from agents.reinforcement.settings import HOURS_A_DAY, MaskablePPOSettings
from experiments.training.config import UsersEnvironment
from experiments.training.environments import training_env, training_lenses, user_options
from experiments.training.source import Plan
from simulator.environments.lenses import wrap

N_SINGLE = 8


class Contender(Protocol):
    """A learner at some point of its training.

    Attributes:
        agent: as it has learned so far.
        n_steps: decisions made, over all users.
    """

    agent: Agent

    @property
    def n_steps(self) -> int: ...

    def learn(self) -> None:
        """Collect one rollout and learn from it."""
        ...


class Ours:
    """The training as shipped: `SB3Trainer` over all users at once."""

    def __init__(self, plan: Plan) -> None:
        self._trainer = build_trainer(plan.config.agent, training_env(plan), plan.config.seed)
        self.agent = self._trainer.agent

    @property
    def n_steps(self) -> int:
        return self._trainer.n_steps

    def learn(self) -> None:
        self._trainer.advance(1)  # at least one decision, whole rollouts


class Single:
    """sb3-contrib's MaskablePPO over SB3's DummyVecEnv of eight single environments.

    Args:
        plan: whence environment, lenses, discount and network.
        arguments: of MaskablePPO; all others are its own defaults.
        initial_send_prob: of the untrained policy; None: as SB3 has it, about uniform over what is eligible.
    """

    def __init__(
        self, plan: Plan, arguments: Mapping[str, Any] | None = None, initial_send_prob: float | None = None
    ) -> None:
        settings = settings_of(plan)
        venv = DummyVecEnv([partial(single_env, plan)] * N_SINGLE)
        sizes = list(settings.hidden_sizes)
        users: Any = venv.envs[0].unwrapped
        hours = int(users.vector.settings[0]["epoch_hours"])
        self.model = MaskablePPO(
            "MlpPolicy",
            venv,
            gamma=settings.discount_per_day ** (hours / HOURS_A_DAY),
            policy_kwargs={"net_arch": {"pi": sizes, "vf": sizes}},
            seed=plan.config.seed,
            device="cpu",
            **(arguments or {}),
        )
        if initial_send_prob is not None:
            begin_with_silence(self.model, initial_send_prob)
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self._anneal_steps = settings.anneal_steps  # SB3's defaults anneal nothing
        _, self._callback = self.model._setup_learn(settings.anneal_steps, None)
        self.agent: Agent = SB3Agent(problem_of(training_env(plan)), self.model, settings)

    @property
    def n_steps(self) -> int:
        return int(self.model.num_timesteps)

    def learn(self) -> None:
        learn_from_rollout(self.model, self._callback, self._anneal_steps)


def theirs(plan: Plan) -> Single:
    """Return SB3 with all its defaults: rollouts of 8 x 2,048, ten epochs in minibatches of 64, rate 3e-4."""
    return Single(plan)


def tuned(plan: Plan) -> Single:
    """Return SB3 with the shipped config's settings: what is left between it and ours is the environment's speed.

    Rollouts have as many decisions as the config's; of eight users instead of a thousand, each plays that much longer.
    """
    settings, about = settings_of(plan), plan.config.environment
    n_decisions = settings.n_steps * about.n_users
    rate = settings.learning_rate
    arguments = {
        "n_steps": n_decisions // N_SINGLE,
        "batch_size": min(settings.batch_size, n_decisions),
        "learning_rate": LinearSchedule(rate, rate * settings.final_learning_rate_share, 1.0),
        "n_epochs": settings.n_epochs,
        "gae_lambda": settings.gae_lambda,
        "clip_range": settings.clip_range,
        "ent_coef": settings.entropy_weight,
        "vf_coef": settings.value_weight,
        "max_grad_norm": settings.max_grad_norm,
    }
    return Single(plan, arguments, settings.initial_send_prob)


CONTENDERS: Mapping[str, Callable[[Plan], Contender]] = MappingProxyType(
    {"ours": Ours, "theirs": theirs, "tuned": tuned}
)


def single_env(plan: Plan) -> gymnasium.Env[Any, Any]:
    """Return one user of the environment that a plan's agent learns in, its rewards scaled as the agent's."""
    about = plan.config.environment
    assert isinstance(about, UsersEnvironment), "exact worlds have no single users"
    env: gymnasium.Env[Any, Any] = gymnasium.make(
        about.id,
        disable_env_checker=True,
        scenario=plan.scenario,
        spread_hours=about.spread_hours,
        **user_options(plan),
    )
    env = wrap(env, *training_lenses(plan))
    scale = settings_of(plan).reward_scale
    return env if scale == 1.0 else TransformReward(env, lambda reward: float(reward) * scale)


def settings_of(plan: Plan) -> MaskablePPOSettings:
    """Return the agent's settings.

    Raises:
        TypeError: it is no MaskablePPO.
    """
    settings = plan.config.agent
    if not isinstance(settings, MaskablePPOSettings):
        raise TypeError(f"time_to_value: agent: expected maskable_ppo, got {type(settings).__name__}")
    return settings
