"""Configs that come with the package, by name: a folder of `configs` a kind."""

from __future__ import annotations

from pathlib import Path

from experiments.faults import ConfigError, Fault
from experiments.yaml_source import read_yaml
from simulator.config import did_you_mean
from simulator.presets import preset_folders


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
    known = ", ".join(names) or "none"
    raise ConfigError([Fault(name, None, "", f"no such {what}; known: {known}.{did_you_mean(name, names)}")])


def shipped_title(path: Path) -> str:
    """Return the title in a config's file; whatever it needs to be run need not be installed."""
    return str(read_yaml(path.read_text("utf-8"), str(path)).tree.get("title", ""))
