"""One request and its answer, as the endpoints see them: structs, which are made in half the time of named tuples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from policies.service.core import Service
from policies.service.http.keys import Caller
from policies.service.messages import Problem
from policies.service.state.group_commit import RefusedError

JSON = b"application/json"
T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class Request(Struct, frozen=True):
    """A request that was let in.

    Attributes:
        caller: whose key it came with.
        body: the whole of it.
        place: what stood in the path's gap, such as a user's id; "" without one.
        query: as it came.
        idempotency_key: "" without one.
    """

    caller: Caller
    body: bytes
    place: str
    query: bytes
    idempotency_key: str


class Response(Struct, frozen=True):
    """An answer."""

    status: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Endpoint = Callable[[Service, Request], Awaitable[Response]]


def answer(message: Any, status: int = 200) -> Response:
    """Return a struct as an answer."""
    return Response(status, _encoder.encode(message))


def problem(status: int, name: str, message: str, *headers: tuple[bytes, bytes]) -> Response:
    """Return a problem as an answer."""
    return Response(status, _encoder.encode(Problem(problem=name, message=message)), JSON, headers)


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return a body read.

    Raises:
        RefusedError: it is no JSON (400), or not what was expected (422).
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as fault:
        raise RefusedError(422, "invalid", f"body: {fault}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RefusedError(400, "malformed", f"body: expected JSON in UTF-8: {fault}") from None
