"""Random states of everything that constraints and features read: plausible lives, and wild numbers in every field.

Wild numbers stay within what a field may hold (a tier is one of 32): what lies outside is refused where it enters.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.constraints import CAMPAIGN_FIELDS, N_CAPS, N_CHANNELS, PERSON_FIELDS, RULES_FIELDS
from policies.history import (
    HISTORY_FIELDS,
    LONG_AGO,
    N_BUCKETS,
    N_CONVERSIONS,
    N_COUNTERS,
    N_SENDS,
    NO_CATEGORY,
)
from policies.moments import MOMENT_FIELDS, clock_face
from policies.structs import Field, Struct
from simulator.records import as_dtype

Rows = npt.NDArray[Any]
N_CAMPAIGNS = 2  # asked of each state
TABLES = {
    "rules": RULES_FIELDS,
    "history": HISTORY_FIELDS,
    "person": PERSON_FIELDS,
    "campaigns": CAMPAIGN_FIELDS,
    "moment": MOMENT_FIELDS,
}
# The least and the greatest of what a wild field may hold; others hold whatever their type does.
BOUNDS: dict[str, tuple[float, float]] = {
    "n_caps": (0, N_CAPS),
    "cap_calendar": (0, 4),
    "cap_zone": (0, 2),
    "quiet_mode": (0, 4),
    "quiet_zone": (0, 2),
    "quiet_start": (0, 1441),
    "quiet_end": (0, 1441),
    "local_minute": (0, 1440),
    "project_local_minute": (0, 1440),
    "minute": (0, 60),
    "next_send": (0, N_SENDS),
    "next_conversion": (0, N_CONVERSIONS),
    "kind": (0, 3),
    "trigger": (0, 5),
    "category": (0, 8),
    "bucket": (0, N_BUCKETS),
    "counter": (0, N_COUNTERS + 1),
    "segment": (0, 32),
    "tier": (0, 32),
    "stage": (0, 8),
    "os": (0, 8),
    "clock_sin": (-1.0, 1.0),
    "clock_cos": (-1.0, 1.0),
    "season": (-5.0, 5.0),
    "send_load": (0.0, 1e4),
    "last_session_hours": (-1e9, 1e9),
    "installed_hours": (-1e9, 1e9),
    "dormancy_hours": (-1e6, 1e6),
}


def wild(draw: np.random.Generator, fields: tuple[Field, ...], shape: tuple[int, ...]) -> Rows:
    """Return records with any number in every field, extremes among them."""
    rows = np.zeros(shape, as_dtype(fields))
    for name, code, length in fields:
        size = (*shape, length) if length else shape
        if code.startswith("f"):
            low, high = BOUNDS[name]
            rows[name] = draw.uniform(low, high, size)
        else:
            info = np.iinfo(code)
            low, high = BOUNDS.get(name, (int(info.min), int(info.max) + 1))
            numbers = draw.integers(int(low), int(high), size)
            extreme = draw.choice(np.asarray([low, high - 1], np.int64), size)
            rows[name] = np.where(draw.random(size) < 0.1, extreme, numbers)
    return rows


def plausible(draw: np.random.Generator, n: int) -> dict[str, Rows]:
    """Return n lives such as an app sees, with rules that often bite, as records of each table."""
    tables = {
        name: np.zeros((n, N_CAMPAIGNS) if name == "campaigns" else (n,), as_dtype(f)) for name, f in TABLES.items()
    }
    hour = draw.integers(0, 500_000, n)
    _fill_moment(draw, tables["moment"], hour)
    _fill_history(draw, tables["history"], hour)
    _fill_rules(draw, tables["rules"])
    _fill_person(draw, tables["person"], hour)
    _fill_campaigns(draw, tables["campaigns"], hour)
    return tables


def _fill_moment(draw: np.random.Generator, moment: Rows, hour: npt.NDArray[np.int64]) -> None:
    n = len(moment)
    moment["hour"] = hour
    moment["minute"] = draw.integers(0, 60, n) * (draw.random(n) < 0.5)
    moment["weekday"] = draw.integers(0, 7, n)
    moment["season"] = draw.uniform(0.3, 3.2, n)
    for prefix in ("", "project_"):
        day = hour - draw.integers(0, 25, n)
        moment[f"{prefix}local_minute"] = draw.integers(0, 1440, n)
        moment[f"{prefix}day_start"] = day
        moment[f"{prefix}week_start"] = day - 24 * draw.integers(0, 7, n)
        moment[f"{prefix}month_start"] = day - 24 * draw.integers(0, 31, n)
    faces = np.asarray([clock_face(minute) for minute in range(1440)])
    moment["clock_sin"], moment["clock_cos"] = faces[moment["local_minute"]].T


def _fill_history(draw: np.random.Generator, history: Rows, hour: npt.NDArray[np.int64]) -> None:
    """Lives that end at an hour: sends in a ring, newest last; sessions on the days of the ring."""
    n = len(history)
    next_send = draw.integers(0, N_SENDS, n)
    scale = draw.choice([1.0, 5.0, 40.0], (n, 1))
    back = np.cumsum(draw.exponential(scale, (n, N_SENDS)).astype(np.int64) + draw.integers(0, 2, (n, 1)), axis=1)
    n_sends = draw.integers(0, 60, n)
    is_blank = np.arange(N_SENDS)[None, :] >= n_sends[:, None]
    label = draw.integers(0, 256, (n, N_SENDS))
    entry = np.where(is_blank, LONG_AGO * 256, (hour[:, None] - back) * 256 + label)
    place = (next_send[:, None] - 1 - np.arange(N_SENDS)) % N_SENDS
    np.put_along_axis(history["sends"], place, entry.astype(np.int32), axis=1)
    history["next_send"] = next_send
    history["sent_hour"] = np.where(is_blank[:, 0], LONG_AGO, hour - back[:, 0])
    history["send_load"] = draw.exponential(5.0, n)
    history["session_hour"] = hour - draw.integers(0, 1200, n) * draw.integers(0, 2, n)
    history["session_days"] = draw.integers(0, 2**32, (n, 24)) & draw.integers(0, 2**32, (n, 24))
    history["bucket_hour"] = hour[:, None] - draw.integers(0, 30_000, (n, N_BUCKETS))
    history["conversion_hour"] = hour - draw.integers(0, 4000, n) * draw.integers(0, 2, n)
    ages = draw.integers(0, 5000, (n, N_CONVERSIONS))
    history["conversions"] = (history["conversion_hour"][:, None] - ages) % 65_536
    history["n_sent"] = draw.integers(0, 300, (n, 2))
    history["n_opened"] = draw.integers(0, 60, (n, 2))
    history["campaign_sent"] = draw.integers(0, 5, (n, N_COUNTERS))
    history["campaign_hour"] = hour[:, None] - draw.integers(0, 40, (n, N_COUNTERS)) ** 2
    history["next_conversion"] = draw.integers(0, N_CONVERSIONS, n)
    history["unopened"] = draw.integers(0, 60, n)
    history["browse_category"] = draw.choice([0, 1, 2, 7, NO_CATEGORY], n)


def _fill_rules(draw: np.random.Generator, rules: Rows) -> None:
    n = len(rules)
    rules["n_caps"] = draw.integers(0, 4, n)
    rules["cap_limit"] = draw.choice([0, 1, 2, 3, 5, 10, 31], (n, N_CAPS))
    rules["cap_hours"] = draw.choice([1, 6, 24, 168, 744], (n, N_CAPS))
    rules["cap_calendar"] = draw.integers(0, 4, (n, N_CAPS))
    rules["cap_zone"] = draw.integers(0, 2, (n, N_CAPS))
    rules["cap_channels"] = draw.choice([1, 2, 3, 15], (n, N_CAPS))
    rules["cap_tags"] = draw.choice([0, 0, 1, 2, 5], (n, N_CAPS))
    rules["cap_overrides"] = draw.integers(0, 2, (n, N_CAPS)) & (rules["cap_tags"] > 0)
    rules["gap_hours"] = draw.choice([0, 0, 2, 8], n)
    rules["channel_gap_hours"] = draw.choice([0, 0, 3, 30], (n, N_CHANNELS))
    rules["quiet_start"], rules["quiet_end"] = draw.integers(0, 1441, n), draw.integers(0, 1441, n)
    rules["quiet_channels"] = draw.choice([1, 2, 3, 15], n)
    rules["quiet_mode"] = draw.integers(0, 4, n)
    rules["quiet_zone"] = draw.integers(0, 2, n)
    rules["open_channels"] = draw.choice([1, 3, 3, 15], n)
    for name in ("passes_caps", "passes_gap", "passes_quiet"):
        rules[name] = draw.choice([0, 4, 4, 6, 7], n)


def _fill_person(draw: np.random.Generator, person: Rows, hour: npt.NDArray[np.int64]) -> None:
    n = len(person)
    person["last_session_hours"] = hour - draw.exponential(60.0, n)
    person["installed_hours"] = hour - draw.exponential(3000.0, n)
    for name in ("browse_hour", "cart_hour", "order_hour"):
        person[name] = np.where(draw.random(n) < 0.1, LONG_AGO, hour - draw.integers(0, 40, n))
    person["seen_opted_in"] = draw.choice([0, 1, 2, 3, 3, 3, 15], n)
    person["has_consent"] = draw.integers(0, 2, n)
    person["muted_categories"] = 1 << draw.integers(0, 8, n)
    person["segment"], person["tier"] = draw.integers(0, 8, n), draw.integers(0, 32, n)
    person["stage"], person["os"] = draw.integers(0, 4, n), draw.integers(0, 2, n)


def _fill_campaigns(draw: np.random.Generator, campaigns: Rows, hour: npt.NDArray[np.int64]) -> None:
    shape = campaigns.shape
    now = hour[:, None]
    campaigns["kind"], campaigns["trigger"] = draw.integers(0, 3, shape), draw.integers(0, 5, shape)
    campaigns["category"], campaigns["bucket"] = draw.integers(0, 8, shape), draw.integers(0, 8, shape)
    campaigns["channels"] = draw.choice([1, 2, 3, 3, 15], shape)
    campaigns["tags"] = draw.choice([0, 1, 2, 3, 31], shape)
    campaigns["counter"] = draw.integers(0, N_COUNTERS + 1, shape)
    campaigns["per_user_cap"] = draw.integers(0, 6, shape)
    campaigns["needs_consent"] = draw.random(shape) < 0.1
    for name in ("segments", "tiers"):
        campaigns[name] = np.where(draw.random(shape) < 0.97, 2**32 - 1, draw.integers(0, 2**32, shape))
    for name in ("stages", "oses"):
        campaigns[name] = np.where(draw.random(shape) < 0.97, 255, draw.integers(0, 256, shape))
    campaigns["start_hour"] = now - draw.integers(-5, 100, shape)
    campaigns["end_hour"] = now + draw.integers(-1, 2000, shape)
    campaigns["delay_hours"] = draw.integers(0, 4, shape)
    campaigns["expiry_hours"] = draw.integers(4, 60, shape)
    campaigns["dormancy_hours"] = draw.uniform(1.0, 100.0, shape)


def structs(rows: Rows) -> list[Struct]:
    """Return the same values as objects of Python's own numbers, as production holds them."""
    columns = [rows[name].tolist() for name in rows.dtype.names or ()]
    names = rows.dtype.names or ()
    return [SimpleNamespace(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]
