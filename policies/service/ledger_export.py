"""From the service's log to a decision ledger, so that what it decided can be evaluated offline.

Each user is one episode that goes on. Rewards are not known here (NaN): outcomes are written beside the decisions, and
whoever evaluates says what they are worth.
"""

from __future__ import annotations

import json
from array import array
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from policies.constraints import N_CAPS, Suppression
from policies.ledger import OUTCOME_KINDS, Decisions, Header, LedgerWriter, Outcomes
from policies.runtime.user import MS_AN_HOUR
from policies.service.deciding.answering import Details
from policies.service.deciding.names import CAMPAIGNS_NOTE
from policies.service.identity import user_number
from policies.service.settings import Settings
from policies.service.state.store import Store
from policies.service.state.unit import DecisionRow, OutcomeRow

ROWS_AT_ONCE = 4_096
HOUR_ZERO = "1970-01-01T00:00:00+00:00"
_details = msgspec.msgpack.Decoder(Details)


def reason_words(cap_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of the suppression codes, `eligible` first; codes that there are not are called `unused N`."""
    words = [f"unused {code}" for code in range(int(Suppression.CAP) + N_CAPS)]
    for reason in Suppression:
        words[reason] = reason.name.lower()
    for k in range(N_CAPS):
        words[Suppression.CAP + k] = f"cap_{cap_names[k]}" if k < len(cap_names) else f"cap_{k}"
    return tuple(words)


def write_ledger(
    store: Store, folder: Path, settings: Settings, n_slots: int, *, part_rows: int = 131_072, run: str = "service"
) -> int:
    """Write all decisions and outcomes that the store keeps into a ledger.

    Args:
        folder: a new one, or one that an earlier export wrote: then decisions come twice, and readers say so.
        n_slots: C of the service's policies.
        part_rows: rows a part.
        run: what the ledger calls the service.

    Returns:
        How many decisions were written.

    Raises:
        LedgerError: the folder holds another ledger.
        MissingExtraError: pyarrow or numpy is not installed.
    """
    campaigns = tuple(json.loads(store.notes().get(CAMPAIGNS_NOTE, "[]")))
    header = Header(
        n_slots,
        reason_words(settings.constraints.cap_names),
        campaigns=campaigns,
        hour_zero=HOUR_ZERO,
        run=run,
    )
    n = 0
    with LedgerWriter(folder, header, part_rows=part_rows) as writer:
        for policy_hash, document in store.documents().items():
            writer.write_policy(policy_hash.replace(":", "-"), document)
        rows: list[tuple[int, float, DecisionRow]] = []
        outcomes: list[OutcomeRow] = []
        for _, own in groupby(store.rows(), lambda pair: pair[0].user_key):
            last_ms = None
            for step, (decision, followed) in enumerate(own):
                elapsed = 0.0 if last_ms is None else (decision.at_ms - last_ms) / MS_AN_HOUR
                last_ms = decision.at_ms
                rows.append((step, elapsed, decision))
                outcomes += followed
            if len(rows) >= ROWS_AT_ONCE:
                n += _write(writer, rows, outcomes, header)
                rows, outcomes = [], []
        if rows:
            n += _write(writer, rows, outcomes, header)
    return n


def _write(
    writer: LedgerWriter,
    rows: list[tuple[int, float, DecisionRow]],
    outcomes: list[OutcomeRow],
    header: Header,
) -> int:
    writer.write(_decisions(rows, header))
    if outcomes:
        writer.write_outcomes(_outcomes(outcomes, {row.decision_id: row for _, _, row in rows}))
    return len(rows)


def _decisions(rows: list[tuple[int, float, DecisionRow]], header: Header) -> Decisions:
    import numpy as np

    kept = [row for _, _, row in rows]
    details = [_details.decode(row.details) for row in kept]
    names = {name: number for number, name in enumerate(header.campaigns)}
    hashes = list(dict.fromkeys(row.policy_hash for row in kept))
    users = np.array([user_number(row.user_key) for row in kept], np.uint64)
    reasons = np.array([list(found.reasons) for found in details], np.uint8)
    campaigns = np.array([names.get(row.campaign, -1) for row in kept], np.int16)
    channels = np.array([row.channel for row in kept], np.int8)

    def column(values: Any, dtype: str) -> Any:
        return np.array(list(values), dtype)

    return Decisions(
        decision_id=column((row.decision_id for row in kept), "uint64"),
        user_id=users,
        episode_id=users,
        step=column((step for step, _, _ in rows), "uint32"),
        time_hours=column((row.at_ms / MS_AN_HOUR for row in kept), "float64"),
        elapsed_hours=column((max(elapsed, 0.0) for _, elapsed, _ in rows), "float64"),
        policy=column((hashes.index(row.policy_hash) for row in kept), "uint32"),
        luck_key=column((found.luck_key for found in details), "uint64"),
        candidates=column((found.candidates for found in details), "int16").reshape(len(kept), header.n_slots),
        eligible=reasons == 0,
        reasons=reasons,
        probabilities=column((array("d", found.probabilities) for found in details), "float64"),
        action=column((row.action for row in kept), "int16"),
        propensity=column((row.propensity for row in kept), "float64"),
        assigned_campaign=campaigns,
        assigned_channel=channels,
        sent_campaign=campaigns,
        sent_channel=channels,
        features=column((array("f", found.features) for found in details), "float32"),
        reward=np.full(len(kept), np.nan),
        reward_nano_eur=np.zeros(len(kept), np.int64),
        terminated=np.zeros(len(kept), bool),
        truncated=np.zeros(len(kept), bool),
        policy_hashes=tuple(hashes),
    )


def _outcomes(rows: list[OutcomeRow], decisions: dict[int, DecisionRow]) -> Outcomes:
    import numpy as np

    return Outcomes(
        decision_id=np.array([row.decision_id for row in rows], np.uint64),
        kind=np.array([OUTCOME_KINDS.index(row.kind) for row in rows], np.uint8),
        time_hours=np.array([row.at_ms / MS_AN_HOUR for row in rows], np.float64),
        amount_nano_eur=np.array([row.amount_nano_eur for row in rows], np.int64),
        is_attributed=np.array([decisions[row.decision_id].action > 0 for row in rows], bool),
    )
