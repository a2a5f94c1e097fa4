"""A policy that SB3 trains, as an `Agent`: one forward pass decides for all users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Choices, Floats, Observations, State, require_state
from agents.choosing import (
    certainly,
    drawn_choices,
    epsilon_probabilities,
    greedy_actions,
    greedy_choices,
    softmax_probabilities,
)
from agents.export import network_document
from agents.problem import Problem
from agents.reinforcement.dqn import MaskedDQN
from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings, PPOSettings
from agents.training_extra import missing
from policies.document import Document, Epsilon, Greedy, NetworkInput, Softmax

try:
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import PPO
except ModuleNotFoundError as error:
    raise missing(error) from error

Model = PPO | MaskablePPO | MaskedDQN
AnySettings = PPOSettings | MaskablePPOSettings | DQNSettings
EPSILON = "epsilon"


class SB3Agent:
    """What PPO, MaskablePPO or DQN has learned so far.

    PPO draws from its softmax, DQN explores with the epsilon of its schedule; both among what is eligible, and both
    without exploration take the best. Logits and values are float32, probabilities are float64.

    Args:
        problem: what it decides about.
        model: that learns; the agent is always as good as it.
        settings: of the model; a document tells them.
        inputs: how the network's inputs are made from the vocabulary's features, at the time of the call; None: the
            observations are these features.
        policy: what it acts by; None: by the model's own.
    """

    def __init__(
        self,
        problem: Problem,
        model: Model,
        settings: AnySettings,
        inputs: Callable[[], Sequence[NetworkInput]] | None = None,
        policy: Any = None,
    ) -> None:
        self.problem = problem
        self.model = model
        self.settings = settings
        self._inputs = inputs
        self._policy: Any = model.policy if policy is None else policy

    def act(
        self,
        observations: Observations,
        masks: Bools,
        rng: np.random.Generator,
        *,
        is_exploring: bool = True,
        wants_propensities: bool = False,
    ) -> Choices:
        """Decide; see `agents.agent.Agent`."""
        if is_exploring:
            choices = drawn_choices(self.probabilities(observations, masks), rng)
            return choices if wants_propensities else Choices(choices.actions, None)
        masks = self.problem.check(observations, masks)
        return greedy_choices(self._preferences(observations), masks, wants_propensities)

    def probabilities(self, observations: Observations, masks: Bools, *, is_exploring: bool = True) -> Floats:
        """Return the probability of each action, shape (U, A); see `agents.agent.Agent`."""
        masks = self.problem.check(observations, masks)
        preferences = self._preferences(observations)
        match self.exploration(is_exploring):
            case Softmax(temperature):
                return softmax_probabilities(preferences, masks, temperature)
            case Epsilon(epsilon):
                return epsilon_probabilities(preferences, masks, epsilon)
            case Greedy():
                return certainly(greedy_actions(preferences, masks), self.problem.n_actions)

    def exploration(self, is_exploring: bool) -> Greedy | Epsilon | Softmax:
        """Return how it explores now, in a document's words."""
        if not is_exploring:
            return Greedy()
        if isinstance(self.model, MaskedDQN):
            epsilon = float(self.model.exploration_rate)
            return Epsilon(epsilon) if epsilon > 0.0 else Greedy()
        return Softmax(1.0)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document of kind network with the same probabilities, to 1e-6.

        Raises:
            ValueError: other observations or actions than the feature vocabulary's.
        """
        settings = self.settings
        return network_document(
            self._policy,
            name,
            inputs=None if self._inputs is None else self._inputs(),
            exploration=self.exploration(is_exploring),
            made_by=f"kairos {settings.kind}",
            trained_on={
                "decisions": str(self.model.num_timesteps),
                "discount_per_day": repr(settings.discount_per_day),
                "horizon_days": f"{settings.horizon_days:.6g}",
                "settings": settings.model_dump_json(),
            },
        )

    def state(self) -> State:
        """Return the weights, and DQN's epsilon."""
        state: State = {name: _array(weights) for name, weights in self._policy.state_dict().items()}
        if isinstance(self.model, MaskedDQN):
            state[EPSILON] = np.asarray(float(self.model.exploration_rate))
        return state

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up weights; see `agents.agent.Agent`."""
        require_state({name: array.shape for name, array in self.state().items()}, state)
        weights = {name: torch.from_numpy(np.array(array)) for name, array in state.items() if name != EPSILON}
        for policy in {id(each): each for each in (self._policy, self.model.policy)}.values():
            policy.load_state_dict(weights)
        if isinstance(self.model, MaskedDQN):
            self.model.exploration_rate = float(state[EPSILON])

    def _preferences(self, observations: Observations) -> Floats:
        """Return logits or values, shape (U, A)."""
        rows = np.ascontiguousarray(observations, np.float32)
        policy, inputs = self._policy, torch.as_tensor(rows)
        with torch.no_grad():
            if isinstance(self.model, MaskedDQN):
                preferences = policy.q_net(inputs)
            else:
                preferences = policy.action_net(policy.mlp_extractor.forward_actor(inputs))
        return np.asarray(preferences.numpy(), np.float64)


def _array(weights: torch.Tensor) -> npt.NDArray[np.float32]:
    copied: npt.NDArray[np.float32] = weights.detach().numpy().copy()
    return copied
