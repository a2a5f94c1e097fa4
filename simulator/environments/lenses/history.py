"""History: the last observations and actions beside the present one, for policies that cannot remember."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np

from simulator.environments.lenses.layer import Layer, Observations, Rows, Shown, Site, Turn, widened
from simulator.environments.vector import check_range

MOST_PAST = 1000


@dataclass(frozen=True)
class History:
    """Show earlier observations and the actions taken at them, behind the present observation.

    The present observation stays where it is; behind it, from the latest to the earliest, each earlier observation
    (`past1.tier`, ...) and which action was taken there, one entry an action (`past1.action0`, ...: 1 for the one
    asked for, whether or not it could be carried out). Before the episode's start all is 0.

    Attributes:
        n_past: earlier steps to show, 1 to 1000.

    Raises:
        ValueError: `n_past` out of range.
    """

    n_past: int

    def __post_init__(self) -> None:
        """Check the length."""
        check_range("History: n_past", self.n_past, 1, MOST_PAST)

    def on(self, site: Site) -> Layer:
        """Return the layer."""
        return _Layer(site, self.n_past)


class _Layer:
    kept = ("_last", "_past")

    def __init__(self, site: Site, n_past: int) -> None:
        n_actions, width = site.n_actions, len(site.names)
        self._width = width
        self._last = np.zeros((site.n_seats, width), np.float32)
        self._past = np.zeros((site.n_seats, n_past, width + n_actions), np.float32)
        self._rows = np.arange(site.n_seats)
        # Before the start everything is 0, which must lie within.
        low = np.concatenate([np.minimum(site.space.low, 0.0), np.zeros(n_actions)])
        high = np.concatenate([np.maximum(site.space.high, 0.0), np.ones(n_actions)])
        self.space: gymnasium.spaces.Box = widened(site.space, np.tile(low, n_past), np.tile(high, n_past))
        of_a_step = (*site.names, *(f"action{a}" for a in range(n_actions)))
        self.names = (*site.names, *(f"past{k}.{name}" for k in range(1, n_past + 1) for name in of_a_step))

    def begin(self, shown: Shown, fresh: Rows) -> None:
        self._past[fresh] = 0.0
        self._last[:] = shown.observations
        shown.observations = self._stacked(shown.observations)

    def step(self, turn: Turn) -> None:
        self._past[:, 1:] = self._past[:, :-1].copy()
        latest = self._past[:, 0]
        latest[:, : self._width] = self._last
        latest[:, self._width :] = 0.0
        latest[self._rows, self._width + turn.actions] = 1.0
        if turn.final_observations is not None:
            final = np.zeros((len(self._rows), len(self.names)), np.float32)
            final[turn.reseated] = self._stacked(turn.final_observations)[turn.reseated]
            turn.final_observations = final
        self._past[turn.reseated] = 0.0
        self._last[:] = turn.observations
        turn.observations = self._stacked(turn.observations)

    def _stacked(self, observations: Observations) -> Observations:
        stacked: Observations = np.concatenate([observations, self._past.reshape(len(observations), -1)], axis=1)
        return stacked
