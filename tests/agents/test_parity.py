"""One policy, wherever it runs, with the probabilities that it was trained with.

The trained agent, its document alone and in batches, a Python file, SQL, ONNX, the service.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest

from agents.agent import Agent
from agents.kinds import KINDS
from experiments.exports.states import visited
from experiments.training.source import load_training
from experiments.training.train import build
from policies.batch import BatchPolicy
from policies.codec import read, write
from policies.decide import Policy
from policies.document import Document, Network
from policies.exports.onnx_model import onnx_model
from policies.exports.python_source import python_source
from policies.exports.refusal import ExportError
from policies.exports.sql_source import sql_source
from policies.vocabulary import action_names
from simulator.config import Scenario
from simulator.environments.lenses.normalisation import normalised
from tests.policies.exports.test_onnx_model import asked
from tests.policies.exports.test_sql_source import table_of
from tests.policies.service.serving import served

Floats = npt.NDArray[np.float64]
TRAINED_STEPS = 3_000
FLOAT32 = 1e-6  # what a float32 network's own library reckons
EXACT = 1e-12


def trained(kind: str) -> tuple[Agent, Scenario]:
    """An agent after a little learning, and where it learned."""
    small = {"environment.n_users": 64, "environment.horizon_days": 10, "environment.n_slots": 2}
    small |= {"environment.spread_hours": 100}
    plan = load_training(f"users-{kind.replace('_', '-')}", small)
    assert plan.scenario is not None
    course = build(plan).course
    course.trainer.advance(TRAINED_STEPS)
    return course.trainer.agent, plan.scenario


def as_seen(document: Document, observations: Any) -> Any:
    """What the agent was shown of observations, where a lens normalised them for its network."""
    if not isinstance(document.model, Network):
        return observations
    entries = document.model.inputs
    mean, scale = (np.array([getattr(entry, name) for entry in entries]) for name in ("mean", "scale"))
    clip = np.array([np.inf if entry.clip is None else entry.clip for entry in entries])
    return normalised(observations, mean, scale, clip).astype(np.float32)


def apart(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).max())


def compare(kind: str, n_states: int, n_one_by_one: int) -> None:
    agent, scenario = trained(kind)
    for is_exploring in (True, False):
        document = read(write(agent.to_policy(kind, is_exploring=is_exploring)))
        seen = visited(document, scenario, max(64, n_states // 100), seed=77)
        observations, masks = seen.observations[:n_states], seen.masks[:n_states]
        assert len(masks) == n_states
        of_agent = agent.probabilities(as_seen(document, observations), masks, is_exploring=is_exploring)
        in_batches = BatchPolicy(document).probabilities(observations, masks)
        is_float32 = isinstance(document.model, Network) or kind == "neural_linear"
        loose = document.exploration.kind == "thompson" or is_float32
        assert apart(of_agent, in_batches) < (FLOAT32 if loose else EXACT), "the agent and its document"
        compare_one_by_one(document, observations[:n_one_by_one], masks[:n_one_by_one], in_batches[:n_one_by_one])
        compare_exports(document, observations, masks, in_batches)


def compare_one_by_one(document: Document, observations: Any, masks: Any, expected: Floats) -> None:
    policy = Policy(document)
    single = np.array([policy.probabilities(*row) for row in zip(observations, masks, strict=True)])
    is_sum_in_another_order = document.model.kind in ("network", "posterior") or document.exploration.kind == "thompson"
    assert apart(single, expected) < (1e-9 if is_sum_in_another_order else EXACT), "one at a time and in batches"
    file: dict[str, Any] = {}
    exec(compile(python_source(document), "exported.py", "exec"), file)
    alone = [file["probabilities"](*row) for row in zip(observations.tolist(), masks.tolist(), strict=True)]
    assert np.array(alone).tobytes() == single.tobytes(), "the Python file, to the last bit"
    with served(document) as it:
        for k in range(0, len(single), max(1, len(single) // 10)):
            body = {"features": observations[k].tolist(), "eligible": masks[k].tolist(), "uniform": 0.5}
            answer = it.ask("POST", "/v1/decide", body).json()
            assert tuple(answer["probabilities"]) == tuple(single[k]), "the service"
            assert answer["action"] == policy.decide(observations[k], masks[k], 0.5).action


def compare_exports(document: Document, observations: Any, masks: Any, expected: Floats) -> None:
    try:
        sql, onnx = sql_source(document), onnx_model(document)
    except ExportError:
        assert document.exploration.kind == "thompson"
        return
    assert onnx
    names = action_names(document.n_slots)
    with duckdb.connect() as connection:
        connection.register("observations", table_of(2, observations, masks, np.zeros(len(masks))))
        found = connection.sql(sql).df().sort_values("row")
    shares = found[[f"probability.{name}" for name in names]].to_numpy()
    assert apart(shares, expected) < 1e-9, "SQL"
    assert apart(asked(document, observations, masks), expected) < 1e-9, "ONNX"


@pytest.mark.parametrize("kind", KINDS)
def test_one_policy_wherever_it_runs(kind: str) -> None:
    compare(kind, 400, 40)


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_one_policy_in_a_hundred_thousand_states(kind: str) -> None:
    compare(kind, 100_000, 5_000)
