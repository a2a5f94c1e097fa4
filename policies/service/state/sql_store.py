"""What the stores on SQLite and PostgreSQL share: the same statements, in transactions of their own kind."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any, TypeVar

from policies.service.state import tables
from policies.service.state.store import Ages, Erased, Known, StateMismatchError, Swept, Tallied
from policies.service.state.unit import Answered, DecisionRow, OutcomeRow, Unit, Wanted, joined

T = TypeVar("T")
Cursor = Any  # of a database: execute, executemany, fetchall, rowcount
ROWS_AT_ONCE = 5_000  # of a long reading or deleting


class SqlStore:
    """Everything but how to connect, to lock and to ask for a list of keys.

    Connections that nobody uses wait in `_idle` for the next transaction.

    Attributes:
        name: of the database, for messages.
    """

    name = "sql"

    def __init__(self) -> None:
        self._own = threading.local()
        self._idle: list[Any] = []
        self._guard = threading.Lock()

    @property
    def _process(self) -> int:
        """The number under which this thread counts: rows of its own, so that it never waits for another's."""
        if not hasattr(self._own, "number"):
            self._own.number = secrets.randbits(62)
        number: int = self._own.number
        return number

    def _taken(self) -> Any | None:
        """Return an idle connection; None: there is none."""
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _kept(self, connection: Any) -> None:
        """Keep a connection for the next transaction."""
        with self._guard:
            self._idle.append(connection)

    def close(self) -> None:
        """Do as `Store.close`."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _transaction(self, *, writes: bool = True) -> AbstractContextManager[Cursor]:
        raise NotImplementedError

    def _sql(self, statement: str) -> str:
        """Return a statement in the database's own words."""
        raise NotImplementedError

    def _any_of(self, run: Cursor, statement: str, keys: Sequence[Any]) -> list[Any]:
        """Return the rows of a statement that ends in `WHERE column` for any of the keys."""
        raise NotImplementedError

    def _lock(self, run: Cursor, users: Sequence[bytes]) -> dict[bytes, bytes]:
        """Keep others from these users until the transaction ends; return their records."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- transactions

    def transact(self, wanted: Sequence[Wanted], work: Callable[[Unit], T], now_ms: int) -> T:
        """Do as `Store.transact`."""
        with self._transaction() as run:
            unit = self._load(run, wanted)
            result = work(unit)
            self._save(run, unit, now_ms)
        return result

    def _load(self, run: Cursor, wanted: Sequence[Wanted]) -> Unit:
        users, answers, ids = joined(wanted)
        unit = Unit()
        if ids:
            owned = self._any_of(run, "SELECT user_key FROM decisions WHERE decision_id", ids)
            users = sorted({*users, *(bytes(row[0]) for row in owned)})
        if users:
            unit.users = self._lock(run, users)
        if ids:  # read after the users are locked: one may have been erased in between
            statement = f"SELECT {tables.DECISION_COLUMNS} FROM decisions WHERE decision_id"
            unit.decisions = {row[0]: _decision(row) for row in self._any_of(run, statement, ids)}
            known = self._any_of(run, "SELECT decision_id, kind, at_ms FROM outcomes WHERE decision_id", ids)
            unit.outcomes = {(row[0], row[1], row[2]) for row in known}
        if answers:
            statement = "SELECT answer_key, user_key, body_hash, answer FROM answers WHERE answer_key"
            found = self._any_of(run, statement, answers)
            unit.answers = {bytes(row[0]): Answered(bytes(row[1]), bytes(row[2]), bytes(row[3])) for row in found}
        row = run.execute(self._sql("SELECT content FROM notes WHERE name = 'control'")).fetchone()
        unit.control = row[0] if row else ""
        return unit

    def _save(self, run: Cursor, unit: Unit, now_ms: int) -> None:
        users = [(key, record, at_ms) for key, (record, at_ms) in sorted(unit.changed_users.items())]
        answers = [(key, *answered, now_ms) for key, answered in sorted(unit.new_answers.items())]
        tallies = [(tally[0], self._process, *tally[1:], n) for tally, n in sorted(unit.tallies.items())]
        totals: Counter[tuple[str, str]] = Counter()
        for tally, n in unit.tallies.items():
            totals[tally.policy_hash, tally.what] += n
        for statement, rows in (
            (tables.SAVE_USER, users),
            (tables.SAVE_DECISION, unit.new_decisions),
            (tables.SAVE_OUTCOME, unit.new_outcomes),
            (tables.SAVE_ANSWER, answers),
            (tables.SAVE_TALLY, tallies),
            (tables.SAVE_TOTAL, [(self._process, *key, n) for key, n in sorted(totals.items())]),
        ):
            if rows:
                run.executemany(self._sql(statement), rows)

    def change_note(self, name: str, change: Callable[[str], str]) -> str:
        """Do as `Store.change_note`."""
        with self._transaction() as run:
            self._lock_note(run, name)
            row = run.execute(self._sql("SELECT content FROM notes WHERE name = ?"), (name,)).fetchone()
            text = change(row[0] if row else "")
            run.execute(self._sql(tables.SAVE_NOTE), (name, text))
        return text

    def _lock_note(self, run: Cursor, name: str) -> None:
        """Keep others from a note until the transaction ends; a database that locks as a whole need do nothing."""

    def notes(self) -> Mapping[str, str]:
        """Do as `Store.notes`."""
        with self._transaction(writes=False) as run:
            return dict(run.execute("SELECT name, content FROM notes").fetchall())

    def put_document(self, policy_hash: str, text: str) -> None:
        """Do as `Store.put_document`."""
        with self._transaction() as run:
            run.execute(self._sql(tables.SAVE_DOCUMENT), (policy_hash, text, time.time_ns()))

    def documents(self) -> Mapping[str, str]:
        """Do as `Store.documents`."""
        with self._transaction(writes=False) as run:
            return dict(run.execute("SELECT policy_hash, content FROM documents ORDER BY added").fetchall())

    # ------------------------------------------------------------------------------------------------- one user

    def known_of(self, user_key: bytes) -> Known | None:
        """Do as `Store.known_of`."""
        with self._transaction(writes=False) as run:
            row = run.execute(self._sql("SELECT record FROM users WHERE user_key = ?"), (user_key,)).fetchone()
            statement = (
                f"SELECT {tables.DECISION_COLUMNS} FROM decisions WHERE user_key = ? ORDER BY at_ms, decision_id"
            )
            decisions = [_decision(found) for found in run.execute(self._sql(statement), (user_key,)).fetchall()]
            statement = f"SELECT {tables.OUTCOME_COLUMNS} FROM outcomes WHERE user_key = ? ORDER BY at_ms, decision_id"
            outcomes = [_outcome(found) for found in run.execute(self._sql(statement), (user_key,)).fetchall()]
        record = bytes(row[0]) if row else b""
        return Known(record, decisions, outcomes) if record or decisions else None

    def erase(self, user_key: bytes) -> Erased:
        """Do as `Store.erase`."""
        with self._transaction() as run:
            self._lock(run, [user_key])
            row = run.execute(self._sql("SELECT record FROM users WHERE user_key = ?"), (user_key,)).fetchone()
            n = {}
            for table in ("users", "decisions", "outcomes", "answers"):
                n[table] = run.execute(self._sql(f"DELETE FROM {table} WHERE user_key = ?"), (user_key,)).rowcount
        return Erased(bool(row and bytes(row[0])), n["decisions"], n["outcomes"])

    # ------------------------------------------------------------------------------------------------- counts, age

    def tallied(self, since_minute: int) -> list[Tallied]:
        """Do as `Store.tallied`."""
        statement = (
            "SELECT minute, policy_hash, campaign, what, CAST(SUM(n) AS BIGINT) FROM tallies WHERE minute >= ? "
            "GROUP BY minute, policy_hash, campaign, what ORDER BY minute, policy_hash, campaign, what"
        )
        with self._transaction(writes=False) as run:
            return [Tallied(*row) for row in run.execute(self._sql(statement), (since_minute,)).fetchall()]

    def totals(self) -> Mapping[tuple[str, str], int]:
        """Do as `Store.totals`."""
        statement = "SELECT policy_hash, what, CAST(SUM(n) AS BIGINT) FROM totals GROUP BY policy_hash, what"
        with self._transaction(writes=False) as run:
            return {(row[0], row[1]): row[2] for row in run.execute(statement).fetchall()}

    def sweep(self, ages: Ages) -> Swept:
        """Do as `Store.sweep`; in small bites, between which decisions go on."""
        decisions = 0
        while True:
            with self._transaction() as run:
                # In the order of the ids, which is that of time by the server's clock; `at_ms` may be off by seconds.
                statement = "SELECT decision_id, at_ms FROM decisions ORDER BY decision_id LIMIT ?"
                rows = run.execute(self._sql(statement), (ROWS_AT_ONCE,)).fetchall()
                old = [(row[0],) for row in rows if row[1] < ages.decisions_ms]
                if old:
                    run.executemany(self._sql("DELETE FROM outcomes WHERE decision_id = ?"), old)
                    run.executemany(self._sql("DELETE FROM decisions WHERE decision_id = ?"), old)
            decisions += len(old)
            if len(old) < ROWS_AT_ONCE:
                break
        with self._transaction() as run:
            answers = run.execute(self._sql("DELETE FROM answers WHERE at_ms < ?"), (ages.answers_ms,)).rowcount
            tallies = run.execute(self._sql("DELETE FROM tallies WHERE minute < ?"), (ages.tallies_minute,)).rowcount
        return Swept(decisions, answers, tallies)

    def rows(self) -> Iterator[tuple[DecisionRow, list[OutcomeRow]]]:
        """Do as `Store.rows`; users are read one after another, so what is decided meanwhile may or may not be seen."""
        last = b""
        while True:
            with self._transaction(writes=False) as run:
                statement = "SELECT DISTINCT user_key FROM decisions WHERE user_key > ? ORDER BY user_key LIMIT 500"
                keys = [bytes(row[0]) for row in run.execute(self._sql(statement), (last,)).fetchall()]
                if not keys:
                    return
                of_users = f"SELECT {tables.DECISION_COLUMNS} FROM decisions WHERE user_key"
                decisions = [_decision(row) for row in self._any_of(run, of_users, keys)]
                of_users = f"SELECT {tables.OUTCOME_COLUMNS} FROM outcomes WHERE user_key"
                found = [_outcome(row) for row in self._any_of(run, of_users, keys)]
            found.sort(key=lambda row: (row.decision_id, row.at_ms))
            outcomes = {key: list(rows) for key, rows in groupby(found, lambda row: row.decision_id)}
            decisions.sort(key=lambda row: (row.user_key, row.at_ms, row.decision_id))
            for decision in decisions:
                yield decision, outcomes.get(decision.decision_id, [])
            last = keys[-1]

    def ping(self) -> None:
        """Do as `Store.ping`."""
        with self._transaction(writes=False) as run:
            run.execute("SELECT name FROM notes LIMIT 1").fetchall()

    # ------------------------------------------------------------------------------------------------- versions

    def _migrate(self, run: Cursor, words: Mapping[str, str]) -> None:
        """Bring the tables up to date.

        Raises:
            StateMismatchError: the state was written by a newer service.
        """
        versions = "CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, at_ms {whole})"
        run.execute(versions.format(**words))
        there = run.execute("SELECT MAX(version) FROM versions").fetchone()[0] or 0
        if there > len(tables.MIGRATIONS):
            raise StateMismatchError(
                f"{self.name}: the state has version {there}, and this service knows versions up to "
                f"{len(tables.MIGRATIONS)}: run the service that wrote it, or a newer one"
            )
        for version in range(there, len(tables.MIGRATIONS)):
            for statement in tables.MIGRATIONS[version].format(**words).split(";"):
                if statement.strip():
                    run.execute(statement)
            run.execute(
                self._sql("INSERT INTO versions (version, at_ms) VALUES (?, ?)"),
                (version + 1, time.time_ns() // 1_000_000),
            )


def _decision(row: Sequence[Any]) -> DecisionRow:
    return DecisionRow._make((row[0], bytes(row[1]), *row[2:11], bytes(row[11])))


def _outcome(row: Sequence[Any]) -> OutcomeRow:
    return OutcomeRow._make((row[0], bytes(row[1]), *row[2:]))
