"""The records that the engines work on: a user's law, its visible history, its tally; the world; the books.

A user is one record of a NumPy structured array, so `user.fatigue` reads well in a compiled function and stays in
cache. The first 128 bytes hold all that a quiet hour touches. Levels are float32; clocks and times are float64 hours
since the start (a float32 clock loses hazard that is small beside it).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from policies.constraints import RULES_FIELDS
from policies.history import HISTORY_FIELDS
from policies.moments import MOMENT_FIELDS
from policies.structs import Field

N_MAIL = 4
N_PAYMENTS = 2
N_CATEGORIES = 8
N_CHANNELS = 4
N_BINS = 13  # chronotype bins of half an hour, -3 to +3 h
N_ROWS = 8 * N_BINS  # segments x bins
N_DAYS = 1120  # the longest horizon, and the days around it
HOURS_A_WEEK = 168
NEVER = 1e18  # hours: "at no time"
LONG_AGO = -1_000_000  # an hour index before every run
FLOOR = 1e-18  # levels below this become 0, so that none lingers among denormals, which cost threefold
NANO = 1e9  # nano-euros in a euro

PUSH, EMAIL, IN_APP, SMS = range(4)

# Array types. A record array has no static element type, hence Any.
Record = Any  # one record of such an array
Records = npt.NDArray[Any]
Floats = npt.NDArray[Any]
Wishes = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class Status(IntEnum):
    """Where a user stands. A user who left is still dispatched to until the sender can know."""

    PRESENT = 0
    LEFT = 1
    KNOWN_LEFT = 2


class Mail(IntEnum):
    """State of one of a user's mailbox slots."""

    EMPTY = 0
    IN_TRANSIT = 1
    WAITING = 2


def fields_of(fields: tuple[Field, ...]) -> list[Any]:
    """Return fields of `policies` as NumPy names them."""
    return [(name, code, (length,)) if length else (name, code) for name, code, length in fields]


def as_dtype(fields: tuple[Field, ...]) -> np.dtype[Any]:
    """Return the record of fields of `policies`."""
    return np.dtype(fields_of(fields))


USER = np.dtype(
    [
        # --- 128 bytes that a quiet hour touches
        ("now_hours", "f8"),
        ("clock_session", "f8"),
        ("clock_churn", "f8"),
        ("clock_push", "f8"),
        ("clock_email", "f8"),
        ("next_scheduled_hours", "f8"),
        ("habit", "f4"),  # above 1
        ("satiation", "f4"),
        ("salience", "f4"),
        ("dissatisfaction", "f4"),
        ("honeymoon", "f4"),
        ("irritation_push", "f4"),
        ("irritation_email", "f4"),
        ("irritation_in_app", "f4"),
        ("session_rate", "f4"),  # per hour
        ("churn_rate", "f4"),  # per hour
        ("push_attention", "f4"),  # notices per hour at full attention
        ("email_attention", "f4"),
        ("push_spent", "f4"),  # attention used up since the mailbox was last empty
        ("email_spent", "f4"),
        ("status", "u1"),
        ("opted_in", "u1"),  # bit = channel
        ("seen_opted_in", "u1"),  # what the sender can know
        ("n_waiting", "u1"),
        ("table_row", "u1"),  # segment x chronotype
        ("zone", "u1"),
        ("segment", "u1"),
        ("tier", "u1"),
        ("hour_begun", "i4"),  # last hour whose start has been worked off
        ("user_id", "u4"),
        ("key", "u8"),
        # --- touched by events
        ("last_session_hours", "f8"),
        ("installed_hours", "f8"),
        ("levels_hours", "f8"),  # when the four levels below were last decayed
        ("fatigue", "f4"),
        ("need_used", "f4"),
        ("intent", "f4"),
        ("open_bias", "f4"),
        ("habituation", "f4", (N_CATEGORIES,)),
        ("log_interest", "f4", (N_CATEGORIES,)),  # log of unnormalised shares
        ("affinity", "f4", (2,)),
        ("sensitivity", "f4"),
        ("n_sessions", "u4"),  # organic ones: keys their luck
        ("next_drift_hours", "f8"),  # after churn: when the sender will know
        ("context_switch_hours", "f8"),
        ("payment_hours", "f8", (N_PAYMENTS,)),
        ("browse_hour", "i4"),
        ("cart_hour", "i4"),
        ("order_hour", "i4"),
        ("n_drifts", "u2"),
        ("n_contexts", "u2"),
        ("n_opt_outs", "u1", (2,)),
        ("os", "u1"),  # 0 Android, 1 iOS
        ("has_consent", "u1"),
        ("stage", "u1"),  # nightly snapshot
        ("in_context", "u1"),
        ("intent_category", "u1"),
        ("muted_categories", "u1"),  # bit = category
        ("is_arrival", "u1"),
        ("n_devices", "u1"),
        ("mail_delay", "f4", (N_MAIL,)),  # hours from dispatch to device
        ("mail_clock", "f4", (N_MAIL,)),  # noticed when so much attention is spent
        ("mail_logit", "f4", (N_MAIL,)),
        ("mail_hour", "i4", (N_MAIL,)),  # hour of dispatch
        ("mail_campaign", "u1", (N_MAIL,)),
        ("mail_channel", "u1", (N_MAIL,)),
        ("mail_state", "u1", (N_MAIL,)),
        ("census_day", "i2"),
    ]
)

