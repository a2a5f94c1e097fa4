"""Intervals hold the truth as often as they say, by simulation; their formulas against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, t

from experiments.offline.estimators.importance import ips, snips
from experiments.offline.estimators.model_based import dr, sndr
from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import (
    Interval,
    asymptotic,
    asymptotic_sequence,
    bootstrap,
    bootstrap_values,
    empirical_bernstein,
)
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.weighed import Weighed, weigh
from tests.experiments.offline.worlds import NAMES, TinyWorld

N_LOGS, N_ROUNDS = 2_000, 400
WORLD = TinyWorld()
WRONG = np.asarray([[0.6, 0.3, 0.5], [0.4, 0.4, 0.4]])


def drawn(seed: int, n: int = N_ROUNDS, per_user: int = 1) -> Weighed:
    """Return a log of a world whose truth is known; each user's rounds are alike where there are several."""
    rng = np.random.default_rng(seed)
    n_users = n // per_user
    context = np.repeat((rng.random(n_users) < WORLD.of_context[1]).astype(int), per_user)
    logging, means = np.asarray(WORLD.logging)[context], np.asarray(WORLD.means)[context]
    actions = np.repeat((logging[::per_user].cumsum(axis=1) < rng.random((n_users, 1))).sum(axis=1), per_user)
    rows = np.arange(n)
    rewards = np.repeat(rng.random(n_users), per_user) < means[rows, actions]
    rounds = LoggedRounds(
        actions, rewards.astype(np.float64), NAMES[:3], propensities=logging[rows, actions],
        users=np.repeat(np.arange(n_users), per_user),
    )  # fmt: skip
    return weigh(rounds, np.asarray(WORLD.target)[context], WRONG[context])


def share_covered(interval_of: Callable[[Weighed], Interval], per_user: int = 1, n_logs: int = N_LOGS) -> float:
    n_covered = 0
    for seed in range(n_logs):
        interval = interval_of(drawn(seed, per_user=per_user))
        n_covered += interval.low <= WORLD.value <= interval.high
    return n_covered / n_logs


@pytest.mark.parametrize("estimator", [ips, snips, dr, sndr])
def test_coverage_of_the_asymptotic_interval(estimator: Callable[[Weighed], Terms]) -> None:
    """Over 2,000 logs of a known world; binomial noise alone is half a percent."""
    covered = share_covered(lambda weighed: asymptotic(estimator(weighed), weighed.rounds.clusters))
    assert 0.93 <= covered <= 0.97


def test_coverage_of_the_bootstrap() -> None:
    covered = share_covered(lambda weighed: bootstrap(dr(weighed), replicates=300), n_logs=1_000)
    assert 0.93 <= covered <= 0.97


def test_coverage_with_several_rounds_a_user() -> None:
    """By user it holds; as if rounds were independent it does not, which the test shows beside it."""
    by_user = share_covered(lambda weighed: asymptotic(dr(weighed), weighed.rounds.clusters), per_user=4)
    by_round = share_covered(lambda weighed: asymptotic(dr(weighed)), per_user=4, n_logs=500)
    assert 0.93 <= by_user <= 0.97
    assert by_round < 0.8


def test_empirical_bernstein_never_promises_too_much() -> None:
    covered = share_covered(lambda weighed: empirical_bernstein(ips(weighed), 0.0, 2.7), n_logs=500)
    assert covered >= 0.95
    terms = Terms(direct=np.asarray([0.0, 1.0, 1.0, 0.0, 1.0]))
    interval = empirical_bernstein(terms, 0.0, 1.0, confidence=0.9)
    log = math.log(4 / 0.1)
    wide = math.sqrt(2 * 0.3 * log / 5) + 7 * log / (3 * 4)
    assert math.isclose(interval.high - 0.6, wide, rel_tol=1e-12)


def test_empirical_bernstein_says_what_it_needs() -> None:
    terms = Terms(correction=np.ones(3), scale=np.ones(3))
    with pytest.raises(ValueError, match="expected an estimator that is a mean, got a self-normalised one"):
        empirical_bernstein(terms, 0.0, 1.0)
    with pytest.raises(ValueError, match="expected one round a user, got 3 rounds of 2 users: use the bootstrap"):
        empirical_bernstein(Terms(direct=np.ones(3)), 0.0, 1.0, np.asarray([0, 1, 1]))
    with pytest.raises(ValueError, match="expected terms from 0 to 1, got 2 in row 1"):
        empirical_bernstein(Terms(direct=np.asarray([1.0, 2.0])), 0.0, 1.0)


