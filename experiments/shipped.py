"""Configs that come with the package, by name: a folder of `configs` a kind."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.config_messages import COMMANDS
from experiments.faults import ConfigError, Fault
from experiments.yaml_source import read_yaml
from simulator.config import did_you_mean
from simulator.presets import preset_folders, preset_names

# Folder below `configs`: the kind of what lies there, and what people call it.
KINDS = {
    ".": ("scenario", "a scenario"),
    "experiments": ("experiment", "an experiment"),
    "sweeps": ("sweep", "a sweep"),
    "training": ("training", "a training"),
    "logs": ("log-mapping", "a mapping of logs"),
}
_KIND = re.compile(r"^kind: *([a-z-]+)", re.MULTILINE)


def kind_written(path: str | Path) -> str | None:
    """Return what a config's file says that it is, without reading the rest; None where it says nothing."""
    try:
        found = _KIND.search(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found.group(1) if found else None


def shipped_names(folder: str) -> tuple[str, ...]:
    """Return the names in a folder of `configs`, in alphabetical order."""
    folders = [each.joinpath(folder) for each in preset_folders()]
    found = (entry.name for each in folders if each.is_dir() for entry in each.iterdir())
    return tuple(sorted(name[:-5] for name in found if name.endswith(".yaml")))


def shipped_path(folder: str, name: str, what: str) -> Path:
    """Return the file of a name.

    Args:
        folder: of `configs`.
        name: without its suffix.
        what: it is, for messages, such as `training`.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    names = shipped_names(folder)
    for each in preset_folders():
        if name in names:
            return Path(str(each.joinpath(folder, f"{name}.yaml")))
    raise ConfigError(
        [Fault(name, None, "", f"no such {what}; known: {', '.join(names) or 'none'}.{nearest(name, folder)}")]
    )


def nearest(name: str, folder: str) -> str:
    """Return what a name that is not in a folder may mean: one of another kind, or one that is near; "" for neither."""
    names = {each: preset_names() if each == "." else shipped_names(each) for each in KINDS}
    for other, (kind, words) in KINDS.items():
        if other != folder and name in names[other]:
            return f" {name!r} is {words}, for kairos {COMMANDS[kind]}."
    return did_you_mean(name, names[folder])


def shipped_title(path: Path) -> str:
    """Return the title in a config's file; whatever it needs to be run need not be installed."""
    return str(read_yaml(path.read_text("utf-8"), str(path)).tree.get("title", ""))
