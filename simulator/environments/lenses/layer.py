"""What a lens is: data that, put on an environment, becomes a layer, which changes what is shown of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt

from simulator.environments.population import PopulationVectorEnv
from simulator.environments.vector import NotifyVectorEnv

Observations = npt.NDArray[np.float32]  # (U, K)
Rows = npt.NDArray[np.bool_]  # (U,)


@dataclass(frozen=True)
class Site:
    """What a lens is put on; U sub-environments, one for a single environment.

    Attributes:
        base: the environment below all wrappers, in its vector form.
        n_seats: U.
        space: of one observation, Box of shape (K,).
        names: of its entries, shape (K,).
        n_actions: A.
        inner: the lenses that are on already, innermost first.
    """

    base: Any
    n_seats: int
    space: gymnasium.spaces.Box
    names: tuple[str, ...]
    n_actions: int
    inner: tuple[Lens, ...]

    def users_of(self, lens: Lens) -> NotifyVectorEnv | PopulationVectorEnv:
        """Return the environment in which users sit, for a lens that looks at them.

        Raises:
            TypeError: there are none.
        """
        if not isinstance(self.base, NotifyVectorEnv | PopulationVectorEnv):
            who = type(lens).__name__
            raise TypeError(
                f"{who}: expected an environment of users (kairos/Notify-v0, ...), got {type(self.base).__name__}"
            )
        return self.base


@dataclass
class Shown:
    """What an environment shows; a layer replaces what it changes, and writes into no array that it was given.

    Attributes:
        observations: shape (U, K).
        infos: of the environment, each with leading axis U; those with one value an environment only.
        extras: infos that the layer adds, each with leading axis U.
    """

    observations: Observations
    infos: Mapping[str, Any]
    extras: dict[str, npt.NDArray[Any]] = field(default_factory=dict, kw_only=True)


@dataclass
class Turn(Shown):
    """A step, and what came of it.

    Attributes:
        actions: integers of shape (U,).
        rewards: EUR, shape (U,).
        final_observations: the last ones of episodes that ended, shape (U, K); None: none did.
        terminated: where the user has left, shape (U,).
        reseated: where an episode ended and the next user sits already, shape (U,).
    """

    actions: npt.NDArray[np.integer[Any]]
    rewards: npt.NDArray[np.float64]
    final_observations: Observations | None
    terminated: Rows
    reseated: Rows


class Layer(Protocol):
    """A lens on its environment, with whatever it has to remember.

    To be saved with its environment it has an attribute `kept`: names of the attributes (arrays, numbers) that it
    remembers by from step to step, none for a layer that remembers nothing.

    Attributes:
        space: of one observation after the change, Box of shape (K',).
        names: of its entries, shape (K',).
    """

    space: gymnasium.spaces.Box
    names: tuple[str, ...]

    def begin(self, shown: Shown, fresh: Rows) -> None:
        """Change what a reset shows; `fresh` tells where an episode begins, shape (U,)."""
        ...

    def step(self, turn: Turn) -> None:
        """Change what a step shows and pays."""
        ...


class Lens(Protocol):
    """A change to an environment, as data."""

    def on(self, site: Site) -> Layer:
        """Return the layer that this lens is on an environment."""
        ...


def widened(space: gymnasium.spaces.Box, low: npt.ArrayLike, high: npt.ArrayLike) -> gymnasium.spaces.Box:
    """Return a space with entries added behind, float32."""
    return gymnasium.spaces.Box(
        np.concatenate([space.low, np.asarray(low, np.float32)]),
        np.concatenate([space.high, np.asarray(high, np.float32)]),
        dtype=np.float32,
    )
