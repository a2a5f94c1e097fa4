"""Time to a value: how long our PPO and SB3's learn until their greedy policies are worth a goal.

    python -m tests.benchmarks.time_to_value --seeds 5 --minutes 20 --out results/time-to-value
    python -m tests.benchmarks.time_to_value --out results/time-to-value --report

Each run of a learner with a seed writes one file when it ends, and a file that is there is not measured again; so what
was interrupted is taken up by the same command. Two processes may share the work, one with `--only ours --only cap`,
the other with `--only theirs`; each uses one core. `--only tuned` adds SB3 with the shipped settings, for information.
`--quick` shows that everything is in order; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.evaluation.tuned_baselines import Effort, tuned_baselines
from experiments.results import write_json, write_text
from experiments.training.source import Plan, load_training
from experiments.training.trial import Trial, UsersJudge
from simulator.compiled import use_threads
from tests.benchmarks.__main__ import machine
from tests.benchmarks.arrivals import Look, Run, duration, report
from tests.benchmarks.contenders import CONTENDERS, Contender

CONFIG = "users-maskable-ppo"
CAP, CAP_KIND = "cap", "frequency_cap"
# No user is met twice: a learner's first users are seed to seed + 1,023, and those held out begin at 1,000,000.
SEED_STRIDE, TUNING_SEED = 10_000, 500_000
EVERY_SECONDS = {"ours": 10.0, "theirs": 30.0, "tuned": 30.0}
DEFAULT_UNITS = (CAP, "ours", "theirs")
QUICK_EFFORT = Effort(first_users=32, most_users=128)
QUICK_SEEDS, QUICK_MINUTES, QUICK_USERS = 2, 1.0, 256
WARM_UP = {"environment.n_users": 8, "agent.n_steps": 64, "agent.batch_size": 64, "seed": 900_000}


@dataclass(frozen=True)
class Setting:
    """What all runs must have in common to be compared; see `of_agent` for what is a learner's own.

    Attributes:
        minutes: of learning, at most.
        n_users: held out, on whom policies are evaluated.
        is_quick: whether the cap was tuned on few users.
    """

    minutes: float
    n_users: int
    is_quick: bool

    def to_data(self) -> dict[str, Any]:
        """Return plain data; a hash stands for the environment, its scenario and how policies are evaluated."""
        whole = self.plan(0).to_data()
        shared = json.dumps({name: whole[name] for name in ("environment", "training")}, sort_keys=True)
        told = hashlib.sha256(shared.encode()).hexdigest()[:12]
        return {"config": f"{CONFIG} {told}", **asdict(self), "every_seconds": EVERY_SECONDS}

    def of_agent(self, what: str) -> dict[str, Any]:
        """Return what a learner takes from the config's agent: all of it, or with SB3's defaults what is the task's."""
        whole: dict[str, Any] = self.plan(0).to_data()["agent"]
        shared = ("discount_per_day", "hidden_sizes", "reward_scale")
        return {name: whole[name] for name in shared} if what == "theirs" else whole

    def plan(self, seed: int, **settings: Any) -> Plan:
        """Return the shipped training with a seed of its own, evaluated on this many users."""
        return load_training(CONFIG, {"seed": seed, "training.evaluation.n_users": self.n_users, **settings})


