"""The rows that a model is judged on, checked at the door: labels or outcomes, scores, weights, whose rows they are.

What is computed from them trusts them, so every fault of a column is found here, with its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Floats, Ints, require_finite


@dataclass(frozen=True, eq=False)
class ScoredLabels:
    """What happened, and how likely a model held it; made by `of`.

    Attributes:
        labels: whether it happened, shape (N,).
        scores: higher is more likely; probabilities only where a measure says so, shape (N,).
        weights: at least 0, not all 0, shape (N,); of importance, not how often a row is repeated: doubling all of
            them changes no standard error.
        clusters: 0 to n_clusters - 1, whose row it is, shape (N,); None: rows are independent.
    """

    labels: Bools
    scores: Floats
    weights: Floats
    clusters: Ints | None

    @classmethod
    def of(
        cls,
        labels: npt.ArrayLike,
        scores: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        clusters: npt.ArrayLike | None = None,
    ) -> ScoredLabels:
        """Return checked rows.

        Args:
            labels: 0 or 1, or booleans, shape (N,), N at least 1.
            scores: finite, shape (N,).
            weights: at least 0, not all 0, shape (N,); None: all 1.
            clusters: any values, as a rule user ids, shape (N,); None: rows are independent.

        Raises:
            ValueError: shapes differ, or a value is not as said; the message names the column and the first place.
        """
        checked = column("scores", scores)
        n_rows = len(checked)
        kept = np.ones(n_rows) if weights is None else column("weights", weights, n_rows)
        if kept.min() < 0:
            raise ValueError(
                f"{_first('weights', kept, kept < 0)}: expected at least 0; drop rows that should not count"
            )
        if not kept.any():
            raise ValueError(f"weights: expected one above 0, got {n_rows} of 0")
        codes = None if clusters is None else cluster_codes("clusters", clusters, n_rows)
        return cls(zero_one("labels", labels, n_rows), checked, kept, codes)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.scores)

    @property
    def positive_share(self) -> float:
        """Weighted share of rows whose label is 1."""
        return float(self.weights[self.labels].sum() / self.weights.sum())

    def require_both_classes(self, what: str) -> None:
        """Raise a ValueError unless both labels have weight."""
        share = self.positive_share
        if not 0.0 < share < 1.0:
            raise ValueError(
                f"{what}: labels: expected both 0 and 1, got only {int(share > 0)} in {len(self)} rows with weight; "
                f"log_loss and brier_score can be computed from one class"
            )

    def require_probabilities(self, what: str, *, is_open: bool = False) -> None:
        """Raise a ValueError unless scores are probabilities; strictly between 0 and 1 if the range is open."""
        low, high = (self.scores <= 0, self.scores >= 1) if is_open else (self.scores < 0, self.scores > 1)
        is_outside = low | high
        if is_outside.any():
            bounds = "above 0 and below 1; clip them, for instance to [1e-6, 1 - 1e-6]" if is_open else "from 0 to 1"
            raise ValueError(f"{what}: {_first('scores', self.scores, is_outside)}: expected probabilities {bounds}")


@dataclass(frozen=True, eq=False)
class Trial:
    """Treated and untreated rows with the score that would choose whom to treat; made by `of`.

    Attributes:
        outcomes: of any unit, higher is better, shape (N,).
        is_treated: shape (N,).
        scores: those with higher ones are treated first, shape (N,).
        propensities: probability of having been treated, in (0, 1), shape (N,).
        clusters: 0 to n_clusters - 1, whose row it is, shape (N,).
    """

    outcomes: Floats
    is_treated: Bools
    scores: Floats
    propensities: Floats
    clusters: Ints

    @classmethod
    def of(
        cls,
        outcomes: npt.ArrayLike,
        is_treated: npt.ArrayLike,
        scores: npt.ArrayLike,
        propensities: npt.ArrayLike | None = None,
        clusters: npt.ArrayLike | None = None,
    ) -> Trial:
        """Return checked rows.

        Args:
            outcomes: finite, shape (N,).
            is_treated: 0 or 1, or booleans, shape (N,); both occur.
            scores: finite, shape (N,).
            propensities: probability with which each row was to be treated, whether it was or not, in (0, 1), shape
                (N,); None: the same for all rows.
            clusters: any values, as a rule user ids, shape (N,); None: each row is its own.

        Raises:
            ValueError: shapes differ, a value is not as said, or one of the arms is missing.
        """
        amounts = column("outcomes", outcomes)
        n_rows = len(amounts)
        treated = zero_one("is_treated", is_treated, n_rows)
        if treated.all() or not treated.any():
            missing, got = ("untreated", "all are treated") if treated.all() else ("treated", "none is treated")
            raise ValueError(
                f"is_treated: expected {missing} rows too, for without them there is no effect to see; of {n_rows} "
                f"rows {got}"
            )
        chances = np.full(n_rows, treated.mean())
        if propensities is not None:
            chances = column("propensities", propensities, n_rows)
            require_inside("propensities", chances, "of being treated; 0 and 1 leave an arm unseen: drop such rows")
        codes = np.arange(n_rows) if clusters is None else cluster_codes("clusters", clusters, n_rows)
        return cls(amounts, treated, column("scores", scores, n_rows), chances, codes)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.outcomes)

    @property
    def n_clusters(self) -> int:
        """Number of clusters, as a rule users."""
        return int(self.clusters.max()) + 1


def column(name: str, values: npt.ArrayLike, n_rows: int | None = None) -> Floats:
    """Return finite numbers, shape (N,), of the length expected if one is.

    Raises:
        ValueError: they are not; the message names the first that is not.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"{name}: expected shape (N,) with N at least 1, got {numbers.shape}")
    if n_rows is not None and len(numbers) != n_rows:
        raise ValueError(f"{name}: expected shape ({n_rows},), as the other columns, got {numbers.shape}")
    require_finite(name, numbers)
    return numbers