# What the sender can see of the user's past, and the moment: defined once, for production too.
HISTORY = as_dtype(HISTORY_FIELDS)
MOMENT = as_dtype(MOMENT_FIELDS)

# What a quiet hour reads is float32, like the levels: its arithmetic then stays in registers, unconverted.
LAW = np.dtype(
    [
        ("seed", "i8"),
        ("n_campaigns", "i8"),
        ("epoch_hours", "i8"),
        # sessions
        ("satiation", "f8"),
        ("satiation_hours", "f8"),
        ("floor", "f4"),
        ("salience_hours", "f8"),
        ("both_hours", "f8"),  # 1 / (1/satiation + 1/salience)
        ("habit_gain", "f8"),
        ("habit_hours", "f8"),
        ("honeymoon_gain", "f8"),
        ("honeymoon_hours", "f8"),
        ("drag", "f4"),
        ("browse_prob", "f8"),
        ("intent_hours", "f8"),
        ("cart_prob", "f8"),
        ("survey_prob", "f8"),
        # whole-hour constants: what is kept of a level after an hour, and the integral of exp(-s/tau) over it
        ("keep_habit", "f4"),
        ("keep_satiation", "f4"),
        ("keep_salience", "f4"),
        ("keep_dissatisfaction", "f4"),
        ("keep_honeymoon", "f4"),
        ("keep_irritation", "f4"),
        ("area_satiation", "f4"),
        ("area_salience", "f4"),
        ("area_both", "f4"),
        # response
        ("logit", "f8", (N_CHANNELS,)),
        ("beta_relevance", "f8"),
        ("beta_intent", "f8"),
        ("beta_context", "f8"),
        ("beta_urgency", "f8"),
        ("beta_novelty", "f8"),
        ("beta_fatigue", "f8"),
        ("beta_habituation", "f8"),
        ("beta_competition", "f8"),
        ("beta_waiting", "f8"),
        ("waiting_hours", "f8"),
        ("crowding", "f8"),
        ("email_click_prob", "f8"),
        # fatigue
        ("channel_fatigue", "f8", (N_CHANNELS,)),
        ("fatigue_hours", "f8"),
        ("habituation_hours", "f8"),  # time constant, not half-life
        ("habituation_reset", "f8"),
        # withdrawal
        ("irritation_hours", "f8"),
        ("opt_out_prob", "f4", (N_CHANNELS,)),
        ("fatigue_gain", "f8"),
        ("relevance_relief", "f8"),
        ("night_factor", "f8"),
        ("night_start", "f8"),
        ("night_end", "f8"),
        ("opt_in_again_prob", "f8"),
        ("complaint_prob", "f8"),
        ("dissatisfaction_gain", "f8"),
        ("dissatisfaction_email", "f8"),
        ("dissatisfaction_hours", "f8"),
        # churn
        ("habit_shield", "f4"),
        ("churn_prob", "f4"),
        ("churn_email_weight", "f4"),
        ("churn_in_app_weight", "f4"),
        ("uninstall_seen_hours", "f8"),
        # delivery
        ("accept_prob", "f8", (3,)),  # Android push, iOS push, e-mail
        ("stale_hazard", "f8"),  # per hour
        ("offline_prob", "f8"),
        ("offline_hours", "f8"),
        ("life_hours", "f8", (N_CHANNELS,)),
        ("latency_hours", "f8"),
        ("is_open", "u1", (N_CHANNELS,)),
        ("cost_nano", "i8", (N_CHANNELS,)),
        # conversion and value
        ("driven_logit", "f8"),
        ("organic_order_prob", "f8"),
        ("order_relevance", "f8"),
        ("order_intent", "f8"),
        ("margin_eur", "f8"),
        ("need_used", "f8"),
        ("need_hours", "f8"),
        ("fast_share", "f8"),
        ("fast_hours", "f8"),
        ("slow_hours", "f8"),
        ("session_eur", "f8"),
        ("complaint_eur", "f8"),
        ("tier_value", "f8", (256,)),
        # traits that change
        ("drift_hours", "f8"),
        ("has_location", "u1"),
        ("on_hours", "f8"),
        ("off_hours", "f8"),
        *fields_of(RULES_FIELDS),  # what the constraint engine reads
        # tables
        ("organic", "f4", (N_ROWS, HOURS_A_WEEK)),  # relative session rate, by segment x bin and local hour
        ("attention", "f4", (N_ROWS, HOURS_A_WEEK)),
        ("days", "f4", (N_DAYS, 2)),  # seasonal index and competing volume, by local day
    ]
)

