"""The ledger: decisions written a second with all columns at C = 4, and read back."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

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
    n_batches = 32 if quick else 192
    batches = [ledgers.decisions(BATCH_ROWS, seed=seed, n_users=BATCH_ROWS, run_key=seed) for seed in range(4)]
    written, raw = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written_per_s(folder / "warm", batches, 1)  # loads the libraries
        for repeat in range(1 if quick else 3):
            raw.append(raw_per_s(folder / f"raw-{repeat}", batches, n_batches))
            written.append(written_per_s(folder / f"ledger-{repeat}", batches, n_batches))
        read = read_per_s(folder / "ledger-0", n_batches * BATCH_ROWS)
        n_rows = n_batches * BATCH_ROWS
        row_bytes = sum(path.stat().st_size for path in (folder / "ledger-0").rglob("*.parquet")) / n_rows
        raw_bytes = (folder / "raw-0").stat().st_size / n_rows
    best, best_raw = max(written), max(raw)
    spread = f"{min(written) / 1e6:.2f} to {best / 1e6:.2f} M/s over {len(written)} runs"
    note = f"C = 4, {len(DECISIONS.columns)} fields, batches of {BATCH_ROWS:,}, to the disk; {spread}"
    return [
        Row("ledger, write", "decisions/s", best, "budget", TARGET_PER_S, best / TARGET_PER_S, 1.0, note),
        Row("ledger, write", "decisions/s", best, "the arrays as they lie", best_raw, best / best_raw, None, "fsync"),
        Row("ledger, size", "bytes a row", row_bytes, "the arrays as they lie", raw_bytes, raw_bytes / row_bytes),
        Row("ledger, read", "decisions/s", read, "write", best, read / best, None, "all columns, to arrays"),
    ]
