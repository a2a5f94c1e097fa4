"""The interface's description, OpenAPI 3.1, from the structs that requests are read into: it cannot go stale."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec

from policies.service.messages import Problem

REFERENCES = "#/components/schemas/{name}"
REFUSALS = {
    400: "the body is no JSON",
    401: "no key, or an unknown one",
    403: "the key has not the role",
    404: "there is no such thing",
    409: "the Idempotency-Key came with another body before",
    413: "the body, or the batch, is too large",
    422: "the body is not as described",
    429: "too many requests; Retry-After says when",
    503: "the state cannot be reached; nothing was written that was not acknowledged",
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same key with the same body gets the same answer, and nothing is done twice",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}


@cache
def text() -> bytes:
    """Return the description as JSON."""
    return json.dumps(description(), indent=1).encode()


def description() -> dict[str, Any]:
    """Return the description."""
    from policies.service.http.routes import ROUTES, Route

    named = [kind for route in ROUTES for kind in (route.takes, route.gives) if kind is not None]
    kinds = [*dict.fromkeys(named), Problem]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCES)
    schema_of = dict(zip(kinds, schemas, strict=True))

    def refusal(words: str) -> dict[str, Any]:
        return {"description": words, "content": {"application/json": {"schema": schema_of[Problem]}}}

    def operation(route: Route) -> dict[str, Any]:
        summary = (route.endpoint.__doc__ or "").strip().splitlines()[0]
        what: dict[str, Any] = {"summary": summary, "operationId": route.endpoint.__name__, "responses": {}}
        parameters = [
            {
                "name": gap,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
            for gap in re.findall(r"\{(\w+)\}", route.path)
        ]
        if route.is_repeatable:
            parameters.append(IDEMPOTENCY)
        if parameters:
            what["parameters"] = parameters
        if route.takes is not None:
            what["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema_of[route.takes]}},
            }
        found = {"schema": schema_of[route.gives]} if route.gives else {}
        what["responses"]["200"] = {"description": "done", "content": {route.kind: found}}
        for status, words in REFUSALS.items():
            what["responses"][str(status)] = refusal(words)
        if route.role:
            what["security"] = [{"key": []}]
            what["description"] = f"Needs a key with the role `{route.role}`."
        return what

    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kairos decision service",
            "version": "1",
            "description": "Whom to send what, on which channel, and when to stay silent.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
