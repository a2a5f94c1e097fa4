"""Sequential estimators against a log that holds every episode as often as it is likely, and against simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from experiments.offline.estimators.importance import ips, snips
from experiments.offline.estimators.marginalised import aggregated_states, lost_share, marginalised_is, same_states
from experiments.offline.estimators.model_based import dr, sndr
from experiments.offline.estimators.sequential import (
    direct_method,
    one_step,
    per_decision_is,
    sequential_dr,
    trajectory_is,
    weighted_dr,
    weighted_per_decision_is,
    weighted_trajectory_is,
)
from experiments.offline.estimators.terms import Terms
from experiments.offline.intervals import asymptotic, bootstrap
from experiments.offline.logs.logged import Floats
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.phenomena.horizons import ESTIMATORS, Chain, HorizonErrors, horizon_errors, marginalised
from experiments.offline.phenomena.plots import draw_horizons
from experiments.offline.weighed import weigh
from experiments.offline.weighed_trajectories import QValues, WeighedTrajectories, weigh_trajectories
from tests.experiments.offline.episodes import GONE, TinyMdp, states_of

WORLD = TinyMdp()
WRONG = np.asarray([[[5.0, -1.0, 2.0], [0.0, 4.0, 0.0]], [[1.0, 1.0, -3.0], [2.0, 7.0, 0.0]], [[0.5] * 3, [-2.0] * 3]])

Estimator = Callable[[WeighedTrajectories], Terms]


def normalised(weighed: WeighedTrajectories) -> Terms:
    return marginalised_is(weighed, states_of(weighed.log), is_normalised=True)


UNBIASED: Mapping[str, Estimator] = {
    "trajectory": trajectory_is, "per decision": per_decision_is, "doubly robust": sequential_dr,
}  # fmt: skip
CONSISTENT: Mapping[str, Estimator] = {
    "weighted trajectory": weighted_trajectory_is, "weighted per decision": weighted_per_decision_is,
    "weighted doubly robust": weighted_dr, "marginalised": marginalised, "marginalised, normalised": normalised,
}  # fmt: skip
EVERY = {**UNBIASED, **CONSISTENT}


def beside_target(log: LoggedTrajectories, q: Floats = WRONG) -> WeighedTrajectories:
    """Return a log of the tiny world beside the target policy, with values by step, state and action."""
    states = states_of(log)
    values = np.where(log.eligibility, q[log.steps, states], 0.0)
    return weigh_trajectories(log, WORLD.target_in(states), QValues(values))


@cache
def whole() -> WeighedTrajectories:
    return beside_target(WORLD.all_episodes())


def test_the_log_of_all_episodes_is_whole() -> None:
    log = whole().log
    assert log.n_episodes == 2 * 16**3
    assert log.is_terminated.any()
    assert not log.eligibility.all()
    assert len(np.unique(log.hours)) > 4


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_by_enumeration(name: str) -> None:
    """The mean over all episodes that there are is the value, also with values that are wrong."""
    assert math.isclose(UNBIASED[name](whole()).value, WORLD.value, rel_tol=1e-12)


@pytest.mark.parametrize("name", CONSISTENT)
def test_exact_where_frequencies_are(name: str) -> None:
    """With every episode as often as it is likely, nothing is left of what vanishes with more episodes."""
    assert math.isclose(CONSISTENT[name](whole()).value, WORLD.value, rel_tol=1e-11)


def test_others_are_biased_as_they_should_be() -> None:
    """The same enumeration tells a biased estimator: one that forgets the way, a model alone, states run together."""
    for terms in (one_step(whole()), direct_method(whole()), marginalised_is(whole(), 0 * states_of(whole().log))):
        assert abs(terms.value - WORLD.value) > 0.004


def test_variances_in_their_order() -> None:
    """Over all episodes: later ratios add noise, and a right Q takes away what the next states explain."""
    right = beside_target(whole().log, WORLD.action_values)
    assert math.isclose(sequential_dr(right).value, WORLD.value, rel_tol=1e-12)
    assert math.isclose(direct_method(right).value, WORLD.value, rel_tol=1e-12)
    each = (sequential_dr(right), per_decision_is(right), trajectory_is(right))
    variances = [float((terms.influence**2).mean()) for terms in each]
    assert variances == sorted(variances)
    assert variances[0] < 0.6 * variances[1]
    assert variances[1] < 0.95 * variances[2]


def test_the_variance_of_doubly_robust_is_the_published_one() -> None:
    """With the right Q: Var(V_0) + sum_t E[(D_t rho_{0:t})^2 Var(r_t + gamma_t V_{t+1} | state, action)].

    Jiang & Li (ICML 2016), theorem 1, without errors of Q; reward and next state together.
    """
    log = whole().log
    right = beside_target(log, WORLD.action_values)
    after = np.append(WORLD.state_values, [[0.0, 0.0]], axis=0)[1:]  # by step and state
    spreads = np.asarray([
        [[np.var([r + WORLD.discount**hours * (0.0 if to == GONE else later[to]) for r in rewards for to in nexts])
          for rewards, nexts, hours in zip(WORLD.rewards[state], WORLD.nexts[state], WORLD.hours, strict=True)]
         for state in range(2)]
        for later in after
    ])  # fmt: skip
    weights = log.discounts * right.products[log.episode_of, log.steps]
    later_steps = (weights**2 * spreads[log.steps, states_of(log), log.actions]).sum() / log.n_episodes
    variance = float(WORLD.state_values[0].var() + later_steps)
    assert math.isclose(float((sequential_dr(right).influence ** 2).mean()), variance, rel_tol=1e-9)


def test_one_step_episodes_are_rounds() -> None:
    """With one decision an episode they are the one-step estimators, to the last digits."""
    log = WORLD.drawn(300, 3)
    first = log.steps == 0
    short = LoggedTrajectories(
        log.actions[first], log.rewards[first], log.action_names, log.observations[first], log.features,
        np.arange(300), np.zeros(300, np.int64), np.ones(300, np.bool_), np.zeros(300, np.bool_),
        propensities=None if log.propensities is None else log.propensities[first], eligible=log.eligibility[first],
    )  # fmt: skip
    weighed = beside_target(short)
    target = WORLD.target_in(states_of(short))
    q = np.where(short.eligibility, WRONG[0, states_of(short)], 0.0)
    rounds = weigh(short.to_rounds(), target, q)
    for ours, theirs in (
        (trajectory_is, ips), (per_decision_is, ips), (one_step, ips), (weighted_trajectory_is, snips),
        (weighted_per_decision_is, snips), (sequential_dr, dr), (weighted_dr, sndr),
    ):  # fmt: skip
        one, other = ours(weighed), theirs(rounds)
        assert math.isclose(one.value, other.value, rel_tol=1e-12), ours.__name__
        assert math.isclose(one.standard_error(), other.standard_error(), rel_tol=1e-9), ours.__name__


def test_the_logging_policy_is_worth_what_was_earned() -> None:
    log = WORLD.drawn(200, 4)
    assert log.probabilities is not None
    weighed = weigh_trajectories(log, log.probabilities)
    for name in ("trajectory", "per decision", "weighted trajectory", "weighted per decision"):
        assert math.isclose(EVERY[name](weighed).value, log.returns.mean(), rel_tol=1e-12), name
    log = Chain().log(100, 5, np.random.default_rng(2)).log  # steps as long as each other: then states tell D_t
    weighed = weigh_trajectories(log, np.full((500, 2), 0.5))
    assert math.isclose(marginalised(weighed).value, log.returns.mean(), rel_tol=1e-12)


def test_weighted_values_stay_within_what_was_earned() -> None:
    """On logs of five episodes, where plain ones leave the range of the returns."""
    n_outside = 0
    for seed in range(40):
        weighed = beside_target(WORLD.drawn(5, seed))
        low, high = weighed.log.returns.min(), weighed.log.returns.max()
        value = weighted_trajectory_is(weighed).value
        assert math.isnan(value) or low - 1e-9 <= value <= high + 1e-9
        by_step = weighted_per_decision_is(weighed).value
        lows, highs = weighed.rewards.min(axis=0).sum(), weighed.rewards.max(axis=0).sum()
        assert math.isnan(by_step) or lows - 1e-9 <= by_step <= highs + 1e-9
        n_outside += not low <= trajectory_is(weighed).value <= high
    assert n_outside > 5


def test_an_early_end_keeps_its_weight() -> None:
    """Two episodes, one of which ends at once: by hand. Without it, the second step would be that of survivors."""
    steps = np.asarray([0, 0, 1])
    log = LoggedTrajectories(
        np.asarray([0, 1, 1]), np.asarray([1.0, 2.0, 4.0]), ("none", "push"), np.zeros((3, 0)), (),
        np.asarray([0, 1, 1]), steps, np.asarray([True, False, True]), np.zeros(3, np.bool_),
        propensities=np.asarray([0.5, 0.5, 0.5]),
    )  # fmt: skip
    weighed = weigh_trajectories(log, np.asarray([[0.25, 0.75]] * 3))
    assert weighed.products.tolist() == [[0.5, 0.5], [1.5, 2.25]]
    expected = (0.5 * 1 + 1.5 * 2) / 2.0 + 2.25 * 4 / 2.75
    assert math.isclose(weighted_per_decision_is(weighed).value, expected, rel_tol=1e-12)


def test_no_weight_is_no_number() -> None:
    log = WORLD.drawn(20, 5)
    elsewhere = np.eye(3)[np.where(log.actions == 0, 1, 0)]
    weighed = weigh_trajectories(log, elsewhere)
    assert trajectory_is(weighed).value == 0.0
    assert math.isnan(weighted_trajectory_is(weighed).value)
    assert math.isnan(weighted_per_decision_is(weighed).value)


def test_a_truncated_episode_goes_on_in_q() -> None:
    """Values after the log's end count once, discounted, and are weighed by what led there."""
    log = WORLD.drawn(50, 6)
    goes_on = log.is_truncated[log.ends]
    final = np.where(goes_on, 7.0, 0.0)
    values = np.where(log.eligibility, WRONG[log.steps, states_of(log)], 0.0)
    weighed = weigh_trajectories(log, WORLD.target_in(states_of(log)), QValues(values, final))
    ends = log.ends
    more = weighed.products[:, -1] * final * log.discounts[ends] * log.step_discounts[ends]
    assert math.isclose(sequential_dr(weighed).value, sequential_dr(beside_target(log)).value + more.mean())


