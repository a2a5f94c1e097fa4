"""A pilot: decisions at random in an environment, and what followed each within windows; the models learn from it.

At every occasion something is sent with a known probability, each eligible candidate as likely, so that differences
between those who were sent something and those who were not are effects. What follows a decision includes what later
random decisions do: effects are those of one more message to users who are otherwise sent to as in the pilot.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Floats, Ints, Observations
from agents.problem import Problem, problem_of
from policies.vocabulary import USER_FEATURES

SINCE_SESSION = [feature.name for feature in USER_FEATURES].index("hours_since_session")
SLACK = 1e-5  # of a float32 logarithm


@dataclass(frozen=True, eq=False)
class Pilot:
    """Decisions that were drawn, where there was something to choose, and their outcomes within W windows.

    Silent decisions are far more than sends, so only a share of them is kept; `weights` makes up for it. Decisions
    whose longest window the horizon cuts are left out, so that all windows tell of the same ones; after a user leaves
    there are zeros.

    Attributes:
        problem: of the environment.
        windows_hours: lengths of the windows, rising; a decision's own hour is the first.
        observations, masks, actions: shapes (N, K), (N, A), (N,).
        propensities: probability of the action taken, shape (N,).
        weights: how many decisions a row stands for, shape (N,).
        rewards: sum within each window, as the environment pays them, shape (N, W).
        clicks: number within each window, on whichever message, shape (N, W).
        hours_to_visit: number of the hour within which the user came first, 1 for the decision's own; one more than the
            longest window where the user did not come, shape (N,).
    """

    problem: Problem
    windows_hours: tuple[int, ...]
    observations: Observations
    masks: Bools
    actions: Ints
    propensities: Floats
    weights: Floats
    rewards: Floats
    clicks: Floats
    hours_to_visit: Ints

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def is_send(self) -> Bools:
        """Where something was sent, shape (N,)."""
        return self.actions > 0

    def rewards_within(self, hours: int) -> Floats:
        """Return the sum of the rewards within one of the windows, shape (N,)."""
        return self.rewards[:, self._place(hours)]

    def clicks_within(self, hours: int) -> Floats:
        """Return the number of clicks within one of the windows, shape (N,)."""
        return self.clicks[:, self._place(hours)]

    def came_within(self, hours: int) -> Bools:
        """Return who came within any number of hours up to the longest window, shape (N,).

        Raises:
            ValueError: it is longer, so that later visits are not known.
        """
        if not 1 <= hours <= self.windows_hours[-1]:
            raise ValueError(
                f"pilot: window_hours: expected 1 to {self.windows_hours[-1]}, the longest window, got {hours}"
            )
        found: Bools = self.hours_to_visit <= hours
        return found

    def _place(self, hours: int) -> int:
        if hours not in self.windows_hours:
            known = ", ".join(map(str, self.windows_hours))
            raise ValueError(f"pilot: window_hours: expected one of {known}, got {hours}")
        return self.windows_hours.index(hours)


def pilot(
    env: Any,
    n_hours: int,
    *,
    send_prob: float,
    windows_hours: tuple[int, ...],
    rng: np.random.Generator,
    seed: int,
    silent_keep_prob: float | None = None,
) -> Pilot:
    """Return what a policy that draws at random led to.

    Args:
        env: a Gymnasium vector environment with the vocabulary's features, steps of an hour, autoreset SAME_STEP, and
            in its infos `action_mask`, `clicks` and `elapsed_hours`.
        n_hours: of the environment.
        send_prob: of sending, where there is something to send, in (0, 1).
        windows_hours: rising, at least one, each at least 1.
        rng: of the decisions, and of which silent ones are kept.
        seed: of the environment.
        silent_keep_prob: share of silent decisions that are kept, in (0, 1]; None: as many as there are sends.

    Raises:
        ValueError: an argument out of range; another environment; no window was complete.
    """
    problem = problem_of(env)
    if not problem.n_slots:
        raise ValueError("pilot: expected an environment with the vocabulary's features as they stand, got others")
    if not 0.0 < send_prob < 1.0:
        raise ValueError(f"pilot: send_prob: expected above 0 and below 1, got {send_prob}")
    if not windows_hours or any(
        a >= b for a, b in zip((0, *windows_hours), (*windows_hours, n_hours + 1), strict=True)
    ):
        raise ValueError(f"pilot: windows_hours: expected rising ones of 1 to n_hours = {n_hours}, got {windows_hours}")
    keep_prob = min(1.0, send_prob / (1.0 - send_prob)) if silent_keep_prob is None else silent_keep_prob
    if not 0.0 < keep_prob <= 1.0:
        raise ValueError(f"pilot: silent_keep_prob: expected above 0 and at most 1, got {silent_keep_prob}")
    observations, infos = env.reset(seed=seed)
    waiting: list[_Batch] = []
    complete: list[_Batch] = []
    for _ in range(n_hours):
        masks = np.asarray(infos["action_mask"]) != 0
        actions, propensities = random_actions(masks, send_prob, rng)
        waiting.append(_begun(observations, masks, actions, propensities, windows_hours, keep_prob, rng))
        observations, rewards, terminated, truncated, infos = env.step(actions)
        _require_hours(np.asarray(infos["elapsed_hours"])[~(terminated | truncated)])
        came = _visits(observations, infos)
        for batch in waiting:
            batch.add(rewards, np.asarray(infos["clicks"]), came, terminated, truncated)
        if len(waiting) == windows_hours[-1]:
            complete.append(waiting.pop(0).without_the_cut())
    return _joined(problem, windows_hours, complete)


def random_actions(masks: Bools, send_prob: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Return an eligible send with probability send_prob, each as likely, else 0; and the propensities; both (U,)."""
    n_sends = masks[:, 1:].sum(axis=1)
    is_send = (rng.random(len(masks)) < send_prob) & (n_sends > 0)
    # The k-th eligible one, k uniform.
    k = (rng.random(len(masks)) * n_sends).astype(np.int64)
    chosen = 1 + (masks[:, 1:].cumsum(axis=1) > k[:, None]).argmax(axis=1)
    propensities = np.where(is_send, send_prob / np.maximum(n_sends, 1), np.where(n_sends > 0, 1.0 - send_prob, 1.0))
    return np.where(is_send, chosen, 0), propensities


