"""A log of one policy, and what it says of every contender, beside the truth: what each brings by itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.compare import Estimate
from experiments.evaluation.discounted import Discounted
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.watched_tables import mean_of
from experiments.offline.estimators.sequential_catalogue import SEQUENTIAL
from experiments.offline.evaluation import OfflineEvaluation
from experiments.offline.logs.episodes import ledger_trajectories
from experiments.offline.logs.logged import Floats
from experiments.offline.sequential_evaluation import evaluate_trajectories
from experiments.recording.logging_policies import LoggingPolicy
from experiments.recording.record import NOTHING, Shard, journal_rows, ledger_header, record
from experiments.results import write_json, write_scenario
from experiments.run.config import RANDOM
from experiments.run.config import OfflineEvaluation as OfflineSettings
from experiments.run.faults import RunError
from experiments.run.folder import LEDGER
from experiments.run.luck import first_user
from experiments.run.measures import write_table
from experiments.run.progress import Progress
from experiments.run.source import Experiment
from experiments.run.stages.contenders import Ready, deciding
from policies.batch.policy import BatchPolicy
from policies.codec import content_hash, write
from policies.document import Document, Epsilon, Rules
from policies.ledger import LedgerWriter
from simulator.config import Scenario
from simulator.environments.vector import NotifyVectorEnv

USERS_AT_ONCE = 4096
TABLE = "offline"
RECORDED = "recorded.json"  # beside the ledger, last: it is whole


@dataclass(frozen=True)
class _Row:
    policy: str
    estimator: str
    estimate: float | None
    low: float | None
    high: float | None
    truth: float | None
    truth_low: float | None
    truth_high: float | None
    refused: str | None


def judge_offline(experiment: Experiment, contenders: list[Ready], folder: Path, progress: Progress) -> None:
    """Record the log where it is not there yet, and write `measures/offline.parquet`."""
    config, about = experiment.config, experiment.config.offline
    assert about is not None, "an experiment without a log is not judged by one"
    progress.stage(f"recording a log of {about.log}, {about.n_users:,} users, and judging by it")
    world = _world(experiment.scenario, about)
    logger = _logger(about, contenders, config.n_slots)
    place = folder / LEDGER / about.log
    _record(experiment, world, logger, place, progress)
    log, told = ledger_trajectories(place, about.discount_per_day)
    observations = log.observations.astype(np.float32)
    rows: list[_Row] = []
    for k, contender in enumerate(contenders):
        progress.far(k, len(contenders), contender.name)
        if contender.document is None and contender.agent is not None:
            rows += [_refused(contender.name, each, None, contender.no_document) for each in _names(about)]
            continue
        truth = _truth(experiment, contender, world, about)
        found = evaluate_trajectories(
            log, _target(contender, observations, log.eligibility), name=contender.name, log_name=about.log,
            estimators=about.estimators, warnings=told,
        )  # fmt: skip
        rows += _rows(contender.name, found, truth, about)
    columns = {name: [getattr(row, name) for row in rows] for name in _Row.__dataclass_fields__}
    told_of = {
        "unit": "EUR an episode, discounted",
        "log": about.log,
        "n_users": str(about.n_users),
        "n_days": str(world.calendar.horizon_days),
        "epoch_hours": str(world.calendar.epoch_hours),
        "discount_per_day": f"{about.discount_per_day:g}",
    }
    write_table(folder, TABLE, columns, told_of)


def _world(scenario: Scenario, about: OfflineSettings) -> Scenario:
    """Return the scenario with the log's own horizon and hours between decisions."""
    given = {"horizon_days": about.horizon_days, "epoch_hours": about.epoch_hours}
    changes = {name: value for name, value in given.items() if value is not None}
    return scenario.model_copy(update={"calendar": scenario.calendar.model_copy(update=changes)})


