"""Write a ledger while a run goes on: rows gather in a buffer, and full buffers become parts in the background.

`write` checks a batch and copies it, column by column, so the caller may use its arrays again at once. Threads encode,
compress and write (Arrow releases the interpreter); they publish parts in the order of the rows, so what a killed
process leaves is a beginning of what it wrote, whole parts long.
"""

from __future__ import annotations

import queue
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from policies.ledger import parts
from policies.ledger.batches import Array, Batch, Decisions, Endings, Outcomes, checked
from policies.ledger.faults import LedgerError, did_you_mean, need_arrow
from policies.ledger.schema import DECISIONS, ENDINGS, OUTCOMES, Header, Table

PART_ROWS = 131_072
COMPRESSIONS = ("lz4", "zstd", "snappy", "gzip", "none")
_TRANSPOSED_ROWS = 4096  # a block that stays in cache while it is turned from rows to columns


class LedgerWriter:
    """Writes batches into a ledger's folder. Close it, or use it in a `with`: the last rows are written then.

    One thread may use a writer; shards that write at once each have their own, into one folder if they like.

    Args:
        folder: made when it is not there; a ledger that is there is gone on with, under the next part numbers.
        header: what the numbers mean; must equal that of the ledger that is there.
        part_rows: rows a part. A killed process loses what is in its buffers: at most n_threads + 1 times as many rows
            of each table, which is also the memory it takes (55 MB a buffer of decisions at C = 4 and the default).
        n_threads: that encode and write.
        compression: one of COMPRESSIONS.

    Raises:
        LedgerError: the folder holds another ledger; an argument is out of range.
        MissingExtraError: pyarrow or numpy is not installed.
    """

    def __init__(
        self,
        folder: Path | str,
        header: Header,
        *,
        part_rows: int = PART_ROWS,
        n_threads: int = 2,
        compression: str = "lz4",
    ) -> None:
        need_arrow()
        for name, value in (("part_rows", part_rows), ("n_threads", n_threads)):
            if value < 1:
                raise LedgerError(f"LedgerWriter: {name}: expected at least 1, got {value}")
        if compression not in COMPRESSIONS:
            raise LedgerError(
                f"LedgerWriter: compression: {compression!r} is not known.{did_you_mean(compression, COMPRESSIONS)}"
            )
        self.folder, self.header, self.compression = Path(folder), header, compression
        self._open_folder()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="ledger")
        self._streams = {
            table.name: _Stream(self, table, self._threads, part_rows, n_threads)
            for table in (DECISIONS, OUTCOMES, ENDINGS)
        }

    def _open_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / parts.HEADER_FILE
        if not path.exists():
            parts.write_text(path, self.header.to_json())
            return
        there = Header.from_json(path.read_text(encoding="utf-8"), parts.HEADER_FILE)
        differing = [name for name in vars(there) if getattr(there, name) != getattr(self.header, name)]
        if differing:
            raise LedgerError(
                *(
                    f"{path}: {name}: this ledger has {_short(getattr(there, name))}, "
                    f"the writer was given {_short(getattr(self.header, name))}"
                    for name in differing
                )
            )

    def write(self, decisions: Decisions) -> None:
        """Take a batch of decisions, whole or not at all.

        Raises:
            LedgerError: a row that is not sound (nothing of the batch is written), or an earlier part that could not
                be written to the disk.
        """
        self._add("decisions", decisions)

    def write_outcomes(self, outcomes: Outcomes) -> None:
        """Take a batch of outcomes; see `write`."""
        self._add("outcomes", outcomes)

    def write_endings(self, endings: Endings) -> None:
        """Take a batch of what was seen when episodes ended; see `write`."""
        self._add("endings", endings)

    def _add(self, table: str, batch: Batch) -> None:
        if self._is_closed:
            raise LedgerError(f"{self.folder}: this writer is closed; another one may go on")
        self._streams[table].add(batch)

    def keep_pace(self, table: Table) -> None:
        """Write what is known of outcomes and endings before a part of decisions that they belong to.

        A killed run then leaves decisions whose outcomes were seen with these outcomes, or nearly.
        """
        if table is DECISIONS:
            for other in (OUTCOMES, ENDINGS):
                self._streams[other.name].submit()

    def write_policy(self, policy_hash: str, document: str) -> None:
        """Keep a policy's document beside its decisions, as `policies/HASH.json`."""
        if not policy_hash.replace("-", "").isalnum():
            raise LedgerError(f"policy_hash: expected letters, digits and hyphens, got {policy_hash!r}")
        folder = self.folder / "policies"
        folder.mkdir(exist_ok=True)
        parts.write_text(folder / f"{policy_hash}.json", document)

    def flush(self) -> None:
        """Write everything taken so far, and wait until it is on the disk.

        Raises:
            LedgerError: a part could not be written.
        """
        for stream in self._streams.values():
            stream.submit()
        for stream in self._streams.values():
            stream.wait()

    def close(self) -> None:
        """Flush and stop. Closing twice does nothing."""
        try:
            self.flush()
        finally:
            self._is_closed = True
            self._threads.shutdown()

    def __del__(self) -> None:
        n_rows = sum(stream.n_rows for stream in getattr(self, "_streams", {}).values())
        if n_rows:
            warnings.warn(f"{self.folder}: a writer was not closed: {n_rows} rows lost", ResourceWarning, stacklevel=1)

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Stream:
    """One table being written: the buffer that fills, and the chain of parts on their way."""

    def __init__(
        self, writer: LedgerWriter, table: Table, threads: ThreadPoolExecutor, part_rows: int, n_threads: int
    ) -> None:
        self.writer, self.table, self.threads, self.part_rows = writer, table, threads, part_rows
        self.folder = writer.folder / table.name
        self.n_buffers_left = n_threads + 1
        self.free: queue.SimpleQueue[dict[str, Array]] = queue.SimpleQueue()
        self.buffer: dict[str, Array] | None = None
        self.n_rows = 0
        self.policy_hashes: dict[str, int] = {}
        self.last: Future[int] | None = None

    def add(self, batch: Batch) -> None:
        """Check a batch and copy its rows into buffers; full ones are handed to the threads."""
        arrays = checked(batch, self.table, self.writer.header)
        self.raise_what_failed()
        own_codes = arrays.get("policy")
        start, n_rows = 0, len(batch)
        while start < n_rows:
            if self.buffer is None:
                self.buffer, self.policy_hashes = self.take_buffer(), {}
            end = min(n_rows, start + self.part_rows - self.n_rows)
            if own_codes is not None:
                arrays["policy"] = self.codes_of(batch.policy_hashes)[own_codes]
            for name, columns in self.buffer.items():
                _transpose_into(columns, self.n_rows, arrays[name], start, end)
            self.n_rows += end - start
            start = end
            if self.n_rows == self.part_rows:
                self.writer.keep_pace(self.table)
                self.submit()

    def codes_of(self, policy_hashes: tuple[str, ...]) -> Array:
        """Return the codes of a batch's policies in the part that fills; each part has words of its own."""
        import numpy as np

        known = self.policy_hashes
        return np.array([known.setdefault(word, len(known)) for word in policy_hashes], np.uint32)

    def take_buffer(self) -> dict[str, Array]:
        """Return a buffer to fill; wait for one when all are on their way to the disk."""
        if self.n_buffers_left and self.free.empty():
            import numpy as np

            self.n_buffers_left -= 1
            width = self.writer.header.width
            return {c.name: np.empty((width(c), self.part_rows), c.dtype) for c in self.table.columns}
        return self.free.get()

    def submit(self) -> None:
        """Hand what the buffer holds to the threads."""
        if self.buffer is None or not self.n_rows:
            return
        buffer, n_rows, hashes = self.buffer, self.n_rows, tuple(self.policy_hashes)
        self.buffer, self.n_rows = None, 0
        self.last = self.threads.submit(self.write_part, buffer, n_rows, hashes, self.last)

    def write_part(
        self, buffer: dict[str, Array], n_rows: int, hashes: tuple[str, ...], before: Future[int] | None
    ) -> int:
        """Write one part, and publish it after the one before; return its number. Runs in a thread.

        Waiting cannot lock up: threads take parts in order, so the part before is done or has a thread of its own.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            columns = {name: values[:, :n_rows] for name, values in buffer.items()}
            rows = parts.arrow_table(columns, self.table, self.writer.header, hashes)
            temporary = parts.write_temporary(rows, self.folder, self.writer.compression)
        finally:
            self.free.put(buffer)
        try:
            number = before.result() + 1 if before else parts.next_number(self.folder)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return parts.publish(temporary, number)

    def raise_what_failed(self) -> None:
        """Raise the failure of a part whose writing is over."""
        if self.last and self.last.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the last part; its failure, or that of one before it, is raised."""
        if not self.last:
            return
        try:
            self.last.result()
        except Exception as fault:
            raise LedgerError(f"{self.folder}: a part could not be written, nor those after it: {fault}") from fault


def _transpose_into(columns: Array, at: int, rows: Array, start: int, end: int) -> None:
    """Copy rows[start:end], shape (n,) or (n, width), to columns[:, at:], shape (width, capacity)."""
    if rows.ndim == 1:
        columns[0, at : at + end - start] = rows[start:end]
        return
    for block in range(start, end, _TRANSPOSED_ROWS):
        stop = min(end, block + _TRANSPOSED_ROWS)
        columns[:, at + block - start : at + stop - start] = rows[block:stop].T


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
