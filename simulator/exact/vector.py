"""A finite world as a Gymnasium vector environment: all sub-environments in one step of NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simulator.exact.environment import Ineligible, Reward, check_options, chosen_start, ineligible_error
from simulator.exact.finite import FiniteModel, Floats, Ints
from simulator.exact.sampling import N_START_UNIFORMS, Sampler
from simulator.exact.world import Observations, World
from simulator.snapshot import ABOUT, State, as_array, copied, from_array, put_back, require_names, require_same

BLOCK = 256  # uniforms that a sub-environment draws at once


class Luck:
    """Each sub-environment's own generator, drawn from in blocks.

    A block of uniforms holds the same numbers as as many single draws, so a sub-environment has the luck that the
    single environment with its seed has, at the price of one Python call a block.

    Args:
        seeds: of the sub-environments; None for luck that nobody chose.

    Attributes:
        block: uniforms drawn ahead, shape (n, BLOCK).
        used: how many of them have been taken, shape (n,).
    """

    def __init__(self, seeds: Sequence[int | None]) -> None:
        pairs = [seeding.np_random(seed) for seed in seeds]
        self.generators = tuple(generator for generator, _ in pairs)
        self.seeds = tuple(seed for _, seed in pairs)
        self.block = np.stack([generator.random(BLOCK) for generator in self.generators])
        self.used = np.zeros(len(pairs), np.int64)

    def take(self, rows: Ints, n_uniforms: int) -> Floats:
        """Return the next uniforms of some sub-environments, shape (n, n_uniforms)."""
        for row in rows[self.used[rows] + n_uniforms > BLOCK]:
            left = self.block[row, self.used[row] :].copy()
            self.block[row, : len(left)] = left
            self.block[row, len(left) :] = self.generators[row].random(BLOCK - len(left))
            self.used[row] = 0
        places = self.used[rows, None] + np.arange(n_uniforms)
        self.used[rows] += n_uniforms
        return self.block[rows[:, None], places]

    def generator_states(self) -> npt.NDArray[np.uint64]:
        """Return each PCG64's state and increment, in halves, and its kept half of a draw, shape (n, 6)."""
        rows = []
        for generator in self.generators:
            held: Any = generator.bit_generator.state
            numbers = [held["state"]["state"], held["state"]["inc"]]
            halves = [half for number in numbers for half in (number >> 64, number & (2**64 - 1))]
            rows.append([*halves, held["has_uint32"], held["uinteger"]])
        return np.asarray(rows, np.uint64)

    def restore(self, seeds: tuple[int, ...], generator_states: npt.NDArray[np.uint64]) -> None:
        """Take up seeds and the states that `generator_states` returned; blocks are restored in place by the caller."""
        self.seeds = seeds
        for generator, row in zip(self.generators, generator_states.tolist(), strict=True):
            state = {"state": row[0] << 64 | row[1], "inc": row[2] << 64 | row[3]}
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": state,
                "has_uint32": row[4],
                "uinteger": row[5],
            }


