"""How policies do in other worlds than the one that they were made for."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from experiments.report.charts import Row, interval_chart
from experiments.report.page import Mark, Section, figures, missing, paragraph, table
from experiments.report.reading import RunFolder, difference, grouped, known, read_table
from experiments.report.sections.provenance import command_path
from experiments.report.words import digits_for, number

MATRIX = ("robustness", "matrix.parquet")


def robustness(run: RunFolder) -> Section:
    """Return value over silence in each world, and where each policy does worst."""
    title, name = "In other worlds", "robustness"
    rows, _ = read_table(run.path.joinpath(*MATRIX))
    rows = [row for row in rows if math.isfinite(known(row, "difference"))]
    if not rows:
        command = f"kairos robustness {shlex.quote(command_path(run))}"
        return Section(title, missing(f"Not tried in other worlds; {command} does, on a page of its own."), name)
    by_policy = grouped(rows, "policy")
    digits = max(digits_for(*(known(row, "difference") for row in rows)), 3)
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    cells = {(row["policy"], row["world"]): _cell(row, digits) for row in rows}
    head = ("world", *by_policy)
    told = {row["world"]: f"{row['world']}: {row['sentence']}" for row in rows if row.get("sentence")}
    body = [(told.get(world, world), *(cells.get((policy, world), "") for policy in by_policy)) for world in worlds]
    pictures, words = [], []
    for policy, tried in by_policy.items():
        mark = Mark(run.marks[policy].css if policy in run.marks else "s0")
        bars = [Row(r["world"], *difference(r), mark) for r in tried]
        label = "EUR a user over silence; 95 %"
        pictures.append(interval_chart(policy, bars, x_label=label, levels={"0": 0.0}))
        worst = min(tried, key=lambda row: known(row, "difference"))
        words.append(f"{policy} does worst in {worst['world']!r}: {_cell(worst, digits)}.")
        tenths = [(known(row, "worst_decile_eur"), row["world"]) for row in tried]
        if all(math.isfinite(tenth) for tenth, _ in tenths):
            least, world = min(tenths)
            words.append(f"The tenth of users who gain least from it lose most in {world!r}: {number(least, digits)}.")
    closing = paragraph(" ".join(words)) + paragraph("Value over silence, EUR a user, with 95 % intervals.", "faint")
    return Section(title, figures(pictures) + table(head, body, label=title) + closing, name)


def _cell(row: Mapping[str, Any], digits: int) -> str:
    mean, low, high = difference(row)
    return f"{number(mean, digits, signed=True)} ({number(low, digits)} to {number(high, digits)})"
