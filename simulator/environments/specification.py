"""What an environment was made with, in a form that JSON can hold."""

from __future__ import annotations

import copy
from typing import Any

from gymnasium.envs.registration import EnvSpec

from simulator.config import Scenario


class PlainSpec:
    """The attribute `spec` of an environment, into which Gymnasium writes what it was made with.

    A `Scenario` among that is kept as its data, so that the specification goes through JSON and rebuilds the same
    environment; Minari writes it so beside its data sets.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._place = f"_{name}"

    def __get__(self, env: Any, owner: type) -> EnvSpec | None:
        return None if env is None else env.__dict__.get(self._place)

    def __set__(self, env: Any, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = copy.copy(spec)
            spec.kwargs = {
                name: given.model_dump(mode="json") if isinstance(given, Scenario) else given
                for name, given in spec.kwargs.items()
            }
        env.__dict__[self._place] = spec
