"""Configs of the bandits, apart from what is compiled, so that a config can be checked at once."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import Field, model_validator

from agents.settings import Settings


class Forever(Settings):
    """Everything counts alike."""

    kind: Literal["forever"] = "forever"


class Discounted(Settings):
    """What was known counts `factor` times as much after each further update."""

    kind: Literal["discounted"] = "discounted"
    factor: float = Field(gt=0.0, lt=1.0)


class Window(Settings):
    """The last `n_updates` updates count, earlier ones do not."""

    kind: Literal["window"] = "window"
    n_updates: int = Field(ge=1, le=10_000)


Forgetting = Annotated[Forever | Discounted | Window, Field(discriminator="kind")]


class HasRange(Protocol):
    """A config with the range of its rewards."""

    @property
    def reward_low(self) -> float:
        """Counts as 0."""
        ...

    @property
    def reward_high(self) -> float:
        """Counts as 1."""
        ...


Ranged = TypeVar("Ranged", bound=HasRange)


def with_range(settings: Ranged) -> Ranged:
    """Return a config whose range is one; a validator of it.

    Raises:
        ValueError: reward_high is not above reward_low.
    """
    if settings.reward_low >= settings.reward_high:
        raise ValueError(
            f"reward_high: expected more than reward_low, {settings.reward_low}, got {settings.reward_high}"
        )
    return settings


class EpsilonGreedySettings(Settings):
    """Config of epsilon-greedy.

    Attributes:
        epsilon: chance that the action is drawn from all eligible ones alike, the best among them.
        initial_value: what an action that was never taken is thought to be worth, in units of the reward; a high one
            has every action tried.
        forgetting: what counts of the past.
    """

    kind: Literal["epsilon_greedy"] = "epsilon_greedy"
    epsilon: float = Field(0.1, ge=0.0, le=1.0)
    initial_value: float = 0.0
    forgetting: Forgetting = Forever()


class UCB1Settings(Settings):
    """Config of UCB1.

    Attributes:
        width: factor of sqrt(ln t / n); sqrt(2) is Auer's.
        reward_low, reward_high: range of the rewards, which are scaled by it to [0, 1]; what lies beyond counts as the
            bound.
        forgetting: what counts of the past.
    """

    kind: Literal["ucb1"] = "ucb1"
    width: float = Field(2**0.5, gt=0.0)
    reward_low: float = 0.0
    reward_high: float = 1.0
    forgetting: Forgetting = Forever()

    _has_range = model_validator(mode="after")(with_range)


class BetaThompsonSettings(Settings):
    """Config of Thompson sampling with Beta posteriors.

    Attributes:
        prior_successes, prior_failures: of every action before anything is known; 1 and 1 make every mean as likely.
            Not below 1: the density of draws must be finite for exact propensities.
        reward_low, reward_high: range of the rewards, which are scaled by it to [0, 1]; what lies beyond counts as the
            bound.
        forgetting: what counts of the past; the prior is not forgotten.
    """

    kind: Literal["beta_thompson"] = "beta_thompson"
    prior_successes: float = Field(1.0, ge=1.0)
    prior_failures: float = Field(1.0, ge=1.0)
    reward_low: float = 0.0
    reward_high: float = 1.0
    forgetting: Forgetting = Forever()

    _has_range = model_validator(mode="after")(with_range)


class SoftmaxSettings(Settings):
    """Config of softmax exploration.

    Attributes:
        temperature: in units of the reward; about the gap between actions that should still be told apart.
        initial_value: what an action that was never taken is thought to be worth, in units of the reward.
        forgetting: what counts of the past.
    """

    kind: Literal["softmax"] = "softmax"
    temperature: float = Field(0.1, gt=0.0)
    initial_value: float = 0.0
    forgetting: Forgetting = Forever()


class RecoveringSoftmaxSettings(Settings):
    """Config of the recovering difference softmax.

    Attributes:
        temperature: in units of the score, which is relative: .01 is one percent more reward.
        recency_penalty: gamma, in units of the score.
        half_life_days: of the penalty.
        forgetting: what counts of the past.
    """

    kind: Literal["recovering_softmax"] = "recovering_softmax"
    temperature: float = Field(0.0025, gt=0.0)
    recency_penalty: float = Field(0.017, ge=0.0)
    half_life_days: float = Field(15.0, gt=0.0)
    forgetting: Forgetting = Forever()


class LinUCBSettings(Settings):
    """Config of LinUCB.

    Attributes:
        alpha: how many widths sqrt(x' A^-1 x) above its mean an action is judged; in units of the reward, so with
            noise of standard deviation sigma, z sigma stands for z standard deviations.
        ridge: the prior's precision beside one observation's.
        forgetting: what counts of the past.
    """

    kind: Literal["linucb"] = "linucb"
    alpha: float = Field(1.0, ge=0.0)
    ridge: float = Field(1.0, gt=0.0)
    forgetting: Forgetting = Forever()


class LinearThompsonSettings(Settings):
    """Config of linear Thompson sampling.

    Attributes:
        noise_sd: standard deviation of a reward around its mean, in units of the reward. For wins of
            value v with a small probability p it is v sqrt(p).
        prior_sd: standard deviation of each weight before anything is known, in units of the reward; the size of the
            largest mean reward that would not surprise.
        forgetting: what counts of the past.
    """

    kind: Literal["linear_thompson"] = "linear_thompson"
    noise_sd: float = Field(1.0, gt=0.0)
    prior_sd: float = Field(1.0, gt=0.0)
    forgetting: Forgetting = Forever()

    @property
    def ridge(self) -> float:
        """The prior's precision beside one observation's."""
        return (self.noise_sd / self.prior_sd) ** 2


class LogisticThompsonSettings(Settings):
    """Config of logistic Thompson sampling.

    Attributes:
        prior_sd: standard deviation of each weight before anything is known, in logits.
        reward_low, reward_high: range of the rewards, which are scaled by it to [0, 1]; what lies beyond counts as the
            bound.
        forgetting: what counts of the past.
    """

    kind: Literal["logistic_thompson"] = "logistic_thompson"
    prior_sd: float = Field(1.0, gt=0.0)
    reward_low: float = 0.0
    reward_high: float = 1.0
    forgetting: Forgetting = Forever()

    _has_range = model_validator(mode="after")(with_range)


class NeuralLinearSettings(Settings):
    """Config of neural-linear.

    Attributes:
        n_hidden: hidden units.
        noise_sd, prior_sd: as of linear Thompson sampling.
        updates_a_training: how many updates pass between trainings.
        steps_a_training, n_batch, learning_rate: of Adam.
        n_memory: decisions remembered for trainings.
        seed: of the network's first weights and of the batches.
        forgetting: what counts of the past in the linear models.
    """

    kind: Literal["neural_linear"] = "neural_linear"
    n_hidden: int = Field(32, ge=1, le=1024)
    noise_sd: float = Field(1.0, gt=0.0)
    prior_sd: float = Field(1.0, gt=0.0)
    updates_a_training: int = Field(20, ge=1)
    steps_a_training: int = Field(200, ge=1)
    n_batch: int = Field(256, ge=1)
    learning_rate: float = Field(0.003, gt=0.0)
    n_memory: int = Field(20_000, ge=1)
    seed: int = Field(0, ge=0)
    forgetting: Forgetting = Forever()


class SendCostSettings(Settings):
    """Config of linear Thompson sampling with a cost of sending.

    Attributes:
        cost: taken from the score of every send, in units of the reward; below 0 it is a bonus.
        noise_sd, prior_sd, forgetting: as of linear Thompson sampling.
    """

    kind: Literal["send_cost"] = "send_cost"
    cost: float = 0.0
    noise_sd: float = Field(1.0, gt=0.0)
    prior_sd: float = Field(1.0, gt=0.0)
    forgetting: Forgetting = Forever()
