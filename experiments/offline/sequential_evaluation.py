"""What whole episodes would be worth under another policy: estimates beside each other, refused one by one.

    log, told = ledger_trajectories(Path("results/log"))
    evaluation = evaluate_trajectories(log, target, name="new", warnings=told)

Products of ratios over hundreds of decisions leave a handful of episodes with all the weight, while others of the same
log still answer: so each estimator has its own refusal. All of it is refused where the decisions, one by one, already
lack support.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from experiments.offline.diagnostics import (
    FEW,
    LEAST_EFFECTIVE,
    MOST_BY_FEW,
    ROUNDING,
    diagnose,
    effective_size,
    leverage,
    share_of_few,
)
from experiments.offline.estimators.marginalised import lost_share, same_states
from experiments.offline.estimators.sequential_catalogue import (
    SEQUENTIAL,
    SequentialEstimator,
    sequential_estimator,
)
from experiments.offline.estimators.terms import Terms
from experiments.offline.evaluation import OfflineEvaluation, PolicyEstimate, difference
from experiments.offline.intervals import Interval, interval, method_of
from experiments.offline.logs.logged import Floats, Ints
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.fqe import fitted_q
from experiments.offline.weighed import weigh
from experiments.offline.weighed_trajectories import QValues, WeighedTrajectories, weigh_trajectories
from simulator.config import did_you_mean

LEAST_SHARE = 0.01  # of all episodes, that the effective sample size must come to
MOST_OFF = 6.0  # standard errors of the mean product from 1: products are skewed, and their errors look too small
LEAST_MET = 10.0  # episodes that meet in a state at a step, on average, so that averaging takes variance away
MOST_LOST = 0.01  # of the target's episodes, in states in which nobody did what it would do
MOST_CHANGE = 0.05  # of the largest value, that the iterations of a fitted Q which were not made might still move
FEWEST_ITERATIONS, MOST_ITERATIONS = 200, 2000  # of a fitted Q; between, five for each step of the longest episode


def evaluate_trajectories(
    log: LoggedTrajectories,
    target: Floats,
    *,
    name: str = "policy",
    log_name: str = "",
    estimators: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    regressor: str = "ridge",
    method: str = "asymptotic",
    confidence: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    warnings: Sequence[str] = (),
    refusals: Sequence[str] = (),
) -> OfflineEvaluation:
    """Return what a log's episodes say of a policy; the value is the mean discounted return of an episode.

    Truncated episodes count as far as they are logged, under any policy: what is compared is a fixed stretch of time.

    Args:
        log: with propensities.
        target: the policy's probabilities, shape (N, A).
        name, log_name: in tables.
        estimators: of `SEQUENTIAL`; None: all.
        states: features that make a state, for state-marginalised IS; None: all.
        regressor: of Q, of `q_regressors.REGRESSORS`; cross-fitted by user.
        method: of intervals: `asymptotic` or `bootstrap`.
        confidence: in (0, 1).
        replicates, seed: of the bootstrap; the seed is that of the folds, too.
        warnings, refusals: of what was done to the log before; with a refusal no number is given.

    Raises:
        ValueError, LogError: an unknown name; a method that asks for bounds; or as `weigh_trajectories`.
    """
    if method_of(method).wants_mean:
        raise ValueError(f"method {method!r}: expected asymptotic or bootstrap for episodes")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence:g}")
    rows = {each: sequential_estimator(each) for each in (SEQUENTIAL if estimators is None else estimators)}
    state_of = _states(log, states)
    bare = weigh_trajectories(log, target)
    diagnosis = diagnose(weigh(log.to_rounds(), target), is_of_episodes=True, refusals=refusals)

    def interval_of(terms: Terms) -> Interval:
        return interval(method, terms, log.clusters, confidence, replicates=replicates, seed=seed)

    logged = Terms(direct=log.returns)
    found: dict[str, PolicyEstimate] = {}
    refused: dict[str, str] = {}
    if not diagnosis.is_refused:
        refused = _refusals(bare, rows, state_of)
        weighed, unsettled = _with_q(bare, rows, refused, regressor, seed)
        refused |= unsettled
        for each, row in rows.items():
            if each in refused:
                continue
            terms = row.of(weighed if row.needs_q else bare, *((state_of,) if row.weights == "state" else ()))
            found[each] = PolicyEstimate(
                each, row.title, interval_of(terms), interval_of(difference(terms, logged)), None,
                leverage(terms, log.clusters)[1], is_uncorrected=row.weights == "none",
            )  # fmt: skip
    told = (*warnings, *diagnosis.warnings, *_warnings(log, found))
    titles = {rows[each].title: why for each, why in refused.items()}
    return OfflineEvaluation(
        name, log_name, interval_of(logged), found, None, diagnosis, told, unit="episode", refused=titles
    )


def _states(log: LoggedTrajectories, names: Sequence[str] | None) -> Ints:
    """Return each row's state by some of the features, shape (N,)."""
    for name in names or ():
        if name not in log.features:
            raise ValueError(f"states: expected features of the log, got {name!r}.{did_you_mean(name, log.features)}")
    columns = range(len(log.features)) if names is None else [log.features.index(name) for name in names]
    return same_states(log.observations[:, list(columns)]) if len(columns) else np.zeros(len(log), np.int64)


