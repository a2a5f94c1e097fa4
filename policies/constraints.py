"""The constraint engine: which actions a user's history, permissions and the hour allow, and why not the others.

One definition for three homes: the simulator compiles these functions, offline evaluation asks them which actions were
open, production runs them as they stand. They are scalar code on integers; local time comes in as a `moment`
(`policies.moments`), so daylight saving and time zones are the caller's table or the standard library's.

An action is a campaign on a channel. `standing` is asked once for a user and an hour and says what caps, gaps and quiet
hours leave; `campaign_suppression` once for a campaign; `suppression` joins both for a channel.
"""

from __future__ import annotations

import math
from enum import IntEnum

from policies.history import AT_NO_TIME, LONG_AGO, N_COUNTERS, has_sent_since, is_sent_back, sends_since
from policies.moments import MINUTES_A_DAY
from policies.structs import Field, Struct

N_CAPS = 8
N_CHANNELS = 4
SCHEDULED, TRIGGERED, TRANSACTIONAL = 0, 1, 2
BROWSE, CART, DORMANCY, ORDER, LOCATION = 0, 1, 2, 3, 4
ROLLING, DAY, WEEK, MONTH = 0, 1, 2, 3
USER_ZONE, PROJECT_ZONE = 0, 1
ANY_TIME, DROP, DEFER, CANCEL = 0, 1, 2, 3
ALL_CHANNELS = (1 << N_CHANNELS) - 1


class Suppression(IntEnum):
    """Why an action is not eligible. From `CAP` on, the number of the cap is added."""

    ELIGIBLE = 0
    EMPTY_SLOT = 1
    LEFT = 2  # known to have left, or not there yet
    NOT_OPEN = 3  # before its window, or nothing has triggered it
    EXPIRED = 4
    NOT_IN_AUDIENCE = 5
    NO_CONSENT = 6
    MUTED_CATEGORY = 7
    PER_USER_CAP = 8
    CHANNEL_CLOSED = 9  # the campaign or the app does not use this channel
    NO_PERMISSION = 10  # withdrawn, as far as the sender can know
    MINIMUM_GAP = 11
    QUIET_HOURS = 12
    DEFERRED = 13  # quiet hours, until which it is held
    CANCELLED = 14  # it met quiet hours, and is over
    NO_BUDGET = 15
    ALREADY_SENT = 16  # this edition of the candidate, or what this event opened
    NOT_ALLOWED = 17  # the policy may not send this campaign
    POLICY_LIMIT = 18  # limits that the policy brings with it
    CAP = 32


ELIGIBLE = int(Suppression.ELIGIBLE)
NOT_OPEN = int(Suppression.NOT_OPEN)
EXPIRED = int(Suppression.EXPIRED)
NOT_IN_AUDIENCE = int(Suppression.NOT_IN_AUDIENCE)
NO_CONSENT = int(Suppression.NO_CONSENT)
MUTED_CATEGORY = int(Suppression.MUTED_CATEGORY)
PER_USER_CAP = int(Suppression.PER_USER_CAP)
CHANNEL_CLOSED = int(Suppression.CHANNEL_CLOSED)
NO_PERMISSION = int(Suppression.NO_PERMISSION)
MINIMUM_GAP = int(Suppression.MINIMUM_GAP)
QUIET_HOURS = int(Suppression.QUIET_HOURS)
DEFERRED = int(Suppression.DEFERRED)
CANCELLED = int(Suppression.CANCELLED)
NO_BUDGET = int(Suppression.NO_BUDGET)
ALREADY_SENT = int(Suppression.ALREADY_SENT)
CAP = int(Suppression.CAP)

# What is set once for an app (`policies.limits.Constraints.rules`).
RULES_FIELDS: tuple[Field, ...] = (
    ("n_caps", "i4", 0),
    ("cap_limit", "i4", N_CAPS),
    ("cap_hours", "i4", N_CAPS),  # of a rolling window
    ("cap_calendar", "u1", N_CAPS),  # ROLLING, DAY, WEEK, MONTH
    ("cap_zone", "u1", N_CAPS),
    ("cap_channels", "u1", N_CAPS),  # bit = channel
    ("cap_tags", "u1", N_CAPS),  # bit = tag; 0: whatever its tags
    ("cap_overrides", "u1", N_CAPS),  # takes the place of caps that look at channels alone
    ("gap_hours", "i4", 0),
    ("channel_gap_hours", "i4", N_CHANNELS),
    ("quiet_start", "i4", 0),  # local minute of the day
    ("quiet_end", "i4", 0),
    ("quiet_channels", "u1", 0),
    ("quiet_mode", "u1", 0),  # ANY_TIME, DROP, DEFER, CANCEL
    ("quiet_zone", "u1", 0),
    ("open_channels", "u1", 0),
    ("passes_caps", "u1", 0),  # bit = campaign kind: neither held back by caps nor counted
    ("passes_gap", "u1", 0),
    ("passes_quiet", "u1", 0),
)

