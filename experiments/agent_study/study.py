"""The study of one scenario: policies made, then all of them on users that none has met; it goes on where it stopped.

A folder holds what is done: `policies/` the tuned baselines, a folder a training, `evaluations/` one file an agent.
Baselines are tuned, send costs searched and trainings judged on users of their own, so that the evaluation flatters
nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.agent import Agent, Floats
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.tuning import tune
from agents.problem import vocabulary_problem
from experiments.agent_study.contenders import SILENCE, Contender
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.tuned_baselines import Effort, tuned_baselines
from experiments.results import whole_file, write_text
from experiments.training.course import Course, Watcher
from experiments.training.environments import shown_lenses
from experiments.training.folder import TrainingFolder
from experiments.training.source import load_training
from experiments.training.train import build, run
from policies.codec import read, write
from simulator.config import Scenario
from simulator.records import NANO

TUNING_SEED, SEARCH_SEED, EVALUATION_SEED = 10_000_000, 20_000_000, 50_000_000


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        n_users: that the evaluation meets.
        effort: of tuning the baselines; the search for a send cost uses its users, too.
        share_of_steps: of what the training configs say.
    """

    n_users: int = 4096
    effort: Effort = field(default_factory=lambda: Effort(first_users=128, most_users=1024))
    share_of_steps: float = 1.0


QUICK_DAYS = 28
QUICK = Size(
    256,
    Effort(first_users=64, most_users=128, pilot_users=512, pilot_days=14, volume_users=512, volume_days=28),
    0.02,
)


def study(
    scenario: Scenario,
    folder: Path,
    who: tuple[Contender, ...],
    size: Size,
    tell: Callable[[str], None],
    *,
    settings: Mapping[str, object] | None = None,
    n_threads: int | None = None,
) -> dict[str, Evaluation]:
    """Return the evaluations by name, silence first; what the folder holds already is not done again.

    Args:
        scenario: a preset, with `settings` written over it.
        folder: of this scenario alone, and of one size: what lies there is taken as it is.
        who: takes part.
        tell: called with a line at each stage.
        settings: values by dotted path by which the scenario differs from the preset of its name.
        n_threads: of the simulator; None: as many as there are.
    """
    found: dict[str, Evaluation] = {}
    for contender in (Contender(SILENCE, "baseline"), *who):
        path = folder / "evaluations" / f"{_slug(contender.name)}.npz"
        if not path.exists():
            tell(f"{scenario.name}: {contender.name}")
            agent, lenses = _agent(scenario, folder, contender, size, tell, settings or {}, n_threads)
            evaluation = evaluate(
                agent, scenario, size.n_users, EVALUATION_SEED, name=contender.name, lenses=lenses, n_threads=n_threads
            )
            _keep(path, evaluation)
        found[contender.name] = _kept(path, contender.name, scenario)
        if contender.name != SILENCE:
            gain = (found[contender.name].expected_nano - found[SILENCE].expected_nano).mean() / NANO
            tell(f"{scenario.name}: {contender.name}: {gain:+.4f} EUR a user over silence")
    return found


def _agent(
    scenario: Scenario,
    folder: Path,
    contender: Contender,
    size: Size,
    tell: Callable[[str], None],
    settings: Mapping[str, object],
    n_threads: int | None,
) -> tuple[Agent | None, tuple[Any, ...]]:
    """Return an agent that is ready, None for silence, and the lenses that it looks through."""
    if contender.name == SILENCE:
        return None, ()
    if contender.role == "baseline":
        return _baseline(scenario, folder, contender.name, size, n_threads), ()
    agent, lenses = _trained(scenario, folder, contender, size, tell, settings)
    if contender.costs_eur:
        agent = _charged(agent, scenario, folder, contender, size, n_threads)
    return agent, lenses


