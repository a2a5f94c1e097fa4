"""Estimators against full enumeration, against the Open Bandit Pipeline, and in their limits."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.offline.estimators.importance import clipped_ips, ips, snips
from experiments.offline.estimators.model_based import dm, dr, dr_optimistic_shrinkage, sndr, switch_dr
from experiments.offline.estimators.terms import Terms
from experiments.offline.logs.faults import LogError
from experiments.offline.quick import quick_estimates
from experiments.offline.weighed import Weighed, weigh
from tests.experiments.offline.worlds import TinyWorld, made_up

WRONG = np.asarray([[0.9, 0.0, 0.2], [0.4, 0.4, 0.4]])  # a reward model that knows nothing


@pytest.mark.parametrize("estimator", [ips, dr], ids=["ips", "dr"])
@pytest.mark.parametrize("n", [1, 2])
def test_unbiased_by_enumeration(estimator: Callable[[Weighed], Terms], n: int) -> None:
    """The mean over all logs that there are is the value, also with a reward model that is wrong."""
    world = TinyWorld()
    total = mean = 0.0
    for p, rounds, target in world.logs(n):
        models = WRONG[rounds.context[:, 0].astype(int)] if rounds.context is not None else WRONG
        mean += p * estimator(weigh(rounds, target, models)).value
        total += p
    assert math.isclose(total, 1.0, rel_tol=1e-12)
    assert math.isclose(mean, world.value, rel_tol=1e-12)


def test_others_are_biased_as_they_should_be() -> None:
    """The same enumeration tells a biased estimator: clipped, or a model alone."""
    world = TinyWorld()
    for estimator in (lambda w: clipped_ips(w, 1.5), dm, snips):
        mean = 0.0
        for p, rounds, target in world.logs(1):
            assert rounds.context is not None
            value = estimator(weigh(rounds, target, WRONG[rounds.context[:, 0].astype(int)])).value
            mean += p * (0.0 if math.isnan(value) else value)
        assert abs(mean - world.value) > 0.01


def test_the_variance_is_that_of_all_logs() -> None:
    """The mean of the squared standard error of IPS over all logs of 3 rounds is the variance of the estimate."""
    world = TinyWorld()
    first = second = told = 0.0
    for p, rounds, target in world.logs(3):
        terms = ips(weigh(rounds, target))
        first += p * terms.value
        second += p * terms.value**2
        told += p * terms.standard_error() ** 2
    assert math.isclose(told, second - first**2, rel_tol=1e-9)


def obp_values(weighed: Weighed, rewards_of: Any) -> dict[str, tuple[float, Terms]]:
    """Return each estimator's value as the Open Bandit Pipeline has it, and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from obp import ope

    rounds = weighed.rounds
    logged = {"reward": rounds.rewards, "action": rounds.actions, "pscore": rounds.propensities}
    target = {"action_dist": weighed.target[:, :, None]}
    model = {"estimated_rewards_by_reg_model": rewards_of[:, :, None]}
    pairs = {
        "ips": (ope.InverseProbabilityWeighting(), {}, ips(weighed)),
        "clipped": (ope.InverseProbabilityWeighting(lambda_=1.3), {}, clipped_ips(weighed, 1.3)),
        "snips": (ope.SelfNormalizedInverseProbabilityWeighting(), {}, snips(weighed)),
        "dm": (ope.DirectMethod(), model, dm(weighed)),
        "dr": (ope.DoublyRobust(), model, dr(weighed)),
        "sndr": (ope.SelfNormalizedDoublyRobust(), model, sndr(weighed)),
        "switch": (ope.SwitchDoublyRobust(lambda_=1.3), model, switch_dr(weighed, 1.3)),
        "dros": (ope.DoublyRobustWithShrinkage(lambda_=2.0), model, dr_optimistic_shrinkage(weighed, 2.0)),
    }
    return {
        name: (float(theirs.estimate_policy_value(**logged, **target, **extra)), ours)
        for name, (theirs, extra, ours) in pairs.items()
    }


def test_equal_to_the_open_bandit_pipeline() -> None:
    """The same arrays and the same reward predictions: the same number."""
    pytest.importorskip("obp", reason="the Open Bandit Pipeline is not installed")
    rounds, target, rewards_of = made_up(5_000, 1)
    found = obp_values(weigh(rounds, target, rewards_of), rewards_of)
    assert len(found) == 8
    for name, (theirs, ours) in found.items():
        assert math.isclose(theirs, ours.value, rel_tol=1e-9), name
    assert len({round(theirs, 9) for theirs, _ in found.values()}) == 8  # all differ: none is tested by another


def test_limits() -> None:
    """What an estimator becomes at the ends of its dial."""
    rounds, target, rewards_of = made_up(500, 2)
    weighed = weigh(rounds, target, rewards_of)
    assert clipped_ips(weighed, math.inf).value == ips(weighed).value
    assert switch_dr(weighed, math.inf).value == dr(weighed).value
    assert switch_dr(weighed, 0.0).value == dm(weighed).value
    assert dr_optimistic_shrinkage(weighed, math.inf).value == dr(weighed).value
    assert dr_optimistic_shrinkage(weighed, 0.0).value == dm(weighed).value
    assert math.isclose(dr_optimistic_shrinkage(weighed, 1e12).value, dr(weighed).value, rel_tol=1e-9)
    same = weigh(rounds, rounds.probabilities, rewards_of)  # type: ignore[arg-type]
    assert math.isclose(ips(same).value, rounds.rewards.mean(), rel_tol=1e-12)
    assert math.isclose(snips(same).value, rounds.rewards.mean(), rel_tol=1e-12)


