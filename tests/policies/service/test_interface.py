"""The interface's own description: complete, and true under made-up requests; metrics as Prometheus reads them."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from policies.service.http.openapi import description
from policies.service.http.routes import ROUTES
from tests.policies.service.serving import Served, served

TREE = description()


def resolved(schema: Any) -> Any:
    """The schema with its references filled in; none of ours refers to itself."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return resolved(TREE["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
        return {name: resolved(part) for name, part in schema.items() if name not in ("title", "description")}
    if isinstance(schema, list):
        return [resolved(part) for part in schema]
    return schema


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation) for path, item in TREE["paths"].items() for method, operation in item.items()
    ]


def test_every_route_is_described_and_nothing_else() -> None:
    assert sorted((method, path) for method, path, _ in operations()) == sorted((r.method, r.path) for r in ROUTES)
    assert TREE["openapi"] == "3.1.0"
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    for method, path, operation in operations():
        gaps = re.findall(r"\{(\w+)\}", path)
        named = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
        assert named == gaps, (method, path)
    with served() as it:
        assert it.ask("GET", "/openapi.json").json() == json.loads(json.dumps(TREE))


def test_every_schema_is_sound() -> None:
    for schema in TREE["components"]["schemas"].values():
        Draft202012Validator.check_schema(resolved(schema))


ASKED = [(method, path, operation) for method, path, operation in operations() if "requestBody" in operation]


MOST_ITEMS = 60


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema describes, for the words that ours use: hypothesis-jsonschema fails on Hypothesis 6.170."""
    if "anyOf" in schema:
        return st.one_of([fitting(part) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            low, high = schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum"))
            excluded = "exclusiveMaximum" in schema
            return st.floats(low, high, exclude_max=excluded, allow_nan=False, allow_infinity=False)
        case "string" if schema.get("format") == "date-time":
            return st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat())
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True)
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 20), 20))
        case "array":
            return st.lists(fitting(schema["items"]), max_size=min(schema.get("maxItems", 4), MOST_ITEMS))
    assert schema["type"] == "object", schema
    needed = set(schema["required"])
    parts = {name: fitting(part) for name, part in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in needed},
        optional={name: part for name, part in parts.items() if name not in needed},
    )


def body_schema(operation: dict[str, Any]) -> Any:
    return resolved(operation["requestBody"]["content"]["application/json"]["schema"])


def check(it: Served, method: str, path: str, operation: dict[str, Any], body: bytes, place: str) -> None:
    """Ask, and hold the answer against the description: no 500, a status that is listed, a body as described."""
    where = re.sub(r"\{\w+\}", lambda _: quote(place, safe=""), path)
    answer = it.ask(method, where, content=body)
    assert answer.status_code < 500, (method, where, body, answer.text)
    assert str(answer.status_code) in operation["responses"], (answer.status_code, answer.text)
    content = operation["responses"][str(answer.status_code)]["content"]
    if "application/json" in content:
        Draft202012Validator(resolved(content["application/json"]["schema"])).validate(answer.json())


@pytest.mark.parametrize(("method", "path", "operation"), ASKED, ids=[path for _, path, _ in ASKED])
def test_made_up_requests_are_answered_as_described(method: str, path: str, operation: dict[str, Any]) -> None:
    """Bodies as described, and bodies of any JSON whatever."""
    schema = body_schema(operation)
    described = fitting(schema).map(lambda body: json.dumps(body).encode("utf-8", "surrogatepass"))
    anything = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(lambda body: json.dumps(body).encode("utf-8", "surrogatepass"))
    with served() as it:

        @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(described | anything | st.binary(max_size=20), st.text(min_size=1, max_size=10))
        def ask(body: bytes, place: str) -> None:
            place = place.encode("utf-8", "ignore").decode() or "x"
            check(it, method, path, operation, body, place)

        ask()


USERS = st.sampled_from(["ann", "bob"])
CANDIDATES = st.lists(st.fixed_dictionaries({"campaign": st.sampled_from(["digest", "sale", "nothing"])}), max_size=3)
QUESTIONS = st.fixed_dictionaries({"user_id": USERS}, optional={"candidates": CANDIDATES})


def an_event(user: str, kind: str) -> tuple[str, str, Any]:
    return "POST", "/v1/events", {"events": [{"user_id": user, "kind": kind, "category": 1, "channel": "push"}]}


CALLS = st.one_of(
    QUESTIONS.map(lambda body: ("POST", "/v1/decide", body)),
    st.builds(an_event, USERS, st.sampled_from(["session", "browse", "cart", "order", "payment", "opt_in", "opt_out"])),
    USERS.map(lambda user: ("DELETE", f"/v1/users/{user}", None)),
    USERS.map(lambda user: ("GET", f"/v1/users/{user}/export", None)),
    st.sampled_from([("POST", "/v1/kill", None), ("POST", "/v1/unkill", None), ("GET", "/v1/ops", None)]),
)


def test_whatever_comes_in_whatever_order_no_cap_breaks_and_nothing_fails() -> None:
    """Histories of made-up calls: never a 500, never a third push on a day, never a push to who withdrew."""

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(CALLS, max_size=25))
    def live(calls: list[tuple[str, str, Any]]) -> None:
        with served() as it:
            sent = {"ann": 0, "bob": 0}
            permitted = {"ann": True, "bob": True}
            for method, path, body in calls:
                answer = it.ask(method, path, body)
                assert answer.status_code < 500, answer.text
                if method == "DELETE":
                    user = path.rsplit("/", 1)[1]
                    sent[user], permitted[user] = 0, True
                for event in (body or {}).get("events", ()):
                    if event["kind"] in ("opt_in", "opt_out"):
                        permitted[event["user_id"]] = event["kind"] == "opt_in"
                if path == "/v1/decide" and answer.status_code == 200 and answer.json()["send"]:
                    sent[body["user_id"]] += 1
                    assert sent[body["user_id"]] <= 2
                    assert permitted[body["user_id"]]

    live()


def test_metrics_are_as_prometheus_reads_them() -> None:
    with served() as it:
        for user in ("ann", "ann", "ann"):
            it.decide(user)
        it.ask("POST", "/v1/decide", {"user_id": ""})
        answer = it.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    requests = {(s.labels["route"], s.labels["status"]): s.value for s in families["kairos_requests"].samples}
    assert requests == {("/v1/decide", "200"): 3.0, ("/v1/decide", "422"): 1.0}
    decisions = {(s.labels["role"], s.labels["what"]): s.value for s in families["kairos_decisions"].samples}
    assert decisions == {("active", "send"): 2.0, ("active", "no_send"): 1.0}
    buckets = [s for s in families["kairos_request_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    assert (buckets[-1].labels["le"], buckets[-1].value) == ("+Inf", 4.0)
    assert families["kairos_ready"].samples[0].value == 1.0