# What the sender knows of a user beside its history.
PERSON_FIELDS: tuple[Field, ...] = (
    ("last_session_hours", "f8", 0),
    ("installed_hours", "f8", 0),
    ("browse_hour", "i4", 0),
    ("cart_hour", "i4", 0),
    ("order_hour", "i4", 0),
    ("seen_opted_in", "u1", 0),  # bit = channel
    ("has_consent", "u1", 0),
    ("muted_categories", "u1", 0),  # bit = category
    ("segment", "u1", 0),
    ("tier", "u1", 0),
    ("stage", "u1", 0),
    ("os", "u1", 0),  # 0 Android, 1 iOS
)

CAMPAIGN_FIELDS: tuple[Field, ...] = (
    ("kind", "u1", 0),
    ("trigger", "u1", 0),
    ("category", "u1", 0),
    ("bucket", "u1", 0),
    ("channels", "u1", 0),  # bit = channel
    ("tags", "u1", 0),
    ("counter", "u1", 0),  # its place among campaigns that are remembered each by itself, or N_COUNTERS
    ("per_user_cap", "u1", 0),  # 0: none
    ("needs_consent", "u1", 0),
    ("segments", "u4", 0),  # bit = segment
    ("tiers", "u4", 0),
    ("stages", "u1", 0),
    ("oses", "u1", 0),
    ("start_hour", "i4", 0),
    ("end_hour", "i4", 0),
    ("delay_hours", "i4", 0),
    ("expiry_hours", "i4", 0),
    ("dormancy_hours", "f8", 0),
)

# What `standing` returns, as bits: caps reached, channels whose gap is not over, channels in quiet hours.
FIRST_GAP = 8
FIRST_QUIET = 12


def standing(rules: Struct, history: Struct, moment: Struct) -> int:
    """Return what caps, gaps and quiet hours hold back for a user at a moment.

    Returns:
        Bits: 0 to 7 the caps that are reached, 8 to 11 the channels whose minimum gap is not over, 12 to 15 the
        channels on which it is quiet.
    """
    return standing_on(rules, history, moment, ALL_CHANNELS)


def standing_on(rules: Struct, history: Struct, moment: Struct, channels: int) -> int:
    """Do as `standing` for some channels only, those that may be used at all: most users have not permitted all.

    Caps and gaps of other channels, and of those on which it is quiet for every message, need not be looked at: the
    permission or the quiet hours hold a message back first.

    Args:
        channels: bits of the channels.
    """
    bits = 0
    usable = channels & ALL_CHANNELS
    if is_quiet(rules, moment):
        bits |= rules.quiet_channels * (1 << FIRST_QUIET)
        if rules.passes_quiet == 0:
            usable &= ALL_CHANNELS ^ rules.quiet_channels
    if usable == 0:
        return bits
    for k in range(rules.n_caps):
        if rules.cap_channels[k] & usable and is_cap_reached(rules, history, moment, k):
            bits |= 1 << k
    if moment.hour - history.sent_hour < rules.gap_hours:
        bits |= ALL_CHANNELS << FIRST_GAP
    for channel in range(N_CHANNELS):
        gap = int(rules.channel_gap_hours[channel])
        if gap > 0 and usable >> channel & 1 and has_sent_since(history, moment.hour - gap + 1, 1 << channel):
            bits |= 1 << (FIRST_GAP + channel)
    return bits


def is_cap_reached(rules: Struct, history: Struct, moment: Struct, k: int) -> bool:
    """Return whether cap k allows no further send now."""
    since = cap_since(rules, moment, k)
    if not is_sent_back(history, since, rules.cap_limit[k]):
        return False
    return bool(sends_since(history, since, rules.cap_channels[k], rules.cap_tags[k]) >= rules.cap_limit[k])


def cap_since(rules: Struct, moment: Struct, k: int) -> int:
    """Return the first hour of the window that cap k looks at: rolling, or a calendar day, week or month."""
    calendar = rules.cap_calendar[k]
    is_project = rules.cap_zone[k] == PROJECT_ZONE
    if calendar == DAY:
        return int(moment.project_day_start if is_project else moment.day_start)
    if calendar == WEEK:
        return int(moment.project_week_start if is_project else moment.week_start)
    if calendar == MONTH:
        return int(moment.project_month_start if is_project else moment.month_start)
    return int(moment.hour - rules.cap_hours[k] + 1)


