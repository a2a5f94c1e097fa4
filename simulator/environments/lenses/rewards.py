"""Reward parts: a reward put together from named parts, each at a weight of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from simulator.config import did_you_mean
from simulator.environments.lenses.layer import Layer, Rows, Shown, Site, Turn
from simulator.environments.lenses.shaping import Shaping
from simulator.environments.vector import REWARD_PARTS, SIGNALS
from simulator.records import NANO

PARTS = (*REWARD_PARTS, *SIGNALS)
MONEY = (*REWARD_PARTS, "expected_margin")  # in nano-euro; the others are counts

REALISED: Mapping[str, float] = MappingProxyType(dict.fromkeys(REWARD_PARTS, 1.0))
"""The environments' own reward."""

EXPECTED_CONVERSION: Mapping[str, float] = MappingProxyType(
    {"session_value": 1.0, "expected_margin": 1.0, "send_cost": 1.0, "complaint_cost": 1.0}
)
"""Orders at their expectation given the session, p (1 - N) (margin - discount), whether they happen or not.

The mean is that of the realised reward under any policy, because a session's order is drawn by luck of its own after
the session is there; the variance is smaller by that of the draw.
"""

CLICKS: Mapping[str, float] = MappingProxyType({"clicks": 1.0})
"""A trap: clicks can be bought with the user's patience, and what it cost comes later and is not in it."""

OPENS: Mapping[str, float] = MappingProxyType({"opens": 1.0})
"""The same trap, one step earlier."""


@dataclass(frozen=True)
class RewardParts:
    """Pay the weighted sum of some parts instead of the environment's reward.

    Adds `reward_items` to the infos, (U, parts) EUR, in the order of the weights; they add up to the reward.

    Attributes:
        weights: by part: 1 pays euros as they are (costs are negative); of `opens` and `clicks`, EUR each.

    Raises:
        ValueError: an unknown part, none at all, or a weight that is not finite.
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        """Check the weights, and keep a copy, which unlike a read-only view can itself be copied."""
        object.__setattr__(self, "weights", dict(self.weights))
        if not self.weights:
            raise ValueError(f"RewardParts: expected at least one of {', '.join(PARTS)}, got none")
        for name, weight in self.weights.items():
            if name not in PARTS:
                raise ValueError(
                    f"RewardParts: no part {name!r}; known: {', '.join(PARTS)}.{did_you_mean(str(name), PARTS)}"
                )
            if isinstance(weight, bool) or not np.isfinite(weight):
                raise ValueError(f"RewardParts: weight of {name!r}: expected a finite number, got {weight!r}")

    def on(self, site: Site) -> Layer:
        """Return the layer.

        Raises:
            ValueError: a shaping within would be thrown away; or the environment discounts within its steps, which the
                parts do not.
        """
        if any(isinstance(lens, Shaping) for lens in site.inner):
            raise ValueError("RewardParts: put it on before Shaping: it pays parts of the environment's reward only")
        settings = site.users_of(self).settings[0]
        if settings["by_event"] and settings["keep_per_epoch"] != 1.0:
            raise ValueError(
                "RewardParts: expected discount_per_hour=1 with trigger='event', got an environment that discounts "
                "its reward within a step; its parts are sums"
            )
        return _Layer(site, self)


class _Layer:
    kept = ()

    def __init__(self, site: Site, lens: RewardParts) -> None:
        self.space, self.names = site.space, site.names
        self._unit_nano = {n: w if n in MONEY else w * NANO for n, w in lens.weights.items()}

    def begin(self, shown: Shown, fresh: Rows) -> None:
        del shown, fresh

    def step(self, turn: Turn) -> None:
        total = np.zeros(len(turn.rewards))
        items = np.empty((len(turn.rewards), len(self._unit_nano)))
        for k, (name, unit_nano) in enumerate(self._unit_nano.items()):
            amounts = (
                turn.infos["reward_parts"][:, REWARD_PARTS.index(name)] if name in REWARD_PARTS else turn.infos[name]
            )
            items[:, k] = unit_nano * amounts
            total += items[:, k]
        # Whole nano-euros are added exactly, so at weights of 1 this is the environment's reward to the last bit.
        turn.rewards = total / NANO
        turn.extras["reward_items"] = items / NANO
