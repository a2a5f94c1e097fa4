"""One training from its plan to its results: built, begun or taken up again, followed to the end, written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.agent import Agent
from agents.kinds import build_trainer, horizon_words, kind_of
from agents.problem import Problem, problem_of
from experiments.faults import ConfigError, Fault
from experiments.results import write_json, write_text
from experiments.training.beginning import begin_with
from experiments.training.course import Course, End, Watcher, follow
from experiments.training.environments import training_env
from experiments.training.folder import PICTURE, POLICY, RESULT, TrainingFolder
from experiments.training.source import Plan
from experiments.training.trial import judge_of


@dataclass(frozen=True, eq=False)
class Built:
    """A plan come to life.

    Attributes:
        plan: the plan.
        course: at its beginning.
        problem: what the agent decides about.
    """

    plan: Plan
    course: Course
    problem: Problem


@dataclass(frozen=True)
class Result:
    """What a finished training came to.

    Attributes:
        end: why it ended.
        best: the curve's row of the best evaluation: a choice among many, and as such a little flattering.
        last: the curve's row of the last one.
        n_steps: decisions made.
        seconds: of learning and evaluating.
        horizon: how far ahead the agent looks, as a sentence.
        references: values to see the best against, by name, EUR.
        policy_hash: of the document written; None without one.
        no_policy: why there is no document; "" with one.
    """

    end: End
    best: Mapping[str, float]
    last: Mapping[str, float]
    n_steps: int
    seconds: float
    horizon: str
    references: Mapping[str, float]
    policy_hash: str | None
    no_policy: str

    def to_dict(self, plan: Plan) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "training-result",
            "version": 1,
            "name": plan.config.name,
            "agent": kind_of(plan.config.agent),
            "seed": plan.config.seed,
            "end": self.end,
            "n_steps": self.n_steps,
            "horizon": self.horizon,
            "best": {name: value for name, value in self.best.items() if value == value},
            "last": {name: value for name, value in self.last.items() if value == value},
            "references_eur": dict(self.references),
            "policy_hash": self.policy_hash,
            "no_policy": self.no_policy,
            "seconds": round(self.seconds, 1),
        }


class ShownWatcher(Protocol):
    """A watcher that shows something while a training runs."""

    def __call__(self, course: Course) -> AbstractContextManager[Watcher]:
        """Return what watches a course that is about to go on, for as long as the block lasts."""
        ...


def build(plan: Plan) -> Built:
    """Return a plan's trainer in its environment, with nothing learned yet but what it begins with.

    Raises:
        ConfigError: the environment cannot be made so, or is none that the agent can learn in; or it cannot begin so.
    """
    config = plan.config
    try:
        env = training_env(plan)
        problem = problem_of(env)
        judge = judge_of(plan)
    except (ValueError, TypeError) as error:
        raise ConfigError([Fault(plan.file, None, "environment", str(error))]) from None
    try:
        trainer = build_trainer(config.agent, env, config.seed, config.credit)
    except (ValueError, TypeError) as error:
        raise ConfigError([Fault(plan.file, None, "agent", str(error))]) from None
    if plan.begins_with is not None:
        begin_with(trainer, plan.begins_with)
    return Built(plan, Course(trainer, judge, config.training), problem)


def run(
    built: Built,
    folder: TrainingFolder,
    watched: ShownWatcher,
    is_interrupted: Callable[[], bool],
    *,
    is_resuming: bool,
) -> Result | None:
    """Train, or go on training.

    Args:
        built: with nothing learned.
        folder: where to write; held by the caller.
        watched: who watches.
        is_interrupted: asked between portions.
        is_resuming: go on from the folder's last checkpoint; where there is none yet, from the beginning.

    Returns:
        None if interrupted; then the folder holds a checkpoint.

    Raises:
        ValueError: the checkpoint is of another config or environment.
    """
    course = built.course
    if not is_resuming:
        folder.begin()
    elif folder.resume(course, built.problem):
        folder.write_tables(course)
    with watched(course) as watcher:
        end = follow(course, watcher, lambda: folder.save(course, built.problem), is_interrupted)
    return None if end == "interrupted" else _finish(built, folder, end)


def _finish(built: Built, folder: TrainingFolder, end: End) -> Result:
    """Write the picture, the policy of the best evaluation, and at last the result."""
    course, plan = built.course, built.plan
    agent = course.trainer.agent
    agent.restore(course.best)
    policy_hash, no_policy = _write_policy(
        agent, folder.path / POLICY, plan.config.name, is_drawn=plan.config.training.evaluation.acts == "drawn"
    )
    result = Result(
        end,
        course.curve.row(course.best_row),
        course.curve.row(-1),
        course.trainer.n_steps,
        course.seconds,
        horizon_words(plan.config.agent, plan.config.credit),
        course.judge.references,
        policy_hash,
        no_policy,
    )
    _draw(built, folder.path / PICTURE, result)
    write_json(folder.path / RESULT, result.to_dict(plan))
    return result


def _write_policy(agent: Agent, path: Path, name: str, *, is_drawn: bool) -> tuple[str | None, str]:
    """Write the document of the policy that was judged, and return its hash; or why there is none."""
    from policies.codec import content_hash, write

    try:
        document = agent.to_policy(name, is_exploring=is_drawn)
    except ValueError as error:
        return None, str(error)
    write_text(path, write(document))
    return content_hash(document), ""


def _draw(built: Built, path: Path, result: Result) -> None:
    from experiments.results import whole_file
    from experiments.training.headline import headline, subtitle
    from experiments.training.plots import draw_curve

    course = built.course
    with whole_file(path) as partial:
        draw_curve(
            partial,
            course.curve,
            course.portions,
            headline=headline(built.plan, result.best),
            subtitle=f"{subtitle(built.plan, result.n_steps)}\n{result.horizon}",
            unit=course.judge.unit,
            references=course.judge.references,
            best_row=course.best_row,
        )
