"""Priority: the candidate that matters most by a rule of the trade: urgency, expected revenue or interest.

Candidates stand in the order of their urgency already. Expected revenue is p(click) times the margin of an order that
follows; its logarithm is a sum of two features, so it is a scorecard. For small p, ln(p / (1 - p)) is ln p.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.baselines.frequency import MOST_GAP_HOURS, MOST_PUSHES, Frequency, Hour
from agents.baselines.frequency_cap import DAYTIME, EVENING
from agents.settings import Settings
from policies.document import Document, Model, Rule, Rules, Scorecard, Send, Weighted
from policies.vocabulary import CHANNELS_OF_A_SLOT


class Priority(Settings):
    """Which order, and how often.

    Attributes:
        order: `urgency`, `expected_revenue` or `interest`.
        least_log_revenue: ln EUR of click rate times (1 + margin) below which nothing is sent; of expected revenue.
        hours, gap_hours, pushes_per_week: see `FrequencyCap`.
    """

    kind: Literal["priority"] = "priority"
    order: Literal["urgency", "expected_revenue", "interest"] = "expected_revenue"
    least_log_revenue: float = Field(-10.0, ge=-10, le=10)
    hours: tuple[Hour, ...] = EVENING
    gap_hours: float = Field(44.0, ge=0, le=MOST_GAP_HOURS)
    pushes_per_week: int | None = Field(None, ge=1, le=MOST_PUSHES)

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        often = Frequency(hours=self.hours, gap_hours=self.gap_hours, pushes_per_week=self.pushes_per_week)
        model: Model
        if self.order == "expected_revenue":
            weight = dict.fromkeys(CHANNELS_OF_A_SLOT, 1.0)
            revenue = (Weighted("slot.click_rate", weight), Weighted("slot.margin_eur", weight))
            base = dict.fromkeys(CHANNELS_OF_A_SLOT, 0.0)
            model = Scorecard(self.least_log_revenue, base, revenue + often.terms())
        else:
            by_interest = Send(CHANNELS_OF_A_SLOT, "highest", "slot.relevance")
            send = by_interest if self.order == "interest" else Send(CHANNELS_OF_A_SLOT)
            model = Rules((Rule(self.order, often.conditions(), send),))
        return Document(self.kind, n_slots, model)


GRID = tuple(
    Priority(order=order, hours=hours, gap_hours=gap)
    for order in ("urgency", "expected_revenue", "interest")
    for hours in (EVENING, DAYTIME)
    for gap in (20.0, 44.0, 68.0, 164.0)
)
