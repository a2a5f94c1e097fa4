"""A finite world as a Gymnasium environment."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Literal, SupportsInt, get_args

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from simulator.config_fields import did_you_mean
from simulator.exact.finite import FiniteModel, Policy, start_value
from simulator.exact.sampling import N_START_UNIFORMS, Sampler
from simulator.exact.standing import Act
from simulator.exact.world import Observations, World

Reward = Literal["expected", "sampled"]
Ineligible = Literal["error", "no_send"]
Mask = npt.NDArray[np.int8]


class FiniteEnv(gymnasium.Env[Observations, np.int64]):
    """One user, or one group of users, of a finite world.

    Args:
        world: the world.
        max_steps: truncates an episode that has not ended by then; None never does.
        reward: `expected` pays the mean of a step's reward, `sampled` the win or nothing, less the cost.
        ineligible: what an action does that the mask bars: raise an error, or count as no_send (which info tells).

    Every `info` holds `action_mask` (of the observation beside it, int8, shape (A,)); that of a step also
    `elapsed_hours` and `is_ineligible` (the action was barred and counted as no_send). `reset(options={"state": s})`
    starts in state s.
    """

    def __init__(
        self,
        world: World,
        max_steps: int | None = None,
        reward: Reward = "expected",
        ineligible: Ineligible = "error",
    ) -> None:
        check_options(world, max_steps, reward, ineligible)
        self.world = world
        self.observation_space = gymnasium.spaces.Box(world.low, world.high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(world.model.n_actions)
        self._sampler = Sampler(world.model, reward == "sampled")
        self._max_steps = max_steps
        self._ineligible = ineligible
        self._state: int | None = None
        self._n_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode.

        Raises:
            ValueError: an option is unknown, or the state to start in is none or final.
        """
        super().reset(seed=seed)
        uniforms = self.np_random.random((1, N_START_UNIFORMS))
        chosen = chosen_start(self.world, options)
        self._state = int(self._sampler.start(uniforms)[0]) if chosen is None else chosen
        self._n_steps = 0
        return self.observe(self._state), {"action_mask": self.action_masks()}

    def step(self, action: SupportsInt) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Let the user, or the group, live for a step.

        Raises:
            ValueError: the action is none of the world's, or is barred by the mask.
            gymnasium.error.ResetNeeded: no episode is under way.
        """
        model, state = self.world.model, self.state
        if model.is_final[state]:
            raise ResetNeeded(f"{self.world.name}: the episode has ended; call reset() before step()")
        chosen = checked_action(self.world, action)
        is_ineligible = not model.is_allowed[state, chosen]
        if is_ineligible:
            if self._ineligible == "error":
                raise ineligible_error(self.world, state, chosen)
            chosen = 0
        uniforms = self.np_random.random((1, self._sampler.n_step_uniforms))
        states, rewards = self._sampler.step(np.asarray([state]), np.asarray([chosen]), uniforms)
        self._state = int(states[0])
        self._n_steps += 1
        is_terminated = bool(model.is_final[self._state])
        is_truncated = not is_terminated and self._n_steps == self._max_steps
        info = {
            "action_mask": self.action_masks(),
            "elapsed_hours": self.world.step_hours,
            "is_ineligible": is_ineligible,
        }
        return self.observe(self._state), float(rewards[0]), is_terminated, is_truncated, info

    @property
    def state(self) -> int:
        """Index of the state."""
        if self._state is None:
            raise ResetNeeded(f"{self.world.name}: no episode is under way; call reset() first")
        return self._state

    @property
    def model(self) -> FiniteModel:
        """The exact model."""
        return self.world.model

    @property
    def discount(self) -> float:
        """Per step."""
        return self.world.model.discount

    def action_masks(self) -> Mask:
        """Return which actions the present state permits, int8 of shape (A,); the name is sb3-contrib's."""
        return self.world.model.is_allowed[self.state].astype(np.int8)

    def all_action_masks(self) -> Mask:
        """Return which actions each state permits, int8 of shape (S, A): what `value_of` asks an agent to respect."""
        return self.world.model.is_allowed.astype(np.int8)

    def observe(self, state: int) -> Observations:
        """Return what a state looks like, shape (K,)."""
        return self.world.observations[state].copy()

    def state_of(self, observation: Observations) -> int:
        """Return the state that looks like an observation of shape (K,)."""
        return int(self.world.states_of(np.asarray(observation)[None])[0])

    def policy_of(self, act: Act) -> Policy:
        """Return what an agent does in each state: actions (S,), or probabilities (S, A) where `act` gives those.

        Where the environment counts a barred action as no_send, so does the policy.

        Args:
            act: maps observations (S, K) to actions (S,) or to probabilities (S, A).
        """
        policy = np.asarray(act(self.world.observations.copy()))
        model = self.world.model
        if self._ineligible == "no_send":
            if policy.shape == (model.n_states,) and np.issubdtype(policy.dtype, np.integer):
                is_known = (policy >= 0) & (policy < model.n_actions)
                is_allowed = model.is_allowed[np.arange(model.n_states), np.where(is_known, policy, 0)]
                return np.where(is_allowed, policy, 0)
            if policy.shape == (model.n_states, model.n_actions):
                probs = np.where(model.is_allowed, policy, 0.0)
                probs[:, 0] += np.where(model.is_allowed, 0.0, policy).sum(axis=1)
                return probs
        return policy

    def exact_value(self, act: Act) -> float:
        """Return the exact value of an agent's policy from the start; `act` as in `policy_of`."""
        return start_value(self.world.model, self.policy_of(act))

    def optimal_value(self) -> float:
        """Return the value of an optimal policy from the start."""
        return float(self.world.model.start @ self.world.solution.values)

    def baselines(self) -> Mapping[str, float]:
        """Return the values of simple rules from the start, by name."""
        return self.world.baselines()


