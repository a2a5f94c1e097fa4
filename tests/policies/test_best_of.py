"""The chance of being the best, against closed forms, dense sums over SciPy's distribution functions, and draws."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from policies.batch.best_of_normals import best_of_normals as best_of_many_normals
from policies.best_of_betas import LEAST, MOST, best_of_betas
from policies.best_of_normals import best_of_normals
from policies.legendre import NODES, WEIGHTS, running_weights

Floats = npt.NDArray[np.float64]
FALSE_ALARM = 4.9  # standard errors: two-sided, 1e-6
wide = st.floats(-6, 6).map(lambda power: 10.0**power)


def test_the_rule_is_gauss_and_legendres() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(16)
    np.testing.assert_allclose(NODES, nodes, rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(WEIGHTS, weights, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("degree", range(16))
def test_running_weights_integrate_polynomials(degree: int) -> None:
    nodes = np.asarray(NODES)
    exact = (nodes ** (degree + 1) - (-1.0) ** (degree + 1)) / (degree + 1)
    np.testing.assert_allclose(np.asarray(running_weights()) @ nodes**degree, exact, rtol=0.0, atol=1e-14)


# Normals


@settings(max_examples=300, deadline=None)
@given(st.floats(-8, 8), wide, wide, wide)
@example(0.0, 1e-300, 1e-300, 1e300)
@example(1.0, 1e-300, 1.0, 1.0)
@example(-3.0, 1e300, 1e-300, 1.0)
def test_two_normals(gap: float, first: float, second: float, unit: float) -> None:
    """P(X > Y) = Phi((m - n) / sqrt(s^2 + t^2))."""
    spread = math.hypot(first, second)
    found = best_of_normals([unit, unit + gap * spread], [first, second])
    exact = special.ndtr((unit + gap * spread - unit) / spread)
    assert found == pytest.approx([1.0 - exact, exact], abs=1e-8)


@settings(max_examples=300, deadline=None)
@given(wide, wide, wide, st.floats(-1e3, 1e3))
def test_three_normals_of_one_mean(a: float, b: float, c: float, mean: float) -> None:
    """P(X is above Y and Z) = 1/4 + asin(rho) / (2 pi), rho that of X - Y and X - Z (Sheppard 1899)."""
    found = best_of_normals([mean] * 3, [a, b, c])
    for k, (s, t, u) in enumerate(((a, b, c), (b, a, c), (c, a, b))):
        angle = math.atan2(s * s, math.hypot(s * math.hypot(t, u), t * u))  # asin(rho), well conditioned near 1
        assert found[k] == pytest.approx(0.25 + angle / (2.0 * math.pi), abs=1e-8)


@pytest.mark.parametrize("n", [1, 2, 9, 201])
def test_equal_normals_share(n: int) -> None:
    assert best_of_normals([2.0] * n, [0.5] * n) == pytest.approx([1.0 / n] * n, abs=1e-12)


def test_known_values() -> None:
    chance = float(special.ndtr(-2.0)) ** 2
    expected = [chance, (1 - chance) / 2, (1 - chance) / 2]
    assert best_of_normals([4.0, 0.0, 0.0], [0.0, 2.0, 2.0])[0] == pytest.approx(special.ndtr(2.0) ** 2, abs=1e-10)
    assert best_of_normals([-4.0, 0.0, 0.0], [0.0, 2.0, 2.0]) == pytest.approx(expected, abs=1e-10)
    assert best_of_normals([1.0, 3.0, 3.0], [0.0, 0.0, 0.0]) == [0.0, 1.0, 0.0]  # the lowest of equals, as greedy
    assert best_of_normals([1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 1.0]) == pytest.approx(
        [0.0, special.ndtr(1.0), 0.0, special.ndtr(-1.0)], abs=1e-10
    )
    assert best_of_normals([-5.0, 0.0], [1e-300, 10.0]) == pytest.approx(
        [special.ndtr(-0.5), special.ndtr(0.5)], abs=1e-10
    )


def test_an_arm_narrower_than_the_spacing_of_floats_ends() -> None:
    """At -6.5 floats are 9e-16 apart, and half a panel of 4.34e-16 moves nothing: it must not be waited for."""
    code = (
        "import numpy as np\n"
        "from policies.batch.best_of_normals import best_of_normals as of_many\n"
        "from policies.best_of_normals import best_of_normals\n"
        "print(*best_of_normals([0.0, -6.5], [1.0, 1e-16]))\n"
        "print(*of_many(np.array([[0.0], [-6.5]]), np.array([[1.0], [1e-16]]), np.ones((2, 1), np.bool_))[:, 0])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60.0)
    found = [list(map(float, line.split())) for line in run.stdout.splitlines()]
    assert found == [pytest.approx([1.0, 0.0], abs=1e-8)] * 2


@pytest.mark.parametrize("sd", [math.inf, math.nan])
def test_what_is_not_finite_is_not_hidden(sd: float) -> None:
    assert all(map(math.isnan, best_of_normals([0.0, 1.0], [sd, 1.0])))
    assert np.isnan(best_of_many_normals(np.zeros((2, 1)), np.array([[1.0], [sd]]), np.ones((2, 1), np.bool_))).all()


def dense_normals(means: Floats, sds: Floats) -> Floats:
    """Sums over the steps of each distribution function, on a grid that is dense around every mean."""
    z = np.linspace(-8.5, 8.5, 8_001)
    x = np.unique(np.concatenate([m + s * z for m, s in zip(means, sds, strict=True)]))
    return steps_times_others(np.array([special.ndtr((x - m) / s) for m, s in zip(means, sds, strict=True)]))


def steps_times_others(below: Floats) -> Floats:
    """Return for each arm the sum of its steps times the others' distribution functions, shape (A, grid) to (A,)."""
    middle = (below[:, 1:] + below[:, :-1]) / 2
    steps = np.diff(below, axis=1)
    return np.array([(steps[k] * np.delete(middle, k, 0).prod(axis=0)).sum() for k in range(len(below))])


