"""What a sender can see of one user's past: sends, sessions, opens, orders, in 384 bytes, exact to the hour.

Times are whole hours since a fixed hour 0 (the start of a simulation, or 1970 in production). An hour's sessions are
one: what is counted is hours with a session. Everything here is plain scalar code on float64 and integers, which the
simulator compiles and production runs as it stands, with equal results.

Events of one kind are written in the order of their hours, and nothing is asked about an hour before the last.
"""

from __future__ import annotations

import math

from policies.structs import Field, Struct, blank

N_SENDS = 32  # sends that the record remembers
N_COUNTERS = 16  # campaigns of which each is remembered by itself
N_CONVERSIONS = 8
NO_CATEGORY = 255
N_BUCKETS = 8
LONG_AGO = -1_000_000  # an hour before every history
AT_NO_TIME = 2_000_000_000  # an hour after every history
UNCOUNTABLE = 1_000_000  # sends: more than the record remembers lie within the window
PUSH, EMAIL = 0, 1
LOAD_HOURS = 96.0  # time constant of `send_load`
RECENCY_DAYS = 15.0  # half-life of `bucket_recency`; Yancey & Settles (2020)
DAYS_OF_USE = 30
CONVERSION_HOURS = 90 * 24
# Shrinkage of open rates: as many pseudo-sends at the prior rate. Modelling choice, near the medians over apps.
PRIOR_SENDS = 10.0
PRIOR_PUSH_RATE = 0.05
PRIOR_EMAIL_RATE = 0.2
PRIOR_SHARE_HOURS = 12.0  # pseudo-sessions spread evenly over the day

HISTORY_FIELDS: tuple[Field, ...] = (
    ("send_load", "f8", 0),  # at sent_hour
    ("session_days", "u4", 24),  # by UTC hour of the day: bit = day modulo 32
    ("sends", "i4", N_SENDS),  # hour * 256 + label, a ring
    ("bucket_hour", "i4", N_BUCKETS),
    ("sent_hour", "i4", 0),
    ("session_hour", "i4", 0),
    ("conversion_hour", "i4", 0),
    ("campaign_hour", "i4", N_COUNTERS),  # of its last send
    ("conversions", "u2", N_CONVERSIONS),  # hour modulo 65,536, a ring
    ("n_sent", "u2", 2),  # by channel
    ("n_opened", "u2", 2),
    ("campaign_sent", "u1", N_COUNTERS),
    ("next_send", "u1", 0),
    ("next_conversion", "u1", 0),
    ("unopened", "u1", 0),
    ("browse_category", "u1", 0),
)

# A send's label: channel, whether it passes by the caps, and its tags.
CHANNEL_BITS = 3
UNCOUNTED = 4
FIRST_TAG = 8
N_TAGS = 5


def blank_history() -> Struct:
    """Return the history of a user of whom nothing is known."""
    history = blank(HISTORY_FIELDS)
    clear(history)
    return history


def clear(history: Struct) -> None:
    """Forget everything."""
    history.send_load = 0.0
    for k in range(24):
        history.session_days[k] = 0
    for k in range(N_SENDS):
        history.sends[k] = LONG_AGO * 256
    for k in range(N_BUCKETS):
        history.bucket_hour[k] = LONG_AGO
    history.sent_hour = LONG_AGO
    history.session_hour = LONG_AGO
    history.conversion_hour = LONG_AGO
    for k in range(N_CONVERSIONS):
        history.conversions[k] = 0
    for k in range(2):
        history.n_sent[k] = 0
        history.n_opened[k] = 0
    for k in range(N_COUNTERS):
        history.campaign_sent[k] = 0
        history.campaign_hour[k] = LONG_AGO
    history.next_send = 0
    history.next_conversion = 0
    history.unopened = 0
    history.browse_category = NO_CATEGORY


# -------------------------------------------------------------------------------------------------------------- writing


