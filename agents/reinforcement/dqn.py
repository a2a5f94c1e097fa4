"""Double DQN with masks, which bar actions in acting and in the value of what comes next.

    target = r + gamma ** (elapsed / day) * Q'(s', argmax over eligible a of Q(s', a))

or the same over n steps, which carries rewards n times as fast to what caused them, at the price that the steps between
are those of an older, exploring policy. Source: Mnih et al. (Nature 2015); the double estimate: van Hasselt, Guez &
Silver (AAAI 2016), eq. 4; n steps without correction: Hessel et al. ("Rainbow", AAAI 2018). SB3's DQN has neither
the double estimate nor masks, and its exploration flips one coin for all environments: here each user's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Ints
from agents.choosing import draw_actions, epsilon_probabilities
from agents.reinforcement.settings import HOURS_A_DAY, DQNSettings
from agents.training_extra import missing
from agents.vec_env import FleetVecEnv

try:
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.buffers import ReplayBuffer
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.utils import LinearSchedule
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing(error) from error


Float32s = npt.NDArray[np.float32]


class MaskedReplayBuffer(ReplayBuffer):
    """SB3's replay buffer, and what the next step permits and how far it is away.

    Attributes:
        next_masks: of the observation after the step, shape (T, E, A).
        next_discounts: of its value; 0 where the episode terminated, shape (T, E).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        n_actions = int(self.action_space.n)  # type: ignore[attr-defined]
        self.next_masks = np.zeros((self.buffer_size, self.n_envs, n_actions), np.bool_)
        self.next_discounts = np.zeros((self.buffer_size, self.n_envs), np.float32)

    def returns_from(self, steps: Ints, seats: Ints, n_steps: int) -> tuple[Float32s, Float32s, Ints]:
        """Return what some decisions earned over up to n steps, and from where its sequel is to be estimated.

        A return ends early with its episode, or at the newest step.

        Args:
            steps, seats: of the decisions, in the buffer, shape (B,).
            n_steps: n.

        Returns:
            Discounted rewards, the discount of what follows, and the step whose next observation that begins at, (B,).
        """
        newest = (self.pos - 1) % self.buffer_size
        rewards, discounts = np.zeros(len(steps), np.float32), np.ones(len(steps), np.float32)
        last, is_going_on = steps, np.ones(len(steps), np.bool_)
        for k in range(n_steps):
            last = np.where(is_going_on, (steps + k) % self.buffer_size, last)
            rewards += np.where(is_going_on, discounts * self.rewards[last, seats], np.float32(0.0))
            discounts = np.where(is_going_on, discounts * self.next_discounts[last, seats], discounts)
            is_going_on = is_going_on & (self.dones[last, seats] == 0.0) & (last != newest)
        return rewards, discounts, last


