"""Which sequential estimator to believe for a ledger: its twin in the simulator, where every policy's value is known.

The twin has the ledger's scenario, its number of users, their time and its logging policy; only the luck is another.
On many such logs each estimator is run as on the real one, and held against what the candidates earn there themselves,
on the same users. It is as true as the scenario is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from experiments.config import load_scenario
from experiments.offline.estimators.sequential_catalogue import SEQUENTIAL, sequential_estimator
from experiments.offline.logs.episodes import ledger_trajectories
from experiments.offline.logs.logged import Floats
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.report_card import FULL, ReportCard, choice, mark
from experiments.offline.sequential_evaluation import evaluate_trajectories
from experiments.recording.logging_policies import LoggingPolicy, of_function, uniform_over_eligible, uniform_policy
from experiments.recording.record import journal_rows, ledger_header, record
from policies.batch.policy import BatchPolicy
from policies.codec import read
from policies.document import Document
from policies.ledger import LedgerWriter
from policies.vocabulary import action_names
from simulator.config import Scenario, did_you_mean
from simulator.environments.vector import NotifyVectorEnv

SCENARIO, POLICIES = "scenario.yaml", "policies"
SEED_STRIDE = 1_000_003  # between the users of one log and the next


@dataclass(frozen=True, eq=False)
class EpisodeTwin:
    """A ledger's world, to draw other ledgers from.

    Attributes:
        scenario: with the ledger's horizon.
        n_users: of a log; each has one episode.
        logging: the policy that made the ledger.
        discount_per_day: of rewards.
    """

    scenario: Scenario
    n_users: int
    logging: LoggingPolicy
    discount_per_day: float

    @property
    def n_slots(self) -> int:
        """C."""
        return (self.logging.n_actions - 1) // 2

    def draw(self, k: int, policy: LoggingPolicy | None = None) -> LoggedTrajectories:
        """Return the k-th log, of the logging policy or of another on the same users."""
        env = NotifyVectorEnv(
            self.n_users, self.scenario, n_slots=self.n_slots, epoch_hours=self.scenario.calendar.epoch_hours,
            autoresets=False, journal_rows=journal_rows(self.n_users),
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            with LedgerWriter(Path(folder), ledger_header(env, "a twin")) as writer:
                record(env, policy or self.logging, writer, seed=self.scenario.seed + SEED_STRIDE * (k + 1))
            return ledger_trajectories(Path(folder), self.discount_per_day)[0]


def twin_of_ledger(folder: Path, n_users: int, discount_per_day: float = 1.0) -> EpisodeTwin:
    """Return a ledger's twin.

    Args:
        folder: of a ledger that `kairos record` wrote, with its scenario and one policy.
        n_users: of a log.
        discount_per_day: in (0, 1].

    Raises:
        ValueError: there is no scenario beside it, or not one policy.
    """
    documents = sorted((folder / POLICIES).glob("*.json"))
    if not (folder / SCENARIO).is_file() or len(documents) != 1:
        there = f"{'a' if (folder / SCENARIO).is_file() else 'no'} scenario and {len(documents)} policies"
        raise ValueError(
            f"{folder}: expected a scenario ({SCENARIO}) and one policy beside the decisions, as `kairos record` "
            f"writes them, got {there}: episodes have a twin in the simulator alone"
        )
    document = read(documents[0].read_text(encoding="utf-8"), str(documents[0]))
    return EpisodeTwin(load_scenario(folder / SCENARIO), n_users, deciding(document), discount_per_day)


def deciding(document: Document) -> LoggingPolicy:
    """Return a document's policy, for many users at once."""
    return of_function(document.name, 1 + 2 * document.n_slots, BatchPolicy(document).probabilities)


def named_policy(name: str, twin: EpisodeTwin) -> LoggingPolicy:
    """Return a policy that can decide in the twin.

    Args:
        name: `uniform`, `logging`, `always:ACTION`, or the path of a policy document.
        twin: of the ledger.

    Raises:
        ValueError: none of these, or a document for another number of candidates.
    """
    if name == "uniform":
        return uniform_policy(twin.n_slots)
    if name == "logging":
        return twin.logging
    if name.startswith("always:"):
        actions = action_names(twin.n_slots)
        action = name.removeprefix("always:")
        if action not in actions:
            raise ValueError(f"action {action!r}: expected one of {', '.join(actions)}.{did_you_mean(action, actions)}")
        return of_function(name, len(actions), partial(_always, actions.index(action)))
    if name.endswith(".json"):
        document = read(Path(name).read_text(encoding="utf-8"), name)
        if document.n_slots != twin.n_slots:
            raise ValueError(f"{name}: expected {twin.n_slots} slots, as of the ledger, got {document.n_slots}")
        return deciding(document)
    raise ValueError(f"policy {name!r}: expected uniform, logging, always:ACTION or a policy document: it decides anew")


def _always(action: int, observations: Any, masks: Any) -> Floats:
    """Return certainty of an action where it is eligible, and uniform probabilities where it is not."""
    found = uniform_over_eligible(observations, masks)
    found[np.asarray(masks)[:, action] != 0] = np.eye(masks.shape[1])[action]
    return found


def episode_card(
    twin: EpisodeTwin,
    candidates: Mapping[str, LoggingPolicy],
    *,
    estimators: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    n_logs: int = 20,
    seed: int = 0,
    on_log: Callable[[int, int], None] | None = None,
) -> ReportCard:
    """Return how each sequential estimator does in a ledger's twin.

    Args:
        twin: see `twin_of_ledger`.
        candidates: policies by name.
        estimators, states: as of `evaluate_trajectories`.
        n_logs: at least 2.
        seed: of folds.
        on_log: called after each log with how many are done, of how many.

    Raises:
        ValueError: no candidate, fewer than two logs, or an unknown estimator.
    """
    if not candidates:
        raise ValueError("episode_card: expected at least one candidate policy, got none")
    if n_logs < 2:
        raise ValueError(f"episode_card: n_logs: expected at least 2, got {n_logs}")
    rows = {name: sequential_estimator(name) for name in (SEQUENTIAL if estimators is None else estimators)}
    found = {name: np.full((3, n_logs, len(candidates)), np.nan) for name in rows}
    earned, logged = np.empty((n_logs, len(candidates))), np.empty(n_logs)
    for k in range(n_logs):
        log = twin.draw(k)
        logged[k] = log.returns.mean()
        observations = log.observations.astype(np.float32)
        for place, policy in enumerate(candidates.values()):
            earned[k, place] = twin.draw(k, policy).returns.mean()
            target = np.asarray(policy.probabilities(observations, log.eligibility), np.float64)
            told = evaluate_trajectories(log, target, estimators=tuple(rows), states=states, confidence=FULL, seed=seed)
            for name, each in told.estimates.items():
                found[name][:, k, place] = each.interval.value, each.interval.low, each.interval.high
        if on_log is not None:
            on_log(k + 1, n_logs)
    truth = earned.mean(axis=0)
    marks = tuple(
        mark(name, row.title, policy, float(truth[place]), *found[name][:, :, place])
        for place, policy in enumerate(candidates)
        for name, row in rows.items()
    )
    value = float(logged.mean())
    choices = tuple(choice(name, found[name][0], truth, value) for name in rows)
    return ReportCard(n_logs, twin.n_users, value, marks, choices, unit="episode")
