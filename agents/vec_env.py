"""Stable-Baselines3's `VecEnv` over a Gymnasium `VectorEnv`: all environments in one call, masks included."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.action_masks import Mask, MaskRows
from agents.training_extra import missing

try:
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.wrappers.vector import TransformReward
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:
    raise missing(error) from error

Indices = int | Iterable[int] | None
MASKS = "action_masks"


@dataclass
class LastStep:
    """What the last step was, for rollout buffers that discount by elapsed time: SB3 does not hand it to them.

    It refers to no environment, so a saved model that holds it stays small.

    Attributes:
        n_steps: made since the VecEnv was built.
        rewards: as SB3 got them, before it adds the value of a truncated episode's end; float32, shape (E,).
        elapsed_hours: that the step took, >= 0; shape (E,); None where the environment does not tell.
        is_truncated: an episode ended by truncation and not by termination, shape (E,).
    """

    n_steps: int
    rewards: npt.NDArray[np.float32]
    elapsed_hours: npt.NDArray[np.float64] | None
    is_truncated: npt.NDArray[np.bool_]


class FleetVecEnv(VecEnv):
    """A Gymnasium `VectorEnv` as SB3 expects it.

    Observations are passed on uncopied. SB3 stores an observation only after it has made the next step, so an array
    must stay as it is until the step after that; a VectorEnv that returns one and the same array twice is refused.
    Beside SB3's interface it carries what the VectorEnv tells of all environments at once:

    Attributes:
        env: the VectorEnv, or what wraps it.
        last_step: for `agents.elapsed_time`.
        vector_infos: the infos of the last reset or step, as the VectorEnv gave them. The list of infos that SB3 gets
            is empty but for ended episodes: `terminal_observation`, `TimeLimit.truncated`, `episode`.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        _require_same_step(env)
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        n = self.num_envs
        self.last_step = LastStep(0, np.zeros(n, np.float32), None, np.zeros(n, np.bool_))
        self.vector_infos: dict[str, Any] = {}
        self._observations: npt.NDArray[Any] | None = None
        self._mask_rows: MaskRows | None = None
        self._actions: npt.NDArray[np.integer[Any]] = np.zeros(n, np.int64)
        self._nothing: dict[str, Any] = {}  # shared by all environments whose episode goes on
        self._no_infos = [self._nothing] * n
        self._episode_return = np.zeros(n)
        self._episode_length = np.zeros(n, np.int64)
        self._start_seconds = time.time()

    def reset(self) -> npt.NDArray[Any]:
        """Begin an episode in every environment, with what `seed` and `set_options` have set.

        Returns:
            Observations, shape (E, K).
        """
        options = self._options[0]
        if any(other != options for other in self._options):
            raise ValueError("FleetVecEnv.reset: a VectorEnv takes the same options for all environments, got several")
        # Gymnasium, too, gives environment i the seed plus i.
        observations, infos = self.env.reset(seed=self._seeds[0], options=options or None)
        self._reset_seeds()
        self._reset_options()
        self._observations = observations
        self._take_infos(infos)
        self._episode_return[:] = 0.0
        self._episode_length[:] = 0
        return self._observations

    def step_async(self, actions: npt.NDArray[np.integer[Any]]) -> None:
        """Take the actions of the next step: integers, shape (E,)."""
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"FleetVecEnv.step: expected actions that are integers of shape ({self.num_envs},), one an "
                f"environment; got {actions.dtype} of shape {actions.shape}"
            )
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Make the step.

        Returns:
            Observations, of a new episode where one ended, shape (E, K); rewards, float32, shape (E,); which episodes
            ended, shape (E,); E infos. All but the observations are the caller's own.

        Raises:
            ValueError: a reward is not finite; a mask allows nothing; an episode ended without its last observation.
            RuntimeError: never reset; observations were written over the previous ones; the infos of an episode that
                goes on were written to.
        """
        if self._observations is None:
            raise RuntimeError("FleetVecEnv.step: call reset first")
        observations, rewards, terminations, truncations, infos = self.env.step(self._actions)
        last = self.last_step
        last.n_steps += 1
        if np.shares_memory(observations, self._observations):
            raise RuntimeError(
                f"FleetVecEnv.step: {self.env} returned two successive observations in the same memory; expected two "
                f"alternating arrays or a new one each step, since SB3 stores an observation after the next step"
            )
        self._observations = observations
        with np.errstate(over="ignore"):
            last.rewards = np.asarray(rewards).astype(np.float32)
        self._require_finite(last.rewards, rewards)
        self._take_infos(infos)
        dones = terminations | truncations
        last.is_truncated = truncations & ~terminations
        self._episode_return += rewards
        self._episode_length += 1
        ended = np.flatnonzero(dones)
        last.elapsed_hours = _elapsed_hours(infos, dones)
        return observations, last.rewards.copy(), dones, self._infos_of(ended, infos)

    def close(self) -> None:
        """Close the VectorEnv."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of the VectorEnv, once for each environment asked for.

        `action_masks` is there until a reset shows otherwise: sb3-contrib asks for it before it resets.

        Raises:
            AttributeError: it has none of that name; the message suggests the nearest.
        """
        if attr_name == MASKS:
            if self._observations is not None:
                self._masks()
            return [partial(self._mask_of, i) for i in self._get_indices(indices)]
        value = getattr(self.env, self._known(attr_name))
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute that the VectorEnv has; all environments share it, so no indices may be given."""
        self._require_all(f"set_attr({attr_name!r})", indices)
        setattr(self.env, self._known(attr_name), value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the VectorEnv once, and return its result once for each environment.

        `action_masks` is answered from the last infos: one mask an environment, shape (A,), True where the action is
        allowed; valid until the next step. Of other methods, no indices may be given.
        """
        if method_name == MASKS:
            rows = self._masks()
            return rows if indices is None else [self._mask_of(i) for i in self._get_indices(indices)]
        self._require_all(f"env_method({method_name!r})", indices)
        result = getattr(self.env, self._known(method_name))(*method_args, **method_kwargs)
        return [result] * self.num_envs

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Return whether the environments are wrapped: by no single-environment wrapper, but they do what Monitor does.

        The infos of an ended episode hold its statistics, in Monitor's form, which is what SB3 asks this for.
        """
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the next step depends on, as arrays: the environment's own state, and what is kept of it here.

        Raises:
            RuntimeError: never reset.
            AttributeError: the environment, or a wrapper that may remember something, has no `state`.
        """
        if self._observations is None:
            raise RuntimeError("FleetVecEnv.state: call reset first")
        state = {f"env.{name}": array for name, array in _keeper(self.env).state().items()}
        last = self.last_step
        state |= {
            "observations": self._observations.copy(),
            "n_steps": np.asarray(last.n_steps),
            "rewards": last.rewards.copy(),
            "is_truncated": last.is_truncated.copy(),
            "episode_return": self._episode_return.copy(),
            "episode_length": self._episode_length.copy(),
        }
        if last.elapsed_hours is not None:
            state["elapsed_hours"] = last.elapsed_hours.copy()
        if self._mask_rows is not None:
            state["action_mask"] = self._mask_rows.whole.copy()
        return state

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: it is of another environment.
        """
        own = {name: array for name, array in state.items() if not name.startswith("env.")}
        shape = (self.num_envs, *(self.observation_space.shape or ()))
        if "observations" not in own or own["observations"].shape != shape:
            got = own["observations"].shape if "observations" in own else "none"
            raise ValueError(
                f"FleetVecEnv.restore: expected observations of {shape}, got {got}: the state is of another environment"
            )
        inner = {name.removeprefix("env."): array for name, array in state.items() if name.startswith("env.")}
        _keeper(self.env).restore(inner)
        self._observations = own["observations"].copy()
        last = self.last_step
        last.n_steps, last.rewards = int(own["n_steps"]), own["rewards"].copy()
        last.is_truncated = own["is_truncated"].copy()
        last.elapsed_hours = own["elapsed_hours"].copy() if "elapsed_hours" in own else None
        self._episode_return[:], self._episode_length[:] = own["episode_return"], own["episode_length"]
        self._take_infos({"action_mask": own["action_mask"]} if "action_mask" in own else {})

    def _take_infos(self, infos: dict[str, Any]) -> None:
        self.vector_infos = infos
        if "action_mask" not in infos:
            self._mask_rows = None
            return
        if self._mask_rows is None:
            shape = (self.num_envs, int(self.action_space.n))  # type: ignore[attr-defined]
            self._mask_rows = MaskRows(np.empty(shape, np.bool_))
        masks = self._mask_rows.whole
        np.copyto(masks, infos["action_mask"], casting="unsafe")
        # The first action is not to send, which is nearly always allowed: a column is ten times as fast as all rows.
        if not masks[:, 0].all() and not masks.any(axis=1).all():
            raise ValueError(
                f"FleetVecEnv: expected an 'action_mask' that allows some action; that of environment "
                f"{np.argmin(masks.any(axis=1))} allows none"
            )

    def _masks(self) -> MaskRows:
        if self._mask_rows is None:
            when = "yet: call reset first" if self._observations is None else "in the infos of its last reset or step"
            raise AttributeError(f"{MASKS}: {self.env} gave no 'action_mask' {when}")
        return self._mask_rows

    def _mask_of(self, index: int) -> Mask:
        mask: Mask = self._masks().whole[index]
        return mask.copy()

    def _infos_of(self, ended: npt.NDArray[np.intp], infos: dict[str, Any]) -> list[dict[str, Any]]:
        if self._nothing:
            raise RuntimeError(
                f"FleetVecEnv.step: {sorted(self._nothing)} was written into the infos of an episode that goes on; "
                f"all such episodes share one empty dict: replace the dict, do not change it"
            )
        listed = self._no_infos.copy()
        if not len(ended):
            return listed
        if "final_obs" not in infos:
            raise ValueError(
                f"FleetVecEnv.step: {len(ended)} episodes ended, and {self.env} gave no 'final_obs' in its infos; "
                f"expected the last observation of each, as AutoresetMode.SAME_STEP has it"
            )
        final, seconds = infos["final_obs"], round(time.time() - self._start_seconds, 6)
        for i in ended.tolist():
            listed[i] = {
                "terminal_observation": np.array(final[i]),
                "TimeLimit.truncated": bool(self.last_step.is_truncated[i]),
                "episode": {
                    "r": round(float(self._episode_return[i]), 6),
                    "l": int(self._episode_length[i]),
                    "t": seconds,
                },
            }
        self._episode_return[ended] = 0.0
        self._episode_length[ended] = 0
        return listed

    def _require_finite(self, kept: npt.NDArray[np.float32], rewards: npt.NDArray[np.floating[Any]]) -> None:
        """Refuse rewards that are not finite, or are not once they are float32, as SB3 keeps them."""
        is_finite = np.isfinite(kept)
        if not is_finite.all():
            wrong = np.flatnonzero(~is_finite)
            raise ValueError(
                f"FleetVecEnv.step {self.last_step.n_steps}: expected finite rewards; {len(wrong)} of "
                f"{self.num_envs} are not, the first {rewards[wrong[0]]} of environment {wrong[0]}"
            )

    def _require_all(self, what: str, indices: Indices) -> None:
        if indices is not None and list(self._get_indices(indices)) != list(range(self.num_envs)):
            raise ValueError(f"FleetVecEnv.{what}: the environments share one state, so indices must be None")

    def _known(self, name: str) -> str:
        if not hasattr(self.env, name):
            near = difflib.get_close_matches(name, [known for known in dir(self.env) if known[0] != "_"], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"{self.env} has no attribute {name!r}.{hint}")
        return name


def _require_same_step(env: VectorEnv[Any, Any, Any]) -> None:
    if not isinstance(env, VectorEnv):
        raise TypeError(
            f"FleetVecEnv: expected a gymnasium.vector.VectorEnv, got {type(env).__name__}; "
            f"SB3 wraps a single gymnasium.Env itself"
        )
    mode = env.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(
            f"FleetVecEnv: expected metadata['autoreset_mode'] to be {AutoresetMode.SAME_STEP}, got {mode} from {env}: "
            f"SB3 expects the first observation of the next episode from the step that ends one"
        )
    space, actions = env.single_observation_space, env.single_action_space
    if not isinstance(space, gymnasium.spaces.Box) or not isinstance(actions, gymnasium.spaces.Discrete):
        raise TypeError(f"FleetVecEnv: expected Box observations and Discrete actions, got {space} and {actions}")


def _keeper(env: Any) -> Any:
    """Return the environment, or the outermost wrapper, that can save what it is; none that remembers is skipped."""
    while isinstance(env, TransformReward):
        env = env.env
    # Gymnasium's wrappers hand on what they do not have, so it is the class that must have it.
    if not hasattr(type(env), "state"):
        raise AttributeError(f"{env} has no `state`: a run over it cannot be saved")
    return env


def _elapsed_hours(infos: dict[str, Any], dones: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64] | None:
    """Return the hours of the step, shape (E,), or None where they are not told.

    Gymnasium's own vector environments put the infos of an episode's last step aside, into `final_info`.
    """
    hours, final = infos.get("elapsed_hours"), infos.get("final_info", {}).get("elapsed_hours")
    if final is not None and (hours is not None or dones.all()):
        hours = np.where(dones, final, 0.0 if hours is None else hours)
    return None if hours is None else np.asarray(hours, np.float64)
