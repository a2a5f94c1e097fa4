"""The table of endpoints; the application and OpenAPI both read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.service import messages as m
from policies.service import operating_messages as o
from policies.service.http import deciding, operating
from policies.service.http.exchange import Endpoint


@dataclass(frozen=True)
class Route:
    """An endpoint.

    Attributes:
        path: with at most one gap, `{id}` or `{hash}`.
        role: that a key needs; "" for anybody, without a key.
        takes: struct of the body; None: no body.
        gives: struct of the answer; None: text of another kind.
        kind: of the answer's text, where it has no struct.
        is_repeatable: an Idempotency-Key is understood.
    """

    method: str
    path: str
    endpoint: Endpoint
    role: str
    takes: Any = None
    gives: Any = None
    is_repeatable: bool = False
    kind: str = "application/json"


ROUTES = (
    Route("POST", "/v1/decide", deciding.decide, "decide", m.DecideRequest, m.DecideAnswer, True),
    Route("POST", "/v1/decide/batch", deciding.decide_batch, "decide", m.BatchRequest, m.BatchAnswer, True),
    Route("POST", "/v1/outcomes", deciding.outcomes, "outcomes", m.OutcomesRequest, m.OutcomesAnswer, True),
    Route("POST", "/v1/events", deciding.events, "outcomes", m.EventsRequest, m.EventsAnswer, True),
    Route("PATCH", "/v1/users/{id}", deciding.facts, "outcomes", m.Facts, m.Done),
    Route("GET", "/v1/users/{id}/export", operating.export_user, "admin", None, o.ExportAnswer),
    Route("DELETE", "/v1/users/{id}", operating.erase_user, "admin", None, o.ErasedAnswer),
    Route("GET", "/v1/policies", operating.policies, "admin", None, o.PoliciesAnswer),
    Route("POST", "/v1/policies/{hash}/activate", operating.activate, "admin", o.ActivateRequest, o.PoliciesAnswer),
    Route("POST", "/v1/kill", operating.kill, "admin", None, m.Done),
    Route("POST", "/v1/unkill", operating.unkill, "admin", None, m.Done),
    Route("GET", "/v1/ops", operating.ops, "metrics", None, o.OpsAnswer),
    Route("GET", "/ops", operating.ops_page, "", kind="text/html"),
    Route("GET", "/healthz", operating.health, "", None, m.Done),
    Route("GET", "/readyz", operating.ready, "", None, o.Ready),
    Route("GET", "/metrics", operating.metrics, "metrics", kind="text/plain"),
    Route("GET", "/openapi.json", operating.description, ""),
)
