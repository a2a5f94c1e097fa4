"""A training's config from YAML: every fault at once, those of its agent and its scenario among them; and written back.

plan = load_training("users-maskable-ppo", {"seed": 3})
plan.config.agent, plan.scenario
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union

from pydantic import Field, ValidationError

from agents.kinds import KINDS, settings_class
from agents.settings import Settings
from experiments.config import read_source, scenario_tree
from experiments.config_messages import faults_of
from experiments.faults import ConfigError, Fault
from experiments.named_scenario import OPTION, named_scenario
from experiments.shipped import shipped_names, shipped_path
from experiments.training.beginning import Beginning
from experiments.training.config import TrainingConfig, config_class
from experiments.yaml_source import Path as Place
from experiments.yaml_source import Source, override, read_yaml, write_yaml
from simulator.config import Scenario, did_you_mean

SCENARIO_FILE = "scenario.yaml"
FOLDER = "training"  # of `configs`
_MARK = re.compile(r"^kind: training\b", re.MULTILINE)


@dataclass(frozen=True)
class Plan:
    """A training that can begin.

    Attributes:
        config: as checked, defaults included.
        scenario: with the config's settings written over it; None for an exact world.
        file: the config's, as messages call it.
        begins_with: what the agent knows before it learns; None: nothing.
    """

    config: TrainingConfig
    scenario: Scenario | None
    file: str
    begins_with: Beginning | None = None

    def to_data(self) -> dict[str, Any]:
        """Return all that a result depends on, as plain data: what a checkpoint is checked against."""
        told = self.config.model_dump(mode="json")
        if self.scenario is not None:
            told["environment"] |= {"scenario": scenario_tree(self.scenario), "settings": {}}
        return told if self.begins_with is None else told | {"begins_with": self.begins_with.to_data()}

    def to_yaml(self) -> str:
        """Return the resolved config; with the resolved scenario beside it as scenario.yaml, it loads back equal."""
        told = self.config.model_dump(mode="json")
        if self.scenario is not None:
            told["environment"] |= {"scenario": SCENARIO_FILE, "settings": {}}
        return write_yaml(told)


def training_names() -> tuple[str, ...]:
    """Return the names of the training configs that come with the package, in alphabetical order."""
    return shipped_names(FOLDER)


def training_path(name: str) -> Path:
    """Return the file of a training config that comes with the package.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    return shipped_path(FOLDER, name, "training")


def load_training(source: str | os.PathLike[str], overrides: Mapping[str, object] | None = None) -> Plan:
    """Read a training's config and check it.

    Args:
        source: name of one that comes with the package, or a path; text with a slash or a suffix is taken for a path.
        overrides: values by dotted path, written over the file and checked as strictly.

    Raises:
        ConfigError: with every fault of the file, of the overrides, and of the scenario that it names.
        ModuleNotFoundError: the agent needs a library that is not installed.
    """
    path, text, label = read_source(source, training_path, "configs/training")
    written = read_yaml(text, label)
    override(written, overrides or {}, OPTION)
    faults = list(written.faults)
    agent, agent_faults = _agent_class(written)
    faults += agent_faults
    scenario, scenario_faults = named_scenario(written, path.parent, ("environment",))
    model = config_class(agent)
    config = None
    try:
        config = model.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        faults += faults_of(error, model, written)
    faults += scenario_faults
    if faults or config is None:
        raise ConfigError(faults)
    return Plan(config, scenario, label)


def is_training(path: str) -> bool:
    """Return whether a file says of itself that it is a training's config; False of one that cannot be read."""
    try:
        return _MARK.search(Path(path).read_text("utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def training_schema() -> dict[str, Any]:
    """Return the JSON Schema by which an editor completes and checks a training's config."""
    arms = tuple(settings_class(kind) for kind in KINDS)
    agent = Annotated[Union[arms], Field(discriminator="kind")] if len(arms) > 1 else arms[0]  # noqa: UP007
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | config_class(agent).model_json_schema()


def _agent_class(written: Source) -> tuple[Any, list[Fault]]:
    """Return the type of the agent's section, anything where its kind is not known, and what is wrong with the kind."""
    section = written.tree.get("agent") if isinstance(written.tree, dict) else None
    if not isinstance(section, dict):
        return Settings, []  # whatever stands there is no section: that is what will be said
    fault = kind_fault(written, section, ("agent",))
    return (settings_class(section["kind"]), []) if fault is None else (Any, [fault])


def kind_fault(written: Source, section: Mapping[str, Any], at: Place) -> Fault | None:
    """Return what is wrong with the `kind` of an agent's section at a path, if it is none that there is."""
    kind = section.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return None
    got = "nothing" if kind is None else repr(kind)
    message = f"expected one of {', '.join(map(repr, KINDS))}, got {got}.{did_you_mean(str(kind), KINDS)}".rstrip(".")
    return written.fault((*at, "kind"), message)
