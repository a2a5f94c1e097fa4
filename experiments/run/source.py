"""An experiment from YAML or from plain data: every fault at once, its scenario's and its agents' among them.

experiment = load_experiment("demo", {"seed": 3})
experiment.hash, experiment.scenario
again = experiment_of(experiment.to_data())  # in another process
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError

from agents.kinds import KINDS, settings_class
from agents.settings import Settings
from experiments.config import read_source, scenario_tree
from experiments.config_messages import faults_of
from experiments.faults import ConfigError, Fault
from experiments.named_scenario import OPTION, file_of, named_scenario
from experiments.run.config import (
    ExperimentConfig,
    GivenDocument,
    TrainedAgent,
    experiment_class,
)
from experiments.run.luck import first_user, training_seed
from experiments.shipped import shipped_names, shipped_path
from experiments.training.config import TrainingConfig, UsersEnvironment
from experiments.training.source import SCENARIO_FILE, Plan, kind_fault
from experiments.yaml_source import Source, override, read_yaml, write_yaml
from policies.codec import content_hash
from policies.document import Document
from simulator.config import MisfitError, Scenario, did_you_mean
from simulator.presets import scenario_of

FOLDER = "experiments"  # of `configs`
HASH_DIGITS = 12
NOT_HASHED = ("seed", "name", "title")  # neither decides what a trial is, or they stand in its path already


@dataclass(frozen=True)
class Experiment:
    """An experiment that can begin.

    Attributes:
        config: as checked, defaults included.
        scenario: with the settings and the horizon written over it.
        documents: policy documents by the contender's name.
        texts: the same as they were written.
        file: the config's, as messages call it.
    """

    config: ExperimentConfig
    scenario: Scenario
    documents: Mapping[str, Document] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    file: str = "experiment"

    @property
    def hash(self) -> str:
        """12 hex digits of what decides the results, but for the seed: SHA-256 over the resolved config."""
        told = {key: value for key, value in self.to_data().items() if key not in NOT_HASHED}
        for entry in told["contenders"]:
            if entry["name"] in self.documents:
                entry["path"] = content_hash(self.documents[entry["name"]])  # the same however its file is laid out
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]

    @property
    def place(self) -> Path:
        """Where a trial of it lies, below a folder of results: `<name>/<hash>/<seed>`."""
        return Path(self.config.name, self.hash, str(self.config.seed))

    def to_data(self) -> dict[str, Any]:
        """Return all that a trial depends on as plain data: the scenario and the documents stand in it whole."""
        told = self.config.model_dump(mode="json")
        told |= {"scenario": scenario_tree(self.scenario), "settings": {}, "horizon_days": None}
        for entry in told["contenders"]:
            if entry["name"] in self.texts:
                entry["path"] = json.loads(self.texts[entry["name"]])
        return told

    def to_yaml(self, documents: Path = Path()) -> str:
        """Return the resolved config; with the scenario and the documents beside it, it loads back equal.

        Args:
            documents: where these lie, from the config's folder.
        """
        told = self.config.model_dump(mode="json")
        told |= {"scenario": SCENARIO_FILE, "settings": {}, "horizon_days": None}
        for entry in told["contenders"]:
            if entry["name"] in self.texts:
                entry["path"] = (documents / f"{entry['name']}.json").as_posix()
        return write_yaml(told)

    def plan_of(self, contender: TrainedAgent) -> Plan:
        """Return the training of a contender."""
        about, training = contender.environment, contender.training
        own = first_user(self.config.seed, "held_out") + training.evaluation.seed  # else seeds would share the judges
        judged = training.evaluation.model_copy(update={"seed": own})
        config = TrainingConfig(
            name=contender.name,
            title=self.config.title,
            seed=training_seed(self.config.seed),
            environment=UsersEnvironment(
                id="kairos/Notify-v0",
                scenario=SCENARIO_FILE,
                n_slots=self.config.n_slots,
                **{name: getattr(about, name) for name in type(about).model_fields},
            ),
            agent=contender.agent,
            credit=contender.credit,
            training=training.model_copy(update={"evaluation": judged}),
        )
        return Plan(config, self.scenario, f"{self.file}: contender {contender.name!r}")


def experiment_names() -> tuple[str, ...]:
    """Return the names of the experiments that come with the package, in alphabetical order."""
    return shipped_names(FOLDER)


def experiment_path(name: str) -> Path:
    """Return the file of an experiment that comes with the package.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    return shipped_path(FOLDER, name, "experiment")