def random_normals(luck: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    spread = luck.choice((0.0, 0.3, 1.0, 4.0))
    return luck.choice((0.1, 1.0, 5.0)) * luck.normal(size=n), 10.0 ** luck.uniform(-spread, spread, n)


@pytest.mark.parametrize("n", [4, 9])
def test_many_normals(n: int) -> None:
    luck = np.random.default_rng(n)
    for _ in range(6):
        means, sds = random_normals(luck, n)
        found = best_of_normals(means.tolist(), sds.tolist())
        np.testing.assert_allclose(found, dense_normals(means, sds), rtol=0.0, atol=3e-7)  # the sum's own error
        turn = luck.permutation(n)
        np.testing.assert_allclose(
            best_of_normals((5.0 - 3.0 + means[turn]).tolist(), sds[turn].tolist()),
            np.asarray(found)[turn],
            rtol=0.0,
            atol=1e-8,
        )


def test_normals_drawn() -> None:
    luck = np.random.default_rng(1)
    means, sds = np.array([0.0, 0.2, -1.0, 0.5]), np.array([0.0, 0.5, 3.0, 0.05])
    n = 400_000
    shares = np.bincount((means + sds * luck.normal(size=(n, 4))).argmax(axis=1), minlength=4) / n
    found = np.asarray(best_of_normals(means.tolist(), sds.tolist()))
    assert (np.abs(shares - found) <= FALSE_ALARM * np.sqrt(found * (1 - found) / n) + 1e-9).all()


@pytest.mark.parametrize("n", [1, 2, 9, 41])
def test_many_users_at_once_are_each_as_alone(n: int) -> None:
    luck = np.random.default_rng(n)
    columns = [random_normals(luck, n) for _ in range(120)]
    means, sds = (np.array(part).T for part in zip(*columns, strict=True))
    sds[luck.random(sds.shape) < 0.2] = 0.0
    means[:, ::3] = np.round(means[:, ::3])
    sds[:, ::5] = 0.0
    means[:, 0], sds[:, 0] = means[:, 0] * 1e300, 1e300
    means[0, 1:20:4] = 100.0
    eligible = luck.random(means.shape) < 0.7
    eligible[0] = True
    found = best_of_many_normals(means, sds, eligible)
    assert (found[~eligible] == 0.0).all()
    for mean, sd, allowed, chances in zip(means.T, sds.T, eligible.T, found.T, strict=True):
        alone = best_of_normals(mean[allowed].tolist(), sd[allowed].tolist())
        np.testing.assert_allclose(chances[allowed], alone, rtol=0.0, atol=1e-9)


# Betas


def miller(a: int, b: int, c: int, d: int) -> float:
    """P(Beta(c, d) > Beta(a, b)) for whole c, by the finite sum of Cook (2005), "Exact calculation of inequalities"."""
    i = np.arange(c)
    return float(
        np.exp(special.betaln(a + i, b + d) - np.log(d + i) - special.betaln(1 + i, d) - special.betaln(a, b)).sum()
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 2_000), st.integers(1, 2_000), st.integers(1, 300), st.integers(1, 2_000))
def test_two_betas(a: int, b: int, c: int, d: int) -> None:
    exact = miller(a, b, c, d)
    assert best_of_betas([a, c], [b, d]) == pytest.approx([1.0 - exact, exact], abs=1e-8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(math.log10(LEAST), math.log10(MOST)), min_size=2, max_size=6), st.booleans())
