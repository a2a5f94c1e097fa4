"""Scenarios from YAML: read whole, checked whole, every fault told at once with its line; and written back.

    scenario = load_scenario("news", overrides={"population.n_users": 500})

Validation goes through pydantic's JSON mode, on purpose: it is strict and yet takes what a file can hold, so that a
list becomes a tuple and "2026-01-05" a date, a whole number does for a float, and text never does for a number.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.config_messages import faults_of
from experiments.faults import ConfigError, Fault
from experiments.yaml_source import override, read_setting, read_yaml, write_yaml
from simulator.config import Scenario, did_you_mean
from simulator.presets import preset_folders, preset_names

__all__ = [
    "ConfigError",
    "Fault",
    "config_hash",
    "dump_scenario",
    "load_scenario",
    "preset_names",
    "preset_path",
    "read_setting",
    "read_source",
    "scenario_schema",
    "scenario_tree",
]


def load_scenario(
    source: str | os.PathLike[str], overrides: Mapping[str, object] | None = None, *, option: str = "--set"
) -> Scenario:
    """Read a scenario and check it.

    Args:
        source: name of a preset (`news`), or a path; text with a slash or a suffix is taken for a path.
        overrides: values by dotted path, written over the file and checked as strictly; entries of lists go by index
            or by name (`campaigns.flash-sale.quality`).
        option: how messages call the place that overrides come from.

    Raises:
        ConfigError: with every fault of the file and of the overrides.
    """
    _, text, label = read_source(source)
    written = read_yaml(text, label)
    override(written, overrides or {}, option)
    try:
        scenario = Scenario.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        raise ConfigError(written.faults + faults_of(error, Scenario, written)) from None
    if written.faults:
        raise ConfigError(written.faults)
    return scenario


def dump_scenario(scenario: Scenario) -> str:
    """Return YAML with every value resolved, defaults included; it loads back to an equal scenario."""
    return write_yaml(scenario_tree(scenario))


def scenario_tree(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as plain data: text, numbers, booleans, None, lists and mappings; dates are ISO text."""
    return scenario.model_dump(mode="json")


def config_hash(scenario: Scenario) -> str:
    """Return 16 hex digits that two scenarios share when, and only when, all their values are equal (SHA-256)."""
    canonical = json.dumps(scenario_tree(scenario), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema by which an editor completes and checks a scenario; ranges and names, not the sums."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Scenario.model_json_schema()


def preset_path(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    for folder in preset_folders():
        file = Path(str(folder.joinpath(f"{name}.yaml")))
        if name in preset_names() and file.is_file():
            return file
    from experiments.shipped import nearest

    known = ", ".join(preset_names()) or "none"
    raise ConfigError([Fault(name, None, "", f"no such preset; known: {known}.{nearest(name, '.')}")])


def read_source(
    source: str | os.PathLike[str], find: Callable[[str], Path] = preset_path, folder: str = "configs"
) -> tuple[Path, str, str]:
    """Return the path and the text of a config, and how to call it in messages.

    Args:
        source: name of one that comes with the package, or a path; text with a slash or a suffix is taken for a path.
        find: returns the path of a name.
        folder: where those with names lie, for messages.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    name = os.fspath(source)
    is_preset = isinstance(source, str) and not Path(name).suffix and Path(name).name == name
    path = find(name) if is_preset else Path(name)
    label = f"{folder}/{path.name}" if is_preset else name
    try:
        return path, path.read_text("utf-8"), label
    except FileNotFoundError:
        message = f"no such file.{_nearest_file(path)}"
    except UnicodeDecodeError as error:
        message = f"not valid YAML: byte {error.start} is not UTF-8"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    raise ConfigError([Fault(label, None, "", message)])


def _nearest_file(path: Path) -> str:
    """Return a hint at a file in the same folder, or at a preset, whose name is near."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        beside = []
    # The whole path in the hint, so that it can be copied.
    near = [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, beside, n=1)]
    return did_you_mean(str(path), near) or did_you_mean(path.stem, preset_names())
