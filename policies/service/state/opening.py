"""From the words of `--state` to a store."""

from __future__ import annotations

from policies.service.state.memory_store import MemoryStore
from policies.service.state.store import Store

FORMS = "memory, sqlite:PATH or postgresql://USER@HOST/DATABASE"


def open_store(words: str, *, synchronous: str = "FULL", wait_ms: int = 1_000) -> Store:
    """Return the store that `memory`, `sqlite:PATH` or `postgresql://...` names.

    Args:
        synchronous: of SQLite, FULL or NORMAL.
        wait_ms: for a lock that another holds.

    Raises:
        ValueError: it names none.
        ImportError: a library is missing; the message names the extra.
        StoreError, StateMismatchError: it cannot be used.
    """
    if words == "memory":
        return MemoryStore()
    if words.startswith("sqlite:") and len(words) > len("sqlite:"):
        from policies.service.state.sqlite_store import SqliteStore

        return SqliteStore(words.removeprefix("sqlite:"), synchronous=synchronous, wait_ms=wait_ms)
    if words.startswith(("postgresql://", "postgres://")):
        from policies.service.state.postgres_store import PostgresStore

        return PostgresStore(words, wait_ms=wait_ms)
    import difflib

    near = difflib.get_close_matches(words.partition(":")[0], ["memory", "sqlite", "postgresql"], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"state: expected {FORMS}, got {words!r}.{hint}")
