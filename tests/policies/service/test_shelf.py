"""Policies come, go, and are refused, while requests go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from policies.codec import write
from policies.service.deciding.shelf import Shelf, ShelfError
from policies.service.state.store import Store
from tests.policies.service.process import running
from tests.policies.service.serving import hash_of, sender, served, silent


def test_a_changed_file_decides_and_a_corrupt_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(write(sender()), encoding="utf-8")
    with served(files=(path,)) as it:
        assert it.decide("ann")["policy_hash"] == hash_of(sender())
        path.write_text(write(silent()), encoding="utf-8")
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(silent())

        path.write_text(write(sender("half"))[:100], encoding="utf-8")
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(silent()), "the old one stays"
        ready = it.ask("GET", "/readyz")
        assert ready.status_code == 200
        [fault] = ready.json()["faults"]
        assert fault.startswith("refused, the old one stays: ")
        assert "policy.json" in fault
        assert "kairos_refused_documents 1" in it.ask("GET", "/metrics").text

        path.write_text(write(sender("mended")), encoding="utf-8")
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(sender("mended"))
        assert it.ask("GET", "/readyz").json() == {"is_ready": True, "faults": []}
        path.unlink()
        it.caretaker.look()
        assert it.decide("ann")["policy_hash"] == hash_of(sender("mended"))
        assert "cannot be read" in it.ask("GET", "/readyz").json()["faults"][0]


def test_what_was_activated_by_hand_stays_until_the_file_changes(
    tmp_path: Path, open_again: Callable[[], Store]
) -> None:
    path, other = tmp_path / "first.json", tmp_path / "other.json"
    path.write_text(write(sender()), encoding="utf-8")
    other.write_text(write(silent()), encoding="utf-8")
    with served(files=(path, other), store=open_again()) as it:
        answer = it.ask("POST", f"/v1/policies/{hash_of(silent())}/activate", {})
        assert answer.status_code == 200
        assert it.shelf.serving.control.previous == hash_of(sender())
    with served(files=(path, other), store=open_again()) as again:
        assert again.decide("ann")["policy_hash"] == hash_of(silent())
        path.write_text(write(sender("new")), encoding="utf-8")
        again.caretaker.look()
        assert again.decide("ann")["policy_hash"] == hash_of(sender("new"))
        words = again.ask("GET", "/v1/policies").json()["history"]
        assert [line[17:].split(":")[0] for line in words] == ["file", "nobody", "file"]


def test_replicas_follow_one_another(open_again: Callable[[], Store]) -> None:
    with served(store=open_again()) as one, served(store=open_again()) as other:
        changed = one.add(silent(), "active")
        # A transaction reads what is active, but cannot read a document that this process has not seen.
        other.caretaker.look()
        assert other.decide("ann")["policy_hash"] == changed
        one.ask("POST", "/v1/kill")
        found = other.decide("ann")  # at once, without anybody looking
        assert (found["role"], found["send"]) == ("fallback", None)
        one.ask("POST", "/v1/unkill")
        assert other.decide("ann")["role"] == "active"


def test_the_kill_switch_turns_to_the_fallback_and_back() -> None:
    with served() as it:
        assert it.decide("ann")["send"] == "sale"
        assert it.ask("POST", "/v1/kill").json() == {"done": True}
        found = it.decide("bob")
        assert (found["send"], found["role"]) == (None, "fallback")
        stateless = {"features": [0.0] * 13 + [1.0] + [0.0] * 43, "eligible": [True] * 9}
        assert it.ask("POST", "/v1/decide", stateless).json()["role"] == "fallback"
        assert it.ask("GET", "/readyz").json()["faults"] == ["killed: the fallback decides"]
        assert "kairos_killed 1" in it.ask("GET", "/metrics").text
        it.ask("POST", "/v1/unkill")
        assert it.decide("bob")["send"] == "sale"


def test_a_policy_with_other_slots_is_refused(store: Store) -> None:
    shelf = Shelf(store, 4)
    with pytest.raises(
        ShelfError, match=r"wide\.json: n_slots: expected 4, as the service's other policies have, got 7"
    ):
        shelf.add(write(sender("wide", 7)), "wide.json")
    assert list(shelf.refused) == ["wide.json"]


def test_a_kept_policy_that_cannot_serve_is_noted_and_the_rest_serves(open_again: Callable[[], Store]) -> None:
    """A state in which an earlier service, with policies of other slots, left a canary and a damaged document."""
    with served(sender(n_slots=2), store=open_again()) as before:
        before.add(silent(n_slots=2), "canary", 1.0)
        before.store.put_document("sha256:0123456789", "{")
    with served(sender(n_slots=4), store=open_again()) as it:
        assert it.decide("ann")["policy_hash"] == hash_of(sender(n_slots=4))
        faults = it.ask("GET", "/readyz").json()["faults"]
        assert any("n_slots: expected 4, as the service's other policies have, got 2" in fault for fault in faults)
        assert any("kept policy 01234567" in fault for fault in faults)
        it.ask("POST", "/v1/policies/none/activate", {"role": "canary"})


def test_an_unknown_hash_is_told_with_the_nearest() -> None:
    with served() as it:
        known = hash_of(sender())
        forgotten = it.ask("POST", f"/v1/policies/{known}/activate")
        assert forgotten.status_code == 400, "a body that got lost must not activate what was to be a canary"
        answer = it.ask("POST", f"/v1/policies/{known[:-1]}/activate", {})
        assert (answer.status_code, answer.json()["problem"]) == (404, "unknown-policy")
        assert f"Did you mean '{known}'?" in answer.json()["message"]


def test_canary_and_shadow_are_ended_by_name() -> None:
    with served() as it:
        it.add(silent(), "canary", 0.5)
        it.add(silent(), "shadow")
        for role in ("canary", "shadow"):
            assert it.ask("POST", "/v1/policies/none/activate", {"role": role}).status_code == 200
        assert (it.shelf.serving.canary, it.shelf.serving.shadow) == (None, None)
        assert it.ask("POST", "/v1/policies/none/activate", {}).status_code == 404


def test_no_request_is_dropped_while_policies_change(tmp_path: Path) -> None:
    """A real server; the file is replaced again and again while it is asked without a pause."""
    with running(tmp_path, "memory") as [server]:

        async def ask() -> set[str]:
            hashes = set()
            stop = time.monotonic() + 1.5
            async with httpx.AsyncClient(timeout=10.0) as client:

                async def one(k: int) -> None:
                    while time.monotonic() < stop:
                        response = await client.post(f"{server.url}/v1/decide", json={"user_id": f"user {k}"})
                        assert response.status_code == 200, response.text
                        hashes.add(response.json()["policy_hash"])

                async def change() -> None:
                    for k in range(8):
                        await asyncio.sleep(0.15)
                        temporary = tmp_path / "new"
                        temporary.write_text(write(sender(f"version {k}", 1)), encoding="utf-8")
                        temporary.replace(server.policy)

                await asyncio.gather(change(), *(one(k) for k in range(8)))
            return hashes

        assert len(asyncio.run(ask())) >= 3
