"""Policy documents from JSON and to it: read strictly, every fault told at once with its path, never half; and hashed.

    document = read(text)            # raises DocumentError
    text = write(document)           # for people, and stable: read and written again it is the same to the byte
    content_hash(document)           # "sha256:...", what ledgers call the policy

A hash is that of the *meaning*: the document as it was understood, every default filled in, numbers as floats; so
neither spaces, nor the order of fields, nor `1` for `1.0` changes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from policies.document import Document, read_document
from policies.migrations import VERSION, downgraded, upgraded, version_of
from policies.strict_json import DocumentError, Fault, Faults, Node, parse
from policies.vocabulary import FINGERPRINT

__all__ = ["DocumentError", "Fault", "check", "content_hash", "read", "write"]

LINE_WIDTH = 120


def read(text: str | bytes, source: str = "policy document", *, is_draft: bool = False) -> Document:
    """Read a document.

    Args:
        text: JSON, as text or in UTF-8; of this version or of an older one, which is read as what it means today.
        source: what messages call it, such as the file's name.
        is_draft: whether hash and vocabulary may be missing, as in a document written by hand; `write` adds them. A
            hash that is there must be right in any case.

    Raises:
        DocumentError: with every fault.
    """
    faults = Faults(source)
    tree = parse(text, faults)
    faults.raise_if_any()
    version = version_of(Node(tree, faults))
    faults.raise_if_any()
    tree = upgraded(tree, version, faults)
    if is_draft and isinstance(tree, dict):
        tree.setdefault("vocabulary", FINGERPRINT)
    document, written_hash = read_document(Node(tree, faults))
    faults.raise_if_any()
    if written_hash.is_missing:
        if not is_draft:
            faults.note("policy_hash", "missing; a document without one is a draft: read it as such, then write it")
    elif written_hash.value != (expected := _hash_of(document, version)):
        written_hash.refuse(f'the hash of what the document says, "{expected}"')
    faults.raise_if_any()
    return document


def check(document: Document) -> Document:
    """Return an equal document as reading it back would give it; what is built in Python is checked as strictly.

    Raises:
        DocumentError: with every fault.
    """
    faults = Faults(f"policy document {document.name!r}")
    checked, _ = read_document(Node({"version": VERSION, "vocabulary": FINGERPRINT, **tree_of(document)}, faults))
    faults.raise_if_any()
    return checked


def write(document: Document) -> str:
    """Return the document's JSON, indented where a line would grow too long, with its hash as the last field.

    Raises:
        DocumentError: when the document could not be read back.
    """
    document = check(document)
    return _laid_out({**_canonical_tree(document), "policy_hash": _hash_of(document)}, "") + "\n"


def content_hash(document: Document) -> str:
    """Return "sha256:" and the SHA-256, in hexadecimal, of the document's canonical JSON.

    Canonical: UTF-8, every field but `policy_hash` (an absent `by` or `clip` stays absent), fields sorted by name, no
    spaces, text unescaped where JSON allows, floats in the shortest form that reads back (Python's repr).

    Raises:
        DocumentError: when the document is not sound.
    """
    return _hash_of(check(document))


def tree_of(value: object) -> Any:
    """Return an object of a document as plain data: fields by name, the `kind` first, None left out."""
    if is_dataclass(value) and not isinstance(value, type):
        tagged = {"kind": value.kind} if hasattr(value, "kind") else {}
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {**tagged, **{name: tree_of(entry) for name, entry in named if entry is not None}}
    if isinstance(value, Mapping):
        return {name: tree_of(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        if value and type(value[0]) is float:  # rows of weights are nearly all of a network
            return list(value)
        return [tree_of(entry) for entry in value]
    return value


def _canonical_tree(document: Document) -> dict[str, Any]:
    """Return the tree of a checked document, fields in the order in which people read them."""
    tree = tree_of(document)
    first = {"version": VERSION, "vocabulary": FINGERPRINT, "name": tree["name"], "made_by": tree["made_by"]}
    origin = {"trained_on": dict(sorted(tree["trained_on"].items()))}
    return {**first, **origin, **{name: entry for name, entry in tree.items() if name not in {*first, *origin}}}


def _hash_of(document: Document, version: int = VERSION) -> str:
    import hashlib  # two milliseconds of a start

    canonical = json.dumps(
        downgraded(_canonical_tree(document), version),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return f"sha256:{hashlib.sha256(canonical.encode('utf-8')).hexdigest()}"


def _laid_out(value: object, indent: str) -> str:
    """Return JSON in which what fits into a line stands in one, and so does every row of numbers."""
    is_row = isinstance(value, list) and all(isinstance(entry, int | float) for entry in value)
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if is_row or not isinstance(value, dict | list) or len(indent) + len(line) <= LINE_WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        named = (f"{json.dumps(name, ensure_ascii=False)}: {_laid_out(entry, deeper)}" for name, entry in value.items())
        return "{\n" + ",\n".join(deeper + entry for entry in named) + "\n" + indent + "}"
    assert isinstance(value, list)
    return "[\n" + ",\n".join(deeper + _laid_out(entry, deeper) for entry in value) + "\n" + indent + "]"
