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

from policies.service.caretaker import Caretaker
from policies.service.core import Service
from policies.service.http.exchange import Request, Response, problem
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


class App:
    """The service as an ASGI application.

    Args:
        service: that answers.
        caretaker: started and stopped with the application; None: nobody looks after it, as in some tests.
    """

    def __init__(self, service: Service, caretaker: Caretaker | None = None) -> None:
        self._service, self._caretaker = service, caretaker
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
        name, response = await self._answer(scope, receive)
        headers = [(b"content-type", response.kind), (b"content-length", b"%d" % len(response.body))]
        headers += response.headers
        if scope["method"] == "GET":  # answers to a POST are never cached, and each header costs half a microsecond
            headers += SAFETY
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        self._service.metrics.answered(name, response.status, time.perf_counter() - began)

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

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[str, Response]:
        """Return the name of the route, for metrics, and the answer."""
        found = self._find(scope)
        if isinstance(found, Response):
            return "none", found
        route, place = found
        try:
            request = await self._let_in(route, place, scope, receive)
            if isinstance(request, Response):
                return route.path, request
            return route.path, await route.endpoint(self._service, request)
        except RefusedError as refused:
            retry = ((b"retry-after", b"1"),) if refused.status == 503 else ()
            return route.path, problem(refused.status, refused.problem, str(refused), *retry)
        except StoreError as fault:
            return route.path, problem(503, f"store-{fault.reason}", str(fault), (b"retry-after", b"1"))
        except Exception:
            log.exception("%s %s failed", route.method, route.path)  # the path as in the table: never a user's id
            return route.path, problem(500, "internal", "something unforeseen; the service's log says what")

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

    async def _let_in(self, route: Route, place: str, scope: Scope, receive: Receive) -> Request | Response:
        """Return the request once it is known who asks, that they may, and that it is not too large."""
        authorization = length = b""
        idempotency: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"idempotency-key":
                idempotency = value
            elif name == b"content-length":
                length = value
        keyring = self._service.keyring
        caller = keyring.who(authorization) if route.role else keyring.nobody
        if caller is None:
            words = "Authorization: expected `Bearer KEY` with one of the service's keys"
            return problem(401, "unauthorized", words, (b"www-authenticate", b"Bearer"))
        if route.role and route.role not in caller.roles:
            return problem(403, "forbidden", f"key {caller.name!r}: expected the role {route.role}")
        if route.role:
            wait = keyring.wait_for(caller)
            if wait > 0.0:
                seconds = b"%d" % max(1, round(wait + 0.5))
                return problem(429, "too-many-requests", f"key {caller.name!r}: too many", (b"retry-after", seconds))
        # An empty one would be taken for none, and what its sender believes is done once be done twice.
        if idempotency is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency):
            words = f"Idempotency-Key: expected 1 to {LONGEST_KEY} printable ASCII characters"
            return problem(422, "invalid", f"{words}, got {len(idempotency)} bytes")
        most = self._service.settings.limits.body_bytes
        if length.isdigit() and int(length) > most:
            return problem(
                413, "too-large", f"body: expected at most {most} bytes (limits.body_bytes), got {int(length)}"
            )
        body = await _whole_body(receive, most)
        if body is None:
            return problem(413, "too-large", f"body: expected at most {most} bytes (limits.body_bytes)")
        return Request(caller, body, place, scope["query_string"], (idempotency or b"").decode())


async def _whole_body(receive: Receive, most: int) -> bytes | None:
    """Return a request's body; None: it is too large."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        parts, n = [body], len(body)
        while message.get("more_body", False):
            if n > most:
                return None
            message = await receive()
            parts.append(message.get("body", b""))
            n += len(parts[-1])
        body = b"".join(parts)
    return body if len(body) <= most else None