CAMPAIGN = np.dtype(
    [
        ("kind", "u1"),
        ("trigger", "u1"),
        ("category", "u1"),
        ("bucket", "u1"),
        ("channels", "u1"),  # bit = channel
        ("tags", "u1"),  # bit = tag that some cap speaks of
        ("counter", "u1"),  # its place among campaigns with a cap of their own
        ("needs_consent", "u1"),
        ("segments", "u4"),  # bit = segment
        ("tiers", "u4"),
        ("stages", "u1"),
        ("oses", "u1"),
        ("per_user_cap", "i4"),
        ("start_hour", "i4"),
        ("end_hour", "i4"),
        ("repeat_hours", "f8"),
        ("delay_hours", "i4"),
        ("expiry_hours", "i4"),
        ("dormancy_hours", "f8"),
        ("quality", "f8"),  # logit of the creative; half of it moves orders too
        ("format_logit", "f8"),
        ("personal_logit", "f8"),  # wears off with its bucket
        ("intensity", "f8"),  # m: multiplies fatigue and irritation
        ("urgency", "f8"),
        ("novelty_hours", "f8"),
        ("margin_eur", "f8"),
        ("discount_eur", "f8"),
        ("cost_nano", "i8"),
        ("budget_nano", "i8"),  # < 0: unlimited
    ]
)

SENDER = np.dtype(
    [
        ("kind", "u1"),
        ("pick", "u1"),
        ("serves", "u1"),  # bit = campaign kind
        ("channels", "u1"),
        ("hours", "u4"),  # bit = local hour
        ("weekdays", "u1"),
        ("per_waking_hour", "f8"),
        ("cap_per_week", "i4"),
        ("gap_hours", "i4"),
        ("campaign", "i4"),
    ]
)


class Kind(IntEnum):
    """Campaign kinds."""

    SCHEDULED = 0
    TRIGGERED = 1
    TRANSACTIONAL = 2


class Trigger(IntEnum):
    """The user's own events that open a campaign."""

    BROWSE = 0
    CART = 1
    DORMANCY = 2
    ORDER = 3
    LOCATION = 4


class Stage(IntEnum):
    """Lifecycle stage in the nightly snapshot."""

    NEW = 0
    ACTIVE = 1
    LAPSING = 2
    DORMANT = 3


class Event(IntEnum):
    """What can happen to a user, in the order in which simultaneous events take place.

    The order is part of the law: two engines that worked off a tie differently would part for ever.
    """

    QUIET = 0  # nothing: an hour ended
    CENSUS = 1  # the nightly snapshot
    DECISION = 2  # the policy acts, at the start of an epoch
    REFUSED = 3  # a wish that a shared budget could not pay
    SEND = 4
    FAILURE = 5  # paid, never delivered
    DELIVERY = 6
    EXPIRY = 7
    NOTICE = 8
    SESSION = 9
    CONVERSION = 10
    PAYMENT = 11
    OPT_OUT = 12
    OPT_IN = 13
    CHURN = 14
    DRIFT = 15


