"""One user as the service knows them: history, permissions, facts; and the bytes that this is kept as."""

from __future__ import annotations

import struct
from typing import Any

from policies.constraints import PERSON_FIELDS
from policies.history import HISTORY_FIELDS, LONG_AGO, blank_history
from policies.limits import CHANNELS
from policies.service.operating_messages import KnownUser, SentBefore
from policies.service.settings import OSES, STAGES, Users
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

    def readable(self, users: Users) -> KnownUser:
        """Return what is known in words, for an export."""
        person, history = self.person, self.history
        known = [entry for entry in history.sends if entry >> 8 > LONG_AGO]
        known.sort()
        return KnownUser(
            time_zone=self.zone,
            last_seen_ms=self.last_ms,
            permitted=[name for k, name in enumerate(CHANNELS) if person.seen_opted_in >> k & 1],
            has_consent=bool(person.has_consent),
            muted_categories=[k for k in range(8) if person.muted_categories >> k & 1],
            segment=_named(users.segments, person.segment),
            tier=_named(users.tiers, person.tier),
            stage=_named(STAGES, person.stage),
            os=_named(OSES, person.os),
            installed_hour=person.installed_hours,
            browse_hour=_hour(person.browse_hour),
            cart_hour=_hour(person.cart_hour),
            order_hour=_hour(person.order_hour),
            session_hour=_hour(history.session_hour),
            sent_hour=_hour(history.sent_hour),
            conversion_hour=_hour(history.conversion_hour),
            send_load=history.send_load,
            n_sent=dict(zip(CHANNELS, history.n_sent, strict=False)),
            n_opened=dict(zip(CHANNELS, history.n_opened, strict=False)),
            unopened=history.unopened,
            sends=[SentBefore(hour=entry >> 8, channel=CHANNELS[entry & 3]) for entry in known],
        )


def _named(known: tuple[str, ...], index: int) -> str | None:
    return known[index] if index < len(known) else None


def _hour(hour: int) -> int | None:
    return None if hour <= LONG_AGO else int(hour)
