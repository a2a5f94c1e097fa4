"""Rewards of chosen parts: equal to the environment's own, right on average, and one of them a trap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.environments.lenses import (
    CLICKS,
    EXPECTED_CONVERSION,
    OPENS,
    REALISED,
    RewardParts,
    Shaping,
    wrap,
)
from simulator.environments.lenses.layer import Turn
from simulator.presets import scenario_of
from simulator.records import Metric
from tests.simulator.bare import Z, agrees, merged
from tests.simulator.lens_worlds import Arrays, eligible, lively, vector


def totals(rewards: dict[str, RewardParts], scenario, n: int, seed: int, policy: str) -> dict[str, Arrays]:
    """Sums over each seat's first episode under some rewards at once, shape (n,); `value` is the money."""
    env = vector(num_envs=n, scenario=scenario)
    layers = {name: wrap(env, reward) for name, reward in rewards.items()}
    sums = {name: np.zeros(n) for name in (*rewards, "value")}
    _, infos = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    is_first = np.ones(n, bool)
    while is_first.any():
        mask = infos["action_mask"]
        actions = mask[:, 1:].argmax(axis=1) + 1 if policy == "always" else eligible(rng, mask)
        actions = np.where(mask[np.arange(n), actions] == 1, actions, 0) * (policy != "never")
        _, money, terminated, truncated, infos = env.step(actions)
        sums["value"] += money * is_first
        for name in rewards:
            sums[name] += paid(layers[name], infos) * is_first
        is_first &= ~(terminated | truncated)
    return sums


def paid(env, infos) -> Arrays:
    """What a lens pays for a step that was made outside of it."""
    n = len(infos["elapsed_hours"])
    turn = Turn(
        np.zeros((n, 1), np.float32),
        infos,
        actions=np.zeros(n, np.int64),
        rewards=np.full(n, np.nan),
        final_observations=None,
        terminated=np.zeros(n, np.bool_),
        reseated=np.zeros(n, np.bool_),
    )
    env.layer.step(turn)
    return turn.rewards


def test_all_parts_at_weight_one_are_the_environments_reward():
    """To the last bit, and the items add up."""
    env = wrap(vector(num_envs=16, scenario=lively()), RewardParts(REALISED))
    plain = vector(num_envs=16, scenario=lively())
    _, infos = env.reset(seed=1)
    plain.reset(seed=1)
    rng = np.random.default_rng(0)
    seen = np.zeros(5)
    for _ in range(200):
        actions = eligible(rng, infos["action_mask"])
        _, rewards, _, _, infos = env.step(actions)
        _, expected, _, _, _ = plain.step(actions)
        assert np.array_equal(rewards, expected)
        assert infos["reward_items"].shape == (16, 5)
        assert infos["reward_items"].sum(axis=1) == pytest.approx(rewards, abs=1e-12)
        seen += np.abs(infos["reward_items"]).sum(axis=0)
    assert (seen[[0, 1, 3]] > 0).all(), "session values, margins and send costs were all paid"


def test_weights_are_of_euros_and_of_clicks():
    lens = RewardParts({"clicks": 0.25, "send_cost": -3.0, "opens": -1.0})
    env = wrap(vector(num_envs=32, scenario=lively()), lens)
    _, infos = env.reset(seed=1)
    rng = np.random.default_rng(0)
    clicks = 0
    for _ in range(150):
        _, rewards, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        cost = infos["reward_parts"][:, 3] / 1e9
        assert rewards == pytest.approx(0.25 * infos["clicks"] - 3.0 * cost - infos["opens"], abs=1e-12)
        clicks += infos["clicks"].sum()
        assert (infos["clicks"] <= infos["opens"]).all()
    assert clicks > 10


def test_counts_are_those_of_the_books():
    env = vector(num_envs=32, scenario=lively())
    _, infos = env.reset(seed=1)
    rng = np.random.default_rng(0)
    opens = env.unwrapped.seats.tally["counts"][:, Metric.OPENS].sum()  # before the first decision nothing was sent
    clicks = 0
    for _ in range(150):
        _, _, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        opens, clicks = opens + infos["opens"].sum(), clicks + infos["clicks"].sum()
    booked = env.unwrapped.books.by_day.sum(axis=(0, 1, 2))
    assert (opens, clicks) == (booked[Metric.OPENS], booked[Metric.CLICKS])
    assert clicks > 10


