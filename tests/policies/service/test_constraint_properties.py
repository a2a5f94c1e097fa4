"""No limit is ever broken by a service, whatever is asked of it at once: judged here by clocks and counting alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice, permutations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from policies.document import Constraints, Document, Epsilon, Rules, Send
from policies.limits import Cap, QuietHours
from policies.service.state.memory_store import MemoryStore
from policies.service.state.postgres_store import PostgresStore
from policies.service.state.sqlite_store import SqliteStore
from policies.service.state.store import Store
from tests.policies.service.serving import Served, served

KINDS = ("scheduled", "triggered", "transactional")
CHANNELS = ("push", "email")
ZONES = {"ann": "Europe/Paris", "bob": "America/New_York", "eve": "Asia/Kathmandu"}  # a day that begins at :15 UTC
PROJECT = "Europe/London"
EVENING_BEFORE_CLOCKS_TURN = int(dt.datetime(2026, 3, 28, 20, 7, tzinfo=dt.UTC).timestamp() * 1e3)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MOST_ORDERS = 2_000  # of what was sent at one time; a right one comes early, if there is one
STEP_MS = 120_000  # by which time may go back for a user, as the settings have it
CAMPAIGNS: tuple[dict[str, Any], ...] = (
    {"name": "promo", "channels": CHANNELS, "tags": ("promo",)},
    {"name": "digest", "category": 1, "channels": ("email",), "tags": ("digest",)},
    {"name": "cart", "kind": "triggered", "trigger": "cart", "category": 2, "channels": CHANNELS, "delay_hours": 0},
    {
        "name": "receipt",
        "kind": "transactional",
        "trigger": "order",
        "category": 3,
        "delay_hours": 0,
        "tags": ("promo",),
    },
    {"name": "personal", "category": 4, "tags": ("digest",), "audience": {"needs_consent": True}},
)
# Caps over nothing, so that histories remember both tags whatever else is drawn.
REMEMBERED = Cap("remembered", 31, "rolling", hours=1, tags=("promo", "digest"))


def some(of: tuple[str, ...], least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(of), min_size=least, unique=True).map(tuple)


@st.composite
def caps(draw: st.DrawFn, name: str) -> Cap:
    window = draw(st.sampled_from(("rolling", "rolling", "day", "week", "month")))
    tags = draw(st.none() | some(("promo", "digest")))
    return Cap(
        name,
        draw(st.integers(0, 4)),
        window,
        draw(st.sampled_from((1, 3, 24, 100))) if window == "rolling" else None,
        draw(st.sampled_from(("user", "project"))),
        draw(st.none() | some(CHANNELS)),
        tags,
        draw(st.booleans()) if tags else False,
    )


@st.composite
def limits(draw: st.DrawFn) -> Constraints:
    quiet = None
    if draw(st.booleans()):
        start = draw(st.integers(0, 47)) * 30
        end = (start + draw(st.integers(1, 24)) * 30) % 1440
        mode, zone = draw(st.sampled_from(("drop", "defer", "cancel"))), draw(st.sampled_from(("user", "project")))
        quiet = QuietHours(start, end, mode, zone, draw(st.none() | some(CHANNELS)))
    kinds = some(KINDS, least=0)
    return Constraints(
        (REMEMBERED, *(draw(caps(f"cap {k}")) for k in range(draw(st.integers(0, 3))))),
        draw(st.sampled_from((0, 0, 1, 5))),
        draw(st.sampled_from(({}, {"push": 3}, {"email": 20}, {"push": 1, "email": 2}))),
        quiet,
        draw(st.just(("transactional",)) | kinds),
        draw(st.just(("transactional",)) | kinds),
        draw(st.just(()) | kinds),
    )


DOINGS = (
    "ask", "ask", "ask", "batch", "batch", "again", "cart", "order", "consent", "opt_out", "opt_in", "outcome", "erase",
    "facts", "facts",
)  # fmt: skip

steps = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 20, 61, 190, 700, 700, -1, -10)),  # minutes that pass
        st.sampled_from(DOINGS),
        st.lists(st.sampled_from(tuple(ZONES)), min_size=1, max_size=6),
        st.sampled_from(CHANNELS),
    ),
    min_size=20,
    max_size=60,
)


@dataclass
class Sent:
    """A message that went out."""

    at_ms: int
    channel: str
    kind: str
    tags: frozenset[str]


@dataclass
class Life:
    """What one user was sent, and permits."""

    zone: ZoneInfo
    permitted: set[str] = field(default_factory=lambda: set(CHANNELS))
    has_consent: bool = False
    sends: list[Sent] = field(default_factory=list)
    last_ms: int = 0  # time does not go back for a user
    last_send: dict[str, Any] | None = None  # the answer, of which an outcome may be told


class Judge:
    """Knows the limits as people state them, and no hours but those of clocks.

    Args:
        limits: that all hold.
    """

    def __init__(self, *limits: Constraints) -> None:
        self.limits = limits
        self.lives = {user: Life(ZoneInfo(zone)) for user, zone in ZONES.items()}
        self.n_sent = 0

    def take_together(self, user: str, at_ms: int, answers: list[dict[str, Any]]) -> None:
        """Judge what was answered at one time: it must be right in some order, which nobody told."""
        sends = [answer for answer in answers if answer["send"] is not None]
        # Those that a gap holds back first: where many went out at once, not every order can be tried.
        kinds = {campaign["name"]: campaign.get("kind", "scheduled") for campaign in CAMPAIGNS}
        sends.sort(key=lambda answer: sum(kinds[answer["send"]] in limits.passes_gap for limits in self.limits))
        before, faults = list(self.lives[user].sends), []
        for order in islice(permutations(sends), MOST_ORDERS):
            try:
                for answer in order:
                    self.take(user, at_ms, answer)
            except AssertionError as fault:
                faults.append(fault)
                self.lives[user].sends[:] = before
            else:
                self.n_sent += len(sends)
                return
        raise faults[0]

    def take(self, user: str, at_ms: int, answer: dict[str, Any]) -> None:
        """Judge a send."""
        campaign = next(c for c in CAMPAIGNS if c["name"] == answer["send"])
        kind, tags = str(campaign.get("kind", "scheduled")), frozenset(campaign.get("tags", ()))
        life, sent = self.lives[user], Sent(at_ms, answer["channel"], kind, tags)
        assert sent.channel in campaign.get("channels", ("push",)), "a channel that the campaign does not use"
        assert sent.channel in life.permitted, "sent without permission"
        assert life.has_consent or campaign["name"] != "personal", "sent without consent"
        for limits in self.limits:
            self._gaps(limits, life, sent)
            self._quiet(limits, life, sent)
            if sent.kind not in limits.passes_caps:
                self._caps(limits, life, sent)
        life.sends.append(sent)
        life.last_send = answer

    def erase(self, user: str) -> None:
        """Forget a user as a service does: caps begin anew, and nothing is permitted."""
        self.lives[user] = Life(ZoneInfo("UTC"), permitted=set())

    def _gaps(self, limits: Constraints, life: Life, sent: Sent) -> None:
        if sent.kind in limits.passes_gap:
            return
        for before in life.sends:
            hours = (sent.at_ms - before.at_ms) / HOUR_MS
            assert hours >= limits.gap_hours, f"{hours} hours after another"
            if before.channel == sent.channel:
                assert hours >= limits.channel_gap_hours.get(sent.channel, 0), f"{hours} hours after a {sent.channel}"

    def _quiet(self, limits: Constraints, life: Life, sent: Sent) -> None:
        quiet = limits.quiet
        if quiet is None or sent.kind in limits.passes_quiet or sent.channel not in (quiet.channels or CHANNELS):
            return
        local = self._local(sent.at_ms, life, quiet.zone)
        minute = local.hour * 60 + local.minute
        after, before = minute >= quiet.start_minute, minute < quiet.end_minute
        is_quiet = (after and before) if quiet.start_minute <= quiet.end_minute else (after or before)
        assert not is_quiet, f"at {local:%H:%M}, in quiet hours"

    def _caps(self, limits: Constraints, life: Life, sent: Sent) -> None:
        own = [
            c for c in limits.caps if c.tags and sent.tags & set(c.tags) and sent.channel in (c.channels or CHANNELS)
        ]
        is_overridden = any(cap.overrides_channels for cap in own)
        general = [c for c in limits.caps if not c.tags and sent.channel in (c.channels or CHANNELS)]
        for cap in own + ([] if is_overridden else general):
            counted = [
                before
                for before in (*life.sends, sent)
                if before.kind not in limits.passes_caps
                and before.channel in (cap.channels or CHANNELS)
                and (not cap.tags or before.tags & set(cap.tags))
                and self._is_within(cap, life, before.at_ms, sent.at_ms)
            ]
            assert len(counted) <= cap.limit, f"send {len(counted)} under {cap}"

    def _is_within(self, cap: Cap, life: Life, before_ms: int, now_ms: int) -> bool:
        if cap.window == "rolling":
            return now_ms - before_ms < (cap.hours or 0) * HOUR_MS
        days = [self._local(at_ms, life, cap.zone).date() for at_ms in (before_ms, now_ms)]
        match cap.window:
            case "day":
                return days[0] == days[1]
            case "week":
                return days[0].isocalendar()[:2] == days[1].isocalendar()[:2]
        return (days[0].year, days[0].month) == (days[1].year, days[1].month)

    def _local(self, at_ms: int, life: Life, zone: str) -> dt.datetime:
        return dt.datetime.fromtimestamp(at_ms / 1e3, life.zone if zone == "user" else ZoneInfo(PROJECT))


def run(services: list[Served], judge: Judge, told: list[Any]) -> None:
    """Live through the steps, the questions of one step asked of all services at once."""
    now_ms = EVENING_BEFORE_CLOCKS_TURN
    first = services[0]
    for user in ZONES:
        tell_facts(first, judge, user)
    for n, (minutes, what, users, channel) in enumerate(told):
        now_ms += minutes * MINUTE_MS
        for it in services:
            it.clock.now_ms = now_ms
        match what:
            case "ask" | "batch" | "again":
                users = users[:1] if what == "again" else users
                answers = asyncio.run(asked(services, users, what, f"key {n}"))
                for user in set(users):
                    take_answers(judge, user, now_ms, [answer for of, answer in answers if of == user], what)
            case "consent":
                for user in set(users):
                    judge.lives[user].has_consent = not judge.lives[user].has_consent
                    consent = {"has_consent": judge.lives[user].has_consent}
                    assert first.ask("PATCH", f"/v1/users/{user}", consent).status_code == 200
            case "outcome":
                for user in set(users):
                    withdraw(first, judge.lives[user], "churn" if minutes == 61 else "complaint")
            case "facts":
                for user in set(users):
                    tell_facts(first, judge, user)
            case "erase":
                for user in set(users):
                    assert first.ask("DELETE", f"/v1/users/{user}").status_code == 200
                    judge.erase(user)
            case _:
                for user in set(users):
                    event = {"user_id": user, "kind": what}
                    event |= {"channel": channel} if what.startswith("opt") else {"category": 2}
                    assert first.ask("POST", "/v1/events", {"events": [event]}).status_code == 200
                    permitted = judge.lives[user].permitted
                    if what == "opt_in":
                        permitted.add(channel)
                    elif what == "opt_out":
                        permitted.discard(channel)


def tell_facts(it: Served, judge: Judge, user: str) -> None:
    """Tell where a user lives and that all is permitted."""
    facts = {"time_zone": ZONES[user], "permitted": list(CHANNELS)}
    assert it.ask("PATCH", f"/v1/users/{user}", facts).status_code == 200
    judge.lives[user].zone = ZoneInfo(ZONES[user])
    judge.lives[user].permitted = set(CHANNELS)


def take_answers(judge: Judge, user: str, now_ms: int, answers: list[dict[str, Any]], what: str) -> None:
    """Judge what one user was answered at a time by the service's clock, which may have gone back."""
    life = judge.lives[user]
    if life.last_ms - now_ms > STEP_MS:
        assert {answer.get("problem") for answer in answers} == {"clock-went-back"}
        return
    life.last_ms = max(life.last_ms, now_ms)  # by less, it is passed over
    if what == "again":
        assert len({answer["decision_id"] for answer in answers}) == 1, "one key, one decision"
        answers = answers[:1]
    judge.take_together(user, life.last_ms, answers)