@dataclass(frozen=True)
class Unit:
    """One piece of work, and its file: the tuned cap, or a learner with a seed.

    Attributes:
        what: `cap`, or a learner's name.
        seed: of a learner; of the cap 0.
    """

    what: str
    seed: int = 0

    @property
    def file(self) -> str:
        return f"{self.what}.json" if self.what == CAP else f"{self.what}-{self.seed}.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.time_to_value", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=_at_least_one, default=5, metavar="N", help="seeds of each learner")
    parser.add_argument("--minutes", type=float, default=20.0, help="of learning, at most, a run")
    parser.add_argument("--out", type=Path, default=Path("results/time-to-value"), help="folder of the runs' files")
    only = "this alone; may be repeated. Default: cap, ours, theirs"
    parser.add_argument("--only", action="append", choices=(CAP, *CONTENDERS), help=only)
    quick = f"{QUICK_SEEDS} seeds, {QUICK_MINUTES:g} minute each, evaluated on {QUICK_USERS} users"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--report", action="store_true", help="measure nothing; print the table of what is there")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error(f"--minutes: expected more than 0, got {options.minutes:g}")
    if options.report:
        return _print_report(options.out)

    n_seeds = QUICK_SEEDS if options.quick else options.seeds
    minutes = QUICK_MINUTES if options.quick else options.minutes
    n_users = QUICK_USERS if options.quick else load_training(CONFIG).config.training.evaluation.n_users
    setting = Setting(minutes, n_users, options.quick)
    units = [Unit(CAP)] if CAP in (options.only or DEFAULT_UNITS) else []
    # Learners take turns, so that a machine whose speed changes by the hour changes it for all.
    learners = [what for what in options.only or DEFAULT_UNITS if what != CAP]
    units += [Unit(what, SEED_STRIDE * (k + 1)) for k in range(n_seeds) for what in dict.fromkeys(learners)]
    # As it will be read back.
    told = {unit: json.loads(json.dumps(_told(unit, setting))) for unit in units}
    missing = [unit for unit in units if not _is_measured(options.out / unit.file, told[unit])]
    _tell(f"{len(units) - len(missing)} of {len(units)} are there already")
    torch.set_num_threads(1)
    use_threads(1)  # before any environment is made
    for left, unit in zip(range(len(missing) - 1, -1, -1), missing, strict=True):
        found = measured_cap(setting) if unit.what == CAP else measured_run(unit, setting, left)
        write_json(options.out / unit.file, {**told[unit], **found})
    return _print_report(options.out) if options.only is None else 0


def _told(unit: Unit, setting: Setting) -> dict[str, Any]:
    """Return in what setting a unit is measured."""
    return {"setting": setting.to_data(), **({} if unit.what == CAP else {"agent": setting.of_agent(unit.what)})}


def measured_cap(setting: Setting) -> dict[str, Any]:
    """Return the frequency cap tuned on users of its own, and its value over silence on those held out."""
    # The judge evaluates it as it does the learners, but as the cap was tuned: it reads the features as they stand, and
    # is asked every hour, whatever the interval at which the learners decide.
    plan = setting.plan(TUNING_SEED, **{"environment.lenses": [], "environment.epoch_hours": None})
    assert plan.scenario is not None
    since, told = time.perf_counter(), [0.0]

    def on_trial(kind: str, done: int, of: int) -> None:
        if time.perf_counter() - told[0] >= 30.0 or done == of:
            told[0] = time.perf_counter()
            _tell(f"{kind}: {done} of {of} candidates of this round, {duration(told[0] - since)} so far")

    effort = QUICK_EFFORT if setting.is_quick else None
    cap = tuned_baselines(plan.scenario, TUNING_SEED, kinds=[CAP_KIND], effort=effort, on_trial=on_trial)[CAP_KIND]
    value, half_width = over_silence(UsersJudge(plan).try_out(cap.agent))
    _tell(f"{CAP_KIND}: {value:+.4f} ± {half_width:.4f} EUR per user over silence")
    return {"value_eur": value, "half_width_eur": half_width, "settings": str(cap.tuning.best)}


def measured_run(unit: Unit, setting: Setting, n_left: int) -> dict[str, Any]:
    """Return one run as data: its looks, and how busy the machine was.

    Args:
        unit: a learner with a seed.
        setting: how long, and on how many users.
        n_left: runs to come, for the time left.
    """
    # Compilation, and what torch loads at its first update, happen to a learner that is thrown away.
    make = CONTENDERS[unit.what]
    plan = setting.plan(unit.seed)
    make(setting.plan(**WARM_UP)).learn()
    contender, judge = make(plan), UsersJudge(plan)
    before = machine()
    run = followed(contender, judge, unit, setting, plan.config.training.n_steps, n_left)
    return {
        "learner": unit.what,
        "seed": unit.seed,
        "cpu_seconds": run.cpu_seconds,
        "looks": [look._asdict() for look in run.looks],
        "machine": before,
        "load_average_after": machine()["load_average"],
    }


