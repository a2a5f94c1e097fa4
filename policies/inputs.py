"""What a document may read: entries of the vocabulary, a candidate's feature in whichever slot it stands, the hour.

Names are those of the vocabulary (`tier`, `slot2.relevance`), and two forms for people:

- `slot.relevance` is the feature of the candidate that is being looked at, in any slot;
- `local_hour` is the whole local hour, 0 to 23, recovered from its sine and cosine.

Thresholds are written in the unit of the vocabulary (`hours_since_send >= 24` means 24 hours, not ln 25) and encoded
once, when a document is made ready. Simulators hand over float32, production float64; so that both decide alike, a
value within `SLACK` of a threshold counts as equal to it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from policies.strict_json import Node, is_number
from policies.vocabulary import (
    CHANNELS_OF_A_SLOT,
    N_SLOT_FEATURES,
    N_USER_FEATURES,
    SLOT_FEATURES,
    USER_FEATURES,
    Feature,
    n_features,
)

SLACK = 1e-6  # absolute below 1, relative above; float32 carries 6e-8 relative
N_CHANNELS = len(CHANNELS_OF_A_SLOT)
LOCAL_HOUR = Feature("local_hour", "hours", 0.0, 24.0, "plain", "whole local hour of the day, 0 to 23")
_SINE, _COSINE = (
    [feature.name for feature in USER_FEATURES].index(name) for name in ("local_hour_sin", "local_hour_cos")
)


@dataclass(frozen=True)
class Input:
    """Something that a document may read.

    Attributes:
        name: as documents write it.
        feature: what it is.
        index: where it stands in the observation; of a per-slot input where slot 0's stands; the local hour stands
            behind the observation's end.
        is_per_slot: whether the name means the candidate that is being looked at (`slot.relevance`).
    """

    name: str
    feature: Feature
    index: int
    is_per_slot: bool = False


Scope = Literal["anything", "an entry", "shared", "of the candidate"]


_SCOPES = {
    "an entry": "an entry of the vocabulary",
    "shared": "of the user, slot.* or local_hour",
    "of the candidate": "slot.*",
}


@lru_cache(maxsize=32)
def inputs(n_slots: int, scope: Scope = "anything") -> dict[str, Input]:
    """Return inputs by their names: the vocabulary's in its order, then `slot.*`, then `local_hour`.

    Args:
        scope: all of them; only entries of the vocabulary; only what means the same in every slot (the user's,
            `slot.*` and `local_hour`); only `slot.*`.
    """
    found = [Input(feature.name, feature, index) for index, feature in enumerate(USER_FEATURES)]
    for slot in range(n_slots):
        start = N_USER_FEATURES + slot * N_SLOT_FEATURES
        found += [Input(f"slot{slot}.{f.name}", f, start + k) for k, f in enumerate(SLOT_FEATURES)]
    found += [Input(f"slot.{f.name}", f, N_USER_FEATURES + k, is_per_slot=True) for k, f in enumerate(SLOT_FEATURES)]
    found.append(Input(LOCAL_HOUR.name, LOCAL_HOUR, n_features(n_slots)))
    match scope:
        case "an entry":
            found = [entry for entry in found if not entry.is_per_slot and entry.feature is not LOCAL_HOUR]
        case "shared":
            found = [entry for entry in found if entry.is_per_slot or not entry.name.startswith("slot")]
        case "of the candidate":
            found = [entry for entry in found if entry.is_per_slot]
    return {entry.name: entry for entry in found}


def read_input(node: Node, n_slots: int, scope: Scope = "anything") -> Input | None:
    """Return the input that a place of a document names; None when there is none of that name to be read there."""
    known = inputs(n_slots, scope)
    what = "a feature" if scope == "anything" else f"a feature ({_SCOPES[scope]})"
    name = node.name(known, f"{what} that can be computed with {n_slots} slots")
    return known[name] if name else None


def local_hour(values: Sequence[float]) -> float:
    """Return the whole local hour of an observation, 0 to 23.

    The clock is read to 1e-4 hours, so that 9 o'clock in float32 is not 8.9999999.
    """
    hours = math.atan2(values[_SINE], values[_COSINE]) * (12.0 / math.pi)
    return float(math.floor(round(hours, 4) % 24.0))


def encode(feature: Feature, value: float) -> float | None:
    """Return a value in the feature's unit as it stands in an observation; None when it lies out of range."""
    match feature.encoding:
        case "log1p":
            encoded = math.log1p(value) if value > -1.0 else -math.inf
        case "logit":
            encoded = math.log(value / (1.0 - value)) if 0.0 < value < 1.0 else math.copysign(math.inf, value - 0.5)
        case _:
            encoded = value
    slack = slack_at(encoded) if math.isfinite(encoded) else 0.0
    return encoded if feature.low - slack <= encoded <= feature.high + slack else None


def decode(feature: Feature, encoded: float) -> float:
    """Return an entry of an observation in the feature's unit."""
    match feature.encoding:
        case "log1p":
            return math.expm1(encoded)
        case "logit":
            return 1.0 / (1.0 + math.exp(-encoded))
    return encoded


def slack_at(threshold: float) -> float:
    """Return how far from an encoded threshold a value counts as equal to it."""
    return SLACK * max(1.0, abs(threshold))


def read_threshold(node: Node, entry: Input | None) -> float:
    """Return a number in an input's unit that its values can reach."""
    value = node.number()
    if entry is not None and is_number(node.value) and encode(entry.feature, value) is None:
        feature = entry.feature
        low, high = decode(feature, feature.low), decode(feature, feature.high)
        unit = f" {feature.unit}" if feature.unit else ""
        node.refuse(f"a value that {entry.name} can take, {low:.6g} to {high:.6g}{unit}")
    return value


def edges(entry: Input, thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return rising thresholds, encoded and lowered by the slack: `bin_of` tells how many a value has reached."""
    encoded = [_encoded(entry, threshold) for threshold in thresholds]
    return tuple(threshold - slack_at(threshold) for threshold in encoded)


bin_of = bisect_right


def interval(entry: Input, operator: str, value: float | tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Return the closed intervals of encoded values in which a comparison holds (for `!=`, in which it fails)."""
    if operator == "in":
        assert isinstance(value, tuple)
        return tuple(interval(entry, "==", single)[0] for single in value)
    if operator == "between":
        assert isinstance(value, tuple)
        low, high = edges(entry, value)
        return ((low, high),)
    assert isinstance(value, float)
    threshold = _encoded(entry, value)
    slack = slack_at(threshold)
    match operator:
        case "<":
            return ((-math.inf, threshold - slack),)
        case "<=":
            return ((-math.inf, threshold + slack),)
        case ">":
            return ((threshold + slack, math.inf),)
        case ">=":
            return ((threshold - slack, math.inf),)
    return ((threshold - slack, threshold + slack),)


def _encoded(entry: Input, value: float) -> float:
    encoded = encode(entry.feature, value)
    assert encoded is not None, "the reader has checked the range"
    return encoded
