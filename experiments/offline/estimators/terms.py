"""What every estimator of a mean reward comes to: three columns, from which value and uncertainty follow.

    V = mean(direct) + sum(correction) / sum(scale)

`scale` is 1 in plain estimators and the importance weight in self-normalised ones. So value, standard error, bootstrap
and leverage are written once, for all estimators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.offline.logs.logged import Floats, Ints


@dataclass(frozen=True, eq=False)
class Terms:
    """An estimator's columns, each of shape (N,); None for a direct or a correction of 0, and for a scale of 1.

    Raises:
        ValueError: neither a direct nor a correction.
    """

    direct: Floats | None = None
    correction: Floats | None = None
    scale: Floats | None = None

    def __post_init__(self) -> None:
        """Check that there is something."""
        if self.direct is None and self.correction is None:
            raise ValueError("Terms: expected a direct term or a correction, got neither")

    def __len__(self) -> int:
        some = self.direct if self.direct is not None else self.correction
        assert some is not None
        return len(some)

    @property
    def value(self) -> float:
        """V; NaN where all weights of a self-normalised estimator are 0."""
        value = 0.0 if self.direct is None else float(self.direct.mean())
        if self.correction is None:
            return value
        total = float(len(self)) if self.scale is None else float(self.scale.sum())
        return value + float(self.correction.sum()) / total if total else math.nan

    @property
    def influence(self) -> Floats:
        """What each round moves the value by, times N, shape (N,); of mean 0.

        Of a plain mean its deviation; of a ratio R = sum c / sum s, (c - R s) / mean(s): the delta method (Owen, Monte
        Carlo theory, methods and examples, 2013, eq. 9.9).
        """
        moved: Floats = np.zeros(len(self)) if self.direct is None else self.direct - self.direct.mean()
        if self.correction is None:
            return moved
        if self.scale is None:
            moved += self.correction
            moved -= self.correction.mean()
            return moved
        mean = float(self.scale.mean())
        ratio = float(self.correction.mean()) / mean if mean else math.nan
        moved += (self.correction - ratio * self.scale) / mean if mean else math.nan
        return moved

    def standard_error(self, clusters: Ints | None = None) -> float:
        """Return the standard error of the value; NaN with fewer than two clusters.

        With clusters g, sum_g (sum_{i in g} influence_i)^2 / N^2 times G / (G - 1): rounds of one user may depend on
        each other in any way (Liang & Zeger, Biometrika 1986).

        Args:
            clusters: a number from 0 for each user, shape (N,); None: every round is independent.
        """
        sums = self.influence if clusters is None else np.bincount(clusters, self.influence)
        n = len(sums)
        if n < 2:
            return math.nan
        return math.sqrt(n / (n - 1) * float(sums @ sums)) / len(self)

    def columns(self) -> tuple[Floats, Floats, Floats]:
        """Return direct, correction and scale, each of shape (N,)."""
        zeros = np.zeros(len(self))
        return (
            zeros if self.direct is None else self.direct,
            zeros if self.correction is None else self.correction,
            np.ones(len(self)) if self.scale is None else self.scale,
        )