def _refusals(bare: WeighedTrajectories, rows: Mapping[str, SequentialEstimator], state_of: Ints) -> dict[str, str]:
    """Return why each estimator that would be carried by a few episodes is refused."""
    why: dict[str, str | None] = {"none": None}
    if any(row.weights in ("episode", "step") for row in rows.values()):
        why |= _of_products(bare)
    if any(row.weights == "state" for row in rows.values()):
        why["state"] = _of_states(bare, state_of)
    found = {each: why[row.weights] for each, row in rows.items()}
    return {each: reason for each, reason in found.items() if reason is not None}


def _of_products(bare: WeighedTrajectories) -> dict[str, str | None]:
    """Return why products of ratios over the episode, and over the steps so far, cannot be weighed by.

    Those over a whole episode are at least as bad as over any part of it. Their own effective size can hide that:
    where all episodes with a choice have got weight 0, those without one are left, and are as alike as can be. Then the
    mean of the products is not 1.
    """
    try:
        products = bare.products
    except ValueError as error:
        return {"episode": str(error), "step": str(error)}
    # Where no reward follows any more, a step's weight moves nothing.
    paying = np.flatnonzero((bare.rewards != 0.0).any(axis=0))
    n_steps = int(paying[-1]) + 1 if len(paying) else 1
    clusters = bare.log.clusters
    found: dict[str, str | None] = {}
    for weights, n in (("step", n_steps), ("episode", products.shape[1])):
        steps = _odd_steps(_by_user(products[:, :n], clusters), _by_user(np.ones((len(products), 1)), clusters))
        reasons = (_why(products[:, step], step + 1, clusters) for step in steps)
        found[weights] = next((reason for reason in reasons if reason is not None), None)
    return found


def odd_products(bare: WeighedTrajectories) -> str | None:
    """Return why products of ratios over whole episodes cannot be weighed by; None: they can."""
    return _of_products(bare)["episode"]


def _by_user(weights: Floats, clusters: Ints | None) -> Floats:
    """Return weights of episodes summed by user, shape (G, T): one's episodes tell together as much as they weigh."""
    if clusters is None:
        return weights
    sums = np.zeros((int(clusters.max()) + 1, weights.shape[1]))
    np.add.at(sums, clusters, weights)
    return sums


def _odd_steps(products: Floats, episodes: Floats) -> list[int]:
    """Return the steps with the smallest effective size, and with the mean that is furthest from 1.

    Args:
        products: of each user, shape (G, T).
        episodes: of each user, shape (G, 1).
    """
    totals, squares = products.sum(axis=0), (products**2).sum(axis=0)
    effective = np.divide(totals**2, squares, out=np.zeros(len(totals)), where=squares > 0.0)
    n = float(episodes.sum())
    errors = np.sqrt(((products - episodes * (totals / n)) ** 2).sum(axis=0)) / n
    off = np.divide(np.abs(totals / n - 1.0), errors, out=np.zeros(len(totals)), where=errors > 0.0)
    return [int(effective.argmin()), int(off.argmax())]


