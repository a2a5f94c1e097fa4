"""What offline evaluation said from the run's own ledger, beside the truth that the simulator knows."""

from __future__ import annotations

import math

from experiments.report.charts import Row, interval_chart
from experiments.report.page import Mark, Section, figures, missing, paragraph, table
from experiments.report.reading import RunFolder, grouped, interval
from experiments.report.words import spread


def offline(run: RunFolder) -> Section:
    """Return estimates with their intervals, the truth shaded, and what was refused and why."""
    title, name = "Offline estimates beside the truth", "offline"
    rows_of = grouped(run.measures["offline"], "policy")
    if not rows_of:
        return Section(title, missing("Nothing was evaluated offline in this run."), name)
    pictures = []
    refused: dict[tuple[str, str], list[str]] = {}  # estimators by policy and reason
    n_inside = n_known = 0
    for policy, rows in rows_of.items():
        for row in rows:
            if row.get("refused"):
                refused.setdefault((policy, str(row["refused"])), []).append(_plain(row["estimator"]))
        kept = [row for row in rows if not row.get("refused")]
        if not kept:
            continue
        mark = Mark(run.marks[policy].css if policy in run.marks else "s0")
        estimates = [Row(_plain(r["estimator"]), *interval(r, "estimate"), mark) for r in kept]
        truth, low, high = interval(kept[0], "truth", "truth_low", "truth_high")
        levels = {"truth": truth} if math.isfinite(truth) else {}
        for each in estimates:
            if math.isfinite(truth) and math.isfinite(each.low):
                n_known += 1
                n_inside += each.low <= truth <= each.high
        caption = f"Truth, from running it: {spread(truth, low, high, signed=False)}." if levels else ""
        band = (low, high) if math.isfinite(low) else None
        picture = interval_chart(policy, estimates, x_label="estimate; 95 %", levels=levels, band=band, caption=caption)
        pictures.append(picture)
    parts = [figures(pictures)]
    if n_known:
        parts.insert(0, paragraph(f"{n_inside} of {n_known} intervals hold the truth."))
    if refused:
        rows_of_refused = [(policy, ", ".join(names), why) for (policy, why), names in refused.items()]
        parts.append(table(("policy", "estimators", "refused, since"), rows_of_refused, words=True))
    return Section(title, "".join(parts), name)


def _plain(estimator: object) -> str:
    return str(estimator).replace("_", " ")
