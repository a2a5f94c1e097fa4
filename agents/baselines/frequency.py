"""When and how often: the knobs that every baseline has, as conditions of rules and as terms of scorecards.

A baseline without them loses by its volume alone and says nothing of its choice of moments, so the strong form of each
is tuned over these, too.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agents.settings import Settings
from policies.document import Binned, Condition
from policies.vocabulary import CHANNELS_OF_A_SLOT

NEVER_POINTS = -1e6  # beyond any score, and small enough that a score keeps nine digits beside it
N_HOURS = 24
MOST_PUSHES = 32  # of seven days that the vocabulary can count
MOST_GAP_HOURS = 672.0

Hour = Annotated[int, Field(ge=0, le=23)]


class Frequency(Settings):
    """Limits of a policy's own, within those that the constraints set anyway.

    Attributes:
        hours: whole local hours at which it may send; empty: all.
        gap_hours: least time since the last send on any channel; 0: none.
        pushes_per_week: most pushes in any 168 hours; None: no limit.
    """

    hours: tuple[Hour, ...] = ()
    gap_hours: float = Field(0.0, ge=0, le=MOST_GAP_HOURS)
    pushes_per_week: int | None = Field(None, ge=1, le=MOST_PUSHES)

    def conditions(self) -> tuple[Condition, ...]:
        """Return what must hold for a rule that sends."""
        found = []
        if self.hours:
            found.append(Condition("local_hour", "in", tuple(float(hour) for hour in sorted(set(self.hours)))))
        if self.gap_hours > 0:
            found.append(Condition("hours_since_send", ">=", self.gap_hours))
        if self.pushes_per_week is not None:
            found.append(Condition("pushes_7d", "<", float(self.pushes_per_week)))
        return tuple(found)

    def terms(self) -> tuple[Binned, ...]:
        """Return terms that put every candidate far below any threshold unless the conditions hold, and else add 0."""
        found = []
        if self.hours:
            found.append(self._hours_term())
        if self.gap_hours > 0:
            found.append(_gate("hours_since_send", self.gap_hours, is_open_above=True))
        if self.pushes_per_week is not None:
            found.append(_gate("pushes_7d", float(self.pushes_per_week), is_open_above=False))
        return tuple(found)

    def _hours_term(self) -> Binned:
        points = tuple(0.0 if hour in self.hours else NEVER_POINTS for hour in range(N_HOURS))
        return Binned("local_hour", tuple(float(hour) for hour in range(1, N_HOURS)), _for_all_channels(points))


def _gate(feature: str, threshold: float, *, is_open_above: bool) -> Binned:
    points = (NEVER_POINTS, 0.0) if is_open_above else (0.0, NEVER_POINTS)
    return Binned(feature, (threshold,), _for_all_channels(points))


def _for_all_channels(points: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    return dict.fromkeys(CHANNELS_OF_A_SLOT, points)
