"""A cap is checked and the send written down in one transaction: no two requests at a cap both pass."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from policies.service.state.store import Store
from tests.policies.service.process import running
from tests.policies.service.serving import served


def test_many_questions_at_once_send_as_many_as_the_cap_allows(store: Store) -> None:
    with served(store=store) as it:
        asked = [("POST", "/v1/decide", {"user_id": f"user {k % 5}"}) for k in range(60)]
        answers = [response.json() for response in asyncio.run(it.together(asked))]
        sent = Counter(asked[k][2]["user_id"] for k, found in enumerate(answers) if found["send"])
        assert sent == Counter({f"user {k}": 2 for k in range(5)})


def test_two_services_on_one_state_share_the_cap(open_again: Callable[[], Store]) -> None:
    """Each service has threads, connections and an event loop of its own, as two processes have."""
    first, second = open_again(), open_again()
    with served(store=first) as one, served(store=second) as other:
        found: list[list[httpx.Response]] = []

        def ask(which: object) -> None:
            asked = [("POST", "/v1/decide", {"user_id": "ann"}) for _ in range(12)]
            found.append(asyncio.run(which.together(asked)))  # type: ignore[attr-defined]

        threads = [threading.Thread(target=ask, args=(which,)) for which in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers = [response for responses in found for response in responses]
        assert {response.status_code for response in answers} == {200}
        assert sum(response.json()["send"] is not None for response in answers) == 2


def storm(urls: list[str], users: list[str], n_rounds: int) -> Counter[str]:
    """Ask for the same users at several servers at once; return the sends by user."""

    async def ask() -> Counter[str]:
        sent: Counter[str] = Counter()
        async with httpx.AsyncClient(timeout=20.0) as client:
            for _ in range(n_rounds):
                pairs = [(url, user) for user in users for url in urls]
                posts = [client.post(f"{url}/v1/decide", json={"user_id": user}) for url, user in pairs]
                for (_, user), response in zip(pairs, await asyncio.gather(*posts), strict=True):
                    assert response.status_code == 200, response.text
                    sent[user] += response.json()["send"] is not None
        return sent

    return asyncio.run(ask())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_on_one_state_never_pass_a_cap_together(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    state = f"sqlite:{tmp_path / 'state.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    users = [f"user {k}" for k in range(6)]
    with running(tmp_path, state, limit=3, n=2) as servers:
        sent = storm([server.url for server in servers], users, 4)
        assert sent == Counter(dict.fromkeys(users, 3))
        for user in users:
            logged = [row for row in servers[0].export(user)["decisions"] if row["campaign"]]
            assert len(logged) == 3
