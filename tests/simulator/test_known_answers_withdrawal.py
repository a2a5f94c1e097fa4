"""Messages against their closed forms: tiredness and withdrawal (K1 to K4, K11, K12, K20)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.behaviour.fatigue import fatigue_now, refresh
from simulator.behaviour.sessions import decay, kept_after
from simulator.behaviour.withdrawal import is_night
from simulator.fleet import Fleet
from simulator.passing_time import pass_time
from simulator.records import EMAIL, PUSH, Event
from simulator.settlement import NO_WISH
from tests.simulator.bare import (
    CAMPAIGN,
    SILENCE,
    agrees,
    bare,
    constant_use,
    events,
    follows,
    mean_agrees,
    send,
    share_agrees,
    wait,
)

ANY_CHANNEL = CAMPAIGN | {"channels": ("push", "email")}


# ------------------------------------------------------------------------------------------ K1: levels decay


@pytest.mark.parametrize("tau", [0.5, 5.0, 48.0, 1440.0])
def test_k1_decaying_twice_is_decaying_once_for_the_sum(tau):
    for first in (1e-6, 0.01, 0.4, 1.0, 17.3):
        for second in (1e-5, 0.02, 0.61, 5.0):
            twice = decay(decay(0.7, kept_after(first, tau)), kept_after(second, tau))
            assert twice == pytest.approx(0.7 * math.exp(-(first + second) / tau), rel=1e-12)


LEVELS = ("habit", "satiation", "salience", "dissatisfaction", "honeymoon", "irritation_push", "irritation_email")
LAZY_LEVELS = ("fatigue", "need_used", "intent")
CLOCKS = ("clock_session", "clock_churn", "clock_push", "clock_email")


def test_k1_passing_time_in_pieces_is_passing_it_at_once():
    """Levels are float32 and agree to 1e-5; what the clocks have spent agrees to the same."""
    withdrawal = {"push_prob": 0.4, "email_prob": 0.3}
    sessions = {"satiation": 0.8, "floor": 0.4}
    behaviour = {"withdrawal": withdrawal, "sessions": sessions, "churn": {"irritation_prob": 0.2}}
    fleet = constant_use(bare(2, 1, behaviour=behaviour), 3.0)
    law = fleet.world.law[0]
    whole, pieces = fleet.users[0], fleet.users[1]
    for user in (whole, pieces):
        for k, name in enumerate((*LEVELS, *LAZY_LEVELS)):
            user[name] = 0.9 - 0.07 * k
        for name in CLOCKS:
            user[name] = 50.0
    for user, spans in ((whole, (0.97,)), (pieces, (0.001, 0.02, 0.5, 0.009, 0.44))):
        for span in spans:
            irritation = user["irritation_push"] + 0.3 * user["irritation_email"]
            pass_time(user, law, user["now_hours"] + span, 0.125, 0.01, irritation, 1.0)
            refresh(user, law)
    for name in (*LEVELS, *LAZY_LEVELS):
        assert 0 < pieces[name] < 0.9
        assert pieces[name] == pytest.approx(whole[name], rel=1e-5), name
    for name in CLOCKS:
        assert whole[name] < 50.0
        assert 50.0 - pieces[name] == pytest.approx(50.0 - whole[name], rel=1e-5), name


# ---------------------------------------------------------------------------------- K2 to K4: tiredness


@pytest.mark.parametrize(("channel", "phi"), [(PUSH, 1.0), (EMAIL, 0.35)])
def test_k2_periodic_sends_tire_geometrically(channel, phi):
    every, tau, sends = 24, 96.0, 28
    fleet = Fleet(bare(2, sends, behaviour={"fatigue": {"fatigue_hours": tau}}, campaigns=(ANY_CHANNEL,)))
    a = math.exp(-every / tau)
    before = []
    for n in range(sends):
        before.append(fatigue_now(fleet.users[1], fleet.world.law[0]))
        assert before[-1] == pytest.approx(phi * a * (1 - a**n) / (1 - a), rel=1e-6)
        send(fleet, channel=channel, n_hours=every)
    assert np.mean(before) == pytest.approx(phi * 2.952868, rel=1e-6)
    assert phi * a / (1 - a) == pytest.approx(phi * 3.5208, rel=1e-4)


def test_k3_poisson_sends_make_shot_noise():
    """Several messages an hour go out one by one, each after a random wait in the queue: exactly Poisson arrivals."""
    users, tau, rate = 20_000, 12.0, 1 / 3
    fleet = Fleet(bare(users, 6, behaviour={"fatigue": {"fatigue_hours": tau}}))
    draw = np.random.default_rng(3)
    fleet.wishes(SILENCE)
    for _ in range(int(10 * tau)):
        due = draw.poisson(rate, users)
        for k in range(int(due.max())):
            queue = draw.random(users)
            fleet.step(np.where(due > k, 0, NO_WISH).astype(np.int32), queue, SILENCE, 0)
        wait(fleet, 1)
    law = fleet.world.law[0]
    fatigue = np.array([fatigue_now(user, law) for user in fleet.users])
    mean_agrees(fatigue, rate * tau, catches=0.02)
    squares = (fatigue - rate * tau) ** 2
    agrees(float(squares.mean()), rate * tau / 2, float(squares.std()) / users**0.5, catches=0.1)


def test_k4_daily_repeats_wear_a_bucket_out_and_rest_restores_it():
    """The logit is read from the message in the mailbox, where it was fixed before the message had its effect."""
    half_life, omega, beta, theta, days = 15.0, 0.35, 0.3, -2.6, 150
    behaviour = {
        "response": {"push_logit": theta, "habituation": beta},
        "fatigue": {"habituation_half_life_days": half_life, "habituation_reset": omega},
    }
    other = CAMPAIGN | {"name": "other", "category": 1}
    fleet = Fleet(bare(2, days + 40, behaviour=behaviour, campaigns=(CAMPAIGN, other)))
    d = 2.0 ** (-1 / half_life)
    level = 0.0
    for day in range(days):
        send(fleet)
        slot = int(np.argmax(fleet.users[0]["mail_hour"] * (fleet.users[0]["mail_state"] > 0)))
        assert fleet.users[0]["mail_hour"][slot] == day * 24
        assert fleet.users[0]["mail_logit"][slot] == pytest.approx(theta - beta * level, rel=1e-6)
        level = ((1 - omega) * level + 1) * d
        wait(fleet, 24)
    limit = d / (1 - d * (1 - omega))
    assert level == pytest.approx(limit, rel=1e-6)
    assert limit == pytest.approx(2.517, abs=1e-3)
    worn, fresh = 1 / (1 + math.exp(-theta + beta * limit)), 1 / (1 + math.exp(-theta))
    assert worn / fresh == pytest.approx(0.488, abs=1e-3)
    # Thirty days of rest are two half-lives.
    wait(fleet, 30 * 24)
    send(fleet)
    slot = int(np.argmax(fleet.users[0]["mail_hour"]))
    assert fleet.users[0]["mail_logit"][slot] == pytest.approx(theta - beta * limit / 4, rel=1e-6)
    send(fleet, campaign=1)  # another bucket is not worn
    slot = int(np.argmax(fleet.users[0]["mail_campaign"]))
    assert fleet.users[0]["mail_logit"][slot] == pytest.approx(theta, rel=1e-6)


# ---------------------------------------------------------------------------------- K11, K12, K20: withdrawal


@pytest.mark.parametrize(("channel", "prob"), [(PUSH, 0.05), (PUSH, 1.5), (EMAIL, 0.7)])
def test_k11_one_send_is_followed_by_opt_outs_of_a_closed_form(channel, prob):
    users, tau = 40_000, 12.0
    withdrawal = {"irritation_hours": tau, "push_prob": prob, "email_prob": prob}
    scenario = bare(users, 6, behaviour={"withdrawal": withdrawal}, campaigns=(ANY_CHANNEL,))
    fleet = Fleet(scenario, journal_rows=users * 4)
    thresholds = fleet.users["clock_email" if channel == EMAIL else "clock_push"].copy()
    send(fleet, channel=channel, n_hours=144)
    left = events(fleet, Event.OPT_OUT)
    assert set(left["channel"]) == {channel}
    everybody = -math.expm1(-prob)
    if prob == 0.05:
        assert everybody == pytest.approx(0.0488, abs=1e-4)
    # After twelve time constants 6e-6 of the irritation is left.
    share_agrees(len(left), users, everybody, catches=0.2 if prob < 0.1 else 0.04)
    follows(
        left["time_hours"],
        lambda t: -np.expm1(-prob * -np.expm1(-t / tau)),
        catches=0.02,
        of=users,
        until=144.0,
    )
    # User by user, not a statistic: the irritation used up until the opt-out is the user's threshold.
    used = prob * -np.expm1(-left["time_hours"] / tau)
    np.testing.assert_allclose(used, thresholds[left["user_id"]], rtol=1e-6, atol=1e-8)


def test_k12_unequal_sensitivity_leaves_the_patient():
    """Retained (1 + v L)^(-1/v), where L is the hazard added up at sensitivity 1, and v its squared variation."""
    users, tau, prob, cv = 40_000, 24.0, 0.3, 0.7
    population = {"sensitivity_cv": cv}
    withdrawal = {"irritation_hours": tau, "push_prob": prob}
    fleet = Fleet(bare(users, 20, population=population, behaviour={"withdrawal": withdrawal}))
    v = cv**2
    level = used = 0.0
    catches = {0: 0.02, 4: 0.05, 19: 0.15}
    for day in range(20):
        send(fleet, n_hours=24)
        level += 1.0
        used += prob * level * -math.expm1(-24 / tau)
        level *= math.exp(-24 / tau)
        if day in catches:
            kept = int((fleet.users["opted_in"] & 1).sum())
            share_agrees(kept, users, (1 + v * used) ** (-1 / v), catches=catches[day])
    assert (1 + v * used) ** (-1 / v) < 0.12


def test_k20_a_push_at_night_irritates_by_its_factor():
    """Not a statistic: irritation and what the clock spends are Q times the day's; e-mail knows no night."""
    factor, prob = 3.0, 0.01
    withdrawal = {"night_factor": factor, "night_hours": (22.0, 8.0), "push_prob": prob, "email_prob": prob}
    for channel, level, clock in ((PUSH, "irritation_push", "clock_push"), (EMAIL, "irritation_email", "clock_email")):
        seen = {}
        for hour in range(24):
            fleet = Fleet(bare(1, 4, behaviour={"withdrawal": withdrawal}, campaigns=(ANY_CHANNEL,)))
            fleet.users[clock] = 100.0
            wait(fleet, hour)
            send(fleet, channel=channel)
            added = float(fleet.users[level][0])
            wait(fleet, 48)
            seen[hour] = added, 100.0 - float(fleet.users[clock][0])
            is_dark = is_night(fleet.world.law[0], hour)
            assert is_dark == (hour >= 22 or hour < 8)
            assert added == pytest.approx(factor if is_dark and channel == PUSH else 1.0, rel=1e-6)
        ratio = factor if channel == PUSH else 1.0
        assert seen[2][0] / seen[14][0] == pytest.approx(ratio, rel=1e-6)
        assert seen[2][1] / seen[14][1] == pytest.approx(ratio, rel=1e-6)
        assert seen[14][1] == pytest.approx(prob * -math.expm1(-48 / 48), rel=1e-6)


def test_k20_hazards_add_up_by_the_factor():
    """The same in shares of users: the logs of those retained are as 1 to Q."""
    users, prob = 40_000, 0.3
    withdrawal = {"night_factor": 3.0, "irritation_hours": 12.0, "push_prob": prob}
    retained = {}
    for hour in (2, 14):
        fleet = Fleet(bare(users, 8, behaviour={"withdrawal": withdrawal}))
        wait(fleet, hour)
        send(fleet, n_hours=144)
        retained[hour] = int((fleet.users["opted_in"] & 1).sum())
        share_agrees(retained[hour], users, math.exp(-prob * (3.0 if hour == 2 else 1.0)), catches=0.05)
