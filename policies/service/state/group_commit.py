"""Many requests, one commit: what waits while the disk is busy is decided together and written at once.

A commit costs as much for sixty decisions as for one, so threads take whatever waits, run it in one transaction, and
give all answers when it is committed, never before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from policies.service.state.store import Store, StoreError
from policies.service.state.unit import Unit, Wanted

MOST_AT_ONCE = 128


class RefusedError(Exception):
    """A job that declines, before it has written anything into the unit; others of its batch go on.

    Attributes:
        status: of the answer, such as 409.
        problem: a short name for callers, such as `idempotency-key-reused`.
    """

    def __init__(self, status: int, problem: str, message: str) -> None:
        super().__init__(message)
        self.status, self.problem = status, problem


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        wanted: what it will look at.
        work: reads and writes the unit; it may be run again when its batch failed.
        deadline: of `time.monotonic()`, after which nobody waits for it any more; it is then not begun.
    """

    wanted: Wanted
    work: Callable[[Unit], Any]
    deadline: float


Result = Any  # what the work returned, or the exception that it ended in
Settle = Callable[[Sequence[tuple[Any, Result]]], None]


class GroupCommit:
    """Threads that run jobs in batches.

    Args:
        store: where.
        settle: told of (ticket, result) of each batch, in one of the threads.
        n_threads: SQLite has one lock for writing, so one; PostgreSQL gains by a few.
        most_waiting: jobs; further ones are refused at once.
        now_ms: by which the store dates what needs a date.
    """

    def __init__(
        self,
        store: Store,
        settle: Settle,
        *,
        n_threads: int = 1,
        most_waiting: int = 4_096,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store, self._settle, self._most_waiting, self._now_ms = store, settle, most_waiting, now_ms
        self._waiting: deque[tuple[Any, Job]] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._threads = [threading.Thread(target=self._run, name=f"commit-{k}", daemon=True) for k in range(n_threads)]
        for thread in self._threads:
            thread.start()

    @property
    def n_waiting(self) -> int:
        """How many jobs have not been begun."""
        return len(self._waiting)

    def submit(self, ticket: Any, job: Job) -> None:
        """Take a job; `settle` is told of its ticket.

        Raises:
            StoreError: too many wait already, or the service is closing.
        """
        with self._changed:
            if self._is_closing:
                raise StoreError("unavailable", "the service is closing")
            if len(self._waiting) >= self._most_waiting:
                raise StoreError("slow", f"{len(self._waiting)} requests wait for the {self._store.name} store already")
            self._waiting.append((ticket, job))
            self._changed.notify()

    def close(self) -> None:
        """Finish what waits, and stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                n = min(len(self._waiting), MOST_AT_ONCE)
                batch = [self._waiting.popleft() for _ in range(n)]
            self._settle(self._results(batch))

    def _results(self, batch: Sequence[tuple[Any, Job]]) -> list[tuple[Any, Result]]:
        now = time.monotonic()
        late = StoreError("slow", f"the {self._store.name} store did not come to it in time; nothing was written")
        found: list[tuple[Any, Result]] = [(ticket, late) for ticket, job in batch if job.deadline < now]
        live = [(ticket, job) for ticket, job in batch if job.deadline >= now]
        if not live:
            return found
        try:
            results = self._together([job for _, job in live])
        except StoreError as fault:
            if fault.reason == "clash":
                return found + [(ticket, self._alone(job)) for ticket, job in live]
            return found + [(ticket, fault) for ticket, _ in live]
        except Exception as fault:  # noqa: BLE001 - one job's mistake must not cost the others their answers
            if len(live) == 1:
                return [*found, (live[0][0], fault)]
            return found + [(ticket, self._alone(job)) for ticket, job in live]
        return found + [(ticket, result) for (ticket, _), result in zip(live, results, strict=True)]

    def _alone(self, job: Job) -> Result:
        for is_last in (False, True):
            try:
                return self._together([job])[0]
            except StoreError as fault:
                if fault.reason != "clash" or is_last:
                    return fault
            except Exception as fault:  # noqa: BLE001 - the caller is told
                return fault
        return None

    def _together(self, jobs: Sequence[Job]) -> list[Result]:
        def work(unit: Unit) -> list[Result]:
            results: list[Result] = []
            for job in jobs:
                try:
                    results.append(job.work(unit))
                except RefusedError as refused:
                    results.append(refused)
            return results

        return self._store.transact([job.wanted for job in jobs], work, self._now_ms())
