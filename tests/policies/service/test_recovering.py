"""Faults of the world around a running service: a clear answer meanwhile, and recovery without anybody's help."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from policies.codec import write
from policies.service import caretaker
from policies.service.state.postgres_store import PostgresStore
from policies.service.state.sqlite_store import SqliteStore
from tests.policies.service.process import Server, running
from tests.policies.service.serving import HOUR_MS, Served, hash_of, sender, served, silent
from tests.policies.service.test_killed import Acknowledged, load, must_be_kept

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def until(what: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


def asked(server: Server, user: str) -> httpx.Response:
    return server.client.post(f"{server.url}/v1/decide", json={"user_id": user})


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux bounds another process's files")
@pytest.mark.parametrize("on_fault", ["refuse", "fallback"])
def test_a_disk_that_takes_nothing_more_is_told_and_got_over(tmp_path: Path, on_fault: str) -> None:
    """A running server's files may suddenly not grow any more, as on a quota or a failing disk."""
    state = tmp_path / "state.db"
    with running(tmp_path, f"sqlite:{state}", more=f'on_fault = "{on_fault}"\ncheck_seconds = 0.05') as [server]:
        acknowledged = Acknowledged()

        def ask(user: str) -> httpx.Response:
            answer = asked(server, user)
            if answer.status_code == 200 and answer.json()["decision_id"]:
                acknowledged.decisions.append((user, answer.json()["decision_id"], bool(answer.json()["send"])))
            return answer

        for k in range(5):
            assert ask(f"user {k}").json()["send"] == "digest"
        journal = state.with_name("state.db-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (journal, resource.RLIM_INFINITY))
        for k in range(3, 8):
            answer = ask(f"user {k}")
            if on_fault == "refuse":
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert answer.json()["problem"] == "store-unavailable"
                assert "the file cannot be read or written (disk I/O error)" in answer.json()["message"]
            else:
                assert (answer.status_code, answer.json()["send"], answer.json()["role"]) == (200, None, "fallback")
                assert answer.json()["reasons"][0].startswith("store-unavailable: ")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert 'kairos_store_faults_total{reason="unavailable"} 5' in httpx.get(f"{server.url}/metrics").text
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        for k in range(8):
            assert ask(f"user {k}").json()["send"] == "digest", "what was refused was not counted"
        must_be_kept(acknowledged, server, 2)


def test_a_database_that_crashes_under_load_comes_back_and_has_lost_nothing(tmp_path: Path, postgres_url: str) -> None:
    """A killed backend makes PostgreSQL throw out everybody and recover from its log."""
    import psycopg

    with running(tmp_path, postgres_url, more="check_seconds = 0.05") as [server]:
        acknowledged, stop = Acknowledged(), threading.Event()
        threads = [threading.Thread(target=load, args=(server.url, k, acknowledged, stop)) for k in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(acknowledged.decisions) >= 60)
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                os.kill(admin.info.backend_pid, signal.SIGKILL)
            n = len(acknowledged.decisions)
            until(lambda: len(acknowledged.decisions) >= n + 60)  # load goes on after every 503
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        faults = httpx.get(f"{server.url}/metrics").text
        assert 'kairos_store_faults_total{reason="unavailable"}' in faults, "it was met, and got over"
        until(lambda: httpx.get(f"{server.url}/readyz").json() == {"is_ready": True, "faults": []})
        must_be_kept(acknowledged, server, 2)


def test_who_got_no_answer_in_time_asks_again_and_is_decided_for_once(postgres_url: str) -> None:
    """A slow database: the decision is made after its 503, and the same key gets it."""
    import psycopg

    settings = {"limits": {"answer_within_ms": 150, "lock_wait_ms": 10_000}}
    key = {"Idempotency-Key": "the first"}
    with served(store=PostgresStore(postgres_url, wait_ms=10_000), settings=settings) as it:

        def ask() -> httpx.Response:
            return it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=key)

        it.ask("POST", "/v1/events", {"events": [{"user_id": "ann", "kind": "session"}]})
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT 1 FROM users FOR UPDATE")
            slow = ask()
            assert (slow.status_code, slow.json()["problem"]) == (503, "store-slow")
            assert "the postgresql store did not answer within 150 ms" in slow.json()["message"]
        until(lambda: ask().status_code == 200)
        found = ask().json()
        assert found["send"] == "sale"
        known = it.ask("GET", "/v1/users/ann/export").json()
        assert [row["decision_id"] for row in known["decisions"]] == [found["decision_id"]]


