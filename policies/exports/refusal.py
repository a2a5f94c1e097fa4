"""What an export says when a document has no exact form in its language."""

from __future__ import annotations

from policies.document import Document


class ExportError(ValueError):
    """A document that cannot be exported in this form: why, and what can be done instead."""


def no_form(document: Document, language: str, what: str, instead: str) -> ExportError:
    """Return the error.

    Args:
        document: that was to be exported.
        language: of the export, as people call it.
        what: in the document that it has no words for.
        instead: what will do.
    """
    return ExportError(f"policy {document.name!r}: {language} has no exact form of {what}: {instead}")