def check_options(world: World, max_steps: int | None, reward: str, ineligible: str) -> None:
    """Refuse options that an environment does not know.

    Raises:
        ValueError: says which option, what was expected and got.
    """
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"{world.name}: max_steps: expected None or at least 1, got {max_steps}")
    for name, value, known in (("reward", reward, get_args(Reward)), ("ineligible", ineligible, get_args(Ineligible))):
        if value not in known:
            near = did_you_mean(str(value), known)
            raise ValueError(f"{world.name}: {name}: expected one of {', '.join(known)}, got {value!r}.{near}")


def chosen_start(world: World, options: Mapping[str, Any] | None) -> int | None:
    """Return the state that `reset(options=...)` asks for, None if it asks for none.

    Raises:
        ValueError: an option is unknown, or the state is none or final.
    """
    options = options or {}
    for name in options:
        if name != "state":
            raise ValueError(
                f"{world.name}: reset: unknown option {name!r}; known: state.{did_you_mean(name, ['state'])}"
            )
    if "state" not in options:
        return None
    state = operator.index(options["state"])
    if not 0 <= state < world.model.n_states or world.model.is_final[state]:
        raise ValueError(
            f"{world.name}: reset: state: expected 0 to {world.model.n_states - 1} and not final, got {state}"
        )
    return state


def checked_action(world: World, action: object) -> int:
    """Return an action as an index.

    Raises:
        ValueError: it is none of the world's.
    """
    try:
        index = operator.index(action)  # type: ignore[arg-type]
    except TypeError:
        index = -1
    if not 0 <= index < len(world.actions):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(world.actions))
        raise ValueError(f"{world.name}: action: expected an integer of {names}; got {action!r}")
    return index


def ineligible_error(world: World, state: int, action: int, place: str = "") -> ValueError:
    """Return the error for an action that the mask bars; `place` says where in a vector."""
    allowed = ", ".join(f"{i} {world.actions[i]}" for i in np.flatnonzero(world.model.is_allowed[state]))
    return ValueError(
        f"{world.name}: action{place}: {action} {world.actions[action]} is not eligible in state {state}; "
        f"eligible: {allowed} (see info['action_mask'], or make the environment with ineligible='no_send')"
    )
