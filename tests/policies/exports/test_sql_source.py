"""An SQL export, asked of DuckDB, decides as its document does."""

from __future__ import annotations

import random
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from policies.batch import BatchPolicy
from policies.decide import Policy
from policies.document import Document, Greedy, Mixture, Posterior, Rule, Rules, Send, Softmax, Thompson
from policies.exports.refusal import ExportError
from policies.exports.sql_source import sql_source
from policies.vocabulary import action_names, feature_names, n_features
from tests.policies.documents import BETA_ARMS, MIXTURE, POSTERIOR
from tests.policies.random_documents import hard_observations, random_document

KINDS = ("rules", "scorecard", "tree", "network", "posterior", "arms", "beta_arms", "mixture")


def table_of(n_slots: int, observations: np.ndarray, masks: np.ndarray, uniforms: np.ndarray) -> pd.DataFrame:
    columns = dict(zip(feature_names(n_slots), observations.T, strict=True))
    columns |= {
        f"eligible.{name}": mask for name, mask in zip(action_names(n_slots), masks.T, strict=True) if name != "no_send"
    }
    return pd.DataFrame(columns | {"uniform": uniforms, "row": np.arange(len(uniforms))})


def answered(document: Document, table: pd.DataFrame) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.register("observations", table)
        return connection.sql(sql_source(document)).df().sort_values("row").reset_index(drop=True)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document(kind: str) -> None:
    compare(kind, 12, 200)


@pytest.mark.proof
@pytest.mark.parametrize("kind", KINDS)
def test_equals_its_document_in_a_hundred_thousand_states(kind: str) -> None:
    compare(kind, 50, 2_000)


def without_thompson(document: Document) -> Document:
    """The same, greedy or with softmax where it would need a quadrature."""
    model, exploration = document.model, document.exploration
    if isinstance(model, Mixture):
        parts = [replace(p, exploration=Softmax(0.7)) if p.exploration.kind == "thompson" else p for p in model.parts]
        model = replace(model, parts=tuple(parts))
    if exploration.kind == "thompson":
        exploration = Softmax(0.3) if isinstance(model, Posterior) else Greedy()
    if isinstance(model, Posterior):
        model = replace(model, optimism=1.5)
    return replace(document, model=model, exploration=exploration, parity=())


def compare(kind: str, n_documents: int, n_rows: int) -> None:
    luck, rows = random.Random(kind), np.random.default_rng(1)
    n_sent = 0
    for _ in range(n_documents):
        document = without_thompson(random_document(kind, luck, luck.choice((1, 2, 4))))
        observations, masks = hard_observations(document, rows, n_rows)
        uniforms = rows.random(n_rows)
        found = answered(document, table_of(document.n_slots, observations, masks, uniforms))
        names = action_names(document.n_slots)
        expected = BatchPolicy(document).probabilities(observations, masks)
        shares = found[[f"probability.{name}" for name in names]].to_numpy()
        np.testing.assert_allclose(shares, expected, rtol=0.0, atol=1e-12, err_msg=str(document))
        if isinstance(document.exploration, Greedy) and not isinstance(document.model, Mixture):
            np.testing.assert_array_equal(shares, expected)
        policy = Policy(document)
        for row in range(0, n_rows, 20):
            decision = policy.decide(observations[row], masks[row], float(uniforms[row]), explain=False)
            assert found["action"][row] == decision.action
            assert found["action_name"][row] == names[decision.action]
            assert found["propensity"][row] == pytest.approx(decision.propensity, abs=1e-12)
        n_sent += int((found["action"] > 0).sum())
    assert n_sent > n_documents


def test_the_answer_keeps_the_table_and_nothing_in_between() -> None:
    document = random_document("tree", random.Random(1), 1)
    table = table_of(1, np.zeros((2, n_features(1))), np.ones((2, 3), np.bool_), np.zeros(2))
    added = [f"probability.{name}" for name in action_names(1)] + ["action", "action_name", "propensity"]
    assert list(answered(document, table).columns) == [*table.columns, *added]


def test_names_cannot_break_out() -> None:
    rules = Rules((Rule("x", (), Send(("push",))),))
    document = Document("x\n; DROP TABLE observations; --\u2028", 1, rules)
    assert sql_source(document).splitlines()[0] == "-- x ; DROP TABLE observations; -- "
    assert sql_source(document, 'my "table"').count('FROM "my ""table"""') == 1


def test_parts_leave_nothing_behind() -> None:
    document = without_thompson(MIXTURE)
    n = document.n_slots
    table = table_of(n, np.zeros((2, n_features(n))), np.ones((2, 1 + 2 * n), np.bool_), np.zeros(2))
    added = [f"probability.{name}" for name in action_names(n)] + ["action", "action_name", "propensity"]
    assert list(answered(document, table).columns) == [*table.columns, *added]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (replace(POSTERIOR, exploration=Thompson()), "exploration thompson"),
        (replace(BETA_ARMS, exploration=Thompson()), "exploration thompson"),
        (replace(BETA_ARMS, exploration=Greedy(), fallback=Rules(())), "a fallback"),
    ],
)
def test_what_has_no_form(document: Document, told: str) -> None:
    with pytest.raises(ExportError, match=f"SQL has no exact form of {told}: "):
        sql_source(replace(document, parity=()))
