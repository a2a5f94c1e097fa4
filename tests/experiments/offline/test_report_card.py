"""The twin's truth is exact, and an estimator's marks in it are what theory says."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.models.propensities import with_propensities
from experiments.offline.report_card import report_card
from experiments.offline.targets import always, uniform
from experiments.offline.twin import Twin, twin_of
from tests.experiments.offline.worlds import made_up


def two_arms(n: int = 400, share: float = 0.5, users: int | None = None) -> Twin:
    """Return a world with a constant reward an arm: .3 without, .5 with a push."""
    probabilities = np.tile([1.0 - share, share], (n, 1))
    rng = np.random.default_rng(0)
    actions = (rng.random(n) < share).astype(np.int64)
    rounds = LoggedRounds(
        actions, np.zeros(n), ("none", "push"), propensities=probabilities[np.arange(n), actions],
        probabilities=probabilities, users=None if users is None else np.arange(n) % users,
    )  # fmt: skip
    return Twin(rounds, np.tile([0.3, 0.5], (n, 1)), None)


def test_marks_of_ips_by_closed_form() -> None:
    """Of N rounds with p = .5: unbiased, with variance (.5 / .5 - .25) / N, and intervals that hold."""
    twin = two_arms()
    candidates = {"push": always(twin.rounds, "push")}
    card = report_card(twin, candidates, estimators=("ips", "snips", "dr"), n_logs=400, n_folds=2)
    assert card.logging_value == pytest.approx(0.4)
    for mark in card.marks:
        assert mark.truth == 0.5
        assert abs(mark.bias) < 4 * mark.bias_error
        assert 0.92 <= mark.coverage <= 0.98
    ips = next(mark for mark in card.marks if mark.estimator == "ips")
    assert ips.spread == pytest.approx(math.sqrt((0.5 / 0.5 - 0.25) / 400), rel=0.12)
    snips = next(mark for mark in card.marks if mark.estimator == "snips")
    assert snips.spread == pytest.approx(math.sqrt(0.25 / 0.5 / 400), rel=0.12)
    assert ips.rmse == pytest.approx(math.hypot(ips.bias, ips.spread * math.sqrt(399 / 400)), rel=1e-9)


def test_choosing_among_noise_and_harm() -> None:
    """With ten rounds a candidate that is worse is chosen often; with many never. Regret is its value lost."""
    for n, low, high in ((20, 0.05, 0.4), (4_000, 0.0, 0.0)):
        twin = two_arms(n)
        candidates = {"push": always(twin.rounds, "push"), "none": always(twin.rounds, "none")}
        card = report_card(twin, candidates, estimators=("snips",), n_logs=200)
        choice = card.choices[0]
        assert low <= choice.worse_than_logging <= high
        assert choice.regret == pytest.approx(0.2 * choice.worse_than_logging)


def test_a_wrong_model_is_found_out() -> None:
    """Rewards depend on x and action together; an additive model alone is biased where the policy follows x."""
    rng = np.random.default_rng(1)
    n = 1_500
    x = rng.choice([-1.0, 1.0], n)
    p = np.where(x > 0, 0.85, 0.15)
    probabilities = np.column_stack([1 - p, p])
    actions = (rng.random(n) < p).astype(np.int64)
    rounds = LoggedRounds(
        actions, np.zeros(n), ("none", "push"), propensities=probabilities[np.arange(n), actions],
        probabilities=probabilities, context=x[:, None], features=("x",),
    )  # fmt: skip
    means = np.column_stack([0.5 - 0.3 * x, 0.5 + 0.3 * x])
    target = np.column_stack([(x > 0), (x <= 0)]).astype(float)  # the opposite of the log's habit
    card = report_card(Twin(rounds, means, None), {"against": target}, estimators=("dm", "dr"), n_logs=60)
    dm, dr = (next(mark for mark in card.marks if mark.estimator == name) for name in ("dm", "dr"))
    assert dm.bias > 0.1
    assert dm.coverage < 0.2
    assert abs(dr.bias) < 4 * dr.bias_error
    assert dr.coverage > 0.88
    assert card.to_believe == "dr"
    assert json.loads(json.dumps(card.to_dict()))["to_believe"] == "dr"


def test_users_are_drawn_whole() -> None:
    twin = two_arms(60, users=12)
    log, made_of = twin.draw(np.random.default_rng(3))
    assert len(log) == 60
    assert log.n_clusters == 12
    assert log.users is not None
    for user in range(12):
        its = made_of[log.users == user]
        assert len({int(row) % 12 for row in its}) == 1
        assert len(its) == 5
    assert len(set(made_of.tolist())) < 60  # somebody came twice


def test_a_twin_of_a_log_has_its_habits() -> None:
    """Logging probabilities are the log's, rewards of the same kind, and the log's own mean about the same."""
    rounds, target, _ = made_up(3_000, 3)
    twin = twin_of(rounds, "by_action")
    assert rounds.probabilities is not None
    assert twin.value(rounds.probabilities) == pytest.approx(rounds.rewards.mean(), abs=0.02)
    log, made_of = twin.draw(np.random.default_rng(0))
    assert set(np.unique(log.rewards)) == {0.0, 1.0}
    assert log.eligibility[np.arange(len(log)), log.actions].all()
    share = np.bincount(log.actions, minlength=4) / len(log)
    np.testing.assert_allclose(share, rounds.probabilities[made_of].mean(axis=0), atol=0.03)
    assert twin.value(target) == pytest.approx((target * twin.means).sum(axis=1).mean())
    money = LoggedRounds(
        rounds.actions, rounds.rewards * 3.7 + 0.1, rounds.action_names, propensities=rounds.propensities,
        context=rounds.context, features=rounds.features,
    )  # fmt: skip
    assert twin_of(money, "by_action").noise is not None


def test_the_same_seed_gives_the_same_card() -> None:
    twin = two_arms(100)
    cards = [
        report_card(twin, {"push": uniform(twin.rounds)}, estimators=("ips",), n_logs=5, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert cards[0] == cards[1]
    assert cards[0] != cards[2]


def test_what_it_needs() -> None:
    twin = two_arms(50)
    with pytest.raises(ValueError, match="report_card: expected at least one candidate policy, got none"):
        report_card(twin, {})
    with pytest.raises(ValueError, match="report_card: n_logs: expected at least 2, got 1"):
        report_card(twin, {"push": uniform(twin.rounds)}, n_logs=1)


def test_an_actions_rewards_scatter_as_its_own_did() -> None:
    """Silence always earns 1; a push 0 or 10. In the twin silence earns 1 as well, and no push's noise."""
    rng = np.random.default_rng(5)
    n = 2_000
    actions = rng.integers(0, 2, n)
    rewards = np.where(actions == 1, rng.choice([0.0, 10.0], n), 1.0)
    rounds = LoggedRounds(actions, rewards, ("none", "push"), probabilities=np.full((n, 2), 0.5))
    twin = twin_of(rounds, "by_action")
    log, _ = twin.draw(rng)
    assert log.rewards[log.actions == 0].std() < 0.05
    assert log.rewards[log.actions == 1].std() == pytest.approx(5.0, abs=0.2)


