"""Potential-based shaping: what a step did to a user's future, paid at once, without moving the optimum.

    r + gamma ** dt * Phi(s') - Phi(s)

Summed with discount over an episode the added terms leave gamma ** T * Phi(s_T) - Phi(s_0), which no action changes
but by the last state. Phi is 0 where a user has left; where the horizon cuts an episode it is that of the true last
state, on which the learner bootstraps. An opt-out then costs what its channel is worth when it happens, where a learner
would else have to find out from money that does not come.

Source: Ng, Harada & Russell (ICML 1999); with elapsed time, as for semi-Markov processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.config import did_you_mean
from simulator.environments.lenses.layer import Layer, Rows, Shown, Site, Turn
from simulator.environments.lenses.potential import Potential
from simulator.environments.vector import NotifyVectorEnv

CHANNELS = ("push", "email")


@dataclass(frozen=True)
class Shaping:
    """Add gamma ** dt * Phi(s') - Phi(s) to the reward.

    Adds to the infos, each (U,) EUR: `shaping`, what was added; `potential`, Phi of the user that is there now.

    Attributes:
        discount_per_hour: gamma, the learner's own, in (0, 1].
        channel_eur_per_day: V_c, what a permitted channel earns a day beyond silence; of `push` and `email`, absent: 0.
        discount_rate_per_day: delta of the potential, > 0.

    Raises:
        ValueError: a number out of range, an unknown channel.
    """

    discount_per_hour: float
    channel_eur_per_day: Mapping[str, float] = field(default_factory=dict)
    discount_rate_per_day: float = 0.001

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0.0 < self.discount_per_hour <= 1.0:
            raise ValueError(
                f"Shaping: discount_per_hour: expected above 0 and at most 1, got {self.discount_per_hour}"
            )
        if not 0.0 < self.discount_rate_per_day < np.inf:
            raise ValueError(
                f"Shaping: discount_rate_per_day: expected a finite number above 0, got {self.discount_rate_per_day}"
            )
        for name, eur in self.channel_eur_per_day.items():
            if name not in CHANNELS:
                raise ValueError(
                    f"Shaping: channel_eur_per_day: expected 'push' or 'email', got {name!r}."
                    f"{did_you_mean(str(name), CHANNELS)}"
                )
            if not np.isfinite(eur):
                raise ValueError(f"Shaping: channel_eur_per_day of {name!r}: expected a finite number, got {eur!r}")

    def on(self, site: Site) -> Layer:
        """Return the layer."""
        return _Layer(site, self)


class _Layer:
    kept = ("_before",)

    def __init__(self, site: Site, lens: Shaping) -> None:
        self.space, self.names = site.space, site.names
        self._env = env = site.users_of(lens)
        push, email = (lens.channel_eur_per_day.get(name, 0.0) for name in CHANNELS)
        self._potential = Potential(env.world.law, (push, email), lens.discount_rate_per_day)
        self._discount_per_hour = lens.discount_per_hour
        self._before = np.zeros(site.n_seats)

    def begin(self, shown: Shown, fresh: Rows) -> None:
        del fresh
        self._before = self._potential.of(self._env.seats.users)
        shown.extras["potential"] = self._before.copy()

    def step(self, turn: Turn) -> None:
        now = self._potential.of(self._env.seats.users)
        after = now.copy()
        if isinstance(self._env, NotifyVectorEnv):  # the next user's potential is none of the step's
            after[turn.reseated] = self._potential.of(self._env.final_users[turn.reseated])
        shaping = self._discount_per_hour ** turn.infos["elapsed_hours"] * after - self._before
        turn.rewards = turn.rewards + shaping
        turn.extras["shaping"] = shaping
        turn.extras["potential"] = now
        self._before = now.copy()
