"""The environments' contract, beyond what the libraries' own checkers ask (`test_registered_ids.py`)."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from policies.constraints import Suppression
from policies.vocabulary import n_actions, n_features
from simulator.behaviour.interest import is_in_context
from simulator.compiled import compiled, most_threads, on_threads
from simulator.environments.vector import NotifyVectorEnv
from simulator.events import EventEngine
from simulator.fleet import SILENT, Fleet
from simulator.population_run import PopulationRun
from simulator.records import Records, Status
from simulator.senders import sender
from simulator.settlement import NO_WISH
from tests.simulator.seated import POPULATION, SINGLE_IDS, N, random_actions, scenario, vector

HOURS = 9 * 24 + 5  # not a midnight, whose census an environment has already taken


@pytest.mark.parametrize("name", [*SINGLE_IDS, POPULATION])
def test_spaces_types_and_ranges(name):
    env = vector(name, scenario=scenario().model_dump(mode="json"))
    assert env.single_observation_space.shape == (n_features(4),)
    assert env.single_observation_space.dtype == np.float32
    assert np.isfinite(env.single_observation_space.low).all()
    assert np.isfinite(env.single_observation_space.high).all()
    n = {"kairos/NotifyDaily-v0": 1 + 24 * 8, "kairos/NotifyCandidates-v0": 5}.get(name, n_actions(4))
    assert env.single_action_space == gymnasium.spaces.Discrete(n)
    observations, infos = env.reset(seed=5)
    rng = np.random.default_rng(0)
    for _ in range(60):
        assert observations.dtype == np.float32
        assert env.observation_space.contains(observations)
        assert infos["action_mask"].shape == (N, n)
        assert infos["action_mask"].dtype == np.int8
        assert (infos["action_mask"][:, 0] == 1).all(), "silence is always allowed"
        assert ((infos["reasons"] == Suppression.ELIGIBLE) == (infos["action_mask"] == 1)).all()
        assert infos["candidates"].shape == (N, 4)
        observations, rewards, terminated, truncated, infos = env.step(random_actions(rng, infos["action_mask"]))
        assert rewards.dtype == np.float64
        assert (terminated.dtype, truncated.dtype) == (np.bool_, np.bool_)
        assert not (terminated & truncated).any()
        assert infos["elapsed_hours"].shape == (N,)
        assert rewards == pytest.approx(infos["reward_parts"].sum(axis=1) / 1e9)
        if name == POPULATION and truncated.any():
            break


@pytest.mark.parametrize("name", SINGLE_IDS)
def test_the_vector_form_is_the_single_form_user_by_user(name):
    """Over several episodes, so that the next user of a seat is the same too."""
    world = scenario(calendar__horizon_days=4, population__mature_share=0.4).model_dump(mode="json")
    env = vector(name, 3, scenario=world)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    singles = [gymnasium.make(name, scenario=world) for _ in range(3)]
    observations, infos = env.reset(seed=40)
    for i, single in enumerate(singles):
        observation, info = single.reset(seed=40 + i)
        assert observation.tobytes() == observations[i].tobytes()
    rng = np.random.default_rng(1)
    n_ended = 0
    while n_ended < 9:
        actions = random_actions(rng, infos["action_mask"])
        observations, rewards, terminated, truncated, infos = env.step(actions)
        for i, single in enumerate(singles):
            observation, reward, is_over, is_cut, info = single.step(int(actions[i]))
            assert (reward, is_over, is_cut) == (rewards[i], terminated[i], truncated[i])
            assert np.array_equal(info["reward_parts"], infos["reward_parts"][i])
            assert info["elapsed_hours"] == infos["elapsed_hours"][i]
            if is_over or is_cut:
                n_ended += 1
                assert infos["_final_obs"][i]
                assert infos["final_obs"][i].tobytes() == observation.tobytes()
                observation, info = single.reset()
            for key in ("action_mask", "reasons", "candidates", "user_id", "hour"):
                assert np.array_equal(info[key], infos[key][i]), key
            assert observation.tobytes() == observations[i].tobytes()


def test_what_a_step_returns_outlives_the_next_step():
    """Rollout buffers store the last observation after the environment has stepped."""
    env = vector("kairos/Notify-v0", scenario=scenario())
    observations, infos = env.reset(seed=1)
    rng = np.random.default_rng(2)
    for _ in range(30):
        kept = {"observations": observations.copy(), "masks": infos["action_mask"].copy()}
        before, masks = observations, infos["action_mask"]
        observations, _, _, _, infos = env.step(random_actions(rng, masks))
        assert np.array_equal(before, kept["observations"])
        assert np.array_equal(masks, kept["masks"])
        assert not np.shares_memory(before, observations)


@pytest.mark.parametrize("name", [*SINGLE_IDS, POPULATION])
def test_seeds_and_threads_decide_alone(name):
    """The same seed gives the same episode; the number of threads changes nothing."""
    if most_threads() < 2:
        pytest.skip("this machine has one core")

    def run(n_threads: int, seed: int) -> list[bytes]:
        with on_threads(n_threads):
            env = vector(name, 1100, scenario=scenario(calendar__horizon_days=3, population__n_users=1100))
            env.n_workers = n_threads
            observations, infos = env.reset(seed=seed)
            seen = [observations.tobytes()]
            rng = np.random.default_rng(3)
            for _ in range(8):
                observations, rewards, _, _, infos = env.step(random_actions(rng, infos["action_mask"]))
                seen += [observations.tobytes(), rewards.tobytes(), infos["reasons"].tobytes()]
                if name == POPULATION and infos["hour"][0] >= 72:
                    break
            return seen

    one = run(1, 7)
    assert one == run(2, 7)
    assert one[0] != run(2, 8)[0]


# ------------------------------------------------------------------------------------------------- beside the engines


@compiled
def settle_contexts(users: Records, law: Records) -> None:
    for i in range(users.shape[0]):
        is_in_context(users[i], law[0])


def assert_equal_users(env: NotifyVectorEnv, i: Any, run: PopulationRun, row: Any) -> None:
    """A seat's user, history and tally equal an engine's; the context is brought up to now first."""
    settle_contexts(env.seats.users, env.world.law)
    settle_contexts(run.users, run.world.law)
    for mine, theirs in ((env.seats.users, run.users), (env.seats.history, run.history), (env.seats.tally, run.tally)):
        for name in mine.dtype.names or ():
            if name not in ("hour_begun",):
                assert np.array_equal(mine[name][i], theirs[name][row]), name


def test_silence_is_the_engines_silence():
    world = scenario(seed=11)
    seeds = (11, 12, 13, 14)
    env = NotifyVectorEnv(4, world, autoresets=False)
    env.reset(seed=seeds)
    for _ in range(HOURS):
        env.step(np.zeros(4, np.int64))
    for i, seed in enumerate(seeds):
        for engine in (Fleet, EventEngine):
            run = engine(world.model_copy(update={"seed": seed}), 0, 1)
            run.run(sender("never"), until_day=float(np.ceil(env.seats.users["now_hours"][i])) / 24)
            assert_equal_users(env, i, run, 0)


@pytest.mark.parametrize("policy", ["evening+interest", "random-28+triggered+email", "always+urgency"])
def test_the_wishes_of_a_sender_lead_to_the_engines_users(policy):
    """Every send of a sender, replayed as actions, leaves the user that either engine leaves."""
    world = scenario("learning", seed=21, population__mature_share=1.0)
    rule = sender(policy)
    n = 40
    fleet = Fleet(world, 0, n)
    wishes = fleet.wishes(rule.record())
    env = NotifyVectorEnv(n, world, n_slots=32, autoresets=False)
    env.reset(seed=[21] * n)
    # Seats take users by their own seed and count: give them the population's.
    env.seats.episodes[:] = np.arange(n) - 1
    _, infos = env.reset(options={"reset_mask": np.ones(n, np.bool_)})
    assert np.array_equal(env.seats.users["key"], fleet.users["key"])
    n_sends = 0
    for _ in range(HOURS):
        actions = np.zeros(n, np.int64)
        for i in np.flatnonzero(wishes != NO_WISH):
            slot = int(np.flatnonzero(infos["candidates"][i] == wishes[i] // 4)[0])
            actions[i] = 1 + 2 * slot + wishes[i] % 4
            assert infos["action_mask"][i, actions[i]], "a sender may do what the mask allows, and nothing else"
        n_sends += int((actions > 0).sum())
        _, _, terminated, _, infos = env.step(actions)
        wishes = fleet.step(wishes, np.zeros(n), rule.record())
        if terminated.any():
            wishes[env.seats.users["status"] != Status.PRESENT] = NO_WISH
    assert n_sends > 100
    engines: list[Any] = [Fleet(world, 0, n), EventEngine(world, 0, n)]
    for run in engines:
        run.run(rule, until_day=HOURS / 24)
    stayed = np.flatnonzero(env.seats.users["status"] == Status.PRESENT)
    assert len(stayed) > n // 2
    for i in stayed:
        for run in engines:
            assert_equal_users(env, i, run, i)


def test_a_population_is_the_fleet_it_is_made_of():
    world = scenario("games", population__n_users=150)
    env = vector(POPULATION, 150, scenario=world.model_dump(mode="json"))
    _, infos = env.reset(seed=world.seed)
    fleet = Fleet(world)
    fleet.wishes(SILENT)
    rng = np.random.default_rng(5)
    for _ in range(150):
        actions = random_actions(rng, infos["action_mask"])
        slots = np.take_along_axis(infos["candidates"], (np.maximum(actions - 1, 0) // 2)[:, None], axis=1)[:, 0]
        wishes = np.where(actions > 0, slots * 4 + np.maximum(actions - 1, 0) % 2, NO_WISH).astype(np.int32)
        _, _, _, _, infos = env.step(actions)
        fleet.step(wishes, np.zeros(150), SILENT)
    for part in ("history", "tally"):
        assert getattr(env.fleet, part).tobytes() == getattr(fleet, part).tobytes()
    settle_contexts(fleet.users, fleet.world.law)
    settle_contexts(env.fleet.users, fleet.world.law)
    assert env.fleet.users.tobytes() == fleet.users.tobytes()


# ------------------------------------------------------------------------------------------------ semi-Markov decisions


def test_a_decision_at_events_is_hours_of_silence():
    """The same user, with the action taken first and then silence: equal rewards, discounted by elapsed time."""
    world = scenario("news", calendar__horizon_days=20, population__sessions_per_day=3.0)
    keep = 0.999
    by_event = NotifyVectorEnv(8, world, trigger="event", most_wait_hours=36, discount_per_hour=keep, autoresets=False)
    hourly = NotifyVectorEnv(8, world, autoresets=False)
    _, infos = by_event.reset(seed=2)
    hourly.reset(seed=2)
    rng = np.random.default_rng(6)
    waits = []
    for _ in range(25):
        actions = random_actions(rng, infos["action_mask"])
        before = hourly.seats.users["now_hours"].copy()
        _, rewards, terminated, _, infos = by_event.step(actions)
        elapsed = infos["elapsed_hours"]
        waits += elapsed.tolist()
        assert elapsed.max() <= 36
        expected = np.zeros(8)
        for hour in range(int(elapsed.max())):
            state = [part.copy() for part in hourly.seats]
            _, hour_rewards, *_ = hourly.step(actions if hour == 0 else np.zeros(8, np.int64))
            is_running = hour < elapsed
            expected += np.where(is_running, keep**hour * hour_rewards, 0.0)
            for part, kept in zip(hourly.seats, state, strict=True):  # who has decided again waits for the others
                part[~is_running] = kept[~is_running]
        # What the hourly environment shows must be looked up again after the detour.
        hourly.reset(options={"reset_mask": np.zeros(8, np.bool_)})
        assert rewards == pytest.approx(expected, abs=1e-12)
        assert np.array_equal(hourly.seats.users["now_hours"] - before, elapsed)
        if terminated.any():
            break
    assert len(set(waits)) > 5, "the waits vary"
    assert min(waits) < 36


def test_news_ends_the_wait():
    """At each decision something has happened that a sender sees, or the longest wait is over."""
    world = scenario("ecommerce", calendar__horizon_days=30, constraints__quiet=None)
    env = NotifyVectorEnv(50, world, trigger="event", most_wait_hours=48)
    env.reset(seed=3)
    for _ in range(30):
        sessions = env.seats.history["session_hour"].copy()
        orders = env.seats.history["conversion_hour"].copy()
        events = np.stack([env.seats.users[f"{name}_hour"] for name in ("browse", "cart", "order")], axis=1)
        _, _, terminated, truncated, infos = env.step(np.zeros(50, np.int64))
        is_news = (env.seats.history["session_hour"] != sessions) | (env.seats.history["conversion_hour"] != orders)
        delays = [1 + int(c.delay_hours) for c in world.campaigns if c.kind != "scheduled"]
        opens = np.isin(infos["hour"][:, None] - events, delays).any(axis=1)
        idle = infos["hour"] - np.floor(env.seats.users["last_session_hours"]) > 14 * 24
        waited = infos["elapsed_hours"] == 48
        assert (is_news | opens | idle | waited | terminated | truncated).all()


# --------------------------------------------------------------------------------------------------------- daily, queue


def test_a_plan_is_carried_out_at_its_local_hour():
    world = scenario("ecommerce", population__mature_share=1.0)
    env = NotifyVectorEnv(60, world, mode="daily", autoresets=False)
    _, infos = env.reset(seed=9)
    wanted = np.asarray([9, 12, 20])[np.arange(60) % 3]
    actions = np.zeros(60, np.int64)
    for i in range(60):
        open_at = np.flatnonzero(infos["action_mask"][i, 1 + 8 * wanted[i] : 1 + 8 * (wanted[i] + 1)])
        actions[i] = 1 + 8 * wanted[i] + open_at[0] if len(open_at) else 0
    assert (actions > 0).sum() > 20
    night = infos["action_mask"][:, 1:].reshape(60, 24, 8)[:, [22, 23, 0, 3, 7]]
    assert not night.any(), "quiet hours are masked"
    env.step(actions)
    sent = env.seats.history["sent_hour"]
    was_sent = sent >= 0
    assert was_sent[actions > 0].mean() > 0.9
    zones = env.seats.users["zone"]
    minutes = env.world.moments["local_minute"][zones[was_sent], sent[was_sent]]
    assert np.array_equal(minutes, wanted[was_sent] * 60)


def test_a_candidate_leaves_the_queue_when_it_is_sent_and_comes_back_with_fresh_content():
    world = scenario("news", calendar__horizon_days=30, population__mature_share=1.0)
    env = NotifyVectorEnv(40, world, mode="queue", n_slots=16, autoresets=False)
    _, infos = env.reset(seed=4)
    rng = np.random.default_rng(7)
    periods = [24 * getattr(c, "repeat_days", 0.0) for c in world.campaigns]
    n_sent = 0
    last: dict[Any, float] = {}
    for _ in range(100):
        actions = random_actions(rng, infos["action_mask"])
        for i in np.flatnonzero(actions):
            campaign = int(infos["candidates"][i, actions[i] - 1])
            hour = float(infos["hour"][i])
            if (i, campaign) in last and world.campaigns[campaign].kind == "scheduled":
                period = periods[campaign]
                assert hour // period > last[i, campaign] // period, "sent once an edition"
            last[i, campaign] = hour
            n_sent += 1
        _, _, _, _, infos = env.step(actions)
    assert n_sent > 200


def test_churn_terminates_and_the_horizon_truncates():
    world = scenario(calendar__horizon_days=30, population__churn_scale_days=5.0, population__mature_age_days=5.0)
    env = NotifyVectorEnv(300, world, autoresets=False)
    env.reset(seed=1)
    ended = np.zeros(300, np.bool_)
    left = np.zeros(300, np.bool_)
    for _ in range(30 * 24):
        _, _, terminated, truncated, _ = env.step(np.zeros(300, np.int64))
        assert np.array_equal(terminated, env.seats.users["status"] != Status.PRESENT)
        assert np.array_equal(truncated, (env.seats.users["now_hours"] >= 720) & ~terminated)
        left |= terminated
        ended |= terminated | truncated
        if ended.all():
            break
    assert 20 < left.sum() < 290


def test_a_budget_is_shared_and_never_overspent():
    world = scenario(
        "ecommerce",
        population__n_users=400,
        budgets__total_eur=0.02,
        budgets__sends_per_hour=25,
        constraints__quiet=None,
    )
    env = gymnasium.make_vec(POPULATION, 400, vectorization_mode="vector_entry_point", scenario=world)
    _, infos = env.reset(seed=1)
    rng = np.random.default_rng(1)
    refused = 0
    spent = 0.0
    for _ in range(150):
        actions = random_actions(rng, infos["action_mask"])
        _, _, _, _, infos = env.step(actions)
        n_sent = int(((actions > 0) & (infos["refusals"] == 0)).sum())
        assert n_sent <= 25
        refused += int((infos["refusals"] == Suppression.NO_BUDGET).sum())
        spent -= infos["reward_parts"][:, 3].sum() / 1e9
    assert spent <= 0.02
    assert spent > 0.019
    assert refused > 100
    assert infos["budget_left"] == pytest.approx(1 - spent / 0.02)
    assert not infos["action_mask"][:, 1:].any(), "when all is spent, only silence is left"


def test_a_budget_too_small_for_one_send_leaves_nothing():
    """It rounds to no nano-euro at all; what is observed of it is still a number."""
    env = vector(POPULATION, 3, scenario=scenario(budgets__total_eur=4e-10))
    observations, infos = env.reset(seed=0)
    assert np.isfinite(observations).all()
    assert not infos["action_mask"][:, 1:].any()


def test_the_last_observation_of_a_cut_episode_looks_like_any_other():
    """Nothing in it says that the horizon has come, so that a learner may bootstrap on it: no slot has emptied."""
    env = NotifyVectorEnv(64, "ecommerce", horizon_days=3, autoresets=False)
    observations, _ = env.reset(seed=1)
    expiry = [k for k, name in enumerate(env.observation_names) if name.endswith("hours_to_expiry")]
    slots = slice(expiry[0] - 3, None)
    assert (observations[:, slots] != 0).any(axis=1).all()
    is_over = np.zeros(64, bool)
    while not is_over.all():
        observations, _, terminated, truncated, infos = env.step(np.zeros(64, np.int64))
        is_over |= terminated | truncated
    cut = truncated & ~terminated
    assert cut.sum() > 40
    assert (infos["candidates"][cut] >= 0).all()
    ages = observations[cut][:, expiry]
    assert ages.max(axis=1) == pytest.approx(7.0), "a campaign without an end does not end with the horizon"
