"""Oracle observation: the latent state beside what a sender sees, for upper bounds and for finding out why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compiled import on_threads, threads
from simulator.environments.lenses.latent import latent_features, reveal
from simulator.environments.lenses.layer import Layer, Observations, Rows, Shown, Site, Turn, widened
from simulator.environments.vector import NotifyVectorEnv
from simulator.population_run import USERS_WORTH_A_THREAD
from simulator.records import USER, Records


@dataclass(frozen=True)
class OracleObservation:
    """Show the latent state behind the observation: `simulator.environments.lenses.latent` says what it is.

    Levels are those of now, not of when they were last touched, and looking changes nothing: the same users live the
    same lives. No policy that reads these entries can be exported.
    """

    def on(self, site: Site) -> Layer:
        """Return the layer."""
        return _Layer(site, self)


class _Layer:
    kept = ()

    def __init__(self, site: Site, lens: OracleObservation) -> None:
        self._env = env = site.users_of(lens)
        segments = tuple(segment.name for segment in env.scenario.population.segments)
        features = latent_features(segments, env.n_slots)
        self.names = (*site.names, *(feature.name for feature in features))
        self._low = np.asarray([feature.low for feature in features])
        self._high = np.asarray([feature.high for feature in features])
        # An empty slot is all zeros.
        self.space = widened(site.space, np.minimum(self._low, 0.0), np.maximum(self._high, 0.0))
        self._n_segments = len(segments)
        self._n_workers = threads() if env.num_envs >= USERS_WORTH_A_THREAD else 1
        self._copies = np.zeros(self._n_workers, USER)

    def begin(self, shown: Shown, fresh: Rows) -> None:
        del fresh
        shown.observations = self._seen(shown)

    def step(self, turn: Turn) -> None:
        env = self._env
        if turn.final_observations is not None and isinstance(env, NotifyVectorEnv):
            rows = turn.reseated
            final = np.zeros((len(rows), len(self.names)), np.float32)
            latent = self._latent(env.final_users[rows], env.final_candidates[rows])
            final[rows] = np.concatenate([turn.final_observations[rows], latent], axis=1)
            turn.final_observations = final
        turn.observations = self._seen(turn)

    def _seen(self, shown: Shown) -> Observations:
        latent = self._latent(self._env.seats.users, shown.infos["candidates"])
        seen: Observations = np.concatenate([shown.observations, latent], axis=1)
        return seen

    def _latent(self, users: Records, slots: npt.NDArray[Any]) -> Observations:
        bounds = np.linspace(0, len(users), self._n_workers + 1).astype(np.int64)
        out = np.empty((len(users), len(self._low)), np.float32)
        with on_threads(self._n_workers):
            reveal(users, slots, self._env.world, self._n_segments, self._low, self._high, self._copies, out, bounds)
        return out
