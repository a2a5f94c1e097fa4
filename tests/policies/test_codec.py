"""Reading and writing documents: what is refused and how it is said, what is hashed, and what comes back."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.codec import DocumentError, check, content_hash, read, write
from policies.decide import load
from policies.document import KINDS, Document, Epsilon, Layer, Network, NetworkInput, Rules, Scorecard, Softmax
from tests.policies.documents import ARMS, BETA_ARMS, EXAMPLES, POSTERIOR, RULES, SCORECARD, C, network, tree_of

NETWORK = network((3,))
Steps = tuple[str | int, ...]


# Round trips and the hash


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda d: d.name)
def test_what_is_written_reads_back_the_same_to_the_byte(document: Document) -> None:
    text = write(document)
    again = read(text)
    assert again == document
    assert write(again) == text
    assert all(len(line) <= 120 or line.strip().startswith(("[", '"bias": [')) for line in text.splitlines())


@pytest.mark.parametrize("document", [*EXAMPLES, replace(RULES, name="Grüße 🌙")], ids=lambda d: d.name)
def test_the_hash_is_that_of_the_sorted_json(document: Document) -> None:
    tree = json.loads(write(document))
    written = tree.pop("policy_hash")
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert written == "sha256:" + hashlib.sha256(canonical).hexdigest() == content_hash(document)


def test_the_hash_is_of_the_meaning() -> None:
    tree = json.loads(write(SCORECARD))
    tree["model"]["base"] = {"email": -1.5, "push": -1}
    del tree["made_by"]
    assert read(json.dumps(tree, indent=7)) == SCORECARD
    assert isinstance(SCORECARD.model, Scorecard)
    whole = replace(SCORECARD, model=replace(SCORECARD.model, base={"push": -1, "email": -1.5}))
    assert content_hash(whole) == content_hash(SCORECARD)
    turned = replace(RULES, trained_on=dict(reversed(RULES.trained_on.items())))  # type: ignore[call-overload]
    assert write(turned) == write(RULES)


@pytest.mark.parametrize("document", [RULES, SCORECARD, NETWORK, POSTERIOR, ARMS, BETA_ARMS], ids=lambda d: d.name)
def test_every_value_counts_in_the_hash(document: Document) -> None:
    tree = json.loads(write(document))
    n_changed = 0
    for path in leaves(tree):
        if path[-1] in ("policy_hash", "version", "kind", "n_slots", "operator", "activation"):
            continue
        text = json.dumps(with_leaf(tree, path))
        try:
            read(text)
        except DocumentError as refused:
            n_changed += "policy_hash: expected the hash of what the document says" in str(refused)
        else:
            pytest.fail(f"{path} can be changed under the same hash")
    assert n_changed >= 10


def leaves(tree: Any, path: Steps = ()) -> Iterator[Steps]:
    if isinstance(tree, dict | list):
        for step in tree if isinstance(tree, dict) else range(len(tree)):
            yield from leaves(tree[step], (*path, step))
    else:
        yield path


def with_leaf(tree: Any, path: Steps) -> Any:
    tree = copy.deepcopy(tree)
    place = tree
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    place[path[-1]] = old + "x" if isinstance(old, str) else math.nextafter(old, math.inf)
    return tree


def test_a_wrong_hash_is_refused_and_the_right_one_named() -> None:
    text = write(RULES).replace("the growth team", "somebody else")
    renamed = replace(RULES, made_by="somebody else")
    old, new = content_hash(RULES), content_hash(renamed)
    short = f'"{old[:40]}..." (71 characters)'
    message = f'policy_hash: expected the hash of what the document says, "{new}", got {short}'
    for is_draft in (False, True):
        with pytest.raises(DocumentError, match=re.escape(f"policy document: {message}")):
            read(text, is_draft=is_draft)


def test_a_draft_may_lack_its_hash_and_nothing_else() -> None:
    draft = json.dumps(tree_of(RULES))
    assert read(draft, is_draft=True) == RULES
    with pytest.raises(DocumentError, match=r"mine\.json: policy_hash: missing; a document without one is a draft"):
        read(draft, "mine.json")


def test_absent_fields_mean_their_defaults() -> None:
    tree = tree_of(SCORECARD)
    for name in ("made_by", "trained_on", "parity"):
        del tree[name]
    assert read(json.dumps(tree), is_draft=True) == SCORECARD


def test_text_of_any_script_is_kept_and_readable() -> None:
    document = replace(RULES, name="Abend-Grüße 🌙", trained_on={"Quelle": "“x”\n\t\u2028\u0000"})
    text = write(document)
    assert "Abend-Grüße 🌙" in text
    assert read(text.encode()) == document


# Documents built in Python are checked as strictly


@pytest.mark.parametrize("ask", [write, check, content_hash])
def test_a_document_built_in_python_is_checked(ask: Any) -> None:
    broken = replace(RULES, exploration=Epsilon(2.0))
    with pytest.raises(DocumentError, match=r"'evening push': exploration\.epsilon: expected a number in"):
        ask(broken)


def test_a_nan_from_python_is_refused_among_weights() -> None:
    broken = Network((NetworkInput("tier"),), (Layer(((0.0,),) * 8 + ((math.nan,),), (0.0,) * 9, "identity"),))
    with pytest.raises(
        DocumentError, match=r"model\.layers\[0\]\.weights\[8\]\[0\]: expected a finite number, got nan"
    ):
        write(Document("nan", C, broken))


def test_numbers_that_are_not_pythons_are_named() -> None:
    np = pytest.importorskip("numpy")
    broken = replace(SCORECARD, exploration=Softmax(np.float32(0.5)))
    with pytest.raises(DocumentError, match=r"exploration\.temperature: expected a number, got a float32"):
        write(broken)
    assert write(replace(SCORECARD, exploration=Softmax(np.float64(0.5)))) == write(SCORECARD)


def test_rules_may_be_empty() -> None:
    assert read(write(Document("never", C, Rules(())))) == Document("never", C, Rules(()))


def test_the_documents_of_the_page_are_sound_and_written_as_we_write() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy-document.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert [load(block).document.model.kind for block in blocks] == list(KINDS)
    assert [write(read(block)) for block in blocks] == blocks
    told = "model.rules[1].wen: unknown field; known: name, when, then. Did you mean 'when'?"
    assert told in page
    draft = blocks[0].replace('"name": "transactional at once",\n        "when"', '"name": "x", "wen"')
    with pytest.raises(DocumentError, match=re.escape(told)):
        read(draft, is_draft=True)
