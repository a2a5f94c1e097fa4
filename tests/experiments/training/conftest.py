"""The stand-in agent `ridge`, made known; and the configs that tests train by."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.kinds import KINDS, Kind

RIDGE = Kind("tests.experiments.training.ridge:RidgeSettings", "tests.experiments.training.ridge:RidgeTrainer")
EXACT_B = """\
kind: training
name: b-ridge
seed: 3
environment:
  id: kairos/ExactB-v0
  n_users: 50
agent:
  kind: ridge
training:
  n_steps: 2000
  evaluate_every: 500
"""
USERS = """\
kind: training
name: users-ridge
environment:
  id: kairos/Notify-v0
  scenario: learning
  settings:
    calendar.holidays: []
  n_users: 20
  horizon_days: 3
  lenses:
    - kind: expected_conversion
    - kind: shaping
agent:
  kind: ridge
training:
  n_steps: 1000
  evaluate_every: 500
  evaluation:
    n_users: 10
    seed: 77
"""


@pytest.fixture(autouse=True)
def _ridge_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "ridge", RIDGE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in but for two configs, so that a file at an unexpected place is seen."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.yaml").write_text(EXACT_B, "utf-8")
    (tmp_path / "users.yaml").write_text(USERS, "utf-8")
    return tmp_path
