"""A bandit learning in an environment: it decides for all users at once, and learns from windows that have passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Experience, Learner, State, joined, part_of
from agents.bandits.reward_range import n_clipped
from agents.bandits.settings import HasRange
from agents.bandits.windows import Windows

GENERATOR = np.random.PCG64
WORDS = 6  # of 64 bits, that a generator's state takes


class OnlineTrainer:
    """A learner and the vector environment that it decides in; see `agents.trainer.Trainer`.

    A decision's reward is the sum of the rewards of the steps that began within `window_hours` after it, its own the
    first, discounted by elapsed time and cut at the episode's end. Decisions in which a single action is eligible teach
    nothing and are not learned from.

    Args:
        agent: learns.
        venv: a Gymnasium VectorEnv with `infos["action_mask"]`, episodes that start anew in the same step
            (AutoresetMode.SAME_STEP), and `infos["elapsed_hours"]`, without which every step takes an hour.
        seed: of the environment and of exploration.
        window_hours: > 0.
        discount_per_day: in (0, 1].
    """

    def __init__(
        self, agent: Learner, venv: Any, seed: int, window_hours: float = 1.0, discount_per_day: float = 1.0
    ) -> None:
        if not window_hours > 0.0:
            raise ValueError(f"OnlineTrainer: window_hours: expected more than 0, got {window_hours}")
        if not 0.0 < discount_per_day <= 1.0:
            raise ValueError(
                f"OnlineTrainer: discount_per_day: expected more than 0, at most 1, got {discount_per_day}"
            )
        self.agent = agent
        self.n_steps = 0
        self._venv = venv
        self._windows = Windows(window_hours, discount_per_day)
        self._rng = np.random.Generator(GENERATOR(seed))
        self._keeps_probabilities = getattr(agent, "weighs_by_propensity", False)
        settings = getattr(agent, "settings", None)
        self._range: HasRange | None = settings if hasattr(settings, "reward_low") else None
        self._observations, infos = venv.reset(seed=seed)
        self._masks = _masks(infos)

    def advance(self, n_steps: int) -> Mapping[str, float]:
        """Decide at least so many times more, over all users, and learn.

        Returns:
            `reward` and `sends`, mean per decision, and `learned`, the decisions learned from; of a bandit that has a
            range of rewards, `clipped`, the share of those learned from whose reward lay beyond it.

        Raises:
            ValueError: `n_steps` below 1.
        """
        if not n_steps >= 1:
            raise ValueError(f"advance: n_steps: expected at least 1, got {n_steps}")
        n_before, total, n_sends, n_learned, n_beyond = self.n_steps, 0.0, 0, 0, 0
        while self.n_steps - n_before < n_steps:
            reward, sends, experience = self._step()
            total, n_sends = total + reward, n_sends + sends
            if experience is not None:
                n_learned += len(experience)
                n_beyond += n_clipped(experience.rewards, self._range) if self._range is not None else 0
        n = max(self.n_steps - n_before, 1)
        figures = {"reward": total / n, "sends": n_sends / n, "learned": float(n_learned)}
        return figures if self._range is None else {**figures, "clipped": n_beyond / max(n_learned, 1)}

    def _step(self) -> tuple[float, int, Experience | None]:
        observations, masks = self._observations, self._masks
        actions = self.agent.act(observations, masks, self._rng).actions
        probabilities = self.agent.probabilities(observations, masks) if self._keeps_probabilities else None
        self._windows.decide(observations, masks, actions, probabilities)
        self._observations, rewards, terminations, truncations, infos = self._venv.step(actions)
        rewards = np.asarray(rewards, np.float64)
        elapsed_hours = np.asarray(infos.get("elapsed_hours", np.ones(len(actions))), np.float64)
        experience = self._windows.earn(rewards, elapsed_hours, terminations | truncations)
        if experience is not None:
            self.agent.update(experience)
        self._masks = _masks(infos)
        self.n_steps += len(actions)
        return float(rewards.sum()), int((actions > 0).sum()), experience

    def state(self) -> State:
        """Return all that the next step depends on.

        Raises:
            TypeError: the environment has no `state()`.
        """
        if not hasattr(self._venv, "state"):
            raise TypeError(
                f"OnlineTrainer: state: expected an environment with state() and restore(), got {self._venv}"
            )
        parts = {
            "agent": self.agent.state(),
            "environment": self._venv.state(),
            "windows": self._windows.state(),
            "trainer": {
                "generator": _generator_words(self._rng),
                "observations": np.array(self._observations),
                "masks": np.array(self._masks),
                "n_steps": np.asarray([self.n_steps]),
            },
        }
        return joined(parts)

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Go on where a state was taken."""
        own = part_of(state, "trainer")
        wanted = {"generator": (WORDS,), "observations": self._observations.shape, "masks": self._masks.shape}
        for name, shape in {**wanted, "n_steps": (1,)}.items():
            if name not in own or own[name].shape != shape:
                got = own[name].shape if name in own else "nothing"
                raise ValueError(
                    f"state: trainer.{name}: expected shape {shape}, got {got}: it is of another environment"
                )
        self.agent.restore(part_of(state, "agent"))
        self._venv.restore(part_of(state, "environment"))
        n_kept = self._masks.shape if self._keeps_probabilities else (len(self._masks), 0)
        shapes = {"observations": self._observations.shape, "masks": self._masks.shape, "probabilities": n_kept}
        self._windows.restore(part_of(state, "windows"), shapes)
        self._rng.bit_generator.state = _generator_state(own["generator"])
        self._observations, self._masks = np.array(own["observations"]), np.array(own["masks"])
        self.n_steps = int(own["n_steps"][0])


def _masks(infos: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    if "action_mask" not in infos:
        raise ValueError(f"OnlineTrainer: expected infos['action_mask'], got {sorted(infos)}")
    masks: npt.NDArray[np.bool_] = np.asarray(infos["action_mask"]) != 0
    return masks


def _generator_words(rng: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Return a PCG64's state: two numbers of 128 bits by halves, and the half-used 64 bits."""
    state = rng.bit_generator.state
    inner = state["state"]
    halves = [part for number in (inner["state"], inner["inc"]) for part in (number >> 64, number & (2**64 - 1))]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], np.uint64)


def _generator_state(words: npt.NDArray[np.generic]) -> dict[str, Any]:
    high, low, inc_high, inc_low, has_uint32, uinteger = (int(word) for word in np.asarray(words, np.uint64))
    inner = {"state": (high << 64) | low, "inc": (inc_high << 64) | inc_low}
    return {"bit_generator": "PCG64", "state": inner, "has_uint32": has_uint32, "uinteger": uinteger}
