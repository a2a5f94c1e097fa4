"""Linear models of what follows a decision, and their way into a scorecard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.agent import Floats
from agents.designs import EMAIL, NO_SEND, PUSH, Candidates
from policies.document import Scorecard, Weighted
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_USER_FEATURES, SLOT_FEATURES, USER_FEATURES

MOST_NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-8
HEAD_OF = {"push": PUSH, "email": EMAIL}


def ridge(rows: Floats, outcomes: Floats, weights: Floats, penalty: float) -> Floats:
    """Return the weights that minimise sum w (y - x b)^2 + penalty |b|^2, the constant's not penalised, shape (D,).

    Args:
        rows: regressors, the first of which is 1, shape (N, D).
        outcomes, weights: shape (N,).
        penalty: at least 0, in units of rows.

    Source: Hoerl & Kennard, Ridge Regression (Technometrics 1970).
    """
    weighted = rows * weights[:, None]
    gram = weighted.T @ rows + penalty * _penalised(rows.shape[1])
    return np.asarray(np.linalg.lstsq(gram, weighted.T @ outcomes, rcond=None)[0], np.float64)


def logistic(rows: Floats, outcomes: Floats, weights: Floats, penalty: float) -> Floats:
    """Return the weights of a logistic regression with a ridge, shape (D,): Newton's method with step halving.

    Args:
        rows: regressors, the first of which is 1, shape (N, D).
        outcomes: in [0, 1], or estimates whose means are, at most 1 and above 0 on average, shape (N,).
        weights: shape (N,).
        penalty: half of it times |b|^2 is added to the negative log-likelihood; above 0.

    Raises:
        ValueError: the penalty is not above 0, without which weights may be infinite.

    Source: le Cessie & van Houwelingen, Ridge Estimators in Logistic Regression (Applied Statistics 1992).
    """
    if penalty <= 0:
        raise ValueError(f"logistic: penalty: expected above 0, got {penalty}")
    ridge_matrix = penalty * _penalised(rows.shape[1])
    rate = np.clip(np.average(outcomes, weights=weights), 1e-6, 1 - 1e-6)
    found = np.zeros(rows.shape[1])
    found[0] = np.log(rate / (1 - rate))
    loss = _loss(rows, outcomes, weights, ridge_matrix, found)
    for _ in range(MOST_NEWTON_STEPS):
        shares = _sigmoid(rows @ found)
        gradient = rows.T @ (weights * (shares - outcomes)) + ridge_matrix @ found
        curvature = (rows * (weights * shares * (1 - shares))[:, None]).T @ rows + ridge_matrix
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while True:
            after = _loss(rows, outcomes, weights, ridge_matrix, found - size * step)
            if after <= loss or size < 1e-6:
                break
            size /= 2
        found, gained, loss = found - size * step, loss - after, after
        if gained <= NEWTON_TOLERANCE * max(1.0, abs(loss)):
            break
    return found


def scorecard(design: Candidates, heads: Floats, threshold: float = 0.0) -> Scorecard:
    """Return the scorecard whose score of a candidate is x b[channel] - x_silent b[no_send], on encoded features.

    Args:
        design: by which the regressors were made.
        heads: weights by head, shape (3, D).
        threshold: score of sending nothing.
    """
    scaled = heads[:, 1:] / design.scale
    bases = heads[:, 0] - scaled @ design.mean
    # The row of silence has zeros, standardised, for a candidate's features.
    silent_base = heads[NO_SEND, 0] - scaled[NO_SEND, :N_USER_FEATURES] @ design.mean[:N_USER_FEATURES]
    terms = []
    for k, feature in enumerate(USER_FEATURES):
        points = {name: float(scaled[HEAD_OF[name], k] - scaled[NO_SEND, k]) for name in CHANNELS_OF_A_SLOT}
        terms.append(Weighted(feature.name, points))
    for k, feature in enumerate(SLOT_FEATURES, start=N_USER_FEATURES):
        points = {name: float(scaled[HEAD_OF[name], k]) for name in CHANNELS_OF_A_SLOT}
        terms.append(Weighted(f"slot.{feature.name}", points))
    base = {name: float(bases[HEAD_OF[name]] - silent_base) for name in CHANNELS_OF_A_SLOT}
    return Scorecard(threshold, base, tuple(term for term in terms if any(term.weight.values())))


def _loss(rows: Floats, outcomes: Floats, weights: Floats, ridge_matrix: Floats, found: Floats) -> float:
    margins = rows @ found
    losses = np.logaddexp(0.0, margins) - outcomes * margins
    return float(weights @ losses + 0.5 * found @ ridge_matrix @ found)


def _sigmoid(margins: Floats) -> Floats:
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * margins))
    return found


def _penalised(n_inputs: int) -> npt.NDArray[np.float64]:
    """Return the unit matrix but for the constant."""
    found = np.eye(n_inputs)
    found[0, 0] = 0.0
    return found
