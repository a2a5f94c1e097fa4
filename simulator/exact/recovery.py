"""The recovering arm: an arm whose appeal drops with each send and comes back; how long to wait between sends.

The chance that a send pays after a wait of T hours is p(T) = p0 (1 - drop * 2 ** (-T / half_life)), a send wins
`win_eur` and costs `cost_eur`, and the rate (p(T) win - cost) / T is to be greatest.

Source: the recovering arm of Yancey & Settles (KDD 2020); the optimum is that of the rate's derivative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

N_HALVINGS = 200


@dataclass(frozen=True)
class RecoveringArm:
    """An arm that recovers.

    Attributes:
        rested_prob: p0, in (0, 1].
        drop: share of the appeal that a send takes, in (0, 1].
        half_life_hours: of the drop, > 0.
        win_eur, cost_eur: of a send.

    Raises:
        ValueError: no best wait exists: a send never pays for itself, or pays at once after another.
    """

    rested_prob: float = 0.09
    drop: float = 0.8
    half_life_hours: float = 72.0
    win_eur: float = 0.3
    cost_eur: float = 0.012

    def __post_init__(self) -> None:
        if self.half_life_hours <= 0.0:
            raise ValueError(f"half_life_hours: expected > 0, got {self.half_life_hours}")
        rested_eur = self.rested_prob * self.win_eur
        at_once_eur = rested_eur * (1.0 - self.drop)
        if not at_once_eur < self.cost_eur < rested_eur:
            raise ValueError(
                f"cost_eur: expected more than a send earns at once after another ({at_once_eur:g}) and less than "
                f"a rested one earns ({rested_eur:g}), got {self.cost_eur:g}: else no wait is best"
            )

    def pays_prob(self, wait_hours: float) -> float:
        """Return p(T), the probability that a send after such a wait pays."""
        return self.rested_prob * (1.0 - self.drop * 2.0 ** (-wait_hours / self.half_life_hours))

    def rate_eur_per_hour(self, wait_hours: float) -> float:
        """Return the long-run earnings an hour of sends that far apart."""
        return (self.pays_prob(wait_hours) * self.win_eur - self.cost_eur) / wait_hours

    def best_wait_hours(self) -> float:
        """Return the wait of the greatest rate: the root of p(T) win - cost = T win p'(T), found by halving.

        Left less right grows with T (its slope is -T win p''(T) > 0), from below 0, so the root is the only one.
        """
        low, high = 0.0, self.half_life_hours
        while self._slope(high) < 0.0:
            high *= 2.0
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2.0
            if self._slope(middle) < 0.0:
                low = middle
            else:
                high = middle
        return (low + high) / 2.0

    def _slope(self, wait_hours: float) -> float:
        """Left less right of the equation: minus the rate's derivative, times T squared."""
        decay = math.log(2.0) / self.half_life_hours
        prob_slope = self.rested_prob * self.drop * decay * 2.0 ** (-wait_hours / self.half_life_hours)
        return self.pays_prob(wait_hours) * self.win_eur - self.cost_eur - wait_hours * self.win_eur * prob_slope
