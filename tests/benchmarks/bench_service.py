"""The decision service: one worker, 64 connections, keys and metrics on, beside a bare echo on the same stack."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from policies.codec import write
from tests.benchmarks import Row
from tests.benchmarks.http_load import Answered, Load
from tests.policies.documents import ALL, RULES, random_observation

ROOT = Path(__file__).resolve().parents[2]
KEY = "a key for the benchmark"
N_USERS = 20_000
SETTINGS = f"""
[constraints]
passes_gap = ["scheduled", "triggered", "transactional"]
caps = [
  {{name = "push-a-day", limit = 2, window = "day", channels = ["push"]}},
  {{name = "email-a-week", limit = 3, window = "week", channels = ["email"]}},
  {{name = "all-a-week", limit = 9, window = "week"}},
]
[constraints.quiet]
start_minute = 1439
end_minute = 1
[users]
permitted_by_default = ["push", "email"]
[[campaigns]]
name = "digest"
[[campaigns]]
name = "sale"
category = 2
channels = ["push", "email"]
[[campaigns]]
name = "new"
category = 3
[[campaigns]]
name = "cart"
kind = "triggered"
trigger = "cart"
[[keys]]
name = "app"
roles = ["decide", "outcomes"]
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
[[keys]]
name = "operator"
roles = ["admin"]
sha256 = "{hashlib.sha256(b"another").hexdigest()}"
"""
HALF_AN_ECHO = 0.5
STATELESS_PER_S = 12_000.0
P99_MS = 8.0
DURABLE_PER_S = 3_000.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def process(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server that answers on a port, ended in the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAIROS_USER_KEY": "0123456789abcdef0123456789abcdef"}
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        end = time.monotonic() + 30.0
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{command[2]}: no answer: {log.read_text()}") from None
                time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(30)


def asked(load: Load, folder: Path) -> Answered:
    """Ask from a process of its own."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps(asdict(load)), encoding="utf-8")
    command = [sys.executable, "-m", "tests.benchmarks.http_load", str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
    return Answered(**json.loads(done.stdout))


def echo(folder: Path, bodies: list[str], seconds: float) -> Answered:
    port = free_port()
    with process([sys.executable, "-m", "tests.benchmarks.http_echo", str(port)], port, folder / "echo.log"):
        found = asked(Load(port, "/", bodies, seconds=seconds), folder)
    assert not found.n_failed
    assert found.example in bodies
    return found


def service(folder: Path, state: str, bodies: list[str], seconds: float) -> Answered:
    port = free_port()
    policy, settings = folder / "policy.json", folder / "service.toml"
    policy.write_text(write(RULES), encoding="utf-8")
    settings.write_text(SETTINGS, encoding="utf-8")
    command = [sys.executable, "-m", "experiments.cli", "serve", str(policy), "--state", state]
    command += ["--port", str(port), "--config", str(settings)]
    headers = {"authorization": f"Bearer {KEY}"}
    with process(command, port, folder / "service.log"):
        found = asked(Load(port, "/v1/decide", bodies, headers, seconds=seconds), folder)
    assert not found.n_failed, found.example
    assert "propensity" in found.example, found.example
    return found


def stateless_bodies() -> list[str]:
    draw = random.Random(1)
    return [
        json.dumps({"features": [round(x, 6) for x in random_observation(draw)], "eligible": list(ALL), "uniform": 0.5})
        for _ in range(256)
    ]


def stateful_bodies() -> list[str]:
    draw = random.Random(2)
    return [json.dumps({"user_id": f"user {draw.randrange(N_USERS)}"}) for _ in range(50_000)]


def run(quick: bool) -> list[Row]:
    """Return the figures of the service."""
    seconds, n_rounds = (0.5, 1) if quick else (4.0, 3)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies, users = stateless_bodies(), stateful_bodies()
        pairs = [(echo(folder, bodies, seconds), service(folder, "memory", bodies, seconds)) for _ in range(n_rounds)]
        bare = median(one.per_second for one, _ in pairs)
        rate, p99 = median(own.per_second for _, own in pairs), median(own.p99_ms for _, own in pairs)
        note = "64 connections, one worker, 57 features, rules with reasons, keys and metrics on"
        rows.append(Row("service, stateless", "requests/s", rate, "bare echo", bare, rate / bare, HALF_AN_ECHO, note))
        budget = "at least", STATELESS_PER_S
        rows.append(Row("service, stateless", "requests/s", rate, *budget, rate / STATELESS_PER_S, 1.0, note))
        rows.append(Row("service, stateless, p99", "ms", p99, "at most", P99_MS, P99_MS / p99, 1.0, note))
        states = {"memory": "memory", "SQLite, FULL": f"sqlite:{folder / 'state.db'}"}
        with postgres() as url:
            if url:
                states["PostgreSQL"] = url
            for kind, state in states.items():
                found = service(folder, state, users, seconds)
                note = f"{N_USERS:,} users, 3 caps, 4 campaigns, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms"
                per_s = found.per_second
                target = None if kind == "memory" else 1.0
                what = f"service, {kind}: decided, capped, logged"
                rows.append(
                    Row(what, "requests/s", per_s, "at least", DURABLE_PER_S, per_s / DURABLE_PER_S, target, note)
                )
    return rows


@contextmanager
def postgres() -> Iterator[str | None]:
    """A server of the benchmark's own, durable as servers are; None where PostgreSQL is not installed."""
    import pytest

    from tests.policies.service.postgres_process import postgres_process

    try:
        with postgres_process(is_durable=True) as url:
            yield f"{url}/postgres"
    except pytest.skip.Exception:
        yield None
