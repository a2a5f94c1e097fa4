"""State in one SQLite file: for one machine, several processes if wanted.

`BEGIN IMMEDIATE` takes the one lock for writing before anything is read, so between reading a cap and writing a send
nobody else writes, in this process or another. The journal is a write-ahead log, so readers do not wait.

`synchronous` says what is lost when the machine, not the process, dies: with FULL, the default, every commit is on the
disk before it is acknowledged; with NORMAL the last commits before a power failure may be lost, never the file. A
killed process (`kill -9`) loses no acknowledged decision either way: what it wrote is with the operating system.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from policies.service.state.sql_store import Cursor, SqlStore
from policies.service.state.store import StoreError

SYNCHRONOUS = ("FULL", "NORMAL")
WORDS = {"bytes": "BLOB", "whole": "INTEGER", "keyed": " WITHOUT ROWID"}
CACHE_KIB = 32_768
LOG_PAGES = 8_192  # of the write-ahead log, 32 MiB, before it is copied into the file, which waits for the disk twice
OPENING_SECONDS = 3.0  # that a service waits for another that is opening the same file
MOST_KEYS = 5_000  # of one statement; SQLite's own bound is 32,766
REASONS = {  # by the beginning of SQLite's name of the fault
    "SQLITE_FULL": ("full", "the disk, or the file's allowed size, is full"),
    "SQLITE_BUSY": ("locked", "another process kept the file locked"),
    "SQLITE_LOCKED": ("locked", "another connection kept a table locked"),
    "SQLITE_CONSTRAINT": ("clash", "a row is there already"),
    "SQLITE_READONLY": ("unavailable", "the file may only be read"),
    "SQLITE_CORRUPT": ("damaged", "the file is damaged"),
    "SQLITE_NOTADB": ("damaged", "the file is no SQLite database"),
    "SQLITE_CANTOPEN": ("unavailable", "the file cannot be opened"),
    "SQLITE_IOERR": ("unavailable", "the file cannot be read or written"),
}


class SqliteStore(SqlStore):
    """A store in a file; it is made when it is not there.

    The write-ahead log goes into the file when the last process lets go of it.

    Args:
        path: of the file; its folder must be there.
        synchronous: FULL or NORMAL, see above.
        wait_ms: for a lock that another process holds.
        most_pages: of 4,096 bytes that the file may take; None: as many as the disk.

    Raises:
        StoreError: it cannot be opened.
        StateMismatchError: it was written by a newer service.
    """

    name = "sqlite"

    def __init__(
        self,
        path: Path | str,
        *,
        synchronous: str = "FULL",
        wait_ms: int = 1_000,
        most_pages: int | None = None,
    ) -> None:
        super().__init__()
        if synchronous not in SYNCHRONOUS:
            raise ValueError(f"synchronous: expected {' or '.join(SYNCHRONOUS)}, got {synchronous!r}")
        self.path = Path(path)
        self._synchronous, self._wait_ms, self._most_pages = synchronous, wait_ms, most_pages
        self._lists: dict[tuple[str, int], str] = {}
        self._turn = _Turn()
        self._open()

    def _open(self) -> None:
        """Make what is not there yet; of two processes that begin at once, one waits for the other.

        Turning to a write-ahead log takes the whole file, and SQLite does not wait for that by itself.
        """
        deadline = time.monotonic() + OPENING_SECONDS
        while True:
            try:
                with self._transaction() as run:
                    self._migrate(run, WORDS)
            except StoreError as fault:
                if fault.reason != "locked" or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _connect(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise StoreError("unavailable", f"{self.name} {self.path}: there is no folder {self.path.parent}")
        # Transactions are begun and ended here, never by the library.
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=self._wait_ms / 1e3
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        if self._most_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
        return connection

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[Cursor]:
        connection = None
        with self._turn if writes else contextlib.nullcontext():
            try:
                connection = self._taken() or self._connect()
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as fault:
                raise self._named(fault) from fault
            finally:
                if connection is not None:
                    self._put_back(connection)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Roll back what was not committed, and keep the connection for the next."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        self._kept(connection)

    def _named(self, fault: sqlite3.Error) -> StoreError:
        name = getattr(fault, "sqlite_errorname", None) or ""
        for beginning, (reason, words) in REASONS.items():
            if name.startswith(beginning):
                return StoreError(reason, f"{self.name} {self.path}: {words} ({fault})")
        return StoreError("unavailable", f"{self.name} {self.path}: {fault}")

    def _sql(self, statement: str) -> str:
        return statement

    def _any_of(self, run: Cursor, statement: str, keys: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for first in range(0, len(keys), MOST_KEYS):
            some = keys[first : first + MOST_KEYS]
            text = self._lists.get((statement, len(some)))
            if text is None:
                text = f"{statement} IN ({', '.join('?' * len(some))})"
                self._lists[statement, len(some)] = text
            found += run.execute(text, some).fetchall()
        return found

    def _lock(self, run: Cursor, users: Sequence[bytes]) -> dict[bytes, bytes]:
        # The transaction holds the one lock for writing already.
        return dict(self._any_of(run, "SELECT user_key, record FROM users WHERE user_key", users))


class _Turn:
    """A lock in which nobody is passed by: who waits is next, also where another takes it again and again.

    SQLite's own waiting is asking again after a sleep, and a thread that commits batch after batch would always be
    there first.
    """

    def __init__(self) -> None:
        self._next, self._held = threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._next:
            self._held.acquire()

    def __exit__(self, *fault: object) -> None:
        self._held.release()
