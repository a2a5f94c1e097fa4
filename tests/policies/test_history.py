"""The record of a user's past against a diary: everything written down in lists, and counted by hand."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from policies import history as record
from policies.history import EMAIL, LONG_AGO, N_SENDS, PUSH, UNCOUNTABLE
from policies.structs import Struct
from simulator.records import HISTORY

# Hours between two events: the same hour, the next ones, days, the ring of 32 days, 90 days, the wrap of 16 bits.
STEPS = (0, 0, 0, 1, 1, 2, 5, 23, 24, 25, 167, 168, 700, 743, 744, 767, 768, 769, 2159, 2160, 2161)
LEAPS = (20_000, 65_535, 65_536, 65_537, 131_072)


@dataclass
class Diary:
    """All that ever happened to one user, and the record of it."""

    history: Struct = field(default_factory=record.blank_history)
    sends: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)
    conversions: list[int] = field(default_factory=list)
    n_opened: list[int] = field(default_factory=lambda: [0, 0])
    n_since_open: int = 0

    def send(self, hour: int, channel: int, tags: int, is_uncounted: int, bucket: int, counter: int) -> None:
        self.sends.append((hour, channel, tags, is_uncounted, bucket, counter))
        self.n_since_open += 1
        record.record_send(self.history, hour, channel, tags, is_uncounted, bucket, counter)

    def open(self, channel: int) -> None:
        self.n_since_open = 0
        if channel <= EMAIL:
            self.n_opened[channel] += 1
        record.record_open(self.history, channel)

    def session(self, hour: int) -> None:
        self.sessions.add(hour)
        record.record_session(self.history, hour)

    def order(self, hour: int) -> None:
        self.conversions.append(hour)
        record.record_conversion(self.history, hour)

    def counted(self, since: int, channels: int, tags: int, last: int | None = None) -> int:
        sends = self.sends if last is None else self.sends[-last:]
        return sum(
            hour >= since and not is_uncounted and bool(channels >> channel & 1) and (tags == 0 or bool(own & tags))
            for hour, channel, own, is_uncounted, _, _ in sends
        )

    def is_whole(self, since: int) -> bool:
        return len(self.sends) < N_SENDS or self.sends[-N_SENDS][0] < since

    def check(self, hour: int, draw: random.Random) -> None:
        """Compare every question that may be asked at an hour, windows drawn at random."""
        self._check_sends(hour, draw)
        for n_days in (1, 7, 30, draw.randint(1, 30)):
            expected = sum(hour - 24 * n_days <= at < hour for at in self.sessions)
            assert record.active_hours(self.history, hour, n_days) == expected, (hour, n_days)
        month = [at for at in self.sessions if hour - 720 <= at < hour]
        here = sum(at % 24 == hour % 24 for at in month)
        assert record.own_hour_share(self.history, hour, len(month)) == pytest.approx(
            (here + 0.5) / (len(month) + 12), rel=1e-12
        )
        for since in (hour - 2160, hour - draw.randint(0, 2160), hour):
            assert record.conversions_since(self.history, since) == sum(at >= since for at in self.conversions[-8:])

    def _check_sends(self, hour: int, draw: random.Random) -> None:
        for since in (hour, hour - 23, hour - 167, hour - 743, hour - draw.randint(0, 900)):
            channels, tags = draw.randint(0, 15), draw.choice((0, 0, draw.randint(1, 31)))
            whole = self.is_whole(since)
            remembered = self.counted(since, channels, tags, last=N_SENDS)
            assert record.remembered_sends(self.history, since, channels, tags) == (remembered, whole)
            true = self.counted(since, channels, tags)
            asked = record.sends_since(self.history, since, channels, tags)
            assert asked == (true if whole else UNCOUNTABLE)
            assert asked >= true, "a cap could be passed"
            gone_out = any(at >= since and channels >> channel & 1 for at, channel, *_ in self.sends)
            assert record.has_sent_since(self.history, since, channels) == (gone_out or not whole)
            unread = self.sends[-min(self.n_since_open, N_SENDS) :] if self.n_since_open else []
            expected = sum(at >= since and channel == PUSH for at, channel, *_ in unread)
            assert record.unopened_since(self.history, since, PUSH) == expected
        load = math.fsum(math.exp((at - hour) / 96) for at, *_ in self.sends)
        assert record.load_at(self.history, hour) == pytest.approx(load, rel=1e-9, abs=1e-15)
        for channel, prior in ((PUSH, 0.05), (EMAIL, 0.2)):
            n = sum(send[1] == channel for send in self.sends)
            rate = (self.n_opened[channel] + 10 * prior) / (n + 10)
            assert record.open_rate(self.history, channel) == pytest.approx(rate, rel=1e-12)
        assert self.history.unopened == min(255, self.n_since_open)
        for counter in range(record.N_COUNTERS):
            own = [s[0] for s in self.sends if s[5] == counter]
            assert self.history.campaign_sent[counter] == min(255, len(own))
            assert self.history.campaign_hour[counter] == (own[-1] if own else record.LONG_AGO)
        for bucket in range(record.N_BUCKETS):
            times = [send[0] for send in self.sends if send[4] == bucket]
            assert self.history.bucket_hour[bucket] == max(times, default=LONG_AGO)
        assert self.history.sent_hour == max((send[0] for send in self.sends), default=LONG_AGO)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_record_answers_as_the_diary(seed):
    draw = random.Random(seed)
    diary = Diary()
    hour = draw.choice((-900, -24, 0, 7, 500_000))
    steps = STEPS + LEAPS if seed % 2 else STEPS[:13]  # a dense life, or one with years of silence
    sends = seed % 3 + 1
    for _ in range(150):
        hour += draw.choice(steps)
        diary.check(hour, draw)
        for _ in range(draw.choice((0, 1, sends))):
            diary.send(
                hour,
                draw.choice((PUSH, PUSH, EMAIL, 2, 3)),
                draw.randint(0, 31),
                int(draw.random() < 0.2),
                draw.randint(0, 7),
                draw.randint(0, record.N_COUNTERS),
            )
        if draw.random() < 0.3:
            diary.open(draw.randint(0, 3))
        if draw.random() < 0.6:
            diary.session(hour)
        if draw.random() < 0.4:
            diary.order(hour)


def test_every_hour_of_forty_days_turns_the_ring_of_32():
    diary = Diary()
    draw = random.Random(1)
    for hour in range(-100, 40 * 24):
        diary.check(hour, draw) if hour % 7 == 0 else None
        diary.session(hour)
    assert record.active_hours(diary.history, 40 * 24, 30) == 720


def test_silence_of_any_length_leaves_no_session_behind():
    for silence in (*range(700, 1600, 13), 24 * 32, 24 * 64, 65_536, 24 * 32 * 1000):
        history = record.blank_history()
        record.record_session(history, 100)
        expected = int(silence <= 720)
        assert record.active_hours(history, 100 + silence, 30) == expected, silence


def test_an_order_is_not_mistaken_for_one_of_65536_hours_later():
    for silence in range(65_536 - 2200, 65_536 + 2200, 37):
        history = record.blank_history()
        record.record_conversion(history, 5)
        record.record_conversion(history, 5 + silence)
        assert record.conversions_since(history, 5 + silence - 2160) == 1, silence


@pytest.mark.parametrize("n", range(1, 8))
def test_orders_whose_silences_add_up_to_65536_hours_are_not_mistaken_either(n):
    history = record.blank_history()
    for k in range(9):
        record.record_conversion(history, 5 + k * (65_536 // n))
        assert record.conversions_since(history, 5 + k * (65_536 // n) - 2160) == 1


def test_more_sends_than_the_record_remembers_never_let_a_cap_be_passed():
    diary = Diary()
    for hour in range(100):
        diary.send(hour, PUSH if hour < 10 else EMAIL, 0, 0, 0, record.N_COUNTERS)
        pushes = min(hour + 1, 10)
        asked = record.sends_since(diary.history, 0, 1 << PUSH, 0)
        assert asked == (pushes if hour < N_SENDS - 1 else UNCOUNTABLE)


def test_counters_stop_at_their_last_number():
    history = record.blank_history()
    for hour in range(66_000):
        record.record_send(history, hour, PUSH, 0, 0, 0, 0)
        record.record_open(history, PUSH) if hour % 2 else None
    assert history.n_sent == [65_535, 0]
    assert history.campaign_sent[0] == 255
    packed = np.zeros(1, HISTORY)
    for name in HISTORY.names or ():
        packed[name][0] = getattr(history, name)  # NumPy refuses what does not fit
    assert HISTORY.itemsize <= 384


def test_a_blank_record_knows_of_nothing():
    history = record.blank_history()
    for hour in (-700, 0, 500_000):
        assert record.sends_since(history, hour - 743, 15, 0) == 0
        assert not record.has_sent_since(history, hour - 743, 15)
        assert record.active_hours(history, hour, 30) == 0
        assert record.own_hour_share(history, hour, 0) == 1 / 24
        assert record.conversions_since(history, hour - 2160) == 0
        assert record.load_at(history, hour) == 0.0
    assert (record.open_rate(history, PUSH), record.open_rate(history, EMAIL)) == (0.05, 0.2)


@pytest.mark.parametrize("first", range(-70, 70, 3))
def test_a_mask_of_days_holds_just_these_days(first):
    for last in range(first - 2, first + 40):
        days = {day % 32 for day in range(first, last + 1)}
        assert record.days_mask(first, last) == sum(1 << day for day in days)