def _require_hours(elapsed_hours: Floats) -> None:
    """Raise where a step that no end cut short was not an hour: windows are counted in them."""
    other = elapsed_hours[elapsed_hours != 1.0]
    if len(other):
        raise ValueError(f"pilot: expected an environment with steps of 1 hour, got one of {other[0]:g}")


def _visits(observations: Observations, infos: dict[str, Any]) -> Bools:
    """Return who came within the step, by the visible time since the last session.

    That is counted in whole hours from the hour of the session, so a session within the step is at most as old as the
    step is long.
    """
    since = observations[:, SINCE_SESSION].copy()
    if "_final_obs" in infos:
        ended = infos["_final_obs"]
        since[ended] = infos["final_obs"][ended, SINCE_SESSION]
    came: Bools = since <= np.log1p(np.asarray(infos["elapsed_hours"])) + SLACK
    return came


@dataclass(eq=False)
class _Batch:
    """Decisions of one step and what has followed so far."""

    seats: Ints
    observations: Observations
    masks: Bools
    actions: Ints
    propensities: Floats
    weights: Floats
    rewards: Floats
    clicks: Floats
    hours_to_visit: Ints
    is_cut: Bools
    is_over: Bools
    windows_hours: tuple[int, ...]
    n_hours: int = 0

    def add(self, rewards: Floats, clicks: Ints, came: Bools, terminated: Bools, truncated: Bools) -> None:
        """Add an hour, to the windows that are still open."""
        self.n_hours += 1
        still = ~self.is_over
        seats = self.seats
        first = bisect_left(self.windows_hours, self.n_hours)
        self.rewards[:, first:] += np.where(still, rewards[seats], 0.0)[:, None]
        self.clicks[:, first:] += np.where(still, clicks[seats], 0)[:, None]
        self.hours_to_visit[came[seats] & still & (self.hours_to_visit == 0)] = self.n_hours
        self.is_over |= terminated[seats] | truncated[seats]
        # A window that ends with the horizon is complete.
        if self.n_hours < self.windows_hours[-1]:
            self.is_cut |= truncated[seats] & still

    def without_the_cut(self) -> _Batch:
        """Return the rows whose longest window is complete; one that ends with the horizon is not cut by it."""
        self.hours_to_visit[self.hours_to_visit == 0] = self.n_hours + 1
        kept = ~self.is_cut
        scalars = ("windows_hours", "n_hours")
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in scalars}
        rows = {name: array[kept] for name, array in arrays.items()}
        return _Batch(**rows, windows_hours=self.windows_hours, n_hours=self.n_hours)


def _begun(
    observations: Observations,
    masks: Bools,
    actions: Ints,
    propensities: Floats,
    windows_hours: tuple[int, ...],
    keep_prob: float,
    rng: np.random.Generator,
) -> _Batch:
    is_choice = masks[:, 1:].any(axis=1)
    is_kept = (actions > 0) | (rng.random(len(masks)) < keep_prob)
    seats = np.flatnonzero(is_choice & is_kept)
    n = len(seats)
    return _Batch(
        seats=seats,
        observations=observations[seats].copy(),
        masks=masks[seats],
        actions=actions[seats],
        propensities=propensities[seats],
        weights=np.where(actions[seats] > 0, 1.0, 1.0 / keep_prob),
        rewards=np.zeros((n, len(windows_hours))),
        clicks=np.zeros((n, len(windows_hours))),
        hours_to_visit=np.zeros(n, np.int64),
        is_cut=np.zeros(n, np.bool_),
        is_over=np.zeros(n, np.bool_),
        windows_hours=windows_hours,
    )


def _joined(problem: Problem, windows_hours: tuple[int, ...], batches: list[_Batch]) -> Pilot:
    names = [field.name for field in fields(Pilot) if field.name not in ("problem", "windows_hours")]
    joined: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names
    }
    if not (joined["actions"] > 0).any() or not (joined["actions"] == 0).any():
        raise ValueError(
            f"pilot: expected complete windows of {windows_hours[-1]} hours with sends and without, got "
            f"{int((joined['actions'] > 0).sum())} and {int((joined['actions'] == 0).sum())}: more steps, users or a "
            f"higher send_prob are needed"
        )
    return Pilot(problem=problem, windows_hours=windows_hours, **joined)
