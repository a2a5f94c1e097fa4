"""A real server: `kairos serve` in a process of its own, on a free port of loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from policies.codec import write
from tests.policies.service.postgres_process import free_port
from tests.policies.service.serving import SECRET, sender

ROOT = Path(__file__).resolve().parents[3]
TOML = """
[constraints]
passes_gap = ["scheduled", "triggered", "transactional"]
caps = [{name = "push-a-day", limit = LIMIT, window = "rolling", hours = 24, channels = ["push"]}]
[limits]
lock_wait_ms = 10000
answer_within_ms = 20000
[users]
permitted_by_default = ["push"]
[[campaigns]]
name = "digest"
"""


class Server:
    """A running server.

    Attributes:
        url: to ask at.
        process: to be ended.
        log: what it wrote.
    """

    def __init__(self, folder: Path, state: str, limit: int = 2, more: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(timeout=10.0)
        self.policy = folder / "policy.json"
        self.policy.write_text(write(sender(n_slots=1)), encoding="utf-8")
        config = folder / f"service-{self.port}.toml"
        # Top-level names come before the sections.
        config.write_text(f"watch_seconds = 0.1\n{more}\n" + TOML.replace("LIMIT", str(limit)), encoding="utf-8")
        self.log = folder / f"log-{self.port}"
        command = [sys.executable, "-m", "experiments.cli", "serve", str(self.policy), "--state", state]
        command += ["--port", str(self.port), "--config", str(config)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAIROS_USER_KEY": SECRET.decode()}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)

    def wait(self, seconds: float = 15.0) -> None:
        """Wait until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1.0).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
            assert self.process.poll() is None, self.log.read_text()
        raise AssertionError(f"no answer within {seconds} s: {self.log.read_text()}")

    def kill(self) -> None:
        """Kill it as the kernel does, without any warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                return self.process.wait(10)
        return self.process.returncode

    def export(self, user_id: str) -> dict[str, list[dict[str, object]]]:
        """Return what it keeps of a user."""
        found: dict[str, list[dict[str, object]]] = self.client.get(f"{self.url}/v1/users/{user_id}/export").json()
        return found


@contextmanager
def running(folder: Path, state: str, limit: int = 2, more: str = "", n: int = 1) -> Iterator[list[Server]]:
    """Servers on one state, ended in the end."""
    servers = [Server(folder, state, limit, more) for _ in range(n)]
    try:
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.stop()
