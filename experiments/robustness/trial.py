"""One world's trial: every contestant, and silence, on the same users with the same luck; in a few numbers each.

What a trial comes to is kept in a small file named after all that it depends on, so a robustness study that was killed
goes on where it stopped, and one with a world more does the rest only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from experiments.compare import Estimate
from experiments.config import scenario_tree
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import Evaluation, paired
from experiments.results import write_json
from experiments.robustness.contestants import SILENCE, Contestant
from experiments.robustness.worlds import Placed
from simulator.records import NANO, Floats

KEPT = "done"
FEWEST_IN_TENTH = 100  # users, for an interval of their mean
WORST_SHARE = 0.1
VERSION = 1  # of what is kept


@dataclass(frozen=True)
class Size:
    """On whom.

    Attributes:
        n_users: of each world; user u has the luck of seed + u.
        seed: at least 0.
    """

    n_users: int
    seed: int


@dataclass(frozen=True)
class Cell:
    """A policy in a world; money in EUR a user over the horizon, orders at their expectation.

    Attributes:
        policy: its name.
        value: what users bring.
        over_silence: the same users' gain over being sent nothing; None for silence.
        over_reference: the gain over the reference; None for the reference itself.
        worst_tenth: mean gain over silence of the tenth of users who gain least by it; None for silence.
        sends_per_user_week: per user present.
        opt_outs, churns, retained: means a user.
    """

    policy: str
    value: Estimate
    over_silence: Estimate | None
    over_reference: Estimate | None
    worst_tenth: Estimate | None
    sends_per_user_week: float
    opt_outs: float
    churns: float
    retained: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; numbers that are not finite as None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """Return what `to_dict` told."""
        value = _estimate(told["value"])
        if value is None:
            raise ValueError("value: expected an estimate, got none")
        over_silence, over_reference, worst = (_estimate(told[name]) for name in _DIFFERENCES)
        sends, opt_outs, churns, retained = (_number(told[name]) for name in _COUNTS)
        return cls(told["policy"], value, over_silence, over_reference, worst, sends, opt_outs, churns, retained)


_DIFFERENCES = ("over_silence", "over_reference", "worst_tenth")
_COUNTS = ("sends_per_user_week", "opt_outs", "churns", "retained")


def tried(
    world: Placed,
    who: Sequence[Contestant],
    reference: str,
    size: Size,
    kept: Path,
    on_day: Callable[[int, int], None] | None = None,
) -> tuple[Cell, ...]:
    """Return the cells of a world, silence first; what is kept already is not done again.

    Args:
        world: to try them in.
        who: takes part.
        reference: the name of one of them, or `silence`.
        size: on whom.
        kept: folder of what is done.
        on_day: told days done of all days to do in this world.
    """
    path = kept / f"{_key(world, who, reference, size)}.json"
    if (found := _read(path)) is not None:
        return found
    runs = []
    for place, one in enumerate((None, *who)):
        tell = None if on_day is None else _part(on_day, place, len(who) + 1)
        runs.append(_run(one, world, size, tell))
    base = next(run for run in runs if run.agent == reference)
    cells = tuple(_cell(run, runs[0], base) for run in runs)
    write_json(path, {"kind": "robustness-trial", "world": world.name, "cells": [cell.to_dict() for cell in cells]})
    return cells


def worst_tenth(gains: Floats) -> Estimate:
    """Return the mean of the least tenth of some users' gains, with its standard error.

    It is the greatest over q of q - E[max(q - gain, 0)] / share, reached at the quantile (Rockafellar & Uryasev,
    Journal of Risk 2000): an error of the quantile is none of first order, and what is left is a mean. Gains have a
    long tail, so that it holds for many users only: of 64 a 95 % interval covers 72 to 83 %, of 256 83 to 91 %, of
    1,024 92 to 95 %. Where fewer than FEWEST_IN_TENTH are in the tenth the error is NaN, and there is no interval.

    Args:
        gains: of users, shape (U,), U >= 1.
    """
    q = float(np.quantile(gains, WORST_SHARE, method="inverted_cdf"))
    terms = q - np.maximum(q - gains, 0.0) / WORST_SHARE
    n = len(gains)
    is_told = n * WORST_SHARE >= FEWEST_IN_TENTH
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(n)) if is_told else float("nan"))


def _run(one: Contestant | None, world: Placed, size: Size, tell: Callable[[int, int], None] | None) -> Evaluation:
    if one is None:
        return evaluate(None, world.scenario, size.n_users, size.seed, name=SILENCE, on_day=tell)
    return evaluate(
        one.agent(), world.scenario, size.n_users, size.seed, name=one.name, on_day=tell,
        n_slots=one.document.n_slots, **one.asked,
    )  # fmt: skip


def _cell(run: Evaluation, silent: Evaluation, base: Evaluation) -> Cell:
    value = run.expected_nano / NANO
    n, is_silent = len(value), run is silent
    error = float(value.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return Cell(
        policy=run.agent,
        value=Estimate(float(value.mean()), error),
        over_silence=None if is_silent else paired(run, silent, "expected_nano").estimate,
        over_reference=None if run is base else paired(run, base, "expected_nano").estimate,
        worst_tenth=None if is_silent else worst_tenth((run.expected_nano - silent.expected_nano) / NANO),
        sends_per_user_week=run.sends_per_user_week,
        opt_outs=float(run.opt_outs.mean()),
        churns=float(run.churns.mean()),
        retained=float(run.retained.mean()),
    )


def _key(world: Placed, who: Sequence[Contestant], reference: str, size: Size) -> str:
    """Return a name that two trials share when, and only when, they have the same outcome."""
    told = {
        "version": VERSION,
        "scenario": scenario_tree(world.scenario) | {"name": "", "title": "", "seed": 0},
        "who": [[one.name, one.policy_hash, one.asked] for one in who],
        "reference": reference,
        "size": asdict(size),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _read(path: Path) -> tuple[Cell, ...] | None:
    """Return what is kept; None where there is nothing, or no whole file of ours."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Cell.from_dict(cell) for cell in told["cells"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None


def _part(on_day: Callable[[int, int], None], place: int, of: int) -> Callable[[int, int], None]:
    def tell(done: int, days: int) -> None:
        on_day(place * days + done, of * days)

    return tell


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _estimate(told: dict[str, Any] | None) -> Estimate | None:
    return None if told is None else Estimate(_number(told["mean"]), _number(told["standard_error"]))
