"""What looking ahead is worth as sends do more to later ones (S10): nothing without carry-over, ever more with it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from agents.reinforcement.trainer import SB3Trainer
from experiments.faults import ConfigError
from experiments.training.source import load_training
from experiments.training.train import build
from simulator.exact.fatigue import FatigueEnv
from simulator.exact.standing import value_of
from tests.agents.exact_configs import PPO_A, trainer_and_judge

CARRY_OVERS = (0.0, 0.25, 0.5, 1.0, 2.0)
# Sees no further than its own decision: a bandit that knows all rewards exactly sends always, as every send pays.
MYOPIC = "always send"


@dataclass(frozen=True)
class Row:
    """Exact values in world A with some carry-over, EUR from the start."""

    carry_over: float
    myopic: float
    simple: float
    ppo: float
    optimum: float

    def __str__(self) -> str:
        names = {"myopic": self.myopic, "best simple": self.simple, "PPO": self.ppo}
        told = ", ".join(f"{name} {value / self.optimum:.2%}" for name, value in names.items())
        return f"carry-over {self.carry_over:.2f}: {told} of the optimum {self.optimum:.5f}"


def row_of(carry_over: float, seed: int = 0) -> Row:
    """Return what a bandit without an error, the best slots with a threshold, PPO and the optimum are worth."""
    trainer, judge = trainer_and_judge(PPO_A, seed, environment__carry_over=carry_over)
    trainer.advance(trainer.settings.anneal_steps)
    rules = FatigueEnv(carry_over=carry_over).baselines()
    ppo = judge.try_out(trainer.agent).figures["value_eur"]
    return Row(carry_over, rules[MYOPIC], max(rules.values()), ppo, judge.references["optimum"])


@pytest.mark.proof
def test_ppo_equals_the_bandit_without_carry_over_and_overtakes_it_with_more() -> None:
    """Where nothing carries over both are optimal, to .1 %; from there PPO's lead grows with each step."""
    rows = [row_of(carry_over) for carry_over in CARRY_OVERS]
    print("", *rows, sep="\n")  # noqa: T201 the proof's record
    first = rows[0]
    assert first.myopic == pytest.approx(first.optimum, rel=1e-9)
    assert first.ppo == pytest.approx(first.optimum, rel=1e-3)
    leads = [(row.ppo - row.myopic) / row.optimum for row in rows]
    assert all(before < after for before, after in itertools.pairwise(leads))
    assert all(row.ppo > row.myopic for row in rows[1:])


def test_without_carry_over_the_myopic_rule_is_optimal_and_with_it_ever_further_from_it() -> None:
    shares = []
    for carry_over in CARRY_OVERS:
        env = FatigueEnv(carry_over=carry_over)
        shares.append(env.baselines()[MYOPIC] / env.optimal_value())
    assert shares[0] == pytest.approx(1.0, rel=1e-9)
    assert all(before > after for before, after in itertools.pairwise(shares))


def test_a_training_learns_and_is_judged_with_its_carry_over() -> None:
    course = build(load_training(PPO_A, {"environment.carry_over": 0.25, "environment.n_users": 4})).course
    env = FatigueEnv(carry_over=0.25)
    agent, masks, rng = course.trainer.agent, env.all_action_masks() != 0, np.random.default_rng(0)
    value = value_of(env, lambda seen: agent.act(seen, masks, rng, is_exploring=False).actions)
    assert course.judge.references["optimum"] == env.optimal_value()
    assert course.judge.try_out(agent).figures["value_eur"] == value
    assert isinstance(course.trainer, SB3Trainer)
    learned_in: Any = course.trainer.venv.env.unwrapped
    np.testing.assert_array_equal(learned_in.model.kernels[0], env.model.kernels[0])


def test_a_world_without_carry_over_refuses_it() -> None:
    with pytest.raises(ConfigError, match=r"environment.carry_over: only kairos/ExactA-v0 has one, kairos/ExactD-v0"):
        load_training("exact-d-maskable-ppo", {"environment.carry_over": 0.5})
