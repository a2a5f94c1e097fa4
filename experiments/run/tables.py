"""Runs as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import polars as pl

    from experiments.run.readers import KeptRun

# What is shown of a contender: its heading, the outcome, by how much it is multiplied, and its digits.
SHOWN = (
    ("sends/week", "sends_per_user_week", 1.0, 2),
    ("opt-outs, %", "opt_outs", 100.0, 1),
)


def outcome_table(outcomes: pl.DataFrame, reference: str) -> Table:
    """Return contenders by value, the best first.

    Args:
        outcomes: `measures/outcomes`.
        reference: the contender that differences are from.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("contender", overflow="fold")
    table.add_column("EUR/user", justify="right")
    table.add_column(f"over {reference}, 95 %", no_wrap=True)
    for heading, *_ in SHOWN:
        table.add_column(heading, justify="right")
    by_policy = _by_policy(outcomes)
    for policy, rows in sorted(by_policy.items(), key=lambda item: -item[1]["value_eur"]["mean"]):
        value = rows["value_eur"]
        cells = [_scaled(rows.get(outcome), scale, digits) for _, outcome, scale, digits in SHOWN]
        table.add_row(policy, f"{value['mean']:.3f}", gain_words(value), *cells)
    return table


def gain_words(row: dict[str, Any]) -> str:
    """Return a difference with its interval; of the reference itself a dash."""
    if row["difference"] is None:
        return "-"
    return f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"


def run_lines(run: KeptRun, answer: str) -> tuple[Text, Padding]:
    """Return what a list says of a run: its folder, to be copied, when it was made and how long it took; its answer."""
    about = [run.name, str(run.manifest.get("started", ""))[:16].replace("T", " ")]
    seconds = run.manifest.get("duration_s")
    about += [f"{seconds:,.0f} s"] if isinstance(seconds, int | float) else []
    head = Text.assemble((str(run.folder), "bold"), f"  {', '.join(part for part in about if part)}")
    return head, Padding(Text(answer), (0, 0, 0, 2))


def comparison_table(found: pl.DataFrame, names: Sequence[str]) -> Table:
    """Return one row a policy, one column a run: the value over the run's own reference.

    Args:
        found: rows of outcomes with a column `run`.
        names: of the runs, in order.
    """
    table = Table("contender", *names, box=box.SIMPLE_HEAD, pad_edge=False)
    rows = {(row["policy"], row["run"]): row for row in found.to_dicts() if row["outcome"] == "value_eur"}
    for policy in dict.fromkeys(policy for policy, _ in rows):
        cells = []
        for name in names:
            row = rows.get((policy, name))
            cells.append("" if row is None else f"{row['mean']:.3f} EUR, {gain_words(row)}")
        table.add_row(policy, *cells)
    return table


def _by_policy(outcomes: pl.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in outcomes.to_dicts():
        found.setdefault(row["policy"], {})[row["outcome"]] = row
    return found


def _scaled(row: dict[str, Any] | None, scale: float, digits: int) -> str:
    return "-" if row is None or row["mean"] is None else f"{scale * row['mean']:.{digits}f}"
