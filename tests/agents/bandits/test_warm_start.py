"""From a ledger to experience: each decision with what followed it, against a join by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.bandits.warm_start import AmountWithin, Booked, OutcomeWithin, experience_of
from agents.kinds import bandit
from agents.problem import vocabulary_problem
from policies.ledger import OUTCOME_KINDS, LedgerWriter
from tests.agents.bandits.worlds import SETTINGS, plain_problem
from tests.policies.ledgers import decisions, header, outcomes

CLICKED = OUTCOME_KINDS.index("clicked")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A ledger's folder, and the decisions and outcomes in it."""
    folder = tmp_path_factory.mktemp("ledger")
    some = decisions(400)
    draw = np.random.default_rng(4)
    problem = vocabulary_problem(4)
    features = np.clip(some.features, problem.low, problem.high)
    unknown = draw.random(400) < 0.1
    reward = np.where(unknown, np.nan, some.reward)
    some = dataclasses.replace(
        some, features=features, reward=reward, reward_nano_eur=np.where(unknown, 0, some.reward_nano_eur)
    )
    followed = outcomes(some)
    # Delays up to 6 hours; many clicks.
    kinds = np.where(draw.random(len(followed)) < 0.5, CLICKED, followed.kind).astype(np.uint8)
    followed = dataclasses.replace(
        followed, kind=kinds, time_hours=followed.time_hours + 5 * draw.random(len(followed))
    )
    with LedgerWriter(folder, header()) as writer:
        writer.write(some)
        writer.write_outcomes(followed)
    return folder, some, followed


def by_hand(some: Any, followed: Any, hours: float, kind: int | None) -> list[float]:
    found = []
    for id_, time in zip(some.decision_id.tolist(), some.time_hours.tolist(), strict=True):
        its = (followed.decision_id == id_) & followed.is_attributed & (followed.time_hours - time <= hours)
        if kind is None:
            found.append(float(followed.amount_nano_eur[its].sum()) / 1e9)
        else:
            found.append(float((followed.kind[its] == kind).any()))
    return found


def has_choice(some: Any) -> Any:
    return np.array([np.count_nonzero(row) >= 2 for row in some.eligible])


@pytest.mark.parametrize("hours", [0.5, 3.0])
def test_rewards_are_outcomes_of_the_own_message_in_time(log: Any, hours: float) -> None:
    folder, some, followed = log
    last_hours = max(some.time_hours.max(), followed.time_hours.max())
    is_known = (some.time_hours + hours <= last_hours) & has_choice(some)
    for reward, kind in ((OutcomeWithin("clicked", hours), CLICKED), (AmountWithin(hours), None)):
        found = experience_of(folder, vocabulary_problem(4), reward)
        expected = np.array(by_hand(some, followed, hours, kind))[is_known]
        np.testing.assert_allclose(found.rewards, expected, atol=1e-9)
        np.testing.assert_array_equal(found.actions, some.action[is_known])
        np.testing.assert_array_equal(found.observations, some.features[is_known])
        np.testing.assert_array_equal(found.masks, some.eligible[is_known])
        np.testing.assert_array_equal(found.probabilities, some.probabilities[is_known])
        assert len(set(found.rewards.tolist())) > 1


def test_booked_rewards_leave_out_what_is_not_known_yet(log: Any) -> None:
    folder, some, _ = log
    found = experience_of(folder, vocabulary_problem(4), Booked())
    is_known = np.isfinite(some.reward)
    assert 0 < is_known.sum() < len(some)
    is_known &= has_choice(some)
    assert 0 < is_known.sum() < np.isfinite(some.reward).sum()  # some are left out for want of a choice
    np.testing.assert_array_equal(found.rewards, some.reward[is_known])
    np.testing.assert_array_equal(found.actions, some.action[is_known])


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_bandit_starts_from_a_log(log: Any, kind: str) -> None:
    problem = vocabulary_problem(4)
    agent = bandit(SETTINGS[kind], problem)
    experience = experience_of(log[0], problem, OutcomeWithin("clicked", 3.0))
    before = agent.probabilities(experience.observations, experience.masks)
    agent.update(experience)
    after = agent.probabilities(experience.observations, experience.masks)
    assert abs(after - before).max() > 0.01


def test_a_log_of_another_problem_is_named(log: Any, tmp_path: Path) -> None:
    folder = log[0]
    with pytest.raises(ValueError, match=r"features: expected the problem's 5, got 57: it is of another problem"):
        experience_of(folder, plain_problem(), Booked())
    other = dataclasses.replace(vocabulary_problem(4), actions=("no_send", "x", *vocabulary_problem(4).actions[2:]))
    with pytest.raises(ValueError, match=r"actions\[1\]: expected 'x', got 'slot0\.push': it is of another problem"):
        experience_of(folder, other, Booked())
    with pytest.raises(ValueError, match=r"expected the folder of a ledger"):
        experience_of(tmp_path, other, Booked())


def test_what_a_reward_is_must_make_sense() -> None:
    with pytest.raises(ValueError, match=r"kind: unknown 'clickd'\. Did you mean 'clicked'\?"):
        OutcomeWithin("clickd", 3.0)
    with pytest.raises(ValueError, match=r"hours: expected more than 0, got -1"):
        OutcomeWithin("clicked", -1.0)
    with pytest.raises(ValueError, match=r"AmountWithin: hours: expected more than 0, got 0"):
        AmountWithin(0.0)
