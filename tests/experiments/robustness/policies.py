"""Small policies and a small world, for tests of robustness."""

from __future__ import annotations

from pathlib import Path

from agents.baselines.catalogue import GRIDS, baseline_agent
from agents.problem import vocabulary_problem
from experiments.config import load_scenario
from experiments.results import write_text
from experiments.robustness.contestants import Contestant
from policies.codec import write
from policies.document import Document
from simulator.config import Scenario

DAYS = 10


def eager(name: str = "eager") -> Document:
    """Sends whatever may be sent."""
    return baseline_agent(GRIDS["always"][0], vocabulary_problem(4), None).to_policy(name)


def modest(name: str = "modest") -> Document:
    """Sends in the evening, days apart."""
    return baseline_agent(GRIDS["frequency_cap"][-1], vocabulary_problem(4), None).to_policy(name)


def both() -> tuple[Contestant, Contestant]:
    return Contestant("eager", eager()), Contestant("modest", modest())


def home(days: int = DAYS) -> Scenario:
    return load_scenario("ecommerce", {"calendar.horizon_days": days})


def written(path: Path, document: Document) -> Path:
    write_text(path, write(document))
    return path
