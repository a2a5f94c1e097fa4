"""Every store keeps the same promises."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from policies.service.state.sqlite_store import SqliteStore
from policies.service.state.store import Ages, Store, StoreError
from policies.service.state.unit import Answered, DecisionRow, OutcomeRow, Tally, Unit, Wanted

ANN, BOB = b"a" * 16, b"b" * 16


def decision(number: int, user: bytes = ANN, at_ms: int = 1000) -> DecisionRow:
    return DecisionRow(number, user, at_ms, "sha256:x", "active", 1, "digest", 0, 0.25, "", -1, b"\x00details")


def put(unit: Unit, *rows: DecisionRow) -> None:
    for row in rows:
        unit.put_user(row.user_key, b"record of " + row.user_key, row.at_ms)
        unit.put_decision(row)
        unit.put_outcome(OutcomeRow(row.decision_id, row.user_key, "opened", row.at_ms + 1, 5))
        unit.tallies[Tally(row.at_ms // 60_000, "sha256:x", "digest", "send")] += 1


def test_what_was_written_is_read_by_the_next(open_again: Callable[[], Store]) -> None:
    open_again().transact([Wanted(ANN)], lambda unit: put(unit, decision(1)), 7)

    def look(unit: Unit) -> tuple[object, ...]:
        return unit.users, unit.decisions, unit.outcomes

    users, decisions, outcomes = open_again().transact([Wanted(ANN, None, (1, 99))], look, 8)
    assert users == {ANN: b"record of " + ANN}
    assert decisions == {1: decision(1)}
    assert outcomes == {(1, "opened", 1001)}


def test_the_user_of_a_wanted_decision_is_read_too(store: Store) -> None:
    store.transact([Wanted(ANN)], lambda unit: put(unit, decision(1)), 7)
    assert store.transact([Wanted(None, None, (1,))], lambda unit: dict(unit.users), 8) == {ANN: b"record of " + ANN}


def test_nothing_is_left_of_work_that_failed(store: Store) -> None:
    def work(unit: Unit) -> None:
        put(unit, decision(1))
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        store.transact([Wanted(ANN)], work, 7)
    assert store.known_of(ANN) is None
    assert store.totals() == {}


def test_an_id_that_is_taken_is_a_clash_and_writes_nothing(store: Store) -> None:
    store.transact([Wanted(ANN)], lambda unit: put(unit, decision(1)), 7)
    with pytest.raises(StoreError) as caught:
        store.transact([Wanted(BOB)], lambda unit: put(unit, decision(1, BOB)), 8)
    assert caught.value.reason == "clash"
    assert store.known_of(BOB) is None


def test_erasure_leaves_nothing_of_one_and_all_of_the_other(store: Store) -> None:
    store.transact([Wanted(ANN), Wanted(BOB)], lambda unit: put(unit, decision(1), decision(2, BOB)), 7)
    answered = Answered(ANN, b"h" * 16, b"answer")
    store.transact([Wanted(ANN, b"k" * 16)], lambda unit: unit.put_answer(b"k" * 16, answered), 7)
    assert store.erase(ANN) == (True, 1, 1)
    assert store.known_of(ANN) is None
    assert store.transact([Wanted(None, b"k" * 16)], lambda unit: dict(unit.answers), 8) == {}
    bob = store.known_of(BOB)
    assert bob is not None
    assert (len(bob.decisions), len(bob.outcomes)) == (1, 1)
    assert store.erase(ANN) == (False, 0, 0)


def test_rows_come_by_user_and_time_with_their_outcomes(store: Store) -> None:
    rows = [decision(3, BOB, 5), decision(1, ANN, 9), decision(2, ANN, 4)]
    store.transact([Wanted(ANN), Wanted(BOB)], lambda unit: put(unit, *rows), 7)
    found = list(store.rows())
    assert [row.decision_id for row, _ in found] == [2, 1, 3]
    assert all([outcome.decision_id for outcome in outcomes] == [row.decision_id] for row, outcomes in found)


def test_counts_add_up_over_stores(open_again: Callable[[], Store]) -> None:
    def count(unit: Unit) -> None:
        unit.tallies[Tally(5, "h", "digest", "send")] += 3
        unit.tallies[Tally(6, "h", "", "no_send")] += 1

    open_again().transact([], count, 7)
    store = open_again()
    store.transact([], count, 7)
    assert store.tallied(5) == [(5, "h", "digest", "send", 6), (6, "h", "", "no_send", 2)]
    assert store.tallied(6) == [(6, "h", "", "no_send", 2)]
    assert store.totals() == {("h", "send"): 6, ("h", "no_send"): 2}


def test_retention_removes_what_is_older_and_keeps_records(store: Store) -> None:
    store.transact([Wanted(ANN)], lambda unit: put(unit, decision(1, ANN, 60_000), decision(2, ANN, 120_000)), 7)
    store.transact([], lambda unit: unit.put_answer(b"k" * 16, Answered(b"", b"h" * 16, b"a")), 50)
    assert store.sweep(Ages(120_000, 50, 2)) == (1, 0, 1)
    assert store.sweep(Ages(120_000, 51, 2)) == (0, 1, 0)
    known = store.known_of(ANN)
    assert known is not None
    assert known.record == b"record of " + ANN
    assert [row.decision_id for row in known.decisions] == [2]
    assert [row.decision_id for row in known.outcomes] == [2]
    assert store.totals() == {("sha256:x", "send"): 2}


def test_a_note_is_changed_by_one_at_a_time(open_again: Callable[[], Store]) -> None:
    open_again()
    n_threads, n_times = 4, 10
    store = open_again()

    def count() -> None:
        for _ in range(n_times):
            store.change_note("n", lambda there: str(int(there or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.notes() == {"n": str(n_threads * n_times)}


def test_documents_come_in_the_order_in_which_they_were_added(store: Store) -> None:
    for name in ("z", "a", "m"):
        store.put_document(name, f"text of {name}")
    store.put_document("z", "another text")
    assert list(store.documents().items()) == [("z", "text of z"), ("a", "text of a"), ("m", "text of m")]
    store.ping()


def test_users_of_two_transactions_at_once_are_changed_one_after_another(store: Store) -> None:
    """Each of many threads adds one to the same two users, named in different orders: none is lost, none waits."""
    n_threads, n_times = 4, 8

    def add(unit: Unit) -> None:
        for key in (ANN, BOB):
            n = int(unit.users.get(key, b"0")) + 1
            unit.put_user(key, str(n).encode(), n)

    def run(k: int) -> None:
        wanted = [Wanted(ANN), Wanted(BOB)]
        for _ in range(n_times):
            store.transact(wanted if k % 2 else wanted[::-1], add, 7)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.transact([Wanted(ANN), Wanted(BOB)], lambda unit: dict(unit.users), 8)
    assert found == {ANN: str(n_threads * n_times).encode(), BOB: str(n_threads * n_times).encode()}


def test_a_user_is_looked_at_by_one_transaction_at_a_time(open_again: Callable[[], Store]) -> None:
    """The second begins while the first is in the middle of its work, and reads what the first wrote."""
    first, second = open_again(), open_again()
    first.transact([Wanted(ANN)], lambda unit: unit.put_user(ANN, b"before", 1), 7)
    is_inside, may_end, found = threading.Event(), threading.Event(), []

    def slow(unit: Unit) -> None:
        is_inside.set()
        may_end.wait(5)
        unit.put_user(ANN, b"after", 2)

    def look() -> None:
        second.transact([Wanted(ANN)], lambda unit: found.append(unit.users[ANN]), 7)

    one = threading.Thread(target=first.transact, args=([Wanted(ANN)], slow, 7))
    one.start()
    assert is_inside.wait(5)
    other = threading.Thread(target=look)
    other.start()
    other.join(0.2)
    early = list(found)
    may_end.set()
    one.join()
    other.join()
    assert early == [], "it waits"
    assert found == [b"after"]


def test_a_service_waits_for_another_that_is_opening_the_same_file(tmp_path: Path) -> None:
    """Turning a new file to a write-ahead log needs all of it, and SQLite's own wait does not cover that."""
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    done = threading.Timer(0.4, lambda: other.execute("ROLLBACK"))
    done.start()
    SqliteStore(tmp_path / "state.db", wait_ms=1).close()
    done.join()
    other.close()
