"""The scenario that another config names, with what the config writes over it; faults are told where they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.config import load_scenario
from experiments.faults import ConfigError, Fault
from experiments.yaml_source import Path as Place
from experiments.yaml_source import Source, dotted
from simulator.config import Scenario

OPTION = "--set"  # how messages call what was written over a file


def named_scenario(written: Source, folder: Path, section: Place = ()) -> tuple[Scenario | None, list[Fault]]:
    """Return the scenario that a section names by `scenario`, changed by its `settings`, and what is wrong with it.

    Args:
        written: the config.
        folder: where paths in the file start; one that was typed starts where it was typed.
        section: path of the section.
    """
    about = written.tree
    for part in section:
        about = about.get(part) if isinstance(about, dict) else None
    name = about.get("scenario") if isinstance(about, dict) else None
    settings = about.get("settings", {}) if isinstance(about, dict) else {}
    if not isinstance(name, str) or not isinstance(settings, dict):
        return None, []
    is_typed = written.place((*section, "scenario")).file == OPTION
    option = dotted((*section, "settings"))
    values, places, faults = _settings(written, settings, (*section, "settings"))
    try:
        scenario = load_scenario(file_of(name, Path() if is_typed else folder), values, option=option)
    except ConfigError as error:
        return None, [*faults, *(_as_of(fault, written, name, section, places) for fault in error.faults)]
    return (None if faults else scenario), faults


def _settings(
    written: Source, settings: dict[str, Any], at: Place
) -> tuple[dict[str, Any], dict[str, Place], list[Fault]]:
    """Return the values that settings write, by dotted path, where each stands, and what is said twice.

    A path may be written in one (`behaviour.fatigue.fatigue_hours: 24`) or as sections in each other. An option wins.
    """
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    faults = []

    def add(section: dict[str, Any], here: Place, above: str) -> None:
        for key, value in section.items():
            path, place = f"{above}{key}", (*here, key)
            if isinstance(value, dict) and value:
                add(value, place, f"{path}.")
                continue
            if path in values and written.place(place).file != OPTION:
                if written.place(places[path]).file != OPTION:
                    before = written.place(places[path]).line
                    faults.append(written.fault(place, f"{path} is written on line {before} already"))
                continue
            values[path], places[path] = value, place

    add(settings, at, "")
    return values, places, faults


def file_of(name: str, folder: Path) -> str | Path:
    """Return a name as it is, and a path as one that starts at a folder."""
    is_path = bool(Path(name).suffix) or Path(name).name != name
    return folder / name if is_path else name


def _as_of(fault: Fault, written: Source, name: str, section: Place, places: dict[str, Place]) -> Fault:
    """Return a scenario's fault as one of the config where the config is to blame: a setting, or the name."""
    option = dotted((*section, "settings"))
    if fault.file == option:
        at = written.fault(places.get(fault.path, (*section, "settings", fault.path)), fault.message)
        return replace(at, path=f"{option}.{fault.path}")
    if fault.file == name and fault.line is None:
        return written.fault((*section, "scenario"), f"{name}: {fault.message}")
    return fault
