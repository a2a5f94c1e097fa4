"""Triggered first: what a user's own event opened goes out at once, broadcasts under a cap. The trade's usual practice.

A triggered message answers something that the user did and lapses soon; a cap that counts it like a broadcast, or waits
for the evening, loses most of its worth.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.baselines.frequency import MOST_GAP_HOURS, Frequency, Hour
from agents.baselines.frequency_cap import DAYTIME, EVENING
from agents.settings import Settings
from policies.document import Condition, Document, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT

Slot = Literal["first", "click_rate", "relevance"]
SCHEDULED_KIND, TRIGGERED_KIND, TRANSACTIONAL_KIND = 0.0, 0.5, 1.0  # of the vocabulary's `kind`


class TriggeredFirst(Settings):
    """How soon after another send a triggered message goes out, and how broadcasts are spaced.

    Attributes:
        triggered_gap_hours: least time between a triggered message and the last send on any channel.
        scheduled_gap_hours: the same of a broadcast; None: none are sent.
        hours: whole local hours of broadcasts; empty: all.
        slot: the first broadcast, or that with the highest value of a feature.
        serves_transactional: whether what is about the user's own order goes out, too.
    """

    kind: Literal["triggered_first"] = "triggered_first"
    triggered_gap_hours: float = Field(6.0, ge=0, le=MOST_GAP_HOURS)
    scheduled_gap_hours: float | None = Field(44.0, ge=0, le=MOST_GAP_HOURS)
    hours: tuple[Hour, ...] = DAYTIME
    slot: Slot = "relevance"
    serves_transactional: bool = True

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        any_time = Frequency(gap_hours=self.triggered_gap_hours).conditions()
        first = Send(CHANNELS_OF_A_SLOT)
        rules = [Rule("triggered", (_is(TRIGGERED_KIND), *any_time), first)]
        if self.serves_transactional:
            rules.append(Rule("transactional", (_is(TRANSACTIONAL_KIND), *any_time), first))
        if self.scheduled_gap_hours is not None:
            often = Frequency(hours=self.hours, gap_hours=self.scheduled_gap_hours).conditions()
            send = first if self.slot == "first" else Send(CHANNELS_OF_A_SLOT, "highest", f"slot.{self.slot}")
            rules.append(Rule("scheduled", (_is(SCHEDULED_KIND), *often), send))
        return Document(self.kind, n_slots, Rules(tuple(rules)))


def _is(kind: float) -> Condition:
    return Condition("slot.kind", "==", kind)


_WAYS: tuple[tuple[tuple[int, ...], Slot], ...] = tuple(
    (hours, slot) for hours in (EVENING, DAYTIME) for slot in ("relevance", "click_rate")
)
GRID = tuple(
    TriggeredFirst(triggered_gap_hours=triggered, scheduled_gap_hours=scheduled, hours=hours, slot=slot)
    for triggered in (0.0, 20.0)
    for scheduled in (None, 20.0, 44.0, 92.0, 164.0)
    for hours, slot in (_WAYS if scheduled is not None else _WAYS[-1:])
)
