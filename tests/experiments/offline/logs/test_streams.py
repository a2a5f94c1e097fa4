"""A log read part by part says what it says when read at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments.offline.estimators.importance import ips, snips
from experiments.offline.estimators.model_based import dr
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.logs.mapping import LogMapping
from experiments.offline.logs.streams import stream_estimates
from experiments.offline.logs.tables import read_log
from experiments.offline.weighed import weigh

NAMES = ("none", "push", "email")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 2_500
    p = rng.uniform(0.1, 0.9, n)
    columns = {
        "a": rng.choice(NAMES, n),
        "r": rng.random(n),
        "p": p,
        "u": rng.integers(0, 400, n),
        "x": rng.normal(size=n),
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def mapping(**more: object) -> LogMapping:
    known = {"action": {"column": "a", "names": NAMES}, "reward": "r", "propensity": "p", "features": ("x",)}
    return LogMapping.model_validate(known | more)


def target(rounds: LoggedRounds) -> Floats:
    assert rounds.context is not None
    push = 1.0 / (1.0 + np.exp(-rounds.context[:, 0]))
    return np.column_stack([1.0 - push, 0.75 * push, 0.25 * push])


def model(rounds: LoggedRounds) -> Floats:
    assert rounds.context is not None
    rewards: Floats = 0.4 + 0.1 * rounds.context * np.asarray([0.0, 1.0, 2.0])
    return rewards


@pytest.mark.parametrize("by_user", [True, False])
def test_parts_are_the_whole(table: Path, by_user: bool) -> None:
    about = mapping(user="u") if by_user else mapping()
    whole = read_log(table, about)
    weighed = weigh(whole, target(whole), model(whole))
    seen: list[int] = []
    found = stream_estimates(table, about, target, model, rows=700, on_part=seen.append)
    assert seen == [700, 1400, 2100, 2500]
    assert found.users == (400 if by_user else 2_500)
    for name, terms in (("ips", ips(weighed)), ("snips", snips(weighed)), ("dr", dr(weighed))):
        assert math.isclose(found.estimates[name].mean, terms.value, rel_tol=1e-11)
        assert math.isclose(found.estimates[name].standard_error, terms.standard_error(whole.clusters), rel_tol=1e-9)
    assert found.logged == pytest.approx(whole.rewards.mean())
    assert found.effective == pytest.approx(weighed.weights.sum() ** 2 / (weighed.weights**2).sum())
    assert found.largest_weight == weighed.weights.max()
    assert stream_estimates(table, about, target, rows=900).estimates.keys() == {"ips", "snips"}


def test_a_fault_has_its_row_in_the_table(table: Path) -> None:
    frame = pl.read_parquet(table)
    frame[1_800, "p"] = 0.0
    with pytest.raises(LogError, match=r"^row 1800: p .propensity.: expected above 0 and at most 1, got 0\.0$"):
        stream_estimates(frame, mapping(), target, rows=700)
    with pytest.raises(ValueError, match="stream_estimates: expected at least one round, got an empty table"):
        stream_estimates(frame[:0], mapping(), target)
