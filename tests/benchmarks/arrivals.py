"""When runs reached a value, where some never did: first arrivals, medians with censoring, and the table.

The goal lies half-way between the tuned cap and the best value that any run of the two that are compared ever showed.
A time is that of the first evaluation at or above the goal; nothing is interpolated between evaluations. A run that
ends below the goal is censored: all that is known is that its time is longer than the run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

GOAL_SHARE = 0.5
OURS, THEIRS = "ours", "theirs"


class Look(NamedTuple):
    """One evaluation of a learner's greedy policy.

    Attributes:
        seconds: of learning before it, wall clock; evaluations and set-up left out.
        n_steps: decisions before it, over all users.
        value_eur: per user over silence, orders at their expectation.
        half_width_eur: of the 95 % interval of that value.
    """

    seconds: float
    n_steps: int
    value_eur: float
    half_width_eur: float


@dataclass(frozen=True)
class Run:
    """One learner with one seed, begun and ended; its looks in the order of time, the untrained policy's the first.

    Attributes:
        learner: its name.
        seed: of weights, exploration and users.
        looks: at least one.
        cpu_seconds: of learning, all threads; near the wall clock's, unless others had the processor.
    """

    learner: str
    seed: int
    looks: tuple[Look, ...]
    cpu_seconds: float = math.nan

    @property
    def best(self) -> float:
        """The highest value seen, EUR: a choice among many, and as such a little flattering."""
        return max(look.value_eur for look in self.looks)

    @property
    def end(self) -> Look:
        """The last look."""
        return self.looks[-1]

    def arrival(self, goal: float) -> Time:
        """Return when the goal was reached; censored at the run's end where it was not."""
        for look in self.looks:
            if look.value_eur >= goal:
                return Time(look.seconds, look.n_steps)
        return Time(self.end.seconds, self.end.n_steps, is_censored=True)


class Time(NamedTuple):
    """A time to the goal, or what is known of one that is censored.

    Attributes:
        seconds: of learning; where censored, a lower bound.
        n_steps: decisions until then.
        is_censored: the goal was not reached.
    """

    seconds: float
    n_steps: int
    is_censored: bool = False

    def __str__(self) -> str:
        return ("> " if self.is_censored else "") + duration(self.seconds)


class Median(NamedTuple):
    """The median of times, some of them censored: these count as infinite.

    Attributes:
        seconds: where censored, the median of what the runs are known to exceed: a lower bound.
        is_censored: a middle time is infinite.
    """

    seconds: float
    is_censored: bool

    def __str__(self) -> str:
        return ("> " if self.is_censored else "") + duration(self.seconds)


def median(times: Sequence[Time]) -> Median:
    """Return the median of at least one time.

    Replacing a censored time by its bound makes no time longer, so the median of the bounds is at most the median.
    """
    if not times:
        raise ValueError("median: expected at least one time, got none")
    middle = statistics.median([math.inf if time.is_censored else time.seconds for time in times])
    if math.isfinite(middle):
        return Median(middle, False)
    return Median(statistics.median([time.seconds for time in times]), True)


def goal_of(cap: float, runs: Sequence[Run]) -> float:
    """Return the value to reach, EUR per user over silence; NaN where no run was ever above the cap."""
    best = max(run.best for run in runs)
    return cap + GOAL_SHARE * (best - cap) if best > cap else math.nan


def ratio_words(ours: Median, theirs: Median) -> str:
    """Return how many times as long theirs took, in words that keep what is not known."""
    if ours.is_censored:
        return "unknown: ours did not arrive in most runs"
    if ours.seconds == 0.0:
        return "without meaning: ours arrived before it learned"
    at_least = "at least " if theirs.is_censored else ""
    return f"{at_least}{theirs.seconds / ours.seconds:.3g}"


def duration(seconds: float) -> str:
    """Return a time in seconds, or from two minutes on in minutes, to three digits."""
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def report(cap: Mapping[str, Any], runs: Sequence[Run], setting: Mapping[str, Any]) -> str:
    """Return all runs, medians and their ratio as Markdown.

    Args:
        cap: `value_eur` and `half_width_eur` of the tuned cap over silence, and its `settings`.
        runs: of `ours` and `theirs`, at least one of each; others are shown beside, and do not set the goal.
        setting: `minutes`, `n_users`, and `every_seconds` between looks by learner.

    Raises:
        ValueError: a learner that is compared has no run.
    """
    compared = [run for run in runs if run.learner in (OURS, THEIRS)]
    for learner in (OURS, THEIRS):
        if not any(run.learner == learner for run in compared):
            raise ValueError(f"report: expected at least one finished run of {learner!r}, got none")
    floor = float(cap["value_eur"])
    goal = goal_of(floor, compared)
    best = max(compared, key=lambda run: run.best)
    lines = [
        f"Values: EUR per user over silence, {setting['n_users']:,} held-out users, orders at their expectation.",
        "",
        f"- tuned frequency cap: {floor:.4f} ± {cap['half_width_eur']:.4f} ({cap['settings']})",
        f"- best seen in any run: {best.best:.4f} ({best.learner}, seed {best.seed})",
    ]
    if math.isnan(goal):
        return "\n".join([*lines, "- goal: none, because no run was ever above the cap", "", *_rows(runs, None)])
    return "\n".join(
        [
            *lines,
            f"- goal, half-way between: {goal:.4f}",
            "",
            *_rows(runs, goal),
            "",
            *_medians(runs, goal),
            "",
            _reading(setting),
        ]
    )


def _rows(runs: Sequence[Run], goal: float | None) -> list[str]:
    lines = [
        "| learner | seed | time to the goal | decisions then | best | last | learned | CPU | decisions | a second |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        time = None if goal is None else run.arrival(goal)
        told = ("-", "-") if time is None else (str(time), "-" if time.is_censored else f"{time.n_steps:,}")
        end = run.end
        rate = f"{end.n_steps / end.seconds:,.0f}" if end.seconds else "-"
        busy = f"{run.cpu_seconds / end.seconds:.0%}" if end.seconds and math.isfinite(run.cpu_seconds) else "-"
        cells = (
            *(run.learner, str(run.seed), *told, f"{run.best:.4f}", f"{end.value_eur:.4f}"),
            *(duration(end.seconds), busy, f"{end.n_steps:,}", rate),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _medians(runs: Sequence[Run], goal: float) -> list[str]:
    medians = {}
    lines = ["| learner | runs | arrived | median time to the goal |", "|---|---:|---:|---:|"]
    for learner in dict.fromkeys(run.learner for run in runs):
        times = [run.arrival(goal) for run in runs if run.learner == learner]
        medians[learner] = median(times)
        n_arrived = sum(not time.is_censored for time in times)
        lines.append(f"| {learner} | {len(times)} | {n_arrived} | {medians[learner]} |")
    return [*lines, "", f"Median of theirs over median of ours: {ratio_words(medians[OURS], medians[THEIRS])}."]


def _reading(setting: Mapping[str, Any]) -> str:
    every = ", ".join(f"{learner} {seconds:g} s" for learner, seconds in setting["every_seconds"].items())
    return (
        f"A time is the learning time (wall clock, one thread; set-up, compilation and evaluations left out) of the "
        f"first evaluation at or above the goal; nothing is interpolated. A policy is evaluated after the first update "
        f"at or past each multiple of: {every}; so much a time may be late. `>`: the run ended below the goal, after "
        f"{setting['minutes']:g} minutes or its config's last step; in a median such a time counts as infinite, and "
        f"the bound shown is what is known. CPU: processor time over wall clock while learning; well below 100 %, "
        f"others had the processor."
    )
