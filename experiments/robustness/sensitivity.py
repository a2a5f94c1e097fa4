"""Sensitivity: does a conclusion hold as each parameter of behaviour moves, one at a time?

The conclusion is "A is worth so much more than B". Each number of the scenario's `behaviour` goes down and up by a
share of itself, and the same users live again under A and B. An intercept of a logit moves by the odds that it stands
for, since a share of a logit means nothing by itself: its zero is a probability of a half.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.compare import Estimate
from experiments.faults import ConfigError, Fault
from experiments.report.words import number, spread
from experiments.robustness.contestants import Contestant
from experiments.robustness.trial import Size, tried
from experiments.robustness.worlds import HOME, Placed, changed
from simulator.config import Model, Scenario, did_you_mean

SHARE = 0.5
ROOT = "behaviour"
Verdict = Literal["holds", "cannot be told", "turns round", "becomes clear"]


@dataclass(frozen=True)
class Parameter:
    """A number that can be moved.

    Attributes:
        path: dotted.
        value: as it stands.
        less, more: where it goes; as far as its range lets it.
        is_cut: whether the range ended before the share did.
    """

    path: str
    value: float
    less: float
    more: float
    is_cut: bool


@dataclass(frozen=True)
class Turn:
    """What moving one parameter does to a conclusion: A's gain over B with less of it, and with more."""

    parameter: Parameter
    less: Estimate
    more: Estimate

    @property
    def swing(self) -> float:
        """How far apart the two ends are, EUR a user."""
        return abs(self.more.mean - self.less.mean)