def is_quiet(rules: Struct, moment: Struct) -> bool:
    """Return whether it is quiet now: from quiet_start to quiet_end, past midnight where the end is earlier."""
    if rules.quiet_mode == ANY_TIME:
        return False
    minute = quiet_minute(rules, moment)
    if rules.quiet_start <= rules.quiet_end:
        return bool(rules.quiet_start <= minute < rules.quiet_end)
    return bool(minute >= rules.quiet_start or minute < rules.quiet_end)


def quiet_minute(rules: Struct, moment: Struct) -> int:
    """Return the minute of the day by the clock that quiet hours go by."""
    return int(moment.project_local_minute if rules.quiet_zone == PROJECT_ZONE else moment.local_minute)


def quiet_ends_hour(rules: Struct, moment: Struct) -> int:
    """Return the first whole hour from now at which quiet hours are over, for what is held until then.

    It may still be quiet then, if clocks are turned in between, or quiet again: whoever holds a message asks again
    before it sends.
    """
    if not is_quiet(rules, moment):
        return int(moment.hour)
    minutes = (rules.quiet_end - quiet_minute(rules, moment)) % MINUTES_A_DAY
    return int(moment.hour + (moment.minute + minutes + 59) // 60)


def last_quiet_hour(rules: Struct, moment: Struct) -> int:
    """Return the last hour up to now in which it was quiet for a minute or more, at a moment when it is not.

    If clocks were turned in between, it is off by as much.
    """
    minutes = (quiet_minute(rules, moment) - rules.quiet_end) % MINUTES_A_DAY
    return int(moment.hour + (moment.minute - minutes - 1) // 60)


def ends_in_quiet(rules: Struct, campaign: Struct) -> bool:
    """Return whether a campaign that is open in quiet hours is over by them: it can go by no channel meanwhile."""
    if rules.quiet_mode != CANCEL or campaign.kind == SCHEDULED or rules.passes_quiet >> campaign.kind & 1:
        return False
    loud_channels = rules.open_channels & (ALL_CHANNELS ^ rules.quiet_channels)
    return bool(campaign.channels & loud_channels == 0)


def opened_hour(person: Struct, campaign: Struct, moment: Struct, is_in_context: bool) -> int:
    """Return since when a campaign has been open to a user, or from when it will be; AT_NO_TIME: nothing opens it.

    A user's event in hour h opens a triggered campaign from hour h + 1 + delay on. A place opens it while it lasts.
    """
    if campaign.kind == SCHEDULED:
        return int(campaign.start_hour)
    if campaign.trigger == LOCATION:
        return int(moment.hour) if is_in_context else AT_NO_TIME
    event = trigger_hour(person, campaign)
    return event + 1 + int(campaign.delay_hours) if event > LONG_AGO else AT_NO_TIME


def expires_hour(person: Struct, campaign: Struct, moment: Struct) -> int:
    """Return the hour from which a campaign can no longer be sent to a user."""
    if campaign.kind == SCHEDULED:
        return int(campaign.end_hour)
    if campaign.trigger == LOCATION:
        return int(moment.hour + campaign.expiry_hours)
    return trigger_hour(person, campaign) + 1 + int(campaign.expiry_hours)


def trigger_hour(person: Struct, campaign: Struct) -> int:
    """Return the hour of the user's own event that a triggered campaign waits for, LONG_AGO: there was none."""
    if campaign.trigger == BROWSE:
        return int(person.browse_hour)
    if campaign.trigger == CART:
        return int(person.cart_hour)
    if campaign.trigger == ORDER:
        return int(person.order_hour)
    if person.last_session_hours <= LONG_AGO:
        return LONG_AGO
    return int(math.floor(person.last_session_hours + campaign.dormancy_hours))


def is_used_up(history: Struct, campaign: Struct, moment: Struct, opened: int) -> bool:
    """Return whether the message that an event opened has been sent.

    An event opens one message, and the next one only the next event. A place has no event that a history knows of: it
    opens another message when the last one would have expired.

    Args:
        opened: of `opened_hour`.
    """
    sent_hour = int(history.campaign_hour[campaign.counter])
    if campaign.trigger == LOCATION:
        return bool(moment.hour - sent_hour < campaign.expiry_hours)
    return sent_hour >= opened


def campaign_suppression(
    rules: Struct, history: Struct, person: Struct, campaign: Struct, moment: Struct, is_in_context: bool
) -> int:
    """Return why a campaign may not be sent to a user on any channel, or ELIGIBLE: window, audience, wishes, cap."""
    opened = opened_hour(person, campaign, moment, is_in_context)
    if moment.hour < opened:
        return NOT_OPEN
    if moment.hour >= expires_hour(person, campaign, moment):
        return EXPIRED
    # One branch for most of the audience: this is asked of every campaign at every decision.
    audience = (campaign.segments >> person.segment) & (campaign.tiers >> person.tier)
    audience &= (campaign.stages >> person.stage) & (campaign.oses >> person.os)
    if not audience & 1:
        return NOT_IN_AUDIENCE
    if campaign.needs_consent and not person.has_consent:
        return NO_CONSENT
    if person.muted_categories >> campaign.category & 1 and campaign.kind != TRANSACTIONAL:
        return MUTED_CATEGORY
    if campaign.counter < N_COUNTERS:
        if campaign.per_user_cap > 0 and history.campaign_sent[campaign.counter] >= campaign.per_user_cap:
            return PER_USER_CAP
        if campaign.kind != SCHEDULED and is_used_up(history, campaign, moment, opened):
            return ALREADY_SENT
    if ends_in_quiet(rules, campaign):
        if not is_quiet(rules, moment) and opened <= last_quiet_hour(rules, moment):
            return CANCELLED
    return ELIGIBLE


def channel_suppression(rules: Struct, standing_bits: int, person: Struct, campaign: Struct, channel: int) -> int:
    """Return why a channel may not carry a campaign to a user now, or ELIGIBLE.

    Args:
        standing_bits: of `standing`.
    """
    if not (campaign.channels & rules.open_channels) >> channel & 1:
        return CHANNEL_CLOSED
    if not person.seen_opted_in >> channel & 1:
        return NO_PERMISSION
    if standing_bits == 0:
        return ELIGIBLE
    if standing_bits >> (FIRST_QUIET + channel) & 1 and not rules.passes_quiet >> campaign.kind & 1:
        if rules.quiet_mode == DEFER:
            return DEFERRED
        return CANCELLED if ends_in_quiet(rules, campaign) else QUIET_HOURS
    if not rules.passes_caps >> campaign.kind & 1:
        k = reached_cap(rules, standing_bits, campaign, channel)
        if k < N_CAPS:
            return CAP + k
    if standing_bits >> (FIRST_GAP + channel) & 1 and not rules.passes_gap >> campaign.kind & 1:
        return MINIMUM_GAP
    return ELIGIBLE


def reached_cap(rules: Struct, standing_bits: int, campaign: Struct, channel: int) -> int:
    """Return the first reached cap that holds a campaign on a channel back, or N_CAPS: none."""
    is_overridden = False
    for k in range(rules.n_caps):
        if rules.cap_overrides[k] and campaign.tags & rules.cap_tags[k] and rules.cap_channels[k] >> channel & 1:
            is_overridden = True
    for k in range(rules.n_caps):
        if not standing_bits >> k & 1 or not rules.cap_channels[k] >> channel & 1:
            continue
        if rules.cap_tags[k] == 0:
            if not is_overridden:
                return k
        elif campaign.tags & rules.cap_tags[k]:
            return k
    return N_CAPS


def suppression(
    rules: Struct,
    history: Struct,
    person: Struct,
    campaign: Struct,
    moment: Struct,
    channel: int,
    is_in_context: bool,
    is_paid_for: bool,
) -> int:
    """Return why a campaign may not be sent to a user on a channel now, or ELIGIBLE; a number of `Suppression`.

    Args:
        rules: RULES_FIELDS; history: HISTORY_FIELDS; person: PERSON_FIELDS; campaign: CAMPAIGN_FIELDS; moment:
            MOMENT_FIELDS: objects or records with these attributes.
        is_in_context: the user is where a location campaign is about.
        is_paid_for: what the campaign's and the common budgets have left pays for this send.
    """
    reason = campaign_suppression(rules, history, person, campaign, moment, is_in_context)
    if reason == ELIGIBLE:
        reason = channel_suppression(rules, standing(rules, history, moment), person, campaign, channel)
    if reason == ELIGIBLE and not is_paid_for:
        return NO_BUDGET
    return reason


def say(reason: int, cap_names: tuple[str, ...] = ()) -> str:
    """Return a reason in words: `cap push-a-day`, `quiet hours`."""
    if reason >= CAP:
        k = reason - CAP
        return f"cap {cap_names[k]}" if k < len(cap_names) else f"cap {k}"
    return Suppression(reason).name.lower().replace("_", " ")
