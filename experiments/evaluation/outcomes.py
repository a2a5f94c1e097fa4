"""What became of each user under an agent, and what one agent changed against another, user by user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from experiments.compare import Difference, Estimate, difference, mean_ratio
from simulator.measures import plain
from simulator.records import NANO

Ints = npt.NDArray[np.int64]
RETENTION_DAYS = 28
DIFFERENCES = ("value_nano", "expected_nano", "sends", "sessions", "opt_outs", "churns", "retained")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An agent's run over users who share nothing, each from its first decision to its end; all arrays (U,) int64.

    Attributes:
        agent: what it is called.
        scenario: its name.
        seed: user u has the luck of seed + u.
        n_days: horizon.
        value_nano: realised reward in nano-euro, since before the first decision.
        expected_nano: the same with orders at their expectation given the session; of the same mean, and less noisy.
        sends, opens, clicks: messages.
        sessions: organic and driven.
        opt_outs: permissions withdrawn.
        churns: 1 where the user left.
        retained: 1 where the user had a session in the last 28 days of the horizon (all of it, where it is shorter).
        satisfaction_milli, surveys: sum of the answers, 0 to 1000 each, and their number.
        present_days: midnights at which the user was there.
    """

    agent: str
    scenario: str
    seed: int
    n_days: int
    value_nano: Ints
    expected_nano: Ints
    sends: Ints
    opens: Ints
    clicks: Ints
    sessions: Ints
    opt_outs: Ints
    churns: Ints
    retained: Ints
    satisfaction_milli: Ints
    surveys: Ints
    present_days: Ints

    def __len__(self) -> int:
        return len(self.sends)

    @property
    def sends_per_user_week(self) -> float:
        """Sends per week and user present, as `Measures` counts them."""
        days = int(self.present_days.sum())
        return 7.0 * float(self.sends.sum()) / days if days else float("nan")

    @property
    def satisfaction(self) -> Estimate:
        """Mean answer, in (0, 1]; NaN without any."""
        if not self.surveys.any():
            return Estimate(float("nan"), float("nan"))
        return mean_ratio(self.satisfaction_milli / 1000, self.surveys)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return means per user as plain data for JSON."""
        n = max(len(self), 1)
        return {
            "agent": self.agent,
            "scenario": self.scenario,
            "seed": self.seed,
            "n_users": len(self),
            "n_days": self.n_days,
            "value_eur": float(self.value_nano.sum()) / n / NANO,
            "expected_value_eur": float(self.expected_nano.sum()) / n / NANO,
            "sends_per_user_week": plain(self.sends_per_user_week),
            "satisfaction": plain(self.satisfaction.mean),
        } | {
            name: float(getattr(self, name).sum()) / n
            for name in ("sends", "opens", "clicks", "sessions", "opt_outs", "churns", "retained")
        }

    def every_other(self, first: int) -> Self:
        """Return every other user, from `first` (0 or 1) on: to choose by one half and to judge by the other."""
        arrays = {name: getattr(self, name)[first::2] for name in ARRAYS}
        return type(self)(self.agent, self.scenario, self.seed, self.n_days, **arrays)

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return chunks of users as one."""
        first = parts[0]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
        return cls(first.agent, first.scenario, first.seed, first.n_days, **arrays)


ARRAYS = tuple(name for name, kind in Evaluation.__annotations__.items() if kind == "Ints")


def paired(ours: Evaluation, theirs: Evaluation, outcome: str = "value_nano") -> Difference:
    """Return the mean difference per user of an outcome, with its interval; money in EUR.

    Args:
        outcome: one of DIFFERENCES.

    Raises:
        ValueError: they are not of the same users; or there is no such outcome.
    """
    if outcome not in DIFFERENCES:
        raise ValueError(f"outcome: expected {', '.join(DIFFERENCES)}; got {outcome!r}")
    require_same_users(ours, theirs)
    scale = NANO if outcome.endswith("_nano") else 1.0
    return difference(getattr(ours, outcome), getattr(theirs, outcome), scale)


def require_same_users(ours: Evaluation, theirs: Evaluation) -> None:
    """Raise a ValueError unless two evaluations are of the same users over the same days."""
    for what in ("scenario", "seed", "n_days"):
        if getattr(ours, what) != getattr(theirs, what):
            raise ValueError(
                f"{ours.agent!r} and {theirs.agent!r} cannot be compared: {what} is {getattr(ours, what)!r} and "
                f"{getattr(theirs, what)!r}"
            )
    if len(ours) != len(theirs):
        raise ValueError(
            f"{ours.agent!r} and {theirs.agent!r} cannot be compared: they are of {len(ours)} and {len(theirs)} users"
        )
