"""PPO and MaskablePPO, as Stable-Baselines3 and sb3-contrib have them, on all users at once.

Source: Schulman et al., "Proximal policy optimization algorithms" (2017); masks: Huang & Ontanon, "A closer look at
invalid action masking in policy gradient algorithms" (FLAIRS 2022). Steps discount by the time that they took:
`agents.elapsed_time`.
"""

from __future__ import annotations

import math
from typing import Any

from agents.elapsed_time import ElapsedMaskableRolloutBuffer, ElapsedRolloutBuffer
from agents.reinforcement.settings import HOURS_A_DAY, MaskablePPOSettings, PPOSettings
from agents.training_extra import missing
from agents.vec_env import FleetVecEnv

try:
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.utils import LinearSchedule
except ModuleNotFoundError as error:
    raise missing(error) from error

ACTOR = ("mlp_extractor.policy_net.", "action_net.")


def new_ppo(settings: PPOSettings | MaskablePPOSettings, venv: FleetVecEnv, seed: int) -> PPO | MaskablePPO:
    """Return an untrained model, whose policy sends as rarely as the settings have it.

    Args:
        settings: of either kind.
        venv: whose infos tell `elapsed_hours`, and `action_mask` for the maskable kind.
        seed: of the weights and of the environments.

    Raises:
        ValueError: minibatches do not divide a rollout.
    """
    n_decisions = settings.n_steps * venv.num_envs
    if n_decisions < 2:
        raise ValueError("n_steps: expected at least 2 decisions in a rollout, got one step of one user")
    batch_size = min(settings.batch_size, n_decisions)
    if n_decisions % batch_size:
        near = max((size for size in range(2, batch_size) if n_decisions % size == 0), default=n_decisions)
        raise ValueError(
            f"batch_size: expected a divisor of the {n_decisions:,} decisions in a rollout ({settings.n_steps} steps "
            f"of {venv.num_envs} users), such as {near}, got {batch_size}"
        )
    is_masked = settings.kind == "maskable_ppo"
    rate, sizes = settings.learning_rate, list(settings.hidden_sizes)
    arguments: dict[str, Any] = {
        "learning_rate": LinearSchedule(rate, rate * settings.final_learning_rate_share, 1.0),
        "n_steps": settings.n_steps,
        "batch_size": batch_size,
        "n_epochs": settings.n_epochs,
        "gamma": settings.discount_per_day,
        "gae_lambda": settings.gae_lambda,
        "clip_range": settings.clip_range,
        "ent_coef": settings.entropy_weight,
        "vf_coef": settings.value_weight,
        "max_grad_norm": settings.max_grad_norm,
        "policy_kwargs": {"net_arch": {"pi": sizes, "vf": sizes}},
        "rollout_buffer_class": ElapsedMaskableRolloutBuffer if is_masked else ElapsedRolloutBuffer,
        "rollout_buffer_kwargs": {"last_step": venv.last_step, "unit_hours": HOURS_A_DAY},
        "seed": seed,
        "device": "cpu",
    }
    model = (MaskablePPO if is_masked else PPO)("MlpPolicy", venv, **arguments)
    begin_with_silence(model, settings.initial_send_prob)
    with torch.no_grad():
        model.policy.get_parameter("value_net.bias").add_(settings.initial_value * settings.reward_scale)
    return model


def begin_with_silence(model: PPO | MaskablePPO, send_prob: float) -> None:
    """Set the actor's last bias so that no_send has the odds (1 - p) / p against all sends together.

    SB3 starts the actor's last layer with weights near 0, so the biases alone decide at first.
    """
    bias = model.policy.get_parameter("action_net.bias")
    n_sends = len(bias) - 1
    with torch.no_grad():
        bias[0] += math.log((1.0 - send_prob) / send_prob * n_sends)


def learn_from_rollout(
    model: PPO | MaskablePPO, callback: BaseCallback, anneal_steps: int, value_only_steps: int = 0
) -> None:
    """Collect a rollout and learn from it; up to `value_only_steps` the value alone.

    This is the body of SB3's `learn`. There the schedules run over the steps of one call, so that a run cut into
    portions would learn at other rates; here they run over `anneal_steps`.
    """
    venv = model.env
    assert venv is not None  # a model is built with it
    model.collect_rollouts(venv, callback, model.rollout_buffer, model.n_steps)
    model._update_current_progress_remaining(min(model.num_timesteps, anneal_steps), anneal_steps)
    # Adam passes over what has no gradient, and begins its moments when there is one.
    is_learned = model.num_timesteps > value_only_steps
    for name, weights in model.policy.named_parameters():
        if name.startswith(ACTOR):
            weights.requires_grad_(is_learned)
    model.train()