@dataclass(frozen=True)
class Sensitivity:
    """How a conclusion depends on the parameters.

    Attributes:
        policy, reference: A and B.
        home: A's gain over B as the scenario stands, EUR a user.
        share: by which parameters move.
        turns: the widest swing first.
        unmoved: paths of parameters that are 0 or no single number, and so have no share to move by.
    """

    policy: str
    reference: str
    home: Estimate
    share: float
    turns: tuple[Turn, ...]
    unmoved: tuple[str, ...]

    def verdict(self, there: Estimate) -> Verdict:
        """Return what becomes of the conclusion: of the sign of the gain at home."""
        if not self.home.is_clear:
            return "becomes clear" if there.is_clear else "holds"
        if not there.is_clear:
            return "cannot be told"
        return "holds" if there.mean * self.home.mean > 0 else "turns round"

    def turning(self, verdict: Verdict) -> list[str]:
        """Return which moves lead to a verdict, such as `behaviour.response.fatigue up`."""
        return [
            f"{turn.parameter.path.removeprefix(f'{ROOT}.')} {way}"
            for turn in self.turns
            for way, there in (("down", turn.less), ("up", turn.more))
            if self.verdict(there) == verdict
        ]

    def in_words(self) -> str:
        """Return it in a few sentences."""
        home = f"{spread(self.home.mean, self.home.low, self.home.high)} EUR a user"
        told = f"As the scenario stands, {self.policy} brings {home} over {self.reference}"
        if not self.home.is_clear:
            told += ", which is no difference that could turn round"
        told += f". {len(self.turns)} parameters moved by {100 * self.share:g} % each way, one at a time: "
        over, lost = self.turning("turns round"), self.turning("cannot be told")
        told += f"the sign turns round with {_listed(over)}" if over else "the sign turns round with none"
        if lost:
            told += f", and can no longer be told with {_listed(lost)}"
        if clear := self.turning("becomes clear"):
            told += f"; a difference becomes clear with {_listed(clear)}"
        if self.turns and self.turns[0].swing > 0:
            first = self.turns[0]
            less, more = (number(end.mean, 3, signed=True) for end in (first.less, first.more))
            name = first.parameter.path.removeprefix(f"{ROOT}.")
            told += f". What matters most is {name}: from {less} with less of it to {more} with more"
        return f"{told}."

    def columns(self) -> dict[str, list[object]]:
        """Return it as a table, a row a parameter and way; the first row is the scenario as it stands.

        Columns: parameter, way (`home`, `down`, `up`), value, was, is_cut, difference_eur, low, high, verdict.
        """
        rows: list[tuple[object, ...]] = [
            ("", "home", math.nan, math.nan, False, self.home.mean, self.home.low, self.home.high, "holds")
        ]
        for turn in self.turns:
            p = turn.parameter
            for way, value, there in (("down", p.less, turn.less), ("up", p.more, turn.more)):
                found = (there.mean, there.low, there.high, self.verdict(there))
                rows.append((p.path, way, value, p.value, p.is_cut, *found))
        names = ("parameter", "way", "value", "was", "is_cut", "difference_eur", "low", "high", "verdict")
        return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def parameters(scenario: Scenario, share: float = SHARE) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Return the parameters of behaviour that can move by a share of themselves, and the paths of those that cannot."""
    movable: list[Parameter] = []
    unmoved: list[str] = []
    for path, value, bounds in _numbers(scenario.behaviour, ROOT):
        if value is None or (value == 0.0 and not _is_intercept(path)):
            unmoved.append(path)
            continue
        ends = [value + math.log(by) if _is_intercept(path) else value * by for by in (1 - share, 1 + share)]
        kept = [min(max(end, bounds[0]), bounds[1]) for end in ends]
        movable.append(Parameter(path, value, kept[0], kept[1], kept != ends))
    return tuple(movable), tuple(unmoved)


def chosen(found: Sequence[Parameter], patterns: Sequence[str], option: str = "--parameter") -> tuple[Parameter, ...]:
    """Return the parameters that some patterns name (`response.*`, `behaviour.churn.irritation_prob`); none: all.

    Raises:
        ConfigError: a pattern names none.
    """
    if not patterns:
        return tuple(found)
    short = {parameter: parameter.path.removeprefix(f"{ROOT}.") for parameter in found}
    picked: set[Parameter] = set()
    faults: list[Fault] = []
    for pattern in patterns:
        wanted = pattern.removeprefix(f"{ROOT}.")
        fits = {parameter for parameter, name in short.items() if fnmatch.fnmatchcase(name, wanted)}
        picked |= fits
        if not fits:
            hint = did_you_mean(wanted, short.values())
            faults.append(
                Fault(option, None, pattern, f"no parameter of behaviour that could move has this name.{hint}")
            )
    if faults:
        raise ConfigError(faults)
    return tuple(parameter for parameter in found if parameter in picked)


def sensitivity(
    home: Scenario,
    policy: Contestant,
    reference: Contestant | None,
    moving: Sequence[Parameter],
    unmoved: Sequence[str],
    size: Size,
    kept: Path,
    *,
    share: float = SHARE,
    on_move: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """Move each parameter down and up, and compare two policies there.

    Args:
        home: the scenario as it stands.
        policy, reference: whose gain over whom; None: over silence.
        moving, unmoved: of `parameters`.
        size: on whom.
        kept: folder of what is done.
        share: by which they were moved.
        on_move: told moves done of all to do.
    """
    who = (policy,) if reference is None else (policy, reference)
    base = "silence" if reference is None else reference.name

    def gain(scenario: Scenario, name: str) -> Estimate:
        cells = tried(Placed(name, "", scenario), who, base, size, kept)
        found = next(cell.over_reference for cell in cells if cell.policy == policy.name)
        assert found is not None, "a policy is compared with another"
        return found

    at_home = gain(home, HOME)
    turns = []
    for done, parameter in enumerate(moving):
        ends = []
        for way, value in enumerate((parameter.less, parameter.more)):
            moved = changed(home, {parameter.path: value}, parameter.path) if value != parameter.value else home
            ends.append(gain(moved, parameter.path))
            if on_move is not None:
                on_move(2 * done + way + 1, 2 * len(moving))
        turns.append(Turn(parameter, *ends))
    ordered = tuple(sorted(turns, key=lambda turn: -turn.swing))
    return Sensitivity(policy.name, base, at_home, share, ordered, tuple(unmoved))


def _is_intercept(path: str) -> bool:
    return path.endswith("_logit")


def _numbers(model: Model, path: str) -> Iterator[tuple[str, float | None, tuple[float, float]]]:
    """Yield each field's path, its value (None where it is no single number), and its range."""
    for name, about in type(model).model_fields.items():
        value: Any = getattr(model, name)
        here = f"{path}.{name}"
        if isinstance(value, Model):
            yield from _numbers(value, here)
        else:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            yield here, float(value) if is_number else None, _bounds(about.metadata)


def _bounds(metadata: Sequence[Any]) -> tuple[float, float]:
    """Return the least and the greatest value of a field."""
    ends = {key: getattr(each, key) for each in metadata for key in ("ge", "gt", "le", "lt") if hasattr(each, key)}
    low = ends.get("ge", math.nextafter(ends["gt"], math.inf) if "gt" in ends else -math.inf)
    high = ends.get("le", math.nextafter(ends["lt"], -math.inf) if "lt" in ends else math.inf)
    return float(low), float(high)


def _listed(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
