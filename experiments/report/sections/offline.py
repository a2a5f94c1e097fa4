"""What offline evaluation said from the run's own ledger, beside the truth that the simulator knows."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
        held = f"{n_inside} of {n_known} intervals hold the truth. All are from one log, so they miss or hold together"
        held += "; that of fitted Q knows nothing of what its model gets wrong."
        parts.insert(0, paragraph(held))
    parts.insert(0, paragraph(_log_in_words(run.notes.get(name, {})), "faint"))
    if refused:
        rows_of_refused = [(policy, ", ".join(names), why) for (policy, why), names in refused.items()]
        parts.append(table(("policy", "estimators", "refused, since"), rows_of_refused, words=True))
    return Section(title, "".join(parts), name)


def _log_in_words(about: Mapping[str, str]) -> str:
    """Return what the log is, by what the table says of itself."""
    if "n_users" not in about:
        return "Values are of an episode of the log, not of a life as in the other sections."
    days = f"{about['n_days']} days, a decision every {about['epoch_hours']} h"
    unit = "EUR an episode"
    unit += "" if float(about["discount_per_day"]) == 1.0 else f", money a day later worth {about['discount_per_day']}"
    return (
        f"The log is of {about['log']}: {int(about['n_users']):,} users of its own, {days}. Values are {unit}; "
        "other sections are of the experiment's own days."
    )


def _plain(estimator: object) -> str:
    from experiments.offline.estimators.sequential_catalogue import SEQUENTIAL

    name = str(estimator)
    return SEQUENTIAL[name].title if name in SEQUENTIAL else name.replace("_", " ")
