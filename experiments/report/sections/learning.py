"""How contenders learned, held against what can be had: the optimum, the oracle, the reference."""

from __future__ import annotations

import math

from experiments.report.charts import Line, line_chart, marks_of
from experiments.report.page import Section, figures, missing
from experiments.report.reading import RunFolder, grouped, known

LEVELS = ("optimum", "oracle", "reference")


def learning(run: RunFolder) -> Section:
    """Return the learning curves."""
    title, name = "Learning", "learning"
    by_contender = grouped(run.measures["curves"], "contender")
    learners = [who for who in by_contender if who not in LEVELS]
    if not learners:
        return Section(title, missing("Nobody was trained in this run, so there is no learning curve."), name)
    levels = {who: known(by_contender[who][-1], "value_eur") for who in LEVELS if who in by_contender}
    named = {f"{who}: {run.reference}" if who == "reference" and run.reference else who: y for who, y in levels.items()}
    marks = marks_of(learners) | {who: run.marks[who] for who in learners if who in run.marks}
    lines = []
    for who in learners:
        rows = sorted((row for row in by_contender[who] if row["step"] is not None), key=lambda row: row["step"])
        low, high = ([known(row, end) for row in rows] for end in ("low", "high"))
        bounds = (low, high) if all(map(math.isfinite, low + high)) else ((), ())
        steps, values = [float(row["step"]) for row in rows], [known(row, "value_eur") for row in rows]
        lines.append(Line(who, steps, values, *bounds))
    absent = [who for who in LEVELS if who not in levels]
    caption = "Curves: on users of the training's own, whom it does not learn from. Levels: on those who judge all."
    caption += f" Not known here: {', '.join(absent)}." if absent else ""
    picture = line_chart(
        "Value while learning",
        lines,
        marks,
        x_label="steps",
        y_label="EUR a user over silence",
        levels=named,
        caption=caption,
    )
    return Section(title, figures([picture]), name)
