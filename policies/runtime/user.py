"""One user as a sender knows them: history, permissions, facts; and the bytes that this is kept as."""

from __future__ import annotations

import struct
from typing import Any

from policies.constraints import PERSON_FIELDS
from policies.history import (
    HISTORY_FIELDS,
    LONG_AGO,
    blank_history,
    record_conversion,
    record_interest,
    record_open,
    record_send,
    record_session,
)
from policies.limits import CHANNELS
from policies.runtime.app import STAGES, Users
from policies.runtime.catalogue import Offer
from policies.structs import Field, Struct, blank

VERSION = 1
CODES = {"f8": "d", "i4": "i", "u4": "I", "u2": "H", "u1": "B"}
MS_AN_HOUR = 3_600_000
UNKNOWN_PLACE = 31  # of a segment or tier: in the audience of a campaign for all, and in no other
UNKNOWN_OS = 7


def _layout(fields: tuple[Field, ...]) -> str:
    return "".join(f"{length or 1}{CODES[code]}" for _, code, length in fields)


_HEAD = "<BqB"  # version, last_ms, length of the time zone's name
_PACKED = struct.Struct(_HEAD + _layout(HISTORY_FIELDS) + _layout(PERSON_FIELDS))


class User:
    """A user.

    Attributes:
        history: HISTORY_FIELDS, hours since 1970.
        person: PERSON_FIELDS.
        zone: IANA name of the time zone.
        last_ms: the last time at which anything happened, milliseconds since 1970; time never goes back for a user.
    """

    __slots__ = ("history", "last_ms", "person", "zone")

    def __init__(self, history: Struct, person: Struct, zone: str, last_ms: int) -> None:
        self.history, self.person, self.zone, self.last_ms = history, person, zone, last_ms

    @staticmethod
    def new(defaults: Users, now_ms: int) -> User:
        """Return somebody of whom nothing is known, first seen now."""
        person = blank(PERSON_FIELDS)
        person.last_session_hours = float(LONG_AGO)
        person.installed_hours = now_ms / MS_AN_HOUR
        person.browse_hour = person.cart_hour = person.order_hour = LONG_AGO
        person.seen_opted_in = sum(1 << CHANNELS.index(name) for name in defaults.permitted_by_default)
        person.segment = person.tier = UNKNOWN_PLACE
        person.os = UNKNOWN_OS
        person.stage = STAGES.index("active")
        return User(blank_history(), person, defaults.time_zone, 0)

    def packed(self) -> bytes:
        """Return the bytes that `unpacked` reads."""
        values: list[Any] = []
        for fields, record in ((HISTORY_FIELDS, self.history.__dict__), (PERSON_FIELDS, self.person.__dict__)):
            for name, _, length in fields:
                if length:
                    values += record[name]
                else:
                    values.append(record[name])
        zone = self.zone.encode()
        return _PACKED.pack(VERSION, self.last_ms, len(zone), *values) + zone

    @staticmethod
    def unpacked(record: bytes) -> User:
        """Return the user that was packed.

        Raises:
            ValueError: the bytes are of another version, or cut short.
        """
        if not record or record[0] != VERSION or len(record) < _PACKED.size:
            got = f"version {record[0]}, {len(record)} bytes" if record else "nothing"
            raise ValueError(f"user's record: expected version {VERSION}, at least {_PACKED.size} bytes, got {got}")
        values = _PACKED.unpack_from(record)
        at = 3
        structs = []
        for fields in (HISTORY_FIELDS, PERSON_FIELDS):
            found = blank(())
            named = found.__dict__
            for name, _, length in fields:
                if length:
                    named[name] = list(values[at : at + length])
                    at += length
                else:
                    named[name] = values[at]
                    at += 1
            structs.append(found)
        zone = record[_PACKED.size : _PACKED.size + values[2]].decode()
        return User(structs[0], structs[1], zone, values[1])

    # ------------------------------------------------------------------------------------------ what happens to them

    def was_sent(self, offer: Offer, channel: int, at_ms: int) -> None:
        """Write down a send.

        Rounded up to the hour, so that no gap and no window turns out too short; see `moments.send_hour`.
        """
        struct = offer.struct
        hour = -(-at_ms // MS_AN_HOUR)
        record_send(self.history, hour, channel, struct.tags, offer.is_uncounted, struct.bucket, struct.counter)

    def opened(self, channel: int) -> None:
        """Write down that a message was opened."""
        record_open(self.history, channel)

    def had_session(self, at_ms: int) -> None:
        """Write down a session; histories are written in the order of their hours, so a late one counts as the last."""
        record_session(self.history, max(at_ms // MS_AN_HOUR, self.history.session_hour))
        self.person.last_session_hours = max(self.person.last_session_hours, at_ms / MS_AN_HOUR)

    def showed_interest(self, how: str, category: int, at_ms: int) -> None:
        """Write down that something was browsed, put into a cart or ordered; an older one than is known is passed over.

        Args:
            how: `browse`, `cart` or `order`.
            category: 0 to 7.
        """
        place, hour = f"{how}_hour", at_ms // MS_AN_HOUR
        if hour >= getattr(self.person, place):
            setattr(self.person, place, hour)
            record_interest(self.history, category)

    def ordered(self, at_ms: int) -> None:
        """Write down an order of which no category is known."""
        self.person.order_hour = max(at_ms // MS_AN_HOUR, self.person.order_hour)

    def paid(self, at_ms: int) -> None:
        """Write down that an order was paid."""
        record_conversion(self.history, max(at_ms // MS_AN_HOUR, self.history.conversion_hour))

    def permits(self, channel: int) -> None:
        """Write down that a channel was permitted."""
        self.person.seen_opted_in |= 1 << channel

    def withdraws(self, channel: int | None = None) -> None:
        """Write down that a channel was withdrawn; None: all."""
        withdrawn = (1 << len(CHANNELS)) - 1 if channel is None else 1 << channel
        self.person.seen_opted_in &= ~withdrawn
