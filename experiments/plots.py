"""Pictures of a run and of a comparison: one page each, drawn without a display.

Colours are Okabe and Ito's, told apart by colour-blind readers too. Lines are named where they end, not in a legend.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.compare import Comparison, Effect
from experiments.headlines import comparison_headline, daily_gain_eur, run_headline
from experiments.report.colours import BASE, COLOURS, FAINT, GRID, INK, LOSS
from simulator.measures import Measures, Retention, ratio
from simulator.records import MONEY, NANO, Floats, Metric

STYLE: Any = {  # the library's type lists every setting that there is
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.labelsize": 9.5,
    "axes.edgecolor": "#B0B0B0",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}
PAGE_INCHES = (13.0, 8.6)
DOTS_PER_INCH = 120  # 1560 x 1032 dots; letters stay readable at 1200
LEAST_OBSERVED = 0.1  # share of users below which a day of a retention curve is mostly noise
HEADLINE_LENGTH = 92
LABEL_LENGTH = 15  # letters that have room beside a panel
LABEL_GAP = 0.075  # of the panel's height, between two names at the ends of lines


def draw_run(path: Path, measures: Measures, policy: str) -> None:
    """Draw one run: retention, hours, fatigue, opt-outs, active users, value."""
    with rc_context(STYLE):
        figure, axes = _page(run_headline(measures, policy), _subtitle(measures, f"policy {policy}"))
        _retention(axes[0], measures)
        _hours(axes[1], measures)
        _fatigue(axes[2], measures)
        _opt_outs(axes[3], measures)
        _active_users(axes[4], measures)
        _value_parts(axes[5], measures)
        figure.savefig(path, format="png")


def draw_comparison(path: Path, comparison: Comparison, measured: Mapping[str, Measures]) -> None:
    """Draw a comparison: value over time and against volume, sessions, retention, opt-outs, reachability."""
    base = measured[comparison.baseline]
    others = [name for name in measured if name != comparison.baseline]
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(others)} | {comparison.baseline: BASE}
    subtitle = _subtitle(base, "vertical bars are 95 % intervals over users")
    with rc_context(STYLE):
        figure, axes = _page(comparison_headline(comparison, measured), subtitle)

        days = np.arange(1, base.n_days + 1)
        gains = {name: (days, daily_gain_eur(measured[name], base)) for name in others}
        _lines(axes[0], gains, colours, "day")
        axes[0].axhline(0, color=BASE, linewidth=1.5)
        _titled(axes[0], f"Value gained over {comparison.baseline}", "EUR per user, so far")
        _value_by_volume(axes[1], comparison, colours)

        n_weeks = base.n_days // 7
        if n_weeks >= 2:
            weeks = np.arange(1, n_weeks + 1)
            sessions = {
                name: 100 * (ratio(m.by_week.sessions, base.by_week.sessions)[:n_weeks] - 1)
                for name, m in measured.items()
                if name != comparison.baseline
            }
            _lines(axes[2], {name: (weeks, share) for name, share in sessions.items()}, colours, "week")
        axes[2].axhline(0, color=BASE, linewidth=1.5)
        _titled(axes[2], "Sessions, organic and driven", f"% more than {comparison.baseline}, by week")

        is_mature = base.mature.observed[0] >= base.new.observed[0]
        curves = {name: _smooth(*_retained(m.mature if is_mature else m.new)) for name, m in measured.items()}
        _lines(axes[3], curves, colours, "day since the start" if is_mature else "day since install")
        who = "Users there from the start" if is_mature else "New users"
        _titled(axes[3], f"{who} come back", "% active that day (7-day mean)")

        opt_outs = {
            name: (days, 100 * sum(m.opt_outs_by_channel.values()) / m.n_ever[-1]) for name, m in measured.items()
        }
        _lines(axes[4], opt_outs, colours, "day", is_from_zero=True)
        _titled(axes[4], "Opt-outs, all channels", "per 100 users, so far")

        reachable = {name: (days - 1, 100 * m.reachable_of_ever) for name, m in measured.items()}
        _lines(axes[5], reachable, colours, "day")
        _titled(axes[5], "Users still open to push", "% of all who were ever there")
        figure.savefig(path, format="png")


# ------------------------------------------------------------------------------------------------ panels of a run


def _retention(ax: Axes, measures: Measures) -> None:
    curves = {}
    for name, curve in (("new", measures.new), ("mature", measures.mature)):
        days, share = _retained(curve)
        # Day 0 of a new user is 100 % by definition, and would flatten the rest.
        if len(days) > 1:
            curves[name] = _smooth(days[1:], share[1:])
    _lines(
        ax,
        curves,
        {"new": COLOURS[0], "mature": COLOURS[1]},
        "day since install, or since the start",
        is_from_zero=True,
    )
    _titled(ax, "Users come back", "% of users active that day (7-day mean)")


def _hours(ax: Axes, measures: Measures) -> None:
    hours = measures.by_local_hour
    lines = {}
    for name, metric in (
        ("organic", Metric.SESSIONS_ORGANIC),
        ("sends", Metric.SENDS),
        ("opens", Metric.OPENS),
    ):
        by_hour = hours.of(metric).reshape(7, 24).sum(axis=0)
        if by_hour.any():
            lines[name] = (np.arange(24), 100 * by_hour / by_hour.sum())
    colours = {"organic": BASE, "sends": COLOURS[1], "opens": COLOURS[0]}
    _lines(ax, lines, colours, "local hour", is_from_zero=True)
    ax.set_xticks([0, 6, 12, 18, 23])
    _titled(ax, "Hours of the day", "% of the day's sends, opens, organic sessions")


def _fatigue(ax: Axes, measures: Measures) -> None:
    days = np.arange(measures.n_days)
    ax.fill_between(days, measures.fatigue, color=COLOURS[0], alpha=0.12, linewidth=0)
    ax.plot(days, measures.fatigue, color=COLOURS[0])
    ax.set_ylim(0, max(1e-9, np.nanmax(measures.fatigue, initial=0.0)) * 1.12 if measures.fatigue.any() else 1)
    ax.margins(x=0.0)
    ax.set_xlabel("day")
    _titled(ax, "Fatigue of those present", "mean, in recent pushes")


def _opt_outs(ax: Axes, measures: Measures) -> None:
    days = np.arange(1, measures.n_days + 1)
    lines = {name: (days, 100 * out / measures.n_ever[-1]) for name, out in measures.opt_outs_by_channel.items()}
    _lines(ax, lines, {"push": COLOURS[0], "email": COLOURS[1]}, "day", is_from_zero=True)
    _titled(ax, "Opt-outs by channel", "per 100 users, so far")


def _active_users(ax: Axes, measures: Measures) -> None:
    days = np.arange(measures.n_days)
    ax.plot(days, measures.dau, color=COLOURS[0], alpha=0.35, linewidth=1.0)
    ax.plot(*_smooth(days, measures.dau.astype(np.float64)), color=COLOURS[0])
    ax.set_ylim(0, max(1, measures.dau.max()) * 1.12)
    ax.margins(x=0.0)
    ax.set_xlabel("day")
    _titled(ax, "Active users", "users a day; bold: 7-day mean")


def _value_parts(ax: Axes, measures: Measures) -> None:
    names = {
        Metric.SESSION_VALUE: "sessions",
        Metric.MARGIN: "margin of orders",
        Metric.DISCOUNT: "discounts",
        Metric.SEND_COST: "sending",
        Metric.COMPLAINT_COST: "complaints",
    }
    parts = [(names[m], measures.total.of(m)[0] / NANO / measures.n_ever[-1]) for m in MONEY]
    parts.append(("value", measures.value_per_user_eur))
    amounts = [amount for _, amount in parts]
    colours = [INK if name == "value" else LOSS if amount < 0 else COLOURS[0] for name, amount in parts]
    ax.barh(range(len(parts)), amounts, color=colours, height=0.62)
    ax.set_yticks(range(len(parts)), [name for name, _ in parts])
    ax.tick_params(axis="y", labelcolor=INK)
    ax.invert_yaxis()
    ax.grid(False)
    ax.axvline(0, color="#B0B0B0", linewidth=0.8)
    ax.spines["left"].set_visible(False)
    low, high = min(*amounts, 0.0), max(*amounts, 0.0)
    room = (high - low or 1.0) * 0.22
    ax.set_xlim(low - (room if low < -0.05 * high else 0), high + room)
    for k, amount in enumerate(amounts):
        offset = (-4 if amount < -0.05 * high else 4, 0)
        side = "right" if offset[0] < 0 else "left"
        at = amount if amount > 0 or side == "right" else 0.0
        ax.annotate(_euro(amount), (at, k), offset, textcoords="offset points", ha=side, va="center", fontsize=9.5)
    _titled(ax, "What the value is made of", f"EUR per user in {measures.n_days} days")


# ------------------------------------------------------------------------------------------ panels of a comparison


def _value_by_volume(ax: Axes, comparison: Comparison, colours: Mapping[str, str]) -> None:
    effects = sorted(comparison.effects, key=lambda effect: effect.sends_per_user_week)
    volume = np.asarray([np.nan_to_num(effect.sends_per_user_week) for effect in effects])
    estimates = [effect.differences["value_eur"].estimate for effect in effects]
    gains = np.asarray([estimate.mean for estimate in estimates])
    ax.plot(volume, gains, color=GRID, linewidth=1.5, zorder=1)
    ax.axhline(0, color=BASE, linewidth=1.0, zorder=1)
    for effect, x, estimate in zip(effects, volume, estimates, strict=True):
        colour = colours[effect.policy]
        ax.plot([x, x], [estimate.low, estimate.high], color=colour, linewidth=2.5, alpha=0.55, solid_capstyle="butt")
        ax.plot([x], [estimate.mean], "o", color=colour, markersize=7)
    ax.margins(x=0.06, y=0.1)
    ax.set_xlabel("sends per user and week")
    low, high = ax.get_ylim()
    texts = {e.policy: e.policy if e.policy == comparison.baseline else f"{e.policy} {_signed(e)}" for e in effects}
    ends = [(effect.policy, 0.0, gain) for effect, gain in zip(effects, gains, strict=True)]
    _name_ends(ax, ends, colours, low, high, texts)
    _titled(ax, f"Value and volume, after {comparison.n_days} days", f"EUR per user over {comparison.baseline}")


# --------------------------------------------------------------------------------------------- parts of all panels


def _page(headline: str, subtitle: str) -> tuple[Figure, list[Axes]]:
    """Return a page with a headline and six panels, left to right, top to bottom."""
    figure = Figure(figsize=PAGE_INCHES, dpi=DOTS_PER_INCH, facecolor="white")
    n_lines = len(textwrap.wrap(headline, HEADLINE_LENGTH))
    lines = textwrap.wrap(headline, min(HEADLINE_LENGTH, len(headline) // max(n_lines, 1) + 10))
    figure.text(0.045, 0.972, "\n".join(lines), fontsize=16, fontweight="bold", va="top", linespacing=1.25)
    figure.text(0.045, 0.972 - 0.037 * len(lines), subtitle, fontsize=10.5, color=FAINT, va="top")
    axes = figure.subplots(2, 3)
    figure.subplots_adjust(left=0.055, right=0.92, top=0.862 - 0.037 * len(lines), bottom=0.07, wspace=0.6, hspace=0.5)
    return figure, list(axes.flat)


def _subtitle(measures: Measures, more: str) -> str:
    people = f"{measures.n_users:,} users"
    return f"{measures.scenario}: {people}, {measures.n_days} days, seed {measures.seed}; {more}"


def _titled(ax: Axes, title: str, unit: str) -> None:
    """Give a panel its title, and under it, in place of a turned label, what its height means."""
    ax.set_title(title, pad=20)
    ax.text(0, 1.025, unit, transform=ax.transAxes, fontsize=9.5, color=FAINT, va="bottom")


def _lines(
    ax: Axes,
    lines: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    colours: Mapping[str, str],
    x_label: str,
    *,
    is_from_zero: bool = False,
) -> None:
    """Draw lines, each named at its right end; the panel's height from 0 if asked."""
    ends: list[tuple[str, float, float]] = []
    for name, (x, y) in lines.items():
        heights = np.asarray(y, np.float64)
        ax.plot(x, heights, color=colours[name])
        known = np.flatnonzero(np.isfinite(heights))
        if len(known):
            ends.append((name, float(np.asarray(x)[known[-1]]), float(heights[known[-1]])))
    ax.set_xlabel(x_label)
    ax.margins(x=0.0)
    low, high = ax.get_ylim()
    if is_from_zero:
        low, high = 0.0, high if any(np.any(np.asarray(y) != 0) for _, y in lines.values()) else 1.0
    ax.set_ylim(low, high)
    _name_ends(ax, ends, colours, low, high)


