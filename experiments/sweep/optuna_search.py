"""Settings chosen by Optuna, some at a time, the same whoever runs them and after whatever stop; extra `sweep`.

Optuna's own way is to choose a trial whenever a worker is free, so that what is chosen depends on who finished first.
Here a batch is chosen together, and told in its order when all of it has ended; the sampler is seeded anew for each
batch. A stop forgets nothing, since the study is built up again from the settings and their results. What it costs:
the last of a batch know nothing of the first, and workers wait for the slowest. The one file that imports Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.sweep.config import Choice, Domain, Optuna
from experiments.sweep.plan import Overrides, Setting

MISSING = 'a search of kind `optuna` needs Optuna: pip install "kairos-notify[sweep]"'
JOURNAL = "optuna.journal"


class Scored(NamedTuple):
    """A setting that was tried.

    Attributes:
        values: of the objective, one a seed in their order, as far as it was tried.
        is_pruned: whether it was given up.
    """

    setting: Setting
    values: tuple[float, ...]
    is_pruned: bool = False


class OptunaSearch:
    """The search of a sweep.

    Args:
        search: what is searched.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
    """

    def __init__(self, search: Optuna) -> None:
        try:
            import optuna
        except ImportError as missing:
            raise ModuleNotFoundError(MISSING, name="optuna") from missing
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._search = optuna, search
        self._domains = {name: self._distribution(domain) for name, domain in search.fields.items()}

    def batch(self, done: Sequence[Scored], place: int) -> list[Overrides]:
        """Return the settings of a batch.

        Args:
            done: all settings of the batches before, in their order.
            place: of the batch, from 0.
        """
        study = self._study(done, place)
        n = min(self._search.batch, self._search.n - place * self._search.batch)
        return [self._overrides(study.ask(self._domains).params) for _ in range(n)]

    def is_behind(self, done: Sequence[Scored], values: Sequence[float]) -> bool:
        """Return whether a setting with these values so far is given up: it is behind the median of those before it.

        Args:
            done: settings that have ended, in their order.
            values: of the objective, one a seed.
        """
        pruning = self._search.pruning
        if pruning is None or len(values) < pruning.least_seeds or not all(map(math.isfinite, values)):
            return False
        study = self._study(done, 0)
        trial = study.ask(self._domains)
        trial.report(_mean(values), len(values))
        return bool(trial.should_prune())

    def write(self, path: Path, done: Sequence[Scored]) -> None:
        """Write a storage of Optuna's own, which its dashboard reads."""
        from experiments.results import whole_file

        with whole_file(path) as partial:
            partial.unlink(missing_ok=True)
            backend = self._optuna.storages.journal.JournalFileBackend(str(partial))  # type: ignore[attr-defined]
            storage = self._optuna.storages.JournalStorage(backend)
            study = self._optuna.create_study(
                study_name="sweep", storage=storage, direction=self._search.objective.direction
            )
            for one in done:
                study.add_trial(self._frozen(one))
        for lock in path.parent.glob(f".{path.name}.partial*.lock"):
            lock.unlink()

    def _study(self, done: Sequence[Scored], place: int) -> Any:
        optuna, pruning = self._optuna, self._search.pruning
        sampler = optuna.samplers.TPESampler(seed=(self._search.seed + 7_919 * place) % 2**32, constant_liar=True)
        pruner = (
            optuna.pruners.NopPruner()
            if pruning is None
            else optuna.pruners.MedianPruner(n_startup_trials=pruning.least_trials, n_warmup_steps=0)
        )
        study = optuna.create_study(direction=self._search.objective.direction, sampler=sampler, pruner=pruner)
        for one in done:
            study.add_trial(self._frozen(one))
        return study

    def _frozen(self, one: Scored) -> Any:
        states = self._optuna.trial.TrialState
        told = {k + 1: _mean(one.values[: k + 1]) for k in range(len(one.values))}
        is_told = bool(one.values) and all(map(math.isfinite, one.values))
        state = states.FAIL if not is_told else states.PRUNED if one.is_pruned else states.COMPLETE
        return self._optuna.trial.create_trial(
            state=state,
            value=_mean(one.values) if state == states.COMPLETE else None,
            params={name: self._parameter(name, one.setting.overrides[name]) for name in self._domains},
            distributions=self._domains,
            intermediate_values=told if is_told else {},
        )

    def _distribution(self, domain: Domain) -> Any:
        distributions = self._optuna.distributions
        if isinstance(domain, Choice):
            return distributions.CategoricalDistribution(tuple(range(len(domain.choices))))
        if domain.whole:
            return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log)
        return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)

    def _overrides(self, parameters: dict[str, Any]) -> Overrides:
        return {name: self._value(name, parameters[name]) for name in self._domains}

    def _value(self, name: str, parameter: Any) -> Any:
        domain = self._search.fields[name]
        return domain.choices[parameter] if isinstance(domain, Choice) else parameter

    def _parameter(self, name: str, value: Any) -> Any:
        """Return what Optuna calls a value: of choices, which may be lists, its place."""
        domain = self._search.fields[name]
        return domain.choices.index(value) if isinstance(domain, Choice) else value


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
