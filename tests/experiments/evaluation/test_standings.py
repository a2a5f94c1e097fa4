"""Standings, activity and tuned baselines: figures by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.evaluation.activity import activity_fifths, sends_by_activity
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.standings import gap_closed, standings
from experiments.evaluation.tuned_baselines import Effort, tuned_baselines
from simulator.records import NANO
from tests.simulator.seated import scenario

N = 10


def made_up(agent: str, value_eur: list[float] | None = None, sends: int = 0, seed: int = 1) -> Evaluation:
    arrays = {name: np.zeros(N, np.int64) for name in ARRAYS}
    arrays["present_days"][:] = 14
    arrays["sends"][:] = sends
    arrays["sessions"][:] = np.arange(N)[::-1] // 2
    if value_eur is not None:
        arrays["expected_nano"] = (np.asarray(value_eur) * NANO).astype(np.int64)
        arrays["value_nano"] = arrays["expected_nano"] * 2
    return Evaluation(agent, "made-up", seed, 14, **arrays)


def test_the_gap_closed_is_the_ratio_of_mean_differences() -> None:
    base, bound = made_up("cap", [1.0] * N), made_up("oracle", [1.0 + k / 10 for k in range(N)])
    half = made_up("agent", [1.0 + k / 20 for k in range(N)], sends=2)
    exact = gap_closed(half, base, bound)
    assert exact.mean == pytest.approx(0.5)
    assert exact.standard_error == pytest.approx(0.0, abs=1e-12)
    # y - R x with y all .225: the mean is that of half, the error sd(.225 - .5 x) / mean(x) / sqrt(n).
    flat = gap_closed(made_up("flat", [1.225] * N), base, bound)
    assert flat.mean == pytest.approx(0.5)
    x = np.arange(N) / 10
    assert flat.standard_error == pytest.approx((0.225 - 0.5 * x).std(ddof=1) / x.mean() / np.sqrt(N))
    table = standings([base, half, bound], made_up("silent"), baseline="cap", bound="oracle")
    shares = [row.gap_closed.mean for row in table.rows if row.gap_closed is not None]
    assert shares == pytest.approx([0.0, 0.5, 1.0])
    row = table.rows[1]
    assert row.value_eur.estimate.mean == pytest.approx(1.225)
    assert row.realised_eur.estimate.mean == pytest.approx(2.45)
    assert row.over_baseline_eur is not None
    assert row.over_baseline_eur.estimate.mean == pytest.approx(0.225)
    assert row.sends_per_user_week == pytest.approx(1.0)
    assert table.rows[0].over_baseline_eur is None
    assert "| agent | 1.225 (" in table.to_markdown()
    assert table.to_dict()["agents"][1]["gap_closed"]["mean"] == pytest.approx(0.5)


def test_standings_refuse_what_cannot_be_compared() -> None:
    silent, agent = made_up("silent"), made_up("agent", sends=1)
    for evaluations, names, message in (
        ([agent, agent], {}, "expected each agent once"),
        ([agent], {"baseline": "cap"}, "baseline: expected one of agent; got 'cap'"),
        ([agent], {"bound": "agent"}, "bound 'agent': expected a baseline with it, got none"),
        ([made_up("other", seed=2)], {}, "'other' and 'silent' cannot be compared: seed is 2 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            standings(evaluations, silent, **names)
    with pytest.raises(ValueError, match="expected a run under silence, got 'agent', which sent messages"):
        standings([agent], agent)


def test_fifths_are_by_sessions_in_silence() -> None:
    silent = made_up("silent")
    assert activity_fifths(silent).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    agent = made_up("agent")
    agent.sends[:] = [8, 8, 6, 6, 4, 4, 2, 2, 0, 0]
    found = sends_by_activity(agent, silent)
    assert [estimate.mean for estimate in found.sends_per_user_week] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.shares == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4))
    with pytest.raises(ValueError, match="activity_fifths: expected a run under silence, got 'agent'"):
        activity_fifths(agent)
    few = replace(silent, **{name: getattr(silent, name)[:3] for name in ARRAYS})
    with pytest.raises(ValueError, match="expected at least 5 users, got 3"):
        activity_fifths(few)


def test_every_baseline_can_be_tuned_on_a_scenario() -> None:
    # Too few users to choose well: that each goes through its pilot, its search and its document is what is held here.
    effort = Effort(
        first_users=2, most_users=4, pilot_users=64, pilot_days=8, send_prob=0.3, volume_users=32,
        volume_days=3, horizon_days=2,
    )  # fmt: skip
    world = scenario(calendar__horizon_days=12)
    kinds = ("random", "expected_value", "uplift_t", "uplift_x", "survival", "volume")
    told: list[str] = []
    found = tuned_baselines(
        world, 3, kinds=kinds, effort=effort, n_slots=2, on_trial=lambda kind, done, of: told.append(kind)
    )
    assert tuple(found) == kinds
    assert set(told) == set(kinds)
    for kind, tuned in found.items():
        assert tuned.tuning.best.kind == kind
        assert tuned.agent.to_policy(kind).n_slots == 2
        assert tuned.tuning.trials[0].candidate == tuned.tuning.best
    with pytest.raises(ValueError, match=r"baseline 'uplift': expected one of never, always.*Did you mean"):
        tuned_baselines(world, 3, kinds=("uplift",))
