"""The probability that a draw of each of some independent normals is the highest: Thompson sampling's propensity.

P(a is highest) = the integral over x of f_a(x) times the product over b != a of F_b(x), a one-dimensional integral
(Thompson 1933 for two; in this form Russo et al. 2018, "A Tutorial on Thompson Sampling", section 3).

The scheme, which other implementations of the same integral may follow:

1. Beyond REACH standard deviations nothing counts: 4e-11 a side. So the integral begins at the highest of the lower
   ends m - REACH sd. From there on every F_b is at least 4e-11, one product serves all arms, and an arm beyond its
   upper end m + REACH sd has F = 1 and f = 0: it needs no more looking at.
2. x counts from the mean of the arm whose lower end that is. All arms that still matter there are wide beside their
   distance from it, so nothing is lost to rounding however unequal the standard deviations.
3. Panels follow each other upwards, each STEP times the smallest standard deviation among the arms not yet at their
   end, with 16 Gauss-Legendre nodes. Where narrow arms end, panels grow. Equal standard deviations take 3 panels. A
   panel narrower than the spacing of floats ends at the next float: its arm ends where the integral begins.
4. A standard deviation of 0 is a known value: a point of mass at the beginning if the beginning is its own, and
   without a chance otherwise. Equal known values: the lowest index has the mass, as in greedy ties.
5. What is found is divided by its sum.

The error is below 1e-8 wherever closed forms or finer panels tell, with up to 201 arms and standard deviations from
1e-300 to 1e300.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from policies.legendre import NODES, WEIGHTS

REACH = 6.5  # standard deviations: P(beyond, on one side) = 4e-11
STEP = 4.34  # of the smallest standard deviation, the width of a panel: 3 for a window
LARGEST = 1e300  # beyond it, numbers are shrunk so that their sums do not overflow
SHRINK = 2.0**-64
_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


def best_of_normals(means: Sequence[float], sds: Sequence[float]) -> list[float]:
    """Return the probability that each is the highest of independent draws, shape (n,).

    Args:
        means: finite, n > 0 of them.
        sds: standard deviations, >= 0; if one is not finite, neither is what is returned.
    """
    n = len(means)
    if not all(map(math.isfinite, sds)):
        return [math.nan] * n
    size = max(*map(abs, means), *sds)
    if size > LARGEST:
        means, sds = [SHRINK * mean for mean in means], [SHRINK * sd for sd in sds]
    first = max(range(n), key=lambda arm: means[arm] - REACH * sds[arm])
    offsets = [mean - means[first] for mean in means]
    found = [0.0] * n
    x = -REACH * sds[first]
    arms = [arm for arm in range(n) if offsets[arm] + REACH * sds[arm] > x]
    if sds[first] == 0.0:
        found[first] = math.prod(_below((x - offsets[arm]) / sds[arm]) for arm in arms)
    while arms:
        highest = max(offsets[arm] + REACH * sds[arm] for arm in arms)
        half = 0.5 * min(STEP * min(sds[arm] for arm in arms), highest - x)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            at = x + half * (1.0 + node)
            scaled = [(at - offsets[arm]) / sds[arm] for arm in arms]
            below = list(map(_below, scaled))
            mass = weight * _DENSITY * math.prod(below)
            for arm, z, share in zip(arms, scaled, below, strict=True):
                found[arm] += mass * (half / sds[arm]) * math.exp(-0.5 * z * z) / share
        x = max(x + 2.0 * half, math.nextafter(x, math.inf))
        arms = [arm for arm in arms if offsets[arm] + REACH * sds[arm] > x]
    total = math.fsum(found)
    return [probability / total for probability in found]


def _below(z: float) -> float:
    """Return the standard normal distribution function."""
    return 0.5 * math.erfc(-z * _ROOT_HALF)
