"""Tables for the terminal: eighty columns, plain text when piped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from experiments.compare import Comparison, Effect
from experiments.headlines import comparison_headline, run_headline
from simulator.measures import Measures
from simulator.records import MONEY, NANO, Metric

if TYPE_CHECKING:
    from experiments.recording.record import Recorded

LONGEST_HEADER = 10  # letters of a baseline's name that leave room for the rest in 80 columns
LONGEST_NAME = 12
MONEY_NAMES = {
    Metric.SESSION_VALUE: "value of sessions",
    Metric.MARGIN: "margin of orders",
    Metric.DISCOUNT: "discounts",
    Metric.SEND_COST: "cost of sending",
    Metric.COMPLAINT_COST: "cost of complaints",
}


def print_run(console: Console, measures: Measures, policy: str) -> None:
    """Print what one run came to."""
    total = measures.total
    console.print(Text(f"{run_headline(measures, policy)}.", style="bold"))
    console.print(
        f"{measures.scenario}, {policy}: {measures.n_users:,} users, {measures.n_days} days, seed {measures.seed}\n",
        style="dim",
        highlight=False,
    )
    counts = _table(console, "what happened", "", "")
    counts.columns[2].justify = "left"
    for name, amount, note in (
        ("sends", total.of(Metric.SENDS)[0], f"{_number(measures.sends_per_user_week, 2)} per user and week"),
        ("deliveries", total.of(Metric.DELIVERIES)[0], f"{_percent(total.delivery_rate[0])} of sends"),
        ("notices", total.of(Metric.NOTICES)[0], f"{_percent(total.notice_rate[0])} of deliveries"),
        ("opens", total.of(Metric.OPENS)[0], f"{_percent(total.open_rate[0])} of deliveries"),
        ("clicks", total.of(Metric.CLICKS)[0], f"{_percent(total.ctr[0])} of deliveries (CTR)"),
        ("sessions, organic", total.of(Metric.SESSIONS_ORGANIC)[0], ""),
        ("sessions, driven", total.of(Metric.SESSIONS_DRIVEN)[0], "by a message"),
        (
            "orders, organic",
            total.of(Metric.CONVERSIONS_ORGANIC)[0],
            f"{_percent(total.organic_conversion_rate[0])} of organic sessions",
        ),
        (
            "orders, driven",
            total.of(Metric.CONVERSIONS_DRIVEN)[0],
            f"{_percent(total.driven_conversion_rate[0])} of driven sessions",
        ),
        ("opt-outs", total.opt_outs[0], f"{_percent(total.opt_out_rate[0], 2)} of deliveries"),
        ("users who left", total.of(Metric.CHURNS)[0], f"{_percent(measures.churn_rate)} of users"),
        ("satisfaction", None, f"{_number(total.satisfaction[0], 3)} of 1, by survey"),
        (
            "campaigns shown",
            None,
            f"{_percent(measures.exposure_coverage, 0)}; Gini {_number(measures.exposure_gini, 2)}",
        ),
    ):
        counts.add_row(name, "" if amount is None else f"{amount:,}", note)
    console.print(_shown(counts))
    money = _table(console, "value", "EUR", "EUR a user")
    for metric in MONEY:
        _add_money(money, MONEY_NAMES[metric], total.of(metric)[0] / NANO, measures)
    _add_money(money, "together", total.value_eur[0], measures)
    console.print(_shown(money))


def print_recorded(console: Console, recorded: Recorded, headline: str) -> None:
    """Print what a recording came to."""
    console.print(Text(f"{headline}\n", style="bold"))
    table = _table(console, "what was logged", "", "")
    table.columns[2].justify = "left"
    table.add_row("decisions", f"{recorded.n_decisions:,}", "")
    table.add_row("episodes", f"{recorded.n_episodes:,}", "one a user")
    table.add_row(
        "sends", f"{recorded.n_sends:,}", _percent(recorded.n_sends / max(1, recorded.n_decisions)) + " of decisions"
    )
    table.add_row("refused", f"{recorded.n_refused:,}", "asked for, and not sent")
    for kind, n in recorded.outcomes_by_kind().items():
        if n:
            table.add_row(kind.replace("_", "-"), f"{n:,}", "")
    table.add_row("value", f"{recorded.value_nano_eur / NANO:,.2f}", "EUR")
    console.print(_shown(table))


def print_comparison(console: Console, comparison: Comparison, measured: Mapping[str, Measures]) -> None:
    """Print policies side by side."""
    base = comparison.baseline
    console.print(Text(f"{comparison_headline(comparison, measured)}.", style="bold"))
    of = measured[base]
    console.print(
        f"{of.scenario}: {of.n_users:,} users, {of.n_days} days, seed {of.seed}; every policy meets the same luck\n",
        style="dim",
        highlight=False,
    )
    against = f"over {base}" if len(base) <= LONGEST_HEADER else "over baseline"
    units = ("sends\n/week", "CTR\n", "value\nEUR/user", f"{against}\nEUR/user", "incremental\n/driven")
    table = _table(console, "policy\n", *units, "opt-outs\n/100", "left\n")
    table.columns[0].overflow = "fold"
    for effect in comparison.effects:
        m = measured[effect.policy]
        table.add_row(
            effect.policy if len(effect.policy) <= LONGEST_NAME else effect.policy.replace("+", "\n+"),
            _number(effect.sends_per_user_week, 1),
            _percent(m.total.ctr[0]),
            f"{effect.value_eur:.2f}",
            "" if effect.policy == base else _gain(effect),
            "" if effect.incremental_per_driven is None else f"{effect.incremental_per_driven.mean:+.2f}",
            f"{100 * m.total.opt_outs[0] / m.n_ever[-1]:.1f}",
            _percent(m.churn_rate),
        )
    console.print(_shown(table))
    lower = [e.differences["value_eur"].times_lower for e in comparison.effects if e.policy != base]
    finite = [times for times in lower if math.isfinite(times)]
    if finite:
        span = f"{min(finite):.0f}" if len(finite) == 1 else f"{min(finite):.0f} to {max(finite):.0f}"
        console.print(f"± is half a 95 % interval. Luck shared: variance {span} times lower.", highlight=False)
    if comparison.silent is not None and len(lower) > 0:
        console.print(
            "incremental: sessions beyond those of the silent run, per session that a message drove.", highlight=False
        )


def print_rows(console: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of plain text; the first column names the rows."""
    table = _table(console, *head)
    for row in rows:
        table.add_row(*row)
    console.print(_shown(table))


def _gain(effect: Effect) -> str:
    estimate = effect.differences["value_eur"].estimate
    return f"{estimate.mean:+.3f} ±{estimate.high - estimate.mean:.3f}"


def _add_money(table: Table, name: str, eur: float, measures: Measures) -> None:
    table.add_row(name, f"{eur:,.2f}", f"{eur / max(1, measures.n_ever[-1]):.4f}")


def _table(console: Console, *headers: str) -> Table:
    """Return a table whose first column is text and whose others are numbers; ruled where a person looks at it."""
    # A box brings a column of its own between two others, hence less padding.
    style, right = (box.SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)
    table = Table(box=style, pad_edge=False, show_edge=False, padding=(0, right, 0, 0), header_style="dim")
    for k, header in enumerate(headers):
        table.add_column(header, justify="left" if k == 0 else "right", no_wrap=k > 0)
    return table


def _shown(table: Table) -> Padding:
    return Padding(table, (0, 0, 1, 0))


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}%" if math.isfinite(share) else "-"
