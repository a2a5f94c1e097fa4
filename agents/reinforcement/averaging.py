"""The mean of a network's weights over the end of a training, which is steadier than the last of them.

Where one action is hardly better than another, the luck of the last updates decides which one a greedy policy takes;
in the mean of many networks that luck is gone.

Source: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (SIAM J. Control Optim. 1992).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import State, require_state
from agents.training_extra import missing

try:
    import torch
except ModuleNotFoundError as error:
    raise missing(error) from error

COUNT = "n_averaged"


class AveragedPolicy:
    """A policy whose weights are the mean of those that another one had.

    Args:
        learner: whose weights are averaged.

    Attributes:
        policy: with the mean of what was added; with the learner's first weights while nothing was.
        n_averaged: how often weights were added.
    """

    def __init__(self, learner: Any) -> None:
        self.policy: Any = copy.deepcopy(learner)
        self.n_averaged = 0

    def follow(self, learner: Any) -> None:
        """Be as the learner is now, and forget what was added."""
        self.n_averaged = 0
        self.policy.load_state_dict(learner.state_dict())

    def add(self, learner: Any) -> None:
        """Take the learner's weights into the mean: m += (w - m) / n.

        The first are copied: m + (w - m) is not w to the last bit, and m depends on where portions ended before.
        """
        if self.n_averaged == 0:
            self.follow(learner)
        self.n_averaged += 1
        with torch.no_grad():
            for mean, weights in zip(self.policy.parameters(), learner.parameters(), strict=True):
                mean += (weights - mean) / self.n_averaged

    def state(self) -> State:
        """Return the mean and the count, as arrays."""
        state: State = {name: weights.numpy().copy() for name, weights in self.policy.state_dict().items()}
        return state | {COUNT: np.asarray(self.n_averaged)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned.

        Raises:
            ValueError: it is of another network; nothing has been taken up then.
        """
        require_state({name: array.shape for name, array in self.state().items()}, state)
        self.policy.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in state.items() if n != COUNT})
        self.n_averaged = int(state[COUNT])
