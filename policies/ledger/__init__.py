"""The decision ledger: every decision is written down so that it can be evaluated later.

Importing it needs the standard library only; writing and reading need the extra `ledger`.
"""

from policies.ledger.batches import Decisions, Endings, Outcomes, decision_ids, fold_ineligible
from policies.ledger.faults import LedgerError, MissingExtraError
from policies.ledger.reader import Rows, iterate_parts, read_decisions, read_endings, read_header, read_outcomes
from policies.ledger.schema import DECISIONS, ENDINGS, OUTCOME_KINDS, OUTCOMES, Header
from policies.ledger.writer import LedgerWriter

__all__ = [
    "DECISIONS",
    "ENDINGS",
    "OUTCOMES",
    "OUTCOME_KINDS",
    "Decisions",
    "Endings",
    "Header",
    "LedgerError",
    "LedgerWriter",
    "MissingExtraError",
    "Outcomes",
    "Rows",
    "decision_ids",
    "fold_ineligible",
    "iterate_parts",
    "read_decisions",
    "read_endings",
    "read_header",
    "read_outcomes",
]
