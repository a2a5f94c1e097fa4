"""Each user's best hour: when the user is used to coming, by a histogram of sessions shrunk to the uniform one.

The feature `own_hour_share` is the share of thirty days' sessions at this hour of the day, shrunk to 1/24. A policy
sees it for the present hour only, so "the best hour" is one whose share reaches a threshold. Users with too few
sessions for a histogram get a common hour of the evening.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.baselines.frequency import Frequency, Hour
from agents.settings import Settings
from policies.document import Condition, Document, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT


class BestHour(Settings):
    """The threshold, the fall-back, and how often.

    Attributes:
        least_share: of the user's sessions at this hour; 1/24 = 0.042 is that of somebody without habits.
        least_sessions: active hours in thirty days that make a histogram worth reading.
        fallback_hour: local hour for all others.
        gap_hours: least time since the last send; from 20 on it is at most one a day.
        pushes_per_week: at most.
    """

    kind: Literal["best_hour"] = "best_hour"
    least_share: float = Field(0.08, gt=0, le=0.5)
    least_sessions: int = Field(4, ge=1, le=700)
    fallback_hour: Hour = 19
    gap_hours: float = Field(44.0, ge=20, le=672)
    pushes_per_week: int = Field(7, ge=1, le=7)

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        often = Frequency(gap_hours=self.gap_hours, pushes_per_week=self.pushes_per_week).conditions()
        own = Condition("own_hour_share", ">=", self.least_share)
        known = Condition("sessions_30d", ">=", float(self.least_sessions))
        unknown = Condition("sessions_30d", "<", float(self.least_sessions))
        evening = Condition("local_hour", "==", float(self.fallback_hour))
        send = Send(CHANNELS_OF_A_SLOT)
        rules = (
            Rule("the user's own hour", (own, known, *often), send),
            Rule("too little known", (evening, unknown, *often), send),
        )
        return Document(self.kind, n_slots, Rules(rules))


GRID = tuple(
    BestHour(least_share=share, gap_hours=gap) for share in (0.06, 0.08, 0.1, 0.13) for gap in (20.0, 44.0, 68.0, 164.0)
)
