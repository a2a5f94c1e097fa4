"""Lives told by a journal, event by event: what a sender could know, and that nothing went out against the limits.

The limits are judged by their words (`tests.policies.meaning`), local time by the time zone database.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from policies.limits import CHANNELS, Constraints
from simulator.config import CampaignBase, Scenario, Scheduled, TimeZone, Transactional
from simulator.records import Event, Records
from tests.policies.meaning import (
    Clocks,
    Sent,
    is_counted,
    is_held_back,
    is_in_window,
    is_quiet,
    objections,
    quiet_channels,
)

ZONES = {
    "utc": ("UTC", TimeZone(name="utc", share=1.0)),
    "paris": ("Europe/Paris", TimeZone(name="paris", share=1.0, offset_hours=1, daylight_saving="eu")),
    "new-york": ("America/New_York", TimeZone(name="new-york", share=1.0, offset_hours=-5, daylight_saving="us")),
}
TWO_DAYS_BEFORE_CLOCKS_TURN = (
    dt.date(2026, 3, 27),
    dt.date(2026, 10, 23),
    dt.date(2026, 3, 6),
    dt.date(2026, 10, 30),
)


@dataclass
class Told:
    """The scenario by which lives are judged."""

    scenario: Scenario
    limits: Constraints = field(init=False)
    zero: dt.datetime = field(init=False)

    def __post_init__(self) -> None:
        self.limits = self.scenario.constraints.limits()
        self.zero = dt.datetime.combine(self.scenario.calendar.start, dt.time(), dt.UTC)

    def clocks(self, zone: int) -> Clocks:
        """Return the clocks of users of a time zone, by its place in the population."""
        project = self.scenario.constraints.project_zone or "utc"
        own = self.scenario.population.time_zones[zone].name
        return Clocks(ZoneInfo(ZONES[own][0]), ZoneInfo(ZONES[project][0]), self.zero)


@dataclass
class Life:
    """One user's life so far; every channel was permitted at its beginning."""

    told: Told
    clocks: Clocks
    permitted: set[str] = field(default_factory=lambda: {"push", "email"})
    seen: set[str] = field(default_factory=lambda: {"push", "email"})
    sends: list[Sent] = field(default_factory=list)
    campaigns: list[int] = field(default_factory=list)  # of the sends
    n_delivered: int = 0
    n_blind: int = 0  # sends after a withdrawal that was not visible yet
    has_left: bool = False
    order_hour: int | None = None
    now_hours: float = -math.inf

    def take(self, row: Any) -> None:
        """Go on by one row of the journal, and judge it."""
        kind, channel = Event(int(row["kind"])), CHANNELS[row["channel"]]
        assert row["time_hours"] >= self.now_hours
        self.now_hours = float(row["time_hours"])
        if kind == Event.SEND:
            self._send(int(row["hour"]), int(row["campaign"]), channel)
        elif kind == Event.DELIVERY:
            assert channel in self.permitted, f"delivered on {channel} at {self.now_hours}, after its withdrawal"
            assert not self.has_left, "delivered after the user had left"
            self.n_delivered += 1
        elif kind == Event.OPT_OUT:
            self.permitted.remove(channel)
            if channel == "email":
                self.seen.discard("email")
        elif kind == Event.OPT_IN:
            self.permitted.add(channel)
            self.seen = set(self.permitted)
        elif kind == Event.SESSION:
            self.seen = set(self.permitted)
        elif kind == Event.CONVERSION:
            self.order_hour = math.floor(self.now_hours)
        elif kind == Event.CHURN:
            self.has_left = True

    def _send(self, hour: int, index: int, channel: str) -> None:
        campaign = self.told.scenario.campaigns[index]
        asked = Sent(hour, channel, campaign.kind, frozenset(campaign.tags))
        assert self.now_hours == hour
        assert channel in self.seen, f"{channel} at hour {hour}, after a withdrawal that could be seen"
        assert channel in campaign.channels
        assert not self.sends or self.sends[-1].hour < hour, "two sends at one decision"
        self._judge_window(campaign, index, hour)
        if campaign.per_user_cap is not None:
            assert self.campaigns.count(index) < campaign.per_user_cap
        self._judge_limits(asked)
        self.n_blind += channel not in self.permitted
        self.sends.append(asked)
        self.campaigns.append(index)

    def _judge_window(self, campaign: CampaignBase, index: int, hour: int) -> None:
        if isinstance(campaign, Scheduled):
            assert campaign.start_day * 24 <= hour
            assert campaign.end_day is None or hour < campaign.end_day * 24
        elif isinstance(campaign, Transactional):
            assert self.order_hour is not None
            age = hour - self.order_hour - 1
            assert campaign.delay_hours <= age < campaign.expiry_hours
            before = [sent.hour for sent, own in zip(self.sends, self.campaigns, strict=True) if own == index]
            assert not before or before[-1] <= self.order_hour + campaign.delay_hours, "one message an order"

    def _judge_limits(self, asked: Sent) -> None:
        """Do as `objections`, for sends that kept the limits so far: then nobody need look far back."""
        limits, clocks, hour = self.told.limits, self.clocks, asked.hour
        for cap in limits.caps:
            if is_held_back(cap, limits, asked):
                within = itertools.takewhile(
                    lambda sent: is_in_window(cap, clocks, sent.hour, hour),  # noqa: B023
                    reversed(self.sends),
                )
                n = sum(is_counted(cap, limits, sent) for sent in within)
                assert n < cap.limit, f"send {n + 1} under cap {cap} at hour {hour}"
        if asked.kind not in limits.passes_gap and self.sends:
            assert hour - self.sends[-1].hour >= limits.gap_hours, f"{hour - self.sends[-1].hour} hours after the last"
            gap = limits.channel_gap_hours.get(asked.channel, 0)
            last = next((sent.hour for sent in reversed(self.sends) if sent.channel == asked.channel), None)
            assert last is None or hour - last >= gap, f"{hour - last} hours after the last {asked.channel}"
        if asked.channel in quiet_channels(limits) and asked.kind not in limits.passes_quiet:
            assert not is_quiet(limits.quiet, clocks, hour), f"hour {hour} is quiet"

    def allows(self, hour: int, index: int, channel: str) -> bool:
        """Return whether a candidate may go out on a channel now, for all that a sender can know."""
        campaign = self.told.scenario.campaigns[index]
        asked = Sent(hour, channel, campaign.kind, frozenset(campaign.tags))
        if channel not in self.seen or channel not in campaign.channels:
            return False
        return not objections(self.told.limits, self.clocks, self.sends[-100:], asked)


def lives_of(told: Told, journal: Records, zones: dict[int, int]) -> dict[int, Life]:
    """Live through a whole journal and return the lives, by user.

    Args:
        zones: of each user.
    """
    lives = {user: Life(told, told.clocks(zone)) for user, zone in zones.items()}
    for row in journal:
        lives[int(row["user_id"])].take(row)
    for index, campaign in enumerate(told.scenario.campaigns):
        if campaign.budget_eur is not None:
            spent = -int(journal["amount_nano"][(journal["kind"] == Event.SEND) & (journal["campaign"] == index)].sum())
            assert spent <= round(campaign.budget_eur * 1e9), f"{campaign.name} spent more than its budget"
    return lives