def test_influence_is_what_a_round_moves() -> None:
    """Against the estimate with each round counted a little more, by numerical differentiation."""
    rounds, target, rewards_of = made_up(40, 3)
    weighed = weigh(rounds, target, rewards_of)
    for estimator in (ips, snips, dm, dr, sndr):
        terms = estimator(weighed)
        direct, correction, scale = terms.columns()
        for i in range(0, 40, 7):
            more = np.ones(40)
            more[i] += 1e-6
            total = (more * direct).sum() / more.sum() + (more * correction).sum() / (
                more.sum() if terms.scale is None else (more * scale).sum()
            )
            assert math.isclose((total - terms.value) / 1e-6 * 40, terms.influence[i], rel_tol=1e-3, abs_tol=1e-5)


def test_rounds_of_a_user_depend_on_each_other() -> None:
    """Each round three times: the estimate stays, and so does its error by user; by rounds it would seem smaller."""
    rounds, target, rewards_of = made_up(300, 4)
    thrice = rounds.take(np.repeat(np.arange(300), 3))
    once = dr(weigh(rounds, target, rewards_of))
    terms = dr(weigh(thrice, np.repeat(target, 3, axis=0), np.repeat(rewards_of, 3, axis=0)))
    users = np.repeat(np.arange(300), 3)
    assert math.isclose(terms.value, once.value, rel_tol=1e-12)
    assert math.isclose(terms.standard_error(users), once.standard_error(), rel_tol=1e-9)
    assert terms.standard_error() < 0.6 * once.standard_error()


def test_a_model_is_asked_for_by_name() -> None:
    rounds, target, _ = made_up(20, 5)
    with pytest.raises(
        ValueError, match=r"expected a reward model, got none: see experiments\.offline\.models\.reward_models"
    ):
        dr(weigh(rounds, target))
    with pytest.raises(ValueError, match="Terms: expected a direct term or a correction, got neither"):
        Terms()


def test_nothing_to_weigh_is_no_number() -> None:
    terms = Terms(correction=np.zeros(3), scale=np.zeros(3))
    assert math.isnan(terms.value)
    assert np.isnan(terms.influence).all()
    assert math.isnan(Terms(direct=np.ones(1)).standard_error())


def test_permuting_rounds_changes_nothing() -> None:
    rounds, target, rewards_of = made_up(200, 6, n_users=50)
    order = np.random.default_rng(0).permutation(200)
    for estimator, _ in itertools.product((ips, snips, dr, sndr), range(1)):
        one = estimator(weigh(rounds, target, rewards_of))
        other = estimator(weigh(rounds.take(order), target[order], rewards_of[order]))
        assert math.isclose(one.value, other.value, rel_tol=1e-12)
        assert math.isclose(
            one.standard_error(rounds.clusters), other.standard_error(rounds.take(order).clusters), rel_tol=1e-9
        )


@pytest.mark.parametrize("n", [2, 4_096, 10_001])
def test_one_pass_gives_the_same_numbers(n: int) -> None:
    rounds, target, rewards_of = made_up(n, 7)
    weighed = weigh(rounds, target, rewards_of)
    found = quick_estimates(rounds, target, np.ascontiguousarray(rewards_of))
    for name, estimator in (("ips", ips), ("snips", snips), ("dr", dr)):
        terms = estimator(weighed)
        assert math.isclose(found[name].mean, terms.value, rel_tol=1e-11, abs_tol=1e-14)
        assert math.isclose(found[name].standard_error, terms.standard_error(), rel_tol=1e-9, abs_tol=1e-12)


def test_one_pass_checks_on_the_way() -> None:
    rounds, target, rewards_of = made_up(5_000, 7)
    wrong = target.copy()
    wrong[4_500, 0] += 0.1
    with pytest.raises(LogError, match=r"^row 4500: target: expected a sum of 1, got 1\.1"):
        quick_estimates(rounds, wrong, rewards_of)
    with pytest.raises(ValueError, match=r"rewards_of: expected float64 of shape \(5000, 4\), got float32"):
        quick_estimates(rounds, target, rewards_of.astype(np.float32))


def test_one_pass_keeps_its_digits_and_knows_what_was_eligible() -> None:
    """Rewards of a hundred million, give or take one: sums of squares alone would have no digit left."""
    rounds, target, rewards_of = made_up(5_000, 7)
    rounds, rewards_of = replace(rounds, rewards=rounds.rewards + 1e8), rewards_of + 1e8
    weighed = weigh(rounds, target, rewards_of)
    found = quick_estimates(rounds, target, rewards_of)
    for name, estimator in (("ips", ips), ("snips", snips), ("dr", dr)):
        assert math.isclose(found[name].standard_error, estimator(weighed).standard_error(), rel_tol=1e-5), name
    assert found["snips"].standard_error < 0.1
    row, action = (int(k[0]) for k in np.nonzero(~rounds.eligibility))
    odd = target.copy()
    odd[row] = np.eye(4)[action]
    with pytest.raises(LogError, match=f"row {row}: target: "):
        quick_estimates(rounds, odd, rewards_of)
