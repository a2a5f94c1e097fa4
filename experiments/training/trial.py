"""What an agent's policy is worth: on the same users with the same luck each time, or exactly.

Of users, the value is what they bring until the horizon, undiscounted, orders at their expectation given the session:
its mean is that of the money that changes hands, with less noise. Two evaluations are compared user by user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agents.agent import Agent
from experiments.compare import Estimate
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import Evaluation
from experiments.training.config import ExactEnvironment
from experiments.training.environments import MODES, exact_world, shown_lenses, user_options
from experiments.training.source import Plan
from simulator.exact.standing import Standing, value_of
from simulator.records import NANO, Floats

# It solves each user's own problem to the optimum: no simple rule, but a height to see others from.
NOT_SIMPLE = ("Whittle index",)


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of trying a policy.

    Attributes:
        values: EUR, of each user, shape (U,); of an exact world the one exact value, shape (1,).
        figures: the row of the learning curve, by name.
    """

    values: Floats
    figures: Mapping[str, float]


class Judge(Protocol):
    """Tries a policy.

    Attributes:
        references: values to see a policy's against, by name: EUR.
        unit: what a value is.
    """

    references: Mapping[str, float]
    unit: str

    def try_out(self, agent: Agent) -> Trial:
        """Return what an agent's policy is worth."""
        ...


def judge_of(plan: Plan) -> Judge:
    """Return who judges the agent of a plan."""
    return ExactJudge(plan) if isinstance(plan.config.environment, ExactEnvironment) else UsersJudge(plan)


class ExactJudge:
    """The exact value in a world whose optimum is known."""

    def __init__(self, plan: Plan) -> None:
        self._env = exact_world(plan)
        world: Any = self._env.unwrapped
        self._masks = world.all_action_masks() != 0
        rules = world.baselines()
        best = max((name for name in rules if name not in NOT_SIMPLE), key=rules.__getitem__)
        shown = {name: value for name, value in rules.items() if name == best or name in NOT_SIMPLE}
        self.references: Mapping[str, float] = {"optimum": world.optimal_value()} | shown
        self._simple, self._optimum = rules[best], world.optimal_value()
        self.unit = "EUR from the start, exact"

    def try_out(self, agent: Agent) -> Trial:
        """Return the greedy policy's exact value, and the share of the gap from the best simple rule to the optimum."""

        def act(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return agent.act(observations, self._masks, np.random.default_rng(0), is_exploring=False).actions

        found = Standing(value_of(self._env, act), self._simple, self._optimum)
        return Trial(np.asarray([found.value]), {"value_eur": found.value, "gap_closed": found.gap_closed})


class UsersJudge:
    """The same users, with the same luck, each time; and as the measure of gain, the same users left in silence."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._silent: Floats | None = None
        self.unit = "EUR per user over silence"
        self.references: Mapping[str, float] = {"silence": 0.0}

    def try_out(self, agent: Agent) -> Trial:
        """Return what users bring under the policy, as `evaluation.acts` has it."""
        if self._silent is None:
            self._silent = self._evaluated(None).expected_nano / NANO
        found = self._evaluated(agent)
        values: Floats = found.expected_nano / NANO
        gain = paired(values, self._silent)
        return Trial(
            values,
            {
                "over_silence_eur": gain.mean,
                "over_silence_low": gain.low,
                "over_silence_high": gain.high,
                "value_eur": float(values.mean()),
                "realised_eur": float(found.value_nano.mean()) / NANO,
                "sends_per_user_week": found.sends_per_user_week,
                "opt_outs_per_100": 100 * float(found.opt_outs.mean()),
                "left_share": float(found.churns.mean()),
                "retained_share": float(found.retained.mean()),
                "satisfaction": found.satisfaction.mean,
            },
        )

    def _evaluated(self, agent: Agent | None) -> Evaluation:
        config, scenario = self._plan.config, self._plan.scenario
        assert scenario is not None, "exact worlds are judged without being played"
        trial = config.training.evaluation
        options = user_options(self._plan) | {"mode": MODES[config.environment.id]}
        options["horizon_days"] = trial.horizon_days or options["horizon_days"]
        lenses, is_drawn = shown_lenses(self._plan), trial.acts == "drawn"
        return evaluate(agent, scenario, trial.n_users, trial.seed, lenses=lenses, is_exploring=is_drawn, **options)


def paired(values: Floats, others: Floats) -> Estimate:
    """Return the mean difference of the same users, with its standard error; a single value is exact, without error."""
    differences = values - others
    n = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Estimate(float(differences.mean()), error)
