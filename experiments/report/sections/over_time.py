"""What changes from day to day: who is still there, who withdrew, what was gained, how tired people are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.report.charts import Line, line_chart
from experiments.report.page import Section, figures, missing
from experiments.report.reading import RunFolder, grouped, known, summed

ByDay = dict[int, Sequence[Mapping[str, Any]]]


def staying(run: RunFolder) -> Section:
    """Return who is still there, and who withdrew a permission."""
    title, name = "Who stays", "staying"
    if not run.measures["days"]:
        return Section(title, missing("Days were not watched in this run."), name)
    pictures = [
        _picture(
            run,
            "Users there",
            "% of all users",
            lambda days: [100 * _present(rows) for rows in days],
            caption="Of all who are there at some time: those who install later make it rise.",
        ),
        _picture(run, "Opt-outs so far", "per 100 users", lambda days: _so_far(days, "opt_outs", 100), from_zero=True),
        _picture(run, "Sends", "a user and day, 7-day mean", _sends, from_zero=True),
    ]
    if run.reference:
        base = _so_far(list(_days(run, run.reference).values()), "value_eur", 1)
        gained = _picture(
            run,
            f"Value gained over {run.reference}",
            "EUR a user, so far",
            lambda days: [a - b for a, b in zip(_so_far(days, "value_eur", 1), base, strict=False)],
            caption="Orders as they happened, so it is rougher than the answer, which takes them at their expectation.",
        )
        pictures.insert(2, gained)
    return Section(title, figures(pictures), name)


def fatigue(run: RunFolder) -> Section:
    """Return how tired those are who are still there."""
    title, name = "Fatigue", "fatigue"
    if not run.measures["days"]:
        return Section(title, missing("Days were not watched in this run."), name)
    picture = _picture(
        run,
        "Fatigue of those present",
        "mean, in recent pushes",
        lambda days: [_tired(rows) for rows in days],
        from_zero=True,
        caption="Fatigue is hidden: the simulator knows it, no policy sees it. 1 is as one push just received. Those "
        "who left no longer count, so that a policy which drives the tired away looks better here than it is.",
    )
    return Section(title, figures([picture]), name)


def _picture(
    run: RunFolder,
    title: str,
    y_label: str,
    of: Callable[[Sequence[Sequence[Mapping[str, Any]]]], Sequence[float]],
    *,
    from_zero: bool = False,
    caption: str = "",
) -> Any:
    lines = []
    for policy in run.policies:
        days = _days(run, policy)
        if days:
            heights = list(of(list(days.values())))
            lines.append(Line(policy, [float(day) for day in days][: len(heights)], heights))
    return line_chart(title, lines, run.marks, x_label="day", y_label=y_label, from_zero=from_zero, caption=caption)


def _days(run: RunFolder, policy: str) -> ByDay:
    """Return a policy's rows by day, in the order of the days."""
    days = grouped(run.of("days", policy), "day")
    return {day: days[day] for day in sorted(days)}


def _present(rows: Sequence[Mapping[str, Any]]) -> float:
    present, users = summed(rows, "present", "users")
    return present / users if users else math.nan


def _so_far(days: Sequence[Sequence[Mapping[str, Any]]], what: str, of: float) -> list[float]:
    found, total = [], 0.0
    for rows in days:
        amount, users = summed(rows, what, "users")
        total += amount
        found.append(of * total / users if users else math.nan)
    return found


def _sends(days: Sequence[Sequence[Mapping[str, Any]]]) -> list[float]:
    rates = []
    for rows in days:
        sends, present = summed(rows, "sends", "present")
        rates.append(sends / present if present else math.nan)
    return [_mean(rates[max(0, k - 3) : k + 4]) for k in range(len(rates))]


def _tired(rows: Sequence[Mapping[str, Any]]) -> float:
    present = sum(known(row, "present") for row in rows)
    total = sum(known(row, "fatigue") * known(row, "present") for row in rows if known(row, "present"))
    return total / present if present else math.nan


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
