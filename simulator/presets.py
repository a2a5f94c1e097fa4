"""The scenarios that come with the package, by name, for whoever makes an environment by its id.

Files that people write are read, with every fault and its line, by `experiments.config`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from simulator.config import Scenario, did_you_mean

_MARK = re.compile(r"^kind: scenario$", re.MULTILINE)


def preset_folders() -> list[Traversable]:
    """Return where presets lie: beside this package (a checkout and a wheel alike), else wherever `configs` is.

    Beside the package comes first, because a folder `configs` in the user's own project could answer to the name too.
    """
    beside = Path(__file__).resolve().parent.parent / "configs"
    if beside.is_dir():
        return [beside]
    try:
        return [files("configs")]
    except ModuleNotFoundError:
        return []


def preset_names() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the package, in alphabetical order."""
    found = (entry for folder in preset_folders() for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted({entry.name[:-5] for entry in found if _MARK.search(entry.read_text("utf-8"))}))


def scenario_of(source: str | Scenario | Mapping[str, Any]) -> Scenario:
    """Return a scenario from a preset's name, from plain data (as JSON has it), or as it is.

    Raises:
        ValueError: there is no preset of that name, the message has the nearest; or the data do not make a scenario.
        TypeError: something else was given.
    """
    if isinstance(source, Scenario):
        return source
    if isinstance(source, Mapping):
        return Scenario.model_validate_json(json.dumps(dict(source)))
    if not isinstance(source, str):
        raise TypeError(f"scenario: expected a preset's name, a Scenario or its data, got {type(source).__name__}")
    names = preset_names()
    if source not in names:
        hint = did_you_mean(source, names)
        if source.endswith((".yaml", ".yml")):
            hint = " Read a file with experiments.config.load_scenario and hand its result on."
        raise ValueError(f"scenario: no preset {source!r}; known: {', '.join(names)}.{hint}")
    import yaml

    texts = (folder.joinpath(f"{source}.yaml") for folder in preset_folders())
    tree = yaml.safe_load(next(text for text in texts if text.is_file()).read_text("utf-8"))
    return Scenario.model_validate_json(json.dumps(tree, default=str))
