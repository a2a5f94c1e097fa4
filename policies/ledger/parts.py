"""Part files: Parquet that appears complete or not at all, and that shows when it was damaged.

A part is written under a temporary name in its folder, flushed to the disk, and then linked to its own name, which
fails when the name is taken: nothing is ever overwritten, and several processes may write into one folder. A process
killed in the middle leaves the temporary file behind; no reader takes it for a part, and ours names it.

Settings: flat columns that are never null (no levels to encode), plain encoding but for words, LZ4, no statistics,
one row group a part, checksums of our own (`guard`). At C = 4 a row takes about 240 bytes (417 without compression).
One thread encoded 1.1 million such rows a second; as lists of fixed size, which need levels, 0.9 million; with zstd,
a sixth smaller, 0.7 million; shuffled bytes (BYTE_STREAM_SPLIT) gained nothing in time and cost a third in size.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from itertools import pairwise
from pathlib import Path
from typing import Any

from policies.ledger import guard
from policies.ledger.batches import Array
from policies.ledger.faults import LedgerError
from policies.ledger.schema import Column, Header, Table

HEADER_FILE = "ledger.json"
HEADER_KEY = b"kairos.ledger"
_PART = re.compile(r"part-\d{6,}\.parquet")
_TEMPORARY = ".tmp"

ArrowTable = Any  # pyarrow.Table
ArrowSchema = Any  # pyarrow.Schema


def part_paths(folder: Path) -> list[Path]:
    """Return a table's complete parts in the order of their numbers; none when there is no folder."""
    return sorted((path for path in _files(folder) if _PART.fullmatch(path.name)), key=_number)


def leftovers(folder: Path) -> tuple[Path, ...]:
    """Return the temporary files in a table's folder: being written now, or left by a process that was killed."""
    return tuple(sorted(path for path in _files(folder) if path.suffix == _TEMPORARY))


def missing_parts(folder: Path) -> str:
    """Return a message when parts are gone from between others, else ""; the oldest may have been cleared away."""
    numbers = [_number(path) for path in part_paths(folder)]
    holes = [(a + 1, b - a - 1) for a, b in pairwise(numbers) if b > a + 1]
    if not holes:
        return ""
    n_missing = sum(n for _, n in holes)
    more = f", and {n_missing - 1} more" if n_missing > 1 else ""
    return f"{folder.name}/{_name(holes[0][0])}: missing{more}, while later parts are there"


def next_number(folder: Path) -> int:
    """Return the number after the last part's."""
    parts = part_paths(folder)
    return _number(parts[-1]) + 1 if parts else 0


def arrow_schema(table: Table, header: Header) -> ArrowSchema:
    """Return the schema of a table's parts, without metadata."""
    import pyarrow as pa

    def kind(column: Column) -> Any:
        return pa.dictionary(pa.int32(), pa.string()) if column.words else pa.from_numpy_dtype(column.dtype)

    return pa.schema(
        [pa.field(name, kind(column), nullable=False) for column in table.columns for name in header.flat_names(column)]
    )


def arrow_table(columns: dict[str, Array], table: Table, header: Header, policy_hashes: tuple[str, ...]) -> ArrowTable:
    """Return the rows of one part.

    Args:
        columns: each column's values, shape (width, n): one row for each of the file's columns.
        policy_hashes: the words of the column `policy`.
    """
    import numpy as np
    import pyarrow as pa

    arrays = []
    for column in table.columns:
        words = policy_hashes if column.words == "policy_hashes" else header.words(column)
        for values in columns[column.name]:
            if column.words:
                codes = pa.array(values.astype(np.int32))
                arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string())))
            else:
                arrays.append(pa.array(values))
    schema = arrow_schema(table, header).with_metadata({HEADER_KEY: header.to_json().encode()})
    return pa.Table.from_arrays(arrays, schema=schema)


def write_temporary(rows: ArrowTable, folder: Path, compression: str) -> Path:
    """Write a part's rows under a temporary name and see them to the disk; return the path."""
    import pyarrow.parquet as pq

    words = [field.name for field in rows.schema if "dictionary" in str(field.type)]
    path = folder / f"part-{secrets.token_hex(8)}{_TEMPORARY}"
    try:
        # A path, and not a Python file: its writes would take the interpreter's lock hundreds of times a part.
        pq.write_table(
            rows,
            path,
            row_group_size=max(1, rows.num_rows),
            compression=compression,
            use_dictionary=words,
            write_statistics=False,
        )
        with path.open("r+b") as file:
            guard.add_guard(file, pq.read_metadata(path))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def publish(temporary: Path, number: int) -> int:
    """Give a written part its name; return its number, which is higher than asked for when another process took that.

    A hard link fails where the name exists, on every system. A file system without hard links gets a rename, and there
    only one process may write into a folder.
    """
    folder = temporary.parent
    while True:
        path = folder / _name(number)
        try:
            os.link(temporary, path)
        except FileExistsError:
            number += 1
            continue
        except OSError:
            if path.exists():
                number += 1
                continue
            temporary.replace(path)
        temporary.unlink(missing_ok=True)
        sync_folder(folder)
        return number


def sync_folder(folder: Path) -> None:
    """See a folder's names to the disk, where the system can (Windows cannot, and need not)."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a small file that appears complete or not at all."""
    temporary = path.with_name(f"{path.name}-{secrets.token_hex(8)}{_TEMPORARY}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_part(path: Path, table: Table, header: Header, names: list[str] | None) -> ArrowTable:
    """Read one part, checksums verified.

    Args:
        names: of the file's columns; None for all.

    Raises:
        LedgerError: the part is damaged, or is not one of this ledger; the message names the file and what is wrong.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"{path.parent.name}/{path.name}"
    try:
        with path.open("rb") as content:
            sums = guard.checked_sums(content)
            metadata = pq.read_metadata(path)
            damaged = guard.damaged_columns(content, metadata, sums, names)
        if damaged:
            raise LedgerError(f"{where}: damaged: {', '.join(damaged[:3])}: not as written (checksum)")
        with pq.ParquetFile(path, metadata=metadata) as file:
            found, expected = file.schema_arrow, arrow_schema(table, header)
            if not found.remove_metadata().equals(expected):
                raise LedgerError(f"{where}: {_differences(found, expected)}")
            own = Header.from_json(found.metadata[HEADER_KEY].decode(), where)
            if own != header:
                raise LedgerError(f"{where}: it was written under another header than that of {HEADER_FILE}")
            return file.read(columns=names)
    except LedgerError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, RuntimeError) as fault:
        # A damaged file can fail in any of the decoder's ways.
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise LedgerError(f"{where}: damaged, cannot be read: {reason}") from fault


def _differences(found: ArrowSchema, expected: ArrowSchema) -> str:
    for field in expected:
        index = found.get_field_index(field.name)
        if index < 0:
            return f"expected a column {field.name!r}, found none"
        if not found.field(index).equals(field):
            return f"column {field.name!r}: expected {field.type}, got {found.field(index).type}"
    extra = [name for name in found.names if name not in expected.names]
    return f"expected no column {extra[0]!r}" if extra else "expected the columns in another order"


def _name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("part-"))


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
