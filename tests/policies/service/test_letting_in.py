"""Who may ask what, and how much."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

import httpx
import pytest

from policies.service.http import keys as keys_file
from policies.service.http.keys import Keyring
from policies.service.http.routes import ROUTES
from policies.service.server import check_host
from policies.service.settings import ApiKey, Limits, Settings, SettingsError
from tests.policies.service.serving import served


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


KEYS: dict[str, Any] = {
    "keys": [{"name": role, "roles": [role], "sha256": sha(f"secret of {role}")} for role in keys_file.ROLES]
}


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret of {role}"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.role], ids=lambda route: route.path)
def test_each_endpoint_lets_in_its_role_alone(route: Any) -> None:
    path = route.path.replace("{id}", "ann").replace("{hash}", "sha256:none")
    with served(settings=KEYS) as it:
        assert it.ask(route.method, path).status_code == 401
        assert it.ask(route.method, path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert it.ask(route.method, path, headers={"Authorization": "Basic wrong"}).status_code == 401
        for role in keys_file.ROLES:
            status = it.ask(route.method, path, headers=bearer(role)).status_code
            assert (status == 403) == (role != route.role), (role, status)
            assert status != 401


@pytest.mark.parametrize("path", [route.path for route in ROUTES if not route.role])
def test_what_needs_no_key_needs_none(path: str) -> None:
    with served(settings=KEYS) as it:
        assert it.ask("GET", path).status_code == 200


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hmac.compare_digest, on digests of equal length, and no fewer of them when an early one fits."""
    compared: list[tuple[bytes, bytes]] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    named = tuple(ApiKey(name=f"k{k}", roles=("decide",), sha256=sha(f"key {k}")) for k in range(3))
    assert Keyring.__init__.__defaults__ == (hmac.compare_digest,)
    ring = Keyring(named, Limits(), watched)
    for text, name in ((b"Bearer key 0", "k0"), (b"bearer key 2", "k2"), (b"Bearer nothing", None), (b"Bearer ", None)):
        compared.clear()
        found = ring.who(text)
        assert (found.name if found else None) == name
        assert len(compared) == 3
        assert {len(digest) for pair in compared for digest in pair} == {32}


def test_a_key_in_the_environment_is_read_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIROS_TEST_KEY", "secret of admin\n")
    with served(settings={"keys": [{"name": "a", "roles": ["admin"], "env": "KAIROS_TEST_KEY"}]}) as it:
        assert it.ask("GET", "/v1/policies", headers=bearer("admin")).status_code == 200


def test_too_many_requests_are_told_to_wait() -> None:
    with served(settings={**KEYS, "limits": {"requests_per_second": 0.5, "burst": 3}}) as it:
        body = {"user_id": "ann"}
        answers = [it.ask("POST", "/v1/decide", body, headers=bearer("decide")) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) in (2, 3)
        assert it.ask("GET", "/v1/policies", headers=bearer("admin")).status_code == 200, "each key has its own"


def test_bodies_and_batches_are_bounded() -> None:
    with served(settings={"limits": {"body_bytes": 1_000, "batch": 3}}) as it:
        long = it.ask("POST", "/v1/decide", {"user_id": "ann", "candidates": [{"campaign": "x" * 90}] * 20})
        assert (long.status_code, long.json()["problem"]) == (413, "too-large")
        many = it.ask("POST", "/v1/decide/batch", {"requests": [{"user_id": "ann"}] * 4})
        assert many.status_code == 413
        assert many.json()["message"] == "requests: expected at most 3 at once (limits.batch), got 4"

        async def in_pieces() -> httpx.Response:
            async def pieces() -> Any:
                for _ in range(50):
                    yield b" " * 100

            transport = httpx.ASGITransport(it.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post("/v1/decide", content=pieces())

        assert asyncio.run(in_pieces()).status_code == 413, "without a length that says so"


def test_without_keys_only_loopback_is_served() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        check_host(Settings(), host)
    for host in ("0.0.0.0", "10.0.0.7", "kairos.example"):
        with pytest.raises(SettingsError, match="without API keys everybody who reaches"):
            check_host(Settings(), host)
    check_host(Settings(keys=(ApiKey(name="a", roles=("decide",), sha256=sha("a")),)), "0.0.0.0")


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "/v1/decide", 405, "method"),
        ("GET", "/v1/users/ann", 405, "method"),
        ("POST", "/nothing", 404, "unknown"),
        ("GET", "/v1/users//export", 404, "unknown"),
        ("GET", "/v1/users/a/b/export", 404, "unknown"),
        ("GET", "/v1/users/" + "a" * 201 + "/export", 404, "unknown"),
    ],
)
def test_what_is_not_there_is_told(method: str, path: str, status: int, problem: str) -> None:
    with served() as it:
        answer = it.ask(method, path)
        assert (answer.status_code, answer.json()["problem"]) == (status, problem)


def test_an_id_may_hold_anything() -> None:
    with served() as it:
        for user, path in (("a/b", "a%2Fb"), ("ü?&#", "%C3%BC%3F%26%23"), ("100%", "100%25")):
            it.decide(user)
            assert it.ask("GET", f"/v1/users/{path}/export").status_code == 200
            assert it.ask("DELETE", f"/v1/users/{path}").json()["decisions"] == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "expected JSON in UTF-8"),
        (b"\xff\xfe", 400, "expected JSON in UTF-8"),
        (b"[" * 100_000, 422, "Expected `object`, got `array`"),
        (b'{"candidates":' + b"[" * 100_000, 422, "Expected `object`, got `array`"),
        (b'{"user_idd": "a"}', 422, "unknown field `user_idd`. Did you mean 'user_id'?"),
        (b'{"user_id": "a", "candidates": [{"campain": "x"}]}', 422, "`$.candidates[0]`. Did you mean 'campaign'?"),
        (b'{"user_id": ""}', 422, "length >= 1"),
        (b'{"user_id": 7}', 422, "Expected `str | null`, got `int` - at `$.user_id`"),
        (b'{"user_id": "a", "features": [0.0]}', 422, "the service's own where user_id is given"),
        (b'{"features": [0.0], "eligible": [true]}', 422, "features: expected 57 numbers"),
        (b'{"features": [0.0], "eligible": [true], "now": "2026-03-02T12:00:00Z"}', 422, "belong to a question with"),
        (
            b'{"user_id": "a", "candidates": [{"campaign": "sale"}, {"campaign": "sale"}]}',
            422,
            "'sale' stands there twice",
        ),
    ],
)
def test_what_is_wrong_with_a_question_is_told(body: bytes, status: int, message: str) -> None:
    with served() as it:
        answer = it.ask("POST", "/v1/decide", content=body)
        assert answer.status_code == status
        assert message in answer.json()["message"]
