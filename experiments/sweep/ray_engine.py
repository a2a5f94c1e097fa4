"""Trials as tasks of a Ray cluster, for more than one machine; extra `ray`. The one file that imports it.

The folder of a sweep must be one that all machines see. A task whose worker dies is tried again by Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from experiments.sweep.local import MOST_DEATHS, ONE_THREAD, Ended, tried
from experiments.sweep.plan import Task

MISSING = 'the engine `ray` needs Ray: pip install "kairos-notify[ray]"'
LOCAL = "local"


@contextmanager
def cluster(address: str, n_workers: int) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, and let go of it in the end; yields the library.

    Args:
        address: of a cluster; `local` starts one.
        n_workers: of a local one.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster there.
    """
    try:
        import ray
    except ImportError as missing:
        raise ModuleNotFoundError(MISSING, name="ray") from missing
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


def run_on_ray(tasks: Sequence[Task], trial: str, n_workers: int, address: str = LOCAL) -> Iterator[Ended]:
    """Yield trials as they end, in whatever order.

    Args:
        tasks: what to run.
        trial: `module:function`, importable on every machine.
        n_workers: tasks at a time.
        address: of the cluster; `local` starts one.

    Raises:
        ModuleNotFoundError, ConnectionError: as of `cluster`.
    """
    with cluster(address, n_workers) as ray:
        remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS)(tried)
        waiting = list(reversed(tasks))
        running: dict[Any, Task] = {}
        while waiting or running:
            while waiting and len(running) < n_workers:
                task = waiting.pop()
                running[remote.remote(trial, task)] = task
            [done], _ = ray.wait(list(running))
            task = running.pop(done)
            try:
                fault = ray.get(done)
            except ray.exceptions.RayError as error:
                fault = f"its worker died more than {MOST_DEATHS} times: {type(error).__name__}"
            yield Ended(task, fault)


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
