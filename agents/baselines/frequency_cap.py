"""Frequency cap: send the next candidate whenever the last send is long enough ago. Tuned, it is hard to beat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.baselines.frequency import MOST_GAP_HOURS, MOST_PUSHES, Frequency, Hour
from agents.settings import Settings
from policies.document import Document, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT

DAYTIME = tuple(range(9, 22))
EVENING = (17, 18, 19, 20, 21)
GAPS_HOURS = (6.0, 12.0, 20.0, 44.0, 68.0, 116.0, 164.0, 332.0)


class FrequencyCap(Settings):
    """Which hours, how far apart, how many, and which candidate.

    Attributes:
        hours: whole local hours; empty: all.
        gap_hours: least time since the last send on any channel.
        pushes_per_week: most pushes in 168 hours; None: no limit but the gap.
        slot: the first candidate, or that with the highest value of a feature.
    """

    kind: Literal["frequency_cap"] = "frequency_cap"
    hours: tuple[Hour, ...] = EVENING
    gap_hours: float = Field(44.0, ge=0, le=MOST_GAP_HOURS)
    pushes_per_week: int | None = Field(None, ge=1, le=MOST_PUSHES)
    slot: Literal["first", "click_rate", "relevance", "margin_eur"] = "first"

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        when = Frequency(hours=self.hours, gap_hours=self.gap_hours, pushes_per_week=self.pushes_per_week).conditions()
        send = Send(CHANNELS_OF_A_SLOT)
        if self.slot != "first":
            send = Send(CHANNELS_OF_A_SLOT, "highest", f"slot.{self.slot}")
        return Document(self.kind, n_slots, Rules((Rule("under the cap", when, send),)))


GRID = tuple(
    FrequencyCap(hours=hours, gap_hours=gap, slot=slot)
    for hours in (EVENING, DAYTIME)
    for gap in GAPS_HOURS
    for slot in ("first", "click_rate")
)
