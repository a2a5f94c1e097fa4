"""The trainings in exact worlds that come with the package, built and judged as `kairos train` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.reinforcement.trainer import SB3Trainer
from experiments.training.source import load_training
from experiments.training.train import build
from experiments.training.trial import Judge

PPO_A, DQN_A, PPO_D = "exact-a-ppo", "exact-a-dqn", "exact-d-maskable-ppo"


def trainer_and_judge(name: str, seed: int, **changes: Any) -> tuple[SB3Trainer, Judge]:
    """Return a training's beginning and who judges it.

    Args:
        name: of the config.
        seed: in the place of the config's own.
        changes: values of the agent's settings, or by dotted path with `__` for the dots.
    """
    written = {path.replace("__", ".") if "__" in path else f"agent.{path}": to for path, to in changes.items()}
    course = build(load_training(name, {"seed": seed, **written})).course
    assert isinstance(course.trainer, SB3Trainer)
    return course.trainer, course.judge


def flip_advantages(trainer: SB3Trainer) -> None:
    """Let PPO learn from advantages of the wrong sign: what is good becomes rare."""
    buffer: Any = trainer.model.rollout_buffer  # type: ignore[union-attr]
    finish = buffer.compute_returns_and_advantage

    def finish_wrongly(last_values: torch.Tensor, dones: npt.NDArray[np.bool_]) -> None:
        finish(last_values, dones)
        buffer.advantages = -buffer.advantages

    buffer.compute_returns_and_advantage = finish_wrongly
