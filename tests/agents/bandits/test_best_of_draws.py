"""The probability that a draw is the highest: against SciPy's adaptive quadrature, closed forms and counting."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr
from scipy.stats import beta, norm

from agents.bandits.beliefs.best_of_betas import best_of_betas
from agents.bandits.beliefs.best_of_normals import DENSITY_AT_0, best_of_normals
from policies.best_of_normals import best_of_normals as of_documents

ERROR = 1e-6
FALSE_ALARM = 1e-6


def by_other_nodes(means: Any, sds: Any, masks: Any) -> Any:
    """The same in NumPy: in each draw's own range, cut at every draw's every half sd; only for sds > 0."""
    n_rows = len(means)
    steps = np.linspace(-8.0, 8.0, 33)
    inner, weights = np.polynomial.legendre.leggauss(8)
    knots = np.where(masks[:, :, None], means[:, :, None] + sds[:, :, None] * steps, means.max(axis=1)[:, None, None])
    knots = np.sort(knots.reshape(n_rows, -1), axis=1)
    half = np.diff(knots, axis=1)[:, :, None] / 2
    t = (knots[:, :-1, None] + half * (1 + inner)).reshape(n_rows, -1)
    share = (half * weights).reshape(n_rows, -1)
    z = (t[:, None, :] - means[:, :, None]) / sds[:, :, None]
    logs = np.where(masks[:, :, None], log_ndtr(z), 0.0)
    others = np.exp(logs.sum(axis=1)[:, None, :] - logs)
    densities = DENSITY_AT_0 * np.exp(-0.5 * z**2) / sds[:, :, None]
    found = np.where(masks, (densities * others * share[:, None, :]).sum(axis=2), 0.0)
    return found


def of_normals(means: Any, sds: Any, masks: Any = None) -> Any:
    means, sds = np.atleast_2d(np.asarray(means, np.float64)), np.atleast_2d(np.asarray(sds, np.float64))
    masks = np.ones(means.shape, np.bool_) if masks is None else np.atleast_2d(masks)
    found = np.full(means.shape, np.nan)
    best_of_normals(means, sds, masks, found)
    return found


def by_quad(laws: list[Any], knots: Any) -> Any:
    """Return the same by adaptive quadrature between knots."""
    knots = np.unique(knots)

    def share(a: int) -> Any:
        def slope(t: float) -> float:
            return float(laws[a].pdf(t) * np.prod([law.cdf(t) for b, law in enumerate(laws) if b != a]))

        return sum(quad(slope, u, v, epsabs=1e-10, limit=200)[0] for u, v in pairwise(knots))

    return np.array([share(a) for a in range(len(laws))])


HARD = {
    "alike": ([0.0] * 5, [1.0] * 5),
    "one much narrower": ([0.0, 0.3, 0.1], [1.0, 1e-6, 2.0]),
    "all scales": ([0.0, 0.01, 1e-4, 0.2], [1.0, 1e-2, 1e-4, 1e-8]),
    "narrow in a wide one's tail": ([0.0, 5.0, 5.0001], [1.0, 1e-3, 1e-4]),
    "far apart": ([0.0, 100.0], [1.0, 1.0]),
    "almost surely one": ([0.0, 5.5], [1.0, 0.3]),
    "large numbers": ([1e6, 1e6 + 1], [1.0, 2.0]),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_normals_against_adaptive_quadrature(name: str) -> None:
    means, sds = HARD[name]
    laws = [norm(m, s) for m, s in zip(means, sds, strict=True)]
    knots = np.add.outer(np.linspace(-9, 9, 19), np.zeros(len(means))) * sds + means
    np.testing.assert_allclose(of_normals(means, sds)[0], by_quad(laws, knots), atol=ERROR)


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_random_normals_against_the_reference(spread: float) -> None:
    rng = np.random.default_rng(5)
    means, sds = rng.normal(size=(300, 8)), np.exp(spread * rng.normal(size=(300, 8)))
    masks = rng.random((300, 8)) < 0.7
    masks[:, 0] |= ~masks.any(axis=1)
    found = of_normals(means, sds, masks)
    np.testing.assert_allclose(found, by_other_nodes(means, sds, masks), atol=ERROR)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert (found[~masks] == 0.0).all()


def test_the_compiled_form_is_that_of_documents() -> None:
    rng = np.random.default_rng(9)
    means, sds = rng.normal(size=(200, 5)), np.exp(4.0 * rng.normal(size=(200, 5)))
    sds[::7, 2] = 0.0
    expected = [of_documents(*rows) for rows in zip(means.tolist(), sds.tolist(), strict=True)]
    np.testing.assert_allclose(of_normals(means, sds), expected, atol=1e-12)


def test_two_normals_in_closed_form() -> None:
    """P(a > b) = Phi((m_a - m_b) / sqrt(s_a^2 + s_b^2))."""
    rng = np.random.default_rng(6)
    means, sds = 3.0 * rng.normal(size=(2_000, 2)), np.exp(5.0 * rng.normal(size=(2_000, 2)))
    expected = ndtr((means[:, 0] - means[:, 1]) / np.hypot(sds[:, 0], sds[:, 1]))
    np.testing.assert_allclose(of_normals(means, sds)[:, 0], expected, atol=ERROR)


def test_a_draw_without_width_is_its_mean_and_the_first_of_equals_wins() -> None:
    np.testing.assert_array_equal(of_normals([1.0, 2.0, 2.0, 0.0], [0.0] * 4), [[0.0, 1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(of_normals([1.0, 2.0], [0.0, 0.0], [True, False]), [[1.0, 0.0]])
    p = ndtr(0.5)  # that N(1, 2^2) exceeds 0
    np.testing.assert_allclose(of_normals([0.0, 1.0, -1.0], [0.0, 2.0, 0.0]), [[1 - p, p, 0.0]], atol=ERROR)
    both = of_normals([0.0, 0.0, 0.0], [1.0, 1.0, 0.0])[0]  # the fixed one wins when both others are below it
    np.testing.assert_allclose(both, [0.375, 0.375, 0.25], atol=ERROR)


def test_a_draw_narrower_than_the_spacing_of_floats_ends() -> None:
    """A panel that moves nothing must not be waited for; compiled code heeds no timer of its own process."""
    code = (
        "import numpy as np\n"
        "from agents.bandits.beliefs.best_of_normals import best_of_normals\n"
        "found = np.zeros((1, 2))\n"
        "best_of_normals(np.array([[0.0, -6.5]]), np.array([[1.0, 1e-16]]), np.ones((1, 2), np.bool_), found)\n"
        "print(*found[0])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120.0)
    assert list(map(float, run.stdout.split())) == pytest.approx([1.0, 0.0], abs=ERROR)


def test_normals_against_counting() -> None:
    """A million draws of 8; each count within the two-sided binomial bound of a millionth, shared by all eight."""
    rng = np.random.default_rng(7)
    means, sds = rng.normal(size=8), np.exp(rng.normal(size=8))
    n = 1_000_000
    counts = np.bincount((means + sds * rng.standard_normal((n, 8))).argmax(axis=1), minlength=8)
    expected = of_normals(means, sds)[0]
    bound = norm.isf(FALSE_ALARM / 16) * np.sqrt(n * expected * (1 - expected)) + 10.0
    assert (abs(counts - n * expected) < bound).all()


@pytest.mark.parametrize(
    ("successes", "failures"),
    [([1, 1, 1], [1, 1, 1]), ([1, 3, 50], [1, 2, 40]), ([1, 1e6, 1e3], [1, 2e7, 2.1e4]), ([1e5 + 1, 1.0], [1.0, 1.0])],
)
def test_betas_against_adaptive_quadrature(successes: list[float], failures: list[float]) -> None:
    laws = [beta(a, b) for a, b in zip(successes, failures, strict=True)]
    knots = np.concatenate([[0.0, 1.0], *(law.ppf([1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9]) for law in laws)])
    masks = np.ones((1, len(laws)), np.bool_)
    found = best_of_betas(np.array(successes, np.float64), np.array(failures, np.float64), masks)[0]
    np.testing.assert_allclose(found, by_quad(laws, knots), atol=ERROR)


def test_two_betas_in_closed_form() -> None:
    """P(Beta(a, 1) > Beta(b, 1)) = a / (a + b): their distribution functions are powers."""
    masks = np.array([[True, True, False], [True, True, True], [False, False, True]])
    found = best_of_betas(np.array([2.0, 5.0, 3.0]), np.ones(3), masks)
    expected = np.array([[2 / 7, 5 / 7, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(found, expected, atol=1e-9)
