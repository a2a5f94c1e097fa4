"""Trials on processes of this machine.

A worker is started once and runs one trial after another, so that imports and compiled code are paid for once. Each has
one thread: two that share two cores by threads are slower than two that keep to one. A worker that dies takes no other
trial with it; its own is tried again, as far as `MOST_DEATHS`.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from experiments.sweep.plan import Task

MOST_DEATHS = 3  # of workers over one trial
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
        """Let it run a trial."""
        self.task = task
        self.line.send(task)


def _work(trial: str, line: Connection) -> None:
    """Run trials until there are no more; end at once when the process that asks is gone."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    while True:
        try:
            task = line.recv()
        except (EOFError, KeyboardInterrupt):
            return
        line.send(tried(trial, task))


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def run_locally(tasks: Sequence[Task], trial: str, n_workers: int) -> Iterator[Ended]:
    """Yield trials as they end, in whatever order.

    Args:
        tasks: what to run.
        trial: `module:function` with the arguments of `Trial`; makes the folder whole, or not at all.
        n_workers: processes.
    """
    waiting, deaths = deque(tasks), dict.fromkeys((task.folder for task in tasks), 0)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.task for worker in workers):
            while waiting and len(workers) < n_workers:
                workers.append(_Worker(trial))
            for worker in workers:
                if worker.task is None and waiting:
                    worker.give(waiting.popleft())
            lines = {worker.line: worker for worker in workers if worker.task is not None}
            for line in wait(list(lines)):
                worker = lines[line]  # type: ignore[index]
                task = worker.task
                assert task is not None
                try:
                    fault = worker.line.recv()
                except (EOFError, ConnectionResetError):
                    worker.process.join()
                    workers.remove(worker)
                    deaths[task.folder] += 1
                    if deaths[task.folder] < MOST_DEATHS:
                        waiting.appendleft(task)
                        continue
                    fault = f"its process died {MOST_DEATHS} times, at last with exit code {worker.process.exitcode}"
                worker.task = None
                yield Ended(task, fault)
    finally:
        for worker in workers:
            worker.line.close()
            if worker.task is not None:
                worker.process.terminate()
        for worker in workers:
            worker.process.join(5.0)
            if worker.process.is_alive():
                worker.process.kill()
