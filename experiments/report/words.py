"""Figures as people read them: signs, digits, intervals, shares. What is not known is a dash."""

from __future__ import annotations

import math

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return a number with so many digits after the point."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if not text.strip("+-0.,"):  # no sign before a zero
        text = text.strip("+-")
    return text.replace("-", MINUS)


def digits_for(*values: float | None) -> int:
    """Return how many digits after the point give the largest of some values two significant ones, at most 6."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    if not sizes:
        return 2
    return min(max(1 - math.floor(math.log10(max(sizes))), 0), 6)


def spread(mean: float | None, low: float | None, high: float | None, *, signed: bool = True) -> str:
    """Return a mean and its interval, `+0.123 (0.101 to 0.145)`; the mean alone where there is no interval.

    As many digits as give half the interval's width two significant ones: more would be noise.
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return number(mean, digits_for(mean), signed=signed)
    digits = digits_for((high - low) / 2 or mean)
    return f"{number(mean, digits, signed=signed)} ({number(low, digits)} to {number(high, digits)})"


def share(value: float | None, digits: int = 1) -> str:
    """Return a share as per cent."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{number(100 * value, digits)}{NO_BREAK}%"


def duration(seconds: float) -> str:
    """Return a span of time, `2 h 05 min`, `3 min 20 s`, `4.2 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def is_clear(low: float | None, high: float | None) -> bool:
    """Whether an interval is known and leaves out 0."""
    return low is not None and high is not None and (low > 0 or high < 0)
