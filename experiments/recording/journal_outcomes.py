"""From the engine's journal to a ledger's outcomes: what followed each decision, when, and what it was worth.

An event of a message belongs to the decision that sent it; any other to the user's last decision before it. What a
decision itself does (its send, and the send's cost) stands in its own row and is no outcome.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from policies.ledger import OUTCOME_KINDS, Outcomes
from simulator.records import Event, Reason, Records

NOTHING = -1
N_CODES = 256


def _table(kinds: dict[tuple[Event, Reason | None], str]) -> npt.NDArray[np.int8]:
    """Return the outcome of each event and reason, or NOTHING; None stands for any reason. Shape (256, 256)."""
    table = np.full((N_CODES, N_CODES), NOTHING, np.int8)
    for (event, reason), kind in kinds.items():
        table[event, slice(None) if reason is None else reason] = OUTCOME_KINDS.index(kind)
    return table


# An event's own outcome, which has its money, and one that it is besides.
OUTCOME = _table(
    {
        (Event.DELIVERY, None): "delivered",
        (Event.FAILURE, None): "failed",
        (Event.EXPIRY, None): "expired",
        (Event.NOTICE, Reason.OPENED): "opened",
        (Event.NOTICE, Reason.CLICKED): "clicked",
        (Event.SESSION, None): "session",
        (Event.CONVERSION, None): "conversion",
        (Event.PAYMENT, None): "payment",
        (Event.OPT_OUT, Reason.IRRITATION): "opt_out",
        (Event.OPT_OUT, Reason.COMPLAINT): "complaint",
        (Event.OPT_IN, None): "opt_in",
        (Event.CHURN, None): "churn",
    }
)
BESIDES = _table({(Event.NOTICE, Reason.CLICKED): "opened", (Event.OPT_OUT, Reason.COMPLAINT): "opt_out"})


def outcomes_of(events: Records, last_ids: npt.NDArray[np.uint64], sender_ids: npt.NDArray[np.uint64]) -> Outcomes:
    """Return what a ledger tells of some events, in their order; a click is an open as well, a complaint an opt-out.

    Args:
        events: EVENT of shape (n,).
        last_ids: the user's last decision before each event, shape (n,).
        sender_ids: the decision that sent the event's message, where there is one; shape (n,).
    """
    besides = BESIDES[events["kind"], events["reason"]]
    own = OUTCOME[events["kind"], events["reason"]]
    kinds = np.column_stack((besides, own)).ravel()
    is_told = kinds != NOTHING
    rows = np.repeat(np.arange(len(events)), 2)[is_told]
    is_own = np.tile((False, True), len(events))[is_told]
    is_attributed = events["campaign"][rows] >= 0
    return Outcomes(
        decision_id=np.where(is_attributed, sender_ids[rows], last_ids[rows]),
        kind=kinds[is_told].astype(np.uint8),
        time_hours=events["time_hours"][rows],
        amount_nano_eur=np.where(is_own, events["amount_nano"][rows], 0),
        is_attributed=is_attributed,
    )
