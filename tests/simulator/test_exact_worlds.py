"""The worlds' known figures, to the digits in which they were published, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.exact.fatigue import fatigue_baselines, fatigue_model, fatigue_world
from simulator.exact.finite import start_value, value_iteration
from simulator.exact.recovery import RecoveringArm
from simulator.exact.restless import (
    OUT,
    myopic_actions,
    restless_arms,
    restless_baselines,
    restless_world,
    whittle_actions,
)
from simulator.exact.segments import regret_eur, segment_baselines, segment_world


def test_the_optimum_of_world_a():
    world = fatigue_world()
    assert world.model.n_states == 151
    assert f"{world.solution.values[0]:.5f}" == "1.24769"


def test_the_optimal_policy_of_world_a_by_slot():
    sends = fatigue_world().solution.actions[:-1].reshape(6, 25)
    highest = [-1, -1, 2, 5, 9, 0]  # fatigue up to which the slot sends
    np.testing.assert_array_equal(sends, np.arange(25) <= np.asarray(highest)[:, None])


def test_the_simple_rules_of_world_a():
    values = {name: f"{value:.5f}" for name, value in fatigue_baselines().items()}
    assert values == {"always send": "0.40684", "best slots": "1.18277", "best slots and threshold": "1.20897"}


def test_the_named_rules_of_world_a_are_the_best():
    model = fatigue_world().model
    slot, fatigue = np.divmod(np.arange(model.n_states), 25)
    is_chosen = (slot == 3) | (slot == 4)
    baselines = fatigue_baselines()
    assert start_value(model, (is_chosen & (fatigue <= 7)).astype(int)) == baselines["best slots and threshold"]
    assert start_value(model, is_chosen.astype(int)) == baselines["best slots"]


def test_world_a_does_not_depend_on_where_fatigue_is_cut():
    narrow = fatigue_model(15)
    assert narrow.start @ value_iteration(narrow).values == pytest.approx(fatigue_world().solution.values[0], abs=5e-6)


def test_fatigue_of_world_a_has_the_mean_of_the_simulators():
    """F' = (F + a) exp(-4/96): the binomial's mean, given that the user stays."""
    [kernel] = fatigue_world().model.kernels
    for fatigue, is_sent in ((0, 0), (0, 1), (7, 0), (7, 1), (23, 1)):
        row = kernel[is_sent, 2 * 25 + fatigue, 3 * 25 : 4 * 25]
        opt_out_prob = is_sent * (1.0 - math.exp(-0.002 * (1.0 + 0.15 * fatigue)))
        assert row.sum() == pytest.approx(1.0 - opt_out_prob, abs=1e-14)
        assert row @ np.arange(25) / row.sum() == pytest.approx((fatigue + is_sent) * math.exp(-4 / 96), rel=1e-12)


def test_world_b():
    world = segment_world()
    values = world.model.reward[:4]
    assert f"{world.model.start @ world.solution.values:.6f}" == "0.051624"
    assert world.solution.actions[:4].tolist() == [13, 1, 13, 13]
    top = np.sort(values, axis=1)
    assert [f"{gap:.4f}" for gap in top[:, -1] - top[:, -2]] == ["0.0194", "0.0079", "0.0018", "0.0021"]
    assert {name: f"{value:.6f}" for name, value in segment_baselines().items()} == {
        "best fixed arm": "0.045520",
        "uniform": "0.013386",
    }


def test_regret_in_world_b_is_exact():
    world = segment_world()
    everyone = np.repeat(np.arange(4), 17)
    actions = np.tile(np.arange(17), 4)
    regret = regret_eur(world.observations[everyone], actions).reshape(4, 17)
    assert (regret >= 0.0).all()
    assert (regret.argmin(axis=1) == world.solution.actions[:4]).all()
    lost = np.asarray([0.4, 0.3, 0.2, 0.1]) @ regret[:, 13]  # of giving everybody the best fixed arm
    assert f"{0.051624 - lost:.5f}" == f"{segment_baselines()['best fixed arm']:.5f}"


def test_world_d():
    world = restless_world()
    assert world.model.n_states == 2401
    assert f"{world.model.start @ world.solution.values:.5f}" == "7.97196"
    assert {name: f"{value:.5f}" for name, value in restless_baselines().items()} == {
        "Whittle index": "7.94153",
        "myopic": "7.78799",
    }


def test_resting_everybody_is_often_optimal_in_world_d():
    world = restless_world()
    is_live = ~world.model.is_final
    rests = world.solution.actions[is_live] == 0
    assert 0.1 < rests.mean() < 0.9  # although every send has a reward above 0
    assert (myopic_actions()[is_live] > 0).all()
    assert 0.1 < (whittle_actions()[is_live] == 0).mean() < 0.9


def test_a_user_who_has_opted_out_of_world_d_is_barred_and_stays_out():
    world = restless_world()
    parts = world.model.parts
    np.testing.assert_array_equal(world.model.is_allowed[:, 1:], parts != OUT)
    for user in range(4):
        assert (world.model.kernels[user][:, OUT, OUT] == 1.0).all()
    for policy in (world.solution.actions, whittle_actions(), myopic_actions()):
        assert world.model.is_allowed[np.arange(2401), policy].all()


@pytest.mark.parametrize("user", range(4))
def test_the_last_user_of_world_d_is_worth_what_that_arm_is_alone(user):
    """The arm alone is solved by trying all its policies, which shares nothing with value iteration."""
    world = restless_world()
    is_last = (np.delete(world.model.parts, user, axis=1) == OUT).all(axis=1)
    alone = restless_arms()[user].rewards_and_sends[0].max(axis=0)
    np.testing.assert_allclose(world.solution.values[is_last], alone, atol=1e-9)


@pytest.mark.parametrize(("half_life_hours", "expected_hours"), [(72.0, 116), (360.0, 578)])
def test_the_recovering_arm(half_life_hours, expected_hours):
    arm = RecoveringArm(half_life_hours=half_life_hours)
    best = arm.best_wait_hours()
    assert round(best) == expected_hours
    waits = best * np.geomspace(0.1, 10.0, 2001)
    rates = np.asarray([arm.rate_eur_per_hour(wait) for wait in waits])
    assert rates.argmax() == 1000  # the middle one, which is the best itself
    assert (np.diff(rates[:1001]) > 0.0).all()
    assert (np.diff(rates[1000:]) < 0.0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost_eur": 0.03}, r"cost_eur: .* less than a rested one earns \(0\.027\), got 0\.03: else no wait is best"),
        ({"cost_eur": 0.005}, r"cost_eur: .* at once after another \(0\.0054\) .* got 0\.005: else no wait is best"),
        ({"half_life_hours": 0.0}, r"half_life_hours: expected > 0, got 0\.0"),
    ],
)
def test_an_arm_without_a_best_wait_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RecoveringArm(**change)


def test_without_carry_over_what_is_best_now_is_best():
    """World A's dial: at 0 the myopic rule, always to send, is optimal; the more carries over, the less it is worth."""
    shares = []
    for carry_over in (0.0, 0.25, 1.0, 2.0):
        world = fatigue_world(carry_over)
        optimum = float(world.model.start @ world.solution.values)
        always = (~world.model.is_final).astype(np.int64)
        shares.append(start_value(world.model, always) / optimum)
    assert shares[0] == pytest.approx(1.0, abs=1e-9)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.3
    with pytest.raises(ValueError, match=r"carry_over: expected a finite number of at least 0, got -1"):
        fatigue_model(carry_over=-1)
