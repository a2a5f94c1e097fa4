"""Where learned values start, what they tend to, and the mean of the weights that learned them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings
from agents.reinforcement.trainer import SB3Trainer
from simulator.exact.restless import RestlessVectorEnv

N = 20
SMALL: dict[str, Any] = {"hidden_sizes": (8,), "anneal_steps": 2_000, "learning_rate": 1e-2}
SETTINGS: dict[str, Any] = {
    "maskable_ppo": MaskablePPOSettings(n_steps=10, batch_size=100, average_from_share=0.5, **SMALL),
    "dqn": DQNSettings(learning_starts=100, batch_size=64, average_from_share=0.5, **SMALL),
}


def weights(policy: Any) -> list[Any]:
    return [each.detach().numpy().copy() for each in policy.parameters()]


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_agent_has_the_mean_of_the_weights_of_the_second_half(kind: str) -> None:
    """Up to half of `anneal_steps` the learner's own; then the plain mean of those after each update."""
    trainer = SB3Trainer(SETTINGS[kind], RestlessVectorEnv(N, max_steps=30), 3)
    learner: Any = trainer.model.policy
    acting: Any = trainer.agent._policy
    trainer.advance(1_000)
    for mine, theirs in zip(weights(acting), weights(learner), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    kept = []
    while trainer.n_steps < 2_000:
        trainer.advance(1)
        kept.append(weights(learner))
    for mine, *each in zip(weights(acting), *kept, strict=True):
        np.testing.assert_allclose(mine, np.mean(each, axis=0), rtol=0, atol=1e-5)
    assert any((mine != last).any() for mine, last in zip(weights(acting), kept[-1], strict=True))


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_averaged_agent_tells_and_takes_up_what_it_acts_by(kind: str) -> None:
    trained, other = (SB3Trainer(SETTINGS[kind], RestlessVectorEnv(N, max_steps=30), seed) for seed in (3, 4))
    trained.advance(2_000)
    other.agent.restore(trained.agent.state())
    env: Any = RestlessVectorEnv(N)
    observations, infos = env.reset(seed=9)
    pair = (observations, infos["action_mask"] != 0)
    np.testing.assert_array_equal(trained.agent.probabilities(*pair), other.agent.probabilities(*pair))
    mean, last = weights(trained.agent._policy), weights(trained.model.policy)
    assert any((mine != theirs).any() for mine, theirs in zip(mean, last, strict=True))


@pytest.mark.parametrize("kind", SETTINGS)
def test_values_start_where_told(kind: str) -> None:
    """In the units of the rewards, whatever their scale: 5 is -10 less -5 in all values, scaled by half."""
    values = []
    for initial_value in (5.0, -10.0):
        settings = SETTINGS[kind].model_copy(update={"initial_value": initial_value, "reward_scale": 0.5})
        trainer = SB3Trainer(settings, RestlessVectorEnv(N), 3)
        model: Any = trainer.model
        observations = model._last_obs
        found = (
            model.q_values(observations)
            if kind == "dqn"
            else model.policy.predict_values(torch.as_tensor(observations))
        )
        values.append(np.asarray(found if kind == "dqn" else found.detach().numpy(), np.float64))
    np.testing.assert_allclose(values[0] - values[1], 0.5 * 15.0, rtol=1e-5)


def test_squared_loss_learns_the_mean_of_a_rare_loss_and_hubers_does_not() -> None:
    """A loss of 50 in one decision of 50: the mean is -1. Huber's optimum is where 49 v = 1, v = -1/49."""
    found = {}
    for loss in ("squared", "huber"):
        settings = DQNSettings(
            hidden_sizes=(4,), discount_per_day=1e-300, loss=loss, learning_starts=10**6, learning_rate=0.02
        )
        trainer = SB3Trainer(settings, RestlessVectorEnv(50), 3)
        trainer.advance(50 * 40)
        buffer: Any = trainer.model.replay_buffer  # type: ignore[union-attr]
        buffer.observations[:] = 0.0
        buffer.rewards[:] = 0.0
        buffer.rewards[:, 0] = -50.0
        buffer.next_discounts[:] = 0.0
        model: Any = trainer.model
        model.policy.optimizer.param_groups[0]["lr"] = 0.02
        with trainer._generators.lent():
            model.train(600, 5_000)
        taken = np.unique(buffer.actions[: buffer.pos])
        found[loss] = model.q_values(np.zeros_like(model._last_obs))[0, taken]
    np.testing.assert_allclose(found["squared"], -1.0, atol=0.35)
    np.testing.assert_allclose(found["huber"], -1.0 / 49.0, atol=0.05)
