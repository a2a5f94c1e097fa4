"""Endpoints that decide and learn: the hot paths."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TypeVar

import msgspec

from policies.decide import DecideError
from policies.service.core import Service
from policies.service.deciding.learning import milliseconds, take_event, take_facts, take_outcomes
from policies.service.http.exchange import Request, Response, answer, read
from policies.service.messages import (
    BatchItem,
    BatchRequest,
    DecideAnswer,
    DecideRequest,
    Done,
    Event,
    EventsAnswer,
    EventsRequest,
    Facts,
    OutcomesRequest,
    Problem,
)
from policies.service.state.group_commit import RefusedError
from policies.service.state.store import StoreError
from policies.service.state.unit import Answered, Unit, Wanted

T = TypeVar("T")
NO_USER = b""
_decide = msgspec.json.Decoder(DecideRequest)
_batch = msgspec.json.Decoder(BatchRequest)
_outcomes = msgspec.json.Decoder(OutcomesRequest)
_events = msgspec.json.Decoder(EventsRequest)
_facts = msgspec.json.Decoder(Facts)
_encode = msgspec.json.Encoder().encode


async def decide(service: Service, request: Request) -> Response:
    """Decide once."""
    question = read(_decide, request.body)
    if question.user_id is None:
        return answer(_stateless(service, question))
    encoded = await _stateful(service, request, question, 0)
    return Response(200, encoded)


async def decide_batch(service: Service, request: Request) -> Response:
    """Decide many times; each question is answered by itself, those of users together in few transactions."""
    questions = read(_batch, request.body).requests
    _check_length(service, "requests", len(questions))

    async def one(number: int, question: DecideRequest) -> bytes:
        """Return a BatchItem, encoded."""
        try:
            if question.user_id is None:
                return b'{"answer":' + _encode(_stateless(service, question)) + b"}"
            return b'{"answer":' + await _stateful(service, request, question, number) + b"}"
        except RefusedError as refused:
            if refused.problem == REUSED:
                raise  # it is about the whole request
            return _encode(BatchItem(problem=Problem(problem=refused.problem, message=str(refused))))
        except StoreError as fault:
            return _encode(BatchItem(problem=Problem(problem=f"store-{fault.reason}", message=str(fault))))

    items = await asyncio.gather(*(one(number, question) for number, question in enumerate(questions)))
    return Response(200, b'{"answers":[' + b",".join(items) + b"]}")


def _stateless(service: Service, question: DecideRequest) -> DecideAnswer:
    """Answer from what the caller computed."""
    if question.features is None or question.eligible is None:
        raise RefusedError(422, "invalid", "body: expected user_id, or features and eligible; got neither whole")
    if question.candidates is not None or question.now is not None:
        raise RefusedError(422, "invalid", "body: candidates and now belong to a question with user_id")
    policy, role = service.shelf.serving.choose(1.0)
    uniform = random.random() if question.uniform is None else question.uniform
    try:
        decision = policy.decide(question.features, question.eligible, uniform, explain=question.explain)
    except DecideError as fault:
        raise RefusedError(422, "invalid", f"body: {fault}") from None
    service.metrics.decisions[role, "send" if decision.action else "no_send"] += 1
    return DecideAnswer(
        decision_id="",
        send=None,
        channel=None,
        action=decision.action,
        action_name=service.answering.action_names[decision.action],
        propensity=decision.propensity,
        probabilities=decision.probabilities,
        reasons=decision.reasons,
        candidates=(),
        suppressed=(),
        policy_hash=policy.policy_hash,
        role=role,
    )


async def _stateful(service: Service, request: Request, question: DecideRequest, number: int) -> bytes:
    """Answer from what is known of the user: check and send are one transaction.

    Args:
        number: of the question in its batch.

    Returns:
        A DecideAnswer, encoded.
    """
    if question.features is not None or question.eligible is not None or question.uniform is not None:
        raise RefusedError(
            422, "invalid", "body: features, eligible and uniform are the service's own where user_id is given"
        )
    assert question.user_id is not None
    user_key = service.identity.user_key(question.user_id)
    now_ms = _time_of(service, question)

    def work(unit: Unit) -> tuple[bytes, str, str]:
        serving = service.shelf.follow_if_known(unit.control)
        found = service.answering.decide(unit, user_key, question, now_ms, serving)
        return _encode(found), found.role, "send" if found.action else "no_send"

    try:
        encoded, role, what = await _once(service, request, number, user_key, work)
    except StoreError as fault:
        return _encode(_instead(service, f"store-{fault.reason}", str(fault), fault))
    except RefusedError as refused:
        if refused.status != 503:
            raise
        return _encode(_instead(service, refused.problem, str(refused), refused))
    if role:
        service.metrics.decisions[role, what] += 1
    return encoded


def _time_of(service: Service, question: DecideRequest) -> int:
    now_ms = service.now_ms()
    if question.now is None:
        return now_ms
    at_ms = milliseconds(question.now)
    skew = service.settings.limits.clock_skew_seconds
    if abs(at_ms - now_ms) > skew * 1e3:
        raise RefusedError(
            422,
            "clock-skew",
            f"now: expected within {skew:g} s of the service's clock (limits.clock_skew_seconds), "
            f"got {(at_ms - now_ms) / 1e3:+.0f} s",
        )
    return at_ms


def _instead(service: Service, name: str, message: str, fault: Exception) -> DecideAnswer:
    """Return silence in place of a decision that could not be made, if the settings want it so; else raise again."""
    if service.settings.on_fault != "fallback":
        raise fault
    service.metrics.decisions["fault", "no_send"] += 1
    n = 2 * service.shelf.n_slots
    return DecideAnswer(
        decision_id="",
        send=None,
        channel=None,
        action=0,
        action_name="no_send",
        propensity=1.0,
        probabilities=(1.0, *([0.0] * n)),
        reasons=(f"{name}: {message}",),
        candidates=(),
        suppressed=(),
        policy_hash="",
        role="fallback",
    )


# ----------------------------------------------------------------------------------------------------- idempotency

REUSED = "idempotency-key-reused"
Work = tuple[bytes, str, str]  # the answer, and for the metrics who decided and what


async def _once(
    service: Service, request: Request, number: int, user_key: bytes | None, work: object, ids: tuple[int, ...] = ()
) -> Work:
    """Do a piece of work once for an idempotency key; the same question again gets the same answer.

    Raises:
        RefusedError: the key came with another question before (409).
    """
    if not request.idempotency_key:
        return await service.run(Wanted(user_key, None, ids), work)  # type: ignore[arg-type]
    named = f"{request.caller.name}\0{request.idempotency_key}\0{number}"
    answer_key = hashlib.blake2b(named.encode(), digest_size=16).digest()
    body_hash = hashlib.blake2b(request.body, digest_size=16).digest()

    def guarded(unit: Unit) -> Work:
        known = unit.answers.get(answer_key)
        if known is not None:
            if known.body_hash != body_hash:
                raise RefusedError(409, REUSED, "Idempotency-Key: it came with another body before; take a new key")
            return known.answer, "", ""
        found: Work = work(unit)  # type: ignore[operator]
        unit.put_answer(answer_key, Answered(user_key or NO_USER, body_hash, found[0]))
        return found

    return await service.run(Wanted(user_key, answer_key, ids), guarded)


# ----------------------------------------------------------------------------------------------------- learning


async def outcomes(service: Service, request: Request) -> Response:
    """Take what followed decisions."""
    taken = read(_outcomes, request.body).outcomes
    _check_length(service, "outcomes", len(taken))
    now_ms = service.now_ms()
    for outcome in taken:
        if outcome.at is not None:
            milliseconds(outcome.at)  # refused before anything is written

    def work(unit: Unit) -> Work:
        return _encode(take_outcomes(service.answering, unit, taken, now_ms)), "", ""

    ids = tuple(int(outcome.decision_id, 16) for outcome in taken)
    encoded, _, _ = await _once(service, request, 0, None, work, ids)
    return Response(200, encoded)


async def events(service: Service, request: Request) -> Response:
    """Take what users did; each event is a piece of work of its own.

    Where some could not be taken, the same request under the same Idempotency-Key takes the others.
    """
    taken = read(_events, request.body).events
    _check_length(service, "events", len(taken))
    now_ms = service.now_ms()

    for event in taken:
        if event.at is not None:
            milliseconds(event.at)
    keys = [service.identity.user_key(event.user_id) for event in taken]

    async def one(number: int, key: bytes, event: Event) -> None:
        def work(unit: Unit) -> Work:
            take_event(service.answering, unit, key, event, now_ms)
            return b"taken", "", ""

        await _once(service, request, number, key, work)

    await asyncio.gather(
        *(one(number, key, event) for number, (key, event) in enumerate(zip(keys, taken, strict=True)))
    )
    return answer(EventsAnswer(accepted=len(taken)))


async def facts(service: Service, request: Request) -> Response:
    """Take what is known of a user by other means."""
    told = read(_facts, request.body)
    key, now_ms = service.identity.user_key(request.place), service.now_ms()
    if told.installed_at is not None:
        milliseconds(told.installed_at)
    await service.run(Wanted(key), lambda unit: take_facts(service.answering, unit, key, told, now_ms))
    return answer(Done())


def _check_length(service: Service, what: str, n: int) -> None:
    most = service.settings.limits.batch
    if n > most:
        raise RefusedError(413, "too-many", f"{what}: expected at most {most} at once (limits.batch), got {n}")
