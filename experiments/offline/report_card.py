"""Which estimator to believe, in your own regime: a simulated twin of the log, in which the truth is known.

On many logs of the twin (`experiments.offline.twin`) each estimator is run as on the real one, with models fitted
anew, and held against the twin's truth: bias, error, coverage of its interval, and how often it would pick a candidate
that is worse than the policy in use.

The twin is kinder than the world: an estimator that fails here will fail there; one that does well here may not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from experiments.offline.estimators.catalogue import ESTIMATORS, estimated, estimator
from experiments.offline.intervals import asymptotic
from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.models.propensities import with_propensities
from experiments.offline.models.reward_models import cross_fitted
from experiments.offline.twin import Twin
from experiments.offline.weighed import Weighed, weigh
from simulator.measures import plain

FULL = 0.95
FINE = 0.9  # coverage of 95 % intervals, of an estimator that can be believed
NEAR = 0.05  # of an error: what some dozens of logs do not tell apart
LEAST_ANSWERED = 0.9  # of the twin's logs, for an estimator that can be believed


@dataclass(frozen=True)
class Mark:
    """How an estimator did for one policy, over all twin logs.

    Attributes:
        estimator, policy: names.
        title: of the estimator.
        truth: the policy's value in the twin.
        bias: mean estimate less the truth.
        bias_error: standard error of the bias, from the number of twin logs.
        spread: standard deviation of the estimates.
        rmse: root of the mean squared error.
        coverage: share of the 95 % intervals that held the truth.
        width: mean width of these.
        answered: share of the logs in which it was not refused; all else is of these, and NaN where there is none.
    """

    estimator: str
    policy: str
    title: str
    truth: float
    bias: float
    bias_error: float
    spread: float
    rmse: float
    coverage: float
    width: float
    answered: float = 1.0

    def cells(self) -> tuple[str, str, str]:
        """Return bias, error and coverage as tables have them."""
        if math.isnan(self.bias):
            return "refused", "", ""
        often = "" if self.answered == 1.0 else f" of {100 * self.answered:.0f} %"
        return f"{self.bias:+.3g}", f"{self.rmse:.3g}", f"{100 * self.coverage:.0f} %{often}"


@dataclass(frozen=True)
class Choice:
    """What comes of choosing the candidate that an estimator likes best.

    Attributes:
        estimator: its name.
        worse_than_logging: share of twin logs in which the choice is truly worse than the logging policy.
        regret: mean true value lost against the best candidate, or the logging policy if that is best.
    """

    estimator: str
    worse_than_logging: float
    regret: float


@dataclass(frozen=True)
class ReportCard:
    """Marks of all estimators for all policies, and what choosing by each would come to.

    Attributes:
        n_logs: twin logs.
        rounds: of each, or episodes.
        logging_value: the logging policy's value in the twin.
        marks: by policy and estimator.
        choices: by estimator.
    """

    n_logs: int
    rounds: int
    logging_value: float
    marks: tuple[Mark, ...]
    choices: tuple[Choice, ...]
    unit: str = "round"

    @property
    def to_believe(self) -> str | None:
        """The estimator with the least error over all policies, among those whose intervals hold nine times in ten.

        Where none of them does, the one of the highest coverage. One that was refused in more than a tenth of the logs
        is none to believe; None: all were.
        """
        refused = {mark.estimator for mark in self.marks if mark.answered < LEAST_ANSWERED}
        names = [name for name in dict.fromkeys(mark.estimator for mark in self.marks) if name not in refused]
        fine = [name for name in names if self._of(name)[0] >= FINE]
        if fine:
            return min(fine, key=lambda name: self._of(name)[1])
        return max(names, key=lambda name: self._of(name)[0], default=None)

    def _of(self, name: str) -> tuple[float, float]:
        """Return an estimator's least coverage, and its error over all policies."""
        its = [mark for mark in self.marks if mark.estimator == name]
        return min(mark.coverage for mark in its), math.sqrt(sum(mark.rmse**2 for mark in its) / len(its))

    def _near(self, name: str) -> list[str]:
        """Return the titles of other estimators whose error is so near the least that logs do not tell them apart."""
        titles = {mark.estimator: mark.title for mark in self.marks}
        most = (1.0 + NEAR) * self._of(name)[1]
        told = {other: self._of(other) for other in titles if other != name}
        return [titles[other] for other, (coverage, error) in told.items() if coverage >= FINE and error <= most]

    def in_words(self) -> str:
        """Return which estimator to believe, and what choosing by it comes to, in two sentences."""
        name = self.to_believe
        where = f"In {self.n_logs:,} logs of a twin with {self.rounds:,} {self.unit}s and this logging policy, "
        if name is None:
            return f"{where}every estimator was refused in more than a tenth: such a log cannot tell."
        choice = next(each for each in self.choices if each.estimator == name)
        title = next(mark.title for mark in self.marks if mark.estimator == name)
        near = self._near(name)
        alike = f", {' and '.join(near)} as well within {100 * NEAR:.0f} % of its error" if near else ""
        return (
            f"{where}{title} is the one to believe{alike}. Choosing the candidate that it likes best picks one "
            f"worse than the logging policy in {100 * choice.worse_than_logging:.0f} % of them."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = asdict(self) | {"to_believe": self.to_believe}
        for rows in ("marks", "choices"):
            data[rows] = [
                {name: plain(value) if isinstance(value, float) else value for name, value in row.items()}
                for row in data[rows]
            ]
        return data


def report_card(
    twin: Twin,
    candidates: Mapping[str, Floats],
    *,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    model: str = "additive",
    n_logs: int = 100,
    n_folds: int = 5,
    seed: int = 0,
    on_log: Callable[[int, int], None] | None = None,
) -> ReportCard:
    """Return how each estimator does in a twin.

    Where the log's propensities are estimated, so are those of each twin log, anew; one that cannot be estimated or
    answer is one in which all estimators were refused.

    Args:
        twin: see `twin_of`.
        candidates: probabilities of the policies in the log's rounds, by name, each (N, A).
        estimators: of the catalogue.
        model: of rewards, as the estimators will use it.
        n_logs: twin logs to draw; at least 2.
        n_folds, seed: of cross-fitting and of the draws.
        on_log: called after each log with how many are done, of how many.

    Raises:
        ValueError: no candidate, fewer than two logs, or an unknown estimator.
    """
    if not candidates:
        raise ValueError("report_card: expected at least one candidate policy, got none")
    if n_logs < 2:
        raise ValueError(f"report_card: n_logs: expected at least 2, got {n_logs}")
    rows = {name: estimator(name) for name in estimators}
    assert twin.rounds.probabilities is not None
    truth = {name: twin.value(target) for name, target in candidates.items()}
    logging_value = twin.value(twin.rounds.probabilities)
    values, lows, highs = ({name: np.full((n_logs, len(candidates)), np.nan) for name in rows} for _ in range(3))
    for k in range(n_logs):
        drawn, made_of = twin.draw(np.random.default_rng([seed, k]))
        log = _as_logged(drawn, seed)
        for place, target in enumerate(candidates.values()):
            if log is None:
                continue
            weighed = _with_models(
                log, target[made_of], {row.fit for row in rows.values() if row.needs_model}, model, n_folds
            )
            for name, row in rows.items():
                terms, _ = estimated(name, weighed[row.fit if row.needs_model else ""])
                interval = asymptotic(terms, log.clusters, FULL)
                values[name][k, place] = interval.value
                lows[name][k, place], highs[name][k, place] = interval.low, interval.high
        if on_log is not None:
            on_log(k + 1, n_logs)
    true = np.asarray(list(truth.values()))
    marks = tuple(
        mark(name, row.title, policy, true[place], values[name][:, place], lows[name][:, place], highs[name][:, place])
        for place, policy in enumerate(truth)
        for name, row in rows.items()
    )
    choices = tuple(choice(name, values[name], true, logging_value) for name in rows)
    return ReportCard(n_logs, len(twin.rounds), logging_value, marks, choices)


def _as_logged(drawn: LoggedRounds, seed: int) -> LoggedRounds | None:
    """Return a twin's log as a reader of the real one would have it; None where its propensities are not to be had."""
    if not drawn.estimated_by:
        return drawn
    bare = replace(drawn, probabilities=None, propensities=None, estimated_by="")
    try:
        estimated = with_propensities(bare, drawn.estimated_by, seed=seed)
    except ValueError:  # an action that nobody took
        return None
    return None if estimated.refusals else estimated.rounds


def _with_models(log: LoggedRounds, target: Floats, fits: set[str], model: str, n_folds: int) -> dict[str, Weighed]:
    """Return the log beside a policy, without a model as "" and with one for each way to fit it."""
    found = {"": weigh(log, target)}
    for fit in sorted(fits):
        rewards_of = cross_fitted(log, model, target=target, fit=fit, n_folds=n_folds)  # type: ignore[arg-type]
        found[fit] = weigh(log, target, rewards_of)
    return found


def mark(name: str, title: str, policy: str, truth: float, values: Floats, lows: Floats, highs: Floats) -> Mark:
    """Return how an estimator did.

    Args:
        name, title, policy: of whom.
        truth: the policy's value.
        values, lows, highs: of the estimate and its interval in each log, NaN where it was refused, shape (B,).
    """
    is_known = np.isfinite(values)
    values, lows, highs = values[is_known], lows[is_known], highs[is_known]
    n, answered = len(values), float(is_known.mean())
    if n < 2:
        nan = math.nan
        return Mark(name, policy, title, float(truth), nan, nan, nan, nan, nan, nan, answered)
    spread, bias = float(values.std(ddof=1)), float(values.mean() - truth)
    held = float(((lows <= truth) & (truth <= highs)).mean())
    rmse = math.sqrt(float(((values - truth) ** 2).mean()))
    width = float((highs - lows).mean())
    return Mark(name, policy, title, float(truth), bias, spread / math.sqrt(n), spread, rmse, held, width, answered)


def choice(name: str, values: Floats, truth: Floats, logging_value: float) -> Choice:
    """Return what comes of choosing the candidate that an estimator likes best, whatever it says.

    Args:
        name: of the estimator.
        values: of each candidate in each log, NaN where it was refused, shape (B, P); with none, nothing changes.
        truth: of each candidate, shape (P,).
        logging_value: of the policy in use.
    """
    is_known = np.isfinite(values).any(axis=1)
    liked = np.where(np.isfinite(values), values, -np.inf).argmax(axis=1)
    chosen = np.where(is_known, truth[liked], logging_value)
    best = max(float(truth.max()), logging_value)
    return Choice(name, float((chosen < logging_value).mean()), float((best - chosen).mean()))
