"""The law of each feature: how it is computed from visible history. Names, units and ranges: `policies.vocabulary`.

Scalar code on float64 that production runs as it stands and the simulator compiles, with equal results to the bit.
`out` is a list or an array row of 29 + 7 C numbers.
"""

from __future__ import annotations

import math

from policies.constraints import (
    ANY_TIME,
    BROWSE,
    CART,
    DAY,
    ORDER,
    ROLLING,
    TRIGGERED,
    cap_since,
    is_quiet,
    quiet_minute,
)
from policies.history import (
    CONVERSION_HOURS,
    EMAIL,
    NO_CATEGORY,
    PUSH,
    RECENCY_DAYS,
    active_hours,
    conversions_since,
    load_at,
    open_rate,
    own_hour_share,
    remembered_sends,
    sends_since,
    unopened_since,
)
from policies.moments import MINUTES_A_DAY
from policies.structs import Struct

MOST_HOURS = 8103.0  # ln(1 + hours) is above 9 from here on
LN_2_PER_RECENCY_HOUR = math.log(2.0) / (RECENCY_DAYS * 24.0)


def clipped(value: float, low: float, high: float) -> float:
    """Return a value within its range."""
    return min(max(value, low), high)


def log_hours(hours: float) -> float:
    """Return ln(1 + hours) within [0, 9]."""
    if hours >= MOST_HOURS:  # most often: never
        return 9.0
    return clipped(math.log(1.0 + max(hours, 0.0)), 0.0, 9.0)


def write_user_features(
    out: Struct,
    rules: Struct,
    history: Struct,
    person: Struct,
    moment: Struct,
    tier_share: float,
    budget_left: float,
    backlog_hours: float,
) -> None:
    """Write a user's features, `vocabulary.USER_FEATURES`, to out[0:29].

    Args:
        tier_share: the user's place among the tiers, 0 for the first, 1 for the last.
        budget_left: share left of what all users share.
        backlog_hours: that a message would wait in the gateway.
    """
    hour = int(moment.hour)
    out[0] = moment.clock_sin
    out[1] = moment.clock_cos
    out[2] = 1.0 if moment.weekday >= 5 else 0.0
    out[3] = clipped(moment.season, 0.5, 3.0)
    out[4] = days_to_quiet(rules, moment)
    out[5] = log_hours(float(hour - history.session_hour))
    active_30d = active_hours(history, hour, 30)
    out[6] = clipped(math.log(1.0 + active_hours(history, hour, 1)), 0.0, 7.0)
    out[7] = clipped(math.log(1.0 + active_hours(history, hour, 7)), 0.0, 7.0)
    out[8] = clipped(math.log(1.0 + active_30d), 0.0, 7.0)
    out[9] = clipped(own_hour_share(history, hour, active_30d), 0.0, 0.5)
    out[10] = clipped(math.log(1.0 + max(hour - person.installed_hours, 0.0) / 24.0), 0.0, 8.0)
    out[11] = clipped(float(remembered_sends(history, hour - 23, 1 << PUSH, 0)[0]), 0.0, 10.0)
    out[12] = float(remembered_sends(history, hour - 167, 1 << PUSH, 0)[0])
    out[13] = clipped(load_at(history, hour), 0.0, 40.0)
    out[14] = log_hours(float(hour - history.sent_hour))
    out[15] = clipped(open_rate(history, PUSH), 0.0, 1.0)
    out[16] = clipped(open_rate(history, EMAIL), 0.0, 1.0)
    out[17] = clipped(float(history.unopened), 0.0, 50.0)
    out[18] = float(person.seen_opted_in >> PUSH & 1)
    out[19] = float(person.seen_opted_in >> EMAIL & 1)
    out[20] = clipped(float(unread(history, hour)), 0.0, 4.0)
    out[21] = clipped(math.log(1.0 + conversions_since(history, hour - CONVERSION_HOURS)), 0.0, 4.0)
    out[22] = log_hours(float(hour - history.conversion_hour))
    out[23] = clipped(tier_share, 0.0, 1.0)
    out[24] = log_hours(float(hour - person.browse_hour)) if person.has_consent else 0.0
    out[25] = 1.0 if person.os == 0 else 0.0
    out[26] = daily_cap_left(rules, history, moment)
    out[27] = clipped(budget_left, 0.0, 1.0)
    out[28] = clipped(backlog_hours, 0.0, 6.0)


