"""Beta arms: what has been counted of each action, whoever the user is; each has a Beta posterior.

An action's score is a success rate with density Beta(successes, failures), priors included. The preference is its
mean, successes / (successes + failures); with exploration `thompson` an action is taken with the probability that its
rate is the highest (Thompson 1933; Chapelle & Li, NIPS 2011, algorithm 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from policies.best_of_betas import LEAST, MOST, best_of_betas
from policies.strict_json import Node
from policies.vocabulary import action_names, n_actions

N_KEPT = 4_096  # sets of eligible actions whose chances are remembered


@dataclass(frozen=True)
class BetaArms:
    """Counts of the actions.

    Attributes:
        successes: first parameter of each Beta, prior included, in [1e-3, 1e9], shape (A,).
        failures: second parameter, likewise.
    """

    kind: ClassVar[str] = "beta_arms"
    successes: tuple[float, ...]
    failures: tuple[float, ...]


def read(node: Node, n_slots: int) -> BetaArms:
    """Read Beta arms; faults are noted in the node."""
    fields = node.fields(("kind", "successes", "failures"))
    n = n_actions(n_slots)
    successes, failures = (
        tuple(count.number(LEAST, MOST) for count in fields[name].items(n, n, "numbers, an action each"))
        for name in ("successes", "failures")
    )
    return BetaArms(successes, failures)


class Chooser:
    """Beta arms made ready for n_slots."""

    inputs: tuple[str, ...] = ()

    def __init__(self, model: BetaArms, n_slots: int) -> None:
        self._names = action_names(n_slots)
        self._counts = tuple(zip(model.successes, model.failures, strict=True))
        self._means = tuple(a / (a + b) for a, b in self._counts)
        # Nothing but what is eligible changes the answer, which costs some milliseconds.
        self._chances = lru_cache(maxsize=N_KEPT)(self._compute_chances)

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return the mean rate of each action, -inf where it is not eligible; shape (A,)."""
        return [mean if is_open else -math.inf for mean, is_open in zip(self._means, eligible, strict=True)]

    def best_chances(self, values: Sequence[float], eligible: Sequence[bool], scale: float) -> list[float]:
        """Return the probability that each action's rate is the highest, shape (A,); there is no scale but 1."""
        return list(self._chances(tuple(map(bool, eligible))))

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return the best action's rate and how many trials stand behind it, and the next action's."""
        order = sorted((k for k in range(len(preferences)) if eligible[k]), key=lambda k: -preferences[k])
        best, following = (
            f"{self._names[k]} succeeds at {self._means[k]:.4g} of {sum(self._counts[k]):.4g}" for k in order[:2]
        )
        return (f"{best} counted trials; next, {following}",)

    def _compute_chances(self, eligible: tuple[bool, ...]) -> tuple[float, ...]:
        actions = [action for action, is_open in enumerate(eligible) if is_open]
        chances = best_of_betas(*zip(*(self._counts[action] for action in actions), strict=True))
        found = [0.0] * len(eligible)
        for action, chance in zip(actions, chances, strict=True):
            found[action] = chance
        return tuple(found)
