"""A sweep, as data: which experiment, which settings, which seeds.

`experiments.sweep.source` reads it from YAML.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from simulator.config import MisfitError, Model
from simulator.config_fields import SlotName

Path = Annotated[str, Field(min_length=1, description="of a field of the base, dotted: training.n_steps")]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1, max_length=10_000)]
Misfits = list[tuple[tuple[str | int, ...], str]]


class Range(Model):
    """Numbers from one to another."""

    low: float
    high: float
    log: bool = Field(False, description="evenly in their logarithm")
    whole: bool = Field(False, description="whole numbers only, both ends included")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        misfits: Misfits = []
        if not self.low < self.high:
            misfits.append((("high",), f"expected above low ({self.low:g}), got {self.high:g}"))
        if self.log and self.low <= 0.0:
            misfits.append((("low",), f"expected above 0 for even logarithms, got {self.low:g}"))
        if self.whole:
            misfits += [
                ((name,), f"expected a whole number, got {value:g}")
                for name, value in (("low", self.low), ("high", self.high))
                if not math.isfinite(value) or value != round(value)
            ]
        if misfits:
            raise MisfitError(misfits)
        return self


class Choice(Model):
    """One of some values."""

    choices: tuple[JsonValue, ...] = Field(min_length=1, max_length=1_000)


def _is_of(domain: Any) -> str:
    """Return which of the two is meant, so that what is wrong with one is not told of both."""
    return "choice" if isinstance(domain, Choice) or (isinstance(domain, dict) and "choices" in domain) else "range"


Domain = Annotated[Annotated[Range, Tag("range")] | Annotated[Choice, Tag("choice")], Discriminator(_is_of)]


class Grid(Model):
    """Every combination of some values."""

    kind: Literal["grid"] = "grid"
    fields: dict[Path, tuple[JsonValue, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        misfits: Misfits = [
            (("fields", path), "expected a value at least") for path, values in self.fields.items() if not values
        ]
        if misfits:
            raise MisfitError(misfits)
        return self


class Listed(Model):
    """Just these."""

    kind: Literal["list"] = "list"
    trials: tuple[dict[Path, JsonValue], ...] = Field(min_length=1, max_length=100_000)


class Random(Model):
    """Drawn evenly and by themselves."""

    kind: Literal["random"] = "random"
    n: int = Field(ge=1, le=100_000, description="settings that are tried")
    seed: int = Field(0, ge=0, lt=2**32, description="of the draws")
    fields: dict[Path, Domain] = Field(min_length=1)


class Objective(Model):
    """What is to be best: an outcome of one contender, its mean over the seeds."""

    policy: str = Field(description="a contender's name")
    outcome: str = "value_eur"
    of: Literal["mean", "difference"] = Field("mean", description="difference: to the experiment's reference")
    direction: Literal["maximize", "minimize"] = "maximize"


class Pruning(Model):
    """After each seed, settings that are behind the median of those before them are given no more seeds."""

    least_trials: int = Field(4, ge=1, le=10_000, description="settings that are tried whole first")
    least_seeds: int = Field(1, ge=1, le=10_000, description="of a setting, before it may be given up")


class Optuna(Model):
    """Chosen by Optuna's tree-structured Parzen estimator, some at a time."""

    kind: Literal["optuna"] = "optuna"
    n: int = Field(ge=1, le=100_000, description="settings that are tried")
    batch: int = Field(
        4, ge=1, le=1_000, description="chosen together: more keep more workers busy, fewer learn more from each other"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the choices")
    fields: dict[Path, Domain] = Field(min_length=1)
    objective: Objective
    pruning: Pruning | None = None


Search = Annotated[Grid | Listed | Random | Optuna, Field(discriminator="kind")]


class SweepConfig(Model):
    """One sweep."""

    kind: Literal["sweep"] = "sweep"
    name: SlotName
    title: str = ""
    base: str = Field(description="an experiment's name, or a file's path; paths start at this file's folder")
    settings: dict[Path, JsonValue] = Field({}, description="values written over the base, by dotted path")
    search: Search
    seeds: Seeds = Field((1,), description="of the base; each setting is tried with every one")

    @model_validator(mode="after")
    def _seeds_are_unlike(self) -> Self:
        twice = [
            (("seeds", place), f"{seed} stands there already, at seeds.{self.seeds.index(seed)}")
            for place, seed in enumerate(self.seeds)
            if seed in self.seeds[:place]
        ]
        if twice:
            raise MisfitError(twice)
        return self
