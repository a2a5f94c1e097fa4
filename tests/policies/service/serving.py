"""A service to ask in a test: a policy that always sends, one limit, and a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from policies.codec import write
from policies.decide import Policy
from policies.document import NO_SEND, Document, Epsilon, Exploration, Greedy, Rules, Send
from policies.service.caretaker import Caretaker
from policies.service.core import Service
from policies.service.deciding.shelf import Shelf
from policies.service.http.app import App
from policies.service.identity import Identity
from policies.service.settings import settings_of
from policies.service.state.memory_store import MemoryStore
from policies.service.state.store import Store

NOON_MS = 1_772_452_800_000  # 2026-03-02, 12:00 UTC, a Monday
HOUR_MS = 3_600_000
SECRET = b"a key for tests, 32 bytes long.."
CAP = {"name": "push-a-day", "limit": 2, "window": "day", "channels": ["push"]}
TWO_A_DAY: dict[str, Any] = {
    # Without a gap: a send is written down under the next whole hour, until which a gap of 0 hours would last.
    "constraints": {"caps": [CAP], "passes_gap": ["scheduled", "triggered", "transactional"]},
    "limits": {"answer_within_ms": 20_000},  # a busy machine is no fault
    "users": {"permitted_by_default": ["push", "email"], "segments": ["new", "old"], "tiers": ["a", "b", "c"]},
    "campaigns": [{"name": "digest"}, {"name": "sale", "category": 2, "channels": ["push", "email"], "urgency": 0.5}],
}


def sender(name: str = "always", n_slots: int = 4, exploration: Exploration | None = None) -> Document:
    """A policy that sends whatever may be sent by push."""
    return Document(name, n_slots, Rules((), Send(("push",), "first")), exploration or Greedy())


def silent(name: str = "never", n_slots: int = 4) -> Document:
    return Document(name, n_slots, Rules((), NO_SEND))


def coin(name: str = "coin", epsilon: float = 0.5) -> Document:
    return sender(name, exploration=Epsilon(epsilon))


def hash_of(document: Document) -> str:
    return Policy(document).policy_hash


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Served:
    """A service, its application and its clock."""

    def __init__(
        self,
        document: Document | None = None,
        settings: Mapping[str, Any] | None = None,
        store: Store | None = None,
        files: tuple[Path, ...] = (),
    ) -> None:
        document = document or sender()
        self.clock = Clock()
        self.store = store or MemoryStore()
        self.settings = settings_of({**TWO_A_DAY, **(settings or {})})
        self.shelf = Shelf(self.store, document.n_slots)
        self.service = Service(self.settings, self.store, self.shelf, Identity(SECRET), now_ms=self.clock)
        self.caretaker = Caretaker(self.service, files)
        if files:
            self.caretaker.read_files()
        else:
            self.shelf.activate(self.shelf.add(write(document), "test").policy_hash, "active", 0.0, "test")
        self.app = App(self.service)

    def add(self, document: Document, role: str, share: float = 0.0) -> str:
        """Put a document on the shelf and let it decide in a role; return its hash."""
        policy_hash = self.shelf.add(write(document), document.name).policy_hash
        self.shelf.activate(policy_hash, role, share, "test")
        return policy_hash

    async def together(self, requests: list[tuple[str, str, Any]], **options: Any) -> list[httpx.Response]:
        """Ask several things at once."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test") as client:
            asked = [client.request(method, path, json=body, **options) for method, path, body in requests]
            return list(await asyncio.gather(*asked))

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Ask one thing."""
        return asyncio.run(self.together([(method, path, body)], **options))[0]

    def decide(self, user_id: str, **question: Any) -> dict[str, Any]:
        """Ask for a decision that must be answered."""
        response = self.ask("POST", "/v1/decide", {"user_id": user_id, **question})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def tell(self, decision_id: str, kind: str, **outcome: Any) -> dict[str, Any]:
        """Tell an outcome that must be taken."""
        told = {"outcomes": [{"decision_id": decision_id, "kind": kind, **outcome}]}
        response = self.ask("POST", "/v1/outcomes", told)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


@contextmanager
def served(
    document: Document | None = None,
    settings: Mapping[str, Any] | None = None,
    store: Store | None = None,
    files: tuple[Path, ...] = (),
) -> Iterator[Served]:
    """A service that is closed in the end."""
    found = Served(document, settings, store, files)
    try:
        yield found
    finally:
        found.service.close()