def test_marginalised_forwards_is_backwards() -> None:
    """The same number by ratios of states from the first step on, as the paper has it, written plainly."""
    weighed = beside_target(WORLD.drawn(300, 7))
    log, states = weighed.log, states_of(weighed.log)
    total, ratio_of_row = 0.0, np.ones(len(log))
    for step in range(log.horizon):
        rows = np.flatnonzero(log.steps == step)
        for state in range(2) if step else ():
            arrived = rows[states[rows] == state]
            came = arrived - 1
            ratio_of_row[arrived] = np.mean(ratio_of_row[came] * weighed.ratios[came] * log.step_discounts[came])
        total += float((ratio_of_row[rows] * weighed.ratios[rows] * log.rewards[rows]).sum())
    assert math.isclose(marginalised_is(weighed, states).value, total / log.n_episodes, rel_tol=1e-12)


@pytest.mark.parametrize("name", ["weighted per decision", "weighted doubly robust", "marginalised"])
def test_influence_is_what_an_episode_moves(name: str) -> None:
    """Against the estimate with one episode counted a little more: each 2,000 times, and that one once again."""
    log = WORLD.drawn(12, 8)
    estimator = EVERY[name]
    terms = estimator(beside_target(log))
    for episode in (0, 5, 11):
        more = estimator(beside_target(_repeated(log, 2_000, episode))).value
        assert math.isclose(
            (more - terms.value) * (12 * 2_000 + 1), terms.influence[episode], rel_tol=2e-2, abs_tol=1e-3
        )


