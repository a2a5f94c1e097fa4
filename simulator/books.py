"""Booking: what happened, counted in integers, and, when asked, written to the journal."""

from __future__ import annotations

from simulator.compiled import compiled
from simulator.records import HOURS_A_WEEK, NANO, Books, Metric, Record, World

SESSION_VALUE = int(Metric.SESSION_VALUE)
FIRST_MONEY = int(Metric.SESSION_VALUE)
LAST_MONEY = int(Metric.COMPLAINT_COST)
ACTIVE_DAYS = int(Metric.ACTIVE_DAYS)
ACTIVE_WEEKS = int(Metric.ACTIVE_WEEKS)
FATIGUE_MICRO = int(Metric.FATIGUE_MICRO)


@compiled
def nano(euros: float) -> int:
    """Round euros to whole nano-euros, once, when they are booked."""
    return int(round(euros * NANO))


@compiled
def moment(user: Record, world: World) -> tuple[int, int]:
    """Return (UTC day, local hour of the week) of the user's now: where the books file what happens."""
    hour = int(user.now_hours)
    return hour // 24, world.local_hours[user.zone, hour] % HOURS_A_WEEK


@compiled
def count(
    user: Record,
    at: tuple[int, int],
    books: Books,
    tally: Record,
    metric: int,
    amount: int,
    campaign: int,
    channel: int,
) -> None:
    """Add an amount to one metric: per user, by day and segment, by local hour, by campaign and channel.

    Args:
        at: the event's `moment`.
        campaign: index of the campaign, or -1: none.
    """
    books.by_day[at[0], user.segment, metric] += amount
    books.by_hour[at[1], metric] += amount
    row = campaign if campaign >= 0 else books.by_campaign.shape[0] - 1
    books.by_campaign[row, channel, metric] += amount
    if metric < SESSION_VALUE:
        tally.counts[metric] += amount
    elif metric <= LAST_MONEY:
        tally.money[metric - FIRST_MONEY] += amount


@compiled
def count_census(user: Record, at: tuple[int, int], books: Books, tally: Record, metric: int, amount: int) -> None:
    """Add an amount to one metric of the census: per user, by day and segment; it has no hour and no campaign."""
    books.by_day[at[0], user.segment, metric] += amount
    if metric < FATIGUE_MICRO:
        tally.counts[metric] += amount


@compiled
def mark_active(user: Record, at: tuple[int, int], books: Books, tally: Record, campaign: int, channel: int) -> None:
    """Count the user once a day and once a week (DAU, WAU), and by day since the cohort's start."""
    day = at[0]
    if tally.last_day != day:
        tally.last_day = day
        count(user, at, books, tally, ACTIVE_DAYS, 1, campaign, channel)
        if tally.last_week != day // 7:
            tally.last_week = day // 7
            count(user, at, books, tally, ACTIVE_WEEKS, 1, campaign, channel)
    age = int((user.now_hours - max(0.0, user.installed_hours)) / 24.0)
    if tally.last_age != age:
        tally.last_age = age
        books.by_age[user.is_arrival, age] += 1


@compiled
def journal(
    user: Record, books: Books, kind: int, reason: int, campaign: int, channel: int, hour: int, amount: int
) -> None:
    """Write one event to the journal, if there is room; without a journal this costs one comparison.

    Args:
        hour: the decision that the event belongs to, or -1.
        amount: nano-euros.
    """
    row = books.journal_used[0]
    if row >= books.journal.shape[0]:
        return
    entry = books.journal[row]
    entry.time_hours = user.now_hours
    entry.amount_nano = amount
    entry.user_id = user.user_id
    entry.hour = hour
    entry.campaign = campaign
    entry.kind = kind
    entry.channel = channel
    entry.reason = reason
    books.journal_used[0] = row + 1
