"""Campaigns, limits and clocks made ready for the constraint engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.constraints import CAMPAIGN_FIELDS, CAP, N_CAPS, Suppression, say
from policies.features import encoded_click_rate, encoded_margin
from policies.history import AT_NO_TIME, LONG_AGO, N_COUNTERS
from policies.limits import CHANNELS, KINDS, Constraints
from policies.moments import EPOCH, hour_of, moment_at, time_zone
from policies.runtime.app import OSES, STAGES, TRIGGERS, App, Campaign
from policies.structs import Struct, blank

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
    """All that is the same for every user, made ready.

    Attributes:
        words: of every suppression code.
        in_order: every offer.
        unasked: the same where nobody says which: each with no relevance, and out of its context.

    Args:
        app: the campaigns and limits.
        counters: under which number histories remember a campaign by itself; None: in the app's order. Whoever keeps
            histories keeps these numbers with them.
        numbers: what logs call each campaign; None: in the app's order.

    Raises:
        ValueError: more campaigns are remembered by themselves than histories have numbers for.
    """

    def __init__(
        self, app: App, counters: Mapping[str, int] | None = None, numbers: Mapping[str, int] | None = None
    ) -> None:
        self.app = app
        limits = app.constraints
        self.words = _words(limits.cap_names)
        self.rules = limits.rules(app.channels)
        if counters is None:
            counters = _counted(remembered(app.campaigns))
        if numbers is None:
            numbers = _counted([campaign.name for campaign in app.campaigns])
        require_room(counters)
        self.offers = {
            campaign.name: _offer(numbers[campaign.name], campaign, app, limits, counters) for campaign in app.campaigns
        }
        self.in_order = tuple(self.offers.values())
        self.unasked = tuple((offer, 0.0, False) for offer in self.in_order)
        self.n_tiers = len(app.users.tiers)
        self._project_zone = time_zone(app.project_zone)
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


def _offer(number: int, campaign: Campaign, app: App, limits: Constraints, counters: Mapping[str, int]) -> Offer:
    audience, users = campaign.audience, app.users
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


def _words(cap_names: tuple[str, ...]) -> tuple[str, ...]:
    words = [f"reason {code}" for code in range(CAP + N_CAPS)]
    for code in (*map(int, Suppression), *range(CAP, CAP + N_CAPS)):
        words[code] = say(code, cap_names)
    words[Suppression.EMPTY_SLOT] = "no slot was left"
    return tuple(words)


def remembered(campaigns: Sequence[Campaign]) -> list[str]:
    """Return the campaigns that histories remember by themselves: with a cap of their own, or opened by events."""
    return [c.name for c in campaigns if c.per_user_cap is not None or c.kind != "scheduled"]


def require_room(names: Sequence[str] | Mapping[str, int]) -> None:
    """Raise a ValueError unless histories can remember so many campaigns by themselves."""
    if len(names) > N_COUNTERS:
        raise ValueError(
            f"campaigns: {len(names)} have or had a cap of their own or a trigger ({', '.join(names)}); a user's "
            f"history remembers {N_COUNTERS}"
        )


def _counted(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _bits(chosen: Sequence[str], known: Sequence[str]) -> int:
    return sum(1 << k for k, name in enumerate(known) if name in chosen)


def _audience(chosen: Sequence[str] | None, known: Sequence[str], width: int) -> int:
    return (1 << width) - 1 if chosen is None else _bits(chosen, known)
