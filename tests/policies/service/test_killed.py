"""`kill -9` under load: no acknowledged decision is lost, and no cap is broken after the restart."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.policies.service.process import Server, running


@dataclass
class Acknowledged:
    """What a service has said is done.

    Attributes:
        decisions: (user, decision's id, whether it was a send).
        withdrawn: users whose opt-out was taken.
    """

    decisions: list[tuple[str, str, bool]] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)


def load(url: str, k: int, acknowledged: Acknowledged, stop: threading.Event) -> None:
    """Ask until the server is gone; note what was answered. The last user of seven opts out of the first message."""
    with httpx.Client(timeout=5.0) as client:
        n = 0
        while not stop.is_set():
            user = f"user {k} {n % 7}"
            n += 1
            try:
                response = client.post(f"{url}/v1/decide", json={"user_id": user, "explain": False})
                if response.status_code != 200:
                    continue
                found = response.json()
                acknowledged.decisions.append((user, found["decision_id"], found["send"] is not None))
                if user.endswith("6") and found["send"]:
                    outcome = {"decision_id": found["decision_id"], "kind": "opt_out"}
                    if client.post(f"{url}/v1/outcomes", json={"outcomes": [outcome]}).status_code == 200:
                        acknowledged.withdrawn.add(user)
            except httpx.HTTPError:
                return


def must_be_kept(acknowledged: Acknowledged, again: Server, limit: int) -> None:
    """Everything that was acknowledged is there, and what was sent before still counts."""
    users = sorted({user for user, _, _ in acknowledged.decisions})
    kept = {user: again.export(user)["decisions"] for user in users}
    for user, number, was_sent in acknowledged.decisions:
        [row] = [row for row in kept[user] if row["decision_id"] == number]
        assert bool(row["campaign"]) == was_sent
    for user in users * (limit + 1):
        again.client.post(f"{again.url}/v1/decide", json={"user_id": user})
    sends = Counter({user: sum(bool(row["campaign"]) for row in again.export(user)["decisions"]) for user in users})
    assert {sends[user] for user in users if not user.endswith("6")} == {limit}
    for user in acknowledged.withdrawn:
        known = again.client.get(f"{again.url}/v1/users/{user}/export").json()
        assert known["user"]["permitted"] == [], "a withdrawal that was taken holds"
        assert sends[user] < limit, user
    assert max(sends.values()) == limit


@pytest.mark.parametrize("kind", ["FULL", "NORMAL", "postgresql"])
def test_a_killed_service_has_kept_what_it_answered(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "postgresql":
        state, more = request.getfixturevalue("postgres_url"), ""
    else:
        state, more = f"sqlite:{tmp_path / 'state.db'}", f'synchronous = "{kind}"'
    server = Server(tmp_path, state, limit=2, more=more)
    acknowledged = Acknowledged()
    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(server.url, k, acknowledged, stop)) for k in range(6)]
    try:
        server.wait()
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10.0
        while len(acknowledged.decisions) < 150 and time.monotonic() < end:
            time.sleep(0.01)
        server.kill()  # in the middle of whatever it does
    finally:
        stop.set()
        server.stop()
        for thread in threads:
            thread.join()
    assert len(acknowledged.decisions) >= 150
    assert acknowledged.withdrawn
    with running(tmp_path, state, limit=2, more=more) as [again]:
        must_be_kept(acknowledged, again, 2)


def test_a_service_that_is_asked_to_stop_answers_what_it_has_begun(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:{tmp_path / 'state.db'}")
    try:
        server.wait()
        acknowledged = Acknowledged()
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
    assert acknowledged.decisions
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert "user 0" not in log, "ids of users are never logged"
