"""What every bandit must keep: eligible actions only, honest propensities, states that go on, messages that tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2

from agents.agent import Experience
from agents.kinds import bandit, settings_class
from agents.problem import Problem
from agents.saved_state import load, save
from tests.agents.bandits.worlds import (
    ADDITIVE,
    FORGETTINGS,
    PROBLEMS,
    SETTINGS,
    experience,
    part,
    plain_problem,
    situations,
    with_forgetting,
)

FALSE_ALARM = 1e-6
each_kind = pytest.mark.parametrize("kind", SETTINGS)
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def learned(kind: str, problem: Problem, n_updates: int = 3) -> Any:
    agent = bandit(SETTINGS[kind], problem)
    for seed in range(n_updates):
        agent.update(experience(problem, 60, seed))
    return agent


@each_kind
@each_problem
@pytest.mark.parametrize("n_updates", [0, 3])
@pytest.mark.parametrize("is_exploring", [True, False])
def test_only_eligible_actions_are_taken_with_the_probability_told(
    kind: str, problem: Problem, n_updates: int, is_exploring: bool
) -> None:
    agent = learned(kind, problem, n_updates)
    observations, masks = situations(problem, 200, 9)
    shares = agent.probabilities(observations, masks, is_exploring=is_exploring)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-9)
    assert (shares[~masks] == 0.0).all()
    choices = agent.act(
        observations, masks, np.random.default_rng(3), is_exploring=is_exploring, wants_propensities=True
    )
    rows = np.arange(len(masks))
    assert masks[rows, choices.actions].all()
    np.testing.assert_allclose(choices.propensities, shares[rows, choices.actions], atol=1e-9)
    again = agent.act(observations, masks.astype(np.int8), np.random.default_rng(3), is_exploring=is_exploring)
    assert (again.actions == choices.actions).all()
    assert again.propensities is None


@each_kind
@each_problem
def test_actions_come_as_often_as_their_probability_says(kind: str, problem: Problem) -> None:
    """Pearson's statistic over 20 situations by all actions, each drawn 5,000 times, in its chi-squared tail of 1e-6.

    A probability that is wrong by .03 where it is about a third is found.
    """
    agent = learned(kind, problem)
    observations, masks = situations(problem, 20, 5)
    n = 5_000
    rng = np.random.default_rng(11)
    actions = agent.act(np.tile(observations, (n, 1)), np.tile(masks, (n, 1)), rng).actions.reshape(n, -1)
    counts = np.stack([np.bincount(column, minlength=problem.n_actions) for column in actions.T])
    expected = n * agent.probabilities(observations, masks)
    is_common = expected >= 5.0
    rare = (counts * ~is_common).sum(axis=1), (expected * ~is_common).sum(axis=1)
    statistic = ((counts - expected)[is_common] ** 2 / expected[is_common]).sum()
    freedom = int(is_common.sum())  # an upper bound: each row's counts are tied to its sum
    assert statistic < chi2.isf(FALSE_ALARM, freedom)
    assert (rare[0] <= rare[1] + 6.0 * np.sqrt(rare[1]) + 8.0).all()


@pytest.mark.parametrize("kind", ADDITIVE)
@each_problem
def test_order_and_size_of_updates_do_not_matter(kind: str, problem: Problem) -> None:
    whole = experience(problem, 150, 2)
    shuffled = np.random.default_rng(4).permutation(150)
    at_once, bit_by_bit = bandit(SETTINGS[kind], problem), bandit(SETTINGS[kind], problem)
    at_once.update(whole)
    for rows in np.array_split(shuffled, 11):
        bit_by_bit.update(part(whole, rows))
    observations, masks = situations(problem, 100, 8)
    np.testing.assert_allclose(
        bit_by_bit.probabilities(observations, masks), at_once.probabilities(observations, masks), atol=1e-7
    )


@each_kind
@each_problem
@pytest.mark.parametrize("forgetting", FORGETTINGS, ids=lambda forgetting: str(forgetting.kind))
def test_a_restored_bandit_goes_on_as_if_nothing_had_happened(
    kind: str, problem: Problem, forgetting: Any, tmp_path: Path
) -> None:
    settings = with_forgetting(SETTINGS[kind], forgetting)
    unbroken, restored = bandit(settings, problem), bandit(settings, problem)
    for seed in range(3):
        unbroken.update(experience(problem, 40, seed))
    save(tmp_path / "state", unbroken.state(), {"kind": kind})
    restored.restore(load(tmp_path / "state", {"kind": kind}))
    observations, masks = situations(problem, 50, 7)
    for seed in range(3, 6):
        one, other = (
            agent.act(observations, masks, np.random.default_rng(seed), wants_propensities=True)
            for agent in (unbroken, restored)
        )
        assert (one.actions == other.actions).all()
        assert one.propensities is not None
        assert (one.propensities == other.propensities).all()
        for agent in (unbroken, restored):
            agent.update(experience(problem, 40, seed))


@each_kind
def test_a_state_with_a_hole_is_refused(kind: str) -> None:
    agent = learned(kind, PROBLEMS["plain"])
    state = {name: values.copy() for name, values in agent.state().items()}
    name = next(name for name, values in state.items() if values.dtype.kind == "f" and values.size)
    state[name].flat[0] = np.nan
    with pytest.raises(ValueError, match=r"expected a finite number, got nan"):
        bandit(SETTINGS[kind], PROBLEMS["plain"]).restore(state)


@each_kind
def test_what_another_kind_had_learned_is_refused_and_changes_nothing(kind: str) -> None:
    """Though the arrays of a family have the same names and shapes."""
    agent = learned(kind, PROBLEMS["plain"])
    before = {name: values.copy() for name, values in agent.state().items()}
    for other in SETTINGS:
        if other != kind:
            with pytest.raises(ValueError, match=f"expected that of a {kind} bandit, got {other}"):
                agent.restore(learned(other, PROBLEMS["plain"]).state())
    with pytest.raises(ValueError, match="got nothing that says its kind"):
        agent.restore({})
    assert all((values == before[name]).all() for name, values in agent.state().items())


@each_kind
def test_what_is_kept_is_copied(kind: str) -> None:
    problem = PROBLEMS["plain"]
    agent = learned(kind, problem)
    before = {name: values.copy() for name, values in agent.state().items()}
    state = agent.state()
    other = bandit(SETTINGS[kind], problem)
    other.restore(state)
    other.update(experience(problem, 60, 20))
    for name, values in agent.state().items():
        assert (values == before[name]).all()
        assert (state[name] == before[name]).all()


@each_kind
@each_problem
def test_what_was_long_ago_is_forgotten(kind: str, problem: Problem) -> None:
    """Two pasts that differ before the window, or long before a short memory, end in the same state of belief."""
    observations, masks = situations(problem, 50, 7)
    for forgetting, n_common in ((FORGETTINGS[1], 120), (FORGETTINGS[2], 120 if kind == "logistic_thompson" else 4)):
        shares = []
        settings = with_forgetting(SETTINGS[kind], forgetting)
        if kind == "neural_linear":
            settings = type(settings)(**{**dict(settings), "updates_a_training": 10_000})  # the network forgets nothing
        for past in (100, 200):
            agent = bandit(settings, problem)
            agent.update(experience(problem, 40, past))
            for seed in range(n_common):
                agent.update(experience(problem, 10, seed % 7))
            shares.append(agent.probabilities(observations, masks))
        np.testing.assert_allclose(shares[0], shares[1], atol=1e-5 if kind == "logistic_thompson" else 1e-7)


@each_kind
def test_bad_input_is_named(kind: str) -> None:
    problem = PROBLEMS["plain"]
    agent = bandit(SETTINGS[kind], problem)
    rng = np.random.default_rng(1)
    observations, masks = situations(problem, 4, 3)
    wrong = observations.copy()
    wrong[2, 1] = 3.5
    with pytest.raises(ValueError, match=r"observations\[2\]: expected -1 <= x1 <= 3, got 3\.5"):
        agent.act(wrong, masks, rng)
    wrong[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"observations\[2\]: expected -1 <= x1 <= 3, got nan"):
        agent.probabilities(wrong, masks)
    closed = masks.copy()
    closed[1] = False
    with pytest.raises(ValueError, match=r"masks\[1\]: expected at least one eligible action of 4, got none"):
        agent.act(observations, closed, rng)
    with pytest.raises(ValueError, match=r"observations: expected shape \(U, 5\), got \(4, 6\)"):
        agent.act(np.zeros((4, 6), np.float32), masks, rng)
    good = experience(problem, 4, 3)
    with pytest.raises(ValueError, match=r"experience: rewards\[3\]: expected a finite number, got nan"):
        Experience(good.observations, good.masks, good.actions, np.array([0, 1, 0, np.nan]))
    with pytest.raises(ValueError, match=r"observations\[2\]: expected -1 <= x1 <= 3, got nan"):
        agent.update(Experience(wrong, good.masks, good.actions, good.rewards))
    state = agent.state()
    with pytest.raises(ValueError, match=r"state: expected \[.*missing \[.*unknown \['more'\]"):
        agent.restore({"kind": state["kind"], "more": np.zeros(3)})
    other = bandit(SETTINGS[kind], plain_problem(7, 6))
    with pytest.raises(ValueError, match=r"state: .*: expected shape \(.*\), got \("):
        other.restore(state)


@pytest.mark.parametrize("kind", ["ucb1", "beta_thompson", "logistic_thompson"])
def test_a_reward_beyond_its_range_counts_as_the_bound(kind: str) -> None:
    problem = PROBLEMS["plain"]
    good = experience(problem, 60, 3)
    states = []
    for low, high in ((-3.5, 1.5), (0.0, 1.0)):
        agent = bandit(SETTINGS[kind], problem)
        rewards = np.where(good.rewards == 1.0, high, low)
        agent.update(Experience(good.observations, good.masks, good.actions, rewards))
        states.append(agent.state())
    for name, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][name])


@pytest.mark.parametrize("kind", ["ucb1", "beta_thompson", "logistic_thompson"])
def test_a_range_has_an_inside(kind: str) -> None:
    with pytest.raises(ValidationError, match=r"reward_high: expected more than reward_low, 2\.0, got 1\.0"):
        type(SETTINGS[kind])(reward_low=2.0)


@each_kind
def test_a_config_is_data(kind: str) -> None:
    assert settings_class(kind).model_validate(SETTINGS[kind].model_dump()) == SETTINGS[kind]
    with pytest.raises(ValidationError, match="alhpa"):
        settings_class(kind).model_validate({"kind": kind, "alhpa": 1.0})


def test_probabilities_must_be_of_every_action() -> None:
    good = experience(PROBLEMS["plain"], 4, 3)
    with pytest.raises(ValueError, match=r"probabilities: expected shape \(4, 4\), as of masks, got \(4,\)"):
        Experience(good.observations, good.masks, good.actions, good.rewards, np.ones(4))
