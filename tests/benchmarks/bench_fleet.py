"""The fleet engine on the full law, beside a bare kernel that only draws, exponentiates and takes logarithms.

User-hours are those of users who are present: someone who has left costs nothing and counts nothing.
"""

from __future__ import annotations

import functools
import math
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from experiments.config import load_scenario
from simulator.compiled import compiled_parallel, each
from simulator.config import Scenario
from simulator.fleet import Fleet
from simulator.records import HISTORY, USER, Floats, Metric
from simulator.senders import Sender, sender
from simulator.settlement import NO_WISH
from tests.benchmarks import Row

LEAST_RATE = 80e6
LEAST_LOCK_STEP = 40e6
LEAST_RATIO = 1.7
LEAST_SECONDS = 40.0
LEAST_GIB = 1.0


@compiled_parallel
def bare(levels: Floats, clocks: Floats, n_steps: int) -> None:
    """6 hashed draws, 3 exp and 2 log1p a user-step over float32 columns: no law at all."""
    for i in each(levels.shape[0]):
        a, b, c = levels[i, 0], levels[i, 1], levels[i, 2]
        clock = clocks[i]
        for step in range(n_steps):
            key = np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(step)
            u = np.float32(0.0)
            for k in range(6):
                x = key + np.uint64(k) * np.uint64(0xD1342543DE82EF95)
                x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                x ^= x >> np.uint64(31)
                u += np.float32(x >> np.uint64(40)) * np.float32(5.9604645e-08)
            a = max(a * math.exp(-np.float32(0.01) * u), np.float32(1e-12)) + np.float32(0.001)
            b = max(b * math.exp(-np.float32(0.02) * u), np.float32(1e-12)) + np.float32(0.002)
            c = max(c * math.exp(-np.float32(0.03) * u), np.float32(1e-12)) + np.float32(0.003)
            clock += math.log1p(a + u) - math.log1p(b * c)
        levels[i, 0], levels[i, 1], levels[i, 2] = a, b, c
        clocks[i] = clock


def best(run: Callable[[], object], repeats: int) -> float:
    """The least of several wall times in seconds: noise only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def unshared(preset: str, n_users: int, days: int) -> Scenario:
    scenario = load_scenario(preset, overrides={"population.n_users": n_users, "calendar.horizon_days": days})
    return scenario.model_copy(update={"campaigns": tuple(c for c in scenario.campaigns if c.budget_eur is None)})


def present_hours(fleet: Fleet) -> int:
    return int(fleet.totals().by_day[..., Metric.PRESENT_DAYS].sum()) * 24


def bare_rate(n_users: int, n_steps: int, repeats: int) -> float:
    levels, clocks = np.ones((n_users, 3), np.float32), np.zeros(n_users, np.float32)
    bare(levels, clocks, 1)
    seconds = best(lambda: bare(levels, clocks, n_steps), repeats)
    assert np.isfinite(clocks).all()
    return n_users * n_steps / seconds


def fused_rate(scenario: Scenario, rule: Sender, repeats: int) -> tuple[float, int]:
    """User-hours a second and sends, one user after another through all hours, the sender inside the loop."""
    warm = Fleet(scenario, 0, 10)
    warm.run(rule)
    seconds, hours, sends = float("inf"), 0, 0
    for _ in range(repeats):
        fleet = Fleet(scenario)
        seconds = min(seconds, best(functools.partial(fleet.run, rule), 1))
        hours = present_hours(fleet)
        sends = int(fleet.totals().by_day[..., Metric.SENDS].sum())
    return hours / seconds, sends


def lock_step_rate(scenario: Scenario, rule: Sender, repeats: int) -> tuple[float, int]:
    """User-hours a second with the policy called each hour for all users, in Python, between two steps."""
    record = rule.record()
    queue = np.zeros(scenario.population.n_users)
    hours = scenario.calendar.horizon_days * 24
    rate, sends = 0.0, 0
    for _ in range(repeats):
        fleet = Fleet(scenario)
        wishes = fleet.wishes(record)
        start = time.perf_counter()
        for _ in range(hours - 1):
            wishes = fleet.step(wishes, queue, record)
            sends += int(np.count_nonzero(wishes != NO_WISH))
        seconds = time.perf_counter() - start
        rate = max(rate, present_hours(fleet) / seconds)
    assert sends > 0
    return rate, sends


MILLION = """
import resource, time
from simulator.senders import sender
from tests.benchmarks.bench_fleet import unshared
from simulator.fleet import Fleet, run_in_chunks
Fleet(unshared("ecommerce", 10, 2)).run(sender("evening"))
start = time.perf_counter()
sends = 0
for fleet in run_in_chunks(unshared("ecommerce", {n}, 90), sender("evening")):
    sends += int(fleet.tally["counts"][:, 0].sum())
