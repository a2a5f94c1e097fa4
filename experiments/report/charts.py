"""Pictures of all pages: lines over time, a front, a heat map, rows with intervals, bars from a middle.

Each takes plain numbers and returns a `Picture` whose alternative text tells what can be read off it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.report.colours import ON_LIGHT
from experiments.report.page import Mark, Picture
from experiments.report.svg import LETTER, WIDTH, Canvas, Scale, shortened, tick_text, ticks, widened
from experiments.report.words import number, spread

_DASHES = ("", "7 4", "2 4", "10 3 2 3")
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 24.0, 40.0
_ROW = 24.0
_PLAIN = Mark("s0")


@dataclass(frozen=True)
class Line:
    """A series: values y (with bounds, if known) at places x; NaN where there is none."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Row:
    """A value with its interval, NaN where unknown, and how it is told apart."""

    name: str
    value: float
    low: float
    high: float
    mark: Mark = _PLAIN
    is_heading: bool = False


@dataclass(frozen=True)
class Spot:
    """A place on a plane, with intervals both ways."""

    name: str
    x: Row
    y: Row


def marks_of(names: Sequence[str]) -> dict[str, Mark]:
    """Return how series are told apart, by name, the same wherever they are drawn: colour, dashes, number."""
    n = len(ON_LIGHT)
    return {
        name: Mark(f"s{k % n}", _DASHES[(k + k // n) % len(_DASHES)] if k else "", k + 1)
        for k, name in enumerate(names)
    }


def line_chart(
    title: str,
    lines: Sequence[Line],
    marks: Mapping[str, Mark],
    *,
    x_label: str,
    y_label: str,
    from_zero: bool = False,
    levels: Mapping[str, float] | None = None,
    caption: str = "",
) -> Picture:
    """Return lines with their bands, and horizontal levels with their names."""
    levels = {name: level for name, level in (levels or {}).items() if math.isfinite(level)}
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in (*line.y, *line.low, *line.high)] + list(levels.values())
    canvas, x_scale, y_scale = _panel(xs, widened(ys, with_zero=from_zero), x_label, y_label)
    for name, level in levels.items():
        y = y_scale(level)
        canvas.line(_LEFT, y, WIDTH - _RIGHT, y, "zero")
        canvas.text(WIDTH - _RIGHT, y - 4, name, "small", "end")
    for line in lines:
        mark = marks[line.name]
        if line.low:
            lower = [(x_scale(x), y_scale(v)) for x, v in zip(line.x, line.low, strict=True) if math.isfinite(v)]
            upper = [(x_scale(x), y_scale(v)) for x, v in zip(line.x, line.high, strict=True) if math.isfinite(v)]
            canvas.area([*lower, *reversed(upper)], f"band {mark.css}")
        points = [(x_scale(x), y_scale(v)) for x, v in zip(line.x, line.y, strict=True) if math.isfinite(v)]
        canvas.path(points, f"line {mark.css}", mark.dashes)
        if len(points) == 1:
            canvas.dot(*points[0], Mark(mark.css), 3.5)
    ends = "; ".join(f"{line.name} ends at {number(_last(line.y), 3)}" for line in lines)
    alt = f"{title}: {y_label} by {x_label}. {ends}."
    legend = tuple((line.name, Mark(marks[line.name].css, marks[line.name].dashes)) for line in lines)
    return Picture(title, canvas.svg(alt), caption, legend)


def front_chart(
    title: str, spots: Sequence[Spot], marks: Mapping[str, Mark], *, x_label: str, y_label: str, caption: str = ""
) -> Picture:
    """Return spots with intervals both ways, and the front: what nothing beats in both less x and more y."""
    xs = [v for spot in spots for v in (spot.x.low, spot.x.high, spot.x.value)]
    ys = [v for spot in spots for v in (spot.y.low, spot.y.high, spot.y.value)]
    canvas, x_scale, y_scale = _panel(list(widened([*xs, 0.0])), widened(ys, room=0.12), x_label, y_label)
    if y_scale.low < 0 < y_scale.high:
        canvas.line(_LEFT, y_scale(0), WIDTH - _RIGHT, y_scale(0), "zero")
    best = front(spots)
    steps: list[tuple[float, float]] = []
    for spot in best:  # a staircase: in between, nothing better is known than the spot to the left
        x, y = x_scale(spot.x.value), y_scale(spot.y.value)
        steps += [(x, steps[-1][1]), (x, y)] if steps else [(x, y)]
    canvas.path(steps, "line base", "4 3")
    for spot in spots:
        x, y, css = x_scale(spot.x.value), y_scale(spot.y.value), f"span {marks[spot.name].css}"
        if math.isfinite(spot.y.low):
            canvas.line(x, y_scale(spot.y.low), x, y_scale(spot.y.high), css)
        if math.isfinite(spot.x.low):
            canvas.line(x_scale(spot.x.low), y, x_scale(spot.x.high), y, css)
    for spot in spots:
        canvas.dot(x_scale(spot.x.value), y_scale(spot.y.value), marks[spot.name])
    on_it = ", ".join(spot.name for spot in best)
    told = "; ".join(f"{s.name}: {number(s.x.value, 2)} and {number(s.y.value, 3)}" for s in spots)
    alt = f"{title}: {y_label} against {x_label}. On the front: {on_it}. {told}."
    return Picture(title, canvas.svg(alt), caption, tuple((spot.name, marks[spot.name]) for spot in spots))


def front(spots: Sequence[Spot]) -> list[Spot]:
    """Return the spots that no other beats, less x and more y being better, by rising x."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda each: (each.x.value, -each.y.value)):
        if not found or spot.y.value > found[-1].y.value:
            found.append(spot)
    return found


def heat_map(
    title: str,
    rows: Mapping[str, Sequence[float]],
    columns: Sequence[str],
    *,
    css: str = "s0",
    x_label: str = "",
    night: Sequence[int] = (),
    caption: str = "",
) -> Picture:
    """Return a map of shares, one row a name: the stronger, the more, each row by its own greatest.

    Args:
        rows: values of at least 0, one a column.
        columns: names.
        night: columns that are underlined.
    """
    letters = min(max([len(name) for name in rows] + [4]), 17)
    left = 8 + letters * LETTER
    width = (WIDTH - left - 2) / max(len(columns), 1)
    canvas = Canvas(WIDTH, 26 + _ROW * len(rows) + 22)
    for r, (name, values) in enumerate(rows.items()):
        y = 6 + r * _ROW
        canvas.text(0, y + _ROW * 0.66, shortened(name, letters), "strong")
        most = max([value for value in values if math.isfinite(value)] + [1e-12])
        for c, value in enumerate(values):
            canvas.rect(left + c * width, y, width - 1, _ROW - 2, f"cell {css}", max(value / most, 0.03))
    foot = 6 + len(rows) * _ROW
    for c in night:
        canvas.line(left + c * width, foot + 2.5, left + (c + 1) * width, foot + 2.5, "night")
    every = max(1, math.ceil(len(columns) / 8))
    for c in range(0, len(columns), every):
        canvas.text(left + (c + 0.5) * width, foot + 18, columns[c], "small", "middle")
    canvas.text(0, foot + 18, x_label, "small")
    peaks = "; ".join(
        f"{name}: most at {columns[max(range(len(values)), key=lambda k: values[k])]}, {100 * max(values):.1f} %"
        for name, values in rows.items()
        if any(values)
    )
    return Picture(title, canvas.svg(f"{title}. {peaks}."), caption)


def interval_chart(
    title: str,
    rows: Sequence[Row],
    *,
    x_label: str,
    levels: Mapping[str, float] | None = None,
    band: tuple[float, float] | None = None,
    caption: str = "",
) -> Picture:
    """Return a forest plot: a row a value with its interval; headings between; levels as vertical lines.

    Args:
        band: a range that is shaded, such as the truth's interval.
    """
    levels = levels or {}
    letters = min(max([len(row.name) for row in rows] + [4]), 24)
    left = 10 + letters * LETTER
    bounds = [v for row in rows if not row.is_heading for v in (row.value, row.low, row.high)]
    low, high = widened([*bounds, *levels.values(), *(band or ())])
    canvas = Canvas(WIDTH, 20 + _ROW * len(rows) + 40)
    scale, foot = Scale(low, high, left, WIDTH - _RIGHT), 20 + _ROW * len(rows)
    if band is not None and math.isfinite(band[0]):
        canvas.rect(scale(band[0]), 14, scale(band[1]) - scale(band[0]), foot - 14, "band base")
    _x_axis(canvas, scale, 14, foot, x_label)
    for name, level in levels.items():
        canvas.line(scale(level), 14, scale(level), foot, "zero")
        anchor = "start" if scale(level) < left + 60 else "end" if scale(level) > WIDTH - 70 else "middle"
        canvas.text(scale(level), 10, name, "small", anchor)
    for r, row in enumerate(rows):
        y = 20 + (r + 0.5) * _ROW
        canvas.text(0, y + 4, shortened(row.name, letters), "strong" if row.is_heading else "")
        if row.is_heading or not math.isfinite(row.value):
            continue
        if math.isfinite(row.low) and math.isfinite(row.high):
            canvas.line(scale(row.low), y, scale(row.high), y, f"span {row.mark.css}")
        canvas.dot(scale(row.value), y, Mark(row.mark.css))
    told = "; ".join(
        f"{row.name}: {spread(row.value, row.low, row.high, signed=False)}" for row in rows if not row.is_heading
    )
    return Picture(title, canvas.svg(f"{title}: {x_label}. {told}."), caption)


@dataclass(frozen=True)
class Swing:
    """How far a result moves when one thing is less, and when it is more."""

    name: str
    less: float
    more: float


def swing_chart(title: str, swings: Sequence[Swing], middle: float, *, x_label: str, caption: str = "") -> Picture:
    """Return a tornado: from the middle to where each thing moves the result; the widest first.

    Bars to the side of 0 that the middle is not on are drawn as losses: there the result turns round.
    """
    ordered = sorted(swings, key=lambda each: -abs(each.more - each.less))
    letters = min(max([len(each.name) for each in ordered] + [4]), 26)
    left = 10 + letters * LETTER
    low, high = widened([v for each in ordered for v in (each.less, each.more)] + [middle, 0.0])
    foot = 20 + _ROW * len(ordered)
    canvas, scale = Canvas(WIDTH, foot + 40), Scale(low, high, left, WIDTH - _RIGHT)
    _x_axis(canvas, scale, 14, foot, x_label)
    for r, each in enumerate(ordered):
        y = 20 + r * _ROW
        canvas.text(0, y + _ROW * 0.66, shortened(each.name, letters), "strong")
        for end, shift, css in ((each.less, 2.0, "s1"), (each.more, _ROW / 2, "s0")):
            turned = end * middle < 0
            a, b = sorted((scale(middle), scale(end)))
            canvas.rect(a, y + shift, max(b - a, 1.0), _ROW / 2 - 3, f"cell {'loss' if turned else css}")
    canvas.line(scale(middle), 14, scale(middle), foot, "axis")
    canvas.line(scale(0), 14, scale(0), foot, "zero")
    canvas.text(scale(0), 10, "0", "small", "middle")
    told = "; ".join(f"{e.name}: {number(e.less, 3)} when less, {number(e.more, 3)} when more" for e in ordered)
    alt = f"{title}: {x_label}, {number(middle, 3)} as it stands. {told}."
    legend = (("less", Mark("s1")), ("more", Mark("s0")), ("the result turns round", Mark("loss")))
    return Picture(title, canvas.svg(alt), caption, legend)


def _panel(
    xs: Sequence[float], y_bounds: tuple[float, float], x_label: str, y_label: str
) -> tuple[Canvas, Scale, Scale]:
    canvas = Canvas(WIDTH, 270)
    known = [x for x in xs if math.isfinite(x)]
    x_scale = Scale(min(known, default=0.0), max(known, default=1.0), _LEFT, WIDTH - _RIGHT)
    y_scale = Scale(*y_bounds, canvas.height - _BOTTOM, _TOP)
    marks = ticks(y_scale.low, y_scale.high)
    for value in marks:
        canvas.line(_LEFT, y_scale(value), WIDTH - _RIGHT, y_scale(value), "grid")
        canvas.text(_LEFT - 6, y_scale(value) + 4, tick_text(value, marks[1] - marks[0] if marks[1:] else 1), "", "end")
    canvas.text(0, 12, y_label, "small")
    _x_axis(canvas, x_scale, None, canvas.height - _BOTTOM, x_label)
    return canvas, x_scale, y_scale


def _x_axis(canvas: Canvas, scale: Scale, top: float | None, foot: float, label: str) -> None:
    marks = ticks(scale.low, scale.high, 4 if scale.end - scale.start < 280 else 6)
    for value in marks:
        if top is not None:
            canvas.line(scale(value), top, scale(value), foot, "grid")
        text = tick_text(value, marks[1] - marks[0] if marks[1:] else 1)
        half = len(text) * 4.2  # the outermost stay on the picture
        canvas.text(min(scale(value), canvas.width - half), foot + 16, text, "", "middle")
    canvas.line(scale.start, foot, scale.end, foot, "axis")
    canvas.text(scale.end, foot + 33, label, "small", "end")


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
