"""From a contender's entry to its policy: tuned, trained, or as it is given; what is there is not done again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.agent import Agent
from agents.baselines.document_agent import DocumentAgent
from agents.kinds import is_bandit, kind_of
from agents.problem import vocabulary_problem
from experiments.evaluation.tuned_baselines import Effort, tuned_baselines
from experiments.results import write_text
from experiments.run.config import Contender, GivenDocument, Silence, TrainedAgent, TunedBaseline, Tuning
from experiments.run.faults import Interrupted
from experiments.run.folder import POLICIES, TRAINING, TUNING
from experiments.run.luck import first_user
from experiments.run.progress import Progress
from experiments.run.source import Experiment
from experiments.training.course import Course, Watcher
from experiments.training.environments import shown_lenses, user_options
from experiments.training.figures import Figures
from experiments.training.folder import POLICY, TrainingFolder
from experiments.training.progress import trial_words
from experiments.training.tensorboard import EventWriter
from experiments.training.train import build, run
from policies.codec import read, write
from policies.document import Document

ORACLE = "oracle"


@dataclass(frozen=True, eq=False)
class Ready:
    """A contender that can be asked.

    Attributes:
        name: in tables.
        kind: silence, baseline, bandit, reinforcement, document, or oracle: a learner that sees the hidden state.
        agent: None: silence.
        how: it is asked: arguments of `evaluate`.
        document: its policy; None where a document has no words for it, and of silence.
        no_document: why there is none.
        curve: of its training; None without.
    """

    name: str
    kind: str
    agent: Agent | None
    how: dict[str, Any] = field(default_factory=dict)
    document: Document | None = None
    no_document: str = ""
    curve: Figures | None = None


def kind_in_tables(contender: Contender) -> str:
    """Return what tables call a contender's kind."""
    if isinstance(contender, TrainedAgent):
        if contender.is_oracle:
            return ORACLE
        return "bandit" if is_bandit(kind_of(contender.agent)) else "reinforcement"
    return contender.kind


def ready(experiment: Experiment, folder: Path, progress: Progress) -> list[Ready]:
    """Return all contenders, in the config's order, each with its policy in the folder."""
    _tune(experiment, folder, progress)
    found = []
    for contender in experiment.config.contenders:
        match contender:
            case Silence():
                found.append(Ready(contender.name, "silence", None, {}, None, "silence has no document"))
            case TrainedAgent():
                found.append(_trained(experiment, contender, folder, progress))
            case TunedBaseline() | GivenDocument():
                path = folder / POLICIES / f"{contender.name}.json"
                document = read(path.read_text("utf-8"), str(path))
                found.append(Ready(contender.name, contender.kind, deciding(document), {}, document))
    return found


def deciding(document: Document) -> DocumentAgent:
    """Return what decides as a document is written, its chance included."""
    return DocumentAgent(document, vocabulary_problem(document.n_slots), is_chance_the_policy=True)


def _tune(experiment: Experiment, folder: Path, progress: Progress) -> None:
    """Write the documents of baselines that are not there yet; those that learn from a pilot share it."""
    config = experiment.config
    wanted = [
        contender
        for contender in config.contenders
        if isinstance(contender, TunedBaseline) and not (folder / POLICIES / f"{contender.name}.json").exists()
    ]
    if not any(isinstance(contender, TunedBaseline) for contender in config.contenders):
        return
    progress.stage(f"tuning {', '.join(each.name for each in wanted)}" if wanted else "tuning: done before")
    if not wanted:
        return
    kinds = tuple(dict.fromkeys(contender.baseline for contender in wanted))
    far = _SearchProgress(kinds, config.tuning)

    def on_trial(kind: str, done: int, of: int) -> None:
        progress.far(far.share(kind, done, of), 1.0, kind)

    tuned = tuned_baselines(
        experiment.scenario,
        first_user(config.seed, "tuning"),
        kinds=kinds,
        effort=Effort(**config.tuning.model_dump()),
        n_slots=config.n_slots,
        on_trial=on_trial,
    )
    for contender in wanted:
        found = tuned[contender.baseline]
        write_text(folder / TUNING / f"{contender.name}.md", found.tuning.to_markdown())
        document = found.agent.to_policy(contender.name)
        write_text(folder / POLICIES / f"{contender.name}.json", write(document))


