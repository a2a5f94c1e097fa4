"""Gauss-Legendre quadrature with 16 nodes, the one rule by which probabilities are integrated here.

On [-1, 1] it is exact for polynomials up to degree 31 (Abramowitz & Stegun 1964, 25.4.29 and table 25.4).
"""

from __future__ import annotations

_POSITIVE = (
    (0.09501250983763744, 0.18945061045506864),
    (0.2816035507792589, 0.18260341504492364),
    (0.45801677765722737, 0.16915651939500265),
    (0.6178762444026438, 0.1495959888165767),
    (0.755404408355003, 0.12462897125553407),
    (0.8656312023878318, 0.0951585116824926),
    (0.9445750230732326, 0.062253523938647456),
    (0.9894009349916499, 0.027152459411754176),
)
NODES = (*(-node for node, _ in reversed(_POSITIVE)), *(node for node, _ in _POSITIVE))
WEIGHTS = (*(weight for _, weight in reversed(_POSITIVE)), *(weight for _, weight in _POSITIVE))


def running_weights() -> tuple[tuple[float, ...], ...]:
    """Return W with sum over j of W[i][j] f(node j) = the integral of f from -1 to node i, shape (16, 16).

    It integrates the polynomial through the nodes: with P_k Legendre's polynomials, f's coefficients are
    (2 k + 1) / 2 times the sum over j of weight[j] P_k(node j) f(node j), and the integral of P_k from -1 to x is
    (P_{k+1}(x) - P_{k-1}(x)) / (2 k + 1) (Abramowitz & Stegun 1964, 22.7.10 with 22.8.5).
    """
    at_nodes = [_legendre(node, len(NODES) + 1) for node in NODES]
    return tuple(
        tuple(
            weight * 0.5 * (1.0 + to[1] + sum(of[k] * (to[k + 1] - to[k - 1]) for k in range(1, len(NODES))))
            for of, weight in zip(at_nodes, WEIGHTS, strict=True)
        )
        for to in at_nodes
    )


def _legendre(x: float, n: int) -> list[float]:
    """Return P_0(x) to P_{n-1}(x) by Bonnet's recursion."""
    found = [1.0, x]
    for k in range(1, n - 1):
        found.append(((2 * k + 1) * x * found[k] - k * found[k - 1]) / (k + 1))
    return found
