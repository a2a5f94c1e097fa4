"""The reader of documents, fuzzed: whatever comes in is a sound document or a DocumentError, and soon.

`test_refusals` changes one place at a time and reads the message. Here documents of every kind, with all that version 2
may bring, are changed at many places, at any depth, into each other, and byte by byte; and what is still sound after
that must write, load and decide.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.codec import DocumentError, Fault, check, read, write
from policies.decide import DecideError, Policy, load
from policies.document import NO_SEND, Document, ParityVector, Rules, Send
from policies.limits import Cap, Constraints, QuietHours
from policies.signature import SignatureError, new_keys, sign, verify
from policies.vocabulary import n_actions, n_features
from tests.policies.documents import ARMS, BETA_ARMS, MIXTURE, POSTERIOR, RULES, SCORECARD, TREE, network

Steps = tuple[str | int, ...]
SECONDS = 2.0  # of the processor; a document of these sizes takes milliseconds
LIMITS = Constraints(
    (Cap("a day", 2, "day", channels=("push",)), Cap("tagged", 1, hours=48, tags=("sale",), overrides_channels=True)),
    gap_hours=2,
    channel_gap_hours={"email": 24},
    quiet=QuietHours(1320, 480, "defer"),
)


def whole(document: Document) -> Document:
    """A document with everything that one may have."""
    full = replace(
        document,
        made_by="somebody",
        trained_on={"scenario": "news", "seed": "7"},
        constraints=LIMITS,
        allowed_campaigns=("digest", "sale"),
        fallback=Rules((), Send(("push",), "first")),
    )
    features, eligible = (0.25,) * n_features(full.n_slots), (True,) * n_actions(full.n_slots)
    shown = Policy(full).probabilities(features, eligible)
    return replace(full, parity=(ParityVector(features, eligible, shown),))


WHOLE = {
    document.model.kind: whole(document)
    for document in (RULES, SCORECARD, TREE, network((2,)), POSTERIOR, ARMS, BETA_ARMS, MIXTURE)
}
TEXTS = {kind: write(document) for kind, document in WHOLE.items()}
TREES: dict[str, Any] = {kind: json.loads(text) for kind, text in TEXTS.items()}
OF_VERSION_1: list[Any] = json.loads((Path(__file__).parents[1] / "golden" / "documents-version-1.json").read_text())
KINDS = list(WHOLE)


def bounded(n: int) -> Callable[[Any], Any]:
    """So many examples, the same in every run."""
    every = list(HealthCheck)
    return settings(max_examples=n, derandomize=True, deadline=None, database=None, suppress_health_check=every)


def read_in_time(text: str | bytes) -> Document | None:
    """What is read, None if it is refused; anything else that is raised, or a long time, fails the test."""
    began = time.process_time()
    found: Document | None = None
    faults: tuple[Fault, ...] = ()
    words = ""
    try:
        found = read(text, is_draft=True)
    except DocumentError as refused:
        faults, words = refused.faults, str(refused)
    assert time.process_time() - began < SECONDS
    if found is None:
        assert faults
        assert all(fault.path and fault.message and fault.message in words for fault in faults)
    return found


def must_work(document: Document) -> None:
    """A document that was read is one like any other."""
    text = write(document)
    assert read(text) == document
    assert write(read(text)) == text
    try:
        policy = Policy(document)
    except DocumentError as refused:
        faults = refused.faults
    else:
        must_decide(policy)
        return
    assert {fault.path.split("[")[0] for fault in faults} == {"parity"}, faults


def must_decide(policy: Policy) -> None:
    document = policy.document
    luck = random.Random(1)
    for _ in range(3):
        features = [luck.uniform(-3.0, 3.0) for _ in range(n_features(document.n_slots))]
        eligible = [True] + [luck.random() < 0.7 for _ in range(n_actions(document.n_slots) - 1)]
        try:
            decision = policy.decide(features, eligible, luck.random(), explain=True)
        except DecideError:
            continue
        assert eligible[decision.action]
        assert math.isclose(sum(decision.probabilities), 1.0, rel_tol=1e-9)
        assert decision.propensity == decision.probabilities[decision.action] > 0.0


def test_a_whole_document_of_every_kind_is_sound() -> None:
    """Else what follows would only ever fuzz refusals."""
    for kind, text in TEXTS.items():
        assert read(text) == WHOLE[kind]
        must_work(WHOLE[kind])
    assert len(WHOLE) == 8


# ------------------------------------------------------------------------------------------------- changes of the tree


def places(tree: Any, path: Steps = ()) -> Iterator[Steps]:
    """Every place below the root."""
    for step in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, step)
        yield from places(tree[step], (*path, step))


def at(tree: Any, path: Steps) -> Any:
    for step in path:
        tree = tree[step]
    return tree


WORDS = (
    "kind", "rules", "none", "thompson", "no_send", "push", "first", "tier", "slot.relevance", "slot0.push",
    "local_hour", "rolling", "day", "", "\ud800", "\x00", "1", "sha256:",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2, 7, 101, 10**14, 10**30, -0.0, 5e-324, 1e308, -1e308, math.nan, math.inf, 0.1, True)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
JSON = st.recursive(
    LEAVES | st.sampled_from(WORDS) | st.sampled_from(NUMBERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner),
    max_leaves=12,
)


def replaced(data: st.DataObject, tree: Any, path: Steps) -> None:
    at(tree, path[:-1])[path[-1]] = data.draw(JSON)


def removed(data: st.DataObject, tree: Any, path: Steps) -> None:
    del at(tree, path[:-1])[path[-1]]


def renamed(data: st.DataObject, tree: Any, path: Steps) -> None:
    place, last = at(tree, path[:-1]), path[-1]
    if isinstance(place, dict):
        place[data.draw(st.sampled_from(WORDS) | st.text(max_size=6))] = place.pop(last)
    else:
        place.insert(0, place.pop(last))


def repeated(data: st.DataObject, tree: Any, path: Steps) -> None:
    place, last = at(tree, path[:-1]), path[-1]
    if isinstance(place, list):
        assert isinstance(last, int)
        place[last:last] = [place[last]] * data.draw(st.integers(1, 200))
    else:
        place[f"{last}_2"] = place[last]


def wrapped(data: st.DataObject, tree: Any, path: Steps) -> None:
    place, last = at(tree, path[:-1]), path[-1]
    for _ in range(data.draw(st.sampled_from((1, 2, 50)))):
        place[last] = [place[last]] if data.draw(st.booleans()) else {"kind": place[last]}


def swapped(data: st.DataObject, tree: Any, path: Steps) -> None:
    """Another place of the same document, or of one of another kind, is put here."""
    other = TREES[data.draw(st.sampled_from(KINDS))] if data.draw(st.booleans()) else tree
    from_there = data.draw(st.sampled_from(list(places(other))))
    at(tree, path[:-1])[path[-1]] = copy.deepcopy(at(other, from_there))


def nudged(data: st.DataObject, tree: Any, path: Steps) -> None:
    """A change that often leaves a sound document."""
    place, last = at(tree, path[:-1]), path[-1]
    if isinstance(place[last], int | float):
        place[last] = data.draw(st.sampled_from(NUMBERS) | st.floats(-3.0, 3.0))
    elif isinstance(place[last], str):
        place[last] = data.draw(st.sampled_from(WORDS))


CHANGES = (replaced, removed, renamed, repeated, wrapped, swapped, nudged, nudged)


@pytest.mark.parametrize("kind", KINDS)
@bounded(200)
@given(data=st.data())
def test_a_document_changed_at_many_places_is_sound_or_refused(kind: str, data: st.DataObject) -> None:
    tree = copy.deepcopy(TREES[kind])
    del tree["policy_hash"]
    for _ in range(data.draw(st.integers(1, 4))):
        there = list(places(tree))
        if not there:
            break
        data.draw(st.sampled_from(CHANGES))(data, tree, data.draw(st.sampled_from(there)))
    found = read_in_time(json.dumps(tree))
    if found is not None:
        must_work(found)


@bounded(200)
@given(data=st.data())
def test_a_document_of_version_1_changed_is_sound_or_refused(data: st.DataObject) -> None:
    tree = copy.deepcopy(data.draw(st.sampled_from(OF_VERSION_1)))
    tree.pop("policy_hash", None)
    for _ in range(data.draw(st.integers(1, 3))):
        data.draw(st.sampled_from(CHANGES))(data, tree, data.draw(st.sampled_from(list(places(tree)))))
    found = read_in_time(json.dumps(tree))
    if found is not None:
        must_work(found)


@bounded(150)
@given(JSON)
def test_any_json_is_refused(tree: Any) -> None:
    assert read_in_time(json.dumps(tree)) is None


# ------------------------------------------------------------------------------------------------- changes of the bytes


def cut(luck: random.Random, text: bytearray) -> None:
    start = luck.randrange(len(text))
    del text[start : start + luck.choice((1, 2, 10, len(text)))]


def doubled(luck: random.Random, text: bytearray) -> None:
    start = luck.randrange(len(text))
    text[start:start] = text[start : start + luck.choice((1, 5, 60, 400))] * luck.choice((1, 2, 30))


def struck(luck: random.Random, text: bytearray) -> None:
    text[luck.randrange(len(text))] = luck.choice((luck.randrange(256), *b'{}[]",:0-e.\\'))


def flipped(luck: random.Random, text: bytearray) -> None:
    text[luck.randrange(len(text))] ^= 1 << luck.randrange(8)


def digit(luck: random.Random, text: bytearray) -> None:
    """A change that often leaves JSON."""
    there = [k for k, byte in enumerate(text) if byte in b"0123456789"]
    if there:
        text[luck.choice(there)] = luck.choice(b"0123456789")


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_with_changed_bytes_is_refused_or_as_it_was(kind: str) -> None:
    """With its hash: nothing else than the document itself, laid out otherwise, is taken for it."""
    luck, n_taken = random.Random(kind), 0
    for _ in range(250):
        text = bytearray(TEXTS[kind].encode())
        for _ in range(luck.choice((1, 1, 1, 2, 5))):
            if text:
                luck.choice((cut, doubled, struck, flipped, digit, digit))(luck, text)
        found = read_in_time(bytes(text))
        if found is None:
            continue
        n_taken += 1
        # The hash may have been struck out, or renamed: then the document is a draft, and any sound one is right.
        if b'"policy_hash"' in text:
            assert found == WHOLE[kind]
        must_work(found)
    assert n_taken < 100


@bounded(300)
@given(st.text(max_size=200) | st.binary(max_size=200) | st.text(alphabet='{}[]",:01e.-ntfu\\ ', max_size=60))
def test_anything_at_all_is_refused(text: str | bytes) -> None:
    assert read_in_time(text) is None
    with pytest.raises(DocumentError):
        load(text)


# ----------------------------------------------------------------------------------------------- built, and signatures


@bounded(120)
@given(data=st.data())
def test_a_document_built_in_python_is_checked_as_strictly(data: st.DataObject) -> None:
    """Objects with any value in any field: `check` refuses or returns what could be read back."""
    document = WHOLE[data.draw(st.sampled_from(KINDS))]
    field = data.draw(st.sampled_from(("name", "n_slots", "made_by", "trained_on", "allowed_campaigns", "exploration")))
    wrong = data.draw(JSON)
    try:
        found = check(replace(document, **{field: wrong}))  # type: ignore[arg-type]
    except DocumentError:
        return
    assert read(write(found)) == found


def test_changed_signatures_are_refused_and_nothing_else() -> None:
    pytest.importorskip("cryptography")
    private, public = new_keys()
    document = TEXTS["rules"]
    signature = sign(document, private)
    verify(document, signature, public)
    luck, n_still = random.Random(5), 0
    for _ in range(300):
        text = bytearray(signature.encode())
        luck.choice((cut, doubled, struck, flipped, digit))(luck, text)
        try:
            verify(document, bytes(text), public)
        except (SignatureError, DocumentError):
            continue
        n_still += 1
        assert json.loads(text) == json.loads(signature), "only spaces may change"
    assert n_still < 30


def test_the_hashes_of_silence_are_told_apart() -> None:
    """What differs only in what version 2 brings has another hash: else bytes could change unseen."""
    texts = {write(document) for document in (WHOLE["rules"], replace(WHOLE["rules"], fallback=Rules((), NO_SEND)))}
    assert len({json.loads(text)["policy_hash"] for text in texts}) == 2
