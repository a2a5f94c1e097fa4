"""Starting up: the first compilation, a start from the cache, and `kairos --help`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import Row

EVERYTHING = """
from experiments.config import load_scenario
from simulator.events import EventEngine
from simulator.fleet import Fleet
from simulator.senders import sender
scenario = load_scenario("ecommerce", overrides={"population.n_users": 50, "calendar.horizon_days": 3})
for engine in (Fleet, EventEngine):
    for policy in ("never", "weekly-28"):
        run = engine(scenario)
        run.run(sender(policy))
        assert len(run.users) == 50
"""
FLEET = EVERYTHING.replace("(Fleet, EventEngine)", "(Fleet,)").replace("from simulator.events import EventEngine\n", "")


def seconds(command: list[str], cache: str) -> float:
    """Wall time of a process with its own compilation cache."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "KAIROS_CACHE_DIR": cache})
    return time.perf_counter() - start


def run(quick: bool) -> list[Row]:
    """Return the figures of starting up."""
    python = [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as cache:
        first = seconds([*python, EVERYTHING], cache)
        cached = min(seconds([*python, FLEET], cache) for _ in range(3))
        both = min(seconds([*python, EVERYTHING], cache) for _ in range(3))
    kairos = str(Path(sys.executable).parent / "kairos")
    helped = min(seconds([kairos, "--help"], "") for _ in range(5))
    bare = min(seconds([*python, "pass"], "") for _ in range(5))
    return [
        Row("first compilation", "s", first, "budget", 90.0, 90.0 / first, 1.0, "both engines, nothing cached"),
        Row("cached start, fleet", "s", cached, "budget", 3.0, 3.0 / cached, 1.0, "a whole process"),
        Row("cached start, both engines", "s", both, "budget", 3.0, 3.0 / both, 1.0, "a whole process"),
        Row("kairos --help", "s", helped, "budget", 0.15, 0.15 / helped, 1.0, f"bare Python {bare * 1e3:.0f} ms"),
    ]
