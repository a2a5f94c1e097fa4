"""The service without its face: what questions are answered by, and who looks after it meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from policies.runtime.catalogue import Catalogue
from policies.service.deciding.answering import Answering
from policies.service.deciding.names import settled_names
from policies.service.deciding.shelf import Shelf
from policies.service.http.keys import Keyring
from policies.service.http.metrics import Metrics
from policies.service.identity import Identity
from policies.service.settings import Settings
from policies.service.state.group_commit import GroupCommit, Job
from policies.service.state.store import Store, StoreError
from policies.service.state.unit import Unit, Wanted

T = TypeVar("T")
THREADS = {"postgresql": 2}  # that commit; SQLite has one lock for writing
ADMIN_THREADS = 4


class Service:
    """Everything that one process holds.

    Args:
        settings: what it was told.
        store: where users, decisions and outcomes are kept.
        shelf: the policies.
        identity: of users.
        now_ms: the clock, milliseconds since 1970.

    Raises:
        SettingsError, StateMismatchError: the store belongs to other settings or another key.
        StoreError: the store cannot be reached.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        shelf: Shelf,
        identity: Identity,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.settings, self.store, self.shelf, self.identity, self.now_ms = settings, store, shelf, identity, now_ms
        identity.settle(store)
        catalogue = Catalogue(settings.app, *settled_names(store, settings))
        step_ms = round(settings.limits.clock_step_seconds * 1e3)
        self.answering = Answering.ready(catalogue, shelf.n_slots, step_ms)
        shelf.fit = self.answering.fitted
        self.answering.fitted(shelf.serving.fallback)
        self.metrics = Metrics()
        self.keyring = Keyring(settings.keys, settings.limits)
        self.commits = GroupCommit(
            store,
            _settle,
            n_threads=THREADS.get(store.name, 1),
            most_waiting=settings.limits.waiting,
            now_ms=now_ms,
        )
        self._aside = ThreadPoolExecutor(ADMIN_THREADS, thread_name_prefix="aside")
        self.is_draining = False
        self.store_fault = ""  # as last seen
        self.guard_rail = "no two policies to compare yet"

    async def run(self, wanted: Wanted, work: Callable[[Unit], T]) -> T:
        """Do a piece of work in a transaction, together with others; return when it is committed.

        Raises:
            StoreError: it could not be done, or not in time: then it may have been done all the same, and the same
                idempotency key gets its answer.
            RefusedError: the work declined.
        """
        within = self.settings.limits.answer_within_ms / 1e3
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self.commits.submit(future, Job(wanted, work, time.monotonic() + within))
        timer = loop.call_later(within, _expire, future, self.store.name, within)
        try:
            return await future
        except StoreError as fault:
            self.metrics.faults[fault.reason] += 1
            raise
        finally:
            timer.cancel()

    async def aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something rare that may wait for the store, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *arguments)

    def faults(self) -> tuple[str, ...]:
        """Return what is amiss, in words; the service may go on all the same."""
        found = [f"refused, the old one stays: {words}" for words in list(self.shelf.refused.values())]
        if self.store_fault:
            found.append(self.store_fault)
        control = self.shelf.serving.control
        if control.is_killed:
            found.append("killed: the fallback decides")
        elif self.shelf.serving.active is None:
            found.append("no policy is active: the fallback decides")
        if self.is_draining:
            found.append("draining: the service is about to stop")
        return tuple(found)

    @property
    def is_ready(self) -> bool:
        """Whether requests should come here."""
        return not self.is_draining and not (self.store_fault and self.settings.on_fault == "refuse")

    def close(self) -> None:
        """Finish what was begun, and let go of the store."""
        self.is_draining = True
        self.commits.close()
        self._aside.shutdown()
        self.store.close()


def _settle(results: Sequence[tuple[Any, Any]]) -> None:
    """Give the waiting their results; runs in a thread of the commits."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for future, result in results:
        by_loop.setdefault(future.get_loop(), []).append((future, result))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_hand_out, settled)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _hand_out(settled: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in settled:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


def _expire(future: asyncio.Future[Any], store: str, within: float) -> None:
    if not future.done():
        future.set_exception(StoreError("slow", f"the {store} store did not answer within {within * 1e3:.0f} ms"))
