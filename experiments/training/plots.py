"""The learning curve as a picture: value against steps with its interval and what there is to win, volume beneath."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.plots import BASE, COLOURS, DOTS_PER_INCH, FAINT, INK, STYLE
from experiments.training.figures import Figures
from simulator.records import Floats

PANEL_INCHES, VALUE_INCHES, WIDTH_INCHES = 1.75, 3.9, 9.2
# What may stand beneath the value: column, title, unit, factor. Of the curve first, else of the portions.
BENEATH: tuple[tuple[str, str, str, float], ...] = (
    ("sends_per_user_week", "Sends", "per user and week, greedy policy", 1.0),
    ("opt_outs_per_100", "Opt-outs", "per 100 users until the horizon, greedy policy", 1.0),
    ("sends", "Sends while learning", "% of decisions", 100.0),
    ("reward", "Reward while learning", "mean per decision", 1.0),
)
MOST_BENEATH = 2


def draw_curve(
    path: Path,
    curve: Figures,
    portions: Figures,
    *,
    headline: str,
    subtitle: str,
    unit: str,
    references: Mapping[str, float],
    best_row: int,
) -> None:
    """Draw a learning curve.

    Args:
        path: of the PNG.
        curve: a row an evaluation.
        portions: a row a portion of learning.
        headline, subtitle: the page's.
        unit: of the value.
        references: lines to see the value against, by name.
        best_row: the evaluation to mark.
    """
    beneath = _beneath(curve, portions)
    heights = [VALUE_INCHES, *(PANEL_INCHES for _ in beneath)]
    with rc_context(STYLE):
        page = Page(figsize=(WIDTH_INCHES, sum(heights) + 1.9), dpi=DOTS_PER_INCH, facecolor="white")
        inches = page.get_figheight()
        page.text(0.075, 1 - 0.24 / inches, headline, fontsize=15, fontweight="bold", va="top")
        page.text(0.075, 1 - 0.62 / inches, subtitle, fontsize=10, color=FAINT, va="top")
        grid = page.add_gridspec(
            len(heights), 1, height_ratios=heights, left=0.075, right=0.8, top=1 - 1.35 / inches, bottom=0.55 / inches,
            hspace=0.55 if beneath else 0.0,
        )  # fmt: skip
        axes = [page.add_subplot(grid[k]) for k in range(len(heights))]
        _value(axes[0], curve, unit, references, best_row)
        for ax, (title, unit_beneath, steps, amounts) in zip(axes[1:], beneath, strict=True):
            ax.plot(steps, amounts, color=COLOURS[1])
            ax.fill_between(steps, 0, amounts, color=COLOURS[1], alpha=0.12, linewidth=0)
            if np.nanmin(amounts) >= 0:
                ax.set_ylim(0, max(float(np.nanmax(amounts)), 1e-12) * 1.15)
            ax.yaxis.set_major_locator(MaxNLocator(3))
            _titled(ax, title, unit_beneath)
        limit = max(float(curve.column("n_steps")[-1]), 1.0)
        for ax in axes:
            ax.set_xlim(0, limit)
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _steps(value)))
        for ax in axes[:-1]:
            ax.tick_params(labelbottom=False)
        axes[-1].set_xlabel("decisions, over all users")
        page.savefig(path, format="png")


def _value(ax: Axes, curve: Figures, unit: str, references: Mapping[str, float], best_row: int) -> None:
    steps = curve.column("n_steps")
    has_interval = "over_silence_eur" in curve.columns
    values = curve.column("over_silence_eur" if has_interval else "value_eur")
    if has_interval:
        low, high = curve.column("over_silence_low"), curve.column("over_silence_high")
        ax.fill_between(steps, low, high, color=COLOURS[0], alpha=0.16, linewidth=0)
    is_few = len(steps) <= 40
    ax.plot(steps, values, color=COLOURS[0], marker="o" if is_few else None, markersize=3.5)
    [ring] = ax.plot(steps[best_row], values[best_row], "o", color="white", markersize=8)
    ring.set_markeredgecolor(COLOURS[0])
    ring.set_markeredgewidth(2)
    names = [("best", float(values[best_row]), COLOURS[0])]
    for name, value in references.items():
        is_optimum = name == "optimum"
        ax.axhline(value, color=INK if is_optimum else BASE, linewidth=1.3, linestyle=(0, (5, 3)), zorder=1)
        names.append((name, value, INK if is_optimum else FAINT))
    ax.margins(y=0.08)
    low_end, high_end = ax.get_ylim()
    ax.set_ylim(low_end, high_end)
    places = _apart([((value - low_end) / (high_end - low_end), name, value, colour) for name, value, colour in names])
    for place, name, value, colour in places:
        ax.text(1.02, place, f"{name}\n{value:.4g}", transform=ax.transAxes, color=colour, fontsize=9.5, va="center")
    _titled(ax, "Value of the greedy policy", unit + (", with its 95 % interval" if has_interval else ""))


def _apart(labels: Sequence[tuple[float, str, float, str]], gap: float = 0.13) -> list[tuple[float, str, float, str]]:
    """Return labels from the top down, each at least `gap` of the panel below the one before."""
    placed: list[tuple[float, str, float, str]] = []
    for place, name, value, colour in sorted(labels, reverse=True):
        highest = placed[-1][0] - gap if placed else math.inf
        placed.append((min(place, highest), name, value, colour))
    return placed


def _beneath(curve: Figures, portions: Figures) -> list[tuple[str, str, Floats, Floats]]:
    found = []
    for column, title, unit, factor in BENEATH:
        table = curve if column in curve.columns else portions
        amounts = factor * table.column(column)
        if column in table.columns and np.isfinite(amounts).sum() > 1:
            found.append((title, unit, table.column("n_steps"), amounts))
    return found[:MOST_BENEATH]


def _titled(ax: Axes, title: str, unit: str) -> None:
    """Give a panel its title, and beside it, in place of a turned label, what its height means."""
    ax.set_title(title, pad=20)
    ax.text(0, 1, unit, transform=ax.transAxes, fontsize=9.5, color=FAINT, va="bottom")


def _steps(value: float) -> str:
    """Return a number of steps as people say it: 250 k, 1.5 M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 1e3 else f"{value:g}"
