"""A short test held against the long run: chances by closed form and by simulated tests, and the trap in a preset."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from experiments.cli import main
from experiments.config import load_scenario
from experiments.planning.short_test import decide, short_test
from simulator.senders import sender


def test_chances_by_simulated_tests() -> None:
    """Twenty thousand tests of 50 users an arm, decided by z."""
    means, spreads, n = (1.0, 1.3), (1.0, 0.5), 50
    rng = np.random.default_rng(0)
    old, new = (rng.normal(m, s / math.sqrt(n), 20_000) for m, s in zip(means, spreads, strict=True))
    z = (new - old) / (math.hypot(*spreads) / math.sqrt(n))
    edge = norm.ppf(0.975)
    for is_second_better, sign in ((True, 1.0), (False, -1.0)):
        found = decide(means, spreads, is_second_better, n, 0.05)
        assert found.for_winner == pytest.approx((sign * z > edge).mean(), abs=0.012)
        assert found.for_loser == pytest.approx((sign * z < -edge).mean(), abs=0.012)
        assert found.by_sign == pytest.approx((sign * z < 0).mean(), abs=0.012)
        assert found.for_winner + found.for_loser + found.undecided == pytest.approx(1.0)


def test_chances_are_averages_over_what_the_simulation_leaves_open() -> None:
    """Simulated truths around the simulated difference, a test of each."""
    means, spreads, n, known_to = (1.0, 1.1), (1.0, 0.5), 200, 0.08
    rng = np.random.default_rng(1)
    error = math.hypot(*spreads) / math.sqrt(n)
    truths = rng.normal(means[1] - means[0], known_to, 40_000)
    z = (truths + rng.normal(0.0, error, 40_000)) / error
    found = decide(means, spreads, False, n, 0.05, known_to)
    assert found.for_loser == pytest.approx((z > norm.ppf(0.975)).mean(), abs=0.01)
    assert found.for_winner == pytest.approx((z < -norm.ppf(0.975)).mean(), abs=0.01)
    assert found.by_sign == pytest.approx((z > 0).mean(), abs=0.01)
    assert found.for_loser != pytest.approx(decide(means, spreads, False, n, 0.05).for_loser, abs=0.03)


def test_policies_that_are_alike_are_shipped_by_chance_alone() -> None:
    found = decide((1.0, 1.0), (2.0, 2.0), True, 1_000, 0.05)
    assert found.for_winner == pytest.approx(0.025)
    assert found.for_loser == pytest.approx(0.025)
    assert found.by_sign == 0.5
    certain = decide((1.0, 2.0), (0.0, 0.0), False, 10, 0.05)
    assert (certain.for_loser, certain.for_winner, certain.by_sign) == (1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="users_an_arm: expected at least 2, got 1"):
        decide((1.0, 1.0), (2.0, 2.0), True, 1, 0.05)


def test_heavy_sending_is_the_trap() -> None:
    """Four a day win the fortnight by sessions, and lose by the quarter: the more users, the surer the mistake."""
    scenario = load_scenario("ecommerce", {"population.n_users": 3_000})
    runs: list[tuple[str, int]] = []
    found = short_test(
        scenario, (sender("weekly-3"), sender("weekly-28")), ("weekly-3", "weekly-28"), metric="sessions",
        short_days=7, long_days=120, users_an_arm=(1_000, 100_000), on_run=lambda *run: runs.append(run),
    )  # fmt: skip
    assert runs == [("weekly-3", 7), ("weekly-28", 7), ("weekly-3", 120), ("weekly-28", 120)]
    assert found.short.low > 0.0
    assert found.long.high < 0.0
    assert found.winner == "weekly-3"
    assert found.decisions[1].for_loser > 0.99 > found.decisions[0].for_loser
    assert "weekly-28 looks better, and more users only make the mistake surer" in found.in_words()
    assert json.loads(json.dumps(found.to_dict()))["winner"] == "weekly-3"
    same = short_test(
        scenario, (sender("weekly-3"), sender("weekly-3")), ("a", "b"), short_days=2, long_days=3, users_an_arm=(10,)
    )
    assert same.winner is None
    assert "there is no loser to ship" in same.in_words()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["plan-test", *arguments], catch_exceptions=False)


def test_commands() -> None:
    done = run("rate", "--control", ".04", "--effect", ".005", "--name", "opt-outs", "--per-day", "900")
    assert done.exit_code == 0
    assert "To see the opt-outs change from 4 % to 4.5 %" in done.output
    assert "plan 9 whole weeks" in done.output
    told = json.loads(run("amount", "--sd", "12", "--effect", ".4", "--json").output)
    normal = 2 * (12 / 0.4) ** 2 * (norm.ppf(0.975) + norm.ppf(0.8)) ** 2
    assert told["n_treated"] + told["n_control"] == pytest.approx(2 * normal, abs=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rate", "--control", ".04", "--effect", ".99"), "control_prob + effect"),
        (("amount", "--sd", "12", "--effect", "0"), "effect"),
        (
            ("short-test", "news", "--policies", "weekly-3"),
            "expected two different ones, today's first, got 'weekly-3'",
        ),
        (("short-test", "news", "--policies", "weekly-3,wekly-7"), "wekly-7"),
        (
            ("short-test", "news", "--policies", "never,weekly-7", "--metric", "clicks"),
            "expected value_eur or sessions",
        ),
        (("short-test", "news", "--policies", "never,weekly-7", "--truth-days", "7"), "expected more than the 14 days"),
    ],
)
def test_what_a_command_expected(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    assert message in " ".join((done.output + done.stderr).split())
