"""The study of one scenario: policies made, then all of them on users that none has met; it goes on where it stopped.

A folder holds what is done: `policies/` the tuned baselines, a folder a training, `evaluations/` one file an agent.
Baselines are tuned, send costs searched and trainings judged on users of their own, so that the evaluation flatters
nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.agent import Agent, Floats
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.tuning import tune
from agents.problem import vocabulary_problem
from experiments.agent_study.contenders import SILENCE, Contender, contenders
from experiments.config import dump_scenario
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.tuned_baselines import Effort, tuned_baselines
from experiments.results import whole_file, write_json, write_text
from experiments.training.beginning import beginning
from experiments.training.config import UsersEnvironment
from experiments.training.course import Course, Watcher
from experiments.training.environments import shown_lenses
from experiments.training.folder import TrainingFolder
from experiments.training.source import load_training
from experiments.training.train import build, run
from policies.codec import read, write
from simulator.config import Scenario
from simulator.records import NANO

ABOUT = "about.json"
TUNING_SEED, SEARCH_SEED, EVALUATION_SEED = 10_000_000, 20_000_000, 50_000_000


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        n_users: that the evaluation meets.
        effort: of tuning the baselines; the search for a send cost uses its users, too.
        share_of_steps: of what the training configs say.
        most_side_by_side: users in a training; None: as the configs say.
    """

    n_users: int = 4096
    effort: Effort = field(default_factory=lambda: Effort(first_users=128, most_users=1024))
    share_of_steps: float = 1.0
    most_side_by_side: int | None = None


QUICK_DAYS = 28
QUICK = Size(
    256,
    Effort(first_users=64, most_users=128, pilot_users=512, pilot_days=14, volume_users=512, volume_days=28),
    0.02,
    64,  # a bandit's window is 72 steps: fewer users, so that some of it passes
)


def study(
    scenario: Scenario,
    folder: Path,
    who: tuple[Contender, ...],
    size: Size,
    tell: Callable[[str], None],
    *,
    n_threads: int | None = None,
) -> dict[str, Evaluation]:
    """Return the evaluations by name, silence first; what the folder holds already is not done again.

    Args:
        scenario: any; trainings are those of the configs, in this scenario instead of theirs.
        folder: of this scenario alone, and of one size.
        who: takes part.
        tell: called with a line at each stage.
        n_threads: of the simulator; None: as many as there are.

    Raises:
        ValueError: the folder holds a study of another scenario or size.
    """
    _require_own(folder, scenario, size)
    found: dict[str, Evaluation] = {}
    for contender in (Contender(SILENCE, "baseline"), *who):
        path = folder / "evaluations" / f"{_slug(contender.name)}.npz"
        if not path.exists():
            tell(f"{scenario.name}: {contender.name}")
            agent, how = _agent(scenario, folder, contender, size, tell, n_threads)
            evaluation = evaluate(
                agent, scenario, size.n_users, EVALUATION_SEED, name=contender.name, n_threads=n_threads, **how
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
    n_threads: int | None,
) -> tuple[Agent | None, dict[str, Any]]:
    """Return an agent that is ready, None for silence, and how it is to be asked: arguments of `evaluate`."""
    if contender.name == SILENCE:
        return None, {}
    if contender.role == "baseline":
        return _baseline(scenario, folder, contender.name, size, n_threads), {}
    agent, how = _trained(scenario, folder, contender, size, tell)
    if contender.costs_eur:
        agent = _charged(agent, how, scenario, folder, contender, size, n_threads)
    return agent, how


def _baseline(scenario: Scenario, folder: Path, kind: str, size: Size, n_threads: int | None) -> Agent:
    path, is_random = folder / "policies" / f"{kind}.json", kind == "random"
    if not path.exists():
        [tuned] = tuned_baselines(scenario, TUNING_SEED, kinds=[kind], effort=size.effort, n_threads=n_threads).values()
        write_text(path.with_suffix(".md"), tuned.tuning.to_markdown())
        write_text(path, write(tuned.agent.to_policy(kind)))
    document = read(path.read_text(encoding="utf-8"), str(path))
    return DocumentAgent(document, vocabulary_problem(document.n_slots), is_chance_the_policy=is_random)


def _trained(
    scenario: Scenario, folder: Path, contender: Contender, size: Size, tell: Callable[[str], None]
) -> tuple[Agent, dict[str, Any]]:
    """Return what an agent had learned at the end of its training, which is begun, or taken up again, where needed.

    Where it begins with another's policy, that one is trained first, whether it takes part or not. It is asked as often
    as while it learned, and draws if its config says so. Not at its best evaluation: the best of
    a bandit that learns to do harm is what it was before it learned.
    """
    plan = load_training(contender.training)
    about, schedule = plan.config.environment, plan.config.training
    assert isinstance(about, UsersEnvironment), "a study is of users"
    most_spread = scenario.calendar.horizon_days * 24 - 24
    changes: dict[str, object] = {"environment.spread_hours": min(about.spread_hours, most_spread)}
    if size.most_side_by_side is not None:
        n_steps = max(1, round(schedule.n_steps * size.share_of_steps))
        changes["environment.n_users"] = min(about.n_users, size.most_side_by_side)
        changes |= {"training.n_steps": n_steps, "training.evaluate_every": n_steps}
        changes["training.evaluation.n_users"] = min(schedule.evaluation.n_users, size.n_users)
    # The scenario itself, not its name: it may be a file of the user's, or a preset with something changed.
    plan = replace(load_training(contender.training, changes), scenario=scenario)
    if contender.begins_with:
        [first] = contenders((contender.begins_with,))
        _trained(scenario, folder, first, size, tell)
        plan = replace(plan, begins_with=beginning(folder / first.training))
    built = build(plan)
    where = TrainingFolder(folder / contender.training, plan)
    with where.held():
        if not where.is_finished:
            watched = _told(f"{scenario.name}: {contender.name}", tell)
            run(built, where, watched, lambda: False, is_resuming=where.is_begun)
        where.resume(built.course, built.problem)
    agent = built.course.trainer.agent
    is_drawn = schedule.evaluation.acts == "drawn"
    return agent, {"lenses": shown_lenses(plan), "epoch_hours": about.epoch_hours, "is_exploring": is_drawn}


def _charged(
    agent: Any,
    how: Mapping[str, Any],
    scenario: Scenario,
    folder: Path,
    contender: Contender,
    size: Size,
    n_threads: int | None,
) -> Agent:
    """Return a bandit at the cost of a send under which whole lives are worth most."""

    def returns_of(cost: float, first: int, n: int) -> Floats:
        evaluation = evaluate(agent.with_cost(cost), scenario, n, SEARCH_SEED + first, n_threads=n_threads, **how)
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
        yield Told()

    return watched


def _require_own(folder: Path, scenario: Scenario, size: Size) -> None:
    """Write what a folder is a study of; raise a ValueError if it is one of something else."""
    path, about = folder / ABOUT, {"size": asdict(size), "scenario": dump_scenario(scenario)}
    if not path.exists():
        write_json(path, about)
        return
    there = json.loads(path.read_text(encoding="utf-8"))
    for what, own in about.items():
        if there.get(what) != own:
            raise ValueError(f"{folder}: a study of another {what} is there; name another folder with --out.")


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
