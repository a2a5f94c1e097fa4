"""A sweep's config from YAML: every fault at once, those that its fields would make in the base among them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.config import read_source
from experiments.config_messages import faults_of
from experiments.faults import ConfigError, Fault
from experiments.run.source import Experiment, load_experiment
from experiments.shipped import shipped_names, shipped_path
from experiments.sweep.config import Choice, Listed, Range, SweepConfig
from experiments.yaml_source import Path as Place
from experiments.yaml_source import Source, override, read_yaml

FOLDER = "sweeps"  # of `configs`
OPTION = "--set"
NOTHING = {"kind": "list", "trials": [{}]}  # is searched
MOST_FAULTS = 20  # of values in the base; more say the same


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that can begin.

    Attributes:
        config: as checked.
        base: the experiment, as every process finds it.
        base_hash: of the experiment as it is resolved.
        file: the config's, as messages call it.
    """

    config: SweepConfig
    base: str
    base_hash: str
    file: str


def load_sweep(source: str | os.PathLike[str], overrides: Mapping[str, object] | None = None) -> SweepPlan:
    """Read a sweep's config and check it, and what it would write over its base.

    Args:
        source: name of one that comes with the package, or a path.
        overrides: values by dotted path, written over the file and checked as strictly.

    Raises:
        ConfigError: with every fault.
    """
    path, text, label = read_source(source, sweep_path, f"configs/{FOLDER}")
    written = read_yaml(text, label)
    override(written, overrides or {}, OPTION)
    faults, config = list(written.faults), None
    try:
        config = SweepConfig.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        faults += faults_of(error, SweepConfig, written)
        config = _without(faults, written.tree)
    if config is None:
        raise ConfigError(faults)
    base = _base(config.base, path.parent)
    try:
        experiment = load_experiment(base)
    except ConfigError as error:
        told = [written.fault(("base",), f"{config.base}: {_told(fault)}") for fault in error.faults]
        raise ConfigError([*faults, *told]) from None
    faults += _misfits(config, base, written)
    if faults:
        raise ConfigError(faults)
    return SweepPlan(config, base, _hash(experiment), label)


def experiment_hash(base: str) -> str:
    """Return what stands for an experiment as it is now; another one is another sweep.

    Raises:
        ConfigError: it cannot be read any more.
    """
    return _hash(load_experiment(base))


def sweep_names() -> tuple[str, ...]:
    """Return the names of the sweeps that come with the package."""
    return shipped_names(FOLDER)


def sweep_path(name: str) -> Path:
    """Return the file of a sweep that comes with the package."""
    return shipped_path(FOLDER, name, "sweep")


def sweep_schema() -> dict[str, Any]:
    """Return the JSON Schema by which an editor completes and checks a sweep's config."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | SweepConfig.model_json_schema()


def _hash(experiment: Experiment) -> str:
    return f"{experiment.hash}-{experiment.config.seed}"


def _base(name: str, folder: Path) -> str:
    is_path = bool(Path(name).suffix) or Path(name).name != name
    return str((folder / name).resolve()) if is_path else name


def _without(faults: list[Fault], tree: Any) -> SweepConfig | None:
    """Return a config of those sections that have no fault, for what the base says of them; None: of no base."""
    faulty = {fault.path.partition(".")[0] for fault in faults}
    if not isinstance(tree, dict) or "base" in faulty:
        return None
    sound = {key: value for key, value in tree.items() if key not in faulty}
    try:
        return SweepConfig.model_validate_json(json.dumps({"name": "any", "search": NOTHING} | sound))
    except ValidationError:
        return None


def _misfits(config: SweepConfig, base: str, written: Source) -> Iterator[Fault]:
    """Yield what is wrong with values in the base, each told once, where it stands in the sweep."""
    told: set[tuple[Place, str]] = set()
    everywhere: set[str] = set()  # what the settings make wrong is wrong with each value of each field
    for place, overrides in _tried(config):
        for seed in (config.seeds[0],) if place[0] != "seeds" else (place[1],):
            try:
                load_experiment(base, {**config.settings, **overrides, "seed": seed})
            except ConfigError as error:
                for fault in error.faults:
                    at = (place, _told(fault))
                    if at not in told and _told(fault) not in everywhere:
                        told.add(at)
                        everywhere |= {_told(fault)} if place == ("settings",) else set()
                        yield written.fault(place, f"in {config.base}: {_told(fault)}")
                        if len(told) >= MOST_FAULTS:
                            return


def _tried(config: SweepConfig) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield what is written over the base, and where it stands: each value of each field by itself."""
    yield ("settings",), {}
    for k, seed in enumerate(config.seeds):
        yield ("seeds", k), {"seed": seed}
    search = config.search
    if isinstance(search, Listed):
        for k, trial in enumerate(search.trials):
            yield ("search", "trials", k), dict(trial)
        return
    for name, domain in search.fields.items():
        if isinstance(domain, Range):
            values: tuple[Any, ...] = (domain.low, domain.high)
            values = tuple(map(int, values)) if domain.whole else values
        else:
            values = domain.choices if isinstance(domain, Choice) else domain
        for value in values:
            yield ("search", "fields", name), {name: value}


def _told(fault: Fault) -> str:
    return f"{fault.path}: {fault.message}" if fault.path else fault.message
