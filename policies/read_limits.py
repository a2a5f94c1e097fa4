"""Limits from a policy document, read strictly."""

from __future__ import annotations

from policies.limits import CHANNELS, KINDS, QUIET_MODES, WINDOWS, ZONES, Cap, Constraints, LimitsError, QuietHours
from policies.strict_json import Node

MOST = 100  # entries of a list; what may be fewer is said by the limits themselves
MOST_HOURS = 10**6


def read_constraints(node: Node) -> Constraints:
    """Read limits; faults are noted in the node, and what is returned then means nothing."""
    names = ("caps", "gap_hours", "channel_gap_hours", "quiet", "passes_caps", "passes_gap", "passes_quiet")
    fields = node.fields((), names)
    n_faults = len(node.faults)
    default = Constraints()
    read = {
        "caps": tuple(map(_read_cap, _entries(fields["caps"], "caps"))),
        "gap_hours": 0 if fields["gap_hours"].is_missing else fields["gap_hours"].whole(0, MOST_HOURS),
        "channel_gap_hours": _read_gaps(fields["channel_gap_hours"]),
        "quiet": None if fields["quiet"].is_missing else _read_quiet(fields["quiet"]),
    }
    for name in ("passes_caps", "passes_gap", "passes_quiet"):
        read[name] = getattr(default, name) if fields[name].is_missing else _names(fields[name], "kinds", KINDS)
    if len(node.faults) > n_faults:
        return default
    try:
        return Constraints(**read)  # type: ignore[arg-type]
    except LimitsError as error:
        for place, what in error.faults:
            node.faults.note(f"{node.path}.{_bracketed(place)}", what)
        return default


def _read_cap(node: Node) -> Cap:
    fields = node.fields(("name", "limit"), ("window", "hours", "zone", "channels", "tags", "overrides_channels"))
    return Cap(
        fields["name"].text(at_least=1),
        fields["limit"].whole(0, MOST_HOURS),
        "rolling" if fields["window"].is_missing else fields["window"].name(WINDOWS),
        None if fields["hours"].is_missing else fields["hours"].whole(0, MOST_HOURS),
        "user" if fields["zone"].is_missing else fields["zone"].name(ZONES),
        None if fields["channels"].is_missing else _names(fields["channels"], "channels", CHANNELS),
        None if fields["tags"].is_missing else tuple(tag.text(at_least=1) for tag in _entries(fields["tags"], "tags")),
        False if fields["overrides_channels"].is_missing else _flag(fields["overrides_channels"]),
    )


def _read_quiet(node: Node) -> QuietHours:
    fields = node.fields(("start_minute", "end_minute"), ("mode", "zone", "channels"))
    return QuietHours(
        fields["start_minute"].whole(0, MOST_HOURS),
        fields["end_minute"].whole(0, MOST_HOURS),
        "drop" if fields["mode"].is_missing else fields["mode"].name(QUIET_MODES[1:]),
        "user" if fields["zone"].is_missing else fields["zone"].name(ZONES),
        None if fields["channels"].is_missing else _names(fields["channels"], "channels", CHANNELS),
    )


def _read_gaps(node: Node) -> dict[str, int]:
    if node.is_missing:
        return {}
    fields = node.fields((), CHANNELS)
    return {name: field.whole(0, MOST_HOURS) for name, field in fields.items() if not field.is_missing}


def _names(node: Node, what: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(entry.name(known) for entry in _entries(node, what))


def _entries(node: Node, what: str) -> list[Node]:
    return [] if node.is_missing else node.items(0, MOST, what)


def _flag(node: Node) -> bool:
    if not isinstance(node.value, bool):
        node.refuse("true or false")
    return node.value is True


def _bracketed(place: str) -> str:
    """Return a place of the limits as a path of the document: `caps.0.limit` is `caps[0].limit`."""
    head, *rest = place.split(".")
    return head + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in rest)
