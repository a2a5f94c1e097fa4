"""Stores of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policies.service.state.memory_store import MemoryStore
from policies.service.state.postgres_store import PostgresStore
from policies.service.state.sqlite_store import SqliteStore
from policies.service.state.store import Store
from tests.policies.service.postgres_process import postgres_process


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server whose databases are the tests'."""
    with postgres_process(is_durable=False) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The address of an empty database."""
    import secrets

    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres_server}/{name}"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens a store of each kind, the same one at every call."""
    opened: list[Store] = []
    kept = MemoryStore()

    def open_it() -> Store:
        match request.param:
            case "sqlite":
                store: Store = SqliteStore(tmp_path / "state.db", synchronous="NORMAL", wait_ms=10_000)
            case "postgresql":
                store = PostgresStore(request.getfixturevalue("postgres_url"), wait_ms=10_000)
            case _:
                store = kept
        opened.append(store)
        return store

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_again: Callable[[], Store]) -> Store:
    """A store of each kind."""
    return open_again()