def _repeated(log: LoggedTrajectories, times: int, once_more: int) -> LoggedTrajectories:
    order = np.append(np.tile(np.arange(log.n_episodes), times), once_more)
    lengths = (log.ends - log.starts + 1)[order]
    rows = (
        np.repeat(log.starts[order], lengths)
        + np.arange(lengths.sum())
        - np.repeat(np.cumsum(lengths) - lengths, lengths)
    )
    assert log.propensities is not None
    return LoggedTrajectories(
        log.actions[rows], log.rewards[rows], log.action_names, log.observations[rows], log.features,
        np.repeat(np.arange(len(order)), lengths), log.steps[rows], log.is_terminated[rows], log.is_truncated[rows],
        propensities=log.propensities[rows], eligible=log.eligibility[rows], discount_per_hour=log.discount_per_hour,
        elapsed_hours=None if log.elapsed_hours is None else log.elapsed_hours[rows],
    )  # fmt: skip


def test_errors_are_as_large_as_they_say() -> None:
    """Over 400 logs of the chain: the deviation of each estimate beside its standard errors; noise is 3.5 %."""
    chain, found, told = Chain(), [], []
    for seed in range(400):
        weighed = chain.log(300, 4, np.random.default_rng(seed))
        terms = [estimator(weighed) for estimator in (*ESTIMATORS.values(), normalised)]
        found.append([each.value for each in terms])
        told.append([each.standard_error() for each in terms])
    ratios = np.mean(told, axis=0) / np.std(found, axis=0)
    assert (np.abs(ratios - 1.0) < 0.17).all(), ratios


