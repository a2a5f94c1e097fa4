"""Learned policies call themselves better only where users they have not seen say so."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.offline.learning.bcq import learn_bcq
from experiments.offline.learning.candidate import Candidate, learned_candidate
from experiments.offline.learning.networks import LearnedPolicy, Schedule
from experiments.offline.logs.trajectories import LoggedTrajectories
from tests.experiments.offline.test_learning import EXPLORING, logged

QUICK = Schedule(n_steps=600, batch_size=64, learning_rate=3e-3, hidden=(32,), target_every=40)


class Fixed(LearnedPolicy):
    """A policy that does the same in every row, where it can."""

    def __init__(self, order: tuple[int, ...]) -> None:
        object.__setattr__(self, "order", order)

    def probabilities(self, observations, eligible=None):
        assert eligible is not None
        rank = np.asarray([self.order.index(action) for action in range(4)])  # type: ignore[attr-defined]
        return np.eye(4)[np.where(eligible, -rank, -99).argmax(axis=1)]


def with_propensities(n_episodes: int) -> LoggedTrajectories:
    """Return the log of `test_learning` with the probabilities that it was drawn by."""
    log = logged(EXPLORING, n_episodes)
    can_call = log.observations.argmax(axis=1) == 3
    chances = np.where(can_call[:, None], 0.5, 1.0) * np.asarray([*EXPLORING, 0.0])
    chances[:, 3] = np.where(can_call, 0.5, 0.0)
    return replace(log, probabilities=chances, propensities=chances[np.arange(len(log)), log.actions])


def judged(log: LoggedTrajectories, order: tuple[int, ...], seed: int = 0) -> Candidate:
    return learned_candidate(log, lambda half: Fixed(order), seed=seed)


def test_a_better_policy_is_called_so() -> None:
    """Call where it can be done, else remind: the optimum of this world; blasting is the worst there is."""
    log = with_propensities(2_000)
    good, bad = judged(log, (3, 1, 0, 2)), judged(log, (2, 3, 0, 1))
    assert good.is_better
    assert good.in_words().startswith("Better than the policy that made the log, by +")
    assert not bad.is_better
    assert bad.gain.high < 0.0
    assert bad.in_words().startswith("Not shown to be better")
    assert json.loads(json.dumps(good.to_dict()))["is_better"] is True
    learned = learned_candidate(log, lambda half: learn_bcq(half, schedule=QUICK))
    assert learned.is_better


def test_it_learns_from_some_and_is_judged_by_others() -> None:
    log = with_propensities(200)
    seen: list[LoggedTrajectories] = []

    def learn(half: LoggedTrajectories) -> LearnedPolicy:
        seen.append(half)
        return Fixed((3, 1, 0, 2))

    users = np.asarray(log.episodes) // 4
    shared = replace(log, users=users)
    found = learned_candidate(shared, learn)
    assert seen[0].n_episodes + found.episodes == 200
    assert seen[0].users is not None
    assert len(np.unique(seen[0].users)) == 25  # whole users, of 50


def test_too_few_like_it_is_no_judgement() -> None:
    found = judged(with_propensities(60), (3, 1, 0, 2))
    assert found.effective < 30
    assert not found.is_better
    assert found.in_words().startswith("Nothing can be said of this policy")


def test_without_propensities_nothing_is_judged() -> None:
    with pytest.raises(ValueError, match="expected a log with propensities"):
        learned_candidate(logged(EXPLORING, 60), lambda half: Fixed((3, 1, 0, 2)))


def test_a_policy_that_nobody_tried_is_not_better() -> None:
    """Half the users are unwell, earn nothing and were never pushed; the others earn one, whatever is done.

    Pushing always would change nothing. The episodes in which it could be seen are those of the well.
    """
    rng = np.random.default_rng(0)
    n = 1_000
    is_well = rng.random(n) < 0.5
    actions = np.where(is_well & (rng.random(n) < 0.5), 1, 0)
    log = LoggedTrajectories(
        actions, is_well.astype(np.float64), ("none", "push"), np.ones((n, 1)), ("nothing",), np.arange(n),
        np.zeros(n, np.int64), is_terminated=np.ones(n, np.bool_), is_truncated=np.zeros(n, np.bool_),
        propensities=np.where(is_well, 0.5, 1.0),
    )  # fmt: skip

    class Push(LearnedPolicy):
        def __init__(self) -> None:
            pass

        def probabilities(self, observations, eligible=None):
            return np.tile([0.0, 1.0], (len(observations), 1))

    found = learned_candidate(log, lambda half: Push())
    assert found.gain.low > 0.0
    assert not found.is_better
    assert "Nothing can be said of this policy. Support is missing" in found.in_words()
