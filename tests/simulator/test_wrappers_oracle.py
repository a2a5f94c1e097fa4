"""The oracle observation against the records, and against what the law does next."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.behaviour.fatigue import fatigue_now, refresh
from simulator.behaviour.interest import is_in_context, relevance
from simulator.environments.lenses import OracleObservation, wrap
from simulator.environments.lenses.latent import latent_features, log_odds_of_rate
from simulator.records import HOURS_A_WEEK, N_BINS, N_CATEGORIES, Mail, Records, Status
from tests.simulator.lens_worlds import Arrays, eligible, lively, vector

N = 32


def seen(env, observations: Arrays) -> dict[str, Arrays]:
    """The latent entries by name, shape (U,) each."""
    return {
        name.removeprefix("latent."): observations[:, k].astype(float)
        for k, name in enumerate(env.observation_names)
        if name.startswith("latent.")
    }


def walk(env, n_steps: int, seed: int = 0):
    """Random steps; yields (turn of the walk, observations, infos)."""
    observations, infos = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):
        yield observations, infos
        observations, _, _, _, infos = env.step(eligible(rng, infos["action_mask"]))


def test_each_entry_is_the_level_of_now():
    """Written out again from the records, by name, in float64 and with the exponentials of the law's definition."""
    env = wrap(vector(num_envs=N, scenario=lively(days=8)), OracleObservation())
    base, law = env.unwrapped, env.unwrapped.world.law[0]
    ranges = {f.name.removeprefix("latent."): f for f in latent_features(segments(base), 4)}
    was_stale = dict.fromkeys(("fatigue", "need_used", "intent", "habituation0"), 0)
    for observations, _ in walk(env, 150):
        shown, users = seen(env, observations), base.seats.users
        idle = users["now_hours"] - users["levels_hours"]
        local = base.world.local_hours[users["zone"], users["now_hours"].astype(int)]
        shares = users["log_interest"].astype(float)
        scores = (shares - shares.mean(axis=1, keepdims=True)) / shares.std(axis=1, keepdims=True)
        is_email = users["mail_channel"] == 1
        waits, travels = users["mail_state"] == Mail.WAITING, users["mail_state"] == Mail.IN_TRANSIT
        truth = {
            "is_present": users["status"] == Status.PRESENT,
            "push_opt_in": users["opted_in"] & 1,
            "email_opt_in": users["opted_in"] >> 1 & 1,
            "sessions_per_day": np.log1p(24.0 * users["session_rate"]),
            "churn_prob_1d": np.log(np.expm1(24.0 * users["churn_rate"].astype(float))),
            "push_attention": np.log1p(users["push_attention"]),
            "email_attention": np.log1p(users["email_attention"]),
            "open_bias": users["open_bias"],
            "push_affinity": users["affinity"][:, 0],
            "email_affinity": users["affinity"][:, 1],
            "sensitivity": np.log1p(users["sensitivity"]),
            "chronotype_hours": (users["table_row"].astype(int) % N_BINS - 6) / 2,
            "organic": base.world.organic[users["table_row"], local % HOURS_A_WEEK],
            "attention": base.world.attention[users["table_row"], local % HOURS_A_WEEK],
            "competition": base.world.days[local // 24, 1],
            "satiation": users["satiation"],
            "salience": users["salience"],
            "fatigue": np.log1p(users["fatigue"] * np.exp(-idle / law["fatigue_hours"])),
            "need_used": users["need_used"] * np.exp(-idle / law["need_hours"]),
            "intent": users["intent"] * np.exp(-idle / law["intent_hours"]),
            "is_in_context": np.asarray([is_in_context(user, law) for user in users.copy()]),
            "waiting_push": (waits & ~is_email).sum(axis=1),
            "waiting_email": (waits & is_email).sum(axis=1),
            "in_transit": travels.sum(axis=1),
        }
        truth |= {
            name: np.log1p(users[name])
            for name in (
                *("habit", "honeymoon", "dissatisfaction"),
                *("irritation_push", "irritation_email", "irritation_in_app"),
            )
        }
        kept = np.exp(-idle / law["habituation_hours"])
        for k in range(N_CATEGORIES):
            truth[f"habituation{k}"] = np.log1p(users["habituation"][:, k] * kept)
            truth[f"relevance{k}"] = scores[:, k]
        for k, name in enumerate(segments(base)):
            truth[f"segment.{name}"] = users["segment"] == k
        for name, value in truth.items():
            low, high = ranges[name].low, ranges[name].high
            assert shown[name] == pytest.approx(np.clip(value, low, high), rel=2e-6, abs=2e-6), name
        for name in was_stale:
            level = users["habituation"][:, 0] if name == "habituation0" else users[name]
            was_stale[name] += int(((idle > 5) & (level > 0.05)).sum())
        assert {name for name in shown if not name.startswith("slot")} == set(truth), "an entry was not asked about"
    assert min(was_stale.values()) > 50, f"levels were hardly ever stale: {was_stale}"


def segments(base) -> tuple[str, ...]:
    return tuple(segment.name for segment in base.scenario.population.segments)


def test_levels_are_to_the_bit_what_the_law_would_read():
    """Refreshing a copy of the record, as the law does at its next event, gives the same float32."""
    env = wrap(vector(num_envs=N, scenario=lively()), OracleObservation())
    law = env.unwrapped.world.law[0]
    for observations, _ in walk(env, 60, seed=2):
        shown = seen(env, observations)
        for i, user in enumerate(env.unwrapped.seats.users.copy()):
            fatigue = fatigue_now(user, law)
            copy = env.unwrapped.seats.users[i : i + 1].copy()[0]
            refresh(copy, law)
            assert np.float32(shown["need_used"][i]) == copy["need_used"]
            assert np.float32(shown["intent"][i]) == copy["intent"]
            assert np.float32(shown["fatigue"][i]) == np.float32(math.log1p(copy["fatigue"]))
            assert copy["fatigue"] == pytest.approx(fatigue, rel=1e-6)
            assert np.float32(shown["relevance3"][i]) == np.float32(relevance(copy, 3))


def test_a_candidates_logit_is_the_one_that_the_law_fixes_when_it_arrives():
    """Sent at once to someone who is asleep, the message waits in the mailbox with the logit that was foretold."""
    world = lively(
        days=6,
        behaviour={
            "attention": {"asleep": 0.0, "awake": 0.0, "evening": 0.0},
            "delivery": {"offline_prob": 0.0, "email_prob": 1.0, "android_prob": 1.0, "ios_prob": 1.0},
            "conversion": {"need_used": 0.9},
        },
        gateway={"latency_seconds": 0.0},
    )
    env = wrap(vector(num_envs=N, scenario=world), OracleObservation())
    base = env.unwrapped
    observations, infos = env.reset(seed=3)
    rng = np.random.default_rng(0)
    found = {0: 0, 1: 0}
    intended = 0
    for _ in range(130):
        shown, candidates = seen(env, observations), infos["candidates"].copy()
        hour, who = base.seats.users["now_hours"].astype(int).copy(), base.seats.users["user_id"].copy()
        actions = eligible(rng, infos["action_mask"])
        observations, _, _, _, infos = env.step(actions)
        for i in np.flatnonzero(actions):
            slot, channel = divmod(actions[i] - 1, 2)
            user = base.seats.users[i]
            if user["user_id"] != who[i]:
                continue
            for k in np.flatnonzero(user["mail_state"] == Mail.WAITING):
                if (user["mail_hour"][k], user["mail_campaign"][k], user["mail_channel"][k]) == (
                    hour[i],
                    candidates[i, slot],
                    channel,
                ):
                    foretold = shown[f"slot{slot}.{('push', 'email')[channel]}_logit"][i]
                    assert foretold == pytest.approx(float(user["mail_logit"][k]), rel=1e-6, abs=1e-6)
                    found[channel] += 1
                    intended += shown[f"slot{slot}.intent"][i] > 0.01
    assert min(found.values()) > 50, found
    assert intended > 5, "no candidate was about what the user had in mind"


def test_an_empty_slot_is_zeros():
    env = wrap(vector(num_envs=N, scenario=lively(), n_slots=16), OracleObservation())
    n_empty = 0
    for observations, infos in walk(env, 20):
        shown = seen(env, observations)
        for slot in range(16):
            is_empty = infos["candidates"][:, slot] < 0
            n_empty += is_empty.sum()
            for name in ("relevance", "intent", "push_logit", "email_logit"):
                assert (shown[f"slot{slot}.{name}"][is_empty] == 0).all()
            assert (shown[f"slot{slot}.push_logit"][~is_empty] != 0).all()
    assert n_empty > 100


def test_the_last_observation_is_of_the_user_who_ended():
    """Not of the next one, who sits there already."""
    env = wrap(vector(num_envs=N, scenario=lively(days=3)), OracleObservation())
    traits = [
        env.observation_names.index(f"latent.{name}") for name in ("sessions_per_day", "open_bias", "sensitivity")
    ]
    present = env.observation_names.index("latent.is_present")
    observations, infos = env.reset(seed=5)
    rng = np.random.default_rng(1)
    n_left = n_cut = 0
    for _ in range(160):
        before = observations.copy()
        observations, _, terminated, truncated, infos = env.step(eligible(rng, infos["action_mask"]))
        ended = terminated | truncated
        if ended.any():
            final = infos["final_obs"]
            assert np.array_equal(final[ended][:, traits], before[ended][:, traits])
            assert not (observations[ended][:, traits] == before[ended][:, traits]).any()
            assert (final[terminated, present] == 0).all()
            assert (final[truncated, present] == 1).all()
        assert (observations[:, present] == 1).all()
        n_left, n_cut = n_left + terminated.sum(), n_cut + truncated.sum()
    assert n_left > 10
    assert n_cut > 20


def test_where_location_campaigns_are_the_context_is_shown_and_not_moved():
    env = wrap(vector(num_envs=N, scenario=lively()), OracleObservation())
    law = env.unwrapped.world.law[0]
    assert law["has_location"]
    n_inside = 0
    for observations, _ in walk(env, 60):
        users: Records = env.unwrapped.seats.users.copy()
        inside = np.asarray([is_in_context(user, law) for user in users])
        assert np.array_equal(seen(env, observations)["is_in_context"], inside)
        n_inside += inside.sum()
    assert n_inside > 5


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 1.0, 30.0])
def test_the_log_odds_of_a_rate(rate):
    prob = -math.expm1(-rate)
    assert log_odds_of_rate(rate) == pytest.approx(math.log(prob) + rate, rel=1e-9)


def test_rates_at_both_ends_stay_finite():
    assert math.isfinite(log_odds_of_rate(0.0))
    assert math.isfinite(log_odds_of_rate(1e6))
