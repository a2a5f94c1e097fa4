"""Watch an evaluation: what happened by day, local hour and segment, and how tired users were when messages went out.

watcher = Watcher()
evaluation = evaluate(agent, "ecommerce", n_users=4096, seed=1, watcher=watcher)
watched = watcher.watched
watched.by_day_of(Metric.SENDS).sum() == evaluation.sends.sum()

`watched_tables` turns it into the rows that a run's folder keeps. Watching changes nothing of what happens: counts are
read off the engine's own books at the end, and hidden fatigue off the users at the moment of each send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from simulator.environments.vector import MODES, NotifyVectorEnv
from simulator.measures import CENSUS
from simulator.records import N_METRICS, Ints, Metric

HOURS_A_DAY = 24
NIGHT_HOURS = (22, 8)  # local, from and to: what a label calls night, whatever the scenario's own night is
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Watched:
    """What was seen of an agent's run over users.

    What a user did before its first decision stands on the day of that decision; of users who left before one, nothing
    is counted, as in the `Evaluation`.

    Attributes:
        segments: names, S of them.
        segment: each user's, shape (U,); users in the order of the `Evaluation`.
        by_day: by UTC day, segment and `Metric`, shape (D, S, M); money in nano-euro; fatigue in millionths, summed
            over the users present at that day's midnight.
        by_hour: by local hour of the day and `Metric`, shape (24, M).
        send_segment, send_local_hour: of each send, shape (N,).
        send_fatigue: the receiver's hidden fatigue just before each send, in push-equivalents, shape (N,).
    """

    segments: tuple[str, ...]
    segment: Ints
    by_day: Ints
    by_hour: Ints
    send_segment: Bytes
    send_local_hour: Bytes
    send_fatigue: npt.NDArray[np.float32]

    @property
    def is_night_send(self) -> npt.NDArray[np.bool_]:
        """Whether each send went out from 22:00 to 8:00 of the user's local time, shape (N,)."""
        begins, ends = NIGHT_HOURS
        late: npt.NDArray[np.bool_] = (self.send_local_hour >= begins) | (self.send_local_hour < ends)
        return late

    def by_day_of(self, *metrics: Metric) -> Ints:
        """Return the sum of some metrics by day and segment, shape (D, S)."""
        summed: Ints = self.by_day[:, :, list(metrics)].sum(axis=2)
        return summed

    def by_hour_of(self, *metrics: Metric) -> Ints:
        """Return the sum of some metrics by local hour of the day, shape (24,)."""
        summed: Ints = self.by_hour[:, list(metrics)].sum(axis=1)
        return summed

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return chunks of users as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].segments,
            np.concatenate([part.segment for part in parts]),
            np.sum([part.by_day for part in parts], axis=0),
            np.sum([part.by_hour for part in parts], axis=0),
            np.concatenate([part.send_segment for part in parts]),
            np.concatenate([part.send_local_hour for part in parts]),
            np.concatenate([part.send_fatigue for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class _Wishes:
    """What an agent asked for in one step, of the seats at which it asked for a message."""

    rows: Ints
    segments: Bytes
    local_hours: Bytes
    fatigue: npt.NDArray[np.float32]
    sends_before: Ints


class Watcher:
    """Sees one evaluation; give it to `evaluate` as `watcher`, once, then read `watched`."""

    def __init__(self) -> None:
        self._parts: list[Watched] = []
        self._sent: list[_Wishes] = []
        self._before: tuple[Ints, Ints] | None = None

    @property
    def watched(self) -> Watched:
        """What was seen.

        Raises:
            ValueError: nothing yet.
        """
        if not self._parts:
            raise ValueError("watched: expected an evaluation with this watcher first, got none")
        return Watched.joined(self._parts)

    def sat_down(self, env: NotifyVectorEnv) -> None:
        """Note what the books hold before the first decision."""
        by_day, by_hour = _totals(env)
        users, counted = env.seats.users, _counted(env)
        # The books also hold users who left before any decision, in whose place others sat down: take all of it out,
        # and put back what belongs to those who sit here.
        days, segments = (users["now_hours"] // HOURS_A_DAY).astype(np.int64), users["segment"].astype(np.int64)
        hours = env.world.local_hours[users["zone"], users["now_hours"].astype(np.int64)] % HOURS_A_DAY
        by_day, by_hour = -by_day, -by_hour
        np.add.at(by_day, (days, segments), counted)
        counted[:, CENSUS] = 0  # which has no hour
        np.add.at(by_hour, hours, counted)
        self._before, self._sent = (by_day, by_hour), []

    def wished(self, env: NotifyVectorEnv, actions: Ints) -> _Wishes | None:
        """Note who is about to be sent something, and how tired they are; None where nobody is."""
        rows = np.flatnonzero(actions)
        if not len(rows):
            return None
        users = env.seats.users
        zones = users["zone"][rows]
        hours = users["now_hours"][rows].astype(np.int64)
        if env.settings[0]["mode"] == MODES["daily"]:  # the action says at which local hour of the coming 24
            wanted = (actions[rows] - 1) // (2 * env.n_slots)
            hours += (wanted - env.world.local_hours[zones, hours]) % HOURS_A_DAY
            hours = np.minimum(hours, env.world.local_hours.shape[1] - 1)
        quiet_hours = np.maximum(hours - users["levels_hours"][rows], 0.0)
        fatigue = users["fatigue"][rows] * np.exp(-quiet_hours / env.world.law["fatigue_hours"][0])
        return _Wishes(
            rows,
            users["segment"][rows],
            (env.world.local_hours[zones, hours] % HOURS_A_DAY).astype(np.uint8),
            fatigue.astype(np.float32),
            env.seats.tally["counts"][rows, Metric.SENDS],
        )

    def stepped(self, env: NotifyVectorEnv, wishes: _Wishes | None) -> None:
        """Keep of the wishes those that were carried out."""
        if wishes is not None:
            gone = env.seats.tally["counts"][wishes.rows, Metric.SENDS] > wishes.sends_before
            self._sent.append(wishes if gone.all() else _only(wishes, gone))

    def ended(self, env: NotifyVectorEnv) -> None:
        """Read the books of a chunk of users whose episodes are over."""
        assert self._before is not None, "ended: expected sat_down before"
        by_day, by_hour = _totals(env)
        self._parts.append(
            Watched(
                tuple(segment.name for segment in env.scenario.population.segments),
                env.seats.users["segment"].astype(np.int64),
                by_day + self._before[0],
                by_hour + self._before[1],
                _column([each.segments for each in self._sent], np.uint8),
                _column([each.local_hours for each in self._sent], np.uint8),
                _column([each.fatigue for each in self._sent], np.float32),
            )
        )
        self._before, self._sent = None, []


def _totals(env: NotifyVectorEnv) -> tuple[Ints, Ints]:
    """Return the books summed over workers: by day (D, S, M), by local hour of the day (24, M)."""
    by_week_hour = env.books.by_hour.sum(axis=0)
    return env.books.by_day.sum(axis=0), by_week_hour.reshape(-1, HOURS_A_DAY, N_METRICS).sum(axis=0)


def _counted(env: NotifyVectorEnv) -> Ints:
    """Return what the users at the seats have had so far, by `Metric`, shape (U, M)."""
    tally = env.seats.tally
    counted = np.zeros((env.num_envs, N_METRICS), np.int64)
    counted[:, : Metric.SESSION_VALUE] = tally["counts"]
    counted[:, Metric.SESSION_VALUE : Metric.COMPLAINT_COST + 1] = tally["money"]
    return counted


def _only(wishes: _Wishes, chosen: npt.NDArray[np.bool_]) -> _Wishes:
    return _Wishes(
        wishes.rows[chosen],
        wishes.segments[chosen],
        wishes.local_hours[chosen],
        wishes.fatigue[chosen],
        wishes.sends_before[chosen],
    )


def _column(parts: list[Any], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)
