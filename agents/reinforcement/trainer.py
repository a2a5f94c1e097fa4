"""Training by SB3, as a `Trainer`: in portions, and to the same weights wherever a run was cut and taken up again.

trainer = SB3Trainer(MaskablePPOSettings(), env, seed=1)  # env: a Gymnasium VectorEnv of users
while trainer.n_steps < 5_000_000:
    figures = trainer.advance(500_000)
    saved_state.save(path, trainer.state(), header)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import State, joined
from agents.problem import problem_of
from agents.reinforcement.agent import EPSILON, AnySettings, Model, SB3Agent
from agents.reinforcement.averaging import AveragedPolicy
from agents.reinforcement.beginning import grown
from agents.reinforcement.dqn import MaskedDQN, learn_from_steps, new_dqn
from agents.reinforcement.generators import Generators
from agents.reinforcement.model_state import model_state, restore_model
from agents.reinforcement.ppo import learn_from_rollout, new_ppo
from agents.reinforcement.settings import DQNSettings
from agents.saved_state import require_same
from agents.training_extra import missing
from agents.vec_env import FleetVecEnv
from policies.document import NetworkInput

try:
    from gymnasium.vector import VectorEnv
    from gymnasium.wrappers.vector import TransformReward
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Logger
except ModuleNotFoundError as error:
    raise missing(error) from error

PARTS = ("model", "env", "generators", "average")
ABOUT = "about"


class SB3Trainer:
    """PPO, MaskablePPO or DQN, and the users that it learns on; see `agents.trainer.Trainer`.

    Args:
        settings: which algorithm, and its config.
        env: users side by side, SAME_STEP, whose infos tell `elapsed_hours`. To save a run, the environment, too, has
            `state` and `restore`.
        seed: of weights, luck and environment; 0 or more.

    Attributes:
        agent: as it has learned so far.
        venv: the environment as SB3 has it.

    Raises:
        TypeError, ValueError: the environment is none that can be learned on; see `FleetVecEnv`.
    """

    def __init__(self, settings: AnySettings, env: VectorEnv[Any, Any, Any], seed: int) -> None:
        scale = settings.reward_scale
        self.settings = settings
        self.venv = FleetVecEnv(env if scale == 1.0 else TransformReward(env, lambda rewards: rewards * scale))
        self._generators = Generators(seed, settings.torch_threads)
        self._tally = _Tally()
        with self._generators.lent():
            # SB3 seeds the generators itself, with this seed; here it does so to those that are lent.
            self.model: Model = (
                new_dqn(settings, self.venv, seed)
                if isinstance(settings, DQNSettings)
                else new_ppo(settings, self.venv, seed)
            )
            self.model.set_logger(Logger(folder=None, output_formats=[]))
            # Resets the environment; of the steps that it is told nothing depends here.
            self.model._setup_learn(settings.anneal_steps, self._tally)
        self._average = AveragedPolicy(self.model.policy) if settings.average_from_share < 1.0 else None
        acting = None if self._average is None else self._average.policy
        self.agent = SB3Agent(problem_of(env), self.model, settings, _inputs_of(env), acting)

    @property
    def n_steps(self) -> int:
        """Decisions made so far, over all users."""
        return self.model.num_timesteps

    @property
    def horizon_days(self) -> float:
        """The learning horizon: -1 / ln(discount_per_day)."""
        return self.settings.horizon_days

    def begin_with(self, learned: Mapping[str, npt.NDArray[np.generic]], known: Sequence[str]) -> None:
        """Begin with what another agent had learned, on the same features or on some of them.

        Args:
            learned: state of an agent of the same algorithm.
            known: names of the features that it saw.

        Raises:
            ValueError: it has begun already; the network is another one.
        """
        if self.n_steps:
            raise ValueError(f"begin_with: expected a trainer at its beginning, got one of {self.n_steps:,} steps")
        fresh = self.agent.state()
        own = {name: fresh.pop(name) for name in (EPSILON,) if name in fresh}
        weights = {name: array for name, array in learned.items() if name not in own}
        self.agent.restore(grown(fresh, self.agent.problem.features, weights, known) | own)

    def advance(self, n_steps: int) -> dict[str, float]:
        """Learn from at least so many further decisions; see `agents.trainer.Trainer`.

        Raises:
            ValueError: `n_steps` below 1; a reward is not finite, a mask allows nothing.
        """
        if not n_steps >= 1:
            raise ValueError(f"advance: n_steps: expected at least 1, got {n_steps}")
        end, self._tally.n_decisions = self.n_steps + n_steps, 0
        self._tally.rewards = self._tally.sends = 0.0
        with self._generators.lent():
            while self.n_steps < end:
                if isinstance(self.model, MaskedDQN):
                    learn_from_steps(self.model, self._tally, self.settings.anneal_steps)
                else:
                    settings = self.settings
                    assert not isinstance(settings, DQNSettings)
                    learn_from_rollout(self.model, self._tally, settings.anneal_steps, settings.value_only_steps)
                self._keep_average()
            if self._average is not None and not self._average.n_averaged:
                self._average.follow(self.model.policy)
        return self._figures()

    def _keep_average(self) -> None:
        settings = self.settings
        if self._average is not None and self.n_steps > settings.average_from_share * settings.anneal_steps:
            self._average.add(self.model.policy)

    def state(self) -> State:
        """Return all that the next portion depends on.

        Raises:
            AttributeError: the environment has no `state`.
        """
        whole: State = {ABOUT: np.frombuffer(self._about().encode(), np.uint8)}
        average = {} if self._average is None else self._average.state()
        parts = (model_state(self.model), self.venv.state(), self._generators.state(), average)
        return whole | joined(dict(zip(PARTS, parts, strict=True)))

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Go on where a state was taken; see `agents.trainer.Trainer`."""
        if ABOUT not in state:
            raise ValueError("state: expected that of an SB3Trainer, got one without 'about'")
        wanted, found = json.loads(self._about()), json.loads(state[ABOUT].tobytes())
        require_same(wanted, found, "state", "environment or config")
        parts: dict[str, State] = {part: {} for part in PARTS}
        for name, array in state.items():
            part, _, rest = name.partition(".")
            if name != ABOUT:
                if part not in parts:
                    raise ValueError(f"state: {name}: unknown; expected names that begin with {', '.join(PARTS)}")
                parts[part][rest] = array
        before = self.state()
        try:
            self._restore(parts)
        except Exception:
            self.restore(before)  # what it had learned is not half overwritten
            raise

    def _restore(self, parts: Mapping[str, State]) -> None:
        self.venv.restore(parts["env"])
        restore_model(self.model, parts["model"])
        if self._average is not None:
            self._average.restore(parts["average"])
        self._generators.restore(parts["generators"])

    def _about(self) -> str:
        """Return what a state must agree with, as JSON."""
        about = {
            "settings": self.settings.model_dump(mode="json"),
            "problem": self.agent.problem.to_data(),
            "environment": type(self.venv.env.unwrapped).__name__,
            "n_users": self.venv.num_envs,
        }
        return json.dumps(about, sort_keys=True)

    def _figures(self) -> dict[str, float]:
        n, told = self._tally.n_decisions, self.model.logger.name_to_value
        figures = {"reward": self._tally.rewards / self.settings.reward_scale / n, "sends": self._tally.sends / n}
        for name, value in told.items():
            if name.startswith("train/"):
                figures[name.removeprefix("train/")] = float(value)
        if "entropy_loss" in figures:
            figures["entropy"] = -figures.pop("entropy_loss")
        if isinstance(self.model, MaskedDQN):
            figures["epsilon"] = float(self.model.exploration_rate)
        return figures


class _Tally(BaseCallback):
    """Sums up rewards and sends, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.n_decisions, self.rewards, self.sends = 0, 0.0, 0.0

    def _on_step(self) -> bool:
        actions = self.locals["actions"]
        self.n_decisions += len(actions)
        self.sends += float(np.count_nonzero(actions))
        self.rewards += float(self.locals["rewards"].sum(dtype=np.float64))
        return True


def _inputs_of(env: Any) -> Callable[[], Sequence[NetworkInput]] | None:
    """Return how to ask the outermost normalisation for its numbers, if there is one."""
    layer: Any = getattr(env, "layer", None)
    if layer is None or not hasattr(layer, "inputs"):
        return None
    return lambda: [NetworkInput(each.feature, each.mean, each.scale, each.clip) for each in layer.inputs]
