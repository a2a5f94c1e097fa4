"""Idempotency keys: the same question again gets the same answer, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.history import conversions_since
from policies.runtime.user import User
from policies.service.state.store import Store
from tests.policies.service.serving import HOUR_MS, NOON_MS, served

KEY = {"Idempotency-Key": "once"}


def test_the_same_key_and_body_get_the_same_answer(store: Store) -> None:
    with served(store=store) as it:
        first = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY)
        it.clock.now_ms += HOUR_MS
        again = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY)
        assert first.json()["send"] == "sale"
        assert again.content == first.content
        known = store.known_of(it.service.identity.user_key("ann"))
        assert known is not None
        assert len(known.decisions) == 1


def test_another_body_under_the_same_key_is_refused() -> None:
    with served() as it:
        it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY)
        other = it.ask("POST", "/v1/decide", {"user_id": "bob"}, headers=KEY)
        assert other.status_code == 409
        assert other.json() == {
            "problem": "idempotency-key-reused",
            "message": "Idempotency-Key: it came with another body before; take a new key",
        }
        batch = it.ask("POST", "/v1/decide/batch", {"requests": [{"user_id": "bob"}]}, headers=KEY)
        assert batch.status_code == 409


def test_a_batch_is_repeated_as_a_whole() -> None:
    with served() as it:
        body = {"requests": [{"user_id": "ann"}, {"user_id": "bob"}, {"user_id": "ann"}]}
        first = it.ask("POST", "/v1/decide/batch", body, headers=KEY)
        assert it.ask("POST", "/v1/decide/batch", body, headers=KEY).content == first.content
        assert it.store.totals()[it.shelf.serving.control.active, "send"] == 3


def test_outcomes_are_repeated_too() -> None:
    with served() as it:
        number = it.decide("ann")["decision_id"]
        body = {"outcomes": [{"decision_id": number, "kind": "payment", "amount_eur": 12.5}]}
        for _ in range(3):
            assert it.ask("POST", "/v1/outcomes", body, headers=KEY).json()["accepted"] == 1
        [decision] = it.ask("GET", "/v1/users/ann/export").json()["decisions"]
        assert decision["outcomes"] == [{"kind": "payment", "at_ms": NOON_MS, "amount_eur": 12.5}]


def test_events_are_taken_once() -> None:
    with served() as it:
        paid = [{"user_id": "ann", "kind": "payment"}, {"user_id": "bob", "kind": "payment"}]
        for _ in range(3):
            assert it.ask("POST", "/v1/events", {"events": paid}, headers=KEY).json() == {"accepted": 2}
        record = it.store.known_of(it.service.identity.user_key("ann"))
        assert record is not None
        history = User.unpacked(record.record).history
        assert conversions_since(history, NOON_MS // HOUR_MS) == 1
        other = it.ask("POST", "/v1/events", {"events": paid[:1]}, headers=KEY)
        assert other.status_code == 409


def test_a_key_is_forgotten_after_its_time_and_with_its_user(open_again: Callable[[], Store]) -> None:
    store = open_again()
    with served(store=store, settings={"retention": {"answers_hours": 2}}) as it:
        first = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY).json()
        it.clock.now_ms += 3 * HOUR_MS
        it.caretaker.sweep()
        second = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY).json()
        assert second["decision_id"] != first["decision_id"]
        it.ask("DELETE", "/v1/users/ann")
        third = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=KEY).json()
        assert third["decision_id"] not in (first["decision_id"], second["decision_id"])


@pytest.mark.parametrize("key", [b"", b"x" * 201, "grüß".encode("latin-1"), b"a\tb"])
def test_a_key_that_is_none_is_refused_and_not_taken_for_no_key(key: bytes) -> None:
    with served() as it:
        answer = it.ask("POST", "/v1/decide", {"user_id": "ann"}, headers=[(b"Idempotency-Key", key)])
        assert answer.status_code == 422
        assert answer.json()["message"] == (
            f"Idempotency-Key: expected 1 to 200 printable ASCII characters, got {len(key)} bytes"
        )
        assert it.ask("GET", "/v1/users/ann/export").status_code == 404, "nothing was decided"


@pytest.mark.parametrize("n", [8])
def test_many_at_once_under_one_key_get_one_answer(store: Store, n: int) -> None:
    import asyncio

    with served(store=store) as it:
        asked = [("POST", "/v1/decide", {"user_id": "ann"})] * n
        answers = asyncio.run(it.together(asked, headers=KEY))
        assert len({answer.content for answer in answers}) == 1
        known = store.known_of(it.service.identity.user_key("ann"))
        assert known is not None
        assert len(known.decisions) == 1
