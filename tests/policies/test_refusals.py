"""Every refusal of a document: where, what was expected, what was got, and in bounded time."""

from __future__ import annotations

import copy
import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.codec import DocumentError, read, write
from policies.document import Document, Layer, Network, NetworkInput, ParityVector
from policies.strict_json import MAX_CHARACTERS, MAX_FAULTS, MAX_TEXT
from tests.policies.documents import ALL, ARMS, BETA_ARMS, POSTERIOR, RULES, SCORECARD, network, tree_of

NETWORK = network((3,))
OF_EACH_KIND = {
    "RULES": RULES,
    "SCORECARD": SCORECARD,
    "NETWORK": NETWORK,
    "POSTERIOR": POSTERIOR,
    "ARMS": ARMS,
    "BETA_ARMS": BETA_ARMS,
}
GOLDEN = Path(__file__).parents[1] / "golden" / "document-refusals.txt"
CHANGES = re.findall(r"^(\w+): (\S+) (?:= (.+)|removed)\n  (.+)$", GOLDEN.read_text(encoding="utf-8"), re.MULTILINE)
WHOLE = "an object with version, vocabulary, name, n_slots, model, exploration"
Steps = tuple[str | int, ...]


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(DocumentError) as refused:
        read(text, is_draft=True)
    return [str(fault) for fault in refused.value.faults]


def at(tree: Any, path: Steps) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def changed(document: Document, path: Steps, value: object) -> str:
    """The text of a document with another value at one place."""
    tree = tree_of(document)
    at(tree, path[:-1])[path[-1]] = value
    return json.dumps(tree)


def steps(path: str) -> Steps:
    """The path `a.b[0]` as ("a", "b", 0)."""
    return tuple(int(step) if step.isdigit() else step for step in re.findall(r"\w+", path))


@pytest.mark.parametrize(("document", "path", "value", "fault"), CHANGES)
def test_a_fault_says_where_what_was_expected_and_what_was_got(
    document: str, path: str, value: str, fault: str
) -> None:
    tree = tree_of(OF_EACH_KIND[document])
    place, last = at(tree, steps(path)[:-1]), steps(path)[-1]
    if value:
        place[last] = json.loads(value)
    else:
        del place[last]
    assert faults(json.dumps(tree)) == [fault]


def test_no_change_of_the_list_was_overlooked() -> None:
    assert len(CHANGES) == len(re.findall("^[A-Z_]+: ", GOLDEN.read_text(encoding="utf-8"), re.MULTILINE)) >= 60


PARITY = ParityVector((0.0,) * 57, ALL, (1.0,) + (0.0,) * 8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("features", [0.0] * 56, "parity[0].features: expected a list of 57 numbers, got a list of 56"),
        ("eligible", [1] * 9, "parity[0].eligible[0]: expected true or false, got 1"),
        ("eligible", [True] * 8, "parity[0].eligible: expected a list of 9 booleans, got a list of 8"),
        ("eligible", [False] + [True] * 8, "parity[0].eligible: expected true for action 0, no_send, which is always"),
        ("probabilities", [1.0] * 8, "parity[0].probabilities: expected a list of 9 numbers, got a list of 8"),
    ],
)
def test_faults_of_parity_vectors(field: str, value: object, message: str) -> None:
    found = faults(changed(replace(RULES, parity=(PARITY,)), ("parity", 0, field), value))
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "document: expected JSON, got what is not at line 1 column 1 (Expecting value)"),
        ('{"version": 1,}', "document: expected JSON, got what is not at line 1 column"),
        (b"\xff{}", "document: expected UTF-8, got byte 0xff at offset 0"),
        ("\ufeff{}", "document: expected JSON, got what is not at line 1 column 1 (Unexpected UTF-8 BOM"),
        (
            "[1]",
            "document: expected an object with version, vocabulary, name, n_slots, model, exploration, got a list of 1",
        ),
        (
            "1e999",
            "document: expected an object with version, vocabulary, name, n_slots, model, exploration, got 1e999",
        ),
        ('{"version": 1, "version": 1}', "version: expected once, got it more than once"),
        ('{"version": NaN}', "version: expected one of 1, 2, the versions that this Kairos reads, got NaN"),
    ],
)
def test_what_is_no_document_at_all(text: str | bytes, message: str) -> None:
    assert faults(text)[0].startswith(message)


