"""Bayesian linear regression, one for each head of a design: what the linear bandits know.

Head h has the precision A_h = ridge I + sum w x x' and the mean theta_h = A_h^-1 sum y x over its decisions, where y is
the reward. With noise of standard deviation sigma and weights N(0, sigma^2 / ridge I) the posterior of the weights is
N(theta_h, sigma^2 A_h^-1).

Source: Bishop, Pattern Recognition and Machine Learning (2006), eqs. 3.50 to 3.54; Li et al. (WWW 2010), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Experience, Floats, Ints, Observations, State, require_finite
from agents.bandits.beliefs.forgetting import Sums
from agents.bandits.beliefs.kernels import add_rows, highest_rows, score_rows
from agents.bandits.beliefs.singly import COUNT, choose_one, learn_one, packed, replay, unpacked
from agents.bandits.settings import Discounted, Forever, Window
from agents.designs import Design, EachAction
from agents.problem import Problem

AT_ONCE = 1024  # rows whose regressors are held at a time: with their scores they stay in a second-level cache
REFRESH = 20_000  # decisions learned one by one, after which A^-1 is inverted anew; see `learn_one`


class LinearPosterior:
    """Precision and mean of each head's weights.

    Decisions learned one by one are counted when next anything but one decision is asked for.
    """

    def __init__(
        self, design: Design, problem: Problem, ridge: float, forgetting: Forever | Discounted | Window
    ) -> None:
        self.design = design
        self.problem = problem
        self.ridge = ridge
        shapes = {"outer": (design.n_heads, design.n_inputs, design.n_inputs)}
        self._sums = Sums({**shapes, "moment": shapes["outer"][:2]}, forgetting)
        self._known: Floats | None = None  # what `singly` works on, while it does
        self._refresh()

    @property
    def sums(self) -> Sums:
        """`outer` (sum w x x', shape (H, D, D), of which only the lower triangles are right) and `moment` (sum y x)."""
        self._settle()
        return self._sums

    @property
    def theta(self) -> Floats:
        """Mean, shape (H, D)."""
        self._settle()
        return self._theta

    @property
    def precision(self) -> Floats:
        """A, shape (H, D, D)."""
        self._settle()
        return self._precision

    @property
    def inverse(self) -> Floats:
        """A^-1, shape (H, D, D)."""
        self._settle()
        return self._inverse

    def _refresh(self) -> None:
        """Compute mean and factor from the sums, exactly."""
        n = self.design.n_inputs
        lower = np.tril(self._sums.totals["outer"])
        self._precision = lower + np.tril(lower, -1).transpose(0, 2, 1) + self.ridge * np.eye(n)
        self._factor = np.tril(np.linalg.inv(np.linalg.cholesky(self._precision)))  # L^-1 of A = L L'
        self._inverse = self._factor.transpose(0, 2, 1) @ self._factor
        self._theta: Floats = np.einsum("hij,hj->hi", self._inverse, self._sums.totals["moment"])

    def _settle(self) -> None:
        """Count what was learned one by one."""
        if self._known is None:
            return
        n_learned = int(self._known[COUNT])
        if n_learned:
            _, _, moment, outer = unpacked(self._known)
            self._sums.totals["moment"] += moment
            self._sums.totals["outer"] += outer
            self._sums.n_updates += n_learned
            self._refresh()
        self._known = None

    def scores(self, observations: Observations) -> tuple[Floats, Floats]:
        """Return each action's mean and width sqrt(x' A^-1 x), shapes (U, A)."""
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
        self._settle()
        score_rows(rows, self._theta, self._factor, means, sds)
        return means, sds

    def choose(
        self, observations: Observations, masks: Bools, times: float, rng: np.random.Generator | None = None
    ) -> Ints:
        """Return the eligible actions with the highest mean + times * width * z, shape (U,).

        Args:
            observations, masks: checked, shapes (U, K) and (U, A).
            times: what each width counts.
            rng: of z, standard normal, drawn user by user and action by action; None: z is 1.
        """
        actions = np.empty(len(observations), np.int64)
        noise = np.ones((min(AT_ONCE, len(actions)), self.problem.n_actions))
        for k in range(0, len(actions), AT_ONCE):
            some = slice(k, k + AT_ONCE)
            means, sds = self._scores(observations[some])
            if rng is not None:
                noise = rng.standard_normal(means.shape)
            highest_rows(means, sds, times, noise, masks[some], actions[some])
        return actions

    def learn(self, experience: Experience) -> None:
        """Count decisions and their rewards."""
        outer, moment = (np.zeros(shape) for shape in self._sums.shapes.values())
        ones = np.ones(AT_ONCE)
        for k in range(0, len(experience), AT_ONCE):
            some = slice(k, k + AT_ONCE)
            rows, heads = self.design.taken(experience.observations[some], experience.actions[some])
            add_rows(rows, heads, ones, np.asarray(experience.rewards[some], np.float64), outer, moment)
        self.add(outer, moment)

    def add(self, outer: Floats, moment: Floats) -> None:
        """Count sums that were made elsewhere; of `outer` the lower triangles."""
        self.sums.add({"outer": outer, "moment": moment})
        self._refresh()

    def learn_anew(self, batches: Sequence[tuple[Floats, Ints, Floats]], n_updates: int) -> None:
        """Forget all, and learn from rows, heads and rewards of past updates, the last of which is number n_updates."""
        self._sums, self._known = Sums(self._sums.shapes, self._sums.forgetting), None
        self._sums.n_updates = n_updates - len(batches)
        for rows, heads, rewards in batches:
            outer, moment = (np.zeros(shape) for shape in self._sums.shapes.values())
            add_rows(rows, heads, np.ones(len(rows)), rewards, outer, moment)
            self._sums.add({"outer": outer, "moment": moment})
        self._refresh()

    def _pack(self) -> Floats:
        if not (isinstance(self.design, EachAction) and isinstance(self._sums.forgetting, Forever)):
            raise ValueError(
                "one at a time: expected a head for each action and nothing forgotten; use act and update with one row"
            )
        standards = np.array([*self.problem.reach, self.design.mean, self.design.scale], np.float64)
        self._known = packed(standards, self._theta, self._inverse)
        return self._known

    def choose_one(self, observation: Observations, mask: Bools, times: float, noise: Floats) -> int:
        """Return the eligible action with the highest mean + times * noise * width.

        Args:
            observation: shape (K,).
            mask: shape (A,).
            times, noise: what each action's width counts; noise of shape (A,).

        Raises:
            ValueError: as `Problem.check`; heads are not actions, or something is forgotten; noise is of another shape
                or NaN.
        """
        known = self._pack() if self._known is None else self._known
        action = choose_one(observation, mask, times, noise, known)
        if action < 0:
            self.problem.check(observation[None], mask[None])
            raise ValueError(f"noise: expected {self.problem.n_actions} finite numbers, got {noise}")
        return action

    def learn_one(self, observation: Observations, action: int, reward: float) -> None:
        """Learn one decision by a rank-one change of A^-1.

        Each change adds a rounding error of a few 1e-16 of A^-1, so it is inverted anew after 20,000 of them, and
        whenever many are scored at once.

        Raises:
            ValueError: the reward is not finite, or as `choose_one`.
        """
        known = self._pack() if self._known is None else self._known
        n_learned = learn_one(observation, action, float(reward), known)
        if not n_learned:
            require_finite("experience: rewards", np.asarray([reward]))
            self.problem.check(observation[None], np.ones((1, self.problem.n_actions), np.bool_))
            raise ValueError(f"experience: actions[0]: expected 0 to {self.design.n_heads - 1}, got {action}")
        if n_learned == REFRESH:
            self._settle()

    def replay(
        self,
        observations: Observations,
        masks: Bools,
        rewards: Floats,
        times: float,
        rng: np.random.Generator | None = None,
    ) -> Ints:
        """Decide on rows in their order and learn each before the next, as `choose_one` and `learn_one` would.

        Args:
            observations, masks: shapes (N, K) and (N, A).
            rewards: of each action, NaN where nobody knows, shape (N, A).
            times, rng: as of `choose`.

        Returns:
            The actions, shape (N,).

        Raises:
            ValueError: as `choose_one`; a reward is infinite, or of another shape.
        """
        masks = self.problem.check(observations, masks)
        rewards = np.asarray(rewards, np.float64)
        if rewards.shape != masks.shape:
            raise ValueError(f"rewards: expected shape {masks.shape}, as of masks, got {rewards.shape}")
        require_finite("rewards", np.where(np.isnan(rewards), 0.0, rewards))
        actions = np.empty(len(observations), np.int64)
        noise = np.ones((min(AT_ONCE, len(actions)), self.problem.n_actions))
        for k in range(0, len(actions), AT_ONCE):
            end = min(k + AT_ONCE, len(actions))
            if rng is not None:
                noise = rng.standard_normal((end - k, self.problem.n_actions))
            done = k
            while done < end:
                known = self._pack() if self._known is None else self._known
                rows, draws = slice(done, end), noise[done - k :]
                done += replay(
                    observations[rows], masks[rows], rewards[rows], times, draws, known, REFRESH, actions[rows]
                )
                if int(known[COUNT]) == REFRESH:
                    self._settle()
                elif done < end:
                    raise ValueError(f"rewards: expected sums that float64 can hold, no longer so at row {done}")
        return actions

    def state(self) -> State:
        """Return the sums."""
        return self.sums.state()

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned; errors as `Sums.restore`."""
        self.sums.restore(state)
        self._refresh()