def _baseline(scenario: Scenario, folder: Path, kind: str, size: Size, n_threads: int | None) -> Agent:
    path, is_random = folder / "policies" / f"{kind}.json", kind == "random"
    if not path.exists():
        [tuned] = tuned_baselines(scenario, TUNING_SEED, kinds=[kind], effort=size.effort, n_threads=n_threads).values()
        write_text(path.with_suffix(".md"), tuned.tuning.to_markdown())
        write_text(path, write(tuned.agent.to_policy(kind)))
    document = read(path.read_text(encoding="utf-8"), str(path))
    return DocumentAgent(document, vocabulary_problem(document.n_slots), is_chance_the_policy=is_random)


def _trained(
    scenario: Scenario,
    folder: Path,
    contender: Contender,
    size: Size,
    tell: Callable[[str], None],
    settings: Mapping[str, object],
) -> tuple[Agent, tuple[Any, ...]]:
    """Return what an agent had learned at the end of its training, which is begun, or taken up again, where needed.

    Not at its best evaluation: the best of a bandit that learns to do harm is what it was before it learned.
    """
    plan = load_training(contender.training)
    steps = plan.config.training.n_steps
    changes: dict[str, object] = {"environment.scenario": scenario.name, "environment.settings": dict(settings)}
    spread = getattr(plan.config.environment, "spread_hours", 0)
    changes["environment.spread_hours"] = min(spread, scenario.calendar.horizon_days * 24 - 24)
    if size.share_of_steps != 1.0:
        n_steps = max(1, round(steps * size.share_of_steps))
        changes |= {"training.n_steps": n_steps, "training.evaluate_every": n_steps}
        changes |= {"training.evaluation.n_users": min(plan.config.training.evaluation.n_users, size.n_users)}
    plan = load_training(contender.training, changes)
    built = build(plan)
    where = TrainingFolder(folder / contender.training, plan)
    with where.held():
        if not where.is_finished:
            watched = _told(f"{scenario.name}: {contender.name}", tell)
            run(built, where, watched, lambda: False, is_resuming=where.is_begun)
        where.resume(built.course, built.problem)
    agent = built.course.trainer.agent
    return agent, shown_lenses(plan)


def _charged(
    agent: Any, scenario: Scenario, folder: Path, contender: Contender, size: Size, n_threads: int | None
) -> Agent:
    """Return a bandit at the cost of a send under which whole lives are worth most."""

    def returns_of(cost: float, first: int, n: int) -> Floats:
        evaluation = evaluate(agent.with_cost(cost), scenario, n, SEARCH_SEED + first, n_threads=n_threads)
        return np.asarray(evaluation.expected_nano / NANO, np.float64)

    effort = size.effort
    tuning = tune(contender.costs_eur, returns_of, first_users=effort.first_users, most_users=effort.most_users)
    write_text(folder / "policies" / f"{_slug(contender.name)}.md", tuning.to_markdown())
    found: Agent = agent.with_cost(tuning.best)
    return found


def _told(name: str, tell: Callable[[str], None]) -> Any:
    """Return what watches a training and tells of each evaluation."""

    class Told(Watcher):
        def on_trial(self, course: Course, trial: Any, verdict: Any) -> None:
            value = trial.figures["over_silence_eur"]
            tell(f"{name}: {course.trainer.n_steps:,} of {course.schedule.n_steps:,} steps, {value:+.4f} EUR a user")

    @contextmanager
    def watched(course: Course) -> Any:
        with nullcontext():
            yield Told()

    return watched


def _keep(path: Path, evaluation: Evaluation) -> None:
    arrays: Mapping[str, Any] = {name: getattr(evaluation, name) for name in ARRAYS}
    about = {"seed": np.asarray(evaluation.seed), "n_days": np.asarray(evaluation.n_days)}
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays, **about)  # type: ignore[arg-type]


def _kept(path: Path, name: str, scenario: Scenario) -> Evaluation:
    with np.load(path, allow_pickle=False) as file:
        arrays = {each: file[each] for each in ARRAYS}
        return Evaluation(name, scenario.name, int(file["seed"]), int(file["n_days"]), **arrays)


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-").lower()
