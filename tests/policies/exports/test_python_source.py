"""A Python export decides as its document does: to the last bit, in a bare interpreter, for hard questions."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.decide import Policy
from policies.document import Document, Rule, Rules, Send
from policies.exports.python_source import python_source
from policies.exports.refusal import ExportError
from policies.vocabulary import action_names, feature_names, n_features
from tests.policies.random_documents import hard_observations, random_document

KINDS = ("rules", "scorecard", "tree", "network", "posterior", "arms", "beta_arms", "mixture")
N_DOCUMENTS, N_ROWS = 25, 60


def module_of(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(compile(python_source(document), "exported.py", "exec"), found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document(kind: str) -> None:
    compare(kind, N_DOCUMENTS, N_ROWS)


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document_in_a_hundred_thousand_states(kind: str) -> None:
    compare(kind, 100, 1_000)


def compare(kind: str, n_documents: int, n_rows: int) -> None:
    luck, rows = random.Random(kind), np.random.default_rng(1)
    n_sent = 0
    for _ in range(n_documents):
        document = random_document(kind, luck, luck.choice((1, 2, 4)))
        policy, exported = Policy(document), module_of(document)
        observations, masks = hard_observations(document, rows, n_rows)
        for values, mask in zip(observations.tolist(), masks.tolist(), strict=True):
            uniform = luck.random()
            assert tuple(exported["probabilities"](values, mask)) == policy.probabilities(values, mask)
            action, name, propensity = exported["decide"](values, mask, uniform)
            expected = policy.decide(values, mask, uniform, explain=False)
            assert (action, propensity) == (expected.action, expected.propensity)
            assert name == action_names(document.n_slots)[action]
            n_sent += action > 0
    assert n_sent > n_documents  # or nothing was asked


def test_alone_in_a_bare_interpreter(tmp_path: Path) -> None:
    luck, rows = random.Random(8), np.random.default_rng(2)
    for kind in KINDS:
        document = random_document(kind, luck, 2)
        (tmp_path / "exported.py").write_text(python_source(document), encoding="utf-8")
        observations, masks = hard_observations(document, rows, 20)
        asked = json.dumps([observations.tolist(), masks.tolist()])
        code = (
            f"import sys, json; sys.path.insert(0, {str(tmp_path)!r}); import exported; rows = json.load(sys.stdin)\n"
            "print(json.dumps([exported.probabilities(*row) for row in zip(*rows)]))"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", code], input=asked, capture_output=True, text=True, check=True
        )
        policy = Policy(document)
        expected = [list(policy.probabilities(*row)) for row in zip(observations.tolist(), masks.tolist(), strict=True)]
        assert json.loads(done.stdout) == expected


def test_it_says_where_it_comes_from() -> None:
    document = random_document("tree", random.Random(1), 2)
    exported = module_of(document)
    assert exported["POLICY_HASH"] == Policy(document).policy_hash
    assert exported["FEATURES"] == feature_names(2)
    assert exported["ACTIONS"] == action_names(2)
    assert Policy(document).policy_hash in exported["__doc__"]


def test_names_cannot_break_out() -> None:
    """A name is a text from somewhere: neither quotes nor line ends of it become code."""
    name = 'x"""\nimport os\nos.abort()\n\u2028"""\\'
    rules = Rules((Rule("y\nimport os; os.abort()\u2029", (), Send(("push",))),))
    source = python_source(Document(name, 1, rules))
    assert source.count('"""') % 2 == 0
    assert module_of(Document(name, 1, rules))["decide"]([0.0] * n_features(1), [True] * 3, 0.0)[0] == 1


def test_a_fallback_has_no_form() -> None:
    document = replace(random_document("tree", random.Random(1), 2), fallback=Rules(()))
    with pytest.raises(ExportError, match="a Python file has no exact form of a fallback: import policies instead"):
        python_source(document)


def test_own_limits_are_left_to_whoever_asks_and_it_says_so() -> None:
    document = replace(random_document("tree", random.Random(1), 2), allowed_campaigns=("a",))
    assert "own limits are not in it: hold them, and say by `eligible` what they leave" in python_source(document)


def test_what_is_asked_wrongly() -> None:
    exported = module_of(random_document("tree", random.Random(1), 2))
    fine, everything = [0.0] * n_features(2), [True] * 5
    with pytest.raises(ValueError, match=f"features: expected {n_features(2)} numbers, got 3"):
        exported["probabilities"]([0.0] * 3, everything)
    with pytest.raises(ValueError, match="eligible: expected 5 of true or false, got 2"):
        exported["probabilities"](fine, [True, False])
    with pytest.raises(ValueError, match=r"eligible\[0\] \(no_send\): expected true"):
        exported["probabilities"](fine, [False] * 5)
    with pytest.raises(ValueError, match="features: local_hour_cos: expected a finite number, got nan"):
        exported["probabilities"]([0.0, float("nan"), *fine[2:]], everything)
    with pytest.raises(ValueError, match=r"uniform: expected a number in \[0, 1\), got 1\.0"):
        exported["decide"](fine, everything, 1.0)
