"""Who is sent how much: users by how active they would be in silence, in fifths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.compare import Estimate, mean_ratio
from experiments.evaluation.outcomes import Evaluation, require_same_users

N_FIFTHS = 5


@dataclass(frozen=True)
class SendsByActivity:
    """Sends per week and user present, of each fifth of the users, the least active first.

    Attributes:
        agent: its name.
        sends_per_user_week: shape (5,).
        shares: of all sends, shape (5,); NaN where nothing was sent.
    """

    agent: str
    sends_per_user_week: tuple[Estimate, ...]
    shares: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "agent": self.agent,
            "sends_per_user_week": [estimate.to_dict() for estimate in self.sends_per_user_week],
            "shares": [None if np.isnan(share) else share for share in self.shares],
        }


def activity_fifths(silent: Evaluation) -> npt.NDArray[np.int64]:
    """Return each user's fifth by sessions under silence, 0: least active, shape (U,).

    Fifths differ by one user at most; of users with the same number of sessions the first stand lower.

    Raises:
        ValueError: the run was not silent, or is of fewer than five users.
    """
    if silent.sends.any():
        raise ValueError(f"activity_fifths: expected a run under silence, got {silent.agent!r}, which sent messages")
    if len(silent) < N_FIFTHS:
        raise ValueError(f"activity_fifths: expected at least {N_FIFTHS} users, got {len(silent)}")
    found = np.empty(len(silent), np.int64)
    order = np.argsort(silent.sessions, kind="stable")
    found[order] = np.arange(len(silent)) * N_FIFTHS // len(silent)
    return found


def sends_by_activity(evaluation: Evaluation, silent: Evaluation) -> SendsByActivity:
    """Return what an agent sends to users of each fifth.

    Raises:
        ValueError: the runs are not of the same users; see `activity_fifths`.
    """
    require_same_users(evaluation, silent)
    fifths = activity_fifths(silent)
    total = float(evaluation.sends.sum())
    groups = [fifths == k for k in range(N_FIFTHS)]
    return SendsByActivity(
        evaluation.agent,
        tuple(_per_week(evaluation, rows) for rows in groups),
        tuple(float(evaluation.sends[rows].sum()) / total if total else float("nan") for rows in groups),
    )


def _per_week(evaluation: Evaluation, rows: npt.NDArray[np.bool_]) -> Estimate:
    days = evaluation.present_days[rows]
    return mean_ratio(7 * evaluation.sends[rows], days) if days.any() else Estimate(float("nan"), float("nan"))
