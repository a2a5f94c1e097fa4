"""Fitted Q evaluation: exact where the log is whole, never asked of those it learned from, refused where it must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments.offline.estimators.marginalised import marginalised_is
from experiments.offline.estimators.sequential import direct_method, sequential_dr
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.fqe import _following, fitted_q
from experiments.offline.models.q_regressors import Boosted, RidgeByAction, Tabular
from experiments.offline.phenomena.horizons import Chain
from experiments.offline.weighed_trajectories import weigh_trajectories
from tests.experiments.offline.episodes import TinyMdp, states_of

WORLD = TinyMdp()


def without_steps(log: LoggedTrajectories) -> LoggedTrajectories:
    """Return a log that knows states alone."""
    assert log.final_observations is not None
    return replace(
        log, observations=log.observations[:, :1], features=("state",),
        final_observations=log.final_observations[:, :1],
    )  # fmt: skip


def final_target(log: LoggedTrajectories) -> Floats:
    """Return the target policy's probabilities at the final observations."""
    assert log.final_observations is not None
    return WORLD.target_in(log.final_observations[:, 0].astype(np.int64))


def test_exact_over_a_fixed_horizon() -> None:
    """Of a log that holds every episode, Q by state and step is the solved one, and so is the value."""
    log = WORLD.all_episodes()
    target = WORLD.target_in(states_of(log))
    q = fitted_q(log, target, regressor="tabular", truncated="end", n_folds=1)
    solved = np.where(log.eligibility, WORLD.action_values[log.steps, states_of(log)], 0.0)
    np.testing.assert_allclose(q.values, solved, rtol=1e-12, atol=1e-12)
    assert q.final is not None
    assert not q.final.any()
    assert q.last_change < 1e-12
    assert direct_method(weigh_trajectories(log, target, q)).value == pytest.approx(WORLD.value, rel=1e-12)


@pytest.mark.parametrize("n_iterations", [1, 2, 25])
def test_a_linear_regression_settles_as_if_it_went_through_the_rows(n_iterations: int) -> None:
    """Coefficients from one iteration to the next by a matrix, and by new targets for every row: the same."""
    log = WORLD.drawn(300, 4)
    target = WORLD.target_in(states_of(log))
    follows = log.is_truncated[log.ends] & ~log.is_terminated[log.ends]
    following = _following(log, target, final_target(log), follows)
    quick, slow = (RidgeByAction(log.observations, log.actions, log.n_actions) for _ in range(2))
    quick.settle(following, n_iterations, 0.0)
    targets = log.rewards
    for _ in range(n_iterations):
        slow.fit(targets)
        values = (following.target * slow.predict(following.observations)).sum(axis=1)
        targets = log.rewards + following.discounts * values
    np.testing.assert_allclose(quick.predict(log.observations), slow.predict(log.observations), rtol=1e-9, atol=1e-9)


def test_exact_where_truncated_episodes_go_on() -> None:
    """Bootstrapping at the log's end, Q is that of a world without end, by linear equations."""
    log = without_steps(WORLD.all_episodes())
    target = WORLD.target_in(states_of(log))
    q = fitted_q(
        log, target, final_target=final_target(log), regressor="tabular", n_folds=1, tolerance=1e-13, n_iterations=2_000
    )
    solved = np.where(log.eligibility, WORLD.lasting_values[states_of(log)], 0.0)
    np.testing.assert_allclose(q.values, solved, rtol=1e-10, atol=1e-10)
    lasting = (WORLD.lasting_values * np.asarray(WORLD.target)).sum(axis=1)
    weighed = weigh_trajectories(log, target, q)
    assert direct_method(weighed).value == pytest.approx(lasting.mean(), rel=1e-10)
    assert sequential_dr(weighed).value == pytest.approx(lasting.mean(), rel=1e-10)
    cut = fitted_q(log, target, regressor="tabular", truncated="end", n_folds=1)
    assert abs(direct_method(weigh_trajectories(log, target, cut)).value - lasting.mean()) > 0.1


def test_with_observed_frequencies_it_is_marginalised() -> None:
    """A table by state and step, and marginalised sampling whose propensities are frequencies, are the same model."""
    weighed = Chain().log(500, 4, np.random.default_rng(1))
    states, steps, actions = states_of(weighed.log), weighed.log.steps, weighed.log.actions
    frequencies = np.empty(len(weighed.log))
    for cell in range(8):
        rows = 4 * states + steps == cell
        if rows.any():
            frequencies[rows] = (np.bincount(actions[rows], minlength=2) / rows.sum())[actions[rows]]
    log = replace(
        weighed.log, observations=np.column_stack([states, steps]), features=("is_tired", "step"),
        propensities=frequencies,
    )  # fmt: skip
    q = fitted_q(log, weighed.target, regressor="tabular", truncated="end", n_folds=1)
    beside = weigh_trajectories(log, weighed.target, q)
    assert direct_method(beside).value == pytest.approx(marginalised_is(beside, states).value, rel=1e-10)
    assert direct_method(beside).value != pytest.approx(log.returns.mean(), rel=0.1)