def load_experiment(source: str | os.PathLike[str], overrides: Mapping[str, object] | None = None) -> Experiment:
    """Read an experiment's config and check it.

    Args:
        source: name of one that comes with the package, or a path; text with a slash or a suffix is taken for a path.
        overrides: values by dotted path, written over the file and checked as strictly.

    Raises:
        ConfigError: with every fault of the file, of the overrides, of the scenario and of the documents.
        ModuleNotFoundError: an agent needs a library that is not installed.
    """
    path, text, label = read_source(source, experiment_path, f"configs/{FOLDER}")
    written = read_yaml(text, label)
    override(written, overrides or {}, OPTION)
    horizon = written.tree.get("horizon_days") if isinstance(written.tree, dict) else None
    scenario, faults = _scenario(written, path.parent, horizon)
    texts: dict[str, str] = {}
    documents, document_faults = _documents(written, path.parent, texts)
    return _checked(written, scenario, [*faults, *document_faults], documents, texts)


def experiment_of(tree: Mapping[str, Any], seed: int | None = None, label: str = "config") -> Experiment:
    """Return an experiment from plain data, as `Experiment.to_data` gives it, checked again.

    Args:
        tree: with the scenario and the documents in it, whole.
        seed: to run it with; None: its own.
        label: how to call it in messages.

    Raises:
        ConfigError: with every fault.
    """
    told = json.loads(json.dumps(tree))
    if not isinstance(told, dict) or not isinstance(told.get("scenario"), dict):
        expected = "expected an experiment as Experiment.to_data gives it, with the scenario as a section"
        raise ConfigError([Fault(label, None, "scenario", expected)])
    if seed is not None:
        told["seed"] = seed
    try:
        scenario = scenario_of(told["scenario"])
    except ValidationError as error:
        raise ConfigError(faults_of(error, Scenario, Source(label, told["scenario"]))) from None
    written = Source(label, told | {"scenario": SCENARIO_FILE})
    faults: list[Fault] = []
    documents, texts = {}, {}
    for place, entry in _entries(written, "document"):
        at = ("contenders", place, "path")
        text = json.dumps(entry.get("path"))
        document, found = _read(written, at, text, f"contenders.{place}.path")
        faults += found
        if document is not None:
            documents[str(entry["name"])] = document
            texts[str(entry["name"])] = text
        entry["path"] = f"{entry.get('name')}.json"
    return _checked(written, scenario, faults, documents, texts)


def experiment_schema() -> dict[str, Any]:
    """Return the JSON Schema by which an editor completes and checks an experiment's config."""
    arms: Any = tuple(settings_class(kind) for kind in KINDS)
    agent: Any = Annotated[Union[arms], Field(discriminator="kind")]  # noqa: UP007
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | experiment_class(agent).model_json_schema()


class _NoAgent(Settings):
    """A second arm, without which one kind alone would be no union."""

    kind: Literal["none of the known kinds"]


def _checked(
    written: Source,
    scenario: Scenario | None,
    faults: list[Fault],
    documents: dict[str, Document],
    texts: dict[str, str],
) -> Experiment:
    agent, agent_faults = _agent_type(written)
    # What is told here already, pydantic need not tell again.
    written.faults += agent_faults
    model = experiment_class(agent)
    config = None
    try:
        config = model.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        faults = faults_of(error, model, written) + faults
    faults = [*written.faults, *faults]
    if config is not None and scenario is not None:
        faults += _misfits(written, config, scenario, documents)
    if faults or config is None or scenario is None:
        raise ConfigError(faults)
    return Experiment(config, scenario, documents, texts, written.file)


def _agent_type(written: Source) -> tuple[Any, list[Fault]]:
    """Return the type of an agent's section, of the kinds that the config has, and what is wrong with a kind."""
    kinds: list[str] = []
    faults: list[Fault] = []
    for place, entry in _entries(written, "agent"):
        section = entry.get("agent")
        if isinstance(section, dict):
            fault = kind_fault(written, section, ("contenders", place, "agent"))
            if fault is not None:
                faults.append(fault)
            elif section["kind"] not in kinds:
                kinds.append(section["kind"])
    if not kinds and not faults:
        return Settings, []
    arms: Any = (*map(settings_class, kinds), _NoAgent)
    if not kinds:
        return _NoAgent, faults
    union: Any = Union[arms]  # noqa: UP007
    return Annotated[union, Field(discriminator="kind")], faults


