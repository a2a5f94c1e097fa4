"""State in PostgreSQL: for several replicas of the service behind one address.

The rows of the users that a transaction looks at are locked (`SELECT ... FOR UPDATE`, in the order of their keys, so
that two transactions never wait for each other in a circle), so between reading a cap and writing a send no other
replica decides for the same user. Commits are as durable as the server's `synchronous_commit`, by default on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from policies.service.state.sql_store import Cursor, SqlStore
from policies.service.state.store import StoreError

WORDS = {"bytes": "BYTEA", "whole": "BIGINT", "keyed": ""}
MIGRATION_LOCK = 7_238_001  # any number that other users of the server do not lock by
MAKE_ROWS = (
    "INSERT INTO users (user_key, record, seen_ms) SELECT key, ''::bytea, 0 FROM unnest(%s::bytea[]) AS key "
    "ORDER BY key ON CONFLICT DO NOTHING"
)
LOCK_ROWS = "SELECT user_key, record FROM users WHERE user_key = ANY(%s) ORDER BY user_key FOR UPDATE"


class PostgresStore(SqlStore):
    """A store in a PostgreSQL database, which must be there; its tables are made.

    Args:
        url: `postgresql://user:password@host:port/database`.
        wait_ms: for a row that another transaction holds; for one statement, four times as long.

    Raises:
        ImportError: psycopg is not installed; the message names the extra.
        StoreError: the server does not answer.
        StateMismatchError: the state was written by a newer service.
    """

    name = "postgresql"

    def __init__(self, url: str, *, wait_ms: int = 1_000) -> None:
        super().__init__()
        try:
            import psycopg
        except ImportError as missing:
            raise ImportError(
                f'State in PostgreSQL needs {missing.name}: pip install "kairos-notify[serve]"', name=missing.name
            ) from missing
        self._psycopg: Any = psycopg
        self._url, self._wait_ms = url, wait_ms
        parts = urlsplit(url)
        self.where = f"{parts.hostname or 'local socket'}{parts.path}"  # never the password
        self._texts: dict[str, str] = {}
        with self._transaction() as run:
            run.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            self._migrate(run, WORDS)

    def _connect(self) -> Any:
        options = f"-c lock_timeout={self._wait_ms} -c statement_timeout={4 * self._wait_ms}"
        connection = self._psycopg.connect(self._url, connect_timeout=max(2, self._wait_ms // 1000), options=options)
        connection.prepare_threshold = 2
        return connection

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[Cursor]:
        connection = None
        try:
            connection = self._taken()
            if connection is None or connection.closed:
                connection = self._connect()
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except self._psycopg.Error as fault:
            raise self._named(fault) from fault
        finally:
            if connection is not None:
                self._put_back(connection)

    def _put_back(self, connection: Any) -> None:
        """Roll back what was not committed, and keep the connection for the next if it still answers."""
        try:
            if not connection.closed:
                connection.rollback()  # nothing to do after a commit
        except self._psycopg.Error:
            connection.close()
        if not connection.closed:
            self._kept(connection)

    def _named(self, fault: Exception) -> StoreError:
        errors = self._psycopg.errors
        words = (str(fault).splitlines() or [type(fault).__name__])[0]
        for kind, reason in (
            (errors.LockNotAvailable, "locked"),
            (errors.DeadlockDetected, "locked"),
            (errors.SerializationFailure, "locked"),
            (errors.QueryCanceled, "slow"),
            (errors.DiskFull, "full"),
            (errors.UniqueViolation, "clash"),
        ):
            if isinstance(fault, kind):
                return StoreError(reason, f"{self.name} at {self.where}: {words}")
        return StoreError("unavailable", f"{self.name} at {self.where}: {words}")

    def _sql(self, statement: str) -> str:
        text = self._texts.get(statement)
        if text is None:
            text = self._texts[statement] = statement.replace("?", "%s")
        return text

    def _any_of(self, run: Cursor, statement: str, keys: Sequence[Any]) -> list[Any]:
        return list(run.execute(f"{statement} = ANY(%s)", (list(keys),)).fetchall())

    def _lock(self, run: Cursor, users: Sequence[bytes]) -> dict[bytes, bytes]:
        # A user who was never seen has no row to lock, so an empty one is made first.
        run.execute(MAKE_ROWS, (list(users),))
        found = run.execute(LOCK_ROWS, (list(users),)).fetchall()
        return {bytes(key): bytes(record) for key, record in found if record}

    def _lock_note(self, run: Cursor, name: str) -> None:
        run.execute("INSERT INTO notes (name, content) VALUES (%s, '') ON CONFLICT DO NOTHING", (name,))
        run.execute("SELECT name FROM notes WHERE name = %s FOR UPDATE", (name,))
