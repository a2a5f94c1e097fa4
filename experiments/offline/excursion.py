"""Micro-randomised trials: what a send changes right after it, and how that changes over time.

Weighted, centred least squares: the outcome is regressed on covariates and on (A - p) times the moderators, with
weights that cancel where p is the true probability, so that the effect's coefficients do not depend on whether the
covariates' model is right.

Source: Boruvka, Almirall, Witkiewitz & Murphy, "Assessing time-varying causal effect moderation in mobile health"
(JASA 2018), eq. 5 and its sandwich variance; the small-sample correction of each user's residuals by the hat matrix:
Mancl & DeRouen (Biometrics 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from experiments.compare import Estimate
from experiments.offline.logs.logged import Bools, Floats, Ints


@dataclass(frozen=True)
class Excursion:
    """Coefficients by name, with cluster-robust standard errors.

    Attributes:
        controls: of the covariates.
        effect: of the send: its level and its moderators.
        users: clusters.
        covariance: of the effect's coefficients.
    """

    controls: Mapping[str, Estimate]
    effect: Mapping[str, Estimate]
    users: int
    covariance: Floats

    def p_value(self, name: str) -> float:
        """Return the two-sided p of an effect's coefficient, with as many degrees of freedom as users less all."""
        found = self.effect[name]
        spare = self.users - len(self.controls) - len(self.effect)
        return float(2.0 * t.sf(abs(found.mean / found.standard_error), spare))


def excursion_effect(
    outcome: Floats,
    sent: Floats,
    send_prob: Floats,
    controls: Mapping[str, Floats],
    moderators: Mapping[str, Floats],
    users: Ints,
    *,
    is_corrected: bool = True,
) -> Excursion:
    """Return the effect of a send on the outcome right after it.

    Rows are not weighted. Where the probability of a send varies with more than the moderators, the coefficients are
    those of the effect averaged over rows with the weights p (1 - p), by which rows tell of it, and not of the plain
    average: weights p~ / p of a p~ that depends on the moderators alone would give that (Boruvka et al., section 4).

    Args:
        outcome: finite, shape (N,).
        sent: 0 or 1, shape (N,).
        send_prob: probability of a send at that time, in (0, 1), shape (N,).
        controls: covariates by name, each (N,); a constant is added as `level`.
        moderators: of the effect by name, each (N,); a constant is added as `level`.
        users: whose row it is, shape (N,).
        is_corrected: whether residuals are corrected for small numbers of users.

    Raises:
        ValueError: a probability out of (0, 1), a send that is not 0 or 1, a covariate that is not finite, or fewer
            users than coefficients.
    """
    _require(outcome, sent, send_prob)
    for kind, columns in (("controls", controls), ("moderators", moderators)):
        for name, column in columns.items():
            _require_all(f"{kind}: {name}", column, np.isfinite(column), "a finite number")
    ones = {"level": np.ones(len(outcome))}
    left, right = ones | dict(controls), ones | dict(moderators)
    design = np.column_stack([*left.values(), *((sent - send_prob) * column for column in right.values())])
    _, codes = np.unique(users, return_inverse=True)
    n_users = int(codes.max()) + 1
    if n_users <= design.shape[1]:
        raise ValueError(f"users: expected more than the {design.shape[1]} coefficients, got {n_users}")
    bread = np.linalg.inv(design.T @ design)
    coefficients = bread @ design.T @ outcome
    residuals = outcome - design @ coefficients
    meat = np.zeros_like(bread)
    order = np.argsort(codes, kind="stable")
    for of_user in np.split(order, np.cumsum(np.bincount(codes))[:-1]):
        rows, its = design[of_user], residuals[of_user]
        if is_corrected:
            its = np.linalg.solve(np.eye(len(its)) - rows @ bread @ rows.T, its)
        score = rows.T @ its
        meat += np.outer(score, score)
    covariance = bread @ meat @ bread
    errors = np.sqrt(np.diag(covariance))
    found = [Estimate(float(mean), float(error)) for mean, error in zip(coefficients, errors, strict=True)]
    k = len(left)
    return Excursion(
        dict(zip(left, found[:k], strict=True)), dict(zip(right, found[k:], strict=True)), n_users, covariance[k:, k:]
    )


def _require(outcome: Floats, sent: Floats, send_prob: Floats) -> None:
    checks: tuple[tuple[str, Floats, Bools, str], ...] = (
        ("outcome", outcome, np.isfinite(outcome), "a finite number"),
        ("sent", sent, np.isin(sent, (0, 1)), "0 or 1"),
        ("send_prob", send_prob, (send_prob > 0) & (send_prob < 1), "between 0 and 1"),
    )
    for name, values, is_fine, expected in checks:
        _require_all(name, values, is_fine, expected)


def _require_all(name: str, values: Floats, is_fine: Bools, expected: str) -> None:
    if not is_fine.all():
        row = int(np.argmin(is_fine))
        raise ValueError(f"{name}: expected {expected}, got {values[row]} in row {row}")