def test_intervals_by_users() -> None:
    """Every episode three times, as one user's: values stay, and so do the errors by user."""
    log = WORLD.drawn(100, 9)
    thrice = _repeated(log, 3, 0).take(np.arange(301) < 300)
    users = np.tile(np.arange(100), 3)
    for name, estimator in EVERY.items():
        once, terms = estimator(beside_target(log)), estimator(beside_target(thrice))
        assert math.isclose(once.value, terms.value, rel_tol=1e-9), name
        assert math.isclose(once.standard_error(), terms.standard_error(users), rel_tol=1e-9), name
        by_normal, by_draws = asymptotic(terms, users), bootstrap(terms, users, replicates=300)
        assert by_draws.low < once.value < by_draws.high
        assert 0.6 < (by_draws.high - by_draws.low) / (by_normal.high - by_normal.low) < 1.4, name


@cache
def by_horizon() -> HorizonErrors:
    return horizon_errors((1, 4, 8, 16), 200, 150)


def test_marginalised_lies_between_one_step_and_trajectories() -> None:
    """One-step estimates are the most biased, products of ratios vary the most, and explode; states do neither."""
    found = by_horizon()
    deviation = {name: values[-1] for name, values in found.deviations.items()}
    assert deviation["one step"] < deviation["marginalised"] < 0.5 * deviation["per decision"]
    assert deviation["per decision"] < deviation["trajectory"]
    growth = {name: values[-1] / values[1] for name, values in found.deviations.items()}
    assert growth["per decision"] > 6.0 > 4.0 > growth["marginalised"]
    errors = {name: values[-1] / np.sqrt(found.n_logs) for name, values in found.deviations.items()}
    for name in ("marginalised", "per decision", "trajectory"):
        assert abs(found.biases[name][-1]) < 5.0 * errors[name], name  # 6e-7 each, were estimates normal
    assert found.biases["one step"][-1] > 50.0 * errors["one step"]
    assert abs(found.biases["marginalised"][-1]) < 0.1 * found.biases["one step"][-1]


def test_the_chain_is_worth_what_episodes_earn() -> None:
    """Its value by the Markov chain, against its own simulation with the target policy as the logging policy."""
    chain = Chain(send_prob=(0.8, 0.8))
    log = chain.log(40_000, 6, np.random.default_rng(1)).log
    assert abs(log.returns.mean() - chain.value(6)) < 5.0 * log.returns.std() / 200.0


def test_the_picture_of_horizons(tmp_path: Path) -> None:
    draw_horizons(tmp_path / "horizons.png", by_horizon(), "What longer horizons do")
    draw_horizons(tmp_path / "one.png", horizon_errors((1,), 3, 2), "One horizon")
    for picture in ("horizons.png", "one.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG\r\n")


def test_states_of_observations() -> None:
    table = np.asarray([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 5.0]])
    assert same_states(table).tolist() == [0, 2, 0, 1]
    spread = np.linspace(0.0, 1.0, 100)[:, None]
    assert np.bincount(aggregated_states(spread, 4)).tolist() == [25] * 4
    assert len(np.unique(aggregated_states(np.column_stack([spread, 1.0 - spread]), 2))) == 2
    assert not aggregated_states(np.zeros((3, 0)), 2).any()


def test_what_is_refused() -> None:
    weighed = beside_target(WORLD.drawn(5, 0))
    with pytest.raises(ValueError, match=r"states: expected integers of shape .*, got float64 of"):
        marginalised_is(weighed, weighed.log.observations[:, 0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_bins: expected at least 1, got 0"):
        aggregated_states(np.zeros((3, 1)), 0)
    with pytest.raises(ValueError, match=r"horizons: expected at least one, each at least 1, got \[4, 0\]"):
        horizon_errors((4, 0), 10, 2)
    with pytest.raises(ValueError, match="n_logs: expected at least 2, got 1"):
        horizon_errors((4,), 10, 1)


def test_what_the_target_does_where_nobody_did_it_is_lost() -> None:
    """Half the log goes to B, half to C; in C nobody took action 1, which the target always takes: it loses 3 in 10."""
    to_c = np.asarray([0, 1] * 50)
    actions = np.column_stack([to_c, np.where(to_c, 0, np.arange(100) % 4 // 2)]).ravel()
    states = np.column_stack([np.zeros(100, np.int64), 1 + to_c]).ravel()
    steps = np.tile([0, 1], 100)
    log = LoggedTrajectories(
        actions, np.ones(200), ("a", "b"), np.zeros((200, 1)), ("x",), np.repeat(np.arange(100), 2), steps,
        is_terminated=steps == 1, is_truncated=np.zeros(200, np.bool_), propensities=np.full(200, 0.5),
    )  # fmt: skip
    target = np.where((steps == 0)[:, None], [0.7, 0.3], [0.0, 1.0])
    assert lost_share(weigh_trajectories(log, target), states) == pytest.approx(0.3, abs=1e-12)
    assert lost_share(weigh_trajectories(log, np.full((200, 2), 0.5)), states) == 0.0
