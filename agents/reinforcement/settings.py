"""Configs of the algorithms that learn by reinforcement; data only, so that reading one loads no torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from agents.settings import Settings

HOURS_A_DAY = 24.0
Size = Annotated[int, Field(ge=1, le=4096)]


class LearningSettings(Settings):
    """What PPO and DQN have in common.

    Attributes:
        discount_per_day: what money is worth that comes a day later. A step of h hours discounts by
            discount_per_day ** (h / 24), so one number means the same for hourly decisions, daily ones and those that
            events trigger.
        hidden_sizes: units of each hidden layer; PPO has two such networks, one that acts and one that values.
        learning_rate: Adam's, at the start.
        final_learning_rate_share: of it, what is left after `anneal_steps`; between, it falls on a line.
        anneal_steps: decisions, over all users, after which all that is annealed has reached its end, and stays there.
        average_from_share: of `anneal_steps`, after which the policy that is evaluated and exported has the mean of the
            weights since then; until then, and always with 1, it is the policy that learns.
        initial_value: of every observation or action at the start, in the units of the rewards that are reported. Near
            what a user is worth, it leaves only the differences to be learned. It is equal to shaping by a constant
            potential (Wiewiora, JAIR 2003).
        reward_scale: multiplies the rewards that are learned from, so that values are of the size of 1. The rewards
            that are reported and the policy that is exported are not scaled.
        max_grad_norm: a longer gradient is shortened to it.
        torch_threads: on small networks one is as fast as two, and does not slow down when others work.
    """

    discount_per_day: float = Field(0.98, gt=0.0, le=1.0)
    hidden_sizes: tuple[Size, ...] = Field((64, 64), min_length=1, max_length=4, strict=False)
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    final_learning_rate_share: float = Field(0.05, ge=0.0, le=1.0)
    anneal_steps: int = Field(2_000_000, ge=1)
    average_from_share: float = Field(1.0, gt=0.0, le=1.0)
    initial_value: float = Field(0.0, ge=-1e9, le=1e9)
    reward_scale: float = Field(1.0, gt=0.0, le=1e6)
    max_grad_norm: float = Field(0.5, gt=0.0)
    torch_threads: int = Field(1, ge=1, le=64)

    @property
    def horizon_days(self) -> float:
        """The learning horizon: days in which the weight of a reward falls to 1/e, -1 / ln(discount_per_day).

        Near 1 that is 1 / (1 - discount_per_day), less half a day; infinite for 1.
        """
        return math.inf if self.discount_per_day >= 1.0 else -1.0 / math.log(self.discount_per_day)


class ActorCriticSettings(LearningSettings):
    """PPO's own; the names are those of the paper and of SB3.

    Attributes:
        n_steps: decisions of each user in a rollout.
        batch_size: decisions in a minibatch; it divides n_steps times the users, or is cut to that.
        n_epochs: passes over a rollout.
        gae_lambda: of generalised advantages.
        clip_range: how far the probability of an action may move, as a ratio, in one update.
        entropy_weight: of the entropy in the loss: keeps the policy from settling too soon.
        value_weight: of the value's squared error in the loss.
        initial_send_prob: that the untrained policy sends where all is eligible, however many ways to send there are.
            A uniform policy over eight sends and silence would send 8 times in 9, and tire the users at once.
        value_only_steps: decisions, over all users, at the beginning, from whose rollouts only the value is learned and
            the policy stays as it began. Advantages over a value that knows nothing yet are noise, and a policy that
            noise has led to silence sees no send any more that could lead it back.
    """

    n_steps: int = Field(48, ge=1, le=100_000)
    batch_size: int = Field(4096, ge=2)
    n_epochs: int = Field(5, ge=1, le=100)
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    clip_range: float = Field(0.2, gt=0.0, lt=1.0)
    entropy_weight: float = Field(0.0, ge=0.0, le=1.0)
    value_weight: float = Field(0.5, gt=0.0, le=100.0)
    initial_send_prob: float = Field(0.1, gt=0.0, lt=1.0)
    value_only_steps: int = Field(0, ge=0)


class PPOSettings(ActorCriticSettings):
    """PPO, for environments without masks."""

    kind: Literal["ppo"] = "ppo"


class MaskablePPOSettings(ActorCriticSettings):
    """PPO that never takes, and never weighs, an action that is masked."""

    kind: Literal["maskable_ppo"] = "maskable_ppo"


class DQNSettings(LearningSettings):
    """Double DQN with masks.

    Attributes:
        loss: of the difference to the target: squared, or Huber's, which is linear beyond 1. A rare loss as large as a
            whole value, such as an opt-out, then counts for less than it costs; what is learned is not the mean.
        buffer_size: decisions that are remembered, over all users.
        batch_size: decisions in a minibatch.
        learning_starts: decisions before the first update.
        return_steps: decisions of one user whose rewards are summed before the sequel is estimated. More learn sooner,
            and are biased by exploration and by what the policy was when it made them.
        steps_between_updates: decisions of each user between two bouts of updates.
        n_updates: minibatches in a bout.
        target_update_steps: decisions, over all users, after which the target network moves.
        target_update_share: how far it moves towards the network that learns; 1: all the way.
        initial_epsilon, final_epsilon: probability of acting at random, at the start and from `epsilon_anneal_share`
            of `anneal_steps` on; between, it falls on a line.
        epsilon_anneal_share: see there.
        initial_send_cost: what a send is taken to cost before anything is known, in the units of the rewards; it is
            subtracted from `initial_value`. Without it eight sends and silence begin as nine equals, and users are
            tired before they teach anything.
    """

    kind: Literal["dqn"] = "dqn"
    max_grad_norm: float = Field(10.0, gt=0.0)
    loss: Literal["squared", "huber"] = "squared"
    buffer_size: int = Field(200_000, ge=1)
    batch_size: int = Field(512, ge=1)
    learning_starts: int = Field(10_000, ge=1)
    return_steps: int = Field(1, ge=1, le=1000)
    steps_between_updates: int = Field(1, ge=1)
    n_updates: int = Field(2, ge=1)
    target_update_steps: int = Field(2_000, ge=1)
    target_update_share: float = Field(1.0, gt=0.0, le=1.0)
    initial_epsilon: float = Field(1.0, gt=0.0, le=1.0)
    final_epsilon: float = Field(0.05, ge=0.0, le=1.0)
    epsilon_anneal_share: float = Field(0.3, gt=0.0, le=1.0)
    initial_send_cost: float = Field(0.0, ge=0.0, le=1e9)
