"""Worlds that a policy was not made for: the home scenario with a few values changed, as data that a person can edit.

worlds = chosen_worlds("shock,drift")  # of those that come with the package
worlds = chosen_worlds("mine.yaml")
placed(worlds[0], home).scenario
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from experiments.config import config_hash, load_scenario, read_source, scenario_tree
from experiments.config_messages import faults_of
from experiments.faults import ConfigError, Fault
from experiments.yaml_source import Source, override, read_yaml
from simulator.config import MisfitError, Model, Scenario, did_you_mean
from simulator.config_fields import SlotName, names_used_twice
from simulator.presets import preset_folders

HOME = "home"
STANDARD = "worlds"
_MARK = re.compile(r"^kind: worlds\b", re.MULTILINE)
Factor = Annotated[float, Field(ge=0, le=1000)]
Addend = Annotated[float, Field(ge=-1e6, le=1e6)]


class World(Model):
    """One world."""

    name: SlotName
    sentence: str = Field(min_length=1, description="how it differs, for readers")
    scenario: str | None = Field(
        None, description="in place of home: a preset's name, or a file's path, from this file's folder"
    )
    times: dict[str, Factor] = Field({}, description="numbers of the scenario multiplied, by dotted path")
    plus: dict[str, Addend] = Field({}, description="added to numbers of the scenario, by dotted path")
    settings: dict[str, JsonValue] = Field({}, description="written over the scenario, by dotted path")

    more: dict[str, tuple[JsonValue, ...]] = Field({}, description="entries added to lists, by dotted path")

    @model_validator(mode="after")
    def _changes_something_once(self) -> Self:
        misfits: list[tuple[tuple[str | int, ...], str]] = []
        if self.name == HOME:
            misfits.append((("name",), f"{HOME!r} is the world that all others are held against; name it otherwise"))
        ways: dict[str, Iterable[str]] = {
            "times": self.times, "plus": self.plus, "settings": self.settings, "more": self.more,
        }  # fmt: skip
        if self.scenario is None and not any(ways.values()):
            misfits.append(((), f"changes nothing; expected some of scenario, {', '.join(ways)}"))
        seen: dict[str, str] = {}
        for how, paths in ways.items():
            for path in paths:
                if path in seen:
                    misfits.append(((how, path), f"is changed by {seen[path]} too; expected one change of each value"))
                seen[path] = how
        if misfits:
            raise MisfitError(misfits)
        return self


class Worlds(Model):
    """A file of worlds."""

    kind: Literal["worlds"] = "worlds"
    worlds: tuple[World, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        misfits = names_used_twice("worlds", [world.name for world in self.worlds])
        # No bound of the field: pydantic would count the sound ones, and tell of a second fault beside the first.
        if not self.worlds:
            misfits.append((("worlds",), "the list is empty; expected at least one world"))
        if misfits:
            raise MisfitError(misfits)
        return self


@dataclass(frozen=True)
class Placed:
    """A world with its scenario.

    Attributes:
        name: of the world.
        sentence: how it differs.
        scenario: as it is simulated there, over home's horizon.
    """

    name: str
    sentence: str
    scenario: Scenario


def load_worlds(source: str) -> tuple[World, ...]:
    """Return the worlds of a file, or of the one that comes with the package (`worlds`); files found from its folder.

    Raises:
        ConfigError: with every fault of the file.
    """
    path = read_source(source, _standard_path)[0]
    return tuple(_from(path.parent, world) for world in worlds_file(source).worlds)


def worlds_file(source: str, overrides: Mapping[str, object] | None = None) -> Worlds:
    """Return a file of worlds as it is written.

    Args:
        source: a path, or `worlds` for the one that comes with the package.
        overrides: values by dotted path, written over the file and checked as strictly.

    Raises:
        ConfigError: with every fault of the file and of the overrides.
    """
    _, text, label = read_source(source, _standard_path)
    written = read_yaml(text, label)
    override(written, overrides or {}, "--set")
    try:
        found = Worlds.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        raise ConfigError(written.faults + faults_of(error, Worlds, written)) from None
    if written.faults:
        raise ConfigError(written.faults)
    return found


def chosen_worlds(asked: str | None, option: str = "--worlds") -> tuple[World, ...]:
    """Return the worlds of a file, those of some names, or all that come with the package.

    Args:
        asked: a file's path (it has a slash or a suffix); names with commas between; None: all.
        option: how messages call the place that it comes from.

    Raises:
        ConfigError: a bad file, or an unknown name.
    """
    if asked is not None and (Path(asked).suffix or Path(asked).name != asked):
        return load_worlds(asked)
    known = {world.name: world for world in load_worlds(STANDARD)}
    if asked is None:
        return tuple(known.values())
    names = [name.strip() for name in asked.split(",") if name.strip()]
    faults = [
        Fault(option, None, "", f"no world {name!r}; known: {', '.join(known)}.{did_you_mean(name, known)}")
        for name in names
        if name not in known
    ]
    if not names:
        faults.append(Fault(option, None, "", f"expected some of {', '.join(known)}, or a file; got nothing"))
    if faults:
        raise ConfigError(faults)
    return tuple(known[name] for name in dict.fromkeys(names))


def placed(world: World, home: Scenario) -> Placed:
    """Return a world with its scenario, over home's horizon and calendar's start.

    Raises:
        ConfigError: a path that home does not have, a value that is no number, or a scenario that is not sound.
    """
    where = f"world {world.name}"
    base = home
    if world.scenario is not None:
        times = {"calendar.horizon_days": home.calendar.horizon_days, "calendar.start": home.calendar.start}
        base = load_scenario(world.scenario, dict(times), option=where)
    settings: dict[str, object] = dict(world.settings)
    faults: list[Fault] = []
    changes = [(path, by, 0.0) for path, by in world.times.items()]
    changes += [(path, 1.0, by) for path, by in world.plus.items()]
    for path, factor, addend in changes:
        found = value_at(base, path)
        if isinstance(found, str):
            faults.append(Fault(where, None, path, found))
        else:
            settings[path] = found * factor + addend
    tree = scenario_tree(base)
    for path, entries in world.more.items():
        there = _at(tree, path)
        if isinstance(there, list):
            settings[path] = [*there, *entries]
        else:
            faults.append(Fault(where, None, path, f"expected a list to add to, got {_told(there)}"))
    if faults:
        raise ConfigError(faults)
    return Placed(world.name, world.sentence, changed(base, settings, where))


def differing(worlds: tuple[World, ...], home: Scenario) -> tuple[tuple[Placed, ...], tuple[str, ...]]:
    """Return home and the worlds that differ from it, and the names of those that do not.

    Raises:
        ConfigError: with the faults of all worlds.
    """
    found = [Placed(HOME, "The policies' own world.", home)]
    same: list[str] = []
    faults: list[Fault] = []
    for world in worlds:
        try:
            there = placed(world, home)
        except ConfigError as error:
            faults += error.faults
            continue
        if _is_same(there.scenario, home):
            same.append(world.name)
        else:
            found.append(there)
    if faults:
        raise ConfigError(faults)
    return tuple(found), tuple(same)


def changed(scenario: Scenario, settings: dict[str, object], where: str) -> Scenario:
    """Return a scenario with values written over it.

    Args:
        settings: by dotted path.
        where: they come from, for messages.

    Raises:
        ConfigError: a path that is not there, or a value out of range.
    """
    written = Source(where, scenario_tree(scenario))
    override(written, settings, where)
    try:
        found = Scenario.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        raise ConfigError(written.faults + faults_of(error, Scenario, written)) from None
    if written.faults:
        raise ConfigError(written.faults)
    return found


def value_at(scenario: Scenario, path: str) -> float | str:
    """Return the number at a dotted path, or what is wrong there."""
    node: Any = scenario
    walked: list[str] = []
    for part in path.split("."):
        known = tuple(type(node).model_fields) if isinstance(node, Model) else ()
        if part not in known:
            inside = ".".join(walked) or "the scenario"
            return f"{inside} has no {part!r}.{did_you_mean(part, known)}"
        node = getattr(node, part)
        walked.append(part)
    if isinstance(node, bool) or not isinstance(node, int | float):
        return f"expected a number to change, got {_told(node)}"
    return float(node)


def is_worlds(path: str) -> bool:
    """Return whether a file says of itself that it holds worlds; False of one that cannot be read."""
    try:
        return _MARK.search(Path(path).read_text("utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def worlds_schema() -> dict[str, Any]:
    """Return the JSON Schema by which an editor completes and checks a file of worlds."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Worlds.model_json_schema()


def _from(folder: Path, world: World) -> World:
    """Return a world whose scenario, if it is a file, is found from the folder of the file that names it."""
    name = world.scenario
    if name is None or not (Path(name).suffix or Path(name).name != name):
        return world
    return world.model_copy(update={"scenario": str(folder / name)})


def _standard_path(name: str) -> Path:
    for folder in preset_folders():
        file = Path(str(folder.joinpath(f"{name}.yaml")))
        if name == STANDARD and file.is_file():
            return file
    raise ConfigError([Fault(name, None, "", f"no such file of worlds; known: {STANDARD}.")])


def _is_same(one: Scenario, other: Scenario) -> bool:
    named = {"name": other.name, "title": other.title}
    return config_hash(one.model_copy(update=named)) == config_hash(other)


def _at(tree: Any, path: str) -> Any:
    """Return what stands at a dotted path; None where nothing does."""
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _told(node: object) -> str:
    if isinstance(node, Model):
        return f"a section with {', '.join(type(node).model_fields)}"
    return "nothing" if node is None else "a list" if isinstance(node, tuple | list) else repr(node)
