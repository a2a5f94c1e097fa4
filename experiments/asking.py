"""Start the decision service for one decision: what the demo ends with.

    python -m experiments.asking results/demo

The newest run below the folder is taken, and of it the policy that was exported, else the first; it is asked what to do
for a typical user at seven in the evening.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

WAIT_SECONDS = 30.0
HOUR = 19


class AskingError(ValueError):
    """There is nothing to ask, or nobody answers."""


def main(folder: Path) -> None:
    """Serve a policy of a run, ask it once, and print the answer."""
    from experiments.exports.explain import typical_user
    from policies.decide import load
    from policies.vocabulary import action_names

    file = policy_of(folder)
    policy = load(file.read_bytes(), str(file))
    n_slots = policy.document.n_slots
    port = free_port()
    print(f"kairos serve {file} --port {port}")  # noqa: T201 what the demo shows
    command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", str(port)]
    service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/readyz", service)
        eligible = [True] * len(action_names(n_slots))
        body = {"features": typical_user(n_slots, HOUR), "eligible": eligible, "uniform": 0.5}
        answer = asked(f"{url}/v1/decide", body)
    finally:
        service.terminate()
        service.wait(10.0)
    what = f"{answer['action_name']}, probability {answer['propensity']:.4f}"
    print(f"POST /v1/decide, a typical user at {HOUR}:00: {what}")  # noqa: T201
    for reason in answer["reasons"]:
        print(f"  {reason}")  # noqa: T201


def policy_of(folder: Path) -> Path:
    """Return the policy to serve, of the newest run below a folder.

    Raises:
        AskingError: there is no run with a policy.
    """
    runs = sorted(folder.glob("**/summary.json"), key=lambda path: path.stat().st_mtime)
    for run in reversed(runs):
        exported = sorted((run.parent / "exports").glob("*"))
        named = [run.parent / "policies" / f"{one.name}.json" for one in exported]
        for file in (*named, *sorted((run.parent / "policies").glob("*.json"))):
            if file.is_file():
                return file
    raise AskingError(f"{folder}: expected a run with a policy, as `kairos run` leaves it; found none")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(url: str, service: subprocess.Popen[bytes]) -> None:
    """Return when a service answers.

    Raises:
        AskingError: it ended, or does not answer in time.
    """
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        if service.poll() is not None:
            told = service.stderr.read().decode(errors="replace") if service.stderr else ""
            raise AskingError(f"the service ended with exit code {service.returncode}: {told}")
        try:
            with urllib.request.urlopen(url, timeout=1.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AskingError(f"{url}: no answer within {WAIT_SECONDS:g} s")


def asked(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a question."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except AskingError as error:
        sys.exit(f"Error: {error}")
