"""What an agent decides about: the entries of an observation with their ranges, and the actions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.rows import all_as_expected
from policies.vocabulary import action_names, feature_names, features, n_features

SLACK = 1e-5  # beyond an entry's range, relative to its size: float32 carries 6e-8
MOST_TOLD = 5


@dataclass(frozen=True, eq=False)
class Problem:
    """A decision problem as an agent sees it.

    Attributes:
        features: names of an observation's entries, K of them.
        low, high: their ranges, float32, shape (K,).
        actions: names, A of them; the first is to send nothing.
        n_slots: C, where the features are the vocabulary's and the actions a document's; else 0.
    """

    features: tuple[str, ...]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    actions: tuple[str, ...]
    n_slots: int = 0

    @property
    def n_features(self) -> int:
        """K."""
        return len(self.features)

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.actions)

    @cached_property
    def reach(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The lowest and the highest values that are let in: the ranges and a little slack, shapes (K,)."""
        slack = (SLACK * np.maximum(1.0, np.maximum(abs(self.low), abs(self.high)))).astype(np.float32)
        return self.low - slack, self.high + slack

    def to_data(self) -> dict[str, Any]:
        """Return plain data: what a checkpoint is checked against."""
        return {
            "features": list(self.features),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "actions": list(self.actions),
        }

    def check(self, observations: npt.NDArray[np.floating[Any]], masks: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return masks as booleans, shape (U, A), once all is as an agent expects it.

        Args:
            observations: finite and within the ranges, shape (U, K).
            masks: True, or 1, where an action is eligible, shape (U, A).

        Raises:
            ValueError: wrong shapes; entries outside their range, all entries of the first such row at once; a row in
                which nothing is eligible.
        """
        named: tuple[tuple[str, Any], ...] = (("observations", observations), ("masks", masks))
        for name, given in named:
            if not isinstance(given, np.ndarray) or given.dtype.kind not in "biuf":
                got = f"dtype {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
                raise ValueError(f"{name}: expected a NumPy array of numbers, got {got}")
        if observations.ndim != 2 or observations.shape[1] != self.n_features:
            raise ValueError(f"observations: expected shape (U, {self.n_features}), got {observations.shape}")
        if masks.shape != (len(observations), self.n_actions):
            raise ValueError(f"masks: expected shape ({len(observations)}, {self.n_actions}), got {masks.shape}")
        low, high = self.reach
        is_plain = observations.dtype == np.float32 and masks.dtype == np.bool_
        # The usual case in one pass; what other types hold, and what is wrong, is found below.
        if is_plain and all_as_expected(observations, masks, low, high):
            return masks.copy()
        # Comparisons with NaN are false, so a NaN is not within.
        is_within = (observations >= low) & (observations <= high)
        if not is_within.all():
            row = int(is_within.all(axis=1).argmin())
            wrong = np.flatnonzero(~is_within[row])
            told = "; ".join(
                f"{self.low[k]:g} <= {self.features[k]} <= {self.high[k]:g}, got {observations[row, k]:g}"
                for k in wrong[:MOST_TOLD]
            )
            more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
            raise ValueError(f"observations[{row}]: expected {told}{more}")
        allowed: npt.NDArray[np.bool_] = masks != 0
        is_open = allowed.any(axis=1)
        if not is_open.all():
            row = int(is_open.argmin())
            raise ValueError(f"masks[{row}]: expected at least one eligible action of {self.n_actions}, got none")
        return allowed


def vocabulary_problem(n_slots: int) -> Problem:
    """Return the problem of the feature vocabulary: 29 + 7 C features, 1 + 2 C actions."""
    known = features(n_slots)
    low = np.asarray([feature.low for feature in known], np.float32)
    high = np.asarray([feature.high for feature in known], np.float32)
    # An empty slot is all zeros.
    return Problem(feature_names(n_slots), np.minimum(low, 0), np.maximum(high, 0), action_names(n_slots), n_slots)


def problem_of(env: Any) -> Problem:
    """Return the problem of an environment: Gymnasium's vector form, or a single one.

    Names are its `observation_names` and `action_names` where it has them.

    Raises:
        TypeError: other spaces than Box observations of one dimension and Discrete actions.
    """
    box = getattr(env, "single_observation_space", None) or env.observation_space
    discrete = getattr(env, "single_action_space", None) or env.action_space
    if not hasattr(box, "low") or len(box.shape) != 1 or not hasattr(discrete, "n"):
        raise TypeError(f"expected Box observations of shape (K,) and Discrete actions, got {box} and {discrete}")
    k, n = box.shape[0], int(discrete.n)
    names = tuple(_attribute(env, "observation_names") or (f"obs[{i}]" for i in range(k)))
    actions = tuple(_attribute(env, "action_names") or (f"action{i}" for i in range(n)))
    n_slots = (n - 1) // 2
    # A name can be kept by what changes its value (a normalisation), so the ranges decide, too.
    is_plain = n_slots > 0 and k == n_features(n_slots) and names == feature_names(n_slots)
    if is_plain and actions == action_names(n_slots):
        known = vocabulary_problem(n_slots)
        if (known.low == box.low).all() and (known.high == box.high).all():
            return known
    return Problem(names, box.low, box.high, actions)


def _attribute(env: Any, name: str) -> Any:
    """Return an attribute of an environment or of what it wraps; None where there is none."""
    while env is not None:
        if name in dir(env):
            return getattr(env, name)
        env = getattr(env, "env", None)
    return None