def test_the_asymptotic_interval_of_a_mean_is_students() -> None:
    values = np.asarray([1.0, 2.0, 4.0, 9.0])
    interval = asymptotic(Terms(direct=values), confidence=0.9)
    wide = t.ppf(0.95, 3) * values.std(ddof=1) / 2.0
    assert math.isclose(interval.high, 4.0 + wide, rel_tol=1e-12)
    assert math.isclose(interval.low, 4.0 - wide, rel_tol=1e-12)


def test_bootstrap_replicates_are_poisson_counts() -> None:
    """Of one column of ones among zeros: how often a round counts has the moments of a Poisson number."""
    n = 50
    one = np.zeros(n)
    one[17] = 1.0
    values = bootstrap_values(Terms(correction=one), None, 40_000, 3)
    assert abs((values == 0).mean() - math.exp(-1)) < 0.01  # P(0) of a Poisson number of mean 1
    mean = bootstrap_values(Terms(direct=np.arange(n, dtype=float)), None, 20_000, 5)
    assert abs(mean.std() / (np.arange(n).std() / math.sqrt(n)) - 1.0) < 0.03
    assert abs(mean.mean() - 24.5) < 0.1


def test_bootstrap_of_whole_users() -> None:
    """Rounds of a user come and go together: three copies of each round change nothing."""
    weighed = drawn(1, n=300)
    rows = np.repeat(np.arange(300), 3)
    terms, thrice = dr(weighed), Terms(*(column[rows] for column in dr(weighed).columns()[:2]))
    once = bootstrap_values(terms, np.arange(300), 200, 7)
    np.testing.assert_allclose(bootstrap_values(thrice, rows, 200, 7), once, rtol=1e-12)


def test_the_same_seed_gives_the_same_interval() -> None:
    terms = dr(drawn(1))
    assert bootstrap(terms, seed=4) == bootstrap(terms, seed=4)
    assert bootstrap(terms, seed=4) != bootstrap(terms, seed=5)


def test_a_sequence_may_be_watched() -> None:
    """At no time of a thousand is the truth left out in more than 5 % of the runs; the fixed interval's share is."""
    n_runs, n = 600, 1_000
    rng = np.random.default_rng(0)
    n_left, n_fixed = 0, 0
    for _ in range(n_runs):
        rounds = rng.exponential(1.0, n)
        low, high = asymptotic_sequence(Terms(direct=rounds), best_at=500)
        n_left += bool(((low > 1.0) | (high < 1.0))[20:].any())
        means = np.cumsum(rounds) / np.arange(1, n + 1)
        errors = 1.96 * np.sqrt(np.maximum(np.cumsum(rounds**2) / np.arange(1, n + 1) - means**2, 0.0))
        n_fixed += bool((abs(means - 1.0) * np.sqrt(np.arange(1, n + 1)) > errors)[20:].any())
    assert n_left <= binom.ppf(0.999, n_runs, 0.05)
    assert n_fixed > 0.2 * n_runs
    assert math.isinf(low[0])
    fixed = asymptotic(Terms(direct=rounds))
    assert 1.0 < (high[-1] - low[-1]) / (fixed.high - fixed.low) < 2.5


def test_a_sequence_of_a_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="asymptotic_sequence: expected an estimator that is a mean"):
        asymptotic_sequence(Terms(correction=np.ones(3), scale=np.ones(3)))


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_a_sequence_waits_for_rewards_that_are_rare(share: float) -> None:
    """Watched from the first round to the 4,000th, the truth is left out in at most 5 % of the runs."""
    n_runs, n_left, n_bare = 300, 0, 0
    rng = np.random.default_rng(8)
    for _ in range(n_runs):
        rounds = (rng.random(4_000) < share).astype(np.float64)
        low, high = asymptotic_sequence(Terms(direct=rounds), best_at=10_000)
        n_left += bool(((low > share) | (high < share)).any())
        n_bare += bool(rounds[:20].sum() == 0)
    assert n_left <= binom.ppf(0.999, n_runs, 0.05)
    assert n_bare > 0.3 * n_runs  # whose spread was 0 for a while, and any bound an error
    low, high = asymptotic_sequence(Terms(direct=np.ones(1_000)))
    assert np.isinf(low).all()
    assert np.isinf(high).all()


def test_replicates_without_weight_widen_the_bootstrap() -> None:
    """Of eight users one has weight: a third of the replicates lack them, and could have come to anything."""
    terms = Terms(correction=np.eye(8)[0] * 3.0, scale=np.eye(8)[0])
    found = bootstrap(terms, None, 0.95, 400, 1)
    assert found.value == 3.0
    assert (found.low, found.high) == (-math.inf, math.inf)
    few = bootstrap(Terms(correction=np.ones(40), scale=np.ones(40)), None, 0.95, 400, 1)
    assert few.low == few.high == 1.0
