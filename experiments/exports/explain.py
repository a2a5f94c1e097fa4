"""What a policy would do for a user, hour by hour, why, and what would have to be otherwise for another decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from policies.decide import Decision, Policy
from policies.exploration import greedy_action
from policies.inputs import decode, encode, inputs
from policies.strict_json import did_you_mean
from policies.vocabulary import action_names, feature_names, features

# A user as there are many, in people's units; what is not named is 0.
TYPICAL: Mapping[str, float] = MappingProxyType(
    {
        "season_index": 1.0, "days_to_quiet": 0.25, "hours_since_session": 20.0, "sessions_1d": 1.0, "sessions_7d": 4.0,
        "sessions_30d": 15.0, "own_hour_share": 1.0 / 24.0, "tenure_days": 120.0, "pushes_7d": 1.0, "send_load": 1.0,
        "hours_since_send": 60.0, "push_open_rate": 0.05, "email_open_rate": 0.15, "unopened": 2.0, "push_opt_in": 1.0,
        "email_opt_in": 1.0, "hours_since_conversion": 700.0, "tier": 0.5, "daily_cap_left": 1.0, "budget_left": 1.0,
    }
)  # fmt: skip
TYPICAL_SLOT: Mapping[str, float] = MappingProxyType(
    {"relevance": 0.3, "bucket_recency": 0.25, "hours_to_expiry": 72.0, "margin_eur": 5.0, "click_rate": 0.03}
)
CLOCK = ("local_hour_sin", "local_hour_cos")
N_STEPS = 400  # of a feature's range, that are looked at for another decision
N_HALVINGS = 50


@dataclass(frozen=True)
class Hour:
    """A decision at a local hour.

    Attributes:
        hour: 0 to 23.
        decision: what would be decided; its reasons are those of the preferred action.
        preferred: the name of the likeliest action.
    """

    hour: int
    decision: Decision
    preferred: str


@dataclass(frozen=True)
class Turn:
    """The smallest change of one feature after which another action is likeliest.

    Attributes:
        feature: its name.
        now: its value, in people's units.
        turns_at: the nearest value with another decision.
        rises: whether it is above what it is now.
        action: the action then.
        share: of the feature's range, that it has to move.
    """

    feature: str
    now: float
    turns_at: float
    rises: bool
    action: str
    share: float

    def in_words(self) -> str:
        """Return it as a line."""
        side = "from" if self.rises else "down to"
        return f"{self.feature} {side} {self.turns_at:.4g} (now {self.now:.4g}): {self.action}"


@dataclass(frozen=True)
class Explanation:
    """What a policy would do.

    Attributes:
        policy: its name.
        policy_hash: of its document.
        kind: of its model.
        hours: 24 of them.
        at: the hour that is looked at closely.
        turns: features by which the decision turns, the nearest first.
    """

    policy: str
    policy_hash: str
    kind: str
    hours: tuple[Hour, ...]
    at: int
    turns: tuple[Turn, ...]

    def in_words(self) -> str:
        """Return it as text of several lines."""
        lines = [f"{self.policy} ({self.kind}, {self.policy_hash[:15]})", ""]
        begin = 0
        for hour in range(1, 25):
            if hour < 24 and self.hours[hour].preferred == self.hours[begin].preferred:
                continue
            span = f"{begin:02d}:00" if hour == begin + 1 else f"{begin:02d} to {hour - 1:02d}"
            why = {_reason(each) for each in self.hours[begin:hour]}
            because = f": {why.pop()}" if len(why) == 1 else ""  # graded ones differ from hour to hour
            shares = [max(each.decision.probabilities) for each in self.hours[begin:hour]]
            low, high = min(shares), max(shares)
            chance = "" if low == 1.0 else f" ({low:.0%})" if high - low < 0.01 else f" ({low:.0%} to {high:.0%})"
            lines.append(f"  {span:8}  {self.hours[begin].preferred}{chance}{because}")
            begin = hour
        closely = self.hours[self.at]
        lines += ["", f"At {self.at:02d}:00, {closely.preferred}, because"]
        lines += [f"  {reason}" for reason in closely.decision.reasons]
        lines += ["", "Another decision, if one thing alone were otherwise:"]
        lines += [f"  {turn.in_words()}" for turn in self.turns] or ["  none: no single feature turns it"]
        return "\n".join(lines)


def explain(
    policy: Policy, user: Mapping[str, float] | None = None, *, eligible: tuple[str, ...] = (), at: int = 18
) -> Explanation:
    """Return what a policy would do for a user, everything but the hour as it is.

    Args:
        policy: made ready.
        user: features by name, in people's units, over those of a typical user; `slot.relevance` means all slots.
        eligible: names of sends that are; none: all.
        at: the local hour that is looked at closely, 0 to 23.

    Raises:
        ValueError: an unknown feature or action, a value out of range, or an hour that is none.
    """
    n_slots = policy.document.n_slots
    if not 0 <= at <= 23:
        raise ValueError(f"at: expected a local hour from 0 to 23, got {at}")
    values = _observation(n_slots, user or {})
    names = action_names(n_slots)
    if unknown := [name for name in eligible if name not in names]:
        raise ValueError(f"eligible: expected actions, got {unknown[0]!r}.{did_you_mean(unknown[0], names)}")
    allowed = [name == names[0] or not eligible or name in eligible for name in names]
    hours = tuple(_hour(policy, values, allowed, hour) for hour in range(24))
    turns = _turns(policy, _at(values, at), allowed)
    document = policy.document
    return Explanation(document.name, policy.policy_hash, document.model.kind, hours, at, turns)


def typical_user(n_slots: int, hour: int) -> list[float]:
    """Return the observation of a user as there are many, at a local hour, shape (29 + 7 C,)."""
    return _at(_observation(n_slots, {}), hour)


def _reason(hour: Hour) -> str:
    """Return the first reason, without what is only drawn."""
    return next((reason for reason in hour.decision.reasons if "was drawn with probability" not in reason), "")


def _observation(n_slots: int, user: Mapping[str, float]) -> list[float]:
    """Return the encoded observation of a typical user, with what was said of this one; the clock's entries are 0."""
    names, known = feature_names(n_slots), inputs(n_slots)
    by_name = dict(zip(names, features(n_slots), strict=True))
    typical = dict(TYPICAL) | {f"slot{slot}.{name}": v for slot in range(n_slots) for name, v in TYPICAL_SLOT.items()}
    found = dict.fromkeys(names, 0.0)
    for name, feature in by_name.items():
        if name not in CLOCK:
            encoded = encode(feature, typical.get(name, 0.0))
            found[name] = feature.low if encoded is None else encoded  # 0 is out of the range of some
    settable = (*names[len(CLOCK) :], *(name for name in known if known[name].is_per_slot))
    for said, value in user.items():
        if said not in settable:
            raise ValueError(f"user: expected features of the vocabulary, got {said!r}.{did_you_mean(said, settable)}")
        slots = [said.replace("slot.", f"slot{slot}.", 1) for slot in range(n_slots)]
        for name in slots if known[said].is_per_slot else [said]:
            feature = by_name[name]
            encoded = encode(feature, value)
            if encoded is None:
                low, high = decode(feature, feature.low), decode(feature, feature.high)
                unit = f" {feature.unit}" if feature.unit else ""
                raise ValueError(f"user: {name}: expected {low:.6g} to {high:.6g}{unit}, got {value:g}")
            found[name] = encoded
    return list(found.values())


