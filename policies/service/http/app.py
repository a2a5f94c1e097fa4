"""The application, in bare ASGI: the hot paths are a dictionary look-up away from their endpoint.

A framework's routing was measured at a third of the time of a whole stateless decision; what it would save here is the
table of `routes` and fifty lines.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from msgspec import Struct

from policies.service.caretaker import Caretaker
from policies.service.core import Service
from policies.service.http.exchange import Request, Response, problem
from policies.service.http.keys import Caller
from policies.service.http.routes import ROUTES, Route
from policies.service.state.group_commit import RefusedError
from policies.service.state.store import StoreError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("kairos.service")
LONGEST_KEY = 200
IDEMPOTENCY_KEY = re.compile(rb"[ -~]{1,%d}" % LONGEST_KEY)
LONGEST_PLACE = 200
SAFETY = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Found(NamedTuple):
    """A route and what stood in its gap."""

    route: Route
    place: str


class Entered(Struct, frozen=True, gc=False):
    """Who was let in, and the request's Idempotency-Key, "" without one."""

    caller: Caller
    idempotency_key: str


class App:
    """The service as an ASGI application.

    Args:
        service: that answers.
        caretaker: started and stopped with the application; None: nobody looks after it, as in some tests.
    """

    def __init__(self, service: Service, caretaker: Caretaker | None = None) -> None:
        self._service, self._caretaker = service, caretaker
        self._most_bytes = service.settings.limits.body_bytes
        self._exact: dict[str, dict[str, Found]] = {}
        self._gapped: list[tuple[str, str, dict[str, Route]]] = []  # what stands before and behind the gap
        for route in ROUTES:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {})[route.method] = Found(route, "")
                continue
            before, _, behind = route.path.partition("{")
            behind = behind.partition("}")[2]
            there = [methods for b, e, methods in self._gapped if (b, e) == (before, behind)]
            if not there:
                there = [{}]
                self._gapped.append((before, behind, there[0]))
            there[0][route.method] = route
        self._gapped.sort(key=lambda entry: -len(entry[1]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the beginning and end of the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        found = self._find(scope)
        if isinstance(found, Response):
            name, response = "none", found
        else:
            name, response = found.route.path, await self._answer(found, scope, receive)
        status, body = response.status, response.body
        headers = [(b"content-type", response.kind), (b"content-length", b"%d" % len(body)), *response.headers]
        if scope["method"] == "GET":  # answers to a POST are never cached, and each header costs half a microsecond
            headers += SAFETY
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._service.metrics.answered(name, status, time.perf_counter() - began)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self._caretaker is not None:
                    self._caretaker.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                # The server has answered what was under way by now; what is left is to let go in order.
                if self._caretaker is not None:
                    self._caretaker.stop()
                self._service.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, found: Found, scope: Scope, receive: Receive) -> Response:
        route = found.route
        try:
            entered = self._let_in(route, scope)
            if isinstance(entered, Response):
                return entered
            message = await receive()
            body: bytes = message.get("body", b"")
            if message.get("more_body", False):  # seldom, so that most requests are spared one more coroutine
                body = await _rest_of_body(body, receive, self._most_bytes)
            if len(body) > self._most_bytes:
                return self._too_large()
            request = Request(entered.caller, body, found.place, scope["query_string"], entered.idempotency_key)
            return await route.endpoint(self._service, request)
        except RefusedError as refused:
            retry = ((b"retry-after", b"1"),) if refused.status == 503 else ()
            return problem(refused.status, refused.problem, str(refused), *retry)
        except StoreError as fault:
            return problem(503, f"store-{fault.reason}", str(fault), (b"retry-after", b"1"))
        except Exception:
            log.exception("%s %s failed", route.method, route.path)  # the path as in the table: never a user's id
            return problem(500, "internal", "something unforeseen; the service's log says what")

    def _find(self, scope: Scope) -> Found | Response:
        path, method = scope["path"], scope["method"]
        methods = self._exact.get(path)
        if methods is not None:
            return methods.get(method) or self._not_allowed(methods)
        # Cut before it is decoded: a user's id may hold a slash.
        raw = (scope.get("raw_path") or path.encode()).split(b"?", 1)[0].decode("latin-1")
        for before, behind, gapped in self._gapped:
            place = raw[len(before) : len(raw) - len(behind)] if behind else raw[len(before) :]
            if raw.startswith(before) and raw.endswith(behind) and place and "/" not in place:
                if method not in gapped:
                    return self._not_allowed(gapped)
                place = unquote(place)
                if len(place) > LONGEST_PLACE:
                    return problem(404, "unknown", f"path: expected at most {LONGEST_PLACE} characters between slashes")
                return Found(gapped[method], place)
        return problem(404, "unknown", "there is nothing at this path; /openapi.json says what there is")

    def _not_allowed(self, methods: dict[str, Any]) -> Response:
        allowed = ", ".join(sorted(methods))
        return problem(405, "method", f"expected {allowed}", (b"allow", allowed.encode()))

    def _let_in(self, route: Route, scope: Scope) -> Entered | Response:
        """Return who asks, once it is known that they may and do not say that they bring too much."""
        headers = dict(scope["headers"])
        keyring = self._service.keyring
        caller = keyring.who(headers.get(b"authorization", b"")) if route.role else keyring.nobody
        if caller is None:
            words = "Authorization: expected `Bearer KEY` with one of the service's keys"
            return problem(401, "unauthorized", words, (b"www-authenticate", b"Bearer"))
        if route.role:
            if route.role not in caller.roles:
                return problem(403, "forbidden", f"key {caller.name!r}: expected the role {route.role}")
            wait = keyring.wait_for(caller)
            if wait > 0.0:
                seconds = b"%d" % max(1, round(wait + 0.5))
                return problem(429, "too-many-requests", f"key {caller.name!r}: too many", (b"retry-after", seconds))
        key = headers.get(b"idempotency-key")
        # An empty one would be taken for none, and what its sender believes is done once be done twice.
        if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
            words = f"Idempotency-Key: expected 1 to {LONGEST_KEY} printable ASCII characters"
            return problem(422, "invalid", f"{words}, got {len(key)} bytes")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_bytes:
            return self._too_large(int(length))
        return Entered(caller, "" if key is None else key.decode())

    def _too_large(self, n: int | None = None) -> Response:
        got = "" if n is None else f", got {n}"
        return problem(413, "too-large", f"body: expected at most {self._most_bytes} bytes (limits.body_bytes){got}")


async def _rest_of_body(body: bytes, receive: Receive, most: int) -> bytes:
    """Return a body that comes in pieces; of one that is too large only so much that this can be seen."""
    parts, n, is_more = [body], len(body), True
    while is_more and n <= most:
        message = await receive()
        parts.append(message.get("body", b""))
        n += len(parts[-1])
        is_more = message.get("more_body", False)
    return b"".join(parts)
