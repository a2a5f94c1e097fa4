"""A small agent to train: ridge regression of an action's reward, epsilon-greedy. It stands in for the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agents.agent import Bools, Choices, Floats, Observations, State, require_state
from agents.choosing import draw_actions, drawn_choices, epsilon_probabilities, greedy_choices
from agents.problem import Problem, problem_of
from agents.settings import Settings
from policies.document import Document
from tests.policies.documents import SCORECARD


class RidgeSettings(Settings):
    kind: Literal["ridge"] = "ridge"
    ridge: float = Field(1.0, gt=0, le=100)
    epsilon: float = Field(0.3, ge=0, le=1)
    discount_per_day: float = Field(0.9, gt=0, le=1)


class RidgeAgent:
    def __init__(self, settings: RidgeSettings, problem: Problem) -> None:
        self.settings, self.problem = settings, problem
        k = problem.n_features + 1
        self.squares = np.tile(settings.ridge * np.eye(k), (problem.n_actions, 1, 1))
        self.sums = np.zeros((problem.n_actions, k))

    def scores(self, observations: Observations) -> Floats:
        rows = np.concatenate([np.ones((len(observations), 1)), observations], axis=1)
        scores: Floats = rows @ np.linalg.solve(self.squares, self.sums[:, :, None])[:, :, 0].T
        return scores

    def act(
        self,
        observations: Observations,
        masks: Bools,
        rng: np.random.Generator,
        *,
        is_exploring: bool = True,
        wants_propensities: bool = False,
    ) -> Choices:
        masks = self.problem.check(observations, masks)
        if not is_exploring:
            return greedy_choices(self.scores(observations), masks, wants_propensities)
        return drawn_choices(self.probabilities(observations, masks), rng)

    def probabilities(self, observations: Observations, masks: Bools, *, is_exploring: bool = True) -> Floats:
        epsilon = self.settings.epsilon if is_exploring else 0.0
        return epsilon_probabilities(self.scores(observations), masks, epsilon)

    def learn(self, observations: Observations, actions: npt.NDArray[np.int64], rewards: Floats) -> None:
        rows = np.concatenate([np.ones((len(observations), 1)), observations], axis=1)
        for action in np.unique(actions):
            taken = rows[actions == action]
            self.squares[action] += taken.T @ taken
            self.sums[action] += taken.T @ rewards[actions == action]

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        if not self.problem.n_slots:
            raise ValueError("expected the features of the vocabulary, got others")
        return SCORECARD

    def state(self) -> State:
        return {"squares": self.squares, "sums": self.sums}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        require_state({name: array.shape for name, array in self.state().items()}, state)
        self.squares, self.sums = (np.asarray(state[name], np.float64).copy() for name in ("squares", "sums"))


class RidgeTrainer:
    """Each portion begins with new users, seeded by the steps so far: thus the environment need not be saved."""

    def __init__(self, settings: RidgeSettings, env: Any, seed: int) -> None:
        self.agent = RidgeAgent(settings, problem_of(env))
        self.n_steps = 0
        self._env, self._seed = env, seed

    def advance(self, n_steps: int) -> Mapping[str, float]:
        rng = np.random.default_rng([self._seed, self.n_steps])
        observations, infos = self._env.reset(seed=int(rng.integers(2**40)))
        end, n, total, sends = self.n_steps + n_steps, self._env.num_envs, 0.0, 0
        begun = self.n_steps
        while self.n_steps < end:
            seen, masks = observations.copy(), np.asarray(infos["action_mask"]) != 0
            actions = draw_actions(self.agent.probabilities(seen, masks), rng.random(n))
            observations, rewards, _, _, infos = self._env.step(actions)
            self.agent.learn(seen, actions, rewards)
            self.n_steps += n
            total, sends = total + float(rewards.sum()), sends + int(np.count_nonzero(actions))
        made = self.n_steps - begun
        return {"reward": total / made, "sends": sends / made}

    def state(self) -> State:
        return {"n_steps": np.asarray(self.n_steps), **self.agent.state()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        learned = dict(state)
        self.n_steps = int(learned.pop("n_steps"))
        self.agent.restore(learned)