def _logger(about: OfflineSettings, contenders: list[Ready], n_slots: int) -> LoggingPolicy:
    """Return the policy that makes the log.

    Raises:
        RunError: it has no document, so that nobody knows its probabilities.
    """
    document = Document(RANDOM, n_slots, Rules(()), Epsilon(about.random_prob))
    if about.log != RANDOM:
        contender = next(each for each in contenders if each.name == about.log)
        if contender.document is None:
            raise RunError(f"offline: log: {about.log!r} cannot make a log: {contender.no_document}.")
        document = contender.document
    return LoggingPolicy(
        about.log, content_hash(document), write(document), 1 + 2 * n_slots, BatchPolicy(document).probabilities
    )


def _record(experiment: Experiment, world: Scenario, logger: LoggingPolicy, place: Path, progress: Progress) -> None:
    """Write the ledger anew, unless a whole one is there."""
    about = experiment.config.offline
    assert about is not None, "see the caller"
    if (place / RECORDED).is_file():
        return
    if place.exists():  # of a run that was killed: an episode in it may be cut off
        shutil.rmtree(place)
    place.mkdir(parents=True)
    seed, epoch_hours = first_user(experiment.config.seed, "log"), world.calendar.epoch_hours
    n_steps = world.calendar.horizon_days * 24 // epoch_hours

    def environment(n: int) -> NotifyVectorEnv:
        return NotifyVectorEnv(
            n, world, n_slots=experiment.config.n_slots, epoch_hours=epoch_hours, autoresets=False,
            journal_rows=journal_rows(n),
        )  # fmt: skip

    header = ledger_header(environment(1), f"{world.name}, {logger.name}, seed {seed}")
    total, firsts = NOTHING, range(0, about.n_users, USERS_AT_ONCE)
    # One thread encodes, so that parts are numbered and laid out in one order.
    with LedgerWriter(place, header, n_threads=1) as writer:
        for k, first in enumerate(firsts):

            def on_step(step: int, k: int = k) -> None:
                progress.far(k + step / n_steps, 2 * len(firsts), "recording")

            total += record(
                environment(min(USERS_AT_ONCE, about.n_users - first)), logger, writer, seed=seed + first,
                shard=Shard(first, about.n_users), on_step=on_step,
            )  # fmt: skip
    write_scenario(place, world)
    write_json(place / RECORDED, {"n_decisions": total.n_decisions, "n_sends": total.n_sends})


def _target(contender: Ready, observations: Any, eligible: Any) -> Floats:
    """Return a contender's probabilities at the log's decisions, shape (N, A)."""
    if contender.document is None:  # silence
        silent = np.zeros(eligible.shape)
        silent[:, 0] = 1.0
        return silent
    return np.asarray(BatchPolicy(contender.document).probabilities(observations, eligible), np.float64)


def _truth(experiment: Experiment, contender: Ready, world: Scenario, about: OfflineSettings) -> Estimate:
    """Return what the contender's document brings when it decides, on the users of the evaluation.

    The document, as often as the log decides, and later money worth less: that is what the log is asked about. Orders
    are taken at their expectation, which is the same value with less luck.
    """
    agent = None if contender.document is None else deciding(contender.document)
    earned = Discounted(about.discount_per_day)
    evaluate(
        agent, world, about.n_users, first_user(experiment.config.seed, "evaluation"), name=contender.name,
        n_slots=experiment.config.n_slots, epoch_hours=world.calendar.epoch_hours, on_step=earned,
    )  # fmt: skip
    return mean_of(earned.by_user())


def _rows(name: str, found: OfflineEvaluation, truth: Estimate, about: OfflineSettings) -> list[_Row]:
    rows = []
    for each in _names(about):
        if each in found.estimates:
            value = found.estimates[each].interval
            rows.append(_Row(name, each, value.value, value.low, value.high, truth.mean, truth.low, truth.high, None))
        else:
            why = found.refused.get(SEQUENTIAL[each].title) or " ".join(found.diagnosis.refusals)
            rows.append(_refused(name, each, truth, why))
    return rows


def _refused(name: str, estimator: str, truth: Estimate | None, why: str) -> _Row:
    if truth is None:
        return _Row(name, estimator, None, None, None, None, None, None, why)
    return _Row(name, estimator, None, None, None, truth.mean, truth.low, truth.high, why)


def _names(about: OfflineSettings) -> tuple[str, ...]:
    return tuple(SEQUENTIAL) if about.estimators is None else about.estimators
