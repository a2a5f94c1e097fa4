"""What a bandit remembers: sums over the past, in which every decision counts for ever, less and less, or for a while.

    sums = Sums({"n": (3,), "reward": (3,)}, Discounted(factor=0.99))
    sums.add({"n": counts, "reward": rewards})
    sums.totals["n"]

An update is one call of `add`, however many decisions it sums; time is counted in updates.

Source: discounted and sliding-window sums of Garivier & Moulines (ALT 2011), sections 2.1 and 2.2, there with one
decision an update.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agents.agent import Floats, State, require_state
from agents.bandits.settings import Discounted, Forever, Window


class Sums:
    """Named arrays, each the sum of what the updates brought.

    A window keeps what each of its updates brought and adds it up anew, so that nothing is ever subtracted: sums that
    are corrected by differences drift, and a precision matrix that drifts is no longer positive.

    Attributes:
        totals: the sums, by name.
        n_updates: made so far.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], forgetting: Forever | Discounted | Window) -> None:
        self.shapes = dict(shapes)
        self.forgetting = forgetting
        self.totals: dict[str, Floats] = {name: np.zeros(shape) for name, shape in shapes.items()}
        self.n_updates = 0
        length = forgetting.n_updates if isinstance(forgetting, Window) else 0
        self._ring = {name: np.zeros((length, *shape)) for name, shape in shapes.items()} if length else {}

    def add(self, brought: Mapping[str, Floats]) -> None:
        """Count an update's sums.

        Args:
            brought: an array for each name, of its shape.
        """
        for name, values in brought.items():
            match self.forgetting:
                case Forever():
                    self.totals[name] += values
                case Discounted(factor=factor):
                    self.totals[name] *= factor
                    self.totals[name] += values
                case Window(n_updates=length):
                    self._ring[name][self.n_updates % length] = values
                    self.totals[name] = self._ring[name].sum(axis=0)
        self.n_updates += 1

    def state(self) -> State:
        """Return all of it, as arrays by name."""
        kept = self._ring or self.totals
        return {"n_updates": np.asarray([self.n_updates]), **{name: array.copy() for name, array in kept.items()}}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned.

        Raises:
            ValueError: other names or shapes.
        """
        kept = self._ring or self.totals
        require_state({"n_updates": (1,), **{name: array.shape for name, array in kept.items()}}, state)
        self.n_updates = int(state["n_updates"][0])
        for name in self.shapes:
            values = np.array(state[name], np.float64)
            if self._ring:
                self._ring[name] = values
                values = values.sum(axis=0)
            self.totals[name] = values
