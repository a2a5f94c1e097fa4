"""An experiment's users as they came in: who was treated, what came of each, and what an arm adds up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trial:
    """Users of two arms, in the order in which their outcomes became known.

    Attributes:
        is_treated: shape (N,).
        outcomes: of each user, one number in the unit of the metric (0 or 1, or booleans, for a rate), shape (N,).
        treated_share: the probability with which a user was to be treated, in (0, 1).

    Raises:
        ValueError: shapes or kinds do not fit; there are no users; an outcome is not finite; the share is no share.
    """

    is_treated: Bools
    outcomes: Floats | Ints | Bools
    treated_share: float = 0.5

    def __post_init__(self) -> None:
        given: Any = self.is_treated
        if not isinstance(given, np.ndarray) or given.dtype != np.bool_ or given.ndim != 1:
            raise ValueError(
                "trial: is_treated: expected an array of booleans of shape (N,), for instance arms == 'treated'; "
                f"got {_kind(given)}"
            )
        if not len(given):
            raise ValueError("trial: is_treated: expected at least one user, got none")
        require_numbers("trial: outcomes", self.outcomes, len(given))
        require_inside("trial: treated_share", self.treated_share)

    def __len__(self) -> int:
        return len(self.outcomes)

    def __repr__(self) -> str:
        return f"Trial(users={len(self)}, treated={int(self.is_treated.sum())}, treated_share={self.treated_share})"

    @property
    def treated(self) -> Arm:
        """What the treated add up to."""
        return arm_of(self.outcomes[self.is_treated])

    @property
    def control(self) -> Arm:
        """What the others add up to."""
        return arm_of(self.outcomes[~self.is_treated])


@dataclass(frozen=True)
class Arm:
    """What is left of an arm when its users are forgotten.

    Attributes:
        n_users: at least 0.
        mean: of the outcome; NaN without users.
        variance: s^2 with n - 1; NaN with fewer than two users.
    """

    n_users: int
    mean: float
    variance: float

    @property
    def squared_error(self) -> float:
        """The squared standard error of the mean."""
        return self.variance / self.n_users if self.n_users else float("nan")


def arm_of(outcomes: Floats | Ints | Bools) -> Arm:
    """Return what outcomes of shape (n,) add up to."""
    n = len(outcomes)
    outcomes = np.asarray(outcomes, np.float64)
    mean = float(outcomes.mean()) if n else float("nan")
    return Arm(n, mean, float(outcomes.var(ddof=1)) if n > 1 else float("nan"))


def require_numbers(where: str, values: Any, n: int) -> None:
    """Raise ValueError unless the values are n finite numbers in an array of shape (n,); the worst rows are named."""
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ValueError(f"{where}: expected an array of numbers of shape ({n},), got {_kind(values)}")
    if len(values) != n:
        raise ValueError(f"{where}: expected shape ({n},), got {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        rows = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise ValueError(f"{where}: expected finite numbers, got {len(bad)} that are not, in rows {rows}")


def require_inside(where: str, value: float, low: float = 0.0, high: float = 1.0) -> None:
    """Raise ValueError unless low < value < high."""
    if not low < value < high:
        hint = f"; did you mean {value / 100:g}?" if (low, high) == (0.0, 1.0) and 1.0 < value < 100.0 else ""
        raise ValueError(f"{where}: expected a number between {low:g} and {high:g}, both excluded, got {value:g}{hint}")


def _kind(given: Any) -> str:
    is_array = isinstance(given, np.ndarray)
    return f"{given.dtype} of shape {given.shape}" if is_array else type(given).__name__