def test_a_repeated_field_is_a_fault_wherever_it_stands() -> None:
    text = (
        json.dumps(tree_of(RULES))
        .replace('"scenario":', '"seed": "8", "scenario":')
        .replace('"operator": "in"', '"operator": "in", "operator": "in"')
    )
    assert faults(text) == [
        "model.rules[2].when[0].operator: expected once, got it more than once",
        "trained_on.seed: expected once, got it more than once",
    ]


def test_1e999_is_told_as_it_was_written() -> None:
    text = json.dumps(tree_of(SCORECARD)).replace('"threshold": 0.25', '"threshold": -1e999')
    assert faults(text) == ["model.threshold: expected a finite number, got -1e999"]


def test_all_faults_are_told_at_once() -> None:
    tree = tree_of(RULES)
    tree["nam"] = tree.pop("name")
    tree["model"]["rules"][0]["when"][0]["value"] = "three"
    tree["exploration"] = {"kind": "epsilon"}
    with pytest.raises(DocumentError) as refused:
        read(json.dumps(tree), "evening.json")
    lines = str(refused.value).splitlines()
    assert lines[0] == "evening.json: 4 faults:"
    assert [line.strip().split(":")[0] for line in lines[1:]] == [
        "nam", "name", "model.rules[0].when[0].value", "exploration.epsilon",
    ]  # fmt: skip


WRONG: tuple[object, ...] = (None, True, [], {}, "wrong", -1e300, math.nan, [[]], {"kind": "wrong"})


@pytest.mark.parametrize("document", list(OF_EACH_KIND.values()), ids=lambda d: d.name)
def test_at_every_place_each_wrong_value_is_refused_there(document: Document) -> None:
    """Every field in turn is renamed, removed, and replaced by values of every other type."""
    tree = tree_of(replace(document, parity=(PARITY,)))
    objects = [path for path in places(tree) if isinstance(at(tree, path), dict) and path != ("trained_on",)]
    for path in objects:
        for name in at(tree, path):
            renamed, removed = copy.deepcopy(tree), copy.deepcopy(tree)
            at(renamed, path)[f"{name}x"] = at(renamed, path).pop(name)
            where = shown_path((*path, name))
            told = faults(json.dumps(renamed))
            is_tag = name in ("kind", "thresholds", "points") or where.endswith(
                "no_send.value"
            )  # which other fields there may be hangs on these
            assert is_tag or any(f.startswith(f"{where}x: unknown") and f"mean {name!r}?" in f for f in told)
            del at(removed, path)[name]
            if name not in ("made_by", "trained_on", "parity", "clip", "optimism", "terms", "scale"):
                assert is_tag or any(f.startswith(f"{where}: missing") for f in faults(json.dumps(removed)))
    for path in places(tree):
        for wrong in WRONG:
            if type(wrong) is type(at(tree, path)) and not (isinstance(wrong, float) and math.isnan(wrong)):
                continue
            broken = copy.deepcopy(tree)
            at(broken, path[:-1])[path[-1]] = wrong
            if path == ("trained_on",) or (path[-1:] == ("value",) and isinstance(wrong, list)):
                continue
            top = shown_path(path)
            assert any(fault.startswith(top) for fault in faults(json.dumps(broken))), (path, wrong)


def places(tree: Any, path: Steps = ()) -> Iterator[Steps]:
    """Every place below the root; of a long list its first entry stands for all."""
    for step in tree if isinstance(tree, dict) else range(min(len(tree), 1)) if isinstance(tree, list) else ():
        yield (*path, step)
        yield from places(tree[step], (*path, step))