def test_expected_margin_of_a_certain_order_is_the_margin():
    """P = 1 and no need used up: expectation and realisation are one."""
    certain = lively(behaviour={"conversion": {"organic_prob": 1.0, "need_used": 0.0}})
    env = vector(num_envs=16, scenario=certain)
    env.reset(seed=2)
    margin = 0
    for _ in range(60):
        _, _, _, _, infos = env.step(np.zeros(16, np.int64))
        assert np.array_equal(infos["expected_margin"], infos["reward_parts"][:, 1] + infos["reward_parts"][:, 2])
        margin += infos["expected_margin"].sum()
    assert margin > 0


def test_expected_margin_of_organic_sessions_is_their_number_times_p_margin():
    """Without used-up need each session's expectation is the same whole number of nano-euros."""
    world = lively(behaviour={"conversion": {"organic_prob": 0.3, "need_used": 0.0, "margin_eur": 7.0}})
    env = vector(num_envs=64, scenario=world)
    env.reset(seed=2)
    for _ in range(40):
        before = env.unwrapped.seats.tally["counts"][:, Metric.SESSIONS_ORGANIC].astype(np.int64)
        _, _, terminated, truncated, infos = env.step(np.zeros(64, np.int64))
        goes_on = ~(terminated | truncated)
        sessions = env.unwrapped.seats.tally["counts"][:, Metric.SESSIONS_ORGANIC] - before
        assert np.array_equal(infos["expected_margin"][goes_on], sessions[goes_on] * 2_100_000_000)


@pytest.mark.parametrize("policy", ["never", "random"])
def test_expected_conversion_has_the_same_mean_and_less_variance(policy):
    """Paired by user: the difference is a sum of martingale differences, of mean 0 (false alarm 1e-6)."""
    world = lively(days=10, behaviour={"conversion": {"driven_logit": -1.0}})
    sums = totals({"expected": RewardParts(EXPECTED_CONVERSION)}, world, 6_000, 11, policy)
    apart = sums["expected"] - sums["value"]
    agrees(sums["expected"].mean(), sums["value"].mean(), apart.std(ddof=1) / len(apart) ** 0.5, catches=0.1)
    # Pitman's test: of paired samples the first varies more if their difference rises with their sum.
    both = sums["expected"] + sums["value"]
    product = (sums["value"] - sums["expected"] + apart.mean()) * (both - both.mean())
    assert product.mean() > Z * product.std(ddof=1) / len(product) ** 0.5


def test_a_myopic_reward_is_a_trap():
    """By clicks, or opens, it is best to send whenever one may; in money, over a season, that is worse than silence.

    Users are ten times as ready to leave from irritation as in the preset, so that 800 of them show it. Paired by user
    under the same luck, in the view with less variance; each claim at a false-alarm rate of 1e-6.
    """
    harsh = {
        "calendar": {"horizon_days": 90},
        "population": {"mature_share": 1.0, "sessions_per_day": 1.0},
        "behaviour": {"churn": {"irritation_prob": 0.003}},
    }
    world = merged(scenario_of("ecommerce").model_dump(mode="json"), harsh)
    rewards = {"clicks": RewardParts(CLICKS), "opens": RewardParts(OPENS), "money": RewardParts(EXPECTED_CONVERSION)}
    always, never = (totals(rewards, world, 800, 3, policy) for policy in ("always", "never"))
    lost = never["money"] - always["money"]
    for claim in (always["clicks"], always["opens"], lost):
        assert claim.mean() > Z * claim.std(ddof=1) / len(claim) ** 0.5
    assert (never["clicks"] == 0).all()
    assert (never["opens"] == 0).all()


def test_discounting_within_steps_is_refused():
    arguments: dict[str, Any] = {"scenario": lively(), "trigger": "event"}
    with pytest.raises(ValueError, match=r"^RewardParts: expected discount_per_hour=1 with trigger='event', got an"):
        wrap(vector(**arguments, discount_per_hour=0.99), RewardParts(REALISED))
    wrap(vector(**arguments), RewardParts(REALISED))
    wrap(vector(scenario=lively(), discount_per_hour=0.99), RewardParts(REALISED))


def test_bad_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"^RewardParts: no part 'margins'; known: session_value, .*Did you mean 'margin'"
    ):
        RewardParts({"margins": 1.0})
    with pytest.raises(ValueError, match=r"^RewardParts: expected at least one of session_value, .* clicks, got none$"):
        RewardParts({})
    with pytest.raises(ValueError, match=r"^RewardParts: weight of 'clicks': expected a finite number, got nan$"):
        RewardParts({"clicks": float("nan")})
    with pytest.raises(ValueError, match=r"^RewardParts: put it on before Shaping"):
        wrap(vector(scenario=lively()), Shaping(0.999), RewardParts(REALISED))