assert sends > {n}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def million(n_users: int) -> tuple[float, float]:
    """Seconds and GiB of a process of its own that runs so many users for 90 days in chunks."""
    done = subprocess.run([sys.executable, "-c", MILLION.format(n=n_users)], capture_output=True, text=True, check=True)
    seconds, gib = map(float, done.stdout.split())
    return seconds, gib


def run(quick: bool) -> list[Row]:
    """Return the figures of the fleet engine."""
    repeats = 2 if quick else 4
    n, days = (16_384, 30) if quick else (32_768, 90)
    rows = []
    policies = ("evening", "weekly-1", "never", "weekly-28")
    reference, rates, sends = 0.0, dict.fromkeys(policies, 0.0), dict.fromkeys(policies, 0)
    # In turns, and the best of each: a shared machine changes its speed by the minute.
    for _ in range(repeats):
        reference = max(reference, bare_rate(2**17, 50 if quick else 200, 1))
        for policy in policies:
            rate, sends[policy] = fused_rate(unshared("ecommerce", n, days), sender(policy), 1)
            rates[policy] = max(rates[policy], rate)
    for policy in policies:
        rate = rates[policy]
        note = f"ecommerce, {n:,} users, {days} days, {sends[policy]:,} sends"
        is_simple = policy in ("evening", "weekly-1")
        target = LEAST_RATIO if is_simple else None
        rows.append(
            Row(f"fused, {policy}", "user-hours/s", rate, "bare kernel", reference, rate / reference, target, note)
        )
        if is_simple:
            ratio = rate / LEAST_RATE
            rows.append(Row(f"fused, {policy}", "user-hours/s", rate, "asked for", LEAST_RATE, ratio, 1.0, "the same"))
    for policy in ("evening", "weekly-1"):
        rate, _ = lock_step_rate(unshared("ecommerce", 16_384, 4 if quick else 30), sender(policy), repeats)
        note = "16,384 users, policy called each hour"
        ratio = rate / LEAST_LOCK_STEP
        rows.append(Row(f"lock step, {policy}", "user-hours/s", rate, "asked for", LEAST_LOCK_STEP, ratio, 1.0, note))
    size = 65_536 if quick else 1_000_000
    seconds, gib = million(size)
    budget = LEAST_SECONDS * size / 1_000_000
    rows.append(
        Row(
            "a million users", "s", seconds, "budget", budget, budget / seconds, 1.0, f"{size:,} users, 90 days, chunks"
        )
    )
    rows.append(Row("its memory", "GiB", gib, "budget", LEAST_GIB, LEAST_GIB / gib, 1.0, "peak of the process"))
    rows.append(Row("law record", "bytes", USER.itemsize, "budget", 384, 384 / USER.itemsize, 1.0, ""))
    rows.append(Row("history record", "bytes", HISTORY.itemsize, "budget", 384, 384 / HISTORY.itemsize, 1.0, ""))
    rows += growth(repeats, quick)
    return rows


def growth(repeats: int, quick: bool) -> list[Row]:
    """Cost per user-hour at four times the users and four times the days: a ratio of 1 is linear."""
    n, days = (4_096, 20) if quick else (16_384, 45)
    base, _ = fused_rate(unshared("ecommerce", n, days), sender("evening"), repeats)
    users, _ = fused_rate(unshared("ecommerce", 4 * n, days), sender("evening"), repeats)
    longer, _ = fused_rate(unshared("ecommerce", n, 4 * days), sender("evening"), repeats)
    note = f"from {n:,} users, {days} days; 1 is linear"
    return [
        Row("four times the users", "user-hours/s", users, "once", base, users / base, None, note),
        Row("four times the days", "user-hours/s", longer, "once", base, longer / base, None, note),
    ]
