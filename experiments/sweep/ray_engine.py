"""Trials as tasks of a Ray cluster, for more than one machine; extra `ray`. The one file that imports it.

The folder of a sweep must be one that all machines see. A task whose worker dies is tried again by Ray.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from experiments.sweep.local import MOST_DEATHS, ONE_THREAD, Ended, tried
from experiments.sweep.plan import Task

MISSING = 'the engine `ray` needs Ray: pip install "kairos-notify[ray]"'
LOCAL, FOUND = "local", "auto"  # addresses that Ray knows what to do with
SECONDS_TO_ANSWER = 10.0


@contextmanager
def cluster(address: str, n_workers: int) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, and let go of it in the end; yields the library.

    Args:
        address: of a cluster, HOST:PORT; `local` starts one, `auto` finds one that was started on this machine.
        n_workers: of a local one.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster there.
    """
    try:
        import ray
    except ImportError as missing:
        raise ModuleNotFoundError(MISSING, name="ray") from missing
    if address not in (LOCAL, FOUND):
        _require_answer(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    options["runtime_env"] = {"env_vars": ONE_THREAD}
    if address == LOCAL:
        options |= {"num_cpus": n_workers, "include_dashboard": False}
    else:
        options["address"] = address
    ray.init(**options)
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise unless somebody listens there: Ray itself would wait without a word, and without an end."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConnectionError(f"Ray's address: expected HOST:PORT, `{FOUND}` or `{LOCAL}`, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConnectionError(f"no Ray cluster at {address}: {why}") from None


@contextmanager
def ray_workers(
    trial: str, n_workers: int, address: str = LOCAL
) -> Iterator[Callable[[Sequence[Task]], Iterator[Ended]]]:
    """Yield what runs trials as tasks of a cluster, and let go of this in the end.

    Args:
        trial: `module:function`, importable on every machine.
        n_workers: tasks at a time.
        address: of the cluster; `local` starts one.

    Raises:
        ModuleNotFoundError, ConnectionError: as of `cluster`.
    """
    with cluster(address, n_workers) as ray:
        remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS - 1)(tried)

        def run(tasks: Sequence[Task]) -> Iterator[Ended]:
            waiting = list(reversed(tasks))
            running: dict[Any, Task] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < n_workers:
                        task = waiting.pop()
                        running[remote.remote(trial, task)] = task
                    [done], _ = ray.wait(list(running))
                    task = running.pop(done)
                    try:
                        fault = ray.get(done)
                    except ray.exceptions.RayError as error:
                        fault = f"its worker died {MOST_DEATHS} times: {type(error).__name__}"
                    yield Ended(task, fault)
            finally:
                for one in running:  # nobody waits for them now
                    ray.cancel(one, force=True)

        yield run


def run_on_ray(tasks: Sequence[Task], trial: str, n_workers: int, address: str = LOCAL) -> Iterator[Ended]:
    """Yield trials as they end, in whatever order, on a cluster for these alone; see `ray_workers`."""
    with ray_workers(trial, n_workers, address) as run:
        yield from run(tasks)


def mapped_on_ray(work: Callable[[Any], Any], arguments: Sequence[Any], address: str = LOCAL) -> Iterator[Any]:
    """Yield what work makes of each argument, in their order, each a task of the cluster.

    Args:
        work: importable on every machine.
        address: of the cluster; `local` starts one with as many workers as there are cores.

    Raises:
        ModuleNotFoundError, ConnectionError: as of `cluster`.
    """
    with cluster(address, os.cpu_count() or 1) as ray:
        remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS)(work)
        running = [remote.remote(argument) for argument in arguments]
        for one in running:
            yield ray.get(one)