def _why(products: Floats, n_decisions: int, clusters: Ints | None) -> str | None:
    """Return why a handful of users would carry an estimate with these weights of episodes; None: they do not."""
    weights = _by_user(products[:, None], clusters)[:, 0]
    effective, n = effective_size(weights), len(weights)
    who = "episodes" if n == len(products) else "users"
    over = f"products of ratios over {n_decisions} decision{'s' if n_decisions > 1 else ''}"
    if effective < LEAST_EFFECTIVE:
        return (
            f"{over} leave an effective sample size of {effective:.1f} of {n:,} {who} (at least {LEAST_EFFECTIVE:g} "
            f"are needed)"
        )
    if effective < LEAST_SHARE * n:
        return (
            f"{over} leave an effective sample size of {effective:,.1f} of {n:,} {who}, {100 * effective / n:.2g} % "
            f"(at least {100 * LEAST_SHARE:g} % are needed)"
        )
    if (few := share_of_few(weights)) > MOST_BY_FEW:
        return f"{over} leave {FEW} of {n:,} {who} with {100 * few:.0f} % of all weight"
    mean = Terms(direct=products)
    if abs(mean.value - 1.0) > max(ROUNDING, MOST_OFF * mean.standard_error(clusters)):
        return (
            f"{over} are {mean.value:.2f} on average, where 1 is expected: those that would carry the estimate were "
            f"hardly ever drawn, or the propensities are not those that the log was made with"
        )
    return None


def _of_states(bare: WeighedTrajectories, state_of: Ints) -> str | None:
    """Return why ratios of states cannot be weighed by; None: they can."""
    log = bare.log
    cells = len(np.unique(np.column_stack([log.steps, state_of]), axis=0))
    met = len(log) / cells
    if met < LEAST_MET and cells != log.horizon:
        return (
            f"only {met:.1f} episodes meet in a state at a step, on average (at least {LEAST_MET:g} are needed): name "
            f"fewer features as the state"
        )
    if (lost := lost_share(bare, state_of)) > MOST_LOST:
        return (
            f"{100 * lost:.3g} % of the policy's episodes come into states in which nobody did what it would do (at "
            f"most {100 * MOST_LOST:g} % may): name fewer features as the state"
        )
    return None


def _with_q(
    bare: WeighedTrajectories,
    rows: Mapping[str, SequentialEstimator],
    refused: Mapping[str, str],
    regressor: str,
    seed: int,
) -> tuple[WeighedTrajectories, dict[str, str]]:
    """Return the log beside the policy with Q values, and whom it cannot serve, with the reason."""
    wanting = [each for each, row in rows.items() if row.needs_q and each not in refused]
    if not wanting:
        return bare, {}
    log = bare.log
    # What is left of a fixed stretch of time belongs to the state.
    timed = replace(
        log,
        observations=np.column_stack([log.observations, log.steps, log.hours]),
        features=(*log.features, "step", "hours since the beginning"),
        final_observations=None,
    )
    n_iterations = _iterations(log)
    try:
        q = fitted_q(
            timed, bare.target, regressor=regressor, truncated="end", n_iterations=n_iterations,
            n_folds=min(2, len(np.unique(log.episodes if log.users is None else log.users))), seed=seed,
        )  # fmt: skip
    except ValueError as error:
        return bare, dict.fromkeys(wanting, str(error))
    weighed = weigh_trajectories(log, bare.target, q)
    return weighed, {each: why for each in wanting if rows[each].weights == "none" and (why := _unsettled(q, log))}


def _unsettled(q: QValues, log: LoggedTrajectories) -> str:
    """Return why values are not taken as settled; "" where they are.

    What is learned spreads a step an iteration, from the ends of episodes to their beginnings; where a regression
    blurs the steps it may take many rounds. So what is still to come may be the last change times the horizon.
    """
    most, to_come = float(np.abs(q.values).max()), q.last_change * log.horizon
    if to_come <= MOST_CHANGE * most:
        return ""
    return (
        f"the regression has not settled after {_iterations(log):,} iterations: the last moved a value by "
        f"{q.last_change:.3g}, which over {log.horizon:,} steps may come to {to_come:.3g}; the largest is {most:.3g}"
    )


def _iterations(log: LoggedTrajectories) -> int:
    return min(max(5 * log.horizon, FEWEST_ITERATIONS), MOST_ITERATIONS)


def _warnings(log: LoggedTrajectories, found: Mapping[str, PolicyEstimate]) -> Iterator[str]:
    """Yield what to keep in mind of the estimates that are given."""
    if n := int((log.is_truncated & ~log.is_terminated).sum()):
        days = np.median(log.hours[log.ends]) / 24.0
        yield (
            f"{n:,} of {log.n_episodes:,} episodes go on after the log: values are of what is logged, {days:.3g} days "
            f"of an episode at the median."
        )
    for each in found.values():
        if each.is_uncorrected:
            yield (
                f"{each.title} has no propensities to correct it: it is as right as its regression, and its interval "
                f"knows how episodes begin, not how wrong the regression is."
            )
