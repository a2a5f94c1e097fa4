"""Checksums inside a Parquet file, of everything that is read from it.

The format has checksums for the contents of pages, and none for their headers nor for the footer, which says where
everything is and what it means. Ours cover each column chunk whole, and the footer. They stand before the footer, where
no reader looks: a footer is found from the end of the file, and chunks by their offsets. So the file stays plain
Parquet, appears at once with its checksums, and needs no second file beside it.

    PAR1 | column chunks | one CRC-32 a chunk | mark, number of chunks, CRC-32 of the rest | footer | length | PAR1
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection
from typing import Any, BinaryIO

_MARK = b"KAIROS01"
_TRAILER = struct.Struct("<8sII")
_BLOCK_BYTES = 1 << 20

Metadata = Any  # pyarrow.parquet.FileMetaData


def add_guard(file: BinaryIO, metadata: Metadata) -> None:
    """Put checksums before the footer of a file that was just written, open for reading and writing."""
    start, tail = _footer(file)
    sums = struct.pack(f"<{len(_chunks(metadata))}I", *(_crc(file, *where) for _, *where in _chunks(metadata)))
    trailer = _TRAILER.pack(_MARK, len(sums) // 4, _crc_of_the_rest(file, sums, tail))
    file.seek(start)
    file.write(sums + trailer + tail)


def checked_sums(file: BinaryIO) -> tuple[int, ...]:
    """Return the checksums of the column chunks, when they and the footer are as they were written.

    Raises:
        ValueError: they are not; the message says what is wrong.
    """
    start, tail = _footer(file)
    at = start - _TRAILER.size
    if at < 0:
        raise ValueError("it has no checksums before its footer")
    file.seek(at)
    mark, n_chunks, crc = _TRAILER.unpack(file.read(_TRAILER.size))
    if mark != _MARK or 4 * n_chunks > at:
        raise ValueError("it has no checksums before its footer")
    file.seek(at - 4 * n_chunks)
    sums = file.read(4 * n_chunks)
    if crc != _crc_of_the_rest(file, sums, tail):
        raise ValueError("its footer is not as it was written")
    return struct.unpack(f"<{n_chunks}I", sums)


def damaged_columns(
    file: BinaryIO, metadata: Metadata, sums: tuple[int, ...], names: Collection[str] | None
) -> list[str]:
    """Return the names of columns whose bytes are not as they were written.

    Args:
        sums: of `checked_sums`.
        names: of the columns to look at; None for all.
    """
    return [
        name
        for (name, start, n_bytes), expected in zip(_chunks(metadata), sums, strict=True)
        if (names is None or name in names) and _crc(file, start, n_bytes) != expected
    ]


def _chunks(metadata: Metadata) -> list[tuple[str, int, int]]:
    """Return name, start and length of each column chunk, in the order of the footer."""
    found = []
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            found.append((chunk.path_in_schema, start, chunk.total_compressed_size))
    return found


def _crc(file: BinaryIO, start: int, n_bytes: int) -> int:
    file.seek(start)
    crc = 0
    while n_bytes > 0 and (block := file.read(min(n_bytes, _BLOCK_BYTES))):
        crc = zlib.crc32(block, crc)
        n_bytes -= len(block)
    return crc


def _crc_of_the_rest(file: BinaryIO, sums: bytes, tail: bytes) -> int:
    file.seek(0)
    return zlib.crc32(tail, zlib.crc32(sums, zlib.crc32(file.read(4))))


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the footer starts, and everything from there on."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 8))
    last = file.read(8)
    length = int.from_bytes(last[:4], "little") + 8
    if last[4:] != b"PAR1" or length + 4 > end:
        raise ValueError("it is cut short, or is no Parquet")
    file.seek(end - length)
    return end - length, file.read(length)
