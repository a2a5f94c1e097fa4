"""What is asked of a test: how users are split, how sure it is to be, how often each is measured, how they come in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from experiments.planning.trial import require_inside


@dataclass(frozen=True)
class Repeats:
    """Several measurements of the same user, which are alike: users were drawn, not measurements.

    Attributes:
        per_user: mean number of measurements of a user, at least 1.
        intraclass_correlation: share of the variance that lies between users, in [0, 1].
        per_user_cv: standard deviation of the number of measurements over their mean, at least 0.
    """

    per_user: float = 1.0
    intraclass_correlation: float = 0.0
    per_user_cv: float = 0.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.per_user < math.inf:
            raise ValueError(f"repeats: per_user: expected a finite number of at least 1, got {self.per_user:g}")
        if not 0.0 <= self.intraclass_correlation <= 1.0:
            raise ValueError(
                f"repeats: intraclass_correlation: expected a number from 0 to 1, got {self.intraclass_correlation:g}"
            )
        if not 0.0 <= self.per_user_cv < math.inf:
            raise ValueError(f"repeats: per_user_cv: expected a finite number of at least 0, got {self.per_user_cv:g}")

    @property
    def design_effect(self) -> float:
        """How many times as many measurements are needed as if each came from a user of its own.

        1 + ((1 + cv^2) m - 1) r.

        Source: Kish, Survey sampling (1965), for equal m; Eldridge, Ashby & Kerry (International Journal of
        Epidemiology 2006), for unequal.
        """
        return 1.0 + ((1.0 + self.per_user_cv**2) * self.per_user - 1.0) * self.intraclass_correlation

    @property
    def users_factor(self) -> float:
        """How many times as many users are needed as if each were measured once: design effect / m."""
        return self.design_effect / self.per_user


@dataclass(frozen=True)
class Design:
    """How users are split and what is asked of the test.

    Attributes:
        treated_share: in (0, 1); a holdout of a tenth is .9.
        level: two-sided probability of a false alarm, in (0, 1).
        power: probability to see the effect when it is there, in (level, 1).
        repeats: of the same user.
    """

    treated_share: float = 0.5
    level: float = 0.05
    power: float = 0.8
    repeats: Repeats = field(default_factory=Repeats)

    def __post_init__(self) -> None:
        require_inside("design: treated_share", self.treated_share)
        require_inside("design: level", self.level)
        require_inside("design: power", self.power, self.level, 1.0)

    def split(self, n_users: float) -> tuple[int, int]:
        """Return how many treated and how many others, each rounded up."""
        # A hair less: 200 users at a share of .9 are 20 others, not 21 for the last bit of 1 - .9.
        treated, control = (share * n_users * (1 - 1e-12) for share in (self.treated_share, 1 - self.treated_share))
        return math.ceil(treated), math.ceil(control)


@dataclass(frozen=True)
class Arrivals:
    """How users come into the experiment.

    Attributes:
        users_per_day: new users a day, at least 0.
        users_at_start: who are there on the first day, at least 0.
        observed_days: for how long each user is watched before its outcome is known, at least 0.
    """

    users_per_day: float
    users_at_start: int = 0
    observed_days: int = 0

    def __post_init__(self) -> None:
        for name in ("users_per_day", "users_at_start", "observed_days"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"arrivals: {name}: expected a finite number of at least 0, got {getattr(self, name)}")
        if self.users_per_day == 0 and self.users_at_start == 0:
            raise ValueError("arrivals: expected users_per_day or users_at_start above 0, got 0 for both")

    def users_by(self, n_days: int) -> int:
        """Return how many users' outcomes are known after so many days."""
        if n_days < self.observed_days or n_days < 1:
            return 0
        return self.users_at_start + math.floor(self.users_per_day * (n_days - self.observed_days) + 1e-9)

    def days_for(self, n_users: int) -> int:
        """Return after how many days the outcomes of so many users are known, at least 1.

        Raises:
            ValueError: nobody comes, and there are fewer at the start.
        """
        to_come = n_users - self.users_at_start
        if to_come <= 0:
            return max(1, self.observed_days)
        if self.users_per_day == 0:
            raise ValueError(
                f"arrivals: expected {n_users} users, got {self.users_at_start} at the start and none a day: accept a "
                "larger effect, or let new users in"
            )
        return max(1, math.ceil(to_come / self.users_per_day - 1e-9) + self.observed_days)
