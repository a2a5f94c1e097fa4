"""Lenses as Gymnasium wrappers: one for vector environments, one for single ones, for whatever lens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from simulator.environments.lenses.layer import Lens, Observations, Shown, Site, Turn
from simulator.snapshot import State, copied, put_back, require_names

Infos = dict[str, Any]


class LensVectorEnv(VectorWrapper[Any, Any, Any, Any, Any]):
    """A vector environment seen through a lens.

    What a step returns is not overwritten by the next. Infos are those of the environment and what the lens adds.

    Attributes:
        lens: the change, as data.
        layer: what it is here, with its state.
        observation_names: of an observation's entries, shape (K,).

    Raises:
        ValueError: the environment neither resets in the same step nor leaves resetting to the caller.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], lens: Lens) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
            raise ValueError(f"{type(lens).__name__}: expected autoreset mode SAME_STEP or DISABLED, got {mode}")
        self.lens = lens
        space, names = _observed(env, env.single_observation_space, lens)
        actions = _n_actions(env.single_action_space, lens)
        self.layer = lens.on(Site(env.unwrapped, env.num_envs, space, names, actions, _inner(env)))
        self.single_observation_space = self.layer.space
        self.observation_space = batch_space(self.layer.space, env.num_envs)
        self.observation_names = self.layer.names

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Reset as the environment does, and look through the lens."""
        observations, infos = self.env.reset(seed=seed, options=options)
        fresh = np.ones(self.num_envs, np.bool_)
        if options and "reset_mask" in options:
            fresh = np.asarray(options["reset_mask"], np.bool_)
        shown = Shown(observations, infos)
        self.layer.begin(shown, fresh)
        return shown.observations, infos | shown.extras

    def step(
        self, actions: Any
    ) -> tuple[Observations, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], Infos]:
        """Step as the environment does, and look through the lens."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        nobody = np.zeros(self.num_envs, np.bool_)
        turn = Turn(
            observations,
            infos,
            actions=np.asarray(actions),
            rewards=rewards,
            final_observations=infos.get("final_obs"),
            terminated=terminated,
            reseated=infos.get("_final_obs", nobody),
        )
        self.layer.step(turn)
        infos = infos | turn.extras
        if turn.final_observations is not None:
            infos["final_obs"] = turn.final_observations
        return turn.observations, turn.rewards, terminated, truncated, infos

    def state(self) -> State:
        """Return what the environment and the lens are between two steps; see `simulator.environments.snapshot`.

        Raises:
            TypeError: the layer does not tell what it keeps.
        """
        inner = {f"env.{name}": array for name, array in self.env.state().items()}  # type: ignore[attr-defined]
        return inner | {f"layer.{name}": np.array(getattr(self.layer, name)) for name in self._kept()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: it is of another environment, or of other lenses.
            TypeError: the layer does not tell what it keeps.
        """
        mine = {f"layer.{name}": np.asarray(getattr(self.layer, name)) for name in self._kept()}
        require_names({*mine, *(name for name in state if name.startswith("env."))}, state)
        put_back(copied(mine), {name: state[name] for name in mine})  # to check them all before anything changes
        inner = {name.removeprefix("env."): array for name, array in state.items() if name.startswith("env.")}
        self.env.restore(inner)  # type: ignore[attr-defined]
        for name in self._kept():
            array = state[f"layer.{name}"]
            setattr(self.layer, name, array.copy() if array.ndim else array.item())

    def _kept(self) -> tuple[str, ...]:
        kept: tuple[str, ...] | None = getattr(self.layer, "kept", None)
        if kept is None:
            raise TypeError(f"{type(self.lens).__name__}: expected a layer that names what it keeps (`kept`), got none")
        return kept

    def action_masks(self) -> npt.NDArray[Any]:
        """Return the masks of the last observations, shape (U, A)."""
        masks: npt.NDArray[Any] = self.unwrapped.action_masks()  # type: ignore[attr-defined]
        return masks


class LensEnv(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """A single environment seen through a lens: a vector of one.

    Attributes:
        lens: the change, as data.
        layer: what it is here, with its state.
        observation_names: of an observation's entries, shape (K,).
    """

    def __init__(self, env: gymnasium.Env[Any, Any], lens: Lens) -> None:
        RecordConstructorArgs.__init__(self, lens=lens)
        gymnasium.Wrapper.__init__(self, env)
        self.lens = lens
        space, names = _observed(env, env.observation_space, lens)
        base = getattr(env.unwrapped, "vector", env.unwrapped)
        self.layer = lens.on(Site(base, 1, space, names, _n_actions(env.action_space, lens), _inner(env)))
        self.observation_space = self.layer.space
        self.observation_names = self.layer.names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], Infos]:
        """Reset as the environment does, and look through the lens."""
        observation, info = self.env.reset(seed=seed, options=options)
        shown = Shown(observation[None], _lifted(info))
        self.layer.begin(shown, np.ones(1, np.bool_))
        return shown.observations[0].copy(), info | _lowered(shown.extras)

    def step(self, action: Any) -> tuple[npt.NDArray[np.float32], float, bool, bool, Infos]:
        """Step as the environment does, and look through the lens."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        turn = Turn(
            observation[None],
            _lifted(info),
            actions=np.asarray(action).reshape(1),
            rewards=np.asarray([reward], np.float64),
            final_observations=None,
            terminated=np.asarray([terminated], np.bool_),
            reseated=np.zeros(1, np.bool_),
        )
        self.layer.step(turn)
        return turn.observations[0].copy(), float(turn.rewards[0]), terminated, truncated, info | _lowered(turn.extras)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions may be taken now, shape (A,); the name that MaskablePPO asks for."""
        masks: npt.NDArray[np.bool_] = self.env.get_wrapper_attr("action_masks")()
        return masks


@overload
def wrap(env: VectorEnv[Any, Any, Any], *lenses: Lens) -> LensVectorEnv: ...
@overload
def wrap(env: gymnasium.Env[Any, Any], *lenses: Lens) -> LensEnv: ...
def wrap(env: Any, *lenses: Lens) -> Any:
    """Return an environment, single or vector, seen through some lenses; the first is nearest to the environment.

    Raises:
        TypeError: no lens, no Gymnasium environment, or one that a lens cannot look at.
    """
    if not lenses:
        raise TypeError("wrap: expected lenses, got none")
    for lens in lenses:
        if isinstance(lens, type) or not hasattr(lens, "on"):
            got = f"the class {lens.__name__}; call it" if isinstance(lens, type) else type(lens).__name__
            raise TypeError(f"wrap: expected lenses, got {got}")
        if isinstance(env, VectorEnv):
            env = LensVectorEnv(env, lens)
        elif isinstance(env, gymnasium.Env):
            env = LensEnv(env, lens)
        else:
            raise TypeError(f"wrap: expected a gymnasium.Env or a VectorEnv, got {type(env).__name__}")
    return env


def _observed(env: Any, space: gymnasium.Space[Any], lens: Lens) -> tuple[gymnasium.spaces.Box, tuple[str, ...]]:
    """Return the space of one observation and the names of its entries, from the nearest wrapper that tells them."""
    who = type(lens).__name__
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or space.dtype != np.float32:
        raise TypeError(f"{who}: expected flat Box observations of float32, got {space}")
    at = env
    while not hasattr(at, "observation_names"):
        if not hasattr(at, "env"):
            raise TypeError(f"{who}: expected an environment with `observation_names`, got {env}")
        at = at.env
    names = tuple(at.observation_names)
    if len(names) != space.shape[0]:
        raise TypeError(
            f"{who}: expected {len(names)} entries an observation, as {at} names them, got {space.shape[0]}"
        )
    return space, names


def _n_actions(space: gymnasium.Space[Any], lens: Lens) -> int:
    if not isinstance(space, gymnasium.spaces.Discrete) or space.start != 0:
        raise TypeError(f"{type(lens).__name__}: expected Discrete actions from 0, got {space}")
    return int(space.n)


def _inner(env: Any) -> tuple[Lens, ...]:
    found: list[Lens] = []
    while hasattr(env, "env"):
        if isinstance(env, LensVectorEnv | LensEnv):
            found.append(env.lens)
        env = env.env
    return tuple(reversed(found))


def _lifted(info: Mapping[str, Any]) -> Infos:
    """Return the infos of a single environment with a leading axis of one."""
    return {k: np.asarray(v)[None] for k, v in info.items() if isinstance(v, np.ndarray | np.generic)}


def _lowered(extras: Mapping[str, npt.NDArray[Any]]) -> Infos:
    return {key: value[0].copy() for key, value in extras.items()}
