"""What a ledger makes of the engine's events."""

from __future__ import annotations

import numpy as np

from experiments.recording.journal_outcomes import outcomes_of
from policies.ledger import OUTCOME_KINDS
from simulator.records import EVENT, Event, Reason


def test_each_event_becomes_its_outcomes() -> None:
    """All pairs of event and reason that the engine writes, and what a ledger makes of them."""
    table: list[tuple[Event, Reason, int, list[tuple[str, int]]]] = [
        (Event.SEND, Reason.NONE, 3, []),
        (Event.DRIFT, Reason.NONE, -1, []),
        (Event.REFUSED, Reason.NO_BUDGET, 3, []),
        (Event.NOTICE, Reason.IGNORED, 3, []),
        (Event.NOTICE, Reason.OPENED, 3, [("opened", 7)]),
        (Event.NOTICE, Reason.CLICKED, 3, [("opened", 0), ("clicked", 7)]),
        (Event.DELIVERY, Reason.NONE, 3, [("delivered", 7)]),
        (Event.FAILURE, Reason.STALE_TOKEN, 3, [("failed", 7)]),
        (Event.FAILURE, Reason.TOO_LATE, 3, [("failed", 7)]),
        (Event.EXPIRY, Reason.DISPLACED, 3, [("expired", 7)]),
        (Event.SESSION, Reason.ORGANIC, -1, [("session", 7)]),
        (Event.SESSION, Reason.DRIVEN, 3, [("session", 7)]),
        (Event.CONVERSION, Reason.DRIVEN, 3, [("conversion", 7)]),
        (Event.PAYMENT, Reason.NONE, -1, [("payment", 7)]),
        (Event.OPT_OUT, Reason.IRRITATION, -1, [("opt_out", 7)]),
        (Event.OPT_OUT, Reason.COMPLAINT, -1, [("opt_out", 0), ("complaint", 7)]),
        (Event.OPT_IN, Reason.NONE, -1, [("opt_in", 7)]),
        (Event.CHURN, Reason.BASE, -1, [("churn", 7)]),
    ]
    events = np.zeros(len(table), EVENT)
    for row, (kind, reason, campaign, _) in zip(events, table, strict=True):
        row["kind"], row["reason"], row["campaign"], row["amount_nano"] = kind, reason, campaign, 7
    events["time_hours"] = np.arange(len(table)) / 10
    last = np.arange(len(table), dtype=np.uint64)
    found = outcomes_of(events, last, last + np.uint64(100))
    told = [
        (OUTCOME_KINDS[kind], amount, decision, time, is_attributed)
        for kind, amount, decision, time, is_attributed in zip(
            found.kind, found.amount_nano_eur, found.decision_id, found.time_hours, found.is_attributed, strict=True
        )
    ]
    assert told == [
        (kind, amount, row + (100 if campaign >= 0 else 0), row / 10, campaign >= 0)
        for row, (_, _, campaign, outcomes) in enumerate(table)
        for kind, amount in outcomes
    ]