def withdraw(it: Served, life: Life, kind: str) -> None:
    """Tell that the last message drove the user away, from its channel or from all."""
    if life.last_send is None:
        return
    outcome = {"decision_id": life.last_send["decision_id"], "kind": kind}
    told = it.ask("POST", "/v1/outcomes", {"outcomes": [outcome]}).json()
    if told["accepted"]:
        life.permitted.difference_update(CHANNELS if kind == "churn" else {life.last_send["channel"]})
    else:
        assert told["known"] == 1, told


async def asked(services: list[Served], users: list[str], what: str, key: str) -> list[tuple[str, dict[str, Any]]]:
    """Ask every service for every user, all at the same time; return answers and problems."""
    questions = [{"user_id": user, "explain": False} for user in users]
    headers = {"Idempotency-Key": key} if what == "again" else {}
    if what == "batch":
        wanted: list[tuple[str, str, Any]] = [("POST", "/v1/decide/batch", {"requests": questions})]
    else:
        wanted = [("POST", "/v1/decide", question) for question in questions * (2 if what == "again" else 1)]
    of_services = await asyncio.gather(*(it.together(list(wanted), headers=headers) for it in services))
    found: list[tuple[str, dict[str, Any]]] = []
    for responses in of_services:
        if what == "batch":
            [whole] = responses
            assert whole.status_code == 200, whole.text
            told = [item.get("answer") or item["problem"] for item in whole.json()["answers"]]
        else:
            assert {response.status_code for response in responses} <= {200, 503}
            told = [response.json() for response in responses]
        found += zip(users * (len(told) // len(users)), told, strict=True)
    return found


@contextmanager
def several(
    open_store: Callable[[], Store], n: int, stated: Constraints, own: Constraints | None
) -> Iterator[list[Served]]:
    """Services on one state."""
    told: dict[str, Any] = {
        "constraints": {name: value for name, value in asdict(stated).items() if value is not None},
        "campaigns": [dict(campaign) for campaign in CAMPAIGNS],
        "project_zone": PROJECT,
        "users": {},  # nothing is permitted before it is told, nor after an erasure
    }
    for cap in told["constraints"]["caps"]:
        for name in [name for name, value in cap.items() if value is None]:
            del cap[name]
    if stated.quiet is not None and stated.quiet.channels is None:
        del told["constraints"]["quiet"]["channels"]
    always = Rules((), Send(("push", "email"), "first"))
    document = Document("coin", 4, always, Epsilon(0.5), constraints=own)
    with ExitStack() as stack:
        yield [stack.enter_context(served(document, told, open_store())) for _ in range(n)]


bounded = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


def judged(
    open_store: Callable[[], Store], n: int, stated: Constraints, own: Constraints | None, told: list[Any]
) -> int:
    if own is not None:  # a send is written down once, as one that caps count or do not
        own = replace(own, passes_caps=stated.passes_caps)
    judge = Judge(stated) if own is None else Judge(stated, own)
    with several(open_store, n, stated, own) as services:
        run(services, judge, told)
    return judge.n_sent


@given(limits(), st.none() | limits(), steps)
@settings(bounded, max_examples=60)
def test_no_limit_is_broken_by_one_service(stated: Constraints, own: Constraints | None, told: list[Any]) -> None:
    judged(MemoryStore, 1, stated, own, told)


@given(limits(), st.none() | limits(), steps)
@settings(bounded, max_examples=12)
def test_no_limit_is_broken_by_two_services_on_one_file(
    stated: Constraints, own: Constraints | None, told: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        judged(lambda: SqliteStore(path, synchronous="NORMAL", wait_ms=10_000), 2, stated, own, told)


@given(stated=limits(), own=st.none() | limits(), told=steps)
@settings(bounded, max_examples=6)
def test_no_limit_is_broken_by_two_services_on_postgresql(
    postgres_server: str, stated: Constraints, own: Constraints | None, told: list[Any]
) -> None:
    import secrets

    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    judged(lambda: PostgresStore(f"{postgres_server}/{name}", wait_ms=10_000), 2, stated, own, told)


BUSY = [(20, "ask", ["ann", "ann", "bob"], "push")] * 40 + [(61, "cart", ["ann"], "push"), (61, "ask", ["ann"], "push")]


def test_there_is_something_to_judge() -> None:
    assert judged(MemoryStore, 1, Constraints((REMEMBERED,)), None, BUSY) > 20


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Constraints((Cap("a", 3, "day"),)), "send 4 under Cap"),
        (Constraints((Cap("a", 1, hours=24, tags=("promo",)),)), "send 2 under Cap"),
        (Constraints((Cap("a", 5, "week", zone="project"),)), "send 6 under Cap"),
        (Constraints(gap_hours=5), "hours after another"),
        (Constraints(channel_gap_hours={"push": 30, "email": 30}), "hours after a "),
        (Constraints(quiet=QuietHours(0, 23 * 60)), "in quiet hours"),
    ],
)
def test_the_judge_sees_what_goes_wrong(broken: Constraints, message: str) -> None:
    """Answers of a service that did not know these limits break them."""
    judge = Judge(broken)
    free = Constraints((REMEMBERED,), passes_gap=KINDS)
    with several(MemoryStore, 1, free, None) as services, pytest.raises(AssertionError, match=message):
        run(services, judge, BUSY)


def test_the_judge_sees_what_nobody_permitted() -> None:
    judge = Judge(Constraints())
    answer = {"send": "promo", "channel": "push"}
    judge.lives["ann"].permitted.clear()
    with pytest.raises(AssertionError, match="without permission"):
        judge.take("ann", EVENING_BEFORE_CLOCKS_TURN, answer)
    with pytest.raises(AssertionError, match="without consent"):
        judge.take("bob", EVENING_BEFORE_CLOCKS_TURN, {"send": "personal", "channel": "push"})