def record_send(
    history: Struct, hour: int, channel: int, tags: int, is_uncounted: int, bucket: int, counter: int
) -> None:
    """Write down a send.

    Args:
        hour: whole hours, rounded up (`policies.moments.send_hour`), so that no gap or window turns out too short.
        tags: bits of the campaign's tags.
        is_uncounted: 1 if it passes by the caps (a transactional message), else 0.
        bucket: content bucket, 0 to 7.
        counter: place of the campaign among those that are remembered each by itself (with a cap of its own, or opened
            by an event), or N_COUNTERS: it has none.
    """
    history.send_load = load_at(history, hour) + 1.0
    history.sent_hour = hour
    place = int(history.next_send)
    history.sends[place] = hour * 256 + channel + UNCOUNTED * is_uncounted + FIRST_TAG * tags
    history.next_send = (place + 1) % N_SENDS
    history.bucket_hour[bucket] = hour
    if counter < N_COUNTERS:
        history.campaign_sent[counter] = min(255, history.campaign_sent[counter] + 1)
        history.campaign_hour[counter] = hour
    if channel <= EMAIL:
        history.n_sent[channel] = min(65535, history.n_sent[channel] + 1)
    history.unopened = min(255, history.unopened + 1)


def record_open(history: Struct, channel: int) -> None:
    """Write down that a message was opened."""
    history.unopened = 0
    if channel <= EMAIL:
        history.n_opened[channel] = min(65535, history.n_opened[channel] + 1)


def record_session(history: Struct, hour: int) -> None:
    """Write down a session within an hour; several sessions of one hour are one."""
    if hour == history.session_hour:
        return
    today = hour // 24
    last = history.session_hour // 24
    if today > last:
        # The ring of 32 days turns: what stands where the new days go is older than 31 days.
        kept = ~days_mask(max(last + 1, today - 31), today)
        for k in range(24):
            history.session_days[k] = history.session_days[k] & kept
    history.session_days[hour % 24] = history.session_days[hour % 24] | 1 << (today % 32)
    history.session_hour = hour


def record_interest(history: Struct, category: int) -> None:
    """Write down the category of what was just browsed or ordered."""
    history.browse_category = category


def record_conversion(history: Struct, hour: int) -> None:
    """Write down a paid order."""
    if hour - history.conversion_hour > CONVERSION_HOURS:
        # Nothing older counts any more; wiped, so that an hour modulo 65,536 cannot be taken for a later one.
        for k in range(N_CONVERSIONS):
            history.conversions[k] = (hour - CONVERSION_HOURS - 1) % 65536
    history.conversions[history.next_conversion] = hour % 65536
    history.next_conversion = (history.next_conversion + 1) % N_CONVERSIONS
    history.conversion_hour = hour


# -------------------------------------------------------------------------------------------------------------- reading


def load_at(history: Struct, hour: int) -> float:
    """Return the number of sends so far, each decayed by exp(-hours / 96)."""
    elapsed = max(float(hour - history.sent_hour), 0.0)  # a clock that runs behind must not overflow
    return history.send_load * math.exp(-elapsed / LOAD_HOURS) if elapsed < 40.0 * LOAD_HOURS else 0.0


def sends_since(history: Struct, since: int, channels: int, tags: int) -> int:
    """Return how many sends that count against caps went out at or after an hour, for the caps.

    Returns:
        The number, or UNCOUNTABLE when all that the record remembers lies within the window: then more may, and a cap
        must not be passed by mistake.
    """
    n, is_whole = remembered_sends(history, since, channels, tags)
    return n if is_whole else UNCOUNTABLE


def remembered_sends(history: Struct, since: int, channels: int, tags: int) -> tuple[int, bool]:
    """Return how many sends that count against caps the record remembers from an hour on, and whether that is all.

    Args:
        channels: bits of the channels that count.
        tags: bits of the tags that count; 0: with or without.
    """
    n = 0
    place = int(history.next_send)
    for _ in range(N_SENDS):
        place = place - 1 if place > 0 else N_SENDS - 1
        entry = int(history.sends[place])
        if entry >> 8 < since:
            return n, True
        if not entry & UNCOUNTED and channels >> (entry & CHANNEL_BITS) & 1:
            if tags == 0 or tags & (entry >> 3) & 31:
                n += 1
    return n, False


