"""S8: a minority of the policies that are learned from a log beat the policy that made it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from experiments.offline.phenomena.learned import (
    LearnedFromLogs,
    counted,
    decent_practice,
    exploring,
    learned,
    learned_from_logs,
)
from experiments.offline.phenomena.plots import draw_learned
from simulator.exact.fatigue import fatigue_baselines, fatigue_world
from simulator.exact.finite import start_value


@cache
def found() -> LearnedFromLogs:
    return learned_from_logs()


def test_a_minority_beats_the_policy_that_made_the_logs() -> None:
    """128 of them, as many as in the field's report, and no cherry among logs: some do beat it, most do not."""
    assert len(found().policies) == 128
    assert 0 < found().n_better < 64
    assert found().logging_value < found().practice_value < found().best_value
    assert found().practice_value == pytest.approx(fatigue_baselines()["best slots and threshold"])
    assert all(policy.value <= found().best_value + 1e-9 for policy in found().policies)
    assert json.loads(json.dumps(found().to_dict()))["n_better"] == found().n_better


def test_keeping_to_what_the_log_knows_helps() -> None:
    """Beside the same learner on the same log without the constraint; on the mean over all."""
    pairs: dict[tuple[int, int, float], dict[bool, float]] = {}
    for policy in found().policies:
        pairs.setdefault((policy.n_users, policy.seed, policy.discount), {})[policy.is_constrained] = policy.value
    assert np.mean([pair[True] - pair[False] for pair in pairs.values()]) > 0.02


def test_a_log_that_shows_everything_teaches_the_optimum() -> None:
    """With the true model in place of counts the same learner is optimal: it is the log that is to blame."""
    model = fatigue_world().model
    counts = np.stack([model.kernels[0][action] for action in (0, 1)], axis=1) * 1e6
    rewards = model.reward * 1e6
    actions = learned(counts, rewards, model.discount, model.is_final, is_constrained=True)
    assert start_value(model, actions) == pytest.approx(found().best_value, abs=1e-6)


def test_what_is_counted() -> None:
    model = fatigue_world().model
    logging = exploring(decent_practice(), 0.1)
    counts, rewards = counted(model, logging, 200, np.random.default_rng(0))
    n = counts.sum(axis=2)
    assert n.sum() <= 200 * 360
    assert n[model.is_final].sum() == 0
    often = n.sum(axis=1) > 500
    np.testing.assert_allclose(n[often, 1] / n[often].sum(axis=1), logging[often, 1], atol=0.05)
    known = n > 500
    np.testing.assert_allclose((rewards / np.maximum(n, 1))[known], model.reward[known], atol=0.03)
    with pytest.raises(ValueError, match="learned_from_logs: n_seeds: expected at least 1, got 0"):
        learned_from_logs(0)


def test_the_picture(tmp_path: Path) -> None:
    draw_learned(tmp_path / "learned.png", found())
    assert (tmp_path / "learned.png").stat().st_size > 10_000
