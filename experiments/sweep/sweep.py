"""A sweep, from its settings to its table: the same by any engine, on however many workers, after any stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.sweep.config import Optuna
from experiments.sweep.folder import TABLE, SweepFolder, told_as_writing
from experiments.sweep.local import Ended
from experiments.sweep.plan import Setting, Task, numbered, settings_of
from experiments.sweep.table import value_of, write_table

Engine = Callable[[Sequence[Task]], Iterator[Ended]]  # runs trials, and yields them as they end
Watch = Callable[[int, int, Ended | None], None]  # told how many of how many trials are done, and the last


class Result(NamedTuple):
    """What a sweep came to.

    Attributes:
        settings: that were tried.
        n_done: trials with a result.
        n_new: of them, run now.
        faults: why others have none, by folder.
        given_up: settings that were pruned.
        table: see `table_of`.
    """

    settings: list[Setting]
    n_done: int
    n_new: int
    faults: dict[str, str]
    given_up: int
    table: Any


def run_sweep(
    folder: SweepFolder,
    engine: Engine,
    watch: Watch = lambda done, of, last: None,
    base_now: Callable[[], str] | None = None,
) -> Result:
    """Run what is not done yet, and write the table.

    Args:
        base_now: returns the hash of the experiment, asked when all trials are done.

    Raises:
        SweepError: the folder belongs to something else, or cannot be written; the experiment changed meanwhile.
        ModuleNotFoundError: the search or the engine needs a library that is not installed.
    """
    with folder.held():
        with told_as_writing(folder.path):
            (folder.path / TABLE).unlink(missing_ok=True)  # it would not be that of all trials
        round_ = _Round(folder, engine, watch)
        if isinstance(folder.config.search, Optuna):
            settings = _searched(folder, folder.config.search, round_)
        else:
            settings = settings_of(folder.config)
            folder.write_plan(settings, {})
            round_.n_planned = len(settings) * len(folder.config.seeds)
            round_.run(folder.tasks(settings))
        if base_now is not None:
            folder.require_same_base(base_now())
        with told_as_writing(folder.path):
            round_.close()
            table = write_table(folder.path)
    return Result(settings, round_.n_done, round_.n_new, round_.faults, round_.n_given_up, table)


class _Round:
    """Runs trials that have no result yet, and counts."""

    def __init__(self, folder: SweepFolder, engine: Engine, watch: Watch) -> None:
        self._folder, self._engine, self._watch = folder, engine, watch
        self.n_planned = self.n_done = self.n_new = self.n_given_up = 0
        self.faults: dict[str, str] = {}

    def run(self, tasks: Sequence[Task]) -> None:
        missing = [task for task in tasks if not Path(task.folder).exists()]
        self.n_done += len(tasks) - len(missing)
        self._watch(self.n_done, self.n_planned, None)
        if not missing:
            return
        for ended in self._engine(missing):
            if ended.fault:
                self.faults[ended.task.folder] = ended.fault
                self._folder.write_failed(self.faults)
            else:
                self.n_done += 1
                self.n_new += 1
            self._watch(self.n_done, self.n_planned, ended)

    def close(self) -> None:
        """Write what failed in the end; what failed before a stop and has a result now is forgotten."""
        self._folder.write_failed(self.faults)


def _searched(folder: SweepFolder, search: Optuna, round_: _Round) -> list[Setting]:
    """Return the settings that Optuna chose, each tried."""
    from experiments.sweep.optuna_search import JOURNAL, OptunaSearch, Scored

    chooser, done, seeds = OptunaSearch(search), list[Scored](), folder.config.seeds
    round_.n_planned = search.n * len(seeds)
    known: dict[str, Setting] = {}
    given_up: dict[str, int] = {}
    for place in range(-(-search.n // search.batch)):
        asked = chooser.batch(done, place)
        for setting in numbered([one.overrides for one in known.values()] + asked):
            known.setdefault(setting.folder, setting)
        batch = [known[Setting(0, overrides).folder] for overrides in asked]
        folder.write_plan(list(known.values()), given_up)
        values: dict[str, list[float]] = {setting.folder: [] for setting in batch}
        # What was tried before and is asked for again is what it was then: whole, or given up.
        before = {one.setting.folder: one for one in done}
        running = [name for name in dict.fromkeys(setting.folder for setting in batch) if name not in before]
        round_.n_planned -= len(seeds) * (len(batch) - len(running))
        if search.pruning is None:
            round_.run(folder.tasks([known[name] for name in running]))
        for seed in seeds:
            if search.pruning is not None:
                round_.run([folder.task(known[name], seed) for name in running])
            for name in running:
                values[name].append(_objective(folder, search, known[name], seed))
            behind = [name for name in running if seed != seeds[-1] and chooser.is_behind(done, values[name])]
            for name in behind:
                given_up[name] = len(values[name])
                round_.n_planned -= len(seeds) - len(values[name])
            running = [name for name in running if name not in behind]
        done += [
            before.get(setting.folder) or Scored(setting, tuple(values[setting.folder]), setting.folder in given_up)
            for setting in batch
        ]
        folder.write_plan(list(known.values()), given_up)
    chooser.write(folder.path / JOURNAL, done)
    round_.n_given_up = len(given_up)
    return list(known.values())


def _objective(folder: SweepFolder, search: Optuna, setting: Setting, seed: int) -> float:
    """Return the objective of a trial; NaN: it has no result."""
    there = Path(folder.task(setting, seed).folder)
    if not there.exists():
        return float("nan")
    told = search.objective
    return value_of(there, told.policy, told.outcome, told.of)
