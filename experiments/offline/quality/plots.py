"""Pictures of a model's quality: ROC curve, reliability, Qini curve; one panel each, the finding as its headline."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.agent import Floats
from experiments.offline.quality.calibration import Calibration
from experiments.offline.quality.classification import RocCurve
from experiments.offline.quality.uplift_report import UpliftQuality
from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import BASE, COLOURS, FAINT
from experiments.results import whole_file

SIZE_INCHES = (7.6, 6.4)
MODEL = COLOURS[0]
BAND = 0.15  # opacity of an interval
HEADLINE_LENGTH = 62  # letters that have room on a line
MOST_DOTS = 2_000  # of a curve: more cannot be seen, and make the file slow to draw


def draw_roc(path: Path, curve: RocCurve) -> None:
    """Draw a ROC curve beside the line of scores that know nothing.

    Args:
        path: of the PNG.
        curve: with its area.
    """
    area = curve.auc
    headline = f"The score ranks {100 * area.mean:.1f} % of pairs rightly"
    subtitle = f"AUC {area.mean:.3f}"
    if np.isfinite(area.standard_error):
        subtitle += f", 95 % interval {area.low:.3f} to {area.high:.3f}"
    with _panel(path, headline, subtitle) as ax:
        _diagonal(ax)
        ax.plot(*_thinned(curve.false_positive_rates, curve.true_positive_rates), color=MODEL)
        ax.fill_between(
            *_thinned(curve.false_positive_rates, curve.true_positive_rates), color=MODEL, alpha=0.07, linewidth=0
        )
        ax.annotate("no better\nthan chance", (0.72, 0.70), va="top", color=FAINT, fontsize=9.5)
        _unit_square(ax)
        _labelled(ax, "false positive rate: share of label 0 taken for 1", "true positive rate")


def draw_reliability(path: Path, calibration: Calibration) -> None:
    """Draw what happened against what scores promised, a dot with its 95 % interval for each bin.

    Both axes end where the bins do, so that rare events fill the panel.

    Args:
        path: of the PNG.
        calibration: with its bins and verdict.
    """
    line = calibration.recalibration
    headline, _, figures = calibration.verdict.rstrip(".").partition(": ")
    subtitle = (
        f"{figures[:1].upper()}{figures[1:]}; expected calibration error {calibration.expected_calibration_error:.4f}, "
        f"by chance {calibration.error_by_chance:.4f}"
    )
    bins = calibration.bins
    top = min(1.0, 1.08 * max(max(each.high, each.mean_score) for each in bins))
    with _panel(path, headline, subtitle) as ax:
        ax.plot([0, top], [0, top], color=BASE, linewidth=1.5)
        if np.isfinite(line.slope.mean) and np.isfinite(line.intercept.mean):
            probs = np.linspace(bins[0].mean_score, bins[-1].mean_score, 200)
            log_odds = np.log(probs) - np.log1p(-probs)
            ax.plot(probs, 1 / (1 + np.exp(-line.intercept.mean - line.slope.mean * log_odds)), color=COLOURS[1])
        for each in bins:
            ax.plot([each.mean_score] * 2, [each.low, each.high], color=MODEL, linewidth=2.5, alpha=0.5)
        ax.plot([each.mean_score for each in bins], [each.rate for each in bins], "o", color=MODEL, markersize=6.5)
        ax.set_xlim(0, top)
        ax.set_ylim(0, top)
        _labelled(ax, "mean score of the bin", "share that happened")
        key = {"bins, 95 % Wilson interval": MODEL, "fitted in log-odds": COLOURS[1], "scores that come true": BASE}
        _key(ax, key, "upper left", (0.0, 1.0))


def draw_qini(path: Path, quality: UpliftQuality) -> None:
    """Draw a Qini curve with its interval, beside targeting at random and the score that knows every outcome.

    The panel's height fits the curve; the perfect one, which is often many times as high, leaves it at the top.

    Args:
        path: of the PNG.
        quality: with its curves.
    """
    beats = "better than" if quality.is_better_than_random else "not clearly better than"
    if quality.qini.high < 0:
        beats = "worse than"
    headline = f"Targeting by the score is {beats} random"
    subtitle = (
        f"Area over random {_interval_words(quality.qini.value, quality.qini.low, quality.qini.high)}; "
        f"Q {quality.qini_coefficient.value:.3f} of the perfect score's; {quality.n_rows:,} rows"
    ).replace("-", "\N{MINUS SIGN}")
    at = quality.at_shares
    shares = np.asarray([0.0, *(each.share for each in at)])
    low, high = (np.asarray([0.0, *(getattr(each.qini, end) for each in at)]) for end in ("low", "high"))
    heights = quality.curve.heights
    bottom = min(0.0, float(np.nanmin(low)), float(heights.min()))
    top = max(0.0, float(np.nanmax(high)), float(heights.max())) or 1.0
    room = 0.06 * (top - bottom)
    with _panel(path, headline, subtitle) as ax:
        ax.plot([0, 100], [0, quality.effect.value], color=BASE, linewidth=1.5)
        ax.plot(*_thinned(100 * quality.perfect.shares, quality.perfect.heights), color=COLOURS[2], linewidth=1.5)
        ax.fill_between(100 * shares, low, high, color=MODEL, alpha=BAND, linewidth=0)
        ax.plot(*_thinned(100 * quality.curve.shares, heights), color=MODEL)
        ax.axhline(0, color="#B0B0B0", linewidth=0.8)
        ax.set_xlim(0, 100)
        ax.set_ylim(bottom - room, top + 3 * room)
        _labelled(ax, "% of rows treated, the highest scores first", "what that brings, outcome per row of all")
        key = {"this score, 95 % interval": MODEL, "at random": BASE, "knows every outcome": COLOURS[2]}
        _key(ax, key, "lower right", (0.985, 0.08 - bottom / (top - bottom)))


@contextmanager
def _panel(path: Path, headline: str, subtitle: str) -> Iterator[Axes]:
    """Yield the panel of a page; it is written whole when the block ends well."""
    with rc_context(STYLE), whole_file(path) as partial:
        figure = Figure(SIZE_INCHES, dpi=DOTS_PER_INCH, facecolor="white")
        lines = textwrap.wrap(headline, HEADLINE_LENGTH)
        figure.text(0.035, 0.968, "\n".join(lines), fontsize=14, fontweight="bold", va="top", linespacing=1.25)
        below = 0.968 - 0.046 * len(lines)
        figure.text(0.035, below, subtitle, fontsize=10, color=FAINT, va="top")
        ax = figure.add_axes((0.095, 0.09, 0.87, below - 0.185))
        yield ax
        figure.savefig(partial, format="png")


def _labelled(ax: Axes, x_label: str, y_label: str) -> None:
    """Name the axes; what the height means stands above the panel, in place of a turned label."""
    ax.set_xlabel(x_label)
    ax.text(0, 1.02, y_label, transform=ax.transAxes, fontsize=9.5, color=FAINT, va="bottom")


def _diagonal(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color=BASE, linewidth=1.5)


def _unit_square(ax: Axes) -> None:
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.005)


def _key(
    ax: Axes, colours: dict[str, str], place: Literal["upper left", "lower right"], corner: tuple[float, float]
) -> None:
    """Say which colour is what: lines here cross, so names at their ends would not tell."""
    handles = [ax.plot([], [], color=colour, label=name)[0] for name, colour in colours.items()]
    ax.legend(
        handles=handles, loc=place, bbox_to_anchor=corner, frameon=True, framealpha=0.9, edgecolor="none", fontsize=9.5
    )


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return at most MOST_DOTS points of a curve, its ends among them."""
    last = len(x) - 1
    places = np.unique(np.linspace(0, last, min(last + 1, MOST_DOTS)).round().astype(np.int64))
    return x[places], y[places]


def _interval_words(value: float, low: float, high: float) -> str:
    """Return a figure and its interval with digits enough to tell it from nothing."""
    if not np.isfinite(low):
        return f"{value:.3g}, no interval"
    digits = max(0, 2 - int(np.floor(np.log10(max(abs(low), abs(high), 1e-12)))))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
