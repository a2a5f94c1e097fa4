"""Learning in an environment: a reward is what the window holds, and a resumed run equals an unbroken one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest

import simulator.exact  # noqa: F401 - registers the worlds
from agents.agent import Choices, Experience
from agents.bandits.online import OnlineTrainer
from agents.bandits.settings import UCB1Settings
from agents.bandits.windows import Windows
from agents.kinds import bandit
from agents.problem import Problem, problem_of
from tests.agents.bandits.worlds import SETTINGS

N_USERS, LENGTHS = 3, (2, 5, 9)  # user u's episodes have LENGTHS[u] steps


class Clockwork:
    """Three users whose rewards are 2 to the power of the step; a step takes 6 hours, and one in four has no choice."""

    def __init__(self) -> None:
        self.n_steps = 0
        self.of_episode = np.zeros(N_USERS, np.int64)

    def reset(self, *, seed: int) -> tuple[Any, dict[str, Any]]:
        return self._seen()

    def step(self, actions: Any) -> tuple[Any, ...]:
        rewards = np.full(N_USERS, 2.0 ** (self.n_steps % 12)) * (1 + np.arange(N_USERS))
        self.n_steps += 1
        self.of_episode += 1
        ends = self.of_episode == LENGTHS
        self.of_episode[ends] = 0
        observations, infos = self._seen()
        is_time_up = np.array([False, True, False]) & ends
        return observations, rewards, ends & ~is_time_up, is_time_up, {**infos, "elapsed_hours": np.full(N_USERS, 6.0)}

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        masks = np.ones((N_USERS, 3), np.int8)
        masks[:, 1:] = self.n_steps % 4 != 3
        return np.full((N_USERS, 1), self.n_steps % 12 / 12, np.float32), {"action_mask": masks}

    def state(self) -> dict[str, Any]:
        return {"n_steps": np.array([self.n_steps]), "of_episode": self.of_episode.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.n_steps, self.of_episode = int(state["n_steps"][0]), state["of_episode"].copy()


PROBLEM = Problem(("clock",), np.zeros(1, np.float32), np.ones(1, np.float32), ("a", "b", "c"))


class Notebook:
    """Decides in turn, and writes down what it is told."""

    def __init__(self) -> None:
        self.problem = PROBLEM
        self.told: list[Experience] = []

    def act(self, observations: Any, masks: Any, rng: Any, **_: Any) -> Choices:
        return Choices(np.where(masks[:, 1] != 0, 1, 0), None)

    def update(self, experience: Experience) -> None:
        self.told.append(experience)


def by_hand(n_steps: int, window_steps: int, discount_a_step: float) -> list[tuple[int, int, float]]:
    """Return (step, user, reward) of each decision with a choice whose window is over after n_steps."""
    found = []
    for user, length in enumerate(LENGTHS):
        for step in range(n_steps):
            left = length - step % length
            last = step + min(window_steps, left)
            if step % 4 != 3 and last <= n_steps:
                earned = (discount_a_step ** (k - step) * 2.0 ** (k % 12) * (1 + user) for k in range(step, last))
                found.append((step, user, sum(earned)))
    return sorted(found)


@pytest.mark.parametrize(("window_hours", "window_steps"), [(1.0, 1), (6.0, 1), (12.0, 2), (20.0, 4), (24.0, 4)])
@pytest.mark.parametrize("discount_per_day", [1.0, 0.5])
def test_a_reward_is_what_the_window_holds(window_hours: float, window_steps: int, discount_per_day: float) -> None:
    agent = Notebook()
    trainer = OnlineTrainer(agent, Clockwork(), 1, window_hours, discount_per_day)  # type: ignore[arg-type]
    figures = trainer.advance(12 * N_USERS)
    expected = by_hand(12, window_steps, discount_per_day**0.25)
    told = sorted(
        (round(float(x[0]) * 12), float(r)) for e in agent.told for x, r in zip(e.observations, e.rewards, strict=True)
    )
    np.testing.assert_allclose(told, sorted((step, reward) for step, _, reward in expected), rtol=1e-12)
    assert figures["learned"] == len(expected)
    assert figures["sends"] == 0.75
    assert figures["reward"] == pytest.approx((2.0**12 - 1) * 6 / 36)
    assert trainer.n_steps == 36


def test_what_lies_beyond_the_range_is_told() -> None:
    """A window of one step: the rewards are 2 ** step * (1 + user), those below 2 and above 8 lie beyond."""
    agent = bandit(UCB1Settings(reward_low=2.0, reward_high=8.0), PROBLEM)
    figures = OnlineTrainer(agent, Clockwork(), 1).advance(12 * N_USERS)
    rewards = [2.0**step * (1 + user) for step in range(12) if step % 4 != 3 for user in range(N_USERS)]
    assert figures["learned"] == len(rewards)
    assert figures["clipped"] == sum(reward < 2.0 or reward > 8.0 for reward in rewards) / len(rewards)


@pytest.mark.parametrize("kind", ["linear_thompson", "recovering_softmax", "neural_linear"])
def test_a_resumed_run_equals_an_unbroken_one(kind: str) -> None:
    def trainer() -> OnlineTrainer:
        return OnlineTrainer(bandit(SETTINGS[kind], PROBLEM), Clockwork(), 3, 20.0, 0.9)

    unbroken, first, second = trainer(), trainer(), trainer()
    unbroken.advance(300)
    first.advance(153)  # then comes a step without a choice
    second.restore(first.state())
    last = second.advance(147)
    assert set(last) == {"reward", "sends", "learned"}
    for name, values in unbroken.state().items():
        np.testing.assert_array_equal(second.state()[name], values, err_msg=name)


def test_two_runs_with_one_seed_are_equal_and_with_another_are_not() -> None:
    env = "kairos/ExactB-v0"

    def means(seed: int) -> Any:
        venv = gymnasium.make_vec(env, num_envs=64, vectorization_mode="vector_entry_point", reward="sampled")
        trainer = OnlineTrainer(bandit(SETTINGS["linear_thompson"], problem_of(venv)), venv, seed)
        trainer.advance(2_000)
        return trainer.agent.memory.theta  # type: ignore[attr-defined]

    np.testing.assert_array_equal(means(5), means(5))
    assert (means(5) != means(6)).any()


def test_it_learns_in_the_simulator() -> None:
    """A day's window over an hourly world with masks and episodes' ends, as it comes."""
    import simulator.environments  # noqa: F401 - registers the worlds

    venv = gymnasium.make_vec(
        "kairos/Notify-v0", num_envs=50, vectorization_mode="vector_entry_point", scenario="ecommerce"
    )
    trainer = OnlineTrainer(bandit(SETTINGS["send_cost"], problem_of(venv)), venv, 1, window_hours=24.0)
    figures = trainer.advance(50 * 30)
    assert figures["learned"] > 0
    assert 0.0 <= figures["sends"] <= 1.0
    assert trainer.n_steps == 1_500


def test_what_cannot_be_is_named() -> None:
    agent = bandit(SETTINGS["linucb"], PROBLEM)
    with pytest.raises(ValueError, match=r"window_hours: expected more than 0, got 0"):
        OnlineTrainer(agent, Clockwork(), 1, 0.0)
    with pytest.raises(ValueError, match=r"discount_per_day: expected more than 0, at most 1, got 1\.5"):
        OnlineTrainer(agent, Clockwork(), 1, 1.0, 1.5)
    trainer = OnlineTrainer(agent, Clockwork(), 1)
    state = trainer.state()
    with pytest.raises(
        ValueError, match=r"trainer\.masks: expected shape \(3, 3\), got \(3, 4\): it is of another env"
    ):
        trainer.restore({**state, "trainer.masks": np.ones((3, 4))})
    del state["trainer.generator"]
    with pytest.raises(ValueError, match=r"trainer\.generator: expected shape \(6,\), got nothing"):
        trainer.restore(state)
    windows = Windows(5.0, 1.0)
    with pytest.raises(ValueError, match=r"state: expected \['n_steps'\]; missing \['n_steps'\]"):
        windows.restore({}, {"observations": (3, 1), "masks": (3, 3), "probabilities": (3, 0)})


def test_an_environment_that_cannot_be_saved_is_named() -> None:
    class Forgetful(Clockwork):
        state = property()

    trainer = OnlineTrainer(bandit(SETTINGS["linucb"], PROBLEM), Forgetful(), 1)
    with pytest.raises(TypeError, match=r"expected an environment with state\(\) and restore\(\), got"):
        trainer.state()
