"""The ledger: decisions written a second with all columns at C = 4, and read back."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median

from policies.ledger import DECISIONS, Decisions, LedgerWriter, iterate_parts
from tests.benchmarks import Row
from tests.policies import ledgers

BATCH_ROWS = 16_384  # one epoch of a fleet of environments
TARGET_PER_S = 1e6


def written_per_s(folder: Path, batches: list[Decisions], n_batches: int) -> float:
    """Decisions a second from the first batch until the last part is on the disk."""
    start = time.perf_counter()
    with LedgerWriter(folder, ledgers.header()) as writer:
        for number in range(n_batches):
            writer.write(batches[number % len(batches)])
    return n_batches * BATCH_ROWS / (time.perf_counter() - start)


def raw_per_s(path: Path, batches: list[Decisions], n_batches: int) -> float:
    """Decisions a second when the same arrays go to one file as they lie in memory, unchecked and uncompressed."""
    start = time.perf_counter()
    with path.open("wb") as file:
        for number in range(n_batches):
            for column in DECISIONS.columns:
                file.write(getattr(batches[number % len(batches)], column.name))
        file.flush()
        os.fsync(file.fileno())
    return n_batches * BATCH_ROWS / (time.perf_counter() - start)


def read_per_s(folder: Path, n_expected: int) -> float:
    """Decisions a second read back part by part, checksums verified, all columns as arrays."""
    start = time.perf_counter()
    n_rows = sum(len(rows.decisions()) for rows in iterate_parts(folder))
    assert n_rows == n_expected
    return n_rows / (time.perf_counter() - start)


def run(quick: bool) -> list[Row]:
    """Return the figures of the ledger."""
    n_batches = 32 if quick else 128
    batches = [ledgers.decisions(BATCH_ROWS, seed=seed, n_users=BATCH_ROWS, run_key=seed) for seed in range(4)]
    n_rows = n_batches * BATCH_ROWS
    written, raw, read = [], [], []
    for _ in range(1 if quick else 5):
        # A fresh folder each time: what lies about unread would still be on its way to the disk.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            written_per_s(folder / "warm", batches, 1)  # loads the libraries
            written.append(written_per_s(folder / "ledger", batches, n_batches))
            read.append(read_per_s(folder / "ledger", n_rows))
            row_bytes = sum(path.stat().st_size for path in (folder / "ledger").rglob("*.parquet")) / n_rows
            raw.append(raw_per_s(folder / "raw", batches, n_batches))
            raw_bytes = (folder / "raw").stat().st_size / n_rows
    rate, raw_rate, read_rate = median(written), median(raw), median(read)
    spread = f"{min(written) / 1e6:.2f} to {max(written) / 1e6:.2f} M/s over {len(written)} runs"
    note = f"C = 4, {len(DECISIONS.columns)} fields, batches of {BATCH_ROWS:,}, to the disk; {spread}"
    disk = f"medians; the disk takes {raw_rate * raw_bytes / 1e6:.0f} MB/s"
    return [
        Row("ledger, write", "decisions/s", rate, "budget", TARGET_PER_S, rate / TARGET_PER_S, 1.0, note),
        Row(
            "ledger, write",
            "decisions/s",
            rate,
            "the arrays as they lie",
            raw_rate,
            rate / raw_rate,
            None,
            disk,
        ),
        Row("ledger, size", "bytes a row", row_bytes, "the arrays as they lie", raw_bytes, raw_bytes / row_bytes),
        Row("ledger, read", "decisions/s", read_rate, "write", rate, read_rate / rate, None, "all columns, to arrays"),
    ]
