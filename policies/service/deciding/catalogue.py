"""Campaigns, limits and clocks made ready for the constraint engine."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

from policies.constraints import CAMPAIGN_FIELDS
from policies.features import encoded_click_rate, encoded_margin
from policies.history import AT_NO_TIME, LONG_AGO, N_COUNTERS
from policies.limits import CHANNELS, KINDS, Constraints
from policies.moments import EPOCH, hour_of, moment_at, time_zone
from policies.service.settings import OSES, STAGES, TRIGGERS, Campaign, Settings, SettingsError
from policies.service.state.store import StateMismatchError, Store
from policies.structs import Struct, blank

CAMPAIGNS_NOTE = "campaigns"
MOST_MOMENTS = 4_096  # as many time zones and minutes are remembered
HOURS_A_DAY = 24.0


@dataclass(frozen=True)
class Offer:
    """A campaign made ready.

    Attributes:
        name: of the campaign.
        number: what logs call it; see `settled_names`.
        struct: CAMPAIGN_FIELDS.
        margin: `features.encoded_margin`.
        click_rate: by channel-independent estimate, `features.encoded_click_rate`.
        rank: of the kind and the urgency, to which the interest is added when candidates are chosen.
        is_uncounted: 1 when it passes by the caps.
    """

    name: str
    number: int
    struct: Struct
    margin: float
    click_rate: float
    rank: float
    is_uncounted: int


class Catalogue:
    """All that is the same for every user.

    Args:
        settings: of the service.
        counters: which campaign is remembered under which number; see `settled_names`.
        numbers: what logs call each campaign.
    """

    def __init__(self, settings: Settings, counters: dict[str, int], numbers: dict[str, int]) -> None:
        self.settings = settings
        limits = settings.constraints
        self.cap_names = limits.cap_names
        self.rules = limits.rules(settings.channels)
        self.offers = {
            campaign.name: _offer(numbers[campaign.name], campaign, settings, limits, counters)
            for campaign in settings.campaigns
        }
        self.in_order = tuple(self.offers.values())
        self.n_tiers = len(settings.users.tiers)
        self._project_zone = time_zone(settings.project_zone)
        self._moments: dict[tuple[str, int], Struct] = {}

    def moment(self, zone: str, now_ms: int) -> Struct:
        """Return the moment at a time by a user's clock; the same object for all who ask within a minute."""
        key = zone, now_ms // 60_000
        found = self._moments.get(key)
        if found is None:
            if len(self._moments) >= MOST_MOMENTS:
                self._moments.clear()
            when = EPOCH + dt.timedelta(minutes=key[1])
            found = self._moments[key] = moment_at(when, time_zone(zone), self._project_zone)
        return found


def _offer(number: int, campaign: Campaign, settings: Settings, limits: Constraints, counters: dict[str, int]) -> Offer:
    audience, users = campaign.audience, settings.users
    struct = blank(CAMPAIGN_FIELDS)
    struct.kind = KINDS.index(campaign.kind)
    struct.trigger = 0 if campaign.trigger is None else TRIGGERS.index(campaign.trigger)
    struct.category = campaign.category
    struct.bucket = campaign.category if campaign.bucket is None else campaign.bucket
    struct.channels = _bits(campaign.channels, CHANNELS)
    struct.tags = limits.tag_bits(campaign.tags)
    struct.counter = counters.get(campaign.name, N_COUNTERS)
    struct.per_user_cap = campaign.per_user_cap or 0
    struct.needs_consent = int(audience.needs_consent)
    struct.segments = _audience(audience.segments, users.segments, 32)
    struct.tiers = _audience(audience.tiers, users.tiers, 32)
    struct.stages = _audience(audience.stages, STAGES, 8)
    struct.oses = _audience(audience.os, OSES, 8)
    struct.start_hour = LONG_AGO if campaign.opens is None else hour_of(campaign.opens)
    struct.end_hour = AT_NO_TIME if campaign.closes is None else hour_of(campaign.closes)
    struct.delay_hours, struct.expiry_hours = campaign.delay_hours, campaign.expiry_hours
    struct.dormancy_hours = campaign.dormancy_days * HOURS_A_DAY
    return Offer(
        campaign.name,
        number,
        struct,
        encoded_margin(campaign.margin_eur - campaign.discount_eur),
        encoded_click_rate(campaign.click_rate),
        10.0 * struct.kind + campaign.urgency,
        int(campaign.kind in limits.passes_caps),
    )


def is_remembered(campaign: Campaign) -> bool:
    """Return whether histories remember a campaign by itself: it has a cap of its own, or an event opens it."""
    return campaign.per_user_cap is not None or campaign.kind != "scheduled"


def settled_names(store: Store, settings: Settings) -> tuple[dict[str, int], dict[str, int]]:
    """Return under which number histories remember a campaign, and logs call it, as once settled for this state.

    A campaign keeps its numbers however the settings are reordered, and a number is never given away again.

    Returns:
        (counters of those that are remembered by themselves, numbers of all).

    Raises:
        SettingsError: more campaigns than histories have numbers for.
        StateMismatchError: caps speak of tags in another order than the histories were written with.
        StoreError: the store cannot be reached.
    """
    store.change_note("tags", lambda text: _settled_tags(text, settings.constraints))
    names = [campaign.name for campaign in settings.campaigns if is_remembered(campaign)]
    counters = store.change_note("counters", lambda text: _settled(text, names, N_COUNTERS))
    numbers = store.change_note(CAMPAIGNS_NOTE, lambda text: _settled(text, [c.name for c in settings.campaigns]))
    return _numbered(counters), _numbered(numbers)


def _settled(text: str, names: Sequence[str], most: int | None = None) -> str:
    known: list[str] = json.loads(text) if text else []
    found = known + [name for name in names if name not in known]
    if most is not None and len(found) > most:
        raise SettingsError(
            f"campaigns: {len(found)} have or had a cap of their own or a trigger ({', '.join(found)}); a user's "
            f"history remembers {most}"
        )
    return json.dumps(found)


def _settled_tags(text: str, limits: Constraints) -> str:
    known: list[str] = json.loads(text) if text else []
    now = list(limits.tags)
    n = min(len(known), len(now))
    if known[:n] != now[:n]:
        raise StateMismatchError(
            f"constraints.caps: histories were written with tags {', '.join(known)} in this order, the caps now "
            f"speak of {', '.join(now)}: keep the order, and put new ones behind"
        )
    return json.dumps(now if len(now) > len(known) else known)


def _numbered(text: str) -> dict[str, int]:
    names: list[str] = json.loads(text)
    return {name: number for number, name in enumerate(names)}


def _bits(chosen: Sequence[str], known: Sequence[str]) -> int:
    return sum(1 << k for k, name in enumerate(known) if name in chosen)


def _audience(chosen: Sequence[str] | None, known: Sequence[str], width: int) -> int:
    return (1 << width) - 1 if chosen is None else _bits(chosen, known)
