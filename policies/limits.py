"""Constraints as people state them: caps, gaps, quiet hours, and what passes them by; checked, then turned into rules.

`PRESETS` are named after the products whose documented semantics they follow (their numbers are examples): what such
words mean differs from one to the next, and that is a trap when a policy moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from policies.constraints import (
    N_CAPS,
    N_CHANNELS,
    PROJECT_ZONE,
    ROLLING,
    RULES_FIELDS,
    USER_ZONE,
)
from policies.history import N_SENDS, N_TAGS
from policies.moments import MINUTES_A_DAY
from policies.strict_json import did_you_mean
from policies.structs import Struct, blank

CHANNELS = ("push", "email", "in_app", "sms")
KINDS = ("scheduled", "triggered", "transactional")
WINDOWS = ("rolling", "day", "week", "month")
ZONES = ("user", "project")
QUIET_MODES = ("any_time", "drop", "defer", "cancel")
MOST_HOURS = 31 * 24


Faults = list[tuple[str, str]]  # (place, what is wrong there)


class LimitsError(ValueError):
    """Limits that cannot hold.

    Attributes:
        faults: (place, what is wrong there), such as ("caps.0.limit", "expected whole sends, 0 to 31, got 40").
    """

    def __init__(self, faults: Faults) -> None:
        super().__init__("; ".join(f"{place}: {what}" for place, what in faults))
        self.faults = faults


def _among(place: str, given: Iterable[str], known: tuple[str, ...]) -> Faults:
    return [
        (place, f"no {name!r}; expected {', '.join(known) or 'none'}.{did_you_mean(str(name), known)}")
        for name in given
        if name not in known
    ]


def _chosen(place: str, given: object) -> Faults:
    """Return what is wrong with a list of names, or with None for all of them."""
    if isinstance(given, str):
        return [(place, f"expected a list of names, got {given!r} alone")]
    return [(place, "the list is empty; leave it out for all")] if given is not None and not given else []


def _whole(place: str, given: object, low: int, high: int, unit: str) -> Faults:
    if isinstance(given, int) and not isinstance(given, bool) and low <= given <= high:
        return []
    return [(place, f"expected whole {unit}, {low} to {high}, got {given!r}")]


def _bits(chosen: Iterable[str], known: tuple[str, ...]) -> int:
    return sum(1 << k for k, name in enumerate(known) if name in tuple(chosen))


@dataclass(frozen=True)
class Cap:
    """At most so many sends within a window.

    The history remembers 32 sends, of any kind and channel. Where all of them lie within the window, what else did is
    not known, and the cap counts as reached: long windows fill up with messages that the cap does not look at.

    Attributes:
        limit: sends, 0 to 31.
        window: `rolling` (the last `hours`), or the calendar's `day`, `week` (from Monday) or `month`.
        hours: of a rolling window; None for the calendar's.
        zone: whose calendar: `user` or `project`.
        channels: that the cap looks at; None: all together.
        tags: only messages with one of these; None: whatever their tags.
        overrides_channels: for messages with one of its tags, this cap takes the place of those without tags.
    """

    name: str
    limit: int
    window: str = "rolling"
    hours: int | None = None
    zone: str = "user"
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    overrides_channels: bool = False

    def faults(self) -> Faults:
        """Return (field, what is wrong with it) for everything that does not fit."""
        found = _whole("limit", self.limit, 0, N_SENDS - 1, "sends")
        found += _among("window", (self.window,), WINDOWS)
        found += _among("zone", (self.zone,), ZONES)
        found += _chosen("channels", self.channels) or _among("channels", self.channels or (), CHANNELS)
        found += _chosen("tags", self.tags)
        if self.window == "rolling":
            found += _whole("hours", self.hours, 1, MOST_HOURS, "hours of a rolling window")
        if self.window != "rolling" and self.hours is not None:
            found.append(("hours", f"a window of one {self.window} has no hours; got {self.hours}"))
        if self.overrides_channels and not self.tags:
            found.append(("overrides_channels", "only a cap with tags can take the place of those without"))
        return found


@dataclass(frozen=True)
class QuietHours:
    """Hours of the day in which nothing is dispatched.

    Attributes:
        start_minute, end_minute: of the day, by the clock of `zone`; an end before the start lies past midnight.
        mode: `drop` (not now, and what was asked for is dropped), `defer` (held until the end), `cancel` (a triggered
            message that is open in quiet hours, and has no other channel meanwhile, is over).
        channels: on which it is quiet; None: all.
    """

    start_minute: int = 22 * 60
    end_minute: int = 8 * 60
    mode: str = "drop"
    zone: str = "user"
    channels: tuple[str, ...] | None = None

    def faults(self) -> Faults:
        """Return (field, what is wrong with it) for everything that does not fit."""
        found = _whole("start_minute", self.start_minute, 0, MINUTES_A_DAY, "minutes of the day")
        found += _whole("end_minute", self.end_minute, 0, MINUTES_A_DAY, "minutes of the day")
        if not found and self.start_minute % MINUTES_A_DAY == self.end_minute % MINUTES_A_DAY:
            what = "quiet hours that end when they begin are none, or the whole day; leave them out"
            found.append(("end_minute", what))
        found += _among("mode", (self.mode,), QUIET_MODES[1:])
        found += _among("zone", (self.zone,), ZONES)
        found += _chosen("channels", self.channels) or _among("channels", self.channels or (), CHANNELS)
        return found


@dataclass(frozen=True)
class Constraints:
    """All limits of an app.

    Attributes:
        caps: at most 8.
        gap_hours: at least so many hours after a send on any channel, of any kind.
        channel_gap_hours: the same for one channel, by its name.
        quiet: None: there are no quiet hours.
        passes_caps: kinds of campaigns that caps neither hold back nor count.
        passes_gap, passes_quiet: kinds that the gaps and the quiet hours do not hold back.
    """

    caps: tuple[Cap, ...] = ()
    gap_hours: int = 0
    channel_gap_hours: dict[str, int] = field(default_factory=dict)
    quiet: QuietHours | None = None
    passes_caps: tuple[str, ...] = ("transactional",)
    passes_gap: tuple[str, ...] = ("transactional",)
    passes_quiet: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the whole.

        Raises:
            LimitsError: with every fault, each at its place.
        """
        if faults := self.faults():
            raise LimitsError(faults)

    def faults(self) -> Faults:
        """Return (place, what is wrong there) for everything that does not fit."""
        found: Faults = []
        if len(self.caps) > N_CAPS:
            found.append(("caps", f"expected at most {N_CAPS}, got {len(self.caps)}"))
        for k, cap in enumerate(self.caps):
            found += [(f"caps.{k}.{place}", what) for place, what in cap.faults()]
            if cap.name in [other.name for other in self.caps[:k]]:
                found.append((f"caps.{k}.name", f"the name {cap.name!r} is used twice; names must differ"))
        if len(self.tags) > N_TAGS:
            found.append(("caps", f"expected at most {N_TAGS} different tags, got {', '.join(self.tags)}"))
        found += _whole("gap_hours", self.gap_hours, 0, MOST_HOURS, "hours")
        found += _among("channel_gap_hours", self.channel_gap_hours, CHANNELS)
        for channel, hours in self.channel_gap_hours.items():
            found += _whole(f"channel_gap_hours.{channel}", hours, 0, MOST_HOURS, "hours")
        if self.quiet is not None:
            found += [(f"quiet.{place}", what) for place, what in self.quiet.faults()]
        for name in ("passes_caps", "passes_gap", "passes_quiet"):
            kinds = getattr(self, name)
            found += (_chosen(name, kinds) if kinds else []) or _among(name, kinds, KINDS)
        return found

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that caps speak of, in the order of their bits."""
        return tuple(dict.fromkeys(tag for cap in self.caps for tag in cap.tags or ()))

    @property
    def cap_names(self) -> tuple[str, ...]:
        """The names of the caps, in their order."""
        return tuple(cap.name for cap in self.caps)

    def tag_bits(self, tags: Iterable[str]) -> int:
        """Return the bits of a campaign's tags; tags that no cap speaks of have none."""
        return _bits(set(tags), self.tags)

    def rules(self, open_channels: Iterable[str] = CHANNELS, tags: tuple[str, ...] | None = None) -> Struct:
        """Return what the engine reads, RULES_FIELDS.

        Args:
            open_channels: names of the channels that the app uses.
            tags: in the order of their bits in histories; None: of these limits alone.

        Raises:
            LimitsError: no such channel; a cap speaks of a tag that histories do not remember.
        """
        faults = _among("open_channels", open_channels, CHANNELS)
        known = self.tags if tags is None else tags
        for k, cap in enumerate(self.caps):
            faults += _among(f"caps.{k}.tags", cap.tags or (), known)
        if faults:
            raise LimitsError(faults)
        rules = blank(RULES_FIELDS)
        rules.open_channels = _bits(open_channels, CHANNELS)
        rules.n_caps = len(self.caps)
        for k, cap in enumerate(self.caps):
            rules.cap_limit[k] = cap.limit
            rules.cap_hours[k] = cap.hours or 0
            rules.cap_calendar[k] = WINDOWS.index(cap.window)
            rules.cap_zone[k] = ZONES.index(cap.zone)
            rules.cap_channels[k] = _bits(CHANNELS if cap.channels is None else cap.channels, CHANNELS)
            rules.cap_tags[k] = _bits(cap.tags or (), known)
            rules.cap_overrides[k] = int(cap.overrides_channels)
        rules.gap_hours = self.gap_hours
        for channel, hours in self.channel_gap_hours.items():
            rules.channel_gap_hours[CHANNELS.index(channel)] = hours
        if self.quiet is not None:
            rules.quiet_start, rules.quiet_end = self.quiet.start_minute, self.quiet.end_minute
            rules.quiet_mode = QUIET_MODES.index(self.quiet.mode)
            rules.quiet_zone = ZONES.index(self.quiet.zone)
            rules.quiet_channels = _bits(CHANNELS if self.quiet.channels is None else self.quiet.channels, CHANNELS)
        rules.passes_caps = _bits(self.passes_caps, KINDS)
        rules.passes_gap = _bits(self.passes_gap, KINDS)
        rules.passes_quiet = _bits(self.passes_quiet, KINDS)
        return rules


