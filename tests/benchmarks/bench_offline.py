"""Offline evaluation at a million rounds by eight actions, beside the Open Bandit Pipeline and plain NumPy."""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.offline.estimators.model_based import dr
from experiments.offline.intervals import bootstrap_values
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.quick import quick_estimates
from experiments.offline.weighed import weigh
from tests.benchmarks import Row

N_ACTIONS = 8


def world(n: int) -> tuple[LoggedRounds, Any, Any]:
    """Return a log, a target policy and a reward model."""
    rng = np.random.default_rng(1)
    logging, target = (rng.dirichlet(np.ones(N_ACTIONS) * 2, n) for _ in range(2))
    actions = np.minimum((logging.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), N_ACTIONS - 1)
    rewards_of = rng.random((n, N_ACTIONS))
    rewards = (rng.random(n) < 0.5).astype(np.float64)
    p = logging[np.arange(n), actions]
    names = tuple(f"a{k}" for k in range(N_ACTIONS))
    return LoggedRounds(actions, rewards, names, propensities=p), target, rewards_of


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Time of the quickest of some rounds."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def plain_numpy(rounds: LoggedRounds, target: Any, rewards_of: Any) -> list[float]:
    """Return IPS, SNIPS and DR with their standard errors, as one writes them down."""
    rows, n = np.arange(len(rounds)), len(rounds)
    w = target[rows, rounds.actions] / rounds.propensities
    wr = w * rounds.rewards
    ratio = wr.sum() / w.sum()
    d = (target * rewards_of).sum(axis=1) + w * (rounds.rewards - rewards_of[rows, rounds.actions])
    found = [wr.mean(), wr.std(ddof=1) / n**0.5, ratio, (wr - ratio * w).std(ddof=1) / n**0.5 / w.mean()]
    return [*found, d.mean(), d.std(ddof=1) / n**0.5]


def obp(rounds: LoggedRounds, target: Any, rewards_of: Any, repeats: int) -> float | None:
    """Seconds of the Open Bandit Pipeline for the three values, without errors; None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from obp import ope
    except ImportError:
        return None
    feedback = {
        "n_rounds": len(rounds), "n_actions": N_ACTIONS, "action": rounds.actions, "reward": rounds.rewards,
        "pscore": rounds.propensities, "position": np.zeros(len(rounds), int), "context": np.zeros((len(rounds), 1)),
        "action_context": None, "expected_reward": None,
    }  # fmt: skip
    estimators = [
        ope.InverseProbabilityWeighting(), ope.SelfNormalizedInverseProbabilityWeighting(), ope.DoublyRobust()
    ]  # fmt: skip
    facade = ope.OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=estimators)
    action_dist, model = target[:, :, None], rewards_of[:, :, None]

    def work() -> object:
        return facade.estimate_policy_values(action_dist=action_dist, estimated_rewards_by_reg_model=model)

    return seconds(work, repeats)


def streamed(n: int) -> tuple[float, float]:
    """Return seconds and the growth of the process's peak memory, GiB, for IPS and SNIPS of n rows from Parquet."""
    import polars as pl

    from experiments.offline.logs.mapping import LogMapping
    from experiments.offline.logs.streams import stream_estimates
    from experiments.offline.targets import uniform

    mapping = LogMapping.model_validate(
        {"action": {"column": "a", "names": tuple("01234567")}, "reward": "r", "propensity": "p"}
    )
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(2)
        for part in range(-(-n // 1_000_000)):
            m = min(1_000_000, n - part * 1_000_000)
            table = {
                "a": rng.integers(0, 8, m).astype(np.int16),
                "r": rng.random(m).astype(np.float32),
                "p": np.full(m, 0.125),
            }
            pl.DataFrame(table).write_parquet(Path(folder) / f"{part:04d}.parquet")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        stream_estimates(folder, mapping, uniform)
        took = time.perf_counter() - start
        return took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20


def run(quick: bool) -> list[Row]:
    """Return the figures of offline evaluation."""
    n, repeats, replicates = (100_000, 3, 100) if quick else (1_000_000, 15, 1_000)
    rounds, target, rewards_of = world(n)
    ours = seconds(lambda: quick_estimates(rounds, target, rewards_of), repeats)
    numpy_took = seconds(lambda: plain_numpy(rounds, target, rewards_of), repeats)
    expected = plain_numpy(rounds, target, rewards_of)
    found = [
        part
        for each in quick_estimates(rounds, target, rewards_of).values()
        for part in (each.mean, each.standard_error)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    size = f"{n:,} rounds x {N_ACTIONS} actions"
    three = f"{size}: IPS, SNIPS, DR with standard errors"
    rows = [
        Row("offline, three estimates", "ms", 1e3 * ours, "NumPy", 1e3 * numpy_took, numpy_took / ours, None, three),
        Row("offline, three estimates", "ms", 1e3 * ours, "target", 15.0, 15.0 / (1e3 * ours), 1.0, three),
    ]
    theirs = obp(rounds, target, rewards_of, 2)
    if theirs is not None:
        rows.append(
            Row(
                "offline, three estimates",
                "ms",
                1e3 * ours,
                "OBP",
                1e3 * theirs,
                theirs / ours,
                None,
                f"{size}; OBP without errors",
            )
        )
    terms = dr(weigh(rounds, target, rewards_of))
    took = seconds(lambda: bootstrap_values(terms, None, replicates, 1), 1)
    rows.append(
        Row(
            "offline, bootstrap of DR",
            "s",
            took,
            "target",
            10.0,
            10.0 / took,
            1.0,
            f"{n:,} rounds, {replicates:,} replicates",
        )
    )
    n_rows = 1_000_000 if quick else 20_000_000
    took, memory = streamed(n_rows)
    rows.append(
        Row(
            "offline, rows from Parquet",
            "1/s",
            n_rows / took,
            "",
            None,
            None,
            None,
            f"{n_rows:,} rows by 8 actions: {took:.1f} s",
        )
    )
    rows.append(
        Row(
            "offline, memory beyond what was used",
            "GiB",
            memory,
            "target",
            2.0,
            2.0 / max(memory, 1e-3),
            1.0,
            f"{n_rows:,} rows",
        )
    )
    return rows
