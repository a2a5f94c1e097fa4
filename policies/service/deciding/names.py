"""Which numbers histories and logs know campaigns and tags by, settled once for a state."""

from __future__ import annotations

import json
from collections.abc import Sequence

from policies.limits import Constraints
from policies.runtime.catalogue import remembered, require_room
from policies.service.settings import Settings, SettingsError
from policies.service.state.store import StateMismatchError, Store

CAMPAIGNS_NOTE = "campaigns"


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
    names = remembered(settings.campaigns)
    counters = store.change_note("counters", lambda text: _settled(text, names, has_little_room=True))
    numbers = store.change_note(CAMPAIGNS_NOTE, lambda text: _settled(text, [c.name for c in settings.campaigns]))
    return _numbered(counters), _numbered(numbers)


def _settled(text: str, names: Sequence[str], *, has_little_room: bool = False) -> str:
    known: list[str] = json.loads(text) if text else []
    found = known + [name for name in names if name not in known]
    if has_little_room:
        try:
            require_room(found)
        except ValueError as fault:
            raise SettingsError(str(fault)) from None
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
