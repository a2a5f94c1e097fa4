"""Logged episodes beside a target policy: ratios of each step and their products, and what a Q function says.

rho_t = pi(a_t | x_t) / p_t,   rho_{0:t} = rho_0 rho_1 ... rho_t
q_t = Q(x_t, a_t),   v_t = sum over a of pi(a | x_t) Q(x_t, a)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, probability_faults
from experiments.offline.logs.trajectories import LoggedTrajectories

MOST_PRODUCT = 1e100  # of ratios, whose square, times rewards and summed over episodes, is still a number


@dataclass(frozen=True, eq=False)
class QValues:
    """The target policy's values at logged decisions, as some model has them.

    Attributes:
        values: of each action, 0 for what is not eligible, shape (N, A).
        final: of the target policy at the final observations, 0 where nothing follows, shape (E,); None: 0 everywhere.
        last_change: by how much the last iteration moved what was learned, in units of value; 0 if nothing iterates.
    """

    values: Floats
    final: Floats | None = None
    last_change: float = 0.0


@dataclass(frozen=True, eq=False)
class WeighedTrajectories:
    """What the sequential estimators of a policy's value are functions of.

    Attributes:
        log: the episodes.
        target: the target policy's probability of each action, shape (N, A).
        ratios: rho_t, shape (N,).
        predicted: q, shape (N,); None: no model.
        expected: v, shape (N,); None: no model.
        final: v after each episode's last row, 0 where nothing follows, shape (E,); None: no model.
    """

    log: LoggedTrajectories
    target: Floats
    ratios: Floats
    predicted: Floats | None = None
    expected: Floats | None = None
    final: Floats | None = None

    @cached_property
    def products(self) -> Floats:
        """rho_{0:t}, shape (E, T); after an episode's end the last: in the absorbing state nothing is chosen.

        Raises:
            ValueError: a product is too large for its square to be reckoned with.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray(np.cumprod(self.log.padded(self.ratios, 1.0), axis=1), np.float64)
        is_odd = ~(found <= MOST_PRODUCT)
        if is_odd.any():
            episode, step = np.argwhere(is_odd)[0]
            raise ValueError(
                f"products of ratios: expected at most {MOST_PRODUCT:g}, got {found[episode, step]:.3g} in episode "
                f"{self.log.episodes[self.log.starts[episode]]} at step {step}: horizons like this need "
                f"marginalised_is or a fitted Q"
            )
        return found

    @cached_property
    def rewards(self) -> Floats:
        """Discounted to the episode's beginning, 0 after its end, shape (E, T)."""
        return self.log.padded(self.log.discounts * self.log.rewards, 0.0)

    @property
    def initial_values(self) -> Floats:
        """v_0 of each episode, shape (E,)."""
        return self._model[1][self.log.starts]

    @property
    def surprises(self) -> Floats:
        """D_t (r_t + gamma_t v_{t+1} - q_t): what a step brought beyond the model, discounted, shape (E, T)."""
        predicted, expected, final = self._model
        log = self.log
        following = np.append(expected[1:], 0.0)
        following[log.ends] = final
        return log.padded(log.discounts * (log.rewards + log.step_discounts * following - predicted), 0.0)

    @property
    def _model(self) -> tuple[Floats, Floats, Floats]:
        if self.predicted is None or self.expected is None or self.final is None:
            raise ValueError("expected Q values, got none: see experiments.offline.models.fqe")
        return self.predicted, self.expected, self.final


def weigh_trajectories(log: LoggedTrajectories, target: Floats, q: QValues | None = None) -> WeighedTrajectories:
    """Return logged episodes beside a target policy.

    Args:
        log: with propensities.
        target: probabilities, 0 for what is not eligible, shape (N, A).
        q: of the target policy, cross-fitted.

    Raises:
        LogError: the target's rows are no probabilities, or give some to what was not eligible.
        ValueError: the log has no propensities; a shape is wrong; a value is not finite.
    """
    if log.propensities is None:
        raise ValueError(
            "weigh_trajectories: expected a log with propensities, got one without: fitted Q evaluation needs none"
        )
    target = checked_target(log, target)
    rows = np.arange(len(log))
    ratios = target[rows, log.actions] / log.propensities
    if q is None:
        return WeighedTrajectories(log, target, ratios)
    final = np.zeros(log.n_episodes) if q.final is None else q.final
    for name, values, shape in (("values", q.values, target.shape), ("final", final, (log.n_episodes,))):
        if values.shape != shape:
            raise ValueError(f"q: {name}: expected shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ValueError(f"q: {name}: expected finite values, got {values[row].tolist()} in row {row}")
    is_over = log.is_terminated[log.ends]
    if final[is_over].any():
        episode = log.episodes[log.ends[np.flatnonzero(is_over & (final != 0.0))[0]]]
        raise ValueError(f"q: final: expected 0 after termination, got another value in episode {episode}")
    return WeighedTrajectories(log, target, ratios, q.values[rows, log.actions], (target * q.values).sum(axis=1), final)


def checked_target(log: LoggedTrajectories, target: Floats) -> Floats:
    """Return a target policy's probabilities, shape (N, A).

    Raises:
        LogError: the rows are no probabilities, or give some to what was not eligible.
        ValueError: the shape is wrong.
    """
    shape = (len(log), log.n_actions)
    target = np.ascontiguousarray(target, np.float64)
    if target.shape != shape:
        raise ValueError(f"target: expected probabilities of shape {shape}, got {target.shape}")
    if faults := probability_faults(target, log.eligible, log.action_names, "target"):
        raise LogError(faults)
    return target
