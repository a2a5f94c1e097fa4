"""From what an agent thinks of the actions to choices: greedy, drawn, and with what probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Choices, Floats, Ints
from policies.batch import exploration
from policies.exploration import Epsilon, Softmax


def greedy_actions(scores: Floats, masks: Bools) -> Ints:
    """Return the eligible action with the highest score, the lowest index of equals, shape (U,).

    Args:
        scores: finite where eligible, shape (U, A).
        masks: shape (U, A), at least one True a row.
    """
    found: Ints = np.where(masks, scores, -np.inf).argmax(axis=1)
    return found


def greedy_choices(scores: Floats, masks: Bools, wants_propensities: bool) -> Choices:
    """Return the best actions, each taken with certainty."""
    return Choices(greedy_actions(scores, masks), np.ones(len(scores)) if wants_propensities else None)


def certainly(actions: Ints, n_actions: int) -> Floats:
    """Return probability 1 for each row's action, shape (U, A)."""
    found = np.zeros((len(actions), n_actions))
    found[np.arange(len(actions)), actions] = 1.0
    return found


def epsilon_probabilities(scores: Floats, masks: Bools, epsilon: float) -> Floats:
    """Return the greedy action's probability 1 - epsilon and epsilon shared by all eligible, shape (U, A).

    The arithmetic is that of documents, so that both agree to the last bit.
    """
    return _explored(scores, masks, Epsilon(epsilon))


def softmax_probabilities(scores: Floats, masks: Bools, temperature: float) -> Floats:
    """Return probabilities in proportion to exp(score / temperature) over the eligible, shape (U, A)."""
    return _explored(scores, masks, Softmax(temperature))


def _explored(scores: Floats, masks: Bools, how: Epsilon | Softmax) -> Floats:
    """Return what `policies.batch` makes of preferences, which has users along the last axis."""
    held = np.where(masks, scores, -np.inf)
    return np.ascontiguousarray(exploration.probabilities(held.T, masks.T, how).T)


def draw_actions(probabilities: Floats, uniforms: npt.NDArray[np.float64]) -> Ints:
    """Return the action whose share of [0, 1) holds each uniform number: `policies.exploration.draw` for many.

    Args:
        probabilities: shape (U, A).
        uniforms: in [0, 1), shape (U,).
    """
    return exploration.draw(probabilities.T, uniforms)


def drawn_choices(probabilities: Floats, rng: np.random.Generator) -> Choices:
    """Return actions drawn by their probabilities, and these."""
    actions = draw_actions(probabilities, rng.random(len(probabilities)))
    return Choices(actions, probabilities[np.arange(len(actions)), actions])
