"""From what a bandit has learned to a policy document with the same probabilities."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from agents.agent import Floats
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.designs import HEADS
from agents.problem import Problem
from policies.document import Arms, Believed, BetaArms, Document, Layer, NetworkInput, Posterior, SlotTerm
from policies.exploration import Exploration
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, SLOT_FEATURES, USER_FEATURES

MADE_BY = "kairos agents.bandits"


def require_slots(name: str, problem: Problem) -> int:
    """Return the number of candidate slots.

    Raises:
        ValueError: the problem has none, so documents have no words for its observations and actions.
    """
    if not problem.n_slots:
        raise ValueError(
            f"to_policy: {name}: expected the problem of the feature vocabulary, which documents are about, got "
            f"{problem.n_features} features from {problem.features[0]!r} and {problem.n_actions} actions"
        )
    return problem.n_slots


def posterior_document(
    name: str,
    problem: Problem,
    posterior: LinearPosterior,
    exploration: Exploration,
    *,
    sd_of_width: float,
    optimism: float = 0.0,
    send_cost: float = 0.0,
    hidden: Floats | None = None,
) -> Document:
    """Return a document of kind posterior: the mean, and a root of the covariance, of each head's weights.

    Args:
        sd_of_width: standard deviation of the score for each unit of width.
        optimism: such standard deviations added to the mean.
        send_cost: taken from every send's mean.
        hidden: weights of a hidden layer of tanh over [1, inputs], shape (units, 1 + inputs); None for none.
    """
    n_slots = require_slots(name, problem)
    layers: tuple[Layer, ...] = ()
    if hidden is not None:
        layers = (Layer(_rows(hidden[:, 1:]), _row(hidden[:, 0]), "tanh"),)
    heads = {}
    for h, head in enumerate(HEADS):
        mean = posterior.theta[h].copy()
        mean[0] -= send_cost if h else 0.0
        root = sd_of_width * np.linalg.cholesky(posterior.inverse[h])
        heads[head] = Believed(_row(mean), tuple(_row(row[: k + 1]) for k, row in enumerate(root)))
    model = Posterior(_inputs(posterior), layers, heads, optimism)
    return Document(name, n_slots, model, exploration, MADE_BY)


def arms_document(
    name: str, problem: Problem, values: Floats, exploration: Exploration, recency_penalty: float = 0.0
) -> Document:
    """Return a document of kind arms: a value for each action, shape (A,), less a penalty for recency."""
    n_slots = require_slots(name, problem)
    terms = (SlotTerm("slot.bucket_recency", -recency_penalty),) if recency_penalty else ()
    return Document(name, n_slots, Arms(_row(values), terms), exploration, MADE_BY)


def beta_arms_document(
    name: str, problem: Problem, successes: Floats, failures: Floats, exploration: Exploration
) -> Document:
    """Return a document of kind beta_arms: what was counted of each action, shapes (A,)."""
    n_slots = require_slots(name, problem)
    return Document(name, n_slots, BetaArms(_row(successes), _row(failures)), exploration, MADE_BY)


def _inputs(posterior: LinearPosterior) -> tuple[NetworkInput, ...]:
    """Return the features that a design over candidates reads, and how it standardises them."""
    names = [feature.name for feature in USER_FEATURES] + [f"slot.{feature.name}" for feature in SLOT_FEATURES]
    mean, scale = posterior.design.mean, posterior.design.scale
    assert len(names) == len(mean) == N_USER_FEATURES + N_SLOT_FEATURES
    return tuple(map(NetworkInput, names, mean.tolist(), scale.tolist()))


def _row(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    assert all(map(math.isfinite, found))
    return found


def _rows(values: npt.NDArray[np.floating]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(_row, values))