@pytest.mark.parametrize("ahead_hours", [2, 30, 24 * 400])
def test_a_clock_that_leaps_ahead_and_back_breaks_no_cap_and_loses_nothing(ahead_hours: int) -> None:
    with served() as it:
        before = [it.decide("ann")["send"] for _ in range(3)]
        assert before == ["sale", "sale", None], "two a day"
        it.clock.now_ms += ahead_hours * HOUR_MS
        it.caretaker.look()
        ahead = [it.decide("bob")["send"] for _ in range(3)]
        assert ahead == ["sale", "sale", None]
        it.clock.now_ms -= ahead_hours * HOUR_MS
        assert it.decide("ann")["send"] is None, "the day is the same, and full"
        assert it.ask("POST", "/v1/decide", {"user_id": "bob"}).json()["problem"] == "clock-went-back"
        it.clock.now_ms += ahead_hours * HOUR_MS
        assert it.decide("bob")["send"] is None, "his day is full, whichever way it was reached"
        assert len(list(it.store.rows())) == 8, "nothing was too old by a clock that was wrong"


def test_retention_waits_until_the_clock_has_run_evenly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(caretaker, "SWEEP_SECONDS", 0.2)
    with served() as it:
        it.decide("ann")
        time.sleep(0.2)
        it.caretaker.look()
        assert len(list(it.store.rows())) == 1, "not old yet"
        it.clock.now_ms += 400 * 24 * HOUR_MS
        it.caretaker.look()
        assert len(list(it.store.rows())) == 1
        [words] = [record.getMessage() for record in caplog.records if "leapt" in record.getMessage()]
        assert words == "the clock leapt by +34560000 s: nothing is removed for 0 s"
        time.sleep(0.2)
        it.caretaker.look()
        assert not list(it.store.rows()), "so it was right"


# ------------------------------------------------------------------------------------------------- changed policies

GOOD = write(sender("good"))
CORRUPT: dict[str, bytes] = {
    "nothing": b"",
    "half": GOOD.encode()[: len(GOOD) // 2],
    "not UTF-8": GOOD.encode().replace(b"good", b"go\xffd"),
    "another hash": GOOD.replace("good", "goad").encode(),
    "other slots": write(sender("wide", 7)).encode(),
    "zeros": b"\0" * 4096,
    "deep": b"[" * 100_000,
}
WORDS = {
    "nothing": "expected JSON",
    "half": "expected JSON",
    "not UTF-8": "expected UTF-8, got byte 0xff",
    "another hash": "policy_hash: expected the hash of what the document says",
    "other slots": "n_slots: expected 4, as the service's other policies have, got 7",
    "zeros": "expected JSON",
    "deep": "expected a few levels of nesting",
}


@pytest.mark.parametrize("what", list(CORRUPT))
def test_a_corrupt_policy_is_refused_with_its_fault_until_it_is_mended(what: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(write(silent()), encoding="utf-8")
    with served(files=(path,)) as it:
        path.write_bytes(CORRUPT[what])
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(silent()), "the old one stays"
        [fault] = it.ask("GET", "/readyz").json()["faults"]
        assert fault.startswith(f"refused, the old one stays: {path}: ")
        assert WORDS[what] in fault
        path.write_text(GOOD, encoding="utf-8")
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(sender("good"))
        assert it.ask("GET", "/readyz").json()["faults"] == []


def test_a_record_that_was_damaged_is_one_users_fault_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    with served(store=store) as it:
        damaged = it.service.identity.user_key("ann")
        for user in ("ann", "bob"):
            it.decide(user)
        change_record(it, damaged, b"\x01half a record")
        answer = it.ask("POST", "/v1/decide", {"user_id": "ann"})
        assert (answer.status_code, answer.json()["problem"]) == (503, "damaged-record")
        assert "user's record: expected version 1, at least" in answer.json()["message"]
        requests = [{"user_id": "ann"}, {"user_id": "bob"}]
        both = it.ask("POST", "/v1/decide/batch", {"requests": requests}).json()["answers"]
        assert both[0]["problem"]["problem"] == "damaged-record"
        assert both[1]["answer"]["send"] == "sale"
        assert it.ask("DELETE", "/v1/users/ann").status_code == 200
        assert it.decide("ann")["send"] == "sale", "erased, and known anew"


def change_record(it: Served, key: bytes, record: bytes) -> None:
    store: Any = it.store
    with store._transaction() as run:
        run.execute("UPDATE users SET record = ? WHERE user_key = ?", (record, key))
