"""A small search over settings: successive halving, every candidate on the same users with the same luck.

All candidates meet a few users; the better half goes on to twice as many, until one is left or the users are used up.
The users are common to all, so candidates are compared by paired differences, which need far fewer of them.

Source: Karnin, Koren & Somekh, Almost Optimal Exploration in Multi-Armed Bandits (ICML 2013), sequential halving;
Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (AISTATS 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeGuard, TypeVar

import numpy as np

from agents.agent import Floats, require_finite
from agents.settings import Settings

Candidate = TypeVar("Candidate")
KEPT_SHARE = 0.5


@dataclass(frozen=True)
class Trial(Generic[Candidate]):
    """What is known of one candidate.

    Attributes:
        candidate: its settings.
        n_users: that it met.
        mean: return per user over these.
        behind: mean paired difference to the best candidate over the same users, at most 0 in its last round.
        standard_error: of that difference; 0 for the best itself, NaN with a single user.
    """

    candidate: Candidate
    n_users: int
    mean: float
    behind: float
    standard_error: float


@dataclass(frozen=True)
class Tuning(Generic[Candidate]):
    """A search that is over.

    The mean of the best is that of the luckiest too: report its value over users that it was not chosen by.

    Attributes:
        best: the settings to use.
        trials: one a candidate, the best first, then those dropped last.
    """

    best: Candidate
    trials: tuple[Trial[Candidate], ...]

    def to_markdown(self) -> str:
        """Return the table of what was tried, and where the best lies on the edge of it."""
        lines = ["| candidate | users | mean return | behind the best |", "|---|---|---|---|"]
        for trial in self.trials:
            behind = f"{trial.behind:.5g} ± {trial.standard_error:.2g}"
            lines.append(f"| {trial.candidate} | {trial.n_users} | {trial.mean:.5g} | {behind} |")
        if edges := self.on_the_edge():
            lines += ["", f"The best is on the grid's edge: {', '.join(edges)}."]
        return "\n".join(lines) + "\n"

    def on_the_edge(self) -> tuple[str, ...]:
        """Return, as `gap_hours 2`, each number of the best settings beyond which the grid has none: more may be won.

        Where some candidates have None, which is no limit, that lies beyond the highest number.
        """
        found = []
        for name, value in _fields(self.best).items():
            values = [_fields(trial.candidate).get(name) for trial in self.trials]
            numbers = {number for number in values if _is_number(number)}
            if not _is_number(value) or len(numbers) < 2:
                continue
            if value == min(numbers) or (value == max(numbers) and None not in values):
                found.append(f"{name} {value:g}")
        return tuple(found)


def tune(
    candidates: Sequence[Candidate],
    returns_of: Callable[[Candidate, int, int], Floats],
    *,
    first_users: int,
    most_users: int,
    on_trial: Callable[[int, int], None] | None = None,
) -> Tuning[Candidate]:
    """Return the best of some candidates.

    Args:
        candidates: at least one; of equals the first is taken.
        returns_of: returns of users `first` to `first + n` under a candidate, each user the same whoever decides,
            shape (n,); called as returns_of(candidate, first, n).
        first_users: that every candidate meets.
        most_users: that the last ones meet; rounds double the users until then.
        on_trial: called with candidates done and to do in a round.

    Raises:
        ValueError: no candidates; users not in order; returns of another shape, or not finite.
    """
    if not candidates:
        raise ValueError("tune: expected at least one candidate, got none")
    if not 1 <= first_users <= most_users:
        raise ValueError(
            f"tune: expected 1 <= first_users <= most_users, got first_users={first_users}, most_users={most_users}"
        )
    returns: dict[int, Floats] = {place: np.empty(0) for place in range(len(candidates))}
    running, dropped = list(returns), list[Trial[Candidate]]()
    n_users = first_users
    while True:
        for done, place in enumerate(running):
            met = len(returns[place])
            returns[place] = np.concatenate([returns[place], _checked(returns_of, candidates[place], met, n_users)])
            if on_trial is not None:
                on_trial(done + 1, len(running))
        # Sorting is stable, so the first of equals stays before the others.
        running.sort(key=lambda place: -float(returns[place].mean()))
        trials = [_trial(candidates[place], returns[place], returns[running[0]]) for place in running]
        is_last = len(running) == 1 or n_users == most_users
        n_kept = 0 if is_last else math.ceil(len(running) * KEPT_SHARE)
        dropped = trials[n_kept:] + dropped
        if is_last:
            return Tuning(dropped[0].candidate, tuple(dropped))
        running, n_users = sorted(running[:n_kept]), min(2 * n_users, most_users)


def _fields(candidate: object) -> dict[str, object]:
    """Return a candidate's settings by name; one that is a value itself is called `candidate`."""
    return dict(candidate) if isinstance(candidate, Settings) else {"candidate": candidate}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked(
    returns_of: Callable[[Candidate, int, int], Floats], candidate: Candidate, first: int, until: int
) -> Floats:
    found = np.asarray(returns_of(candidate, first, until - first), np.float64)
    if found.shape != (until - first,):
        raise ValueError(f"tune: {candidate}: expected returns of shape ({until - first},), got {found.shape}")
    require_finite(f"tune: {candidate}: returns", found)
    return found


def _trial(candidate: Candidate, returns: Floats, best: Floats) -> Trial[Candidate]:
    apart = returns - best
    error = float(apart.std(ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
    return Trial(candidate, len(returns), float(returns.mean()), float(apart.mean()), error)
