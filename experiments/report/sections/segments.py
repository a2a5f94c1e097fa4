"""Whom it helps: value over the reference by segment."""

from __future__ import annotations

import math

from experiments.report.charts import Row, interval_chart
from experiments.report.page import Mark, Section, figures, missing, table
from experiments.report.reading import VALUE, RunFolder, difference, interval, known
from experiments.report.words import number, share


def by_segment(run: RunFolder) -> Section:
    """Return a forest plot for each contender, and a table of the best one's outcomes by segment."""
    title, name = "By segment", "segments"
    if not run.measures["segments"]:
        return Section(title, missing("Segments were not watched in this run."), name)
    pictures = []
    for policy in run.policies:
        rows = [
            Row(str(row["segment"]), *interval(row, "gain_eur", "gain_low", "gain_high"), mark)
            for row in run.of("segments", policy)
            for mark in [Mark(run.marks[policy].css)]
        ]
        if policy != run.reference and any(math.isfinite(row.value) for row in rows):
            rows.append(Row("everybody", *difference(run.outcome(policy, VALUE)), Mark("base")))
            label = f"EUR a user over {run.reference}; 95 %"
            pictures.append(interval_chart(policy, rows, x_label=label, levels={"0": 0.0}))
    found = figures(pictures) if pictures else missing("No gains by segment were kept: there is no paired reference.")
    rows_of_best = [
        (
            str(row["segment"]), f"{int(row['users']):,}", number(known(row, "sends"), 1),
            number(100 * known(row, "opt_outs"), 2), share(known(row, "churns")), share(known(row, "retained")),
            number(known(row, "value_eur"), 3),
        )
        for row in run.of("segments", run.best)
    ]  # fmt: skip
    head = (f"{run.best}: segment", "users", "sends a user", "opt-outs of 100", "left", "retained", "value, EUR")
    return Section(title, found + table(head, rows_of_best, label=f"{run.best} by segment"), name)
