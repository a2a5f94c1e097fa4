"""When to stop: early stopping on paired evaluation.

The rule: an evaluation is a *clear gain* when the lower end of the 95 % interval of its mean paired difference to the
reference, user by user, lies above `least_gain_eur`. The first evaluation is the first reference; each clear gain is
the next one. `patience` evaluations in a row without a clear gain stop the training. Small gains therefore add up:
the reference stays where it is until they are clear together.

The best evaluation is another matter: it is the one with the highest mean, since all are of the same users; the
earliest of equals. An exact value has no interval: any gain above `least_gain_eur` is clear.

Source: patience as in Prechelt, "Early stopping - but when?" (1998), class UP; the paired interval is a modelling
choice: luck is shared, so that a difference is clear long before a mean is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agents.agent import State, require_state
from experiments.compare import Estimate
from experiments.training.trial import paired
from simulator.records import Floats


class Verdict(NamedTuple):
    """What an evaluation showed.

    Attributes:
        gain: mean paired difference to the reference, EUR; None of the first evaluation.
        is_clear: it is a clear gain.
        is_best: its mean is the highest so far.
    """

    gain: Estimate | None
    is_clear: bool
    is_best: bool


class EarlyStopping:
    """Watches evaluations.

    Args:
        patience: evaluations without a clear gain; None: never stop.
        least_gain_eur: what a clear gain is above, >= 0.

    Attributes:
        n_without: evaluations since the last clear gain.
    """

    def __init__(self, patience: int | None, least_gain_eur: float = 0.0) -> None:
        self.patience = patience
        self.least_gain_eur = least_gain_eur
        self.n_without = 0
        self._reference: Floats = np.zeros(0)
        self._best_mean = -np.inf

    @property
    def should_stop(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.n_without >= self.patience

    def judge(self, values: Floats) -> Verdict:
        """Take an evaluation into account.

        Args:
            values: EUR, of the same users each time, shape (U,).
        """
        mean = float(values.mean())
        is_best = mean > self._best_mean
        self._best_mean = max(mean, self._best_mean)
        gain = paired(values, self._reference) if len(self._reference) else None
        is_clear = gain is not None and gain.low > self.least_gain_eur
        if gain is None or is_clear:
            self._reference = values.copy()
            self.n_without = 0
        else:
            self.n_without += 1
        return Verdict(gain, is_clear, is_best)

    def state(self) -> State:
        """Return all that the next verdict depends on."""
        return {
            "n_without": np.asarray(self.n_without),
            "best_mean": np.asarray(self._best_mean),
            "reference": self._reference.copy(),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Go on where a state was taken."""
        require_state({"n_without": (), "best_mean": (), "reference": state["reference"].shape}, state)
        self.n_without = int(state["n_without"])
        self._best_mean = float(state["best_mean"])
        self._reference = np.asarray(state["reference"], np.float64)
