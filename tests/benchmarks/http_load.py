"""A client that asks as fast as it is answered: so many connections, each with one request at a time.

A process of its own (`python -m tests.benchmarks.http_load PLAN`), on asyncio's protocols: a client library would cost
more than the server that is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast


@dataclass(frozen=True)
class Load:
    """What is asked.

    Attributes:
        port: of loopback.
        path: of all requests.
        bodies: sent in turn.
        headers: beside those that every request has.
        n_connections: at once.
        seconds: for which answers are counted, after a quarter of that to get warm.
    """

    port: int
    path: str
    bodies: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    n_connections: int = 64
    seconds: float = 2.0


@dataclass(frozen=True)
class Answered:
    """What came of it.

    Attributes:
        per_second: answers with status 200 a second.
        p50_ms, p99_ms: from a request to its whole answer.
        n_failed: other answers.
        example: the last answer's body.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    n_failed: int
    example: str


class Connection(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again."""

    def __init__(self, requests: list[bytes], first: int, began: float, counted_from: float, until: float) -> None:
        self.requests, self.at, self.until = requests, first, until
        self.counted_from, self.began = counted_from, began
        self.times: list[float] = []
        self.n_failed = 0
        self.received = b""
        self.last = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.requests[self.at % len(self.requests)])
        self.at += 1

    def data_received(self, data: bytes) -> None:
        self.received = received = self.received + data if self.received else data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        start = received.index(b"content-length: ") + 16
        length = int(received[start : received.index(b"\r\n", start)])
        if len(received) < head + 4 + length:
            return
        now = time.perf_counter()
        if not received.startswith(b"HTTP/1.1 200"):
            self.n_failed += 1
        elif self.began >= self.counted_from:
            self.times.append(now - self.began)
        self.last, self.received = received[head + 4 :], b""
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def ask(load: Load) -> Answered:
    """Ask for so many seconds."""
    head = "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
    requests = [
        (
            f"POST {load.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{head}"
            f"content-length: {len(body)}\r\n\r\n{body}"
        ).encode()
        for body in load.bodies
    ]
    began = time.perf_counter()
    counted_from = began + load.seconds / 4.0
    until = counted_from + load.seconds
    loop = asyncio.get_running_loop()
    step = max(1, len(requests) // load.n_connections)
    connections = [
        (
            await loop.create_connection(
                lambda k=k: Connection(requests, k * step, began, counted_from, until),  # type: ignore[misc]
                "127.0.0.1",
                load.port,
            )
        )[1]
        for k in range(load.n_connections)
    ]
    await asyncio.gather(*(connection.done for connection in connections))
    times = sorted(took for connection in connections for took in connection.times)
    n_failed = sum(connection.n_failed for connection in connections)
    if not times:
        return Answered(0.0, 0.0, 0.0, n_failed, connections[0].last.decode())
    return Answered(
        len(times) / load.seconds,
        1e3 * times[len(times) // 2],
        1e3 * times[int(0.99 * len(times))],
        n_failed,
        connections[0].last.decode(),
    )


def main() -> None:
    load = Load(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        import uvloop

        found = uvloop.run(ask(load))
    except ImportError:
        found = asyncio.run(ask(load))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
