"""What can go wrong with state and clock: a reason or silence, as configured, and recovery without anybody's help."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from policies.service.settings import SettingsError
from policies.service.state.group_commit import GroupCommit, Job, RefusedError
from policies.service.state.memory_store import MemoryStore
from policies.service.state.opening import open_store
from policies.service.state.postgres_store import PostgresStore
from policies.service.state.sqlite_store import SqliteStore
from policies.service.state.store import StateMismatchError, Store, StoreError
from policies.service.state.unit import DecisionRow, Unit, Wanted
from tests.policies.service.serving import HOUR_MS, Served, served

T = TypeVar("T")
SHORT = {"limits": {"answer_within_ms": 1_000, "lock_wait_ms": 50, "waiting": 8}}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that keeps the file's one lock for writing."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def problem_of(it: Served) -> tuple[int, str]:
    answer = it.ask("POST", "/v1/decide", {"user_id": "ann"})
    return answer.status_code, answer.json().get("problem", answer.json().get("send"))


def test_a_locked_file_is_a_503_with_its_reason_until_it_is_free(tmp_path: Path) -> None:
    with served(store=SqliteStore(tmp_path / "state.db", wait_ms=50), settings=SHORT) as it:
        with locked(tmp_path / "state.db"):
            answer = it.ask("POST", "/v1/decide", {"user_id": "ann"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["problem"] == "store-locked"
            assert "another process kept the file locked" in answer.json()["message"]
            assert 'kairos_store_faults_total{reason="locked"} 1' in it.ask("GET", "/metrics").text
        assert problem_of(it) == (200, "sale")


def test_a_full_disk_is_a_503_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", most_pages=60)
    with served(store=store) as it:
        k = 0
        while it.ask("POST", "/v1/decide", {"user_id": f"user {k}"}).status_code == 200:
            k += 1
            assert k < 5_000
        full = it.ask("POST", "/v1/decide", {"user_id": f"user {k}"})
        assert (full.status_code, full.json()["problem"]) == (503, "store-full")
        assert it.ask("GET", "/healthz").status_code == 200
        store._most_pages = 10_000  # somebody made room
        for connection in store._idle:
            connection.execute("PRAGMA max_page_count = 10000")
        assert it.decide(f"user {k}")["send"] == "sale"
        known = store.known_of(it.service.identity.user_key(f"user {k}"))
        assert known is not None
        assert len(known.decisions) == 1, "what was refused left nothing"


class SlowStore(MemoryStore):
    """A store that takes its time."""

    name = "slow"

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def transact(self, wanted: Sequence[Wanted], work: Callable[[Unit], T], now_ms: int) -> T:
        self.gate.wait(10)
        return super().transact(wanted, work, now_ms)


def test_a_slow_store_is_given_up_and_the_queue_is_bounded() -> None:
    store = SlowStore()
    with served(store=store, settings=SHORT) as it:
        store.gate.clear()
        began = time.monotonic()
        asked = [("POST", "/v1/decide", {"user_id": f"user {k}"}) for k in range(30)]
        answers = asyncio.run(it.together(asked))
        assert time.monotonic() - began < 5.0
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["problem"] for answer in answers} == {"store-slow"}
        words = {answer.json()["message"] for answer in answers}
        assert "the slow store did not answer within 1000 ms" in words
        assert "8 requests wait for the slow store already" in words, "refused at once"
        store.gate.set()
        end = time.monotonic() + 5.0
        while it.service.commits.n_waiting and time.monotonic() < end:
            time.sleep(0.01)
        assert problem_of(it) == (200, "sale")


def test_the_fallback_is_silence_where_the_settings_want_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", wait_ms=50)
    with served(store=store, settings={**SHORT, "on_fault": "fallback"}) as it, locked(tmp_path / "state.db"):
        found = it.decide("ann")
        assert (found["send"], found["action_name"], found["role"], found["decision_id"]) == (
            None,
            "no_send",
            "fallback",
            "",
        )
        assert found["reasons"][0].startswith("store-locked: ")
        it.caretaker.look()
        assert it.ask("GET", "/readyz").status_code == 200


def test_a_state_that_cannot_be_reached_is_not_ready_and_becomes_so_again(tmp_path: Path) -> None:
    class Lost(MemoryStore):
        is_lost = False

        def ping(self) -> None:
            if self.is_lost:
                raise StoreError("unavailable", "memory: gone")

    store = Lost()
    with served(store=store, settings={"check_seconds": 0.001}) as it:
        store.is_lost = True
        it.caretaker.look()
        answer = it.ask("GET", "/readyz")
        assert (answer.status_code, answer.json()["faults"]) == (503, ["memory: gone"])
        assert "kairos_ready 0" in it.ask("GET", "/metrics").text
        store.is_lost = False
        time.sleep(0.002)
        it.caretaker.look()
        assert it.ask("GET", "/readyz").status_code == 200


@pytest.mark.parametrize("on_fault", ["refuse", "fallback"])
def test_a_clock_that_goes_back_sends_nothing_until_it_is_right(on_fault: str) -> None:
    with served(settings={"on_fault": on_fault}) as it:
        it.decide("ann")
        it.clock.now_ms -= 60_000  # within what is passed over: decided at the user's last time
        assert it.decide("ann")["role"] == "active"
        it.clock.now_ms -= 10 * HOUR_MS
        answer = it.ask("POST", "/v1/decide", {"user_id": "ann"})
        if on_fault == "refuse":
            assert (answer.status_code, answer.json()["problem"]) == (503, "clock-went-back")
            assert "one 36060 s earlier" in answer.json()["message"]
        else:
            assert (answer.json()["send"], answer.json()["role"]) == (None, "fallback")
        assert it.decide("bob")["send"] == "sale", "for others time has not gone back"
        it.clock.now_ms += 34 * HOUR_MS + 60_000
        assert it.decide("ann")["send"] == "sale"


def test_a_question_of_another_time_is_refused() -> None:
    with served() as it:
        body = {"user_id": "ann", "now": "2026-03-02T13:00:00Z"}
        answer = it.ask("POST", "/v1/decide", body)
        assert (answer.status_code, answer.json()["problem"]) == (422, "clock-skew")
        assert "expected within 300 s of the service's clock" in answer.json()["message"]
        assert it.ask("POST", "/v1/decide", {**body, "now": "2026-03-02T12:04:59Z"}).status_code == 200
        naive = it.ask("POST", "/v1/decide", {**body, "now": "2026-03-02T12:00:00"})
        assert "expected one with a time zone" in naive.json()["message"]


def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("INSERT INTO versions VALUES (99, 0)")
    newer.close()
    with pytest.raises(StateMismatchError, match=r"the state has version 99, and this service knows versions up to 1"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match="the file is no SQLite database"):
        SqliteStore(tmp_path / "state.db")
    with pytest.raises(StoreError, match="there is no folder"):
        SqliteStore(tmp_path / "nowhere" / "state.db")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sqlte:x.db", "got 'sqlte:x.db'. Did you mean 'sqlite'?"),
        ("sqlite:", "expected memory, sqlite:PATH or postgresql://USER@HOST/DATABASE, got 'sqlite:'"),
        ("mysql://x", "got 'mysql://x'"),
    ],
)
def test_an_unknown_state_is_told(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^state: ") as caught:
        open_store(words)
    assert message in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        PostgresStore("postgresql://kairos:secret@127.0.0.1:9/state", wait_ms=100)
    assert caught.value.reason == "unavailable"
    assert "postgresql at 127.0.0.1/state" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_postgres_row_that_another_holds_is_locked_and_recovers(postgres_url: str) -> None:
    import psycopg

    with served(store=PostgresStore(postgres_url, wait_ms=100)) as it:
        it.decide("ann")
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT 1 FROM users FOR UPDATE")
            assert problem_of(it) == (503, "store-locked")
            assert it.decide("bob")["send"] == "sale", "only this user's row is held"
        assert problem_of(it) == (200, "sale")


def test_lost_postgres_connections_are_made_anew(postgres_url: str) -> None:
    import psycopg

    with served(store=PostgresStore(postgres_url)) as it:
        it.decide("ann")
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        time.sleep(0.2)
        codes = [problem_of(it)[0] for _ in range(4)]
        assert codes[-1] == 200
        assert set(codes) <= {200, 503}


def test_an_erasure_is_not_passed_by_decisions_without_a_pause(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", synchronous="NORMAL", wait_ms=1)
    stop = threading.Event()

    def decide_on_and_on() -> None:
        k = 0
        while not stop.is_set():
            k += 1
            row = DecisionRow(k, b"b" * 16, 1, "h", "active", 0, "", -1, 1.0, "", -1, b"")
            store.transact([Wanted(b"b" * 16)], lambda unit, row=row: unit.put_decision(row), 1)  # type: ignore[misc]

    busy = threading.Thread(target=decide_on_and_on)
    busy.start()
    try:
        for _ in range(20):
            assert store.erase(b"a" * 16) == (False, 0, 0)
    finally:
        stop.set()
        busy.join()
        store.close()


# ------------------------------------------------------------------------------------------------- the group commit


def test_a_job_that_fails_costs_the_others_of_its_batch_nothing(store: Store) -> None:
    found: dict[str, Any] = {}
    done = threading.Event()
    gate = threading.Event()

    def settle(results: Sequence[tuple[str, Any]]) -> None:
        found.update(results)
        if len(found) == 5:
            done.set()

    def row(number: int) -> Callable[[Unit], str]:
        def work(unit: Unit) -> str:
            unit.put_decision(DecisionRow(number, b"u" * 16, 1, "h", "active", 0, "", -1, 1.0, "", -1, b""))
            return f"row {number}"

        return work

    def wait(unit: Unit) -> str:
        gate.wait(5)
        return "waited"

    def fail(unit: Unit) -> str:
        row(3)(unit)
        raise ZeroDivisionError("a mistake")

    def refuse(unit: Unit) -> str:
        raise RefusedError(422, "invalid", "no")

    commits = GroupCommit(store, settle)
    soon = time.monotonic() + 30
    jobs = {"first": wait, "one": row(1), "two": row(2), "bad": fail, "declined": refuse}
    for name, work in jobs.items():
        commits.submit(name, Job(Wanted(), work, soon))
    gate.set()
    assert done.wait(10)
    commits.close()
    assert (found["one"], found["two"]) == ("row 1", "row 2")
    assert isinstance(found["bad"], ZeroDivisionError)
    assert isinstance(found["declined"], RefusedError)
    assert sorted(row.decision_id for row, _ in store.rows()) == [1, 2]
    with pytest.raises(StoreError, match="closing"):
        commits.submit("late", Job(Wanted(), wait, soon))


def test_two_jobs_with_one_id_are_both_done_or_named(store: Store) -> None:
    """The second process to give an id is refused by the store; its work is done again, under another id."""
    found: dict[str, Any] = {}
    numbers = iter([5, 5, 6, 7])

    def work(unit: Unit) -> int:
        number = next(numbers)
        unit.put_decision(DecisionRow(number, b"u" * 16, 1, "h", "active", 0, "", -1, 1.0, "", -1, b""))
        return number

    commits = GroupCommit(store, found.update)
    for name in ("one", "two"):
        commits.submit(name, Job(Wanted(), work, time.monotonic() + 30))
        end = time.monotonic() + 5
        while name not in found and time.monotonic() < end:
            time.sleep(0.001)
    commits.close()
    assert found["one"] == 5
    assert found["two"] in (6, 7)


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    found: dict[str, Any] = {}
    commits = GroupCommit(MemoryStore(), found.update)
    commits.submit("late", Job(Wanted(), lambda unit: pytest.fail("begun"), time.monotonic() - 1.0))
    commits.close()
    assert isinstance(found["late"], StoreError)
    assert found["late"].reason == "slow"


def test_settings_that_belong_to_another_state_are_refused(store: Store) -> None:
    tagged = {"constraints": {"caps": [{"name": "t", "limit": 1, "window": "day", "tags": ["a"]}]}}
    with served(store=store, settings=tagged):
        pass
    if store.name != "memory":
        return
    other = {"constraints": {"caps": [{"name": "t", "limit": 1, "window": "day", "tags": ["b"]}]}}
    with pytest.raises(StateMismatchError, match="histories were written with tags a in this order"):
        Served(store=store, settings=other)


def test_a_campaign_keeps_its_number_and_sixteen_are_remembered() -> None:
    store = MemoryStore()

    def capped(names: Sequence[str]) -> dict[str, Any]:
        return {"campaigns": [{"name": name, "per_user_cap": 3} for name in names]}

    with served(store=store, settings=capped(["a", "b"])) as it:
        assert [it.service.answering.catalogue.offers[name].struct.counter for name in "ab"] == [0, 1]
    with served(store=store, settings=capped(["c", "b"])) as it:
        assert [it.service.answering.catalogue.offers[name].struct.counter for name in "cb"] == [2, 1]
    with pytest.raises(SettingsError, match="19 have or had a cap of their own"):
        Served(store=store, settings=capped([f"n{k}" for k in range(16)]))
