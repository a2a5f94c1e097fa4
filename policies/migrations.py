"""Documents of older versions: how each is read as what it means today, and by which hash it is known.

A document's hash was made by its own version's canonical form, so that form is kept as well: what a version did not
have is taken off again. An entry a version; they are gone through one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from policies.strict_json import Faults, Node
from policies.vocabulary import FINGERPRINT

VERSION = 2
Tree = dict[str, Any]

# Version 1 knew one vocabulary, this one; a document of it cannot be read once that changes.
_VOCABULARY_OF_1 = "1-e69da094"
_ADDED_IN_2 = ("vocabulary", "constraints", "allowed_campaigns", "fallback")


class Migration(NamedTuple):
    """From one version to the next.

    Attributes:
        forward: makes a tree, as it was read, one of the next version.
        back: from the next version's canonical tree to this version's.
    """

    forward: Callable[[Tree, Faults], Tree]
    back: Callable[[Tree], Tree]


def _from_1(tree: Tree, faults: Faults) -> Tree:
    for name in _ADDED_IN_2:
        if name in tree:
            faults.note(name, "a field of version 2 in a document of version 1; write version 2, and no hash")
    if FINGERPRINT != _VOCABULARY_OF_1:
        faults.note("version", f"1 is of the vocabulary {_VOCABULARY_OF_1}, this Kairos has {FINGERPRINT}: train anew")
    tree.update(version=2, vocabulary=FINGERPRINT)  # in place, so that it goes on knowing what came twice
    return tree


def _to_1(tree: Tree) -> Tree:
    return {name: entry for name, entry in tree.items() if name not in _ADDED_IN_2} | {"version": 1}


MIGRATIONS: dict[int, Migration] = {1: Migration(_from_1, _to_1)}


def version_of(node: Node) -> int:
    """Return the version of a document's tree; another than can be read is noted, and what follows means nothing."""
    if not isinstance(node.value, dict) or "version" not in node.value:
        return VERSION  # what is missing is told with the other fields
    version = Node(node.value["version"], node.faults, "version")
    known = (*MIGRATIONS, VERSION)
    if isinstance(version.value, bool) or version.value not in known:
        # What another version's fields mean is unknown, so they are not looked at.
        version.refuse(f"one of {', '.join(map(str, known))}, the versions that this Kairos reads")
        return 0
    return int(version.value)


def upgraded(tree: Any, version: int, faults: Faults) -> Any:
    """Return a tree of some version as one of today's; what cannot be is noted."""
    for older in range(version, VERSION):
        tree = MIGRATIONS[older].forward(tree, faults)
    return tree


def downgraded(tree: Tree, version: int) -> Tree:
    """Return today's canonical tree in the canonical form of an older version."""
    for older in range(VERSION - 1, version - 1, -1):
        tree = MIGRATIONS[older].back(tree)
    return tree
