"""What users bring, worth less the later it comes: the value that estimates from a log of whole episodes are of.

earned = Discounted(discount_per_day=0.99)
evaluate(agent, "ecommerce", n_users=4096, seed=1, on_step=earned)
earned.by_user().mean()
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from experiments.evaluation.evaluate import NOT_ORDERS
from simulator.environments.vector import Infos, NotifyVectorEnv
from simulator.records import NANO

HOURS_A_DAY = 24.0
Floats = npt.NDArray[np.float64]


class Discounted:
    """Sums each user's money step by step, orders at their expectation.

    A step's money counts as of the decision that it follows, and the first decision of a user as of day 0, as in
    `experiments.offline.logs.trajectories`: sum over steps of discount ** days * money.

    Args:
        discount_per_day: in (0, 1].
    """

    def __init__(self, discount_per_day: float) -> None:
        self._discount = discount_per_day
        self._sums: list[Floats] = []  # of each chunk's users
        self._days: Floats = np.zeros(0)  # since each user's first decision, of the chunk at hand
        self._env: NotifyVectorEnv | None = None

    def __call__(self, env: NotifyVectorEnv, infos: Infos) -> None:
        """Add a step of a chunk."""
        if env is not self._env:
            self._env = env
            self._sums.append(np.zeros(env.num_envs))
            self._days = np.zeros(env.num_envs)
        money = infos["reward_parts"][:, NOT_ORDERS].sum(axis=1) + infos["expected_margin"]
        self._sums[-1] += self._discount**self._days * (money / NANO)
        self._days = self._days + infos["elapsed_hours"] / HOURS_A_DAY

    def by_user(self) -> Floats:
        """Return EUR of each user, shape (U,), in the order of the `Evaluation`."""
        return np.concatenate(self._sums) if self._sums else np.zeros(0)
