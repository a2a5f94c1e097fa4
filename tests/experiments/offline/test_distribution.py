"""Median and worst tenth under another policy: by hand, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.offline.distribution import cvar, cvar_interval, distribution, quantile, quantile_interval
from experiments.offline.evaluation import evaluate_policy
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.targets import always, uniform
from experiments.offline.weighed import Weighed, weigh

N_LOGS = 400


def test_median_and_worst_share_by_hand() -> None:
    """Target b: rewards 1, 2, 10 with weights 2, 2, 4: a quarter, a quarter, a half."""
    rounds = LoggedRounds(
        np.asarray([1, 0, 1, 1]), np.asarray([10.0, 5.0, 1.0, 2.0]), ("a", "b"),
        propensities=np.asarray([0.25, 0.5, 0.5, 0.5]),
    )  # fmt: skip
    weighed = weigh(rounds, always(rounds, "b"))
    assert quantile(weighed, (0.1, 0.25, 0.5, 0.6)).tolist() == [1.0, 1.0, 2.0, 10.0]
    assert cvar(weighed, 0.25) == pytest.approx(1.0)
    assert cvar(weighed, 0.5) == pytest.approx(1.5)
    assert cvar(weighed, 0.75) == pytest.approx((1 + 2 + 10) / 3)
    assert cvar(weighed, 1.0) == pytest.approx(0.25 * 1 + 0.25 * 2 + 0.5 * 10)
    for share in (0.25, 0.5, 0.75):
        assert cvar_interval(weighed, share).value == pytest.approx(cvar(weighed, share))
        assert quantile_interval(weighed, share).value == quantile(weighed, (share,))[0]


def drawn(seed: int) -> Weighed:
    """Return a log of 300 users with four rounds each; under the policy rewards are uniform on (0, 1) with b, always.

    Rounds of one user are as good as equal: an interval that took them for independent would be half as wide.
    """
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(300), 4)
    own = np.clip(np.repeat(rng.random(300), 4) + rng.normal(0.0, 1e-6, 1_200), 0.0, 1.0)
    p = np.where(np.repeat(rng.random(300), 4) < 0.5, 0.3, 0.7)
    actions = (rng.random(1_200) < p).astype(np.int64)
    rewards = np.where(actions == 1, own, own - 1.0)
    rounds = LoggedRounds(actions, rewards, ("a", "b"), propensities=np.where(actions == 1, p, 1.0 - p), users=users)
    return weigh(rounds, always(rounds, "b"))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 400 logs 95 %, within four standard errors of that share; the truths are those of the uniform distribution."""
    held = np.zeros(2)
    for seed in range(N_LOGS):
        weighed = drawn(seed)
        median, worst = quantile_interval(weighed, 0.5), cvar_interval(weighed, 0.1)
        held += (median.low <= 0.5 <= median.high, worst.low <= 0.05 <= worst.high)
    # An average of 30 users makes the worst tenth: Student's t is a little narrow for so few.
    assert abs(held[0] / N_LOGS - 0.95) < 4 * np.sqrt(0.95 * 0.05 / N_LOGS)
    assert 0.88 < held[1] / N_LOGS < 0.99


def test_it_is_told_where_there_is_more_than_a_mean() -> None:
    weighed = drawn(1)
    found = evaluate_policy(weighed.rounds, weighed.target, estimators=("snips",)).distribution
    assert found == distribution(weighed)
    assert found is not None
    assert found.median.value == pytest.approx(0.5, abs=0.1)
    assert found.logged_median.value == pytest.approx(0.0, abs=0.1)
    assert found.logged_worst.value < found.worst.value
    assert found.in_words().startswith(f"Half of the rounds bring at most {found.median.value:.4g} (")
    assert found.to_dict()["logged_worst"]["method"] == "linearised"


def test_two_values_are_told_by_their_mean() -> None:
    rounds = LoggedRounds(
        np.asarray([0, 1, 0, 1]), np.asarray([1.0, 0.0, 0.0, 1.0]), ("a", "b"), propensities=np.full(4, 0.5)
    )
    assert distribution(weigh(rounds, uniform(rounds))) is None
    sparse = LoggedRounds(np.arange(40) % 2, np.arange(40) // 38 * 5.0 + (np.arange(40) == 39), ("a", "b"),
                          propensities=np.full(40, 0.5))  # fmt: skip
    found = distribution(weigh(sparse, uniform(sparse)))
    assert found is not None
    assert found.in_words() == ""  # nothing, by whatever measure
    same = LoggedRounds(rounds.actions, np.ones(4), ("a", "b"), propensities=np.full(4, 0.5))
    assert distribution(weigh(same, uniform(same))) is None
