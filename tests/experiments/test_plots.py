"""Pictures are drawn whatever the figures: nobody, nothing, one day, long names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.compare import compare
from experiments.config import load_scenario
from experiments.plots import _apart, draw_comparison, draw_run
from simulator.fleet import Fleet
from simulator.measures import Measures, measure
from simulator.senders import sender

PNG = b"\x89PNG\r\n"


def run(policy: str, **overrides: object) -> Measures:
    fleet = Fleet(load_scenario("ecommerce", overrides))
    fleet.run(sender(policy))
    return measure(fleet)


SMALL: dict[str, object] = {"population.n_users": 80, "calendar.horizon_days": 15}
EDGES: dict[str, dict[str, object]] = {
    "some users": SMALL,
    "one user, one day, no campaign": {"population.n_users": 1, "calendar.horizon_days": 1, "campaigns": []},
    "new users only": {**SMALL, "population.mature_share": 0.0},
    "mature users only": {**SMALL, "population.mature_share": 1.0},
}


@pytest.mark.parametrize("edge", EDGES)
def test_a_picture_whatever_happened(edge: str, tmp_path: Path) -> None:
    names = ("never", "weekly-28+email")
    measured = {name: run(name, **EDGES[edge]) for name in names}
    draw_run(tmp_path / "run.png", measured["weekly-28+email"], "weekly-28+email")
    draw_comparison(tmp_path / "comparison.png", compare(measured), measured)
    for picture in ("run.png", "comparison.png"):
        assert (tmp_path / picture).read_bytes().startswith(PNG)


def test_many_policies_or_one(tmp_path: Path) -> None:
    never = run("never", **SMALL)
    measured = {f"policy-{k}+triggered+email": never for k in range(10)}
    draw_comparison(tmp_path / "many.png", compare(measured), measured)
    draw_comparison(tmp_path / "one.png", compare({"never": never}), {"never": never})
    assert (tmp_path / "one.png").read_bytes().startswith(PNG)


def test_names_stand_apart_in_their_order() -> None:
    places = np.sort(np.random.default_rng(2).uniform(0, 1, 7)).tolist()
    heights = [0.05, 0.1, 0.05, 0.05, 0.15, 0.05, 0.05]
    moved = _apart(places, heights)
    gaps = np.diff(moved)
    assert (gaps >= (np.asarray(heights[:-1]) + heights[1:]) / 2 - 1e-12).all()
    assert _apart([0.1, 0.5, 0.9], [0.05] * 3) == pytest.approx([0.1, 0.5, 0.9])
    assert _apart([], []) == []
