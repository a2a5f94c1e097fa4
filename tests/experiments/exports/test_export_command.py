"""`kairos export`: exact forms, distilled ones with their certificate, and what it says of a bad source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agents.distil.advantages import graded_in
from experiments.cli import main
from experiments.config import load_scenario
from experiments.exports.certificate import certify
from policies.codec import read, write
from policies.decide import load
from policies.document import Document, Greedy, Layer, Leaf, Network, NetworkInput, Rules, Send, Softmax, Split, Tree
from policies.exports.onnx_model import onnx_model
from policies.exports.python_source import python_source
from policies.exports.sql_source import sql_source
from simulator.config import Scenario
from tests.policies.documents import POSTERIOR

TEACHER = Document(
    "teacher",
    4,
    Tree(
        Split(
            "hours_since_send",
            20.0,
            Leaf({"push": -1.0, "email": -1.0}),
            Split("local_hour", 17.0, Leaf({"push": -1.0, "email": 0.5}), Leaf({"push": 1.0, "email": 0.25})),
        )
    ),
)
FEW = ("--users", "48", "--learn-users", "48", "--days", "12")


def exported(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", *arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "policy.json").write_text(write(TEACHER), encoding="utf-8")
    return tmp_path / "policy.json"


def small() -> Scenario:
    world = load_scenario("ecommerce")
    return world.model_copy(update={"calendar": world.calendar.model_copy(update={"horizon_days": 12})})


def test_exact_forms(source: Path) -> None:
    for form, suffix, text in (
        ("python", ".py", python_source(TEACHER)),
        ("sql", ".sql", sql_source(TEACHER)),
        ("document", ".json", write(TEACHER)),
    ):
        done = exported(str(source), "--as", form)
        assert done.exit_code == 0, done.output
        target = source.with_name(f"policy-{form}{suffix}")
        assert target.read_text(encoding="utf-8") == text
        assert done.output == f"Exact. Written: {target}\n"


def test_onnx(source: Path) -> None:
    done = exported(str(source), "--as", "onnx")
    assert done.exit_code == 0, done.output
    assert source.with_name("policy-onnx.onnx").read_bytes() == onnx_model(TEACHER)


def test_a_network_is_its_own_document(source: Path) -> None:
    layer = Layer(((0.5,),) * 9, (0.0,) * 9, "identity")
    network = Document("net", 4, Network((NetworkInput("send_load"),), (layer,)))
    source.write_text(write(network), encoding="utf-8")
    assert exported(str(source), "--as", "network").exit_code == 0
    assert read(source.with_name("policy-network.json").read_text(encoding="utf-8")) == network


def test_a_training_s_folder(source: Path) -> None:
    done = exported(str(source.parent), "--as", "python", "--out", str(source.with_name("x.py")))
    assert done.exit_code == 0, done.output
    assert source.with_name("x.py").read_text(encoding="utf-8") == python_source(TEACHER)


@pytest.mark.parametrize(("form", "agreement"), [("tree", 0.98), ("rules", 0.98), ("scorecard", 0.9)])
def test_distilled_with_a_certificate(source: Path, form: str, agreement: float) -> None:
    done = exported(str(source), "--as", form, "--scenario", "ecommerce", "--depth", "3", "--leaves", "6", *FEW)
    assert done.exit_code == 0, done.output
    policy = load(source.with_name(f"policy-{form}.json").read_text(encoding="utf-8"))
    assert policy.document.model.kind == form
    told = json.loads(source.with_name(f"policy-{form}-certificate.json").read_text(encoding="utf-8"))
    assert told["student_hash"] == policy.policy_hash
    assert told["agreement"] > agreement
    assert told["ineligible"] == 0
    assert told["risen"] == 0
    assert told["tried"] > 100
    page = source.with_name(f"policy-{form}-certificate.md").read_text(encoding="utf-8")
    assert told["in_words"] in page
    assert told["in_words"] in done.output
    if form != "scorecard":
        assert "one_point_is" not in told
        return
    worth = policy.document.trained_on["one_point_is"]
    assert told["one_point_is"].startswith(f"{worth}: its own preference, which is in EUR only where it was made to ")
    assert f"| one point is | {told['one_point_is']} |\n" in page


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        (TEACHER, "its own preference, which is in EUR only where it was made to reckon in EUR"),
        (replace(TEACHER, exploration=Softmax(0.5)), "reckon in EUR, over its temperature of 0.5"),
        (Document("rules", 4, Rules(())), "1 for what it chooses and -1 for the rest, not EUR"),
        (POSTERIOR, "the log of its odds against silence, not EUR"),
    ],
)
def test_what_a_teacher_grades_in_is_told(teacher: Document, told: str) -> None:
    assert graded_in(teacher).endswith(told)


def test_the_teacher_itself_loses_nothing() -> None:
    found = certify(TEACHER, TEACHER, small(), n_users=32, n_state_users=32, seed=5)
    assert found.agreement == found.agreement_on_sends == 1.0
    assert found.value_lost_eur.estimate.mean == 0.0
    assert found.sends_student == found.sends_teacher > 0.0
    assert found.worst == ()
    assert found.is_monotone


def test_documents_of_another_number_of_candidates() -> None:
    two = Document("two", 2, TEACHER.model)
    found = certify(two, two, small(), n_users=16, n_state_users=16, seed=5)
    assert found.agreement == 1.0
    assert found.sends_teacher > 0.0


def test_a_teacher_that_draws_has_rules_that_do_not(source: Path) -> None:
    source.write_text(write(replace(TEACHER, exploration=Softmax(0.5))), encoding="utf-8")
    done = exported(str(source), "--as", "rules", "--scenario", "ecommerce", *FEW)
    assert done.exit_code == 0, done.output
    rules = load(source.with_name("policy-rules.json").read_text(encoding="utf-8")).document
    assert rules.exploration == Greedy()


def test_a_student_that_errs_is_found_out() -> None:
    """Always sending: it departs wherever the teacher is silent, at the teacher's own price."""
    always = Document("always", 4, Rules((), Send(("push", "email"))))
    found = certify(TEACHER, always, small(), n_users=32, n_state_users=32, seed=5)
    assert found.agreement < 0.7
    assert found.sends_student > 2.0 * found.sends_teacher
    # In the morning the teacher mails for .5, where a push is worth -1: nothing costs more.
    assert [case.loss for case in found.worst] == [1.5] * 5
    assert all(case.teacher.endswith(".email") and case.student.endswith(".push") for case in found.worst)
    assert all(case.state["hours_since_send"] >= 20.0 for case in found.worst)
    eager = Tree(Split("send_load", 1.0, Leaf({"push": -1.0, "email": -1.0}), Leaf({"push": 1.0, "email": 1.0})))
    longing = Document("longing", 4, eager)
    odd = certify(TEACHER, longing, small(), n_users=8, n_state_users=32, seed=5)
    assert odd.risen > 0
    assert f"more fatigue raises its wish to send in {odd.risen:,} of {odd.tried:,} states" in odd.in_words()
    closed = small().model_copy(update={"campaigns": small().campaigns[:0]})
    with pytest.raises(ValueError, match="certify: expected states in which something could be sent, met none with 4"):
        certify(TEACHER, TEACHER, closed, n_users=8, n_state_users=4, seed=5)
    with pytest.raises(ValueError, match="certify: expected a student of 4 slots, got 2"):
        certify(TEACHER, Document("two", 2, Rules(())), small(), n_users=8, seed=5)


def test_what_it_says_of_a_bad_source(tmp_path: Path, source: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = exported(str(tmp_path / "empty"), "--as", "sql")
    assert done.exit_code == 1
    assert "expected a policy document, or a training's folder with policy.json in it; got neither" in done.output
    done = exported(str(source), "--as", "tree")
    assert done.exit_code == 2
    assert "--scenario: expected one to distil in" in done.output
    done = exported(str(source), "--as", "document", "--out", str(source))
    assert done.exit_code == 2
    assert "is the policy that is exported; name another file." in done.output
    assert read(source.read_text(encoding="utf-8")) == TEACHER
    source.write_text(write(POSTERIOR), encoding="utf-8")
    done = exported(str(source), "--as", "sql")
    assert done.exit_code == 1
    assert "SQL has no exact form of exploration thompson: distil it" in done.output
    assert not source.with_name("policy-sql.sql").exists()
    done = exported(str(source), "--as", "network")
    assert done.exit_code == 1
    assert "a network has no exact form of a model of kind posterior: its own is --as document" in done.output
    source.write_text("{", encoding="utf-8")
    assert exported(str(source), "--as", "python").exit_code == 1
