"""The one door to Numba: typed decorators, and a cache that knows when the law has changed.

Numba keys a cached function by its own file alone, so a change in a function that it calls would go unnoticed and an
old law would run under new sources. Here the cache lives in a folder named after a hash of every source file of the
package, so that a change anywhere compiles everything anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, TypeVar

import numba
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])

# Numba's hints leave out its settings and the switch that turns reference counting off.
_CONFIG: Any = numba.config
_NJIT: Any = numba.njit

_STALE_SECONDS = 30 * 24 * 3600.0


def _source_hash() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    here = Path(__file__).parent
    for path in (*sorted(here.rglob("*.py")), *sorted((here.parent / "policies").glob("*.py"))):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> str:
    """Return this source's cache folder; drop folders of sources that nobody has run for a month."""
    base = Path(os.environ.get("KAIROS_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kairos")
    base = base.expanduser()
    folder = base / _source_hash()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        for other in base.iterdir():
            if other.is_dir() and time.time() - other.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return str(folder)


_FOLDER = _cache_folder()


def _decorate(function: F, *, is_parallel: bool = False, may_allocate: bool = False, is_inlined: bool = False) -> F:
    # The cache folder is read when a function is decorated; other users of Numba in the process keep their own.
    before = _CONFIG.CACHE_DIR
    _CONFIG.CACHE_DIR = _FOLDER
    try:
        # No fastmath: results must not depend on how a function was inlined. error_model="numpy" drops the
        # branch on every division.
        # Without allocation there is nothing to count: reference counts of the shared tables, two atomic writes a
        # call, would cost four times the law itself.
        wrapped: F = _NJIT(
            cache=True,
            nogil=True,
            error_model="numpy",
            parallel=is_parallel,
            forceinline=is_inlined,
            _nrt=may_allocate,
        )(function)
    finally:
        _CONFIG.CACHE_DIR = before
    return wrapped


def compiled(function: F) -> F:
    """Compile a scalar function of the law; callable from Python and from other compiled functions.

    It reads and writes the arrays it is given and makes none.
    """
    return _decorate(function)


def inlined(function: F) -> F:
    """Compile as `compiled` does, and copy the body to where it is called.

    For functions that take the world and the books and have few callers: handing on these tuples of arrays costs some
    hundred words a call.
    """
    return _decorate(function, is_inlined=True)


def compiled_generator(function: F) -> F:
    """Compile a generator: it keeps its arrays between calls, so that resuming it costs a fifth of a microsecond."""
    return _decorate(function, may_allocate=True)


def compiled_parallel(function: F) -> F:
    """Compile a loop over blocks of users that uses `each` for its parallel range."""
    return _decorate(function, is_parallel=True, may_allocate=True)


each = numba.prange


@cache
def _launch() -> None:
    """Start Numba's threads, once, and leave other libraries the number of threads that they were given.

    Numba's OpenMP layer sets the number for all who share OpenMP with it. PyTorch does: told to use one thread, it
    would go on with all, and a softmax over 64 by 193 took 9 ms instead of 0.05 on two busy cores.
    """
    if sys.platform == "win32":
        return
    process = ctypes.CDLL(None)  # symbols that are global to the process: where Numba's layer, too, looks first
    if not hasattr(process, "omp_get_max_threads"):
        return
    n_threads = process.omp_get_max_threads()
    numba.get_num_threads()
    process.omp_set_num_threads(n_threads)


def use_threads(n_threads: int) -> None:
    """Set how many threads parallel loops use; the results do not depend on it."""
    if not 1 <= n_threads <= most_threads():
        raise ValueError(f"threads: expected 1 to {most_threads()} on this machine, got {n_threads}")
    _launch()
    numba.set_num_threads(n_threads)


def most_threads() -> int:
    """Return how many threads this machine offers."""
    limit: int = _CONFIG.NUMBA_NUM_THREADS
    return limit


@contextlib.contextmanager
def on_threads(n_threads: int) -> Iterator[None]:
    """Run what is inside on so many threads, then go back."""
    _launch()
    before: int = numba.get_num_threads()
    numba.set_num_threads(n_threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def threads() -> int:
    """Return how many threads parallel loops use now."""
    _launch()
    count: int = numba.get_num_threads()
    return count


@intrinsic
def _ones(typing_context: Any, bits: Any) -> Any:
    """Count the ones of an integer by the processor's own instruction."""
    del typing_context

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.ctpop(arguments[0])

    return bits(bits), code


@compiled
def bit_count(bits: int) -> int:
    """Do as `policies.history.bit_count`."""
    return _ones(numba.int64(bits))  # type: ignore[call-arg]


def rebuilt(*modules: ModuleType) -> Any:
    """Compile all functions of some modules of `policies`, each calling the compiled form of the others.

    The modules stay as they are: production runs them interpreted. A function is compiled when it is first called, so
    those that only interpreted code uses may do what compiled code cannot.

    Args:
        modules: may import functions from one another.

    Returns:
        A namespace with the compiled functions by their names.
    """
    twins: dict[FunctionType, Any] = {}
    worlds = []
    for module in modules:
        world = dict(vars(module))
        worlds.append(world)
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                twin = FunctionType(value.__code__, world, value.__name__, value.__defaults__, value.__closure__)
                twin.__module__, twin.__qualname__ = value.__module__, value.__qualname__
                twins[value] = bit_count if value.__name__ == "bit_count" else _decorate(twin, is_inlined=True)
    for world in worlds:
        for name, value in world.items():
            if isinstance(value, FunctionType) and value in twins:
                world[name] = twins[value]
    return SimpleNamespace(**{function.__name__: twin for function, twin in twins.items()})