def shown_path(path: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def test_a_strange_name_is_shown_as_json_shows_it() -> None:
    assert faults(changed(RULES, ("model", "no\nname"), 0)) == [
        'model["no\\nname"]: unknown field; known: kind, rules, default'
    ]


def test_the_names_of_provenance_are_text_like_its_values() -> None:
    assert faults(changed(RULES, ("trained_on", "\ud800"), "x")) == [
        'trained_on["\\ud800"]: expected text without lone surrogates, got "\\ud800"'
    ]


def test_a_whole_number_beyond_floats_is_none() -> None:
    text = json.dumps(tree_of(SCORECARD)).replace('"threshold": 0.25', '"threshold": 1' + "0" * 400)
    assert faults(text) == ["model.threshold: expected a finite number, got 1" + "0" * 39 + "... (401 characters)"]


# Hostile documents


def hostile() -> dict[str, str]:
    deep, long = 200_000, 1_000_000
    start = '{"version": 1, "name": "x", "n_slots": 100, "exploration": {"kind": "none"}, "model": '
    condition = '{"feature": "slot99.relevanse", "operator": "in", "value": [' + ",".join(["9"] * 48) + "]}"
    conditions = ",".join([condition] * 20)
    rules = start + '{"kind": "rules", "default": "no_send", "rules": ['
    row = "[" + ",".join(["0.5"] * 2_000) + "]"
    entry = '{"feature": "tier", "mean": 0, "scale": 1}'
    network = start + '{"kind": "network", "inputs": [' + ",".join([entry] * 2_000) + '], "layers": [{"weights": ['
    return {
        "deep lists": "[" * deep,
        "deep objects": '{"a":' * deep,
        "deep and closed": "[" * deep + "]" * deep,
        "too long": " " * (MAX_CHARACTERS + 1),
        "a long whole number": '{"version": ' + "9" * long + "}",
        "a long fraction": '{"version": 0.' + "9" * long + "}",
        "a long exponent": '{"version": 1e' + "9" * long + "}",
        "many unknown fields": "{" + ",".join(f'"field{k}": 0' for k in range(deep)) + "}",
        "many repeated fields": "{" + ",".join('"version": 1' for _ in range(deep)) + "}",
        "a long name": '{"' + "x" * long + '": 0}',
        "long text": '{"version": 1, "name": "' + "x" * long + '"}',
        "many wrong conditions": rules
        + ",".join(f'{{"name": "{k}", "when": [{conditions}], "then": "no_send"}}' for k in range(300))
        + "]}}",
        "many rules": rules + ",".join(['{"name": "x", "when": [], "then": "no_send"}'] * 50_000) + "]}}",
        "many weights": network + ",".join([row] * 1_000) + '], "bias": [], "activation": "relu"}]}}',
    }


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_document_is_refused_in_time_and_in_short(name: str) -> None:
    text = hostile()[name]
    start = time.process_time()
    with pytest.raises(DocumentError) as refused:
        read(text)
    assert time.process_time() - start < 8.0  # slack for slow machines; it is a guard against quadratic time
    assert len(refused.value.faults) <= MAX_FAULTS
    assert len(str(refused.value)) < 100_000


def test_limits_are_told() -> None:
    wide = replace(RULES, n_slots=1, model=wide_network(710))
    with pytest.raises(DocumentError, match=r"model\.layers: expected at most 500,000 weights, got 506,940"):
        write(wide)
    assert len(faults("{" + ",".join(f'"f{k}": 0' for k in range(500)) + "}")) == MAX_FAULTS
    with pytest.raises(DocumentError, match="100 faults, and perhaps more:"):
        read("{" + ",".join(f'"f{k}": 0' for k in range(500)) + "}")
    with pytest.raises(DocumentError, match=f"name: expected text of 1 to {MAX_TEXT} characters, got .* characters"):
        write(replace(RULES, name="x" * (MAX_TEXT + 1)))
    with pytest.raises(DocumentError, match=r"trained_on: expected at most 100 fields, got 101"):
        write(replace(RULES, trained_on={str(k): "" for k in range(101)}))
    with pytest.raises(DocumentError, match=r"document: expected at most 16,777,216 characters, got 16,777,217"):
        read(" " * (MAX_CHARACTERS + 1))


def wide_network(width: int) -> Network:
    first = Layer(((0.0,),) * width, (0.0,) * width, "relu")
    inner = Layer(((0.0,) * width,) * width, (0.0,) * width, "relu")
    last = Layer(((0.0,) * width,) * 3, (0.0,) * 3, "identity")
    return Network((NetworkInput("tier"),), (first, inner, last))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from(["rules", "tier"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "x", "when"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(OF_EACH_KIND.values())), st.data())
def test_a_mutated_document_is_either_sound_or_refused(document: Document, data: st.DataObject) -> None:
    tree = tree_of(document)
    path = data.draw(st.sampled_from(list(places(tree))))
    at(tree, path[:-1])[path[-1]] = data.draw(JSON)
    try:
        found = read(json.dumps(tree), is_draft=True)
    except DocumentError:
        return
    assert read(write(found)) == found


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_is_a_document_or_refused(text: str | bytes) -> None:
    with pytest.raises(DocumentError):
        read(text)
