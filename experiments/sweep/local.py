"""Trials on processes of this machine.

A worker is started once and runs one trial after another, batch after batch, so that imports and compiled code are paid
for once. Each has one thread: two that share two cores by threads are slower than two that keep to one. A worker that
dies takes no other trial with it; its own is tried again, as far as `MOST_DEATHS`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from experiments.sweep.plan import Task

MOST_DEATHS = 3  # of workers over one trial
SECONDS_TO_END = 5.0  # that a worker is given
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
Trial = Callable[[str, dict[str, Any], int, str], None]  # of a base, overrides, a seed and a folder


class Ended(NamedTuple):
    """A trial that has ended.

    Attributes:
        fault: why there is no result; "" where there is one.
    """

    task: Task
    fault: str


def found(name: str) -> Trial:
    """Return a trial function by `module:function`."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


def tried(trial: str, task: Task) -> str:
    """Run a trial; return why it failed, "" where it did not."""
    try:
        found(trial)(task.base, task.setting.overrides, task.seed, task.folder)
    except Exception as fault:  # noqa: BLE001 whatever it was, the others go on
        return f"{type(fault).__name__}: {fault}\n{''.join(traceback.format_exception(fault))}"
    return ""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started within have one thread each.

    By the environment, because it is read when the libraries are loaded; the parent's own is as before afterwards.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def one_thread_processes(n: int) -> Iterator[Executor]:
    """Yield n processes with one thread each, for work that is told by functions."""
    with _one_thread(), ProcessPoolExecutor(n, multiprocessing.get_context("spawn")) as pool:
        yield pool


class _Worker:
    """A process and the line to it."""

    def __init__(self, trial: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(trial, theirs), daemon=True)
        with _one_thread():
            self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        """Let it run a trial; one that died meanwhile is found when its line is read."""
        self.task = task
        with suppress(OSError):
            self.line.send(task)

    def end(self) -> None:
        """Let it go; at once, if it is in the middle of a trial."""
        self.line.close()
        if self.task is not None:
            self.process.terminate()
        self.process.join(SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(trial: str, line: Connection) -> None:
    """Run trials until there are no more; end at once when the process that asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the process that asks decides
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    while True:
        try:
            task = line.recv()
        except EOFError:
            return
        line.send(tried(trial, task))


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Workers:
    """Processes that stay from one call to the next."""

    def __init__(self, trial: str, n_workers: int) -> None:
        self._trial, self._n_workers = trial, n_workers
        self._workers: list[_Worker] = []

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Yield trials as they end, in whatever order."""
        waiting, deaths = deque(tasks), dict.fromkeys((task.folder for task in tasks), 0)
        try:
            while waiting or self._busy():
                self._give(waiting)
                lines = {worker.line: worker for worker in self._busy()}
                for line in wait(list(lines)):
                    worker = lines[line]  # type: ignore[index]
                    task = worker.task
                    assert task is not None
                    try:
                        fault = worker.line.recv()
                    except (EOFError, ConnectionResetError):
                        self._workers.remove(worker)
                        worker.end()
                        deaths[task.folder] += 1
                        if deaths[task.folder] < MOST_DEATHS:
                            waiting.appendleft(task)
                            continue
                        code = worker.process.exitcode
                        fault = f"its process died {MOST_DEATHS} times, at last with exit code {code}"
                    worker.task = None
                    yield Ended(task, fault)
        finally:
            self._end([worker for worker in self._workers if worker.task is not None])  # nobody waits for them now

    def end(self) -> None:
        """Let all of them go."""
        self._end(list(self._workers))

    def _give(self, waiting: deque[Task]) -> None:
        """Give each idle worker a trial, and start as many as there is work for."""
        idle = [worker for worker in self._workers if worker.task is None]
        while waiting and (idle or len(self._workers) < self._n_workers):
            if not idle:
                idle.append(_Worker(self._trial))
                self._workers += idle
            idle.pop().give(waiting.popleft())

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _end(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            self._workers.remove(worker)
            worker.end()


@contextmanager
def local_workers(trial: str, n_workers: int) -> Iterator[Callable[[Sequence[Task]], Iterator[Ended]]]:
    """Yield what runs trials on processes of this machine, and let go of these in the end.

    Args:
        trial: `module:function` with the arguments of `Trial`; makes the folder whole, or not at all.
        n_workers: processes, started when there is work for them.
    """
    workers = _Workers(trial, n_workers)
    try:
        yield workers
    finally:
        workers.end()


def run_locally(tasks: Sequence[Task], trial: str, n_workers: int) -> Iterator[Ended]:
    """Yield trials as they end, on processes for these alone; see `local_workers`."""
    with local_workers(trial, n_workers) as run:
        yield from run(tasks)
