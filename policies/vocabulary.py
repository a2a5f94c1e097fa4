"""The feature vocabulary: what a policy may know of a user, the hour and each candidate, with names, units and ranges.

An observation is one flat vector: the user's features in the order of `USER_FEATURES`, then `SLOT_FEATURES` for each
of C candidate slots. `policies.features` computes the values; this file only says what they are.

Every range is that of the encoded value; a value outside is clipped to it, so an observation is always finite.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from zlib import crc32


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        name: what documents and ledgers call it.
        unit: of the value before encoding.
        low, high: range of the encoded value.
        encoding: `plain`, `log1p` (ln(1 + value)) or `logit` (ln(p / (1 - p))).
        meaning: the law by which it is computed from what is visible, in words.
    """

    name: str
    unit: str
    low: float
    high: float
    encoding: str
    meaning: str


USER_FEATURES = (
    Feature("local_hour_sin", "", -1.0, 1.0, "plain", "sine of the local hour of the day"),
    Feature("local_hour_cos", "", -1.0, 1.0, "plain", "cosine of the local hour of the day"),
    Feature("is_weekend", "", 0.0, 1.0, "plain", "local Saturday or Sunday"),
    Feature("season_index", "", 0.5, 3.0, "plain", "demand of the local day beside an average one"),
    Feature("days_to_quiet", "days", 0.0, 1.0, "plain", "until quiet hours begin, 0 within them, 1 without any"),
    Feature("hours_since_session", "hours", 0.0, 9.0, "log1p", "whole hours since the last session"),
    Feature("sessions_1d", "active hours", 0.0, 7.0, "log1p", "hours with a session among the last 24"),
    Feature("sessions_7d", "active hours", 0.0, 7.0, "log1p", "hours with a session among the last 168"),
    Feature("sessions_30d", "active hours", 0.0, 7.0, "log1p", "hours with a session among the last 720"),
    Feature("own_hour_share", "", 0.0, 0.5, "plain", "share of 30 days' sessions at this hour, shrunk to 1/24"),
    Feature("tenure_days", "days", 0.0, 8.0, "log1p", "since the install"),
    Feature("pushes_1d", "sends", 0.0, 10.0, "plain", "pushes that count against caps in the last 24 hours"),
    Feature(
        "pushes_7d", "sends", 0.0, 32.0, "plain", "pushes that count against caps in 168 hours, among the last 32 sends"
    ),
    Feature("send_load", "sends", 0.0, 40.0, "plain", "sends on any channel, each decayed by exp(-hours/96)"),
    Feature("hours_since_send", "hours", 0.0, 9.0, "log1p", "since the last send on any channel"),
    Feature("push_open_rate", "", 0.0, 1.0, "plain", "opens over sends on push, shrunk"),
    Feature("email_open_rate", "", 0.0, 1.0, "plain", "opens over sends on e-mail, shrunk"),
    Feature("unopened", "sends", 0.0, 50.0, "plain", "sends since the last open"),
    Feature("push_opt_in", "", 0.0, 1.0, "plain", "push is permitted, as far as the sender can know"),
    Feature("email_opt_in", "", 0.0, 1.0, "plain", "e-mail is permitted, as far as the sender can know"),
    Feature("unread", "sends", 0.0, 4.0, "plain", "pushes of the last 24 hours that no session or open has followed"),
    Feature("conversions_90d", "orders", 0.0, 4.0, "log1p", "paid orders in the last 90 days"),
    Feature("hours_since_conversion", "hours", 0.0, 9.0, "log1p", "since the last paid order"),
    Feature("tier", "", 0.0, 1.0, "plain", "worth of the user: 0 for the first tier, 1 for the last"),
    Feature("hours_since_browse", "hours", 0.0, 9.0, "log1p", "since something was browsed; 0 without consent"),
    Feature("is_android", "", 0.0, 1.0, "plain", "the user's phone runs Android"),
    Feature("daily_cap_left", "", 0.0, 1.0, "plain", "share left of the tightest cap over a day; 1 without one"),
    Feature("budget_left", "", 0.0, 1.0, "plain", "share left of what all users share; 1 without a budget"),
    Feature("gateway_backlog_hours", "hours", 0.0, 6.0, "plain", "time that a message would wait in the gateway"),
)

SLOT_FEATURES = (
    Feature("matches_browse", "", 0.0, 1.0, "plain", "the candidate is about what was browsed; 0 without consent"),
    Feature("relevance", "sd", -3.0, 3.0, "plain", "estimated interest in its category; 0 without consent"),
    Feature("bucket_recency", "", 0.0, 1.0, "plain", "2 ** (-days / 15) since its content bucket was last sent"),
    Feature("hours_to_expiry", "hours", 0.0, 7.0, "log1p", "until the candidate lapses"),
    Feature("margin_eur", "EUR", 0.0, 6.0, "log1p", "margin less discount of an order that follows"),
    Feature("click_rate", "", -6.0, 0.0, "logit", "clicks over sends of its campaign and channel, shrunk"),
    Feature("kind", "", 0.0, 1.0, "plain", "0 scheduled, .5 triggered, 1 transactional"),
)

# Raised when the law of a feature changes while its name, unit, range and encoding stay.
LAW_VERSION = 1
N_USER_FEATURES = len(USER_FEATURES)
N_SLOT_FEATURES = len(SLOT_FEATURES)
CHANNELS_OF_A_SLOT = ("push", "email")


def n_features(n_slots: int) -> int:
    """Return the length of an observation with C candidate slots: 29 + 7 C."""
    return N_USER_FEATURES + N_SLOT_FEATURES * n_slots


def n_actions(n_slots: int) -> int:
    """Return the number of actions with C candidate slots: none, and each slot on push or e-mail."""
    return 1 + len(CHANNELS_OF_A_SLOT) * n_slots


def feature_names(n_slots: int) -> tuple[str, ...]:
    """Return the names of an observation's entries (`tier`, ..., `slot0.relevance`, ...), shape (29 + 7 C,)."""
    of_slots = (f"slot{slot}.{feature.name}" for slot in range(n_slots) for feature in SLOT_FEATURES)
    return (*(feature.name for feature in USER_FEATURES), *of_slots)


def action_names(n_slots: int) -> tuple[str, ...]:
    """Return the names of the actions, in order: `no_send`, `slot0.push`, `slot0.email`, ..., shape (1 + 2 C,)."""
    return ("no_send", *(f"slot{slot}.{channel}" for slot in range(n_slots) for channel in CHANNELS_OF_A_SLOT))


def features(n_slots: int) -> tuple[Feature, ...]:
    """Return the features of an observation's entries, in order, shape (29 + 7 C,)."""
    return USER_FEATURES + SLOT_FEATURES * n_slots


def _fingerprint() -> str:
    told = [astuple(feature)[:-1] for feature in (*USER_FEATURES, *SLOT_FEATURES)]  # the meaning is prose
    return f"{LAW_VERSION}-{crc32(repr((LAW_VERSION, N_USER_FEATURES, told)).encode()):08x}"


# What a policy document was made for: names, units, ranges, encodings and order of all features, and their law.
FINGERPRINT = _fingerprint()
