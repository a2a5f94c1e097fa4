"""Draws of a finite world by inversion: what happens is a fixed function of state, action and a few uniforms.

The single environment and the vector environment call the same function, so equal uniforms give equal lives.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.exact.finite import FiniteModel, Floats, Ints

N_START_UNIFORMS = 1


def cumulated(probs: Floats) -> Floats:
    """Return cumulated probabilities along the last axis, ending in exactly 1 from the last possible outcome on."""
    sums = np.cumsum(probs, axis=-1)
    return sums / sums[..., -1:]


class Sampler:
    """Draws next states and rewards of a model.

    Args:
        model: the problem.
        is_reward_sampled: whether a reward is win or nothing, less the cost, in place of its expectation.
    """

    def __init__(self, model: FiniteModel, is_reward_sampled: bool) -> None:
        self._model = model
        self._kernels = [cumulated(kernel) for kernel in model.kernels]
        self._start = cumulated(model.start)
        self._is_reward_sampled = is_reward_sampled
        self.n_step_uniforms = len(model.kernels) + 1  # one a part, one for the reward: drawn whether used or not

    def start(self, uniforms: Floats) -> Ints:
        """Return first states, shape (n,), from uniforms, shape (n, 1)."""
        return np.searchsorted(self._start, uniforms[:, 0], side="right").astype(np.int64)

    def step(self, states: Ints, actions: npt.NDArray[np.integer], uniforms: Floats) -> tuple[Ints, Floats]:
        """Return next states and rewards, both of shape (n,).

        Args:
            states: shape (n,).
            actions: allowed ones, shape (n,).
            uniforms: in [0, 1), shape (n, n_step_uniforms).
        """
        now = self._model.parts[states]
        following = np.empty_like(now)
        for part, kernel in enumerate(self._kernels):
            rows = kernel[actions, now[:, part]]
            following[:, part] = (uniforms[:, part, None] >= rows).sum(axis=1)
        if self._is_reward_sampled:
            has_won = uniforms[:, -1] < self._model.win_prob[states, actions]
            rewards = has_won * self._model.win[states, actions] - self._model.cost[states, actions]
        else:
            rewards = self._model.reward[states, actions]
        return self._model.state(following), rewards
