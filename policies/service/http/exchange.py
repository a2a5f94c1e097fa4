"""One request and its answer, as the endpoints see them: structs, which are made in half the time of named tuples."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import msgspec.inspect
from msgspec import Struct

from policies.service.core import Service
from policies.service.http.keys import Caller
from policies.service.messages import Problem
from policies.service.state.group_commit import RefusedError
from policies.strict_json import did_you_mean

JSON = b"application/json"
UNKNOWN_FIELD = re.compile(r"unknown field `([^`]+)`")
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
        raise RefusedError(422, "invalid", f"body: {fault}{_nearest(str(fault), decoder.type)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RefusedError(400, "malformed", f"body: expected JSON in UTF-8: {fault}") from None


def _nearest(fault: str, of: Any) -> str:
    """Return what a field that is not known may have meant; "" where nothing is near, or another thing is wrong."""
    unknown = UNKNOWN_FIELD.search(fault)
    if unknown is None:
        return ""
    names, to_see = set[str](), [msgspec.inspect.type_info(of)]
    while to_see:
        match to_see.pop():
            case msgspec.inspect.StructType(fields=fields):
                names |= {field.encode_name for field in fields}
                to_see += [field.type for field in fields]
            case msgspec.inspect.UnionType(types=types):
                to_see += types
            case msgspec.inspect.CollectionType(item_type=item):
                to_see.append(item)
    told = did_you_mean(unknown.group(1), names)
    return f".{told}" if told else ""
