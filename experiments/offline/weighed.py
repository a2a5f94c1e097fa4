"""A log beside a target policy: importance weights, and what a reward model says of the action taken and of the target.

w_i = pi(a_i | x_i) / p_i,   q_i = q(x_i, a_i),   v_i = sum over a of pi(a | x_i) q(x_i, a)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.offline.kernels import weigh_rows
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, LoggedRounds, probability_faults


@dataclass(frozen=True, eq=False)
class Weighed:
    """What the estimators of a policy's value are functions of.

    Attributes:
        rounds: the log.
        target: the target policy's probability of each action, shape (N, A).
        weights: w, shape (N,).
        predicted: q, the model's reward of the action taken, shape (N,); None: no model.
        expected: v, the model's reward under the target policy, shape (N,); None: no model.
    """

    rounds: LoggedRounds
    target: Floats
    weights: Floats
    predicted: Floats | None = None
    expected: Floats | None = None

    @property
    def rewards(self) -> Floats:
        """Of the log, shape (N,)."""
        return self.rounds.rewards

    @property
    def model(self) -> tuple[Floats, Floats]:
        """The model's q and v.

        Raises:
            ValueError: there is none.
        """
        if self.predicted is None or self.expected is None:
            raise ValueError("expected a reward model, got none: see experiments.offline.models.reward_models")
        return self.predicted, self.expected


def greatest_weight(weighed: Weighed) -> float:
    """Return the largest weight that could have been drawn in any round, whatever was taken.

    Raises:
        ValueError: only the probabilities of what was taken are known.
    """
    probabilities = weighed.rounds.probabilities
    if probabilities is None:
        raise ValueError(
            "expected a log with the probability of every action, got one with those of the actions taken: the largest "
            "weight that could have been drawn is not known"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        could = np.where(weighed.target > 0.0, weighed.target / probabilities, 0.0)
    return float(could.max())


def weigh(rounds: LoggedRounds, target: Floats, rewards_of: Floats | None = None) -> Weighed:
    """Return a log beside a target policy.

    Args:
        rounds: with propensities.
        target: probabilities, 0 for what is not eligible, shape (N, A).
        rewards_of: a model's reward of each action, cross-fitted, shape (N, A).

    Raises:
        LogError: the target's rows are no probabilities, or give some to what was not eligible.
        ValueError: the log has no propensities; a shape is wrong; a predicted reward is not finite.
    """
    if rounds.propensities is None:
        raise ValueError("weigh: expected a log with propensities, got one without: see experiments.offline.propensity")
    shape = (len(rounds), rounds.n_actions)
    target = np.ascontiguousarray(target, np.float64)
    if target.shape != shape:
        raise ValueError(f"target: expected probabilities of shape {shape}, got {target.shape}")
    if faults := probability_faults(target, rounds.eligible, rounds.action_names, "target"):
        raise LogError(faults)
    if rewards_of is None:
        weights = target[np.arange(len(rounds)), rounds.actions] / rounds.propensities
        return Weighed(rounds, target, weights)
    rewards_of = np.ascontiguousarray(rewards_of, np.float64)
    if rewards_of.shape != shape:
        raise ValueError(f"rewards_of: expected predictions of shape {shape}, got {rewards_of.shape}")
    weights, predicted, expected = np.empty((3, len(rounds)))
    weigh_rows(target, rewards_of, rounds.actions, rounds.propensities, weights, predicted, expected)
    if not np.isfinite(expected).all() or not np.isfinite(predicted).all():
        row = int(np.argmin(np.isfinite(expected) & np.isfinite(predicted)))
        raise ValueError(f"rewards_of: expected finite predictions, got {rewards_of[row].tolist()} in row {row}")
    return Weighed(rounds, target, weights, predicted, expected)
