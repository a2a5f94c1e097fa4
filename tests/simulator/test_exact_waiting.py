"""World C: periodic sends, waits that depend on fatigue, and the discount by elapsed time."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

import simulator.exact  # noqa: F401  registers the ids
from simulator.exact.finite import FiniteModel, value_iteration
from simulator.exact.standing import standing, value_of
from simulator.exact.waiting import (
    DISCOUNT_PER_HOUR,
    MAX_FATIGUE,
    WaitingEnv,
    best_period,
    best_waits,
    hazard,
    periodic_value,
    send_reward_eur,
    waits_value,
)
from tests.simulator.bare import mean_agrees

LOSSES_EUR = (0.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("loss_eur", "hours", "value"), [(0.0, 14, "1.31898"), (1.0, 17, "1.06187"), (3.0, 24, "0.68812")]
)
def test_the_best_period(loss_eur, hours, value):
    period, worth = best_period(loss_eur)
    assert (period, f"{worth:.5f}") == (hours, value)


@pytest.mark.parametrize("loss_eur", LOSSES_EUR)
@pytest.mark.parametrize("wait_hours", [1, 14, 48])
def test_always_waiting_as_long_is_worth_the_periodic_value(wait_hours, loss_eur):
    env = gymnasium.make("kairos/ExactC-v0", opt_out_loss_eur=loss_eur)
    value = value_of(env, lambda observations: np.full(len(observations), wait_hours - 1))
    assert value == pytest.approx(periodic_value(wait_hours, loss_eur), abs=1e-12)


def test_the_periodic_value_without_fatigue_is_a_geometric_sum(monkeypatch):
    monkeypatch.setattr("simulator.exact.waiting.FATIGUE_LOGIT", 0.0)
    monkeypatch.setattr("simulator.exact.waiting.OPT_OUT_GAIN", 0.0)
    reward = 0.3 / (1.0 + math.exp(2.2)) - 0.00005 - (1.0 - math.exp(-0.002)) * 1.0
    assert periodic_value(10, 1.0) == pytest.approx(reward / (1.0 - math.exp(-10 / 1440 - 0.002)), rel=1e-12)


@pytest.mark.parametrize("loss_eur", LOSSES_EUR)
def test_waits_by_fatigue_beat_every_period_and_stay_below_their_bound(loss_eur):
    waits = best_waits(loss_eur)
    assert best_period(loss_eur)[1] < waits.value <= waits.upper
    assert waits.upper - waits.value < 1e-5
    # The bound is one if the value is never below 0: here the policy's own exact value over the whole range.
    assert waits_value(waits.wait_hours, loss_eur, np.linspace(0.0, MAX_FATIGUE, 40)).min() > 0.0


@pytest.mark.parametrize("loss_eur", LOSSES_EUR)
def test_the_values_by_fatigue_fall_and_are_convex(loss_eur):
    """What makes the interpolated values an upper bound."""
    waits = best_waits(loss_eur)
    slopes = np.diff(waits.values) / np.diff(waits.fatigue)
    assert (slopes < 0.0).all()
    assert (np.diff(slopes) > -1e-7).all()


def test_the_optimum_of_few_waits_is_that_of_all_sequences():
    """Waits of 48 hours only: the grid's one policy, whose value the closed series knows."""
    fatigue_now = np.asarray([0.0, 5.0])
    value = waits_value(lambda fatigue: np.full(len(fatigue), 48), 1.0, fatigue_now)
    assert value[0] == pytest.approx(periodic_value(48, 1.0), abs=1e-12)
    assert value[1] < value[0]


def test_an_hourly_problem_with_silence_in_between_has_the_same_optimum():
    """World C cut into hours: each hour send or be silent, fatigue on a grid that the decay keeps to.

    Without fatigue's effect on opens and opt-outs the wait alone is the state, and both forms must agree: the discount
    by elapsed time is that of as many hours.
    """
    reward, h = 0.03, 0.002
    stay = math.exp(-h)
    kernel = np.zeros((2, 2, 2))
    kernel[0] = np.eye(2)  # silent: an hour passes
    kernel[1] = [[stay, 1.0 - stay], [0.0, 1.0]]
    hourly = FiniteModel(
        kernels=(kernel,),
        win_prob=np.asarray([[0.0, 1.0], [0.0, 1.0]]),
        win=np.asarray([[0.0, reward], [0.0, 0.0]]),
        cost=np.zeros((2, 2)),
        is_allowed=np.ones((2, 2), np.bool_),
        is_final=np.asarray([False, True]),
        start=np.asarray([1.0, 0.0]),
        discount=DISCOUNT_PER_HOUR,
    )
    best = max(reward / (1.0 - stay * DISCOUNT_PER_HOUR**wait) for wait in range(1, 49))
    assert value_iteration(hourly).values[0] == pytest.approx(best, rel=1e-9)


