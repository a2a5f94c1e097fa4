"""A sequential world so small that a log can hold all its episodes, each as often as its probability says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.offline.logs.logged import Bools, Floats, Ints
from experiments.offline.logs.trajectories import LoggedTrajectories

Row = tuple[int, int, int, float, int]  # state, step, action, reward, next state; GONE: terminated
GONE = -1


@dataclass(frozen=True)
class TinyMdp:
    """Two states, three actions, three steps; steps last unequally long, users may leave, and action 2 needs state 0.

    Logging probabilities are quarters; two rewards and two next states are equally likely. So a log of 2 * 16 ** 3
    episodes holds each as often as it is likely: a mean over it is an expectation, and what is consistent is exact.

    Attributes:
        quarters: logging probability of each action in each state, in quarters.
        target: the target policy's probability.
        rewards: two of each state and action.
        nexts: two of each state and action.
        hours: that an action takes.
        discount: per hour.
        horizon: steps.
    """

    quarters: tuple[tuple[int, ...], ...] = ((1, 1, 2), (1, 3, 0))
    target: tuple[tuple[float, ...], ...] = ((0.2, 0.5, 0.3), (0.75, 0.25, 0.0))
    rewards: tuple[tuple[tuple[float, float], ...], ...] = (
        ((0.0, 1.0), (2.0, 1.0), (-1.0, 0.5)),
        ((0.5, 0.5), (3.0, 0.0), (9.0, 9.0)),
    )
    nexts: tuple[tuple[tuple[int, int], ...], ...] = (((0, 1), (1, 1), (GONE, 0)), ((0, 0), (GONE, 1), (0, 0)))
    hours: tuple[float, ...] = (1.0, 2.0, 6.0)
    discount: float = 0.9
    horizon: int = 3

    @property
    def value(self) -> float:
        """Of the target policy over the horizon, from either state with equal probability."""
        return float(self.state_values[0].mean())

    @property
    def action_values(self) -> Floats:
        """Q of the target policy by step, state and action, shape (T, 2, 3)."""
        found, after = np.zeros((self.horizon, 2, 3)), np.zeros(2)
        for step in reversed(range(self.horizon)):
            for state, action in itertools.product(range(2), range(3)):
                earned = np.mean(self.rewards[state][action])
                ahead = np.mean([0.0 if to == GONE else after[to] for to in self.nexts[state][action]])
                found[step, state, action] = earned + self.discount ** self.hours[action] * ahead
            after = (np.asarray(self.target) * found[step]).sum(axis=1)
        return found

    @property
    def state_values(self) -> Floats:
        """V of the target policy by step and state, shape (T, 2)."""
        found: Floats = (self.action_values * np.asarray(self.target)).sum(axis=2)
        return found

    @property
    def lasting_values(self) -> Floats:
        """Q of the target policy if nothing ends but by leaving, shape (2, 3): by linear equations."""
        n = 6
        moves, earned = np.zeros((n, n)), np.zeros(n)
        for state, action in itertools.product(range(2), range(3)):
            earned[3 * state + action] = np.mean(self.rewards[state][action])
            for to in self.nexts[state][action]:
                if to != GONE:
                    share = 0.5 * self.discount ** self.hours[action] * np.asarray(self.target[to])
                    moves[3 * state + action, 3 * to : 3 * to + 3] += share
        found: Floats = np.linalg.solve(np.eye(n) - moves, earned).reshape(2, 3).astype(np.float64)
        return found

    def all_episodes(self) -> LoggedTrajectories:
        """Return the log that holds every episode as often as it is likely."""
        episodes = [episode for state in range(2) for episode in self._from(state, 0)]
        return self.log([rows for rows, count in episodes for _ in range(count)])

    def drawn(self, n_episodes: int, seed: int) -> LoggedTrajectories:
        """Return a log of episodes at random."""
        rng = np.random.default_rng(seed)
        drawn = []
        for _ in range(n_episodes):
            state, rows = int(rng.integers(2)), []
            for step in range(self.horizon):
                action = int(rng.choice(3, p=np.asarray(self.quarters[state]) / 4.0))
                to = self.nexts[state][action][rng.integers(2)]
                rows.append((state, step, action, self.rewards[state][action][rng.integers(2)], to))
                if to == GONE:
                    break
                state = to
            drawn.append(rows)
        return self.log(drawn)

    def log(self, episodes: list[list[Row]]) -> LoggedTrajectories:
        """Return episodes as a log; the features are state and step."""
        rows = [row for episode in episodes for row in episode]
        states, steps, actions = (np.asarray([row[k] for row in rows]) for k in range(3))
        nexts = np.asarray([row[4] for row in rows])
        lengths = np.asarray([len(episode) for episode in episodes])
        last = np.asarray([episode[-1][4] for episode in episodes])
        is_last = steps == np.repeat(lengths, lengths) - 1
        probabilities = np.asarray(self.quarters)[states] / 4.0
        return LoggedTrajectories(
            actions, np.asarray([row[3] for row in rows]), ("none", "push", "email"),
            np.column_stack([states, steps]), ("state", "step"), np.repeat(np.arange(len(lengths)), lengths), steps,
            is_terminated=nexts == GONE, is_truncated=is_last & (nexts != GONE), probabilities=probabilities,
            propensities=probabilities[np.arange(len(rows)), actions], eligible=_eligible(states),
            elapsed_hours=np.asarray(self.hours)[actions], discount_per_hour=self.discount,
            final_observations=np.column_stack([last, lengths]), final_eligible=_eligible(last),
        )  # fmt: skip

    def target_in(self, states: Ints) -> Floats:
        """Return the target policy's probabilities, shape (N, 3)."""
        return np.asarray(self.target)[states]

    def _from(self, state: int, step: int) -> Iterator[tuple[list[Row], int]]:
        """Yield the episodes that go on from a state, and in how many of 16 ** (steps left) they do."""
        left = 16 ** (self.horizon - step - 1)
        for action, reward, to in itertools.product(range(3), range(2), range(2)):
            count = self.quarters[state][action]
            row = (state, step, action, self.rewards[state][action][reward], self.nexts[state][action][to])
            if not count:
                continue
            if row[4] == GONE or step == self.horizon - 1:
                yield [row], count * left
            else:
                for rows, following in self._from(row[4], step + 1):
                    yield [row, *rows], count * following


def states_of(log: LoggedTrajectories) -> Ints:
    """Return each row's state, shape (N,)."""
    return log.observations[:, 0].astype(np.int64)


def _eligible(states: Ints) -> Bools:
    return np.column_stack([np.ones((len(states), 2), np.bool_), states == 0])
