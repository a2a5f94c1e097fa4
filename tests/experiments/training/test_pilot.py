"""Normalisation by a pilot: numbers of unit spread, the same for training, evaluation and the exported policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.training import pilot
from experiments.training.environments import shown_lenses, training_env
from experiments.training.source import load_training
from experiments.training.train import build
from simulator.environments.lenses import Normalisation

PPO = {"kind": "maskable_ppo", "n_steps": 8, "batch_size": 80, "hidden_sizes": [8]}
LENSES = [
    {"kind": "expected_conversion"},
    {"kind": "oracle"},
    {"kind": "history", "n": 2},
    {"kind": "normalisation", "by": "pilot"},
]


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "_FOUND", {})


def plan_of(seed: int = 1) -> Any:
    return load_training("users.yaml", {"agent": PPO, "environment.lenses": LENSES, "seed": seed})


def test_entries_have_the_spread_of_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among users like those of the pilot; entries that hardly vary there are bounded."""
    monkeypatch.setattr(pilot, "HOURS", 72)
    env: Any = training_env(plan_of())
    observations, infos = env.reset(seed=5)
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(72):
        sends = (rng.random(env.num_envs) < 0.05) & (infos["action_mask"][:, 1:] != 0).any(axis=1)
        actions = np.where(sends, 1 + (infos["action_mask"][:, 1:] != 0).argmax(axis=1), 0)
        observations, _, _, _, infos = env.step(actions)
        seen.append(observations)
    spread = np.concatenate(seen).std(axis=0)
    assert 0.6 < np.median(spread[spread > 0.01]) < 1.4
    assert np.abs(np.concatenate(seen)).max() <= pilot.CLIP


def test_training_evaluation_and_document_have_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "HOURS", 24)
    plan = plan_of()
    first = next(lens for lens in shown_lenses(plan) if isinstance(lens, Normalisation)).inputs
    assert first is not None
    assert training_env(plan).layer.inputs == first  # type: ignore[attr-defined]
    pilot._FOUND.clear()  # as in another process
    assert next(lens for lens in shown_lenses(plan) if isinstance(lens, Normalisation)).inputs == first
    other = next(lens for lens in shown_lenses(plan_of(seed=2)) if isinstance(lens, Normalisation)).inputs
    assert other is not None
    assert [each.feature for each in other] == [each.feature for each in first]
    assert other != first
    plain = load_training("users.yaml", {"agent": PPO, "environment.lenses": [LENSES[0], LENSES[3]]})
    document = build(plain).course.trainer.agent.to_policy("tried")
    inputs = next(lens for lens in shown_lenses(plain) if isinstance(lens, Normalisation)).inputs
    assert inputs is not None
    told: Any = document.model
    assert [(each.feature, each.mean, each.scale, each.clip) for each in told.inputs] == [
        (each.feature, each.mean, each.scale, each.clip) for each in inputs
    ]