def test_estimated_propensities_are_estimated_anew_in_each_twin() -> None:
    """With twenty rounds a parameter: the marks hold the error of estimating, which the true ones would not."""
    rng = np.random.default_rng(6)
    n = 300
    context = rng.normal(size=(n, 8))
    p = 1.0 / (1.0 + np.exp(-context[:, 0]))
    actions = (rng.random(n) < p).astype(np.int64)
    rewards = 3.0 * context[:, 0] + actions + rng.normal(size=n)
    names = tuple("abcdefgh")
    bare = LoggedRounds(actions, rewards, ("none", "push"), context=context, features=names)
    estimated = with_propensities(bare).rounds
    twin = twin_of(estimated, "by_action")
    assert twin.rounds.estimated_by
    target = {"push": always(estimated, "push")}
    anew = report_card(twin, target, estimators=("ips",), n_logs=40)
    given = report_card(
        Twin(replace(twin.rounds, estimated_by=""), twin.means, twin.noise), target, estimators=("ips",), n_logs=40
    )
    assert anew.marks[0].truth == given.marks[0].truth
    assert anew.marks[0].spread != pytest.approx(given.marks[0].spread, rel=0.02)
    assert 0.0 < anew.marks[0].answered <= 1.0


def test_a_twin_needs_probabilities_or_features() -> None:
    bare = LoggedRounds(np.asarray([0, 1] * 20), np.zeros(40), ("none", "push"), propensities=np.full(40, 0.5))
    with pytest.raises(ValueError, match="twin_of: expected the logging policy's probability of every action, or feat"):
        twin_of(bare)


def test_users_who_are_drawn_twice_have_their_hours_left_behind() -> None:
    """Three rounds a user, hour by hour: whoever is drawn twice would begin again."""
    n = 300
    rounds = LoggedRounds(
        np.arange(n) % 2, np.zeros(n), ("none", "push"), probabilities=np.full((n, 2), 0.5),
        users=np.arange(n) // 3, hours=(np.arange(n) % 3).astype(np.float64),
    )  # fmt: skip
    log, made_of = Twin(rounds, np.full((n, 2), 0.5), None).draw(np.random.default_rng(0))
    assert log.hours is None
    assert len(np.unique(made_of)) < n  # somebody was
    assert log.n_clusters == 100
