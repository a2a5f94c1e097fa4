"""Rules: an ordered list, of which the first that applies and has an eligible action decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from policies.inputs import N_CHANNELS, Input, inputs, interval, read_input, read_threshold
from policies.strict_json import Node, repeated
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, action_names

MAX_RULES = 500
MAX_CONDITIONS = 20
MAX_VALUES = 48  # of one `in`
OPERATORS = ("<", "<=", ">", ">=", "==", "!=", "between", "in")
SLOT_CHOICES = ("first", "highest", "lowest")
NO_SEND: Literal["no_send"] = "no_send"


@dataclass(frozen=True)
class Condition:
    """A comparison of one input.

    Attributes:
        feature: an entry of the vocabulary, `local_hour`, or `slot.relevance` of the candidate that is looked at.
        operator: one of OPERATORS; `between` is [low, high), `in` any of some values.
        value: in the feature's unit; two numbers for `between`, some for `in`.
    """

    feature: str
    operator: str
    value: float | tuple[float, ...]


@dataclass(frozen=True)
class Send:
    """Which eligible candidate is sent, and on which channel.

    The slot is chosen first, among those with an eligible action on one of the channels; then the first of the
    channels that is eligible for it. A rule for which the channel matters more than the slot is written as two.

    Attributes:
        channels: those that may be used, the preferred one first.
        slot: `first`, or `highest` or `lowest` of a feature; ties go to the lowest slot.
        by: that feature, `slot.margin_eur`; absent with `first`.
    """

    channels: tuple[str, ...]
    slot: str = "first"
    by: str | None = None


@dataclass(frozen=True)
class Rule:
    """One rule.

    It applies when all conditions hold; those on `slot.*` must hold for one and the same candidate with an eligible
    action (on one of its channels, if it sends). A rule that sends and finds no such candidate is passed over.

    Attributes:
        name: what reasons call it.
        when: all must hold; none is needed.
        then: what it does.
    """

    name: str
    when: tuple[Condition, ...]
    then: Send | Literal["no_send"]


@dataclass(frozen=True)
class Rules:
    """Rules in order, and what happens when none of them decides (no send, if that is impossible too)."""

    kind: ClassVar[str] = "rules"
    rules: tuple[Rule, ...]
    default: Send | Literal["no_send"] = NO_SEND


def read(node: Node, n_slots: int) -> Rules:
    """Read rules; faults are noted in the node."""
    fields = node.fields(("kind", "rules", "default"))
    rules = tuple(_read_rule(rule, n_slots) for rule in fields["rules"].items(0, MAX_RULES, "rules"))
    if twice := repeated([rule.name for rule in rules if rule.name]):
        fields["rules"].note(f"expected a name of its own for each rule, got {twice[0]!r} again")
    return Rules(rules, _read_action(fields["default"], n_slots))


def _read_rule(node: Node, n_slots: int) -> Rule:
    fields = node.fields(("name", "when", "then"))
    conditions = fields["when"].items(0, MAX_CONDITIONS, "conditions")
    return Rule(
        fields["name"].text(at_least=1),
        tuple(_read_condition(condition, n_slots) for condition in conditions),
        _read_action(fields["then"], n_slots),
    )


def _read_condition(node: Node, n_slots: int) -> Condition:
    fields = node.fields(("feature", "operator", "value"))
    entry = read_input(fields["feature"], n_slots)
    operator = fields["operator"].name(OPERATORS)
    written = fields["value"]
    value: float | tuple[float, ...] = 0.0
    if operator == "between":
        value = tuple(read_threshold(bound, entry) for bound in written.items(2, 2, "numbers, low and high"))
        if len(value) == 2 and not value[0] < value[1]:
            written.note(f"expected low < high, got {value[0]:g} and {value[1]:g}")
    elif operator == "in":
        value = tuple(read_threshold(single, entry) for single in written.items(1, MAX_VALUES, "numbers"))
    elif operator:
        value = read_threshold(written, entry)
    return Condition(entry.name if entry else "", operator, value)


def _read_action(node: Node, n_slots: int) -> Send | Literal["no_send"]:
    if not isinstance(node.value, dict):
        if node.value != NO_SEND:
            node.refuse('"no_send" or an object with channels, slot', (NO_SEND,))
        return NO_SEND
    fields = node.fields(("channels", "slot"), ("by",))
    listed = fields["channels"].items(1, N_CHANNELS, "channels")
    channels = tuple(channel.name(CHANNELS_OF_A_SLOT) for channel in listed)
    if len(set(channels)) < len(channels):
        fields["channels"].note("expected each channel once")
    slot = fields["slot"].name(SLOT_CHOICES)
    by = None
    if slot in ("highest", "lowest"):
        if fields["by"].is_missing:
            fields["by"].note(f"missing; {slot} of which slot feature?")
        entry = read_input(fields["by"], n_slots, "of the candidate")
        by = entry.name if entry else None
    elif slot and not fields["by"].is_missing:
        fields["by"].note(f"unknown field with slot {slot!r}")
    return Send(channels, slot, by)


class Chooser:
    """Rules made ready for n_slots."""

    def __init__(self, model: Rules, n_slots: int) -> None:
        self._names = action_names(n_slots)
        self._rules = tuple(_Ready(rule.name, rule.when, rule.then, n_slots) for rule in model.rules)
        self._default = _Ready("", (), model.default, n_slots)
        self.inputs = tuple(
            dict.fromkeys(
                name
                for rule in (*model.rules, Rule("", (), model.default))
                for name in (*(c.feature for c in rule.when), rule.then.by if isinstance(rule.then, Send) else None)
                if name is not None
            )
        )

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return 1 for the action that is chosen, 0 for the other eligible ones, -inf for the rest; shape (A,).

        Args:
            values: the observation and the local hour, shape (29 + 7 C + 1,).
            eligible: shape (A,).
        """
        found = [0.0 if is_eligible else -math.inf for is_eligible in eligible]
        found[self._decide(values, eligible)[0]] = 1.0
        return found

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return which rule decided, and those before it that would have, had something been eligible."""
        action, place = self._decide(values, eligible)
        who = "no rule applied: the default" if place == len(self._rules) else f"rule {self._rules[place].name!r}"
        passed = (rule.name for rule in self._rules[:place] if rule.holds(values) and not rule.reads_slots)
        return (
            f"{who} chose {self._names[action]}",
            *(f"rule {name!r} applied, but nothing that it may send is eligible" for name in passed),
        )

    def _decide(self, values: Sequence[float], eligible: Sequence[bool]) -> tuple[int, int]:
        """Return the chosen action and which rule chose it, len(rules) for the default."""
        for place, rule in enumerate(self._rules):
            if rule.holds(values):
                action = rule.act(values, eligible)
                if action >= 0:
                    return action, place
        return max(0, self._default.act(values, eligible)), len(self._rules)


# A condition made ready: where the value stands, the closed intervals, and whether it must lie in one or in none.
_Test = tuple[int, tuple[tuple[float, float], ...], bool]


def _test(condition: Condition, entry: Input) -> _Test:
    return entry.index, interval(entry, condition.operator, condition.value), condition.operator != "!="


def _all_hold(tests: Sequence[_Test], values: Sequence[float], offset: int = 0) -> bool:
    for index, intervals, wanted in tests:
        value = values[index + offset]
        for low, high in intervals:
            if low <= value <= high:
                if not wanted:
                    return False
                break
        else:
            if wanted:
                return False
    return True


class _Ready:
    """A rule made ready; a rule that does not send has no channels."""

    def __init__(self, name: str, when: Sequence[Condition], then: Send | Literal["no_send"], n_slots: int) -> None:
        known = inputs(n_slots)
        self.name = name
        self._slots = range(n_slots)
        self._on_user = [_test(c, known[c.feature]) for c in when if not known[c.feature].is_per_slot]
        self._on_slot = [_test(c, known[c.feature]) for c in when if known[c.feature].is_per_slot]
        self.reads_slots = bool(self._on_slot)
        self._sends = isinstance(then, Send)
        self._channels: Sequence[int] = range(N_CHANNELS)
        self._by = -1
        self._sign = 1.0
        if isinstance(then, Send):
            self._channels = [CHANNELS_OF_A_SLOT.index(channel) for channel in then.channels]
            self._by = -1 if then.by is None else known[then.by].index
            self._sign = -1.0 if then.slot == "lowest" else 1.0

    def holds(self, values: Sequence[float]) -> bool:
        """Return whether the conditions hold that are not about a candidate."""
        return _all_hold(self._on_user, values)

    def act(self, values: Sequence[float], eligible: Sequence[bool]) -> int:
        """Return the action that is taken once `holds`, or -1 when there is no candidate for it."""
        if not self._sends and not self._on_slot:
            return 0
        best, best_score = -1, -math.inf
        for slot in self._slots:
            action = self._action_of(slot, eligible)
            if action < 0 or not _all_hold(self._on_slot, values, N_SLOT_FEATURES * slot):
                continue
            if not self._sends:
                return 0
            if self._by < 0:
                return action
            score = self._sign * values[self._by + N_SLOT_FEATURES * slot]
            if score > best_score:
                best, best_score = action, score
        return best

    def _action_of(self, slot: int, eligible: Sequence[bool]) -> int:
        for channel in self._channels:
            action = 1 + N_CHANNELS * slot + channel
            if eligible[action]:
                return action
        return -1
