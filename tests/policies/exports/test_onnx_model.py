"""A model in ONNX, asked of ONNX Runtime, decides as its document does on the same float32 observations."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from policies.batch import BatchPolicy
from policies.document import Document, Greedy, Leaf, Rules, Softmax, Split, Thompson, Tree
from policies.exports.onnx_model import onnx_model
from policies.exports.refusal import ExportError
from policies.vocabulary import action_names, n_features
from tests.policies.documents import BETA_ARMS, POSTERIOR
from tests.policies.exports.test_sql_source import without_thompson
from tests.policies.random_documents import hard_observations, random_document

KINDS = ("rules", "scorecard", "tree", "network", "posterior", "arms", "beta_arms", "mixture")


TOLERANCE = 1e-12


def asked(document: Document, observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx_model(document), options, providers=["CPUExecutionProvider"])
    found: Any = session.run(["probabilities"], {"observations": observations, "eligible": masks})[0]
    return np.asarray(found)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document(kind: str) -> None:
    assert compare(kind, 12, 300) == 0


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document_in_a_hundred_thousand_states(kind: str) -> None:
    differing = compare(kind, 50, 2_000)
    print(f"{kind}: {differing} of 100,000 states differ")  # noqa: T201 the record
    assert differing == 0


def compare(kind: str, n_documents: int, n_rows: int) -> int:
    """Return in how many states any probability differs by more than 1e-12; hard ones lie on thresholds."""
    luck, rows = random.Random(kind), np.random.default_rng(1)
    n_differing = n_sent = 0
    for _ in range(n_documents):
        document = without_thompson(random_document(kind, luck, luck.choice((1, 2, 4))))
        observations, masks = hard_observations(document, rows, n_rows)
        observations = observations.astype(np.float32)
        expected = BatchPolicy(document).probabilities(observations, masks)
        found = asked(document, observations, masks)
        assert found.shape == expected.shape
        assert (found[~masks] == 0.0).all()
        n_differing += int((np.abs(found - expected) > TOLERANCE).any(axis=1).sum())
        n_sent += int((expected[:, 1:] > 0.0).sum())
    assert n_sent > n_documents
    return n_differing


def test_it_says_where_it_comes_from() -> None:
    document = random_document("tree", random.Random(1), 2)
    model = onnx.load_from_string(onnx_model(document))
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["policy_hash"] == BatchPolicy(document).policy_hash
    assert told["actions"].split(",") == list(action_names(2))
    assert told["own_limits"] == "none"
    assert len(told["features"].split(",")) == n_features(2)
    limited = onnx.load_from_string(onnx_model(replace(document, allowed_campaigns=("a",))))
    assert "hold them" in {entry.key: entry.value for entry in limited.metadata_props}["own_limits"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (replace(POSTERIOR, exploration=Thompson(), parity=()), "exploration thompson"),
        (replace(BETA_ARMS, exploration=Greedy(), parity=(), fallback=Rules(())), "a fallback"),
    ],
)
def test_what_has_no_form(document: Document, told: str) -> None:
    with pytest.raises(ExportError, match=f"ONNX has no exact form of {told}: "):
        onnx_model(document)


def test_every_hour_of_the_clock_is_read() -> None:
    """The quadrants that an arcus tangent alone does not tell apart, and the hours between them."""
    tree = random_document("tree", random.Random(1), 1)
    hours = np.arange(0, 24, 0.25)
    observations = np.zeros((len(hours), n_features(1)), np.float32)
    observations[:, 0], observations[:, 1] = np.sin(hours * np.pi / 12), np.cos(hours * np.pi / 12)
    masks = np.ones((len(hours), 3), np.bool_)
    root: Split | Leaf = Leaf({"push": 24.0, "email": 0.0})
    for hour in range(23, 0, -1):
        root = Split("local_hour", float(hour), Leaf({"push": float(hour), "email": 0.0}), root)
    document = replace(tree, model=Tree(root), exploration=Softmax(10.0))
    expected = BatchPolicy(document).probabilities(observations, masks)
    np.testing.assert_allclose(asked(document, observations, masks), expected, atol=1e-12)
    assert len(np.unique(expected[:, 1])) == 24
