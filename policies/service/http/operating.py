"""Endpoints for whoever runs the service: policies, the kill switch, users' rights, health, metrics."""

from __future__ import annotations

from array import array
from pathlib import Path

import msgspec

from policies.ledger import LedgerError
from policies.limits import CHANNELS
from policies.runtime.user import User
from policies.service.core import Service
from policies.service.deciding.answering import MINUTE_MS, Details
from policies.service.deciding.shelf import ShelfError
from policies.service.http import openapi
from policies.service.http.exchange import Request, Response, answer, problem, read
from policies.service.http.metrics import TYPE
from policies.service.identity import shown_id, user_number
from policies.service.messages import Done
from policies.service.operating_messages import (
    ActivateRequest,
    Count,
    ErasedAnswer,
    ExportAnswer,
    LoggedDecision,
    LoggedOutcome,
    OpsAnswer,
    PoliciesAnswer,
    PolicyAnswer,
    Ready,
)
from policies.service.readable import readable
from policies.service.state.group_commit import RefusedError
from policies.service.state.store import Known

PAGE = Path(__file__).with_name("ops.html")
OPS_MINUTES = 180
_activate = msgspec.json.Decoder(ActivateRequest)
_details = msgspec.msgpack.Decoder(Details)


async def export_user(service: Service, request: Request) -> Response:
    """Return all that is kept of a user."""
    known = await service.aside(service.store.known_of, service.identity.user_key(request.place))
    if known is None:
        return problem(404, "unknown-user", "nothing is kept of this user")
    return answer(_exported(service, known))


def _exported(service: Service, known: Known) -> ExportAnswer:
    user = readable(User.unpacked(known.record), service.settings.users) if known.record else None
    decisions = []
    for row in known.decisions:
        details = _details.decode(row.details)
        followed = [
            LoggedOutcome(kind=outcome.kind, at_ms=outcome.at_ms, amount_eur=outcome.amount_nano_eur / 1e9)
            for outcome in known.outcomes
            if outcome.decision_id == row.decision_id
        ]
        decisions.append(
            LoggedDecision(
                decision_id=shown_id(row.decision_id),
                at_ms=row.at_ms,
                policy_hash=row.policy_hash,
                role=row.role,
                action=row.action,
                campaign=row.campaign,
                channel=CHANNELS[row.channel] if row.channel >= 0 else None,
                propensity=row.propensity,
                features=list(array("f", details.features)),
                probabilities=list(array("d", details.probabilities)),
                eligible=[reason == 0 for reason in details.reasons],
                outcomes=followed,
            )
        )
    return ExportAnswer(user=user, decisions=decisions)


async def erase_user(service: Service, request: Request) -> Response:
    """Remove all that is kept of a user: state, decisions, outcomes, and rows of the ledger's files."""
    key = service.identity.user_key(request.place)
    erased = await service.aside(service.store.erase, key)
    rows = 0
    if service.settings.ledger is not None:
        from policies.ledger.erasure import erase_user as erase_from_ledger

        try:
            rows = await service.aside(erase_from_ledger, Path(service.settings.ledger), user_number(key))
        except (LedgerError, OSError, ImportError) as fault:
            words = f"the state is erased, the ledger is not: {fault}; mend it and ask again"
            raise RefusedError(503, "ledger", words) from None
    return answer(
        ErasedAnswer(
            had_record=erased.has_record, decisions=erased.n_decisions, outcomes=erased.n_outcomes, ledger_rows=rows
        )
    )


async def policies(service: Service, request: Request) -> Response:
    """List the policies."""
    return answer(await service.aside(_policies, service))


def _policies(service: Service) -> PoliciesAnswer:
    shelf = service.shelf
    serving = shelf.refresh()
    control, totals = serving.control, service.store.totals()
    named = {"active": control.active, "canary": control.canary, "shadow": control.shadow, "previous": control.previous}
    found = []
    for policy_hash, policy in {serving.fallback.policy_hash: serving.fallback, **shelf.policies}.items():
        roles = [role for role, there in named.items() if there == policy_hash]
        if policy_hash == serving.fallback.policy_hash:
            roles.append("fallback")
        found.append(
            PolicyAnswer(
                policy_hash=policy_hash,
                name=policy.document.name,
                kind=policy.document.model.kind,
                made_by=policy.document.made_by,
                roles=tuple(roles),
                share=control.share if "canary" in roles else 1.0 if "active" in roles else 0.0,
                n_sends=totals.get((policy_hash, "send"), 0),
                n_opt_outs=totals.get((policy_hash, "opt_out"), 0),
            )
        )
    return PoliciesAnswer(
        policies=tuple(found),
        is_killed=control.is_killed,
        refused=tuple(shelf.refused.values()),
        guard_rail=service.guard_rail,
        history=control.events,
    )


async def activate(service: Service, request: Request) -> Response:
    """Let a policy decide, for all, for a share, or in the shadow."""
    asked = read(_activate, request.body)
    try:
        await service.aside(service.shelf.activate, request.place, asked.role, asked.share, request.caller.name)
    except ShelfError as fault:
        raise RefusedError(404, "unknown-policy", str(fault)) from None
    return answer(await service.aside(_policies, service))


async def kill(service: Service, request: Request) -> Response:
    """Let the fallback decide, at once and everywhere."""
    await service.aside(service.shelf.kill, True, request.caller.name)
    return answer(Done())


async def unkill(service: Service, request: Request) -> Response:
    """Let the active policy decide again."""
    await service.aside(service.shelf.kill, False, request.caller.name)
    return answer(Done())


async def ops(service: Service, request: Request) -> Response:
    """Return what the operations page shows."""
    now_ms = service.now_ms()
    counts = await service.aside(service.store.tallied, now_ms // MINUTE_MS - OPS_MINUTES)
    listed = await service.aside(_policies, service)
    return answer(
        OpsAnswer(
            now_ms=now_ms,
            counts=[Count(**count._asdict()) for count in counts],
            policies=listed,
            ready=Ready(is_ready=service.is_ready, faults=service.faults()),
        )
    )


async def ops_page(service: Service, request: Request) -> Response:
    """Return the operations page; it holds no data, and asks for a key."""
    policy = (
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Response(200, PAGE.read_bytes(), b"text/html; charset=utf-8", ((b"content-security-policy", policy),))


async def health(service: Service, request: Request) -> Response:
    """Say that the process lives."""
    return answer(Done())


async def ready(service: Service, request: Request) -> Response:
    """Say whether requests should come here, and what is amiss."""
    return answer(Ready(is_ready=service.is_ready, faults=service.faults()), 200 if service.is_ready else 503)


async def metrics(service: Service, request: Request) -> Response:
    """Return counters and times for Prometheus."""
    serving = service.shelf.serving
    gauges = {
        "kairos_ready": ("1 when requests should come here", float(service.is_ready)),
        "kairos_killed": ("1 when the kill switch is on", float(serving.control.is_killed)),
        "kairos_refused_documents": ("policy documents that were refused", float(len(service.shelf.refused))),
        "kairos_policies": ("policies on the shelf", float(len(service.shelf.policies))),
        "kairos_canary_share": ("share of users", serving.control.share if serving.canary else 0.0),
        "kairos_waiting": ("requests that wait for the store", float(service.commits.n_waiting)),
        "kairos_store_unreachable": (
            "1 when the store did not answer at the last look",
            float(bool(service.store_fault)),
        ),
    }
    return Response(200, service.metrics.text(gauges).encode(), TYPE.encode())


async def description(service: Service, request: Request) -> Response:
    """Return this interface's OpenAPI description."""
    return Response(200, openapi.text())
