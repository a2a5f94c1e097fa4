"""Whom robustness is asked of: policy documents, by name, and how often each decides.

A source is a document, a training's folder (`policy.json`), or a run's folder (`policies/*.json`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.baselines.document_agent import DocumentAgent
from agents.problem import vocabulary_problem
from experiments.exports.source import POLICY, policy_file
from experiments.results import SCENARIO
from experiments.yaml_source import read_yaml
from policies.codec import content_hash, read
from policies.document import Document

SILENCE = "silence"
ASKED = {"epoch_hours": int, "trigger": str, "most_wait_hours": int}
CONFIG, POLICIES, TRAININGS = "config.yaml", "policies", "training"


@dataclass(frozen=True)
class Contestant:
    """A policy that takes part.

    Attributes:
        name: unlike all others.
        document: the policy.
        epoch_hours: between its decisions; None: one.
        trigger, most_wait_hours: when it decides, see `NotifyVectorEnv`.
    """

    name: str
    document: Document
    epoch_hours: int | None = None
    trigger: str = "clock"
    most_wait_hours: int = 24

    @property
    def asked(self) -> dict[str, Any]:
        """When it is asked, as arguments of `NotifyVectorEnv`."""
        return {name: getattr(self, name) for name in ASKED}

    @property
    def policy_hash(self) -> str:
        """Content hash of its document."""
        return content_hash(self.document)

    def agent(self) -> DocumentAgent:
        """Return an agent that does as the document is written, chance included."""
        problem = vocabulary_problem(self.document.n_slots)
        return DocumentAgent(self.document, problem, is_chance_the_policy=True)


def contestants(sources: Sequence[Path], epoch_hours: int | None = None) -> tuple[Contestant, ...]:
    """Return the policies of some sources, in their order.

    A policy that is named as an earlier one is called after its file or folder; where that is taken too, by a number.

    Args:
        sources: documents, trainings' folders, runs' folders.
        epoch_hours: between decisions, of all, by the clock; None: as each was trained, else one.

    Raises:
        DocumentError: a document is not sound.
        ConfigError: a training's config is no YAML.
        click.ClickException: a source is none.
    """
    found: list[Contestant] = []
    for source in sources:
        for file, training in _files(source):
            document = read(file.read_text(encoding="utf-8"), str(file))
            asked = _asked(training) if epoch_hours is None else {"epoch_hours": epoch_hours}
            within = file.parent.name if file.name == POLICY else file.stem
            # In a run's folder the file is named after the contender, which is how its report calls it.
            wanted = file.stem if file.parent.name == POLICIES else document.name
            found.append(Contestant(_free(wanted, within, [each.name for each in found]), document, **asked))
    return tuple(found)


def home_source(sources: Sequence[Path]) -> Path | None:
    """Return the file of the scenario that the first source with one was made in; None where no source has one."""
    files = (source / SCENARIO for source in sources if source.is_dir())
    return next((file for file in files if file.is_file()), None)


def is_run(source: Path) -> bool:
    """Return whether a source is a run's folder, with policies of several contenders."""
    return any((source / POLICIES).glob("*.json"))


def _files(source: Path) -> list[tuple[Path, Path]]:
    """Return each document's file, and the folder of the training that may have made it."""
    if is_run(source):
        return [(file, source / TRAININGS / file.stem) for file in sorted((source / POLICIES).glob("*.json"))]
    file = policy_file(source)
    return [(file, file.parent)]


def _asked(training: Path) -> dict[str, Any]:
    """Return when a training's agent decides; nothing where the folder is of none, or as its scenario has it."""
    config = training / CONFIG
    if not config.is_file() or not (training / POLICY).is_file():
        return {}
    # Only these values, so that a network can be judged where nothing that trains one is installed.
    tree = read_yaml(config.read_text(encoding="utf-8"), str(config)).tree
    environment = tree.get("environment") if isinstance(tree, dict) else None
    told = environment if isinstance(environment, dict) else {}
    return {name: told[name] for name, kind in ASKED.items() if isinstance(told.get(name), kind)}


def _free(wanted: str, within: str, taken: Sequence[str]) -> str:
    """Return a name that is not taken; silence's is."""
    used = {*taken, SILENCE}
    names = [wanted, within, *(f"{wanted} {number}" for number in range(2, len(used) + 3))]
    return next(name for name in names if name not in used)
