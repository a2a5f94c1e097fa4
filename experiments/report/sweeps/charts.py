"""Pictures over several fields: a map of two, and lines across all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from experiments.report.page import Picture
from experiments.report.svg import LETTER, WIDTH, Canvas, shortened
from experiments.report.sweeps.reading import Level, SweepFolder, shown
from experiments.report.words import digits_for, number

MOST_LINES = 400
_ROW = 30.0


def value_map(
    title: str,
    row_names: Sequence[str],
    column_names: Sequence[str],
    values: npt.NDArray[np.float64],
    *,
    row_label: str,
    column_label: str,
    caption: str = "",
) -> Picture:
    """Return a map of values with their numbers: the darker, the more.

    Args:
        values: shape (rows, columns); NaN where nothing was tried.
    """
    letters = min(max([len(name) for name in row_names] + [4]), 16)
    left = 8 + letters * LETTER
    width = (WIDTH - left) / max(len(column_names), 1)
    foot = 22 + _ROW * len(row_names)
    canvas = Canvas(WIDTH, foot + 36)
    canvas.text(0, 12, row_label, "small")
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    digits = digits_for((high - low) / 2 or high)
    for r, name in enumerate(row_names):
        y = 22 + r * _ROW
        canvas.text(0, y + _ROW * 0.62, shortened(name, letters), "strong")
        for c in range(len(column_names)):
            value = float(values[r, c])
            if math.isfinite(value):
                shade = 0.06 + 0.5 * ((value - low) / (high - low) if high > low else 0.5)
                canvas.rect(left + c * width, y, width - 2, _ROW - 2, "cell s0", shade)
                text = number(value, digits)
                if len(text) * LETTER <= width:
                    canvas.text(left + (c + 0.5) * width - 1, y + _ROW * 0.62, text, "strong", "middle")
    fits = max(int(width / LETTER), 3)
    for c, name in enumerate(column_names):
        canvas.text(left + (c + 0.5) * width, foot + 14, shortened(name, fits), "small", "middle")
    canvas.text(WIDTH, foot + 31, column_label, "small", "end")
    told = "; ".join(
        f"{row_names[r]} and {column_names[c]}: {number(float(values[r, c]), digits)}"
        for r in range(len(row_names))
        for c in range(len(column_names))
        if math.isfinite(values[r, c])
    )
    return Picture(title, canvas.svg(f"{title}, by {row_label} and {column_label}. {told}."), caption)


def parallel_chart(title: str, sweep: SweepFolder, *, caption: str = "") -> Picture:
    """Return a line for each setting across an axis for each field and one for the result; the best tenth stand out."""
    ranked = sweep.ranked()
    n_best = max(1, len(ranked) // 10)
    shown_ones = ranked[:n_best] + ranked[n_best:][:: max(1, len(ranked) // MOST_LINES)]
    axes = [_places([setting.levels[field] for setting in ranked]) for field in sweep.fields]
    means = [setting.mean for setting in ranked]
    canvas, top, foot = Canvas(WIDTH, 270), 34.0, 226.0
    xs = np.linspace(24, WIDTH - 24, len(axes) + 1)
    low, high = min(means), max(means)
    for setting in reversed(shown_ones):
        k = ranked.index(setting)
        heights = [places[k] for places, _, _ in axes] + [(setting.mean - low) / ((high - low) or 1.0)]
        points = [(float(x), foot - (foot - top) * height) for x, height in zip(xs, heights, strict=True)]
        canvas.path(points, "line s0 best" if k < n_best else "line base faint")
    digits = digits_for((high - low) / 2 or high)
    labels = [(bottom, above) for _, bottom, above in axes] + [(number(low, digits), number(high, digits))]
    names = [field.rpartition(".")[2] for field in sweep.fields] + ["result"]
    fits = max(int((WIDTH / len(xs)) / LETTER), 4)
    for x, (bottom, above), name in zip(xs.tolist(), labels, names, strict=True):
        anchor = "start" if x == xs[0] else "end" if x == xs[-1] else "middle"
        edge = x - 24 if anchor == "start" else x + 24 if anchor == "end" else x
        canvas.line(x, top, x, foot, "axis")
        canvas.text(edge, top - 10, shortened(above, fits), "small", anchor)
        canvas.text(edge, foot + 15, shortened(bottom, fits), "small", anchor)
        canvas.text(edge, foot + 34, shortened(name, fits), "strong", anchor)
    best = "; ".join(setting.in_words() for setting in ranked[: min(n_best, 3)])
    return Picture(title, canvas.svg(f"{title}. {len(ranked)} settings. Best: {best}."), caption)


def _places(levels: Sequence[Level]) -> tuple[list[float], str, str]:
    """Return where levels stand on an axis, 0 to 1, and the names of its ends; logarithmic where spans are wide."""
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        values = np.asarray(levels, np.float64)
        low, high = float(values.min()), float(values.max())
        if low > 0 and high / low >= 50:
            values = np.log(values)
        span = float(values.max() - values.min()) or 1.0
        return ((values - values.min()) / span).tolist(), shown(low), shown(high)
    kinds = list(dict.fromkeys(shown(level) for level in levels))
    last = max(len(kinds) - 1, 1)
    return [kinds.index(shown(level)) / last for level in levels], kinds[0], kinds[-1] if len(kinds) > 1 else ""
