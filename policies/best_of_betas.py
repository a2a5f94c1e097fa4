"""The probability that a draw of each of some independent Betas is the highest: Thompson sampling with counts.

The integral is that of `policies.best_of_normals`, in t = ln(x / (1 - x)). There the density of Beta(a, b),
x^a (1 - x)^b / B(a, b), is smooth and log-concave for any a, b > 0, with slope a (1 - x) - b x and curvature
(a + b) x (1 - x) of its logarithm (Devroye 1986, "Non-Uniform Random Variate Generation", II.2 and IX.4), whereas in
x it may be infinite at both ends. Distribution functions are summed up along the way from the densities, so the work
does not grow with the counts; each is scaled by its own total, so B is not needed either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from policies.legendre import NODES, WEIGHTS, running_weights

LEAST, MOST = 1e-3, 1e9  # of the counts: beyond, a standard deviation is lost in rounding
_LOG_TAIL = math.log(1e-10)  # of what lies beyond a window, on one side
_WIDEST = 4.0  # of a panel, in units of the density's own width
_STEEPEST = 8.0  # change of ln density over a panel
_RUNNING = running_weights()


class _Arm:
    """A Beta in t.

    Attributes:
        low, high: the window that holds all but 1e-10 a side.
    """

    def __init__(self, successes: float, failures: float) -> None:
        self._a, self._b = successes, failures
        self._mode = math.log(successes / failures)
        self._log_x, self._log_1_x = _logs(self._mode)
        self._log_total = 0.0
        self.low, self.high = self._end(-1.0), self._end(1.0)
        self._log_total = math.log(self._total())

    def density(self, t: float) -> float:
        """Return the density at t."""
        return math.exp(self._log_density(t))

    def is_resolved(self, t: float, width: float) -> bool:
        """Return whether 16 nodes suffice for a panel from t on."""
        nearest = min(max(t, 0.0), t + width)  # where x (1 - x) is largest
        log_x, log_1_x = _logs(nearest)
        curvature = (self._a + self._b) * math.exp(log_x + log_1_x)
        steepest = max(abs(self._slope(t)), abs(self._slope(t + width)))
        is_within = t + width <= self.low or t >= self.high
        return is_within or (width * width * curvature <= _WIDEST**2 and width * steepest <= _STEEPEST)

    def _log_density(self, t: float) -> float:
        log_x, log_1_x = _logs(t)
        return self._a * (log_x - self._log_x) + self._b * (log_1_x - self._log_1_x) - self._log_total

    def _slope(self, t: float) -> float:
        return self._a * math.exp(_logs(t)[1]) - self._b * math.exp(_logs(t)[0])

    def _end(self, sign: float) -> float:
        """Return where the tail holds 1e-10, or a little less.

        A log-concave density falls beyond t at least as fast as exp(slope t) does, so its tail holds less than
        density / slope. The density is not scaled yet; but its total is at least the width of the region in which it
        is within a factor e of its peak, 1 / sqrt(curvature), and that is taken for it.
        """
        curvature = self._a * self._b / (self._a + self._b)
        far, near = 1.0 / math.sqrt(curvature), 0.0
        while self._log_tail(self._mode + sign * far) > _LOG_TAIL - 0.5 * math.log(curvature):
            near, far = far, 2.0 * far
        for _ in range(20):
            middle = 0.5 * (near + far)
            if self._log_tail(self._mode + sign * middle) > _LOG_TAIL - 0.5 * math.log(curvature):
                near = middle
            else:
                far = middle
        return self._mode + sign * far

    def _log_tail(self, t: float) -> float:
        return self._log_density(t) - math.log(max(abs(self._slope(t)), 1e-300))

    def _total(self) -> float:
        total, t = 0.0, self.low
        while t < self.high:
            width = _panel([self], t, self.high)
            nodes = (t + 0.5 * width * (1.0 + node) for node in NODES)
            total += 0.5 * width * math.fsum(w * self.density(at) for w, at in zip(WEIGHTS, nodes, strict=True))
            t += width
        return total


def best_of_betas(successes: Sequence[float], failures: Sequence[float]) -> list[float]:
    """Return the probability that each is the highest of independent draws, shape (n,).

    The error is below 1e-7, or 1e-6 where counts approach `MOST`.

    Args:
        successes, failures: parameters a and b, in [LEAST, MOST], n > 0 of each.
    """
    arms = [_Arm(a, b) for a, b in zip(successes, failures, strict=True)]
    found, reached = [0.0] * len(arms), [0.0] * len(arms)
    t, highest = min(arm.low for arm in arms), max(arm.high for arm in arms)
    first = max(arm.low for arm in arms)  # before it some arm is surely higher
    while t < highest:
        width = _panel(arms, t, highest if t >= first else first)
        nodes = [t + 0.5 * width * (1.0 + node) for node in NODES]
        densities: dict[int, list[float]] = {}
        below: list[list[float]] = []
        for k, arm in enumerate(arms):
            if arm.low >= t + width or arm.high <= t:
                below.append([0.0 if arm.low >= t + width else 1.0] * len(NODES))
                continue
            densities[k] = [arm.density(at) for at in nodes]
            below.append([reached[k] + 0.5 * width * sum(map(mul, row, densities[k])) for row in _RUNNING])
            reached[k] += 0.5 * width * sum(map(mul, WEIGHTS, densities[k]))
        if t >= first:
            for place, weight in enumerate(WEIGHTS):
                others = _products_of_others([column[place] for column in below])
                for k, density in densities.items():
                    found[k] += 0.5 * width * weight * density[place] * others[k]
        t += width
    total = math.fsum(found)
    return [probability / total for probability in found]


def _panel(arms: Sequence[_Arm], t: float, highest: float) -> float:
    """Return the width of the next panel: what is left, halved until it suits all."""
    width = highest - t
    while not all(arm.is_resolved(t, width) for arm in arms):
        width *= 0.5
    return width


def _products_of_others(values: Sequence[float]) -> list[float]:
    """Return for each value the product of all others; some may be 0."""
    found = [1.0] * len(values)
    before = after = 1.0
    for k in range(len(values)):
        found[k] *= before
        before *= values[k]
    for k in reversed(range(len(values))):
        found[k] *= after
        after *= values[k]
    return found


def _logs(t: float) -> tuple[float, float]:
    """Return ln x and ln(1 - x) of x = 1 / (1 + exp(-t)), neither of which underflows."""
    if t < 0.0:
        rest = math.log1p(math.exp(t))
        return t - rest, -rest
    rest = math.log1p(math.exp(-t))
    return -rest, -t - rest