def write_slot_features(
    out: Struct,
    start: int,
    history: Struct,
    person: Struct,
    campaign: Struct,
    moment: Struct,
    category: int,
    relevance: float,
    margin: float,
    click_rate: float,
    expires_hour: int,
) -> None:
    """Write a candidate's features, `vocabulary.SLOT_FEATURES`, to out[start : start + 7].

    Args:
        category: what the candidate is about; browse, cart and order messages: what was browsed or bought.
        relevance: estimated interest of the user in it, standard deviations.
        margin: `encoded_margin` of the campaign.
        click_rate: `encoded_click_rate` of the campaign.
        expires_hour: from which the candidate can no longer be sent.
    """
    is_browsed = person.has_consent and history.browse_category == category and category != NO_CATEGORY
    out[start] = 1.0 if is_browsed else 0.0
    out[start + 1] = clipped(relevance, -3.0, 3.0) if person.has_consent else 0.0
    out[start + 2] = bucket_recency(history, int(campaign.bucket), int(moment.hour))
    out[start + 3] = clipped(math.log(1.0 + max(float(expires_hour - moment.hour), 0.0)), 0.0, 7.0)
    out[start + 4] = clipped(margin, 0.0, 6.0)
    out[start + 5] = clipped(click_rate, -6.0, 0.0)
    out[start + 6] = 0.5 * campaign.kind


def category_of(history: Struct, campaign: Struct) -> int:
    """Return what a candidate is about: its campaign's category, or what the user browsed or bought to open it."""
    is_about_user = campaign.trigger == BROWSE or campaign.trigger == CART or campaign.trigger == ORDER
    return int(history.browse_category if campaign.kind == TRIGGERED and is_about_user else campaign.category)


def bucket_recency(history: Struct, bucket: int, hour: int) -> float:
    """Return 2 ** (-days / 15) since a content bucket was last sent.

    Source: the recency penalty of Yancey & Settles (KDD 2020).
    """
    elapsed = max(float(hour - history.bucket_hour[bucket]), 0.0)
    return math.exp(-LN_2_PER_RECENCY_HOUR * elapsed) if elapsed < 20_000.0 else 0.0


def encoded_margin(margin_eur: float) -> float:
    """Return ln(1 + EUR) within [0, 6] of an order's margin less its discount: a campaign's, the same at any time."""
    return clipped(math.log(1.0 + max(margin_eur, 0.0)), 0.0, 6.0)


def encoded_click_rate(rate: float) -> float:
    """Return ln(p / (1 - p)) within [-6, 0] of a campaign's clicks over sends, shrunk, in (0, 1)."""
    p = clipped(rate, 0.002, 0.5)
    return clipped(math.log(p / (1.0 - p)), -6.0, 0.0)


def unread(history: Struct, hour: int) -> int:
    """Return how many pushes of the last 24 hours neither a session nor an open has followed."""
    return unopened_since(history, max(hour - 23, int(history.session_hour) + 1), PUSH)


def days_to_quiet(rules: Struct, moment: Struct) -> float:
    """Return the days until quiet hours begin: 0 within them, 1 without any."""
    if rules.quiet_mode == ANY_TIME:
        return 1.0
    if is_quiet(rules, moment):
        return 0.0
    minutes = (rules.quiet_start - quiet_minute(rules, moment)) % MINUTES_A_DAY
    return float(minutes / float(MINUTES_A_DAY))


def daily_cap_left(rules: Struct, history: Struct, moment: Struct) -> float:
    """Return the share left of the tightest cap over a day that looks at channels alone; 1 without one."""
    left = 1.0
    for k in range(rules.n_caps):
        is_daily = rules.cap_calendar[k] == DAY or (rules.cap_calendar[k] == ROLLING and rules.cap_hours[k] == 24)
        if is_daily and rules.cap_tags[k] == 0:
            limit = int(rules.cap_limit[k])
            sent = sends_since(history, cap_since(rules, moment, k), int(rules.cap_channels[k]), 0)
            left = min(left, 1.0 - sent / float(limit) if sent < limit else 0.0)
    return left
