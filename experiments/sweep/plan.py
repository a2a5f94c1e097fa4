"""Which trials a sweep has, in their order; the order of results, whoever runs them and when."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.sweep.config import Choice, Domain, Grid, Listed, Random, Range, SweepConfig

HASH_DIGITS = 12
Overrides = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """Values written over the base.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: by dotted path.
    """

    number: int
    overrides: Overrides

    @property
    def folder(self) -> str:
        """The name of its folder: a hash of the values, so that other settings never take its place."""
        text = json.dumps(self.overrides, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


@dataclass(frozen=True)
class Task:
    """One run: a setting with a seed.

    Attributes:
        base: the experiment, a name or a path.
        folder: of the result.
    """

    base: str
    setting: Setting
    seed: int
    folder: str


def settings_of(config: SweepConfig) -> list[Setting]:
    """Return the settings of a search that is known in advance; one that says the same as another comes once."""
    search = config.search
    match search:
        case Grid():
            names = list(search.fields)
            found = [dict(zip(names, values, strict=True)) for values in itertools.product(*search.fields.values())]
        case Listed():
            found = [dict(trial) for trial in search.trials]
        case Random():
            rng = np.random.default_rng(search.seed)
            found = [{name: drawn(domain, rng) for name, domain in search.fields.items()} for _ in range(search.n)]
        case _:
            raise ValueError(f"settings_of: expected grid, list or random, got {search.kind}")
    return numbered(found)


def numbered(found: list[Overrides]) -> list[Setting]:
    """Return settings in their order, each once."""
    settings: dict[str, Setting] = {}
    for overrides in found:
        setting = Setting(len(settings), overrides)
        settings.setdefault(setting.folder, setting)
    return list(settings.values())


def drawn(domain: Domain, rng: np.random.Generator) -> Any:
    """Return a value of a domain."""
    if isinstance(domain, Choice):
        return domain.choices[int(rng.integers(len(domain.choices)))]
    return from_unit(domain, float(rng.random()))


def from_unit(domain: Range, share: float) -> float | int:
    """Return the value at a share, in [0, 1), of a range."""
    low, high = (domain.low, domain.high + 1.0) if domain.whole else (domain.low, domain.high)
    found = float(low * (high / low) ** share) if domain.log else low + (high - low) * share
    return min(int(found), int(domain.high)) if domain.whole else found
