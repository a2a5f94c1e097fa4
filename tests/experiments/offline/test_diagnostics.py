"""Logs that cannot answer are refused with the reason; others are told with what to keep in mind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import genpareto

from experiments.offline.diagnostics import diagnose, leverage, pareto_tail
from experiments.offline.estimators.importance import ips
from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.naive import naive
from experiments.offline.targets import always, taken, uniform
from experiments.offline.weighed import weigh
from tests.experiments.offline.worlds import made_up


def tossed(n: int, share: float = 0.5, **changes: object) -> LoggedRounds:
    """Return a log that sends by the toss of a coin."""
    rng = np.random.default_rng(1)
    actions = (rng.random(n) < share).astype(np.int64)
    p = np.where(actions == 1, share, 1.0 - share)
    rounds = LoggedRounds(
        actions, rng.random(n), ("none", "push"), propensities=p,
        context=rng.normal(size=(n, 2)), features=("x", "y"),
    )  # fmt: skip
    return replace(rounds, **changes)  # type: ignore[arg-type]


def test_figures_by_hand() -> None:
    rounds = LoggedRounds(
        np.asarray([0, 1, 1, 0]), np.asarray([1.0, 0.0, 1.0, 1.0]), ("none", "push"),
        propensities=np.asarray([0.5, 0.5, 0.25, 0.5]),
    )  # fmt: skip
    found = diagnose(weigh(rounds, always(rounds, "push")))
    assert found.effective == pytest.approx(36 / 20)  # weights 0, 2, 4, 0
    assert found.mean_weight == 1.5
    assert found.largest_weight == 4.0
    assert found.mean_weight_error == pytest.approx(np.std([0, 2, 4, 0], ddof=1) / 2)
    push = next(each for each in found.support if each.action == "push")
    assert (push.eligible, push.taken, push.target_share) == (4, 2, 1.0)
    assert push.effective == pytest.approx(36 / 20)


def test_a_fair_log_is_not_refused() -> None:
    rounds = tossed(2_000)
    found = diagnose(weigh(rounds, always(rounds, "push")))
    assert not found.is_refused
    assert not found.warnings
    assert found.to_dict()["refusals"] == ()
    assert all(abs(value) < 0.1 for value in found.imbalance.values())


def test_a_deterministic_log_is_refused() -> None:
    """Unless the policy does just what the log did."""
    rounds = tossed(500)
    certain = replace(rounds, propensities=np.ones(500))
    found = diagnose(weigh(certain, uniform(certain)))
    assert found.refusals[0].startswith("The log is deterministic: each action was taken with certainty")
    assert not diagnose(weigh(certain, taken(certain))).is_refused


def test_a_rule_made_softer_is_refused_by_a_log_of_the_rule() -> None:
    """Certainty of what was taken leaves nothing to the rest, in some rounds or in all."""
    rounds = tossed(2_000)
    assert rounds.propensities is not None
    certain = replace(rounds, propensities=np.ones(2_000))
    soft = 0.6 * taken(certain) + 0.4 * (1.0 - taken(certain))
    assert diagnose(weigh(certain, soft)).refusals[0].startswith("The log is deterministic")
    mostly = np.arange(2_000) >= 200
    partly = replace(
        rounds, actions=np.where(mostly, 0, rounds.actions), propensities=np.where(mostly, 1.0, rounds.propensities)
    )
    found = diagnose(weigh(partly, always(partly, "push")))
    assert "Support is missing: the policy puts 90.0 % of its probability" in found.refusals[0]


def test_a_weight_that_is_two_for_everyone_is_refused() -> None:
    """It has no spread, and so no standard errors to be off by."""
    rounds = tossed(2_000)
    halved = replace(rounds, propensities=np.full(2_000, 0.25))
    assert "The mean weight is 2.000, where 1 is expected" in diagnose(weigh(halved, uniform(halved))).refusals[0]


def test_a_handful_of_users_is_refused() -> None:
    """Three of two thousand users have nearly all the rounds: as many rounds, and hardly anyone."""
    rounds = tossed(10_000)
    users = np.where(np.arange(10_000) < 8_800, np.arange(10_000) % 3, np.arange(10_000))
    found = diagnose(weigh(replace(rounds, users=users), uniform(rounds)))
    assert found.effective == pytest.approx(10_000)
    assert "A handful of users carries the estimate" in found.refusals[0]


def test_an_action_that_hardly_ever_earned_is_refused_where_few_could_have() -> None:
    """One reward in a hundred: none of 20 pushes earned; of 2,000 silences with none it would be telling."""
    rounds = tossed(2_000)
    assert rounds.propensities is not None
    rewards = np.zeros(2_000)
    rewards[np.flatnonzero(rounds.actions == 0)[:20]] = 1.0
    poor = replace(rounds, rewards=rewards)
    assert not diagnose(weigh(poor, always(poor, "push"))).is_refused  # some ten were to be expected of a thousand
    few = poor.take(np.r_[np.flatnonzero(rounds.actions == 0), np.flatnonzero(rounds.actions == 1)[:200]])
    share = 200 / len(few)
    few = replace(few, propensities=np.where(few.actions == 1, share, 1.0 - share))
    assert "Only 0 of the 20 rounds with a reward" in diagnose(weigh(few, always(few, "push"))).refusals[0]


def test_small_segments_lack_an_action_by_chance() -> None:
    rounds = tossed(2_000)
    cities = replace(rounds, segments={"city": (np.arange(2_000) // 4).astype(str)})
    assert not diagnose(weigh(cities, always(cities, "push"))).is_refused


def test_missing_support_is_refused() -> None:
    """An action that the log never tries: over all, in a segment, or by its own probabilities."""
    rounds = tossed(500)
    third = replace(rounds, action_names=("none", "push", "email"))
    found = diagnose(weigh(third, always(third, "email")))
    assert (
        "the policy puts 100.0 % of its probability on what the log never tries (most of it on 'email': taken in 0 of"
        in found.refusals[0]
    )
    countries = np.where(np.arange(500) < 100, "at", "de")
    barred = np.where(countries == "at", 0, rounds.actions)
    segmented = replace(rounds, actions=barred, segments={"country": countries})
    found = diagnose(weigh(segmented, always(segmented, "push")))
    assert "20.0 % of its probability" in found.refusals[0]
    assert "'push' where country = at: taken in 0 of 100 rounds" in found.refusals[0]
    known = np.where(countries[:, None] == "at", [1.0, 0.0], [0.5, 0.5])
    logged = replace(rounds, actions=barred, probabilities=known, propensities=known[np.arange(500), barred])
    assert "20.0 % of its probability" in diagnose(weigh(logged, always(logged, "push"))).refusals[0]


def test_a_handful_of_rounds_is_refused() -> None:
    rounds = tossed(1_000)
    p = rounds.propensities.copy()  # type: ignore[union-attr]
    p[np.flatnonzero(rounds.actions == 1)[0]] = 1e-5
    spoilt = replace(rounds, propensities=p)
    found = diagnose(weigh(spoilt, always(spoilt, "push")))
    assert "effective sample size is 1.0 of 1,000 rounds (at least 30 are needed)" in found.refusals[0]
    few = tossed(40)
    assert "effective sample size" in diagnose(weigh(few, always(few, "push"))).refusals[0]
    p = rounds.propensities.copy()  # type: ignore[union-attr]
    p[np.flatnonzero(rounds.actions == 1)[:10]] = 0.5 / 60
    heavy = replace(rounds, propensities=p)
    assert "10 of 1,000 rounds hold" in diagnose(weigh(heavy, always(heavy, "push"))).refusals[0]


def test_wrong_propensities_are_told() -> None:
    rounds = tossed(5_000, 0.7)
    wrong = replace(rounds, propensities=np.full(5_000, 0.5))
    found = diagnose(weigh(wrong, always(wrong, "push")))
    assert any(warning.startswith("The mean weight is 1.4") for warning in found.warnings)


def test_imbalance_is_told() -> None:
    """A log that sends by x, with propensities that do not know it."""
    rounds = tossed(5_000)
    assert rounds.context is not None
    rng = np.random.default_rng(2)
    actions = (rng.random(5_000) < 1 / (1 + np.exp(-rounds.context[:, 0]))).astype(np.int64)
    found = diagnose(weigh(replace(rounds, actions=actions), always(rounds, "push")))
    assert any("covariates are off balance after weighting, 'x' the most, by +0.4" in each for each in found.warnings)
    assert naive(weigh(replace(rounds, actions=actions), always(rounds, "push"))).is_confounded
    assert not naive(weigh(rounds, always(rounds, "push"))).is_confounded


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_the_tail_is_found(shape: float) -> None:
    """Of a Pareto law with known shape; the prior draws it towards a half a little."""
    found = [pareto_tail(genpareto.rvs(shape, size=20_000, random_state=seed)) for seed in range(20)]
    assert abs(np.mean(found) - shape) < 0.06
    assert np.std(found) < 0.12


def test_weights_of_a_few_values_have_no_tail() -> None:
    assert math.isnan(pareto_tail(np.repeat([0.0, 2.0], 500)))
    assert math.isnan(pareto_tail(np.ones(8)))


def test_leverage_by_user() -> None:
    terms = Terms(direct=np.asarray([0.0, 0.0, 0.0, 4.0]))
    user, share = leverage(terms)
    assert user == 3
    assert share == pytest.approx(9 / 12)
    assert leverage(terms, np.asarray([1, 1, 0, 0]))[1] == pytest.approx(0.5)
    assert leverage(Terms(direct=np.ones(3))) == (0, 0.0)


def test_the_weights_of_a_random_log_have_the_moments_that_theory_says() -> None:
    """E[w] = 1, whatever the target; so the effective size is N / E[w^2]."""
    rounds, target, _ = made_up(40_000, 8)
    weighed = weigh(rounds, target)
    assert rounds.probabilities is not None
    second = (target**2 / np.where(rounds.probabilities > 0, rounds.probabilities, 1.0)).sum(axis=1).mean()
    assert diagnose(weighed).effective == pytest.approx(len(rounds) / second, rel=0.05)
    assert ips(weighed).standard_error() > 0.0