def _name_ends(
    ax: Axes,
    ends: Sequence[tuple[str, float, float]],
    colours: Mapping[str, str],
    low: float,
    high: float,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write names, or given texts, right of the panel at the heights of lines' ends, apart where they would meet."""
    ordered = sorted(ends, key=lambda end: end[2])
    places = [(y - low) / ((high - low) or 1.0) for _, _, y in ordered]
    shown = {name: _folded(name if texts is None else texts[name]) for name, _, _ in ends}
    heights = [LABEL_GAP * (shown[name].count("\n") + 1) for name, _, _ in ordered]
    spread = _apart(places, heights)
    for (name, _, _), place in zip(ordered, spread, strict=True):
        ax.text(
            1.02,
            place,
            shown[name],
            transform=ax.transAxes,
            color=_dark(colours[name]),
            fontsize=9.5,
            va="center",
            clip_on=False,
        )


def _apart(places: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return rising places moved as little as can be so that labels of the given heights do not overlap.

    Neighbours that would overlap stand side by side around their mean (isotonic regression on the places less what lies
    below them); none goes below the panel, where the axis has its own numbers.
    """
    if not places:
        return []
    below = np.concatenate([[0.0], np.cumsum((np.asarray(heights[:-1]) + np.asarray(heights[1:])) / 2)])
    groups: list[tuple[float, int]] = []  # (where its first stands, less what is below; members)
    for place, offset in zip(places, below, strict=True):
        groups.append((place - float(offset), 1))
        while len(groups) > 1 and groups[-2][0] >= groups[-1][0]:
            (a, n), (b, m) = groups[-2], groups[-1]
            groups[-2:] = [((a * n + b * m) / (n + m), n + m)]
    firsts = [max(first, 0.0) for first, n in groups for _ in range(n)]
    return [first + float(offset) for first, offset in zip(firsts, below, strict=True)]


def _folded(text: str) -> str:
    """Return a policy's name on as many lines as it has options, if it would run into the next panel on one."""
    return text if len(text) <= LABEL_LENGTH else text.replace(" ", "\n").replace("+", "\n+")


def _retained(curve: Retention) -> tuple[Floats, Floats]:
    """Return days and % active, as far as enough users were observed."""
    n = int((curve.observed >= max(1.0, LEAST_OBSERVED * curve.observed[0])).sum())
    return np.arange(n, dtype=np.float64), 100 * curve.share[:n]


def _smooth(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return means over seven days around each day.

    The first days, which fall steeply, have windows as wide as there are days before them; the last have what is left.
    """
    days, heights = np.asarray(x, np.float64), np.asarray(y, np.float64)
    means = [heights[k - min(k, 3) : k + min(k, 3) + 1].mean() for k in range(len(heights))]
    return days, np.asarray(means)


def _euro(amount: float) -> str:
    """Return an amount with enough digits to tell it from nothing."""
    text = f"{amount:.2f}" if abs(amount) >= 0.05 or amount == 0 else f"{amount:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _signed(effect: Effect) -> str:
    """Return a policy's gain of value, EUR per user."""
    return f"{effect.differences['value_eur'].estimate.mean:+.2f}".replace("-", "\N{MINUS SIGN}")


def _dark(colour: str) -> str:
    """Return a colour dark enough for letters on white."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    lightness = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    keep = 1.0 if lightness < 0.5 else 0.5 / lightness
    return f"#{int(red * keep):02x}{int(green * keep):02x}{int(blue * keep):02x}"