class FiniteVectorEnv(VectorEnv[Observations, npt.NDArray[np.integer], npt.NDArray[Any]]):
    """`num_envs` copies of a finite world; sub-environment i under seed s lives as the single one under seed s + i.

    An episode's end starts the next one in the same step (AutoresetMode.SAME_STEP): the observation is already the
    new episode's first, `infos["final_obs"]` holds the old one's last, `infos["final_info"]` what was known of it.
    `infos["action_mask"]` is of the observations returned, int8 of shape (n, A); `infos["elapsed_hours"]` and
    `infos["is_ineligible"]` are of the step just made, also where it ended an episode, shape (n,).

    Args:
        num_envs: n, at least 1.
        world, max_steps, reward, ineligible: as in `FiniteEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 as the base

    def __init__(
        self,
        world: World,
        num_envs: int = 1,
        max_steps: int | None = None,
        reward: Reward = "expected",
        ineligible: Ineligible = "error",
    ) -> None:
        check_options(world, max_steps, reward, ineligible)
        if num_envs < 1:
            raise ValueError(f"{world.name}: num_envs: expected at least 1, got {num_envs}")
        self.world = world
        self.num_envs = num_envs
        self.single_observation_space = gymnasium.spaces.Box(world.low, world.high, dtype=np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(world.model.n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._sampler = Sampler(world.model, reward == "sampled")
        self._reward = reward
        self._masks = world.model.is_allowed.astype(np.int8)
        self._max_steps = max_steps
        self._ineligible = ineligible
        self._luck: Luck | None = None
        self._all = np.arange(num_envs)
        self._states: Ints | None = None
        self._n_steps = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start all episodes anew.

        Args:
            seed: s for seeds s, s + 1, ...; or one a sub-environment; None goes on with the luck at hand.
            options: as in `FiniteEnv`.

        Raises:
            ValueError: not one seed a sub-environment, or as in `FiniteEnv`.
        """
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + i for i in range(self.num_envs)]
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(
                f"{self.world.name}: seed: expected an integer or {self.num_envs} of them, got {len(seed)}"
            )
        if seed is not None or self._luck is None:
            self._luck = Luck([None] * self.num_envs if seed is None else seed)
        chosen = chosen_start(self.world, options)
        self._states = self._sampler.start(self._luck.take(self._all, N_START_UNIFORMS))
        if chosen is not None:
            self._states[:] = chosen
        self._n_steps[:] = 0
        return self.world.observations[self._states], _info(action_mask=self._masks[self._states])

    def step(
        self, actions: npt.NDArray[np.integer]
    ) -> tuple[Observations, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """Let all live for a step; episodes that end start anew.

        Raises:
            ValueError: actions have another shape or type, are none of the world's, or are barred by the mask.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        model, states, luck = self.world.model, self.states, self._luck
        assert luck is not None  # set together with the states
        actions = self._checked(actions)
        is_ineligible = ~model.is_allowed[states, actions]
        if is_ineligible.any():
            if self._ineligible == "error":
                row = int(is_ineligible.argmax())
                raise ineligible_error(self.world, int(states[row]), int(actions[row]), f"s[{row}]")
            actions = np.where(is_ineligible, 0, actions)
        states, rewards = self._sampler.step(states, actions, luck.take(self._all, self._sampler.n_step_uniforms))
        self._n_steps += 1
        terminations = model.is_final[states]
        truncations = np.zeros(self.num_envs, np.bool_)
        if self._max_steps is not None:
            truncations = ~terminations & (self._n_steps >= self._max_steps)
        of_step = {"elapsed_hours": np.full(self.num_envs, self.world.step_hours), "is_ineligible": is_ineligible}
        ended = np.flatnonzero(terminations | truncations)
        of_end: dict[str, Any] = {}
        if len(ended):
            of_end = self._final(states, ended, of_step)
            states[ended] = self._sampler.start(luck.take(ended, N_START_UNIFORMS))
            self._n_steps[ended] = 0
        self._states = states
        infos = {**_info(action_mask=self._masks[states], **of_step), **of_end}
        return self.world.observations[states], rewards, terminations, truncations, infos

    def state(self) -> State:
        """Return what the environment is between two steps, as arrays, with the luck to come."""
        assert self.states is not None  # raises ResetNeeded
        assert self._luck is not None
        about = {ABOUT: as_array(self._about()), "seeds": as_array([str(seed) for seed in self._luck.seeds])}
        return about | copied(self._places()) | {"generators": self._luck.generator_states()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: it is of another world or size; nothing has changed then.
        """
        require_same("state: about", self._about(), from_array(state[ABOUT]) if ABOUT in state else None)
        if self._luck is None:
            self.reset(seed=0)
        places = self._places()
        require_names({*places, ABOUT, "seeds", "generators"}, state)
        put_back(places, {name: state[name] for name in places})
        assert self._luck is not None
        self._luck.restore(tuple(int(seed) for seed in from_array(state["seeds"])), state["generators"])

    def _places(self) -> State:
        """Return the arrays that last from step to step, to write to."""
        assert self._luck is not None
        places = {"states": self.states, "n_steps": self._n_steps}
        return places | {"block": self._luck.block, "used": self._luck.used}

    def _about(self) -> dict[str, Any]:
        return {
            "world": self.world.name,
            "num_envs": self.num_envs,
            "max_steps": self._max_steps,
            "ineligible": self._ineligible,
            "reward": self._reward,
        }

    def _final(self, states: Ints, ended: Ints, of_step: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        """Return what infos tell of the episodes that ended, laid out as Gymnasium's SyncVectorEnv does."""
        has_ended = np.zeros(self.num_envs, np.bool_)
        has_ended[ended] = True
        observations = np.full(self.num_envs, None, dtype=object)
        for row in ended:
            observations[row] = self.world.observations[states[row]].copy()
        final: dict[str, Any] = {}
        for name, values in {"action_mask": self._masks[states], **of_step}.items():
            final[name] = np.zeros_like(values)
            final[name][ended] = values[ended]
            final[f"_{name}"] = has_ended.copy()
        return {
            "final_obs": observations,
            "_final_obs": has_ended,
            "final_info": final,
            "_final_info": has_ended.copy(),
        }

    def _checked(self, actions: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            got = f"{actions.dtype} of shape {actions.shape}"
            raise ValueError(f"{self.world.name}: actions: expected integers of shape ({self.num_envs},), got {got}")
        is_bad = (actions < 0) | (actions >= len(self.world.actions))
        if is_bad.any():
            row = int(is_bad.argmax())
            names = ", ".join(f"{i} {name}" for i, name in enumerate(self.world.actions))
            raise ValueError(f"{self.world.name}: actions[{row}]: expected one of {names}; got {actions[row]}")
        return actions

    @property
    def states(self) -> Ints:
        """Indices of the states, shape (n,)."""
        if self._states is None:
            raise gymnasium.error.ResetNeeded(f"{self.world.name}: no episode is under way; call reset() first")
        return self._states

    @property
    def model(self) -> FiniteModel:
        """The exact model."""
        return self.world.model

    @property
    def discount(self) -> float:
        """Per step."""
        return self.world.model.discount

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The sub-environments' seeds, as SyncVectorEnv tells them."""
        return () if self._luck is None else self._luck.seeds

    @property  # type: ignore[misc]  # the base's can be set; setting one here would part luck and generators
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The sub-environments' generators; they have drawn up to a block ahead."""
        return () if self._luck is None else self._luck.generators


def _info(**values: npt.NDArray[Any]) -> dict[str, Any]:
    """Return vector infos: each array beside the mask of the sub-environments that it tells of, here all."""
    return {
        key: entry
        for name, array in values.items()
        for key, entry in ((name, array), (f"_{name}", np.ones(len(array), np.bool_)))
    }
