"""Ledgers for tests: sound batches of random decisions in whole episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from policies import vocabulary
from policies.ledger import Decisions, Endings, Header, Outcomes, decision_ids

REASONS = ("eligible", "empty_slot", "not_opted_in", "daily_cap", "quiet_hours")
HASHES = ("a" * 64, "b" * 64)


def header(n_slots: int = 4, **changes: Any) -> Header:
    return Header(**{"n_slots": n_slots, "reasons": REASONS, "run": "a test", **changes})


def decisions(n_rows: int, n_slots: int = 4, seed: int = 0, n_users: int = 7, run_key: int = 1) -> Decisions:
    """Return sound decisions, one a user and hour, in episodes of 5 that end in turn by leaving and in time."""
    draw = np.random.default_rng(seed)
    n_actions = vocabulary.n_actions(n_slots)
    rows = np.arange(n_rows)
    user, hour = rows % n_users, rows // n_users
    candidates = draw.integers(-1, 20, (n_rows, n_slots)).astype(np.int16)
    eligible = draw.random((n_rows, n_actions)) < 0.6
    eligible[:, 0] = True
    eligible[:, 1:] &= np.repeat(candidates >= 0, 2, axis=1)
    reasons = np.where(eligible, 0, draw.integers(1, len(REASONS), eligible.shape)).astype(np.uint8)
    weights = np.where(eligible, draw.random(eligible.shape) + 0.01, 0.0)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    # Inversion of the distribution function, kept to eligible actions should rounding leave it short of 1.
    above = draw.random((n_rows, 1)) < probabilities.cumsum(axis=1)
    action = np.where(above.any(axis=1), above.argmax(axis=1), 0).astype(np.int16)
    is_send = action > 0
    campaign = np.where(is_send, candidates[rows, (action - 1) // 2], -1).astype(np.int16)
    channel = np.where(is_send, (action - 1) % 2, -1).astype(np.int8)
    is_sent = is_send & (draw.random(n_rows) < 0.9)
    nano = draw.integers(-(10**9), 10**10, n_rows)
    episode = hour // 5
    is_end = hour % 5 == 4
    return Decisions(
        decision_id=decision_ids(run_key, user, hour),
        user_id=user.astype(np.uint64),
        episode_id=(user * 2**32 + episode).astype(np.uint64),
        step=(hour % 5).astype(np.uint32),
        time_hours=hour.astype(np.float64),
        elapsed_hours=(hour % 5 > 0).astype(np.float64),
        policy=draw.integers(0, len(HASHES), n_rows).astype(np.uint32),
        luck_key=draw.integers(0, 2**64, n_rows, np.uint64),
        candidates=candidates,
        eligible=eligible,
        reasons=reasons,
        probabilities=probabilities,
        action=action,
        propensity=probabilities[rows, action],
        assigned_campaign=campaign,
        assigned_channel=channel,
        sent_campaign=np.where(is_sent, campaign, -1).astype(np.int16),
        sent_channel=np.where(is_sent, channel, -1).astype(np.int8),
        features=realistic_features(draw, candidates),
        reward=nano / 1e9,
        reward_nano_eur=nano,
        terminated=is_end & (episode % 2 == 0),
        truncated=is_end & (episode % 2 == 1),
        policy_hashes=HASHES,
    )


def realistic_features(draw: np.random.Generator, candidates: Any) -> Any:
    """Return features of the kinds that the vocabulary has, so that they compress as in earnest: shape (N, 29 + 7 C).

    Half of the user's are counts or whole hours, a quarter flags and shares of what is seldom spent, the rest shares of
    small counts; of a slot's, relevance and recency are as good as continuous, the others follow from the campaign.
    """
    n_rows, n_slots = candidates.shape
    columns = [of_a_user(draw, feature, n_rows) for feature in vocabulary.USER_FEATURES]
    for slot in range(n_slots):
        campaign = candidates[:, slot]
        is_there = campaign >= 0
        columns += [
            is_there & (draw.random(n_rows) < 0.1),
            np.where(is_there, draw.normal(size=n_rows), 0),
            np.where(is_there, 2 ** -draw.exponential(size=n_rows), 0),
            np.where(is_there, np.log1p(draw.integers(0, 168, n_rows)), 0),
            np.where(is_there, np.log1p(campaign + 1.0), 0),
            np.where(is_there, -6 + campaign / 10, 0),
            np.where(is_there, campaign % 3 / 2, 0),
        ]
    return np.column_stack(columns).astype(np.float32)


def of_a_user(draw: np.random.Generator, feature: vocabulary.Feature, n_rows: int) -> Any:
    if feature.encoding == "log1p":
        return np.log1p(draw.geometric(0.02, n_rows) - 1)
    if feature.unit:
        return draw.geometric(0.3, n_rows) - 1.0
    if feature.name.startswith(("is_", "has_")) or "opt_in" in feature.name:
        return draw.random(n_rows) < 0.7
    if feature.name.endswith("_left"):
        return np.ones(n_rows)
    return draw.integers(0, 20, n_rows) / draw.integers(20, 40, n_rows)


def outcomes(of: Decisions, seed: int = 0) -> Outcomes:
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, len(of), 2 * len(of))
    return Outcomes(
        decision_id=of.decision_id[rows],
        kind=draw.integers(0, 13, len(rows)).astype(np.uint8),
        time_hours=of.time_hours[rows] + draw.random(len(rows)),
        amount_nano_eur=draw.integers(-(10**9), 10**9, len(rows)),
        is_attributed=draw.random(len(rows)) < 0.5,
    )


def endings(of: Decisions, seed: int = 0) -> Endings:
    draw = np.random.default_rng(seed)
    last = of.take(of.is_last)
    return Endings(
        episode_id=last.episode_id,
        time_hours=last.time_hours + 0.5,
        elapsed_hours=np.full(len(last), 0.5),
        features=draw.random(last.features.shape, np.float32),
    )
