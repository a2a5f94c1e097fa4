"""The event engine beside raw SimPy: the same number of processes, each only sleeping for drawn times.

Counted is only what happens to users: sends, deliveries, notices, sessions, conversions, opt-outs, departures. A send
is the outcome of a decision; decisions to be silent, the census and quiet hours count nothing.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Generator

import numpy as np
import simpy

from simulator.config import Scenario
from simulator.events import EventEngine
from simulator.records import Metric
from simulator.senders import Sender, sender
from tests.benchmarks import Row
from tests.benchmarks.bench_fleet import unshared

LEAST_RATIO = 0.3
HAPPENING = (
    Metric.SENDS,
    Metric.DELIVERIES,
    Metric.NOTICES,
    Metric.SESSIONS_ORGANIC,
    Metric.SESSIONS_DRIVEN,
    Metric.CONVERSIONS_ORGANIC,
    Metric.CONVERSIONS_DRIVEN,
    Metric.OPT_OUTS_PUSH,
    Metric.OPT_OUTS_EMAIL,
    Metric.CHURNS,
)


def raw_rate(n_processes: int, n_events: int) -> float:
    """Events a second of processes that sleep for pre-drawn exponential times."""
    env = simpy.Environment()
    draws = np.random.default_rng(1).exponential(1.0, (n_processes, n_events // n_processes)).tolist()

    def sleeper(delays: list[float]) -> Generator[simpy.Event, None, None]:
        for delay in delays:
            yield env.timeout(delay)

    for delays in draws:
        env.process(sleeper(delays))
    start = time.perf_counter()
    env.run()
    return n_processes * (n_events // n_processes) / (time.perf_counter() - start)


def engine_rate(scenario: Scenario, rule: Sender) -> tuple[float, int, int]:
    """Things that happen to users a second; how many; and SimPy's own events."""
    engine = EventEngine(scenario)
    start = time.perf_counter()
    engine.run(rule)
    seconds = time.perf_counter() - start
    happened = int(engine.totals().by_day[..., list(HAPPENING)].sum())
    assert happened > len(engine.users)
    return happened / seconds, happened, engine.n_steps


def run(quick: bool) -> list[Row]:
    """Return the figures of the event engine."""
    n, days, repeats = (2_000, 10, 2) if quick else (10_000, 30, 3)
    scenario = unshared("ecommerce", n, days)
    engine_rate(unshared("ecommerce", 50, 3), sender("evening"))
    rows = []
    for policy in ("evening", "weekly-28", "never"):
        ours, raw, happened, steps = 0.0, 0.0, 0, 0
        for _ in range(repeats):
            gc.collect()
            rate, happened, steps = engine_rate(scenario, sender(policy))
            ours = max(ours, rate)
            gc.collect()
            raw = max(raw, raw_rate(n, max(steps, 10 * n)))
        note = f"{n:,} users, {days} days: {happened:,} events in {steps:,} SimPy steps"
        target = LEAST_RATIO if policy == "evening" else None
        rows.append(Row(f"event engine, {policy}", "events/s", ours, "raw SimPy", raw, ours / raw, target, note))
    return rows
