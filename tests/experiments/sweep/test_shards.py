"""A population in shards is the population, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.config import load_scenario
from experiments.sweep.shards import Joined, in_processes, lived, on_ray, simulate_shards
from simulator.config import Scenario
from simulator.fleet import Fleet
from simulator.measures import measure
from simulator.senders import Sender

DAILY = Sender(kind="hours", hours=(18,), per_week=7.0)


PAID = [k for k, campaign in enumerate(load_scenario("news").campaigns) if campaign.budget_eur is not None]
# What users share, they are settled over together.
UNPAID: dict[str, object] = {f"campaigns.{k}.budget_eur": None for k in PAID}


def small(n_users: int = 203, days: int = 12) -> Scenario:
    return load_scenario("news", UNPAID | {"population.n_users": n_users, "calendar.horizon_days": days})


def assert_equal(joined: Joined, fleet: Fleet) -> None:
    totals = fleet.totals()
    for name, book in joined.totals()._asdict().items():
        assert np.array_equal(book, getattr(totals, name)), name
    assert joined.users.tobytes() == fleet.users.tobytes()
    assert joined.tally.tobytes() == fleet.tally.tobytes()
    assert json.dumps(measure(joined).to_dict()) == json.dumps(measure(fleet).to_dict())


def test_four_shards_equal_one() -> None:
    fleet = Fleet(small())
    fleet.run(DAILY)
    assert fleet.totals().by_day.sum() > 0
    done: list[int] = []
    assert_equal(simulate_shards(small(), DAILY, 4, lambda shards: map(lived, shards), done.append), fleet)
    assert done == [1, 2, 3, 4]
    assert_equal(simulate_shards(small(), DAILY, 3, in_processes), fleet)


@pytest.mark.filterwarnings("ignore")
def test_four_shards_on_ray_equal_one() -> None:
    pytest.importorskip("ray")
    fleet = Fleet(small())
    fleet.run(DAILY)
    assert_equal(simulate_shards(small(), DAILY, 4, lambda shards: on_ray(shards, "local")), fleet)


def test_users_who_share_cannot_be_split() -> None:
    shared = load_scenario("ecommerce", {"population.n_users": 50})
    told = f"can only be run together: .* \\(--set campaigns.{PAID[0]}.budget_eur=null\\)"
    with pytest.raises(ValueError, match=told):
        simulate_shards(shared, DAILY, 2)
    with pytest.raises(ValueError, match="shards: expected 1 to 203, the number of users, got 204"):
        simulate_shards(small(), DAILY, 204)


def test_the_command(tmp_path: Path) -> None:
    base = ["simulate", "news", "--users", "60", "--days", "7", "--json"]
    base += [part for path in UNPAID for part in ("--set", f"{path}=null")]
    whole = CliRunner().invoke(main, [*base, "--out", str(tmp_path / "a")])
    split = CliRunner().invoke(main, [*base, "--out", str(tmp_path / "b"), "--shards", "2"])
    assert (whole.exit_code, split.exit_code) == (0, 0), split.output
    assert json.loads(whole.stdout) == json.loads(split.stdout)
    for arguments, told in (
        (["--ray-address", "local"], "--ray-address: expected --shards as well"),
        (["--shards", "2", "--engine", "events"], "--shards: expected --engine fleet, got events."),
        (["--shards", "61"], "shards: expected 1 to 60, the number of users, got 61"),
    ):
        done = CliRunner().invoke(main, [*base, "--out", str(tmp_path / "c"), *arguments])
        assert done.exit_code in (1, 2)
        assert told in done.output
