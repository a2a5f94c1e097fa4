"""Bayesian linear regression, one for each head of a design: what the linear bandits know.

Head h has the precision A_h = ridge I + sum w x x' and the mean theta_h = A_h^-1 sum y x over its decisions, where y is
the reward. With noise of standard deviation sigma and weights N(0, sigma^2 / ridge I) the posterior of the weights is
N(theta_h, sigma^2 A_h^-1).

Source: Bishop, Pattern Recognition and Machine Learning (2006), eqs. 3.50 to 3.54; Li et al. (WWW 2010), Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Experience, Floats, Ints, Observations, State, require_finite
from agents.bandits.forgetting import Discounted, Forever, Sums, Window
from agents.bandits.kernels import add_rows, choose_one, learn_one, score_rows
from agents.designs import Design, EachAction
from agents.problem import SLACK, Problem

AT_ONCE = 4096  # rows whose regressors are held at a time: they stay in a second-level cache
REFRESH = 20_000  # decisions learned one by one, after which A^-1 is inverted anew; see `learn_one`


class LinearPosterior:
    """Precision and mean of each head's weights.

    Attributes:
        theta: mean, shape (H, D).
        precision: A, shape (H, D, D).
        factor: L^-1 of A = L L', shape (H, D, D).
        inverse: A^-1, shape (H, D, D).
        sums: `outer` (sum w x x', shape (H, D, D)) and `moment` (sum y x, shape (H, D)).
    """

    def __init__(
        self, design: Design, problem: Problem, ridge: float, forgetting: Forever | Discounted | Window
    ) -> None:
        self.design = design
        self.problem = problem
        self.ridge = ridge
        shapes = {"outer": (design.n_heads, design.n_inputs, design.n_inputs)}
        self.sums = Sums({**shapes, "moment": shapes["outer"][:2]}, forgetting)
        self._is_quick = isinstance(design, EachAction) and isinstance(forgetting, Forever)
        if self._is_quick:
            slack = SLACK * np.maximum(1.0, np.maximum(abs(problem.low), abs(problem.high)))
            self._standards = np.array(
                [problem.low - slack, problem.high + slack, design.mean, design.scale], np.float64
            )
        self.refresh()

    def refresh(self) -> None:
        """Compute mean and factor from the sums, exactly."""
        n = self.design.n_inputs
        lower = np.tril(self.sums.totals["outer"])
        self.precision = lower + np.tril(lower, -1).transpose(0, 2, 1) + self.ridge * np.eye(n)
        self.factor = np.tril(np.linalg.inv(np.linalg.cholesky(self.precision)))
        self.inverse = self.factor.transpose(0, 2, 1) @ self.factor
        self.theta: Floats = np.einsum("hij,hj->hi", self.inverse, self.sums.totals["moment"])
        self._n_learned_singly = 0

    def scores(self, observations: Observations) -> tuple[Floats, Floats]:
        """Return each action's mean and width sqrt(x' A^-1 x), shapes (U, A)."""
        if self._n_learned_singly:
            self.refresh()
        found = [self._scores(observations[k : k + AT_ONCE]) for k in range(0, max(len(observations), 1), AT_ONCE)]
        if len(found) == 1:
            return found[0]
        return np.concatenate([means for means, _ in found]), np.concatenate([sds for _, sds in found])

    def _scores(self, observations: Observations) -> tuple[Floats, Floats]:
        means, sds = self.scores_of(self.design.rows(observations))
        return self.design.of_actions(means), self.design.of_actions(sds)

    def scores_of(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return each head's mean and width for rows of regressors, shapes (R, H)."""
        means, sds = np.empty((2, len(rows), self.design.n_heads))
        score_rows(rows, self.theta, self.factor, means, sds)
        return means, sds

    def learn(self, experience: Experience) -> None:
        """Count decisions and their rewards."""
        outer, moment = (np.zeros(shape) for shape in self.sums.shapes.values())
        ones = np.ones(AT_ONCE)
        for k in range(0, len(experience), AT_ONCE):
            some = slice(k, k + AT_ONCE)
            rows, heads = self.design.taken(experience.observations[some], experience.actions[some])
            add_rows(rows, heads, ones, np.asarray(experience.rewards[some], np.float64), outer, moment)
        self.add(outer, moment)

    def add(self, outer: Floats, moment: Floats) -> None:
        """Count sums that were made elsewhere; of `outer` the lower triangles."""
        self.sums.add({"outer": outer, "moment": moment})
        self.refresh()

    def learn_anew(self, batches: Sequence[tuple[Floats, Ints, Floats]], n_updates: int) -> None:
        """Forget all, and learn from rows, heads and rewards of past updates, the last of which is number n_updates."""
        self.sums = Sums(self.sums.shapes, self.sums.forgetting)
        self.sums.n_updates = n_updates - len(batches)
        for rows, heads, rewards in batches:
            outer, moment = (np.zeros(shape) for shape in self.sums.shapes.values())
            add_rows(rows, heads, np.ones(len(rows)), rewards, outer, moment)
            self.sums.add({"outer": outer, "moment": moment})
        self.refresh()

    def _require_quick(self) -> None:
        if not self._is_quick:
            raise ValueError(
                "one at a time: expected a head for each action and nothing forgotten; use act and update with one row"
            )

    def choose_one(self, observation: Observations, mask: Bools, times: float, noise: Floats) -> int:
        """Return the eligible action with the highest mean + times * noise * width.

        Args:
            observation: shape (K,).
            mask: shape (A,).
            times, noise: what each action's width counts; noise of shape (A,).

        Raises:
            ValueError: as `Problem.check`; heads are not actions, or something is forgotten.
        """
        self._require_quick()
        action = choose_one(observation, self._standards, self.theta, self.inverse, mask, times, noise)
        if action < 0:
            self.problem.check(observation[None], mask[None])
        return action

    def learn_one(self, observation: Observations, action: int, reward: float) -> None:
        """Learn one decision by a rank-one change of A^-1.

        Each change adds a rounding error of a few 1e-16 of A^-1, so it is inverted anew after 20,000 of them, and
        whenever many are scored at once.

        Raises:
            ValueError: the reward is not finite, or as `choose_one`.
        """
        self._require_quick()
        if not math.isfinite(reward):
            require_finite("experience: rewards", np.asarray([reward]))
        if not 0 <= action < self.design.n_heads:
            raise ValueError(f"experience: actions[0]: expected 0 to {self.design.n_heads - 1}, got {action}")
        totals = self.sums.totals
        sums = totals["outer"], totals["moment"]
        if not learn_one(observation, action, reward, self._standards, self.theta, self.inverse, *sums):
            self.problem.check(observation[None], np.ones((1, self.problem.n_actions), np.bool_))
        self.sums.n_updates += 1
        self._n_learned_singly += 1
        if self._n_learned_singly == REFRESH:
            self.refresh()

    def state(self) -> State:
        """Return the sums; A^-1 is inverted anew, as it will be where they are restored."""
        if self._n_learned_singly:
            self.refresh()
        return self.sums.state()

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned; errors as `Sums.restore`."""
        self.sums.restore(state)
        self.refresh()
