"""Where an agent stands in an exact world: its exact value beside the optimum and the best simple rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy.typing as npt

Act = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


@runtime_checkable
class ExactEnv(Protocol):
    """An environment that knows the value of a policy without playing it."""

    def exact_value(self, act: Act) -> float:
        """Return the exact value from the start of the policy that `act` follows."""

    def optimal_value(self) -> float:
        """Return the value of an optimal policy from the start."""

    def baselines(self) -> Mapping[str, float]:
        """Return the values of simple rules from the start, by name."""


@dataclass(frozen=True)
class Standing:
    """An agent's value from the start, beside what there is to win.

    Attributes:
        value: of the agent.
        simple: of the best simple rule.
        optimum: of an optimal policy.
    """

    value: float
    simple: float
    optimum: float

    @property
    def share_of_optimum(self) -> float:
        """1 for an optimal agent; NaN where the optimum is not above 0, and a share says nothing."""
        return self.value / self.optimum if self.optimum > 0.0 else math.nan

    @property
    def gap_closed(self) -> float:
        """Share of the way from the best simple rule to the optimum: 0 for the rule, 1 for an optimal agent.

        NaN where the rule is as good as the optimum, to the accuracy of the latter: then there is no way to go.
        """
        way = self.optimum - self.simple
        return (self.value - self.simple) / way if way > 1e-9 * max(1.0, abs(self.optimum)) else math.nan


def value_of(env: gymnasium.Env[Any, Any], act: Act) -> float:
    """Return the exact value from the start of the policy that an agent follows, without playing it.

    Args:
        env: an exact world, wrapped or not.
        act: maps observations (S, K), float32, to actions (S,), or to their probabilities (S, A). It must respect the
            masks; those of a finite world are `env.unwrapped.all_action_masks()`, shape (S, A), in the same order.
            World C has no table: there `act` is asked one send after the other, with S = 1, for actions only.

    Raises:
        TypeError: the environment is not exact.
        ValueError: actions are not of the kind or shape that is expected, or barred by the mask.
    """
    return _exact(env).exact_value(act)


def standing(env: gymnasium.Env[Any, Any], act: Act) -> Standing:
    """Return where an agent stands; arguments and errors as in `value_of`."""
    exact = _exact(env)
    return Standing(exact.exact_value(act), max(exact.baselines().values()), exact.optimal_value())


def _exact(env: gymnasium.Env[Any, Any]) -> ExactEnv:
    exact: object = env.unwrapped
    if not isinstance(exact, ExactEnv):
        raise TypeError(f"env: expected an exact world (kairos/ExactA-v0 to kairos/ExactD-v0), got {env}")
    return exact