def _at(values: list[float], hour: float) -> list[float]:
    angle = hour * math.pi / 12.0
    return [math.sin(angle), math.cos(angle), *values[2:]]


def _hour(policy: Policy, values: list[float], allowed: list[bool], hour: int) -> Hour:
    seen = _at(values, hour)
    shares = policy.probabilities(seen, allowed)
    best = greedy_action(shares)
    # Drawn so that the preferred action comes out, and the reasons are its own.
    before = math.fsum(shares[:best])
    decision = policy.decide(seen, allowed, min(before, math.nextafter(1.0, 0.0)))
    return Hour(hour, decision, action_names(policy.document.n_slots)[best])


def _turns(policy: Policy, values: list[float], allowed: list[bool]) -> tuple[Turn, ...]:
    """Return by which features the likeliest action turns, one at a time."""
    n_slots = policy.document.n_slots
    names = action_names(n_slots)

    def likeliest(index: int, value: float) -> int:
        moved = list(values)
        moved[index] = value
        return greedy_action(policy.probabilities(moved, allowed))

    now = greedy_action(policy.probabilities(values, allowed))

    def is_other(index: int, value: float) -> bool:
        return likeliest(index, value) != now

    found = []
    for index, (name, feature) in enumerate(zip(feature_names(n_slots), features(n_slots), strict=True)):
        if name in CLOCK or not _is_read(policy, name):
            continue
        for end in (feature.low, feature.high):
            turn = _nearest(partial(is_other, index), values[index], end)
            if turn is not None:
                share = abs(turn - values[index]) / (feature.high - feature.low)
                action = names[likeliest(index, turn)]
                told = decode(feature, values[index]), decode(feature, turn)
                found.append(Turn(name, *told, turn > values[index], action, share))
    return tuple(sorted(found, key=lambda turn: turn.share))


def _is_read(policy: Policy, name: str) -> bool:
    slot, dot, rest = name.partition(".")
    return name in policy.inputs or (bool(dot) and slot.startswith("slot") and f"slot.{rest}" in policy.inputs)


def _nearest(is_other: Callable[[float], bool], start: float, end: float) -> float | None:
    """Return the value between start and end, the nearest to start, at which a decision is another; None: nowhere."""
    before = start
    for step in range(1, N_STEPS + 1):
        value = start + (end - start) * step / N_STEPS
        if is_other(value):
            low, high = before, value
            for _ in range(N_HALVINGS):
                middle = 0.5 * (low + high)
                low, high = (low, middle) if is_other(middle) else (middle, high)
            return high
        before = value
    return None
