"""Networks that begin with what a smaller one had learned: the same function, feature by feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.reinforcement.beginning import grown
from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings
from agents.reinforcement.trainer import SB3Trainer
from simulator.environments.lenses import History, OracleObservation, wrap
from tests.simulator.lens_worlds import lively, vector

SMALL: dict[str, Any] = {"hidden_sizes": (16,), "anneal_steps": 2_000}
SETTINGS: dict[str, Any] = {
    "maskable_ppo": MaskablePPOSettings(n_steps=8, batch_size=64, **SMALL),
    "averaged": MaskablePPOSettings(n_steps=8, batch_size=64, average_from_share=0.1, **SMALL),
    "dqn": DQNSettings(learning_starts=64, target_update_steps=64, buffer_size=400, batch_size=64, **SMALL),
}


def trainer(kind: str, *lenses: Any, seed: int = 1) -> SB3Trainer:
    env = vector(num_envs=16, scenario=lively(2), n_slots=2)
    return SB3Trainer(SETTINGS[kind], wrap(env, *lenses) if lenses else env, seed)


@pytest.mark.parametrize("kind", SETTINGS)
def test_one_that_sees_more_begins_as_the_same_policy(kind: str) -> None:
    """Whatever the entries hold that the first one did not see."""
    first, second = trainer(kind), trainer(kind, OracleObservation(), seed=2)
    first.advance(2_000)
    second.begin_with(first.agent.state(), first.agent.problem.features)
    problem, rng = second.agent.problem, np.random.default_rng(3)
    seen = rng.uniform(problem.low, problem.high, (500, problem.n_features)).astype(np.float32)
    masks = np.ones((500, problem.n_actions), bool)
    columns = [problem.features.index(name) for name in first.agent.problem.features]
    assert len(columns) < problem.n_features
    mine = second.agent._preferences(seen)
    theirs = first.agent._preferences(seen[:, columns])
    np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert second.agent.probabilities(seen, masks).shape == (500, problem.n_actions)


def test_it_learns_from_there_on() -> None:
    first, second = trainer("maskable_ppo"), trainer("maskable_ppo", OracleObservation())
    first.advance(500)
    second.begin_with(first.agent.state(), first.agent.problem.features)
    name = "mlp_extractor.policy_net.0.weight"
    begun = second.agent.state()[name]
    new = ~begun.any(axis=0)
    assert new.sum() == second.agent.problem.n_features - first.agent.problem.n_features
    second.advance(500)
    learned = second.agent.state()[name]
    assert np.abs(learned[:, new]).max() > 0.0, "what the first did not see has a gradient, too"


def test_columns_go_with_names_not_with_places() -> None:
    fresh = {"net.0.weight": np.full((2, 3), 9.0), "net.2.weight": np.full((1, 2), 9.0)}
    learned = {"net.0.weight": np.array([[1.0, 2.0], [3.0, 4.0]]), "net.2.weight": np.array([[5.0, 6.0]])}
    begun = grown(fresh, ("b", "new", "a"), learned, ("a", "b"))
    assert begun["net.0.weight"].tolist() == [[2.0, 0.0, 1.0], [4.0, 0.0, 3.0]]
    assert begun["net.2.weight"].tolist() == [[5.0, 6.0]]


def test_a_square_first_layer_is_no_hidden_one() -> None:
    fresh = {"net.0.weight": np.zeros((2, 2)), "net.2.weight": np.zeros((2, 2))}
    learned = {"net.0.weight": np.array([[1.0, 2.0], [3.0, 4.0]]), "net.2.weight": np.array([[5.0, 6.0], [7.0, 8.0]])}
    begun = grown(fresh, ("b", "a"), learned, ("a", "b"))
    assert begun["net.0.weight"].tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert begun["net.2.weight"].tolist() == learned["net.2.weight"].tolist()


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    wide, narrow = trainer("maskable_ppo", History(2)), trainer("maskable_ppo")
    before = {name: array.copy() for name, array in narrow.agent.state().items()}
    with pytest.raises(ValueError, match=r"some of the same features; '.*' is not seen here"):
        narrow.begin_with(wide.agent.state(), wide.agent.problem.features)
    dqn = trainer("dqn")
    with pytest.raises(ValueError, match=r"the same algorithm and depth; '.*' is in one of them only"):
        narrow.begin_with(dqn.agent.state(), dqn.agent.problem.features)
    fewer = {name: array[..., :8] for name, array in narrow.agent.state().items()}
    with pytest.raises(ValueError, match=r"expected weights of shape \(\d+, \d+\), got .*: other hidden layers"):
        narrow.begin_with(fewer, narrow.agent.problem.features)
    assert all((array == before[name]).all() for name, array in narrow.agent.state().items())
    narrow.advance(128)
    with pytest.raises(ValueError, match="expected a trainer at its beginning, got one of 128 steps"):
        narrow.begin_with(before, narrow.agent.problem.features)
