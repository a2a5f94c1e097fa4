"""Fixed hour: the first candidate, at the same local hour for everybody, so many times a week."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.baselines.frequency import MOST_PUSHES, Frequency, Hour
from agents.settings import Settings
from policies.document import Document, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT

HOURS_A_WEEK = 168


class FixedHour(Settings):
    """What most teams begin with.

    Attributes:
        hour: whole local hour.
        sends_per_week: at most, spread evenly; 7: every day.
    """

    kind: Literal["fixed_hour"] = "fixed_hour"
    hour: Hour = 19
    sends_per_week: int = Field(3, ge=1, le=7)

    def document(self, n_slots: int) -> Document:
        """Return the policy.

        Sends at one hour lie whole days apart, so k a week are at least floor(7 / k) days apart; the count of seven
        days holds what that leaves open. An hour is taken off the gap, so that a clock change does not cost a day.
        """
        gap_hours = HOURS_A_WEEK // 24 // self.sends_per_week * 24 - 1
        when = Frequency(
            hours=(self.hour,), gap_hours=float(gap_hours), pushes_per_week=min(self.sends_per_week, MOST_PUSHES)
        )
        return Document(self.kind, n_slots, Rules((Rule("at the hour", when.conditions(), Send(CHANNELS_OF_A_SLOT)),)))


GRID = tuple(FixedHour(hour=hour, sends_per_week=k) for hour in (9, 12, 16, 19, 21) for k in (1, 2, 3, 5, 7))