def _entries(written: Source, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the contenders of a kind, each with its place."""
    entries = written.tree.get("contenders") if isinstance(written.tree, dict) else None
    if not isinstance(entries, list):
        return []
    return [(k, entry) for k, entry in enumerate(entries) if isinstance(entry, dict) and entry.get("kind") == kind]


def _scenario(written: Source, folder: Path, horizon: object) -> tuple[Scenario | None, list[Fault]]:
    """Return the scenario with the horizon, too, and what is wrong with it."""
    scenario, faults = named_scenario(written, folder)
    if scenario is None or not isinstance(horizon, int) or isinstance(horizon, bool):
        return scenario, faults
    tree = scenario_tree(scenario)
    tree["calendar"]["horizon_days"] = horizon
    try:
        return scenario_of(tree), faults
    except ValidationError:
        return scenario, faults  # out of its range, which the config's own field tells
    except MisfitError as error:
        return None, [*faults, written.fault(("horizon_days",), str(error))]


def _documents(written: Source, folder: Path, texts: dict[str, str]) -> tuple[dict[str, Document], list[Fault]]:
    """Return the documents that contenders name by their path, and what is wrong with them; fill in their texts."""
    found: dict[str, Document] = {}
    faults: list[Fault] = []
    for place, entry in _entries(written, "document"):
        name, given, at = entry.get("name"), entry.get("path"), ("contenders", place, "path")
        if not isinstance(name, str) or not isinstance(given, str):
            continue
        is_typed = written.place(at).file == OPTION
        path = Path(file_of(str(Path(given)), Path())) if is_typed else folder / given
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            faults.append(written.fault(at, f"{given}: expected a policy document's file: {why}"))
            continue
        document, its_faults = _read(written, at, text, given)
        faults += its_faults
        if document is not None:
            found[name], texts[name] = document, text
    return found, faults


def _read(written: Source, at: tuple[str | int, ...], text: str, label: str) -> tuple[Document | None, list[Fault]]:
    from policies.codec import DocumentError, read
    from policies.document import require_no_limits

    try:
        document = read(text, label)
        require_no_limits(document, "a simulation")
    except (DocumentError, ValueError) as error:
        return None, [written.fault(at, line) for line in str(error).splitlines()]
    return document, []


def _misfits(
    written: Source, config: ExperimentConfig, scenario: Scenario, documents: Mapping[str, Document]
) -> list[Fault]:
    """Return what does not go together beyond the config itself: with the scenario, and with documents."""
    faults = []
    most_spread = (scenario.calendar.horizon_days - 1) * 24
    for place, contender in enumerate(config.contenders):
        if isinstance(contender, GivenDocument) and contender.name in documents:
            n_slots = documents[contender.name].n_slots
            if n_slots != config.n_slots:
                told = f"expected a document of n_slots ({config.n_slots}) candidates, got {n_slots}"
                faults.append(written.fault(("contenders", place, "path"), told))
        if isinstance(contender, TrainedAgent) and contender.environment.spread_hours > most_spread:
            told = f"expected at most {most_spread}, a day less than the horizon of {scenario.calendar.horizon_days}"
            at = ("contenders", place, "environment", "spread_hours")
            faults.append(written.fault(at, f"{told} days, got {contender.environment.spread_hours}"))
    if config.robustness is not None and config.robustness.worlds is not None:
        faults += _unknown_worlds(written, config.robustness.worlds)
    if config.offline is not None and (config.offline.horizon_days or 0) > scenario.calendar.horizon_days:
        told = f"expected at most the experiment's {scenario.calendar.horizon_days}, got {config.offline.horizon_days}"
        faults.append(written.fault(("offline", "horizon_days"), told))
    return faults


def _unknown_worlds(written: Source, names: tuple[str, ...]) -> list[Fault]:
    from experiments.robustness.worlds import STANDARD, load_worlds

    known = [world.name for world in load_worlds(STANDARD)]
    return [
        written.fault(
            ("robustness", "worlds", place),
            f"expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}".rstrip("."),
        )
        for place, name in enumerate(names)
        if name not in known
    ]
