"""What the service knows of a user, in words, for an export."""

from __future__ import annotations

from policies.history import LONG_AGO
from policies.limits import CHANNELS
from policies.runtime.app import OSES, STAGES, Users
from policies.runtime.user import User
from policies.service.operating_messages import KnownUser, SentBefore


def readable(user: User, users: Users) -> KnownUser:
    """Return what is known of a user in words."""
    person, history = user.person, user.history
    known = [entry for entry in history.sends if entry >> 8 > LONG_AGO]
    known.sort()
    return KnownUser(
        time_zone=user.zone,
        last_seen_ms=user.last_ms,
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