def test_values_are_of_other_users() -> None:
    """A thousand more for one user's rewards moves what is said of others, and not what is said of that user."""
    log = replace(WORLD.drawn(60, 1), users=None)
    log = replace(log, users=log.episodes // 3)
    assert log.users is not None
    target = WORLD.target_in(states_of(log))
    rich = replace(log, rewards=log.rewards + 1_000.0 * (log.users == 4))
    for regressor in ("ridge", "tabular"):
        before = fitted_q(log, target, regressor=regressor, truncated="end", n_folds=3).values
        after = fitted_q(rich, target, regressor=regressor, truncated="end", n_folds=3).values
        np.testing.assert_array_equal(before[log.users == 4], after[log.users == 4])
        assert (before != after).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("regressor", ["ridge", "boosted"])
def test_other_regressors_come_near(regressor: str) -> None:
    """On simulated episodes: ridge with the right features, and trees, within a tenth of the value."""
    log = WORLD.drawn(1_000, 2)
    states, steps = states_of(log), log.steps
    wide = np.column_stack([np.eye(6)[3 * states + steps]])
    log = replace(log, observations=wide, features=tuple(f"cell {k}" for k in range(6)), final_observations=None)
    target = WORLD.target_in(states)
    with threadpool_limits(1):  # on busy cores, trees of a thousand rows wait for each other
        q = fitted_q(log, target, regressor=regressor, truncated="end", n_iterations=3)
    value = direct_method(weigh_trajectories(log, target, q)).value
    assert abs(value - WORLD.value) < 0.1 * WORLD.value
    assert not q.values[~log.eligibility].any()


def test_ridge_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    rows, actions, targets = rng.normal(2.0, 3.0, (80, 4)), rng.integers(0, 2, 80), rng.normal(size=80)
    rows[:, 3] = 1.0  # a feature that never changes
    ours = RidgeByAction(rows, actions, 3)
    ours.fit(rng.normal(size=80))
    ours.fit(targets)
    scaled = np.column_stack([(rows[:, :3] - rows[:, :3].mean(axis=0)) / rows[:, :3].std(axis=0), np.zeros(80)])
    for action in range(2):
        theirs = Ridge(alpha=1.0).fit(scaled[actions == action], targets[actions == action])
        np.testing.assert_allclose(ours.predict(rows)[:, action], theirs.predict(scaled), rtol=1e-9)
    np.testing.assert_allclose(ours.predict(rows)[:, 2], targets.mean())


def test_a_table_knows_what_it_has_met() -> None:
    rows = np.asarray([[3.0, -1.0], [3.0, -1.0], [5.0, 2.0]])
    table = Tabular(rows, np.asarray([0, 0, 1]), 2)
    table.fit(np.asarray([1.0, 3.0, 8.0]))
    asked = np.asarray([[3.0, -1.0], [5.0, 2.0], [4.0, 0.0], [99.0, 2.0], [3.0, -7.0]])
    assert table.predict(asked).tolist() == [[2.0, 4.0], [4.0, 8.0], [4.0, 4.0], [4.0, 4.0], [4.0, 4.0]]
    with pytest.raises(ValueError, match=r"tabular: expected features that are integers, got 0\.5 in row 1, column 0"):
        Tabular(np.asarray([[1.0], [0.5]]), np.zeros(2, np.int64), 2)
    with pytest.raises(ValueError, match="tabular: expected states that can be numbered"):
        Tabular(np.asarray([[0.0] * 5, [1e6] * 5]), np.zeros(2, np.int64), 2)
    with pytest.raises(ValueError, match="boosted: expected at most 255 actions, got 300"):
        Boosted(rows, np.zeros(3, np.int64), 300)


def test_what_is_refused() -> None:
    log = WORLD.drawn(30, 4)
    target = WORLD.target_in(states_of(log))
    with pytest.raises(ValueError, match=r"regressor 'rigde': expected one of ridge, .* Did you mean 'ridge'\?"):
        fitted_q(log, target, regressor="rigde")
    with pytest.raises(ValueError, match=r"of 30 episodes are truncated: expected a final_target, got none\. .*'end'"):
        fitted_q(log, target)
    with pytest.raises(ValueError, match=r"are truncated: expected final_observations in the log, got none"):
        fitted_q(replace(log, final_observations=None), target, final_target=final_target(log))
    with pytest.raises(ValueError, match=r"final_target: expected probabilities of shape \(30, 3\), got \(2, 3\)"):
        fitted_q(log, target, final_target=np.zeros((2, 3)))
    with pytest.raises(LogError, match=r"final_target: expected a sum of 1, got 0"):
        fitted_q(log, target, final_target=np.zeros((30, 3)))
    with pytest.raises(LogError, match=r"row 0: target: expected a sum of 1, got 2"):
        fitted_q(log, 2 * target)
    with pytest.raises(ValueError, match="n_iterations: expected at least 1, got 0"):
        fitted_q(log, target, truncated="end", n_iterations=0)
    with pytest.raises(ValueError, match="n_folds: expected at most as many as there are users, 30, got 31"):
        fitted_q(log, target, truncated="end", n_folds=31)


def test_values_that_run_away() -> None:
    """Two states of which one looks twice as large, after Tsitsiklis & Van Roy (1996): linear iterations diverge."""
    n = 200
    rng = np.random.default_rng(0)
    looks = np.where(np.arange(2 * n) % 2 == 0, 1.0, 8.0) + 0.01 * rng.normal(size=2 * n)
    steps = np.tile([0, 1], n)
    log = LoggedTrajectories(
        np.zeros(2 * n, np.int64), np.ones(2 * n), ("none", "push"), looks[:, None], ("looks",),
        np.repeat(np.arange(n), 2), steps, np.zeros(2 * n, np.bool_), steps == 1,
        final_observations=20.0 * np.ones((n, 1)),
    )  # fmt: skip
    always = np.tile([1.0, 0.0], (2 * n, 1))
    with pytest.raises(ValueError, match=r"expected values that settle, got .* after \d+ iterations where rewards are"):
        fitted_q(log, always, final_target=always[:n], n_iterations=2_000)
