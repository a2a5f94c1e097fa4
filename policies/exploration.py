"""Exploration: from preferences to the probability of each action, and from a uniform number to an action."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

from policies.strict_json import Node


@dataclass(frozen=True)
class Greedy:
    """The most preferred action, the lowest index of equals."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class Epsilon:
    """With probability epsilon any eligible action, each as likely; else the greedy one.

    Attributes:
        epsilon: in (0, 1].
    """

    kind: ClassVar[str] = "epsilon"
    epsilon: float


@dataclass(frozen=True)
class Softmax:
    """Probabilities in proportion to exp(preference / temperature).

    Attributes:
        temperature: in units of the preferences, > 0.
    """

    kind: ClassVar[str] = "softmax"
    temperature: float


@dataclass(frozen=True)
class Thompson:
    """Each action with the probability that it is the best, by what the model believes.

    Attributes:
        scale: by which standard deviations are multiplied, > 0; 1 for the belief as it is.
    """

    kind: ClassVar[str] = "thompson"
    scale: float = 1.0


Exploration = Greedy | Epsilon | Softmax | Thompson


def read_exploration(node: Node, *, has_scores: bool, has_beliefs: bool) -> Exploration:
    """Read how a policy explores.

    Args:
        has_scores: whether the policy grades its actions; one that only names one action has no softmax.
        has_beliefs: whether it knows how sure it is of them, without which there is no thompson.
    """
    kind = node.kind(("none", "epsilon", "softmax", "thompson"))
    if kind == "epsilon":
        return Epsilon(node.fields(("kind", "epsilon"))["epsilon"].number(0.0, 1.0, is_low_open=True))
    if kind == "softmax":
        if not has_scores:
            node.note("expected none or epsilon, got softmax: rules name one action and do not grade the others")
        return Softmax(node.fields(("kind", "temperature"))["temperature"].number(0.0, is_low_open=True))
    if kind == "thompson":
        if not has_beliefs:
            node.note("expected none, epsilon or softmax, got thompson: the model does not say how sure it is")
        scale = node.fields(("kind",), ("scale",))["scale"]
        return Thompson() if scale.is_missing else Thompson(scale.number(0.0, is_low_open=True))
    if kind:
        node.fields(("kind",))
    return Greedy()


def greedy_action(preferences: Sequence[float]) -> int:
    """Return the most preferred action, the lowest index of equals."""
    return preferences.index(max(preferences))


def probabilities(preferences: Sequence[float], exploration: Greedy | Epsilon | Softmax) -> tuple[float, ...]:
    """Return the probability of each action; exactly 0 where it is not eligible. `Thompson` asks the model itself.

    Each is the correctly rounded quotient or product of its formula, so their sum is 1 to within A / 2 units of the
    last place; nothing is shifted between actions to make it exact. `draw` gives the last what rounding leaves.

    Args:
        preferences: finite where eligible, -inf elsewhere, shape (A,).
    """
    match exploration:
        case Greedy():
            found = [0.0] * len(preferences)
            found[greedy_action(preferences)] = 1.0
        case Epsilon(epsilon):
            n_eligible = len(preferences) - list(preferences).count(-math.inf)
            share = epsilon / n_eligible
            found = [0.0 if preference == -math.inf else share for preference in preferences]
            # 1 less the others' shares, not 1 - epsilon + share: exact when nothing else is eligible.
            found[greedy_action(preferences)] = 1.0 - (n_eligible - 1) * share
        case Softmax(temperature):
            highest = max(preferences)
            weights = [math.exp((preference - highest) / temperature) for preference in preferences]
            total = math.fsum(weights)
            found = [weight / total for weight in weights]
    return tuple(found)


class Believer(Protocol):
    """A model that knows how sure it is of its preferences."""

    def best_chances(self, values: Sequence[float], eligible: Sequence[bool], scale: float) -> list[float]:
        """Return the probability that each action is the best, 0 for those that are not eligible; shape (A,)."""
        ...


def shares(
    model: object,
    exploration: Exploration,
    values: Sequence[float],
    eligible: Sequence[bool],
    preferences: Sequence[float],
) -> tuple[float, ...]:
    """Return the probability of each action, however a policy explores, shape (A,).

    Args:
        model: made ready; a `Believer` with Thompson, as the reader sees to.
        values: the observation and the local hour, shape (29 + 7 C + 1,).
        eligible, preferences: shape (A,).
    """
    if isinstance(exploration, Thompson):
        return tuple(cast(Believer, model).best_chances(values, eligible, exploration.scale))
    return probabilities(preferences, exploration)


def draw(probabilities: Sequence[float], uniform: float) -> int:
    """Return the action whose share of [0, 1) holds a uniform number; shares lie in the order of the actions.

    One whose probability is 0 has no share. When rounding leaves the sum a little below 1 and the number lies beyond
    it, the last action that has a share is drawn.
    """
    reached, last = 0.0, 0
    for action, probability in enumerate(probabilities):
        if probability > 0.0:
            reached += probability
            last = action
            if uniform < reached:
                break
    return last