def is_sent_back(history: Struct, since: int, n: int) -> bool:
    """Return whether n sends, of any kind, may have gone out at or after an hour: a quick look before counting."""
    if n <= 0 or n > N_SENDS:
        return True
    return bool(history.sends[(history.next_send - n) % N_SENDS] >> 8 >= since)


def has_sent_since(history: Struct, since: int, channels: int) -> bool:
    """Return whether anything went out on some channels at or after an hour, whether it counts against caps or not.

    Args:
        channels: bits of the channels.

    Returns:
        True also when all that the record remembers lies within the window: then something may have gone out before.
    """
    place = int(history.next_send)
    for _ in range(N_SENDS):
        place = place - 1 if place > 0 else N_SENDS - 1
        entry = int(history.sends[place])
        if entry >> 8 < since:
            return False
        if channels >> (entry & CHANNEL_BITS) & 1:
            return True
    return True


def unopened_since(history: Struct, since: int, channel: int) -> int:
    """Return how many of the last 32 sends went out on a channel, at or after an hour and after the last open."""
    n = 0
    place = int(history.next_send)
    for _ in range(min(N_SENDS, int(history.unopened))):
        place = place - 1 if place > 0 else N_SENDS - 1
        entry = int(history.sends[place])
        if entry >> 8 < since:
            return n
        if entry & CHANNEL_BITS == channel:
            n += 1
    return n


def active_hours(history: Struct, hour: int, n_days: int) -> int:
    """Return how many of the last 24 * n_days hours before `hour` had a session.

    Args:
        n_days: at most 30.
    """
    # An hour of the day that has not come yet today was last there yesterday.
    today = hour // 24
    now = hour % 24
    last = history.session_hour // 24
    before = days_mask(today - n_days + 1, min(today, last))
    after = days_mask(today - n_days, min(today - 1, last))
    n = 0
    for k in range(24):
        n += bit_count(history.session_days[k] & (before if k < now else after))
    return n


def own_hour_share(history: Struct, hour: int, total: int) -> float:
    """Return the share of the last 30 days' active hours that fell on this hour of the day, shrunk to 1/24.

    Args:
        total: the active hours of the last 30 days.
    """
    today = hour // 24
    mask = days_mask(today - DAYS_OF_USE, min(today - 1, history.session_hour // 24))
    here = bit_count(history.session_days[hour % 24] & mask)
    return (here + PRIOR_SHARE_HOURS / 24.0) / (total + PRIOR_SHARE_HOURS)


def conversions_since(history: Struct, since: int) -> int:
    """Return how many of the last eight paid orders came at or after an hour, at most 90 days ago."""
    if history.conversion_hour < since:
        return 0
    newest = history.conversion_hour % 65536
    n = 0
    for k in range(N_CONVERSIONS):
        back = (newest - history.conversions[k]) % 65536
        if history.conversion_hour - back >= since:
            n += 1
    return n


def open_rate(history: Struct, channel: int) -> float:
    """Return opens over sends on push or e-mail, shrunk towards a prior rate."""
    prior = PRIOR_EMAIL_RATE if channel == EMAIL else PRIOR_PUSH_RATE
    return float((history.n_opened[channel] + PRIOR_SENDS * prior) / (history.n_sent[channel] + PRIOR_SENDS))


def days_mask(first: int, last: int) -> int:
    """Return 32 bits with those of the days first to last set (bit = day modulo 32); at most 32 days."""
    if last < first:
        return 0
    ones = (1 << (last - first + 1)) - 1
    if last - first + 1 >= 32:
        return 0xFFFFFFFF
    turned = ones << (first % 32)
    return (turned | turned >> 32) & 0xFFFFFFFF


def bit_count(bits: int) -> int:
    """Return the number of ones among 32 bits; compiled, one instruction of the processor."""
    return int(bits).bit_count()
