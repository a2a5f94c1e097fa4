"""`kill -9` under load: no acknowledged decision is lost, and no cap is broken after the restart."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.policies.service.process import Server, running


def load(url: str, k: int, acknowledged: list[tuple[str, str, bool]], stop: threading.Event) -> None:
    """Ask until the server is gone; note what was answered."""
    with httpx.Client(timeout=5.0) as client:
        n = 0
        while not stop.is_set():
            user = f"user {k} {n % 7}"
            n += 1
            try:
                response = client.post(f"{url}/v1/decide", json={"user_id": user, "explain": False})
            except httpx.HTTPError:
                return
            if response.status_code == 200:
                found = response.json()
                acknowledged.append((user, found["decision_id"], found["send"] is not None))


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_a_killed_service_has_kept_what_it_answered(tmp_path: Path, synchronous: str) -> None:
    state, more = f"sqlite:{tmp_path / 'state.db'}", f'synchronous = "{synchronous}"'
    server = Server(tmp_path, state, limit=2, more=more)
    acknowledged: list[tuple[str, str, bool]] = []
    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(server.url, k, acknowledged, stop)) for k in range(6)]
    try:
        server.wait()
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10.0
        while len(acknowledged) < 150 and time.monotonic() < end:
            time.sleep(0.01)
        server.kill()  # in the middle of whatever it does
    finally:
        stop.set()
        server.stop()
        for thread in threads:
            thread.join()
    assert len(acknowledged) >= 150

    with running(tmp_path, state, limit=2, more=more) as [again]:
        users = sorted({user for user, _, _ in acknowledged})
        kept = {user: again.export(user)["decisions"] for user in users}
        for user, number, was_sent in acknowledged:
            [row] = [row for row in kept[user] if row["decision_id"] == number]
            assert bool(row["campaign"]) == was_sent
        with httpx.Client() as client:  # and go on: what was sent before the kill still counts
            for user in users * 3:
                client.post(f"{again.url}/v1/decide", json={"user_id": user})
        sends = Counter({user: sum(bool(row["campaign"]) for row in again.export(user)["decisions"]) for user in users})
        assert set(sends.values()) == {2}


def test_a_service_that_is_asked_to_stop_answers_what_it_has_begun(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:{tmp_path / 'state.db'}")
    try:
        server.wait()
        acknowledged: list[tuple[str, str, bool]] = []
        stop = threading.Event()
        threads = [threading.Thread(target=load, args=(server.url, k, acknowledged, stop)) for k in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.stop() == 0
        for thread in threads:
            thread.join()
    finally:
        server.stop()
    assert acknowledged
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert "user 0" not in log, "ids of users are never logged"
