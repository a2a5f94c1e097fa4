"""The interface beside its own description, by Schemathesis: every operation, with every role's key and without one.

Schemathesis asks what the description allows and what it forbids, border by border (its coverage phase) and at random,
and holds every answer against the description. What it found is mended in the service or in the description.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from policies.service.http.keys import ROLES
from policies.service.http.openapi import description
from policies.service.http.routes import ROUTES
from tests.policies.service.serving import Served, hash_of, sender, served

ROLE_OF = {f"{route.method} {route.path}": route.role for route in ROUTES}
EVERYTHING = "everything"


def key(name: str, *roles: str) -> dict[str, Any]:
    return {"name": name, "roles": roles, "sha256": hashlib.sha256(name.encode()).hexdigest()}


KEYS = [key(EVERYTHING, *ROLES), *(key(role, role) for role in ROLES)]


class Stage:
    """The application that is asked now; Schemathesis collects its tests before there is one.

    Its client begins and ends the server's life at each request, which a service would not outlive.
    """

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        while scope["type"] == "lifespan":
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
        await self.app(scope, receive, send)


STAGE = Stage()
API = schemathesis.openapi.from_dict(description())
API.app = STAGE
load_all_checks()


@pytest.fixture
def it() -> Iterator[Served]:
    with served(settings={"keys": KEYS}) as it:
        STAGE.app = it.app
        everything = {"Authorization": f"Bearer {EVERYTHING}"}
        it.ask("POST", "/v1/decide", {"user_id": "0"}, headers=everything)  # the id that Schemathesis likes most
        yield it


def with_key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"} if name else {}


BOUNDED = settings(
    max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# The reader's own words for what does not fit the struct. Two schemas allow what it refuses: of a time, where a format
# is a remark, and of a whole number written with a point, 2.0.
MISREAD = re.compile(r"body: (Expected(?! `int.*got `float`)|Object|Invalid(?! RFC3339))")


@API.parametrize()
@BOUNDED
def test_with_a_key_for_everything_answers_are_as_described(case: schemathesis.Case[Any], it: Served) -> None:
    if (case.path_parameters or {}).get("hash") == "0":
        case.path_parameters["hash"] = hash_of(sender())
    headers = with_key(EVERYTHING)
    answer = case.call(headers=headers)
    # What a body means is looked at beyond its schema (numbers by the policy's slots, names by the settings), so one
    # that fits may be refused; then never because it does not fit.
    case.validate_response(answer, headers=headers, excluded_checks=[positive_data_acceptance])
    if answer.status_code == 422 and case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        assert not MISREAD.match(answer.json()["message"]), answer.text


@pytest.mark.parametrize("role", ["", *ROLES])
@API.parametrize()
@settings(BOUNDED, max_examples=3)
def test_a_key_opens_what_its_role_is_for_and_nothing_else(case: schemathesis.Case[Any], it: Served, role: str) -> None:
    """Whatever else is wrong with a request: without a key 401, with another role's key 403."""
    needed = ROLE_OF[case.operation.label]
    if case.method != case.operation.method.upper():
        return  # another method at the same path, which has a role of its own
    answer = case.call(headers=with_key(role) or {"Authorization": ""})
    if role not in answer.request.headers.get("Authorization", ""):
        role = ""  # Schemathesis took the key away
    checks = [status_code_conformance, not_a_server_error, content_type_conformance, response_schema_conformance]
    case.validate_response(answer, checks=checks)
    if answer.status_code == 404:
        return  # no such path
    if needed and role != needed:
        assert answer.status_code == (403 if role else 401), answer.text
    else:
        assert answer.status_code not in (401, 403), answer.text
