"""Rules for many users: each rule looks only at those whom none before it has decided about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.batch.seen import Bools, Floats, Ints, Seen
from policies.inputs import N_CHANNELS, Input, inputs, interval
from policies.kinds.rules import Condition, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT


class BatchRules:
    """Rules made ready for n_slots."""

    def __init__(self, model: Rules, n_slots: int) -> None:
        self._rules = [_Ready(rule, n_slots) for rule in (*model.rules, Rule("", (), model.default))]

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return 1 for the action that is chosen, 0 for the other eligible ones, -inf for the rest; shape (A, n)."""
        found = np.where(eligible, 0.0, -np.inf)
        found[self._actions(seen, eligible), np.arange(seen.n)] = 1.0
        return found

    def _actions(self, seen: Seen, eligible: Bools) -> Ints:
        """Return the chosen action of each user, shape (n,); eligible: shape (A, n)."""
        actions = np.zeros(seen.n, np.int64)
        waiting = np.arange(seen.n)
        for rule in self._rules:
            rows = rule.holding(seen, waiting)
            if not rows.size:
                continue
            chosen = rule.act(seen, eligible, rows)
            is_decided = chosen >= 0
            if not is_decided.any():
                continue
            actions[rows[is_decided]] = chosen[is_decided]
            is_waiting = np.zeros(seen.n, np.bool_)
            is_waiting[waiting] = True
            is_waiting[rows[is_decided]] = False
            waiting = np.flatnonzero(is_waiting)
            if not waiting.size:
                break
        return actions


class _Test:
    """A condition made ready: where the value stands, the closed intervals, whether it must lie in one or in none."""

    def __init__(self, condition: Condition, entry: Input) -> None:
        self.index = entry.index
        self._intervals = interval(entry, condition.operator, condition.value)
        self._is_wanted = condition.operator != "!="

    def holds(self, values: Floats) -> Bools:
        """Return whether it holds of each value."""
        found = np.zeros(values.shape, np.bool_)
        for low, high in self._intervals:
            if low == -np.inf:
                found |= values <= high
            elif high == np.inf:
                found |= values >= low
            else:
                found |= (low <= values) & (values <= high)
        return found if self._is_wanted else ~found


class _Ready:
    """A rule made ready."""

    def __init__(self, rule: Rule, n_slots: int) -> None:
        known = inputs(n_slots)
        tests = [(_Test(each, known[each.feature]), known[each.feature].is_per_slot) for each in rule.when]
        self._on_user = [test for test, is_per_slot in tests if not is_per_slot]
        self._on_slot = [test for test, is_per_slot in tests if is_per_slot]
        self._send = rule.then if isinstance(rule.then, Send) else None
        self._channels: Sequence[int] = range(N_CHANNELS)
        self._by = -1
        if self._send is not None:
            self._channels = [CHANNELS_OF_A_SLOT.index(channel) for channel in self._send.channels]
            self._by = -1 if self._send.by is None else known[self._send.by].index

    def holding(self, seen: Seen, rows: Ints) -> Ints:
        """Return those of some rows for which the conditions hold that are not about a candidate."""
        for test in self._on_user:
            if not rows.size:
                break
            values = seen.column(test.index)
            rows = rows[test.holds(values if rows.size == seen.n else values[rows])]
        return rows

    def act(self, seen: Seen, eligible: Bools, rows: Ints) -> Ints:
        """Return the action for each of some rows in which the conditions hold, -1 where there is no candidate."""
        if self._send is None and not self._on_slot:
            return np.zeros(rows.size, np.int64)
        by_channel = [eligible[1 + channel :: N_CHANNELS][:, rows] for channel in self._channels]
        is_open = by_channel[0].copy()  # (C, rows)
        for others in by_channel[1:]:
            is_open |= others
        for test in self._on_slot:
            is_open &= test.holds(seen.of_slots(test.index)[:, rows])
        if self._send is None:
            return np.where(is_open.any(axis=0), 0, -1)
        slots = self._slots(seen, is_open, rows)
        place = np.arange(rows.size)
        channels = np.full(rows.size, self._channels[-1])
        # From the last to the first, so that the preferred one stays.
        for channel, flags in reversed(list(zip(self._channels, by_channel, strict=True))):
            channels[flags[slots, place]] = channel
        return np.where(is_open[slots, place], 1 + N_CHANNELS * slots + channels, -1)

    def _slots(self, seen: Seen, is_open: Bools, rows: Ints) -> Ints:
        """Return the slot that is chosen among the open ones, the lowest of equals, shape (rows,)."""
        if self._by < 0:
            first: Ints = is_open.argmax(axis=0)
            return first
        assert self._send is not None
        values = seen.of_slots(self._by)[:, rows]
        scores = np.where(is_open, -values if self._send.slot == "lowest" else values, -np.inf)
        best: Ints = scores.argmax(axis=0)
        return best
