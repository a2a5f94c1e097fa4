"""An estimate with its interval, for one look at a number of users that was fixed before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy.stats import norm, t

from experiments.planning.trial import require_inside


@dataclass(frozen=True)
class Interval:
    """An estimate and how sure it is.

    Attributes:
        mean: in the unit of what is measured.
        standard_error: of the mean.
        low, high: ends of the two-sided interval.
        level: probability that the interval leaves out the truth.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    level: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "mean": finite_or_none(self.mean),
            "standard_error": finite_or_none(self.standard_error),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "level": self.level,
        }

    def in_words(self) -> str:
        """Return the estimate with its interval."""
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g}, {100 * (1 - self.level):.4g} %)"


def interval(mean: float, standard_error: float, *, level: float = 0.05, degrees: float = math.inf) -> Interval:
    """Return an interval by Student's t with so many degrees of freedom; infinitely many: by the normal."""
    require_inside("interval: level", level)
    quantile = norm.isf(level / 2) if math.isinf(degrees) else t.isf(level / 2, degrees)
    margin = float(quantile) * standard_error
    return Interval(mean, standard_error, mean - margin, mean + margin, level)


def finite_or_none(number: float) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinities."""
    return float(number) if math.isfinite(number) else None
