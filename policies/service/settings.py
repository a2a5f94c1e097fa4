"""What a service is told: a TOML file, read strictly.

    project_zone = "Europe/Paris"
    [constraints]
    preset = "braze"
    [[campaigns]]
    name = "digest"
    kind = "scheduled"

Every unknown name is told at once with its path and the nearest right one; then the first value of a wrong type.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from policies.limits import Constraints, preset
from policies.runtime.app import App, Campaign, ChannelName, Users
from policies.strict_json import did_you_mean

Fault = Literal["refuse", "fallback"]
Role = Literal["decide", "outcomes", "admin", "metrics"]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class SettingsError(ValueError):
    """Settings that cannot be used, one line a fault."""


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections share."""


class ApiKey(Strict, frozen=True):
    """A key and what it may do; its text stands in the environment, or only its SHA-256 here."""

    name: Name
    roles: tuple[Role, ...]
    env: str | None = None
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None


class Limits(Strict, frozen=True):
    """How much is taken."""

    body_bytes: Annotated[int, Meta(ge=1_000)] = 1_000_000
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    requests_per_second: Annotated[float, Meta(gt=0.0)] = 100_000.0  # for each key
    burst: Annotated[int, Meta(ge=1)] = 10_000
    answer_within_ms: Annotated[int, Meta(ge=1)] = 1_000
    waiting: Annotated[int, Meta(ge=1)] = 4_096  # requests that wait for the store
    lock_wait_ms: Annotated[int, Meta(ge=1)] = 500
    clock_skew_seconds: Annotated[float, Meta(ge=0.0)] = 300.0  # of a question's own `now`; beyond, it is refused
    clock_step_seconds: Annotated[float, Meta(ge=0.0)] = 120.0  # by which time may go back for a user


class Retention(Strict, frozen=True):
    """For how long what is kept; records of users stay until they are erased."""

    decisions_days: Annotated[float, Meta(gt=0.0)] = 180.0
    answers_hours: Annotated[float, Meta(gt=0.0)] = 24.0
    tallies_days: Annotated[float, Meta(gt=0.0)] = 30.0


class GuardRail(Strict, frozen=True):
    """When a policy is taken back by itself: more opt-outs a send than the policy before it, by more than a margin."""

    margin: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.002
    level: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.01
    is_on: bool = True


class Settings(Strict, frozen=True):
    """All of it; every field has a default, so that a stateless service needs no file."""

    project_zone: str = "UTC"
    on_fault: Fault = "refuse"  # what a caller gets when the state cannot be reached: 503, or silence
    fallback: str | None = None  # file of the policy that the kill switch turns to; left out: silence
    channels: tuple[ChannelName, ...] = ("push", "email")
    constraints: Constraints = field(default_factory=Constraints)
    users: Users = field(default_factory=Users)
    campaigns: tuple[Campaign, ...] = ()
    keys: tuple[ApiKey, ...] = ()
    limits: Limits = Limits()
    retention: Retention = Retention()
    guard_rail: GuardRail = GuardRail()
    synchronous: Literal["FULL", "NORMAL"] = "FULL"  # of SQLite
    user_key_env: str = "KAIROS_USER_KEY"
    user_key_file: str | None = None
    ledger: str | None = None  # folder that erasure reaches
    watch_seconds: Annotated[float, Meta(gt=0.0)] = 1.0
    check_seconds: Annotated[float, Meta(gt=0.0)] = 5.0  # between looks at the guard rail

    @property
    def app(self) -> App:
        """What of it decisions depend on.

        Raises:
            ValueError: with every fault, a line each.
        """
        return App(
            campaigns=self.campaigns,
            constraints=self.constraints,
            channels=self.channels,
            project_zone=self.project_zone,
            users=self.users,
        )


def read_settings(path: Path) -> Settings:
    """Read a file of settings.

    Raises:
        SettingsError: with every unknown name, or what else is wrong.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path}: cannot be read: {fault}") from None
    except tomllib.TOMLDecodeError as fault:
        raise SettingsError(f"{path}: expected TOML: {fault}") from None
    return settings_of(tree, str(path))


def settings_of(tree: Mapping[str, Any], source: str = "settings") -> Settings:
    """Return settings from plain data, checked.

    Raises:
        SettingsError: with every unknown name, or what else is wrong.
    """
    tree = dict(tree)
    limits = tree.get("constraints")
    if isinstance(limits, dict) and "preset" in limits:
        if len(limits) > 1:
            raise SettingsError(f"{source}: constraints: expected a preset alone, or limits of one's own, got both")
        try:
            tree["constraints"] = preset(str(limits["preset"]))
        except ValueError as fault:
            raise SettingsError(f"{source}: {fault}") from None
    faults = _unknown_words(Settings, tree, "")
    if faults:
        raise SettingsError("\n".join(f"{source}: {fault}" for fault in faults))
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as fault:
        what, _, place = str(fault).partition(" - at `")
        raise SettingsError(f"{source}: {place.rstrip('`').removeprefix('$.') or 'settings'}: {what}") from None
    faults = _misfits(settings)
    if faults:
        raise SettingsError("\n".join(f"{source}: {fault}" for fault in faults))
    return settings


def _misfits(settings: Settings) -> list[str]:
    """Return what fits each by itself and not together."""
    faults = []
    try:
        _ = settings.app
    except ValueError as fault:
        faults += str(fault).splitlines()
    names = [key.name for key in settings.keys]
    faults += [f"keys: the name {name!r} is used twice" for name in {n for n in names if names.count(n) > 1}]
    for k, key in enumerate(settings.keys):
        if (key.env is None) == (key.sha256 is None):
            faults.append(f"keys[{k}]: expected either env or sha256 of key {key.name!r}")
        elif key.env is not None and not os.environ.get(key.env):
            faults.append(f"keys[{k}].env: the environment has no {key.env}, which holds key {key.name!r}")
        if not key.roles:
            faults.append(f"keys[{k}].roles: key {key.name!r} may do nothing; expected one role or more")
    return faults


def _unknown_words(kind: Any, tree: Any, path: str) -> list[str]:
    """Return a fault for every name that has no field, and every word that is none of those expected."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _unknown_words(arguments[0], tree, path)
    if origin is Literal and isinstance(tree, str) and tree not in arguments:
        words = ", ".join(map(str, arguments))
        return [f"{path}: no {tree!r}; expected one of {words}.{did_you_mean(tree, [*map(str, arguments)])}"]
    if origin in (typing.Union, types.UnionType):
        return [fault for part in arguments for fault in _unknown_words(part, tree, path)]
    if origin is tuple and isinstance(tree, list):
        return [fault for k, entry in enumerate(tree) for fault in _unknown_words(arguments[0], entry, f"{path}[{k}]")]
    is_section = isinstance(kind, type) and (issubclass(kind, Struct) or dataclasses.is_dataclass(kind))
    if not is_section or not isinstance(tree, dict):
        return []
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [name for name in hints if not name.startswith("_")]
    faults = []
    for name, entry in tree.items():
        where = f"{path}.{name}" if path else name
        if name in names:
            faults += _unknown_words(hints[name], entry, where)
        else:
            known = did_you_mean(name, names) or f" There are: {', '.join(names)}."
            faults.append(f"{where}: unknown name.{known}")
    return faults