class MaskedDQN(DQN):
    """SB3's DQN, with masks, the double estimate, and discounts by elapsed time; over a `FleetVecEnv` only."""

    env: FleetVecEnv
    replay_buffer: MaskedReplayBuffer
    return_steps = 1
    is_huber = False

    def q_values(self, observations: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the value of each action, shape (U, A)."""
        with torch.no_grad():
            values = self.q_net(torch.as_tensor(observations))
        return np.asarray(values.numpy(), np.float64)

    def _sample_action(
        self, learning_starts: int, action_noise: object = None, n_envs: int = 1
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        assert isinstance(self._last_obs, np.ndarray)
        values = self.q_values(self._last_obs)
        probabilities = epsilon_probabilities(values, self._masks(self.env.vector_infos), self.exploration_rate)
        actions = draw_actions(probabilities, np.random.random_sample(n_envs))  # noqa: NPY002 as all of SB3's luck
        return actions, actions

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: npt.NDArray[Any],
        new_obs: Any,
        reward: npt.NDArray[Any],
        dones: npt.NDArray[np.bool_],
        infos: list[dict[str, Any]],
    ) -> None:
        last, buffer, told = self.env.last_step, self.replay_buffer, self.env.vector_infos
        if last.elapsed_hours is None:
            raise ValueError("elapsed_hours: expected in the infos of every step, got none")
        masks = self._masks(told)
        if dones.any():
            # Of an episode's last observation the mask is told, or only silence is sure to be eligible.
            silence = np.arange(masks.shape[1]) == 0
            masks = np.where(dones[:, None], told.get("final_info", {}).get("action_mask", silence) != 0, masks)
        is_terminated = dones & ~last.is_truncated
        buffer.next_masks[buffer.pos] = masks
        buffer.next_discounts[buffer.pos] = np.where(
            is_terminated, 0.0, self.gamma ** (last.elapsed_hours / HOURS_A_DAY)
        )
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Learn from so many minibatches."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        buffer = self.replay_buffer
        n_kept = buffer.buffer_size if buffer.full else buffer.pos
        losses = []
        for _ in range(gradient_steps):
            steps = np.random.randint(0, n_kept, batch_size)  # noqa: NPY002
            seats = np.random.randint(0, self.n_envs, batch_size)  # noqa: NPY002
            rewards, discounts, last = buffer.returns_from(steps, seats, self.return_steps)
            following = torch.as_tensor(buffer.next_observations[last, seats])
            with torch.no_grad():
                is_barred = torch.as_tensor(~buffer.next_masks[last, seats])
                best = self.q_net(following).masked_fill(is_barred, -torch.inf).argmax(dim=1, keepdim=True)
                sequel = self.q_net_target(following).gather(1, best)[:, 0]
                targets = torch.as_tensor(rewards) + torch.as_tensor(discounts) * sequel
            taken = torch.as_tensor(buffer.actions[steps, seats])
            values = self.q_net(torch.as_tensor(buffer.observations[steps, seats])).gather(1, taken)[:, 0]
            loss = (functional.smooth_l1_loss if self.is_huber else functional.mse_loss)(values, targets)
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.q_net.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            losses.append(loss.item())
        self._n_updates += gradient_steps
        self.logger.record("train/loss", float(np.mean(losses)))

    def _masks(self, told: dict[str, Any]) -> Bools:
        if "action_mask" in told:
            masks: Bools = told["action_mask"] != 0
            return masks
        return np.ones((self.n_envs, self.replay_buffer.next_masks.shape[2]), np.bool_)


def new_dqn(settings: DQNSettings, venv: FleetVecEnv, seed: int) -> MaskedDQN:
    """Return an untrained model.

    Args:
        settings: all of its config.
        venv: whose infos tell `elapsed_hours`, and `action_mask` where actions can be barred.
        seed: of the weights and of the environments.
    """
    rate = settings.learning_rate
    model = MaskedDQN(
        "MlpPolicy",
        venv,
        learning_rate=LinearSchedule(rate, rate * settings.final_learning_rate_share, 1.0),
        buffer_size=max(settings.buffer_size, venv.num_envs),
        learning_starts=settings.learning_starts,
        batch_size=settings.batch_size,
        tau=settings.target_update_share,
        gamma=settings.discount_per_day,
        train_freq=settings.steps_between_updates,
        gradient_steps=settings.n_updates,
        replay_buffer_class=MaskedReplayBuffer,
        target_update_interval=max(settings.target_update_steps, venv.num_envs),
        exploration_initial_eps=settings.initial_epsilon,
        exploration_final_eps=settings.final_epsilon,
        exploration_fraction=settings.epsilon_anneal_share,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={"net_arch": list(settings.hidden_sizes)},
        seed=seed,
        device="cpu",
    )
    model.exploration_rate = settings.initial_epsilon
    model.return_steps, model.is_huber = settings.return_steps, settings.loss == "huber"
    with torch.no_grad():
        for network in (model.q_net, model.q_net_target):
            bias = network.get_parameter(f"q_net.{2 * len(settings.hidden_sizes)}.bias")
            bias.add_(settings.initial_value * settings.reward_scale)
            bias[1:] -= settings.initial_send_cost * settings.reward_scale
    return model


def learn_from_steps(model: MaskedDQN, callback: BaseCallback, anneal_steps: int) -> None:
    """Make the steps between two bouts of updates, and the bout: the body of SB3's `learn`, with schedules of our own.

    There the schedules run over the steps of one call, so that a run cut into portions would learn otherwise.
    """
    model._total_timesteps = anneal_steps
    model.collect_rollouts(model.env, callback, model.train_freq, model.replay_buffer)  # type: ignore[arg-type]
    if model.num_timesteps > model.learning_starts:
        model.train(model.gradient_steps, model.batch_size)