class Reason(IntEnum):
    """Why an event went the way it did."""

    NONE = 0
    NOT_OPTED_IN = 1  # the withdrawal was not visible yet
    USER_LEFT = 2
    STALE_TOKEN = 3
    REJECTED = 4  # by the provider
    OPENED = 5
    CLICKED = 6
    IGNORED = 7
    ORGANIC = 8
    DRIVEN = 9
    CLEARED = 10  # a session cleared the notification
    DISPLACED = 11  # a newer message took the slot
    WITHDRAWN = 12  # in the mailbox when the channel was given up
    IRRITATION = 13
    COMPLAINT = 14
    BASE = 15
    NO_BUDGET = 16
    TOO_LATE = 17  # the device came online after the message's life


class Metric(IntEnum):
    """What the books count. Money is in nano-euros; the parts add up to the reward exactly."""

    SENDS = 0
    FAILURES = 1
    DELIVERIES = 2
    NOTICES = 3
    OPENS = 4
    CLICKS = 5
    SESSIONS_ORGANIC = 6
    SESSIONS_DRIVEN = 7
    CONVERSIONS_ORGANIC = 8
    CONVERSIONS_DRIVEN = 9
    PAYMENTS = 10
    OPT_OUTS_PUSH = 11
    OPT_OUTS_EMAIL = 12
    OPT_INS = 13
    COMPLAINTS = 14
    CHURNS = 15
    ACTIVE_DAYS = 16
    ACTIVE_WEEKS = 17
    NIGHT_SENDS = 18
    REFUSALS = 19
    SURVEYS = 20
    SATISFACTION_MILLI = 21
    PRESENT_DAYS = 22  # census: users there
    REACHABLE_DAYS = 23  # census: of these, open to push
    FATIGUE_MICRO = 24  # census: summed fatigue
    SESSION_VALUE = 25
    MARGIN = 26
    DISCOUNT = 27
    SEND_COST = 28
    COMPLAINT_COST = 29
    EXPIRIES = 30


N_METRICS = len(Metric)
MONEY = (Metric.SESSION_VALUE, Metric.MARGIN, Metric.DISCOUNT, Metric.SEND_COST, Metric.COMPLAINT_COST)

TALLY = np.dtype(
    [
        ("user_id", "u4"),
        ("last_day", "i4"),
        ("last_week", "i4"),
        ("last_age", "i4"),
        ("counts", "i4", (int(Metric.SESSION_VALUE),)),
        ("money", "i8", (len(MONEY),)),
        ("expected_nano", "i8"),  # over sessions: probability of an order times its margin less discount
    ]
)

EVENT = np.dtype(
    [
        ("time_hours", "f8"),
        ("amount_nano", "i8"),
        ("user_id", "u4"),
        ("hour", "i4"),  # of the decision that the event belongs to, or -1
        ("campaign", "i2"),
        ("kind", "u1"),
        ("channel", "u1"),
        ("reason", "u1"),
    ]
)


class World(NamedTuple):
    """All that the law reads and nobody changes.

    The tables of the hour stand inside the law's record: a compiled function is handed one pointer, where each array
    of its own would cost some ten words a call.
    """

    law: Records  # LAW[1]
    campaigns: Records  # CAMPAIGN[C]
    local_hours: npt.NDArray[np.int32]  # (zone, UTC hour) hours since a local Monday midnight
    moments: Records  # MOMENT, (zone, UTC hour): what the constraint engine and the features know of the time
    interest: npt.NDArray[np.float64]  # (8, quantiles) log of unnormalised interest by normal score

    @property
    def organic(self) -> npt.NDArray[np.float32]:
        """Relative session rate, (segment x bin, local hour of the week); a view."""
        return cast(npt.NDArray[np.float32], self.law["organic"][0])

    @property
    def attention(self) -> npt.NDArray[np.float32]:
        """Attention, (segment x bin, local hour of the week); a view."""
        return cast(npt.NDArray[np.float32], self.law["attention"][0])

    @property
    def days(self) -> npt.NDArray[np.float32]:
        """Seasonal index and competing volume, (local day, 2); a view."""
        return cast(npt.NDArray[np.float32], self.law["days"][0])


class Books(NamedTuple):
    """Integer accumulators: sums do not depend on the order in which users are worked off."""

    by_day: Ints  # (UTC day, segment, metric)
    by_hour: Ints  # (local hour of the week, metric)
    by_campaign: Ints  # (campaign, channel, metric); the last campaign is "none"
    by_age: Ints  # (mature or new, day since install or start): users active on that day
    journal: Records  # EVENT[n]
    journal_used: Ints  # [1]


assert USER.itemsize <= 384, USER.itemsize
assert HISTORY.itemsize <= 384, HISTORY.itemsize
