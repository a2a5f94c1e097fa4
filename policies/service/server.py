"""From the command line to a running service, and back down in order."""

from __future__ import annotations

import gc
import ipaddress
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policies.codec import DocumentError
from policies.decide import Policy, load
from policies.service.caretaker import Caretaker
from policies.service.core import Service
from policies.service.deciding.shelf import Shelf, ShelfError
from policies.service.http.app import App
from policies.service.identity import read_identity
from policies.service.settings import Settings, SettingsError, read_settings
from policies.service.state.opening import open_store
from policies.service.state.store import StateMismatchError, StoreError

log = logging.getLogger("kairos.service")
DRAIN_SECONDS = 10
# No access log: its lines would hold users' ids, and cost a fifth of the time. Nothing here asks where a request comes
# from, so what a proxy says of that is not read.
LEAN: dict[str, Any] = {"access_log": False, "proxy_headers": False, "server_header": False}
SWITCH_SECONDS = 0.0005  # the thread that commits must not keep the event loop waiting for Python's usual 5 ms

FAULTS = (SettingsError, ShelfError, StoreError, StateMismatchError, DocumentError, ImportError, OSError, ValueError)


def build(files: Sequence[Path], state: str, settings: Settings) -> App:
    """Return the application on a store, with its policies read.

    Args:
        files: of policy documents, at least one; the first is active.
        state: `memory`, `sqlite:PATH` or `postgresql://...`.

    Raises:
        One of FAULTS: it cannot be; the message says what was expected.
    """
    if not files:
        raise SettingsError("policies: expected at least one policy document, got none")
    first = load(files[0].read_bytes(), str(files[0]))
    fallback: Policy | None = None
    if settings.fallback is not None:
        fallback = load(Path(settings.fallback).read_bytes(), settings.fallback)
    identity = read_identity(settings, is_kept=state != "memory")
    store = open_store(state, synchronous=settings.synchronous, wait_ms=settings.limits.lock_wait_ms)
    try:
        shelf = Shelf(store, first.document.n_slots, fallback)
        service = Service(settings, store, shelf, identity)
        caretaker = Caretaker(service, tuple(files))
        caretaker.read_files()
    except BaseException:
        store.close()
        raise
    return App(service, caretaker)


def check_host(settings: Settings, host: str) -> None:
    """Refuse to serve without keys where others could ask.

    Raises:
        SettingsError: there are no keys, and the host is not loopback.
    """
    if settings.keys:
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise SettingsError(
            f"keys: without API keys everybody who reaches {host} may do everything; give [[keys]] in the settings, or "
            "serve on 127.0.0.1"
        )


def serve(files: Sequence[Path], state: str, host: str, port: int, config: Path | None) -> None:
    """Serve until told to stop; requests under way are answered first.

    Raises:
        One of FAULTS: it cannot start.
    """
    try:
        import uvicorn
    except ImportError as missing:
        raise ImportError(
            f'kairos serve needs {missing.name}: pip install "kairos-notify[serve]"', name=missing.name
        ) from missing

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings() if config is None else read_settings(config)
    check_host(settings, host)
    if not settings.keys:
        log.warning("without API keys: everybody on this machine may do everything")
    app = build(files, state, settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    # The web server stops in order at this signal, and then sends it to the process once more: by then all is done.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    # What is there now stays: the collector need not look through it again and again while requests come and go.
    gc.collect()
    gc.freeze()
    uvicorn.run(app, host=host, port=port, log_level="info", timeout_graceful_shutdown=DRAIN_SECONDS, **LEAN)


def export_ledger(state: str, folder: Path, config: Path | None) -> int:
    """Write what a service has decided into a ledger; the service may go on meanwhile.

    Returns:
        How many decisions were written.

    Raises:
        One of FAULTS, or LedgerError: it cannot be.
    """
    from policies.service.ledger_export import write_ledger

    settings = Settings() if config is None else read_settings(config)
    if state == "memory":
        raise SettingsError("state: expected sqlite:PATH or postgresql://..., got 'memory', which no process shares")
    store = open_store(state, synchronous=settings.synchronous, wait_ms=settings.limits.lock_wait_ms)
    try:
        documents = list(store.documents().items())
        if not documents:
            raise SettingsError(f"state: {state.partition('://')[0]}: no service has decided with this state yet")
        n_slots = load(documents[-1][1], f"kept policy {documents[-1][0]}").document.n_slots
        return write_ledger(store, folder, settings, n_slots)
    finally:
        store.close()
