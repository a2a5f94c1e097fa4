"""A run that is killed leaves decisions together with the outcomes that were seen of them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from policies.ledger import LedgerWriter, Outcomes, read_outcomes
from tests.policies.ledgers import decisions, header


def test_outcomes_keep_pace_with_parts_of_decisions(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path, header(), part_rows=64) as writer:
        rows = decisions(64)
        few = Outcomes(
            decision_id=rows.decision_id[:3],
            kind=np.zeros(3, np.uint8),
            time_hours=np.ones(3),
            amount_nano_eur=np.zeros(3, np.int64),
            is_attributed=np.ones(3, bool),
        )
        writer.write_outcomes(few)
        writer.write(rows)  # fills a part; nothing has asked for the outcomes to be written
        for _ in range(500):
            if any((tmp_path / "outcomes").glob("part-*.parquet")):
                break
            time.sleep(0.01)
        assert np.array_equal(read_outcomes(tmp_path).outcomes().decision_id, few.decision_id)