class _SearchProgress:
    """How far searches by successive halving are: a round has half the candidates and twice the users of the last.

    The first round is of all candidates on the first users; each further one costs about half of that.
    """

    def __init__(self, kinds: Sequence[str], tuning: Tuning) -> None:
        self._kinds, self._kind, self._round = tuple(kinds), "", 0
        self._n_rounds = 1 + math.ceil(math.log2(tuning.most_users / tuning.first_users))

    def share(self, kind: str, done: int, of: int) -> float:
        """Return the share of all searches that is done, after a candidate of a round."""
        if kind != self._kind:
            self._kind, self._round = kind, 0
        elif done == 1:
            self._round += 1
        before = 0.0 if self._round == 0 else 1.0 + 0.5 * (self._round - 1)
        of_this = (before + (1.0 if self._round == 0 else 0.5) * done / of) / (1.0 + 0.5 * (self._n_rounds - 1))
        return (self._kinds.index(kind) + min(of_this, 1.0)) / len(self._kinds)


def _trained(experiment: Experiment, contender: TrainedAgent, folder: Path, progress: Progress) -> Ready:
    """Return an agent with the policy of its best evaluation; its training is begun, or taken up, where needed."""
    plan = experiment.plan_of(contender)
    schedule = plan.config.training
    where = TrainingFolder(folder / TRAINING / contender.name, plan)
    built = build(plan)
    progress.stage(f"training {contender.name}{': done before' if where.is_finished else ''}")
    with where.held():
        if where.is_finished:
            where.resume(built.course, built.problem)
            built.course.trainer.agent.restore(built.course.best)
        elif run(built, where, _watched(where, progress), progress.is_interrupted, is_resuming=where.is_begun) is None:
            raise Interrupted
    document, no_document = None, "a document has no words for what it sees"
    if (where.path / POLICY).is_file():
        text = (where.path / POLICY).read_text("utf-8")
        write_text(folder / POLICIES / f"{contender.name}.json", text)
        document, no_document = read(text, str(where.path / POLICY)), ""
    how = {name: value for name, value in user_options(plan).items() if name not in ("n_slots", "horizon_days")}
    how |= {"lenses": shown_lenses(plan), "is_exploring": schedule.evaluation.acts == "drawn"}
    agent = built.course.trainer.agent
    return Ready(contender.name, kind_in_tables(contender), agent, how, document, no_document, built.course.curve)


def _watched(where: TrainingFolder, progress: Progress) -> Any:
    """Return what tells of a training, and writes its figures for TensorBoard."""

    @contextmanager
    def watched(course: Course) -> Iterator[Watcher]:
        events = EventWriter(where.path / "tensorboard", course.trainer.n_steps)
        try:
            yield _Told(progress, events)
        finally:
            events.close()

    return watched


class _Told(Watcher):
    """Tells how far a training is."""

    def __init__(self, progress: Progress, events: EventWriter) -> None:
        self._progress, self._events, self._latest = progress, events, ""

    def on_portion(self, course: Course, steps_per_second: float) -> None:
        """Tell where the course is; the course itself asks whether to stop, and keeps what is done."""
        row = course.portions.row(-1)
        told = {name: value for name, value in row.items() if name != "n_steps" and value == value}
        self._events.write(course.trainer.n_steps, "learning", told, time.time())
        self._progress.tell(course.trainer.n_steps, course.schedule.n_steps, self._latest)

    def on_trial(self, course: Course, trial: Any, verdict: Any) -> None:
        """Keep the latest evaluation to tell."""
        self._events.write(course.trainer.n_steps, "evaluation", dict(trial.figures), time.time())
        self._latest = trial_words(trial.figures)
