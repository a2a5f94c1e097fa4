"""A run in one picture: what each contender brings, at what price, and how it was learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import BASE, COLOURS, FAINT, INK
from experiments.results import whole_file

if TYPE_CHECKING:
    from experiments.run.readers import KeptRun

WRAPPED = 105  # letters of the headline in a line


def draw_overview(path: Path, run: KeptRun) -> None:
    """Draw the value over the reference, value against opt-outs, and learning curves where something learned."""
    import textwrap

    outcomes = run.measures("outcomes")
    curves = run.measures("curves")
    reference = run.summary["reference"]
    names = list(dict.fromkeys(outcomes["policy"].to_list()))
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(n for n in names if n != reference)}
    colours[reference] = BASE
    has_curves = len(curves) > 0
    with rc_context(STYLE):
        figure = Figure(figsize=(13.0 if has_curves else 9.0, 4.9), dpi=DOTS_PER_INCH)
        axes = figure.subplots(1, 3 if has_curves else 2, squeeze=False)[0]
        figure.subplots_adjust(left=0.115, right=0.975, top=0.72, bottom=0.14, wspace=0.34)
        figure.text(0.02, 0.955, "\n".join(textwrap.wrap(run.summary["answer"], WRAPPED)), va="top",
                    fontsize=13.0, fontweight="bold", color=INK)  # fmt: skip
        _differences(axes[0], _rows(outcomes, "value_eur"), names, reference, colours)
        _opt_outs(axes[1], _rows(outcomes, "value_eur"), _rows(outcomes, "opt_outs"), names, colours)
        if has_curves:
            _curves(axes[2], curves, colours)
        with whole_file(path) as partial:
            figure.savefig(partial, format="png")


def _rows(outcomes: Any, outcome: str) -> dict[str, dict[str, Any]]:
    import polars as pl

    return {row["policy"]: row for row in outcomes.filter(pl.col("outcome") == outcome).to_dicts()}


def _differences(
    ax: Axes, rows: dict[str, dict[str, Any]], names: list[str], reference: str, colours: dict[str, str]
) -> None:
    shown = [name for name in names if name != reference]
    for place, name in enumerate(reversed(shown)):
        row = rows[name]
        ax.plot([row["difference_low"], row["difference_high"]], [place, place], color=colours[name], linewidth=2.0)
        ax.plot(row["difference"], place, "o", color=colours[name], markersize=7)
    ax.axvline(0, color=BASE, linewidth=1.5)
    ax.set_yticks(range(len(shown)), list(reversed(shown)), color=INK)
    ax.set_ylim(-0.7, max(len(shown), 1) - 0.3)
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("EUR a user, 95 %")
    ax.set_title(f"Value over {reference}")


def _opt_outs(
    ax: Axes,
    values: dict[str, dict[str, Any]],
    opt_outs: dict[str, dict[str, Any]],
    names: list[str],
    colours: dict[str, str],
) -> None:
    for name in names:
        x, y = 100 * opt_outs[name]["mean"], values[name]["mean"]
        ax.errorbar(
            x, y, xerr=[[x - 100 * opt_outs[name]["low"]], [100 * opt_outs[name]["high"] - x]],
            yerr=[[y - values[name]["low"]], [values[name]["high"] - y]], fmt="o", color=colours[name],
            ecolor=colours[name], elinewidth=1.2, markersize=7, alpha=0.9,
        )  # fmt: skip
        ax.annotate(name, (x, y), xytext=(6, 6), textcoords="offset points", fontsize=9.5, color=colours[name])
    ax.margins(x=0.18, y=0.12)
    ax.set_xlabel("opt-outs per 100 users, 95 %")
    ax.set_title("Value, EUR a user, and its price")


def _curves(ax: Axes, curves: Any, colours: dict[str, str]) -> None:
    import polars as pl

    trained = curves.filter(pl.col("step").is_not_null())
    for name in dict.fromkeys(trained["contender"].to_list()):
        its = trained.filter(pl.col("contender") == name)
        steps = its["step"].to_numpy() / 1000.0
        ax.plot(steps, its["value_eur"].to_numpy(), "o-", color=colours[name], markersize=4)
        ax.fill_between(
            steps, its["low"].to_numpy(), its["high"].to_numpy(), color=colours[name], alpha=0.15, linewidth=0
        )
        ax.annotate(name, (steps[-1], its["value_eur"][-1]), xytext=(0, 8), textcoords="offset points", ha="right",
                    fontsize=9.5, color=colours[name])  # fmt: skip
    bounds = curves.filter(pl.col("step").is_null())
    for row in bounds.to_dicts():
        ax.axhline(row["value_eur"], color=BASE, linewidth=1.2)
        ax.annotate(row["contender"], (0.01, row["value_eur"]), xycoords=("axes fraction", "data"), xytext=(0, 4),
                    textcoords="offset points", fontsize=9.5, color=FAINT)  # fmt: skip
    ax.axhline(0, color=BASE, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set_xlabel("thousand decisions")
    ax.set_title("Learned: EUR a user over silence")
    ax.margins(x=0.04, y=0.15)
    ax.set_xlim(left=min(0.0, float(np.min(ax.get_xlim()))))