def followed(
    contender: Contender, judge: UsersJudge, unit: Unit, setting: Setting, most_steps: int, n_left: int
) -> Run:
    """Let a learner learn until its time is up, or ours has made all its steps; look at it on the way.

    Only learning is on the clock. A look comes after the first update at or past each multiple of the learner's
    interval, since between updates a policy does not change; and at the end.
    """
    every, limit = EVERY_SECONDS[unit.what], 60 * setting.minutes
    seconds = cpu_seconds = 0.0
    looks: list[Look] = []
    began = time.perf_counter()

    def look() -> None:
        looks.append(Look(seconds, contender.n_steps, *over_silence(judge.try_out(contender.agent))))
        wall = time.perf_counter() - began
        # The shipped training ends after so many steps; the others go on until the time is up.
        share = max(seconds / limit, contender.n_steps / most_steps if unit.what == "ours" else 0.0)
        _tell(_progress(unit, looks, limit, wall, share, n_left))

    look()
    while not _is_over(unit, seconds, limit, contender.n_steps, most_steps):
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        contender.learn()
        passed = time.perf_counter() - wall_before
        cpu_seconds += time.process_time() - cpu_before
        is_due = (seconds + passed) // every > seconds // every
        seconds += passed
        if is_due or _is_over(unit, seconds, limit, contender.n_steps, most_steps):
            look()
    return Run(unit.what, unit.seed, tuple(looks), cpu_seconds)


def over_silence(trial: Trial) -> tuple[float, float]:
    """Return a trial's value over silence and the half width of its 95 % interval, EUR per user."""
    value = trial.figures["over_silence_eur"]
    return value, trial.figures["over_silence_high"] - value


def _is_over(unit: Unit, seconds: float, limit: float, n_steps: int, most_steps: int) -> bool:
    return seconds >= limit or (unit.what == "ours" and n_steps >= most_steps)


def _progress(unit: Unit, looks: Sequence[Look], limit: float, wall: float, share: float, n_left: int) -> str:
    now = looks[-1]
    best = max(look.value_eur for look in looks)
    line = (
        f"{unit.what}, seed {unit.seed}: learned {now.seconds:.0f} of {limit:.0f} s, {now.n_steps:,} decisions, "
        f"{now.value_eur:+.4f} ± {now.half_width_eur:.4f} EUR over silence, best {best:+.4f}"
    )
    if share <= 0.0:
        return line
    left = wall * max(1 / share - 1, 0.0)
    of_all = f"; all {n_left} after it {duration(n_left * wall / min(share, 1.0))} if alike" if n_left else ""
    return f"{line}; this run {duration(left)} left{of_all}"


def _is_measured(path: Path, told: dict[str, Any]) -> bool:
    """Return whether a file is there.

    Raises:
        SystemExit: it was measured in another setting, or with another agent.
    """
    if not path.exists():
        return False
    whole = json.loads(path.read_text(encoding="utf-8"))
    for part, expected in told.items():
        if (found := whole.get(part)) != expected:
            sys.exit(f"{path}: {part}: measured with {found}; expected {expected}: name another folder with --out")
    return True


def _print_report(folder: Path) -> int:
    """Print the table of what a folder holds, and write it there; 1 where something is missing."""
    if not (folder / f"{CAP}.json").exists():
        _tell(f"{folder}: no {CAP}.json yet; measure it with --only {CAP}")
        return 1
    cap = json.loads((folder / f"{CAP}.json").read_text(encoding="utf-8"))
    runs = []
    for learner in CONTENDERS:
        paths = sorted(folder.glob(f"{learner}-*.json"), key=lambda path: int(path.stem.rpartition("-")[2]))
        for path in paths:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["setting"] != cap["setting"]:
                sys.exit(f"{path}: measured with {told['setting']}; expected {cap['setting']}, as of {CAP}.json")
            looks = tuple(Look(**look) for look in told["looks"])
            runs.append(Run(told["learner"], told["seed"], looks, told["cpu_seconds"]))
    try:
        text = report(cap, runs, cap["setting"])
    except ValueError as error:
        _tell(f"{folder}: {error}")
        return 1
    write_text(folder / "report.md", text + "\n")
    print(text)
    return 0


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