def zero_one(name: str, values: npt.ArrayLike, n_rows: int) -> Bools:
    """Return booleans out of 0 and 1, shape (N,); raise a ValueError for anything else."""
    numbers = column(name, values, n_rows)
    is_other = (numbers != 0) & (numbers != 1)
    if is_other.any():
        raise ValueError(f"{_first(name, numbers, is_other)}: expected 0 or 1")
    is_one: Bools = numbers == 1
    return is_one


def cluster_codes(name: str, values: npt.ArrayLike, n_rows: int) -> Ints:
    """Return 0, 1, 2, ... for the distinct values in their order, shape (N,)."""
    identities = np.asarray(values)
    if identities.shape != (n_rows,):
        raise ValueError(f"{name}: expected shape ({n_rows},), as the other columns, got {identities.shape}")
    codes: Ints = np.unique(identities, return_inverse=True)[1].astype(np.int64)
    return codes


def require_inside(name: str, chances: Floats, of_what: str) -> None:
    """Raise a ValueError unless all are above 0 and below 1."""
    is_outside = (chances <= 0) | (chances >= 1)
    if is_outside.any():
        raise ValueError(f"{_first(name, chances, is_outside)}: expected probabilities above 0 and below 1 {of_what}")


def cluster_sums(amounts: Floats, clusters: Ints | None) -> Floats:
    """Return sums within clusters, shape (n_clusters, ...); the amounts themselves, shape (N, ...), without."""
    if clusters is None:
        return amounts
    sums = np.zeros((int(clusters.max()) + 1, *amounts.shape[1:]))
    np.add.at(sums, clusters, amounts)
    return sums


def _first(name: str, values: Floats, is_wrong: Bools) -> str:
    """Say where the first wrong value is, what it is, and how many there are."""
    place = int(is_wrong.argmax())
    return f"{name}[{place}] is {values[place]:g} ({int(is_wrong.sum())} such of {len(values)} rows)"
