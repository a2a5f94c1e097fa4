"""Potential-based shaping: K22, and the potential against quadrature and against users who live it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import integrate

from simulator.environments.lenses import CLICKS, RewardParts, Shaping, wrap
from simulator.environments.lenses.potential import RATES_PER_HOUR, Potential, renewal
from simulator.fleet import Fleet
from simulator.law import build_world
from simulator.presets import preset_names, scenario_of
from simulator.records import USER, Records, Status
from simulator.senders import Sender
from tests.simulator.bare import Floats, bare, constant_use, mean_agrees, never_leaves
from tests.simulator.lens_worlds import eligible, lively, single, vector
from tests.simulator.test_known_answers_sessions import FORGETFUL, OBSTINATE, SATED, Renewal

GAMMA = 0.998  # an hour
CHANNELS = {"push": 0.004, "email": 0.001}


def by_hand(scenario: dict[str, Any], user: Records) -> float:
    """The potential of one user, by SciPy's quadrature from the scenario's own numbers."""
    world = scenario_of(scenario)
    sessions, conversion = world.behaviour.sessions, world.behaviour.conversion
    per_day = 24.0 * float(user["session_rate"])
    gaps = Renewal(per_day, sessions.satiation, sessions.satiation_hours, sessions.floor, sessions.salience_days)
    edges = [0.0, *np.geomspace(0.01, gaps.longest, 80)]
    left = sum(
        integrate.quad(lambda s: np.exp(-gaps.used(s) - s / sessions.satiation_hours), a, b, epsabs=0, epsrel=1e-10)[0]
        for a, b in itertools.pairwise(edges)
    )
    fresh = 1 - sessions.satiation * (1 - left / sessions.satiation_hours)
    tier = world.population.tiers[int(user["tier"])].value
    orders = Renewal(
        24 / gaps.mean * conversion.organic_prob, conversion.need_used, conversion.need_days * 24, 1.0, 1.0
    )
    organic = (
        24 / gaps.mean * world.behaviour.value.session_eur * tier * fresh + 24 / orders.mean * conversion.margin_eur
    )
    channels = sum(eur for bit, eur in enumerate(CHANNELS.values()) if user["opted_in"] >> bit & 1)
    return float(organic + channels) / (0.001 + 24.0 * float(user["churn_rate"]))


@pytest.mark.parametrize("trigger", ["clock", "event"])
@pytest.mark.parametrize("name", ["kairos/Notify-v0", "kairos/NotifyCandidates-v0"])
def test_k22_the_discounted_sum_over_an_episode_telescopes(name, trigger):
    """To gamma ** T Phi_T - Phi_0: 0 at a termination, at the horizon that of the true last state; both by hand too."""
    world = lively(days=5)
    env = wrap(single(name, scenario=world, trigger=trigger), Shaping(GAMMA, CHANNELS))
    users = env.unwrapped.vector.seats.users
    rng = np.random.default_rng(0)
    n_left = n_cut = n_withdrawn = 0
    steps = set()
    _, info = env.reset(seed=7)
    while n_left < 5 or n_cut < 5 or not n_withdrawn:
        first, consent = info["potential"], users[0]["opted_in"]
        assert first == pytest.approx(by_hand(world, users[0]), rel=1e-4)
        summed, hours = 0.0, 0.0
        while True:
            _, reward, terminated, truncated, info = env.step(eligible(rng, info["action_mask"][None])[0])
            assert reward == pytest.approx(info["reward_parts"].sum() / 1e9 + info["shaping"], abs=1e-9)
            summed += GAMMA**hours * info["shaping"]
            hours += info["elapsed_hours"]
            steps.add(float(info["elapsed_hours"]))
            if terminated or truncated:
                break
        assert info["potential"] == (0.0 if terminated else pytest.approx(by_hand(world, users[0]), rel=1e-4))
        assert summed == pytest.approx(GAMMA**hours * info["potential"] - first, abs=1e-6)
        n_left, n_cut = n_left + terminated, n_cut + truncated
        n_withdrawn += users[0]["opted_in"] != consent and truncated
        _, info = env.reset()
    assert (len(steps) > 1) == (trigger == "event")


def test_k22_where_the_next_user_sits_down_in_the_same_step():
    """The step that ends an episode is charged with the potential of who ended, not of who comes."""
    env = wrap(vector(num_envs=16, scenario=lively(days=3)), Shaping(GAMMA, CHANNELS))
    potential = Potential(env.unwrapped.world.law, (CHANNELS["push"], CHANNELS["email"]), 0.001)
    _, infos = env.reset(seed=1)
    rng = np.random.default_rng(0)
    first, summed, hours = infos["potential"], np.zeros(16), np.zeros(16)
    n_left = n_cut = 0
    for _ in range(160):
        _, rewards, terminated, truncated, infos = env.step(eligible(rng, infos["action_mask"]))
        assert rewards == pytest.approx(infos["reward_parts"].sum(axis=1) / 1e9 + infos["shaping"], abs=1e-9)
        summed += GAMMA**hours * infos["shaping"]
        hours += infos["elapsed_hours"]
        ended = terminated | truncated
        last = np.zeros(16)
        last[truncated] = potential.of(env.unwrapped.final_users[truncated])
        assert summed[ended] == pytest.approx((GAMMA**hours * last - first)[ended], abs=1e-6)
        summed[ended] = hours[ended] = 0.0
        first = np.where(ended, infos["potential"], first)
        n_left, n_cut = n_left + terminated.sum(), n_cut + truncated.sum()
    assert n_left > 5
    assert n_cut > 20


def test_shaping_is_added_to_a_reward_of_parts():
    env = wrap(vector(num_envs=16, scenario=lively()), RewardParts(CLICKS), Shaping(GAMMA, CHANNELS))
    _, infos = env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(60):
        _, rewards, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        assert rewards == pytest.approx(infos["clicks"] + infos["shaping"], abs=1e-9)
        assert infos["reward_items"][:, 0] == pytest.approx(infos["clicks"])


def one_user(**changes: Any) -> Records:
    users = np.zeros(1, USER)
    users["session_rate"], users["churn_rate"], users["opted_in"] = 0.02, 0.0005, 3
    for name, value in changes.items():
        users[name] = value
    return users


def test_a_channel_costs_its_worth_when_it_is_withdrawn_and_everything_when_the_user_leaves():
    potential = Potential(build_world(scenario_of(lively())).law, (0.004, 0.001), 0.001)
    patience = 1 / (0.001 + 24 * float(np.float32(0.0005)))
    both, email, none, left = (
        float(potential.of(one_user(**changes))[0])
        for changes in ({}, {"opted_in": 2}, {"opted_in": 0}, {"status": int(Status.LEFT)})
    )
    assert both - email == pytest.approx(0.004 * patience)
    assert email - none == pytest.approx(0.001 * patience)
    assert none > 0
    assert left == 0


@pytest.mark.parametrize("sessions", [FORGETFUL, OBSTINATE, SATED])
@pytest.mark.parametrize("per_day", [1e-7, 0.3, 3.0, 400.0])
def test_the_renewal_quadrature_is_k5(sessions, per_day):
    theory = Renewal(per_day, **sessions)
    gap_hours, _ = renewal(
        np.asarray([per_day / 24]),
        *(sessions["satiation"], sessions["satiation_hours"], sessions["floor"], 24 * sessions["salience_days"]),
    )
    assert gap_hours[0] == pytest.approx(theory.mean, rel=1e-8)


def test_the_published_figure_of_k5():
    gap_hours, _ = renewal(np.asarray([0.3 / 24]), 0.85, 5.0, 0.35, 240.0)
    assert 24 / gap_hours[0] == pytest.approx(0.2225, abs=5e-5)


@pytest.mark.parametrize("preset", preset_names())
def test_the_table_is_as_good_as_the_quadrature(preset):
    """Between its points too, over all rates that users have, and beyond."""
    law = build_world(scenario_of(preset)).law
    row = law[0]
    rates = np.geomspace(1e-11, 20, 601).astype(np.float32)
    users = np.zeros(len(rates), USER)
    users["session_rate"], users["tier"] = rates, np.arange(len(rates)) % 3
    exact = rates.astype(float)
    shape = (row["satiation"], row["satiation_hours"], float(row["floor"]), row["salience_hours"])
    gaps, fresh = renewal(exact, *shape)
    orders, _ = renewal(row["organic_order_prob"] / gaps, row["need_used"], row["need_hours"], 1.0, 1.0)
    value = 24 / gaps * fresh * row["session_eur"] * row["tier_value"][users["tier"]] + 24 / orders * row["margin_eur"]
    assert Potential(law, (0.0, 0.0), 0.001).organic_eur_per_day(users) == pytest.approx(value, rel=1e-4)
    assert RATES_PER_HOUR[0] > rates[0]


def earned_per_day(per_day: float, conversion: dict[str, float], n_users: int, money: int) -> tuple[Floats, Fleet]:
    """Live in silence, and return what each user earned a day after a while, EUR, shape (U,)."""
    burn_in, days = 20, 60
    fleet = constant_use(bare(n_users, days, behaviour={"sessions": FORGETFUL, "conversion": conversion}), per_day, 0)
    never_leaves(fleet)
    fleet.run(Sender(), burn_in)
    before = fleet.tally["money"][:, money].astype(float)
    fleet.run(Sender())
    return (fleet.tally["money"][:, money] - before) / 1e9 / (days - burn_in), fleet


@pytest.mark.parametrize("per_day", [0.5, 4.0])
def test_users_earn_by_sessions_what_the_potential_says(per_day):
    earned, fleet = earned_per_day(per_day, {"organic_prob": 0.0}, 12_000, 0)
    expected = Potential(fleet.world.law, (0.0, 0.0), 0.001).organic_eur_per_day(fleet.users[:1])[0]
    mean_agrees(earned, float(expected), catches=0.02)


def test_users_earn_by_orders_what_the_potential_says_nearly():
    """Orders are taken to thin out sessions that fall evenly, which is not quite so: within 3 % here."""
    earned, fleet = earned_per_day(4.0, {"organic_prob": 0.2, "need_used": 0.9, "need_days": 3.0}, 12_000, 1)
    without = Potential(fleet.world.law, (0.0, 0.0), 0.001)
    everything = without.organic_eur_per_day(fleet.users[:1])[0]
    fleet.world.law["organic_order_prob"] = 0.0
    sessions = Potential(fleet.world.law, (0.0, 0.0), 0.001).organic_eur_per_day(fleet.users[:1])[0]
    assert earned.mean() == pytest.approx(everything - sessions, rel=0.03)
    assert everything > 20 * sessions


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match=r"^Shaping: discount_per_hour: expected above 0 and at most 1, got 1.1$"):
        Shaping(1.1)
    with pytest.raises(ValueError, match=r"^Shaping: discount_per_hour: expected above 0 and at most 1, got nan$"):
        Shaping(float("nan"))
    with pytest.raises(ValueError, match=r"^Shaping: discount_rate_per_day: expected a finite number above 0, got 0$"):
        Shaping(0.9, discount_rate_per_day=0)
    with pytest.raises(ValueError, match=r"expected 'push' or 'email', got 'emial'. Did you mean 'email'\?"):
        Shaping(0.9, {"emial": 1.0})
    with pytest.raises(ValueError, match=r"channel_eur_per_day of 'push': expected a finite number, got inf$"):
        Shaping(0.9, {"push": float("inf")})
