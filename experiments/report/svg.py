"""Drawing as SVG text: scales, ticks, and a canvas. Colours are classes of the page's style, so that dark works too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from experiments.report.page import Mark, escape
from experiments.report.style import COLOUR_STYLE, PICTURE_STYLE
from experiments.report.words import MINUS

WIDTH = 400.0  # of a picture; a phone shows nine tenths of it, so that 11 units of letters stay readable
LETTER = 6.4  # width of a letter at 12 units, about


@dataclass(frozen=True)
class Scale:
    """From values to places: `low` is drawn at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round values between two bounds, about as many as wanted: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    found = []
    while first * step <= high + step * 1e-9:
        found.append(first * step)
        first += 1
    return found


def tick_text(value: float, step: float) -> str:
    """Return a tick's number with the digits that its step needs; thousands as k where steps are thousands."""
    if abs(step) >= 1000:
        return "0" if value == 0 else f"{value / 1000:g}k".replace("-", MINUS)
    digits = next((d for d in range(9) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 9)
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if not text.strip("-0.") else text).replace("-", MINUS)


def widened(values: Sequence[float], *, with_zero: bool = False, room: float = 0.06) -> tuple[float, float]:
    """Return bounds around all finite values, with a little room; (0, 1) where there are none."""
    known = [value for value in values if math.isfinite(value)] + ([0.0] if with_zero else [])
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    more = room * (high - low) or abs(high) * 0.1 or 1.0
    return (low if with_zero and low == 0 else low - more), (high if with_zero and high == 0 else high + more)


@dataclass
class Canvas:
    """A picture that grows by what is drawn on it; places in units, y downwards."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str, dashes: str = "") -> None:
        """Draw a straight line."""
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"{dashed}/>')

    def path(self, points: Sequence[tuple[float, float]], css: str, dashes: str = "") -> None:
        """Draw a line through points."""
        if len(points) > 1:
            dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
            way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.parts.append(f'<path d="{way}" class="{css}"{dashed}/>')

    def area(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Fill what points surround."""
        if len(points) > 2:
            way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.parts.append(f'<path d="{way}Z" class="{css}"/>')

    def rect(self, x: float, y: float, width: float, height: float, css: str, opacity: float = 1.0) -> None:
        """Fill a rectangle."""
        seen = "" if opacity >= 1.0 else f' fill-opacity="{opacity:.3f}"'
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{css}"{seen}/>'
        )

    def dot(self, x: float, y: float, mark: Mark, radius: float = 4.5) -> None:
        """Draw a dot, with its number in it if it has one."""
        size = 8.5 if mark.number else radius
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" class="dot {mark.css}"/>')
        if mark.number:
            self.text(x, y + 3.6, str(mark.number), "in", "middle")

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start") -> None:
        """Write text with its foot at y."""
        kind = f' class="{css}"' if css else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>')

    def svg(self, alt: str) -> str:
        """Return the picture.

        Args:
            alt: what it shows, in words, for those who do not see it.
        """
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-label="{escape(alt)}">{"".join(self.parts)}</svg>'
        )


def shortened(text: str, letters: int) -> str:
    """Return text of at most so many letters, with an ellipsis where some were left out."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def standalone(svg: str) -> str:
    """Return a picture as a file of its own, with its colours for light and dark inside."""
    head, _, rest = svg.partition(">")
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f"{head}><style>{COLOUR_STYLE}{PICTURE_STYLE}</style>{paper}{rest}\n"
