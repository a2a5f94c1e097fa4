"""The learning curve as a picture: value against steps with its interval and what there is to win, volume beneath."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import BASE, COLOURS, FAINT, INK, LOSS
from experiments.training.figures import Figures
from simulator.records import Floats

WIDTH_INCHES, LEFT_INCHES, RIGHT_INCHES = 9.2, 0.78, 1.75
HEAD_INCHES, FOOT_INCHES, GAP_INCHES = 1.72, 0.62, 0.78  # room above, below and between panels, their titles in it
VALUE_INCHES, PANEL_INCHES = 3.4, 1.2
GAPS_SHOWN = 4.0  # of the way from the best simple rule to the optimum, below the rule
NAME_LENGTH = 17  # letters that have room beside the panel
# What may stand beneath the value: column, title, unit, factor, colour. Of the curve first, else of the portions.
BENEATH: tuple[tuple[str, str, str, float, str], ...] = (
    ("sends_per_user_week", "Sends", "per user and week, greedy policy", 1.0, COLOURS[1]),
    ("opt_outs_per_100", "Opt-outs", "per 100 users until the horizon, greedy policy", 1.0, LOSS),
    ("sends", "Sends while learning", "% of decisions", 100.0, COLOURS[1]),
    ("reward", "Reward while learning", "EUR per decision, mean", 1.0, COLOURS[2]),
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
    with rc_context(STYLE):
        page, axes = _page(len(beneath), headline, subtitle)
        _value(axes[0], curve, unit, references, best_row)
        for ax, panel in zip(axes[1:], beneath, strict=True):
            _panel(ax, *panel)
        limit = max(float(curve.column("n_steps")[-1]), 1.0)
        for ax in axes:
            ax.set_xlim(0, limit)
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _steps(value)))
        for ax in axes[:-1]:
            ax.tick_params(labelbottom=False)
        axes[-1].set_xlabel("decisions, over all users")
        page.savefig(path, format="png")


def _page(n_beneath: int, headline: str, subtitle: str) -> tuple[Page, list[Axes]]:
    """Return a page with a headline, a large panel and some small ones beneath; all measured in inches."""
    inches = HEAD_INCHES + VALUE_INCHES + n_beneath * (GAP_INCHES + PANEL_INCHES) + FOOT_INCHES
    page = Page(figsize=(WIDTH_INCHES, inches), dpi=DOTS_PER_INCH, facecolor="white")
    left, width = LEFT_INCHES / WIDTH_INCHES, 1 - (LEFT_INCHES + RIGHT_INCHES) / WIDTH_INCHES
    at = inches - 0.26
    page.text(left - 0.03, at / inches, headline, fontsize=14.5, fontweight="bold", va="top")
    page.text(left - 0.03, (at - 0.36) / inches, subtitle, fontsize=10, color=FAINT, va="top", linespacing=1.35)
    axes, top = [], inches - HEAD_INCHES
    for height in (VALUE_INCHES, *(PANEL_INCHES,) * n_beneath):
        axes.append(page.add_axes((left, (top - height) / inches, width, height / inches)))
        top -= height + GAP_INCHES
    return page, axes


def _panel(ax: Axes, title: str, unit: str, colour: str, steps: Floats, amounts: Floats) -> None:
    ax.plot(steps, amounts, color=colour)
    if np.nanmin(amounts) >= 0:
        ax.fill_between(steps, 0, amounts, color=colour, alpha=0.12, linewidth=0)
        ax.set_ylim(0, max(float(np.nanmax(amounts)), 1e-12) * 1.15)
    ax.yaxis.set_major_locator(MaxNLocator(3))
    _titled(ax, title, unit)


def _value(ax: Axes, curve: Figures, unit: str, references: Mapping[str, float], best_row: int) -> None:
    steps = curve.column("n_steps")
    has_interval = "over_silence_eur" in curve.columns
    values = curve.column("over_silence_eur" if has_interval else "value_eur")
    if has_interval:
        low, high = curve.column("over_silence_low"), curve.column("over_silence_high")
        ax.fill_between(steps, low, high, color=COLOURS[0], alpha=0.16, linewidth=0)
    is_few = len(steps) <= 40
    ax.plot(steps, values, color=COLOURS[0], marker="o" if is_few else None, markersize=3.5)
    [ring] = ax.plot(steps[best_row], values[best_row], "o", color="white", markersize=8, clip_on=False, zorder=5)
    ring.set_markeredgecolor(COLOURS[0])
    ring.set_markeredgewidth(2)
    names = [("best", float(values[best_row]), COLOURS[0])]
    for name, value in references.items():
        is_optimum = name == "optimum"
        ax.axhline(value, color=INK if is_optimum else BASE, linewidth=1.3, linestyle=(0, (5, 3)), zorder=1)
        names.append((name, value, INK if is_optimum else FAINT))
    ax.margins(y=0.08)
    low_end, high_end = ax.get_ylim()
    least = _least_shown(references)
    if least is not None and low_end < least < values[best_row]:
        low_end, high_end = least, max([*references.values(), *values])
        high_end += 0.06 * (high_end - low_end)
        ax.text(0.012, 0.03, "what lies below is cut off", transform=ax.transAxes, fontsize=9, color=FAINT)
    ax.set_ylim(low_end, high_end)
    places = _apart([((value - low_end) / (high_end - low_end), name, value, colour) for name, value, colour in names])
    for place, name, value, colour in places:
        text = "\n".join([*textwrap.wrap(name, NAME_LENGTH), f"{value:.4g}".replace("-", "\N{MINUS SIGN}")])
        ax.text(1.025, place, text, transform=ax.transAxes, color=colour, fontsize=9.5, va="top")
    _titled(ax, "Value of the greedy policy", unit + (", with its 95 % interval" if has_interval else ""))


def _least_shown(references: Mapping[str, float]) -> float | None:
    """Return how low the panel goes where an optimum is known, so that the way to it is not a hair's breadth."""
    if "optimum" not in references:
        return None
    simple = min(value for name, value in references.items() if name != "optimum")
    return simple - GAPS_SHOWN * (references["optimum"] - simple)


def _apart(labels: Sequence[tuple[float, str, float, str]]) -> list[tuple[float, str, float, str]]:
    """Return labels from the top down, their tops a little above their lines, none into the one before."""
    placed: list[tuple[float, str, float, str]] = []
    highest = math.inf
    for place, name, value, colour in sorted(labels, reverse=True):
        top = min(place + 0.03, highest)
        placed.append((top, name, value, colour))
        highest = top - 0.055 * (1 + len(textwrap.wrap(name, NAME_LENGTH))) - 0.02
    return placed


def _beneath(curve: Figures, portions: Figures) -> list[tuple[str, str, str, Floats, Floats]]:
    found = []
    for column, title, unit, factor, colour in BENEATH:
        table = curve if column in curve.columns else portions
        amounts = factor * table.column(column)
        if column in table.columns and np.isfinite(amounts).sum() > 1:
            found.append((title, unit, colour, table.column("n_steps"), amounts))
    return found[:MOST_BENEATH]


def _titled(ax: Axes, title: str, unit: str) -> None:
    """Give a panel its title, and under it, in place of a turned label, what its height means."""
    ax.set_title(title, pad=21)
    ax.annotate(unit, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9.5, color=FAINT)


def _steps(value: float) -> str:
    """Return a number of steps as people say it: 250 k, 1.5 M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if abs(value) >= 1e3 else f"{value:g}"
