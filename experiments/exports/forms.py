"""The forms that a policy can be written in: exact ones of a document, and what is distilled from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.distil.lessons import Visit
    from experiments.exports.certificate import Certificate
    from policies.document import Document

SUFFIXES = {
    "document": ".json", "network": ".json", "python": ".py", "sql": ".sql", "onnx": ".onnx",
    "tree": ".json", "rules": ".json", "scorecard": ".json",
}  # fmt: skip
DISTILLED = ("tree", "rules", "scorecard")
FIRST_LEARNED = 1_000_000_000  # seeds of users that are learned from, far from those of the trial


@dataclass(frozen=True)
class Student:
    """How large what is distilled may be.

    Attributes:
        depth, leaves: of a tree, or of the rules that it becomes.
        features, bins, points: of a scorecard.
    """

    depth: int = 6
    leaves: int = 32
    features: int = 8
    bins: int = 5
    points: int = 20


def distilled(teacher: Document, form: str, visit: Visit, student: Student) -> Document:
    """Return a student of a teacher.

    Args:
        teacher: any document.
        form: of DISTILLED.
        visit: lets a policy decide, and returns where it came.
        student: how large it may be.

    Raises:
        ValueError: nothing was ever eligible, or the student's size is out of range.
    """
    from agents.distil.scorecards import ScorecardSettings, distilled_scorecard
    from agents.distil.trees import TreeSettings, distilled_tree, rules_of

    if form == "scorecard":
        return distilled_scorecard(teacher, visit, ScorecardSettings(student.features, student.bins, student.points))
    tree = distilled_tree(teacher, visit, TreeSettings(depth=student.depth, leaves=student.leaves))
    return rules_of(tree) if form == "rules" else tree


def written(document: Document, form: str) -> str | bytes:
    """Return what stands in the file of an exact form, or of a document that was distilled.

    Raises:
        ExportError: the document has no such form; the message says which it has.
        ModuleNotFoundError: the form needs a library that is not installed.
    """
    from policies.codec import write
    from policies.exports.refusal import no_form

    match form:
        case "python":
            from policies.exports.python_source import python_source

            return python_source(document)
        case "sql":
            from policies.exports.sql_source import sql_source

            return sql_source(document)
        case "onnx":
            from policies.exports.onnx_model import onnx_model

            return onnx_model(document)
        case "network" if document.model.kind != "network":
            raise no_form(document, "a network", f"a model of kind {document.model.kind}", "its own is --as document")
    return write(document)


def write_form(target: Path, content: str | bytes) -> None:
    """Write a form whole or not at all."""
    from experiments.results import whole_file, write_text

    if isinstance(content, str):
        write_text(target, content)
        return
    with whole_file(target) as partial:
        partial.write_bytes(content)


def write_certificate(certificate: Certificate, named: Callable[[str], Path]) -> None:
    """Write a certificate as JSON and as a page.

    Args:
        certificate: of a student.
        named: returns the path for a suffix.
    """
    from experiments.results import write_json, write_text

    write_json(named(".json"), certificate.to_dict())
    write_text(named(".md"), certificate.to_markdown())