def test_a_race(powers: list[float], is_turned: bool) -> None:
    """Beta(a, 1) is below x with probability x ** a, so a is the highest with a / sum: a race of exponential clocks."""
    counts = [10.0**power for power in powers]
    ones = [1.0] * len(counts)
    if is_turned:  # 1 - Beta(a, 1) is Beta(1, a): of two, the higher was the lower
        first, second = counts[:2]
        expected = [second / (first + second), first / (first + second)]
        assert best_of_betas(ones[:2], counts[:2]) == pytest.approx(expected, abs=1e-7)
    else:
        assert best_of_betas(counts, ones) == pytest.approx([a / sum(counts) for a in counts], abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(st.floats(math.log10(LEAST), math.log10(MOST)), st.floats(math.log10(LEAST), math.log10(MOST)))
def test_equal_betas_share_whatever_the_counts(a: float, b: float) -> None:
    found = best_of_betas([10.0**a] * 3, [10.0**b] * 3)
    assert found == pytest.approx([1.0 / 3.0] * 3, abs=1e-9)


def dense_betas(a: Sequence[float], b: Sequence[float]) -> Floats:
    """As `dense_normals`, in ln(x / (1 - x)), around every quantile."""
    p = special.ndtr(np.linspace(-7.5, 7.5, 8_001))
    grids = []
    for s, f in zip(a, b, strict=True):
        low, high = special.betaincinv(s, f, p), special.betaincinv(f, s, p)
        lower, upper = low[(low > 1e-290) & (low < 0.5)], high[(high > 1e-290) & (high < 0.5)]
        grids += [special.logit(lower), -special.logit(upper)]
    t = np.unique(np.concatenate(grids))
    x, rest = special.expit(t), special.expit(-t)
    return steps_times_others(np.array([special.betainc(s, f, x) for s, f in zip(a, b, strict=True)]) * (rest > -1.0))


@pytest.mark.parametrize("n", [3, 9])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 4.0), (4.0, 7.0)])
def test_many_betas(n: int, low: float, high: float) -> None:
    luck = random.Random(n)
    for _ in range(3):
        a = [10 ** luck.uniform(low, high) for _ in range(n)]
        b = [s * math.exp(luck.gauss(0.0, 1.0) * (2.0 / math.sqrt(min(a)) if low else 1.0)) for s in a]
        np.testing.assert_allclose(best_of_betas(a, b), dense_betas(a, b), rtol=0.0, atol=1e-6)


def test_betas_drawn() -> None:
    luck = np.random.default_rng(2)
    a, b = (0.05, 0.5, 3.0, 200.0), (0.05, 0.2, 2.0, 160.0)
    n = 400_000
    shares = np.bincount(luck.beta(a, b, (n, 4)).argmax(axis=1), minlength=4) / n
    found = np.asarray(best_of_betas(a, b))
    assert (np.abs(shares - found) <= FALSE_ALARM * np.sqrt(found * (1 - found) / n)).all()
