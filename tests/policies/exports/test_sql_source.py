"""An SQL export, asked of DuckDB, decides as its document does."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from policies.batch import BatchPolicy
from policies.decide import Policy
from policies.document import (
    Document,
    Greedy,
    Leaf,
    Mixture,
    Network,
    NetworkInput,
    Part,
    Posterior,
    Rule,
    Rules,
    Scorecard,
    Send,
    Softmax,
    Split,
    Thompson,
    Tree,
    Weighted,
    chooser,
)
from policies.exports.refusal import ExportError
from policies.exports.sql_kinds import total
from policies.exports.sql_source import sql_source
from policies.vocabulary import action_names, feature_names, n_features
from tests.policies.documents import BETA_ARMS, MIXTURE, POSTERIOR
from tests.policies.random_documents import hard_observations, random_document, random_layers

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
    told = ["action", "action_name", "propensity", *(f"probability.{name}" for name in action_names(1))]
    assert list(answered(document, table).columns) == [*told, *table.columns]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_may_have_columns_of_any_name(kind: str) -> None:
    """What the statement makes on its way is never taken from the table, and the answer comes before it."""
    document = without_thompson(random_document(kind, random.Random(kind), 2))
    observations, masks = hard_observations(document, np.random.default_rng(1), 50)
    table = table_of(2, observations, masks, np.full(50, 0.3))
    made = set(re.findall(r'AS "kairos\.([^"]+)"', sql_source(document)))
    assert {"most", "preferred", "action"} <= made
    taken = table.assign(**{name: 7.0 for name in made if not name.startswith("probability.")} | {"Total": 7.0})
    expected, found = answered(document, table), answered(document, taken)
    for name in expected:
        pd.testing.assert_series_equal(found[name], expected[name])
    assert (found["action_1"] == 7.0).all()  # the table's own


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [None, math.nan, math.inf])
def test_what_decide_would_refuse_is_null(kind: str, odd: float | None) -> None:
    document = reading_something(kind)
    read = chooser(document.model, 2).inputs
    observations, masks = hard_observations(document, np.random.default_rng(1), 4)
    masks[:] = True
    table = table_of(2, observations, masks, np.array([0.0, 0.5, 1.0, -0.1])).astype(object)
    if read:
        column = {"local_hour": "local_hour_sin"}.get(read[0], read[0].replace("slot.", "slot1."))
        table.loc[1, column] = odd
    else:
        table.loc[1, "uniform"] = odd
    table = table.astype({name: "boolean" if name.startswith("eligible.") else "Float64" for name in table.columns})
    found = answered(document, table)
    told = [name for name in found if name.startswith(("probability.", "action", "propensity"))]
    assert found.loc[0, told].notna().all()
    assert found.loc[1:, told].isna().all(axis=None)


def reading_something(kind: str) -> Document:
    """A document that reads a feature, where its kind does."""
    luck = random.Random(kind)
    while True:
        document = without_thompson(random_document(kind, luck, 2))
        if kind == "beta_arms" or chooser(document.model, 2).inputs:
            return document


def test_what_overflows_is_null() -> None:
    model = Scorecard(0.0, {"push": 1e308, "email": 0.0}, (Weighted("tier", {"push": 1e308, "email": 0.0}),))
    for document in (Document("x", 1, model), Document("x", 1, Mixture((Part(1.0, model, Greedy()),)))):
        observations, masks = np.zeros((2, n_features(1))), np.ones((2, 3), np.bool_)
        observations[:, feature_names(1).index("tier")] = (1.0, 0.5)
        found = answered(document, table_of(1, observations, masks, np.zeros(2)))
        assert found["action"].isna().tolist() == [True, False]
        assert found["probability.no_send"].isna().tolist() == [True, False]
        with pytest.raises(ValueError, match="expected a finite number"):
            Policy(document).decide(observations[0], masks[0], 0.5)


def test_a_slot_without_a_candidate_may_have_no_features() -> None:
    tree = Tree(Split("slot.relevance", 0.5, Leaf({"push": -1.0, "email": 0.0}), Leaf({"push": 1.0, "email": 0.0})))
    masks = np.array([[True, True, True, False, False]])
    table = table_of(2, np.full((1, n_features(2)), 0.75), masks, np.zeros(1))
    table = table.assign(**{"slot1.relevance": np.nan, "eligible.slot1.push": None})
    assert answered(Document("x", 2, tree), table)["action_name"].tolist() == ["slot0.push"]


def test_long_sums_are_sums_of_shorter_ones() -> None:
    assert total(["1", "2", "3"]) == "1 + 2 + 3"
    split = total(["1"] * 1_100)
    assert [part.count("1") for part in split.split(") + (")] == [500, 500, 100]
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {split}").fetchall() == [(1_100,)]


@pytest.mark.proof
def test_sums_of_more_terms_than_duckdb_nests() -> None:
    luck = random.Random(1)
    document = Document("wide", 1, Network((NetworkInput("tier"),), random_layers(luck, 1, 1_010, 3)), Softmax(1.0))
    observations, masks = hard_observations(document, np.random.default_rng(1), 20)
    found = answered(document, table_of(1, observations, masks, np.zeros(20)))
    shares = found[[f"probability.{name}" for name in action_names(1)]].to_numpy()
    expected = BatchPolicy(document).probabilities(observations, masks)
    np.testing.assert_allclose(shares, expected, rtol=0.0, atol=1e-12)


def test_names_cannot_break_out() -> None:
    rules = Rules((Rule("x", (), Send(("push",))),))
    document = Document("x\n; DROP TABLE observations; --\u2028", 1, rules)
    assert sql_source(document).splitlines()[0] == "-- x ; DROP TABLE observations; -- "
    assert sql_source(document, 'my "table"').count('FROM "my ""table"""') == 1


def test_parts_leave_nothing_behind() -> None:
    document = without_thompson(MIXTURE)
    n = document.n_slots
    table = table_of(n, np.zeros((2, n_features(n))), np.ones((2, 1 + 2 * n), np.bool_), np.zeros(2))
    told = ["action", "action_name", "propensity", *(f"probability.{name}" for name in action_names(n))]
    assert list(answered(document, table).columns) == [*told, *table.columns]


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