def test_played_episodes_earn_the_exact_value_discounted_by_elapsed_hours():
    env = gymnasium.make("kairos/ExactC-v0", opt_out_loss_eur=1.0, max_steps=150)
    returns = []
    env.reset(seed=7)
    for _ in range(250):
        env.reset()
        total, weight, is_over = 0.0, 1.0, False
        while not is_over:
            _, reward, terminated, truncated, info = env.step(16)  # waits 17 hours
            total += weight * float(reward)
            weight *= env.unwrapped.discount_per_hour ** info["elapsed_hours"]  # type: ignore[attr-defined]
            is_over = terminated or truncated
        returns.append(total)
    # The series, cut off after 150 sends.
    a = math.exp(-17 / 96)
    sends = np.arange(150)
    fatigue = np.asarray(a * (1.0 - a**sends) / (1.0 - a), np.float64)
    weights = np.exp(-17 * sends / 1440 - np.append(0.0, np.cumsum(hazard(fatigue))[:-1]))
    mean_agrees(returns, float(weights @ send_reward_eur(fatigue, 1.0)), catches=0.25)


def test_the_standing_of_the_best_period_is_zero_and_of_the_best_waits_one():
    env = gymnasium.make("kairos/ExactC-v0")
    period = standing(env, lambda observations: np.full(len(observations), 13))
    assert period.gap_closed == pytest.approx(0.0, abs=1e-12)
    waits = best_waits(0.0)
    found = standing(env, lambda observations: waits.wait_hours(np.expm1(observations[:, 0].astype(float))) - 1)
    assert found.gap_closed == pytest.approx(1.0, abs=1e-3)  # float32 observations round near ties
    assert found.share_of_optimum == pytest.approx(1.0, abs=1e-5)


def test_an_observation_tells_the_fatigue():
    env = WaitingEnv()
    for fatigue in (0.0, 0.5, 7.25, MAX_FATIGUE):
        observation = env.observe(fatigue)
        assert observation in env.observation_space
        assert env.state_of(observation) == pytest.approx(fatigue, rel=1e-5)
    assert env.state_of(env.observe(None)) is None
    with pytest.raises(ValueError, match="kairos/ExactC: observation: expected one of Box"):
        env.state_of(np.asarray([-1.0, 0.0], np.float32))


def test_endless_sends_an_hour_apart_stay_within_the_range():
    env = WaitingEnv()
    env.reset(seed=0, options={"fatigue": MAX_FATIGUE})
    observation, *_ = env.step(0)
    assert observation in env.observation_space
    assert env.state == pytest.approx(MAX_FATIGUE, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env: WaitingEnv(opt_out_loss_eur=-1.0), r"opt_out_loss_eur: expected a finite number >= 0, got -1\.0"),
        (lambda env: WaitingEnv(opt_out_loss_eur=math.nan), "opt_out_loss_eur: expected a finite number >= 0, got nan"),
        (lambda env: WaitingEnv(max_steps=0), "max_steps: expected None or at least 1, got 0"),
        (lambda env: env.step(48), r"action: expected an integer 0 to 47 \(waits 1 to 48 hours\), got 48"),
        (lambda env: env.step(1.5), r"action: expected an integer 0 to 47 \(waits 1 to 48 hours\), got 1\.5"),
        (lambda env: env.reset(options={"fatige": 1}), "unknown option 'fatige'; .* Did you mean 'fatigue'"),
        (lambda env: env.reset(options={"fatigue": 96.0}), r"reset: fatigue: expected 0 to 95\.5009, got 96\.0"),
        (
            lambda env: value_of(env, lambda o: np.zeros(2, int)),
            r"act: expected integer actions of shape \(1,\), got int",
        ),
        (lambda env: value_of(env, lambda o: np.zeros(1)), r"act: expected integer actions .* got float64 of shape"),
        (
            lambda env: value_of(env, lambda o: np.full(1, 48)),
            r"act: expected an action 0 to 47, got 48 at fatigue 0\.",
        ),
    ],
)
def test_a_wrong_input_is_named(call, message):
    env = WaitingEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"kairos/ExactC: .*{message}|kairos/ExactC: {message}"):
        call(env)


def test_where_nothing_can_be_won_a_share_says_nothing():
    """Sending costs more than it can bring: the optimum is a loss, and the longest wait is as good as it gets."""
    found = standing(WaitingEnv(opt_out_loss_eur=1000.0), lambda observations: np.zeros(len(observations), np.int64))
    assert found.value < found.optimum < 0.0
    assert math.isnan(found.share_of_optimum)
    assert found.gap_closed < 0.0 or math.isnan(found.gap_closed)
