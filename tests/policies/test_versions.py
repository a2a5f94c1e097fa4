"""Documents of older versions: read as what they mean today, known by the hash that they were written with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policies import migrations
from policies.codec import DocumentError, check, content_hash, read, write
from policies.decide import Policy
from policies.document import Document, Rules
from policies.limits import PRESETS, Cap, Constraints, QuietHours
from policies.vocabulary import FINGERPRINT
from tests.policies.documents import ALL, RULES, observation

OF_VERSION_1: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "documents-version-1.json").read_text("utf-8")
)


@pytest.mark.parametrize("tree", OF_VERSION_1, ids=lambda tree: tree["model"]["kind"])
def test_a_document_of_version_1_is_read_by_its_own_hash_and_written_in_version_2(tree: dict[str, Any]) -> None:
    document = read(json.dumps(tree))
    assert (document.constraints, document.allowed_campaigns, document.fallback) == (None, None, None)
    again = json.loads(write(document))
    assert (again["version"], again["vocabulary"]) == (2, FINGERPRINT)
    assert again["model"] == tree["model"]
    assert again["policy_hash"] != tree["policy_hash"]
    assert read(json.dumps(again)) == document
    Policy(document)


def test_a_hash_of_version_1_must_be_right() -> None:
    tree = {**OF_VERSION_1[0], "name": "another"}
    with pytest.raises(DocumentError, match="policy_hash: expected the hash of what the document says, "):
        read(json.dumps(tree))


def test_what_version_2_added_is_no_field_of_version_1() -> None:
    tree = {**OF_VERSION_1[0], "allowed_campaigns": ["a"]}
    with pytest.raises(DocumentError, match="allowed_campaigns: a field of version 2 in a document of version 1"):
        read(json.dumps(tree))


def test_repeated_fields_of_version_1_are_seen() -> None:
    text = json.dumps(OF_VERSION_1[0])
    with pytest.raises(DocumentError, match="name: expected once, got it more than once"):
        read(text[:-1] + ', "name": "again"}')


def test_version_1_ends_with_its_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "FINGERPRINT", "2-0123456789abcdef")
    with pytest.raises(DocumentError, match="version: 1 is of the vocabulary 1-e69da094, this Kairos has 2-01"):
        read(json.dumps(OF_VERSION_1[0]))


def test_a_document_without_its_vocabulary_is_a_draft() -> None:
    tree = json.loads(write(RULES))
    del tree["vocabulary"]
    with pytest.raises(DocumentError, match="vocabulary: missing"):
        read(json.dumps(tree))
    assert read(json.dumps(tree), is_draft=True) == RULES


LIMITS = [
    *PRESETS.values(),
    Constraints(
        (Cap("a", 3, "month", zone="project", tags=("x", "y"), overrides_channels=True), Cap("b", 1, hours=7)),
        5,
        {"push": 3, "sms": 9},
        QuietHours(30, 90, "cancel", "project", ("email",)),
        passes_caps=(),
        passes_gap=("triggered", "scheduled"),
        passes_quiet=("transactional",),
    ),
]


@pytest.mark.parametrize("limits", LIMITS)
def test_limits_are_read_back_equal_and_change_the_hash(limits: Constraints) -> None:
    document = Document("x", 2, RULES.model, constraints=limits, allowed_campaigns=("one", "two"), fallback=Rules(()))
    assert read(write(document)) == document == check(document)
    hashes = {content_hash(document), content_hash(Document("x", 2, RULES.model))}
    hashes |= {content_hash(Document("x", 2, RULES.model, constraints=other)) for other in LIMITS}
    assert len(hashes) == 2 + len(LIMITS)


def test_a_preset_is_one_that_people_can_write() -> None:
    tree = json.loads(write(Document("x", 2, RULES.model)))
    del tree["policy_hash"]
    caps = [{"name": "push-a-day", "limit": 2, "window": "day", "channels": ["push"]}]
    tree["constraints"] = {"caps": caps, "quiet": {"start_minute": 1320, "end_minute": 480}}
    found = read(json.dumps(tree), is_draft=True).constraints
    expected = Constraints((Cap("push-a-day", 2, "day", channels=("push",)),), quiet=QuietHours(1320, 480))
    assert found == expected


def test_parity_is_checked_whatever_else_a_document_brings() -> None:
    policy = Policy(Document("x", RULES.n_slots, RULES.model, constraints=LIMITS[0]))
    assert policy.probabilities(observation(), ALL) == Policy(RULES).probabilities(observation(), ALL)