assert (WINDOWS.index("rolling"), ZONES.index("user"), ZONES.index("project")) == (ROLLING, USER_ZONE, PROJECT_ZONE)
assert len(CHANNELS) == N_CHANNELS

# Semantics: the vendors' documentation, as read for 2026. Limits and hours are examples, to be replaced by one's own.
PRESETS: dict[str, Constraints] = {
    # Per channel or tag, by the calendar day of the user; over-cap messages are aborted; quiet hours hold.
    "braze": Constraints(
        caps=(Cap("push-a-day", 2, "day", channels=("push",)), Cap("email-a-week", 3, "week", channels=("email",))),
        quiet=QuietHours(mode="defer"),
    ),
    # Push only, for the app as a whole, in a rolling window; over-cap messages are dropped.
    "onesignal": Constraints(caps=(Cap("push", 4, "rolling", hours=24, channels=("push",)),), passes_caps=()),
    # By day, week and month, in the project's time zone; the limit of a message type takes the channel's place; quiet
    # hours cancel.
    "iterable": Constraints(
        caps=(
            Cap("push-a-day", 2, "day", zone="project", channels=("push",)),
            Cap("push-a-month", 20, "month", zone="project", channels=("push",)),
            Cap("digest-a-week", 1, "week", zone="project", tags=("digest",), overrides_channels=True),
        ),
        quiet=QuietHours(mode="cancel"),
    ),
    # A limit, and a minimum gap between messages; do-not-disturb discards.
    "clevertap": Constraints(
        caps=(Cap("push-a-day", 3, "day", channels=("push",)),), gap_hours=4, quiet=QuietHours(mode="drop")
    ),
    # A throttle for each workflow (a tag); critical messages pass by everything; the schedule skips.
    "novu": Constraints(
        caps=(Cap("workflow", 1, "rolling", hours=6, tags=("throttled",)),),
        quiet=QuietHours(mode="drop"),
        passes_quiet=("transactional",),
    ),
    # A cap, a gap, and an hour by which a message must be out (its expiry), within a send window.
    "uber": Constraints(
        caps=(Cap("push-a-day", 1, "rolling", hours=24, channels=("push",)),),
        gap_hours=8,
        quiet=QuietHours(mode="drop"),
    ),
}


def preset(name: str) -> Constraints:
    """Return the constraints of a preset.

    Raises:
        ValueError: there is none of that name; the message has the nearest.
    """
    if name not in PRESETS:
        raise ValueError(
            f"constraints: no preset {name!r}; known: {', '.join(PRESETS)}.{did_you_mean(str(name), PRESETS)}"
        )
    return PRESETS[name]
