"""The one place where an agent's `kind` is written beside its settings and what trains it.

    settings = settings_class("linucb")(...)
    trainer = build_trainer(settings, env, seed=1)

A row names its classes by module, so that reading the config of one agent imports no other, and no torch for a bandit.
"""

from __future__ import annotations

import difflib
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from agents.settings import Settings

if TYPE_CHECKING:  # what is compiled, which nobody needs who only reads a config
    from agents.agent import Learner
    from agents.problem import Problem
    from agents.trainer import Trainer


class Credit(Settings):
    """What a bandit credits a decision with: the rewards within a window after it.

    Attributes:
        window_hours: of rewards that began within so many hours after a decision, its own the first.
        discount_per_day: of rewards within the window, by elapsed time.
    """

    window_hours: float = Field(1.0, gt=0.0, le=8760.0)
    discount_per_day: float = Field(1.0, gt=0.0, le=1.0)


class Kind(NamedTuple):
    """Where an agent is written.

    Attributes:
        settings: the class of its config, as `module:name`.
        trainer: the class that is called with (settings, env, seed) and is a `Trainer`, as `module:name`; "" for a
            bandit, which learns by `agents.bandits.online`.
        bandit: the class that is called with (settings, problem) and is a `Learner`, as `module:name`; "" for others.
        ignores_masks: whether it takes actions that are not eligible while it learns.
    """

    settings: str
    trainer: str = ""
    bandit: str = ""
    ignores_masks: bool = False


SB3_TRAINER = "agents.reinforcement.trainer:SB3Trainer"
KINDS: dict[str, Kind] = {
    "epsilon_greedy": Kind(
        "agents.bandits.settings:EpsilonGreedySettings", bandit="agents.bandits.epsilon_greedy:EpsilonGreedy"
    ),
    "ucb1": Kind("agents.bandits.settings:UCB1Settings", bandit="agents.bandits.ucb1:UCB1"),
    "beta_thompson": Kind(
        "agents.bandits.settings:BetaThompsonSettings", bandit="agents.bandits.beta_thompson:BetaThompson"
    ),
    "softmax": Kind("agents.bandits.settings:SoftmaxSettings", bandit="agents.bandits.softmax:SoftmaxBandit"),
    "recovering_softmax": Kind(
        "agents.bandits.settings:RecoveringSoftmaxSettings",
        bandit="agents.bandits.recovering_softmax:RecoveringSoftmax",
    ),
    "linucb": Kind("agents.bandits.settings:LinUCBSettings", bandit="agents.bandits.linucb:LinUCB"),
    "linear_thompson": Kind(
        "agents.bandits.settings:LinearThompsonSettings", bandit="agents.bandits.linear_thompson:LinearThompson"
    ),
    "logistic_thompson": Kind(
        "agents.bandits.settings:LogisticThompsonSettings", bandit="agents.bandits.logistic_thompson:LogisticThompson"
    ),
    "neural_linear": Kind(
        "agents.bandits.settings:NeuralLinearSettings", bandit="agents.bandits.neural_linear:NeuralLinear"
    ),
    "send_cost": Kind("agents.bandits.settings:SendCostSettings", bandit="agents.bandits.send_cost:SendCostThompson"),
    "ppo": Kind("agents.reinforcement.settings:PPOSettings", SB3_TRAINER, ignores_masks=True),
    "maskable_ppo": Kind("agents.reinforcement.settings:MaskablePPOSettings", SB3_TRAINER),
    "dqn": Kind("agents.reinforcement.settings:DQNSettings", SB3_TRAINER),
}


def settings_class(kind: str) -> type[Settings]:
    """Return the class of an agent's config.

    Raises:
        ValueError: there is no such kind; the message has the nearest.
        ModuleNotFoundError: the kind needs a library that is not installed; the message says how to install it.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"agent: kind: expected one of {', '.join(KINDS)}, got {kind!r}.{hint}")
    found: type[Settings] = _named(KINDS[kind].settings)
    return found


def is_bandit(kind: str) -> bool:
    """Return whether an agent of a known kind is a bandit, which has a `Credit`."""
    return bool(KINDS[kind].bandit)


def ignores_masks(settings: Settings) -> bool:
    """Return whether an agent takes actions that are not eligible while it learns; they must then send nothing."""
    return KINDS[kind_of(settings)].ignores_masks


def build_trainer(settings: Settings, env: Any, seed: int, credit: Credit | None = None) -> Trainer:
    """Return a trainer of the agent that a config describes, in an environment.

    Args:
        settings: whose `kind` is one of `KINDS`.
        env: a Gymnasium VectorEnv, not yet reset.
        seed: of all luck that is not the environment's own law.
        credit: of a bandit; None: the default.

    Raises:
        TypeError: no vector environment.
    """
    if not hasattr(env, "num_envs"):
        raise TypeError(f"build_trainer: env: expected a Gymnasium VectorEnv, got {type(env).__name__}: one user alone")
    place = KINDS[kind_of(settings)].trainer
    if place:
        made: Trainer = _named(place)(settings, env, seed)
        return made
    from agents.bandits.online import OnlineTrainer
    from agents.problem import problem_of

    credit = credit or Credit()
    return OnlineTrainer(bandit(settings, problem_of(env)), env, seed, credit.window_hours, credit.discount_per_day)


def bandit(settings: Settings, problem: Problem) -> Learner:
    """Return a bandit that has learned nothing yet.

    Args:
        settings: of a kind that is a bandit.
        problem: what it decides about.
    """
    made: Learner = _named(KINDS[kind_of(settings)].bandit)(settings, problem)
    return made


def kind_of(settings: Settings) -> str:
    """Return the `kind` of an agent's config."""
    return str(settings.kind)  # type: ignore[attr-defined]


def discount_per_day(settings: Settings, credit: Credit | None = None) -> float:
    """Return by what an agent discounts a day."""
    if is_bandit(kind_of(settings)):
        return (credit or Credit()).discount_per_day
    return float(settings.discount_per_day)  # type: ignore[attr-defined]


def horizon_words(settings: Settings, credit: Credit | None = None) -> str:
    """Return, as a sentence, how far ahead an agent looks.

    The horizon of a discount g a day is -1 / ln g days: the time constant of exp(-t / horizon) = g ** t, by when the
    weight of a euro has fallen to 1 / e. A bandit sees no further than its window, and knows of no state to come.
    """
    discount = discount_per_day(settings, credit)
    if is_bandit(kind_of(settings)):
        hours = (credit or Credit()).window_hours
        how = "no discount" if discount == 1.0 else f"discount {discount:g} a day"
        return f"A bandit: the learning horizon is its window of {hours:g} h after each decision, {how} within it."
    if discount >= 1.0:
        return "No discount: the learning horizon is the episode."
    return f"Discount {discount:g} a day: the learning horizon is {-1.0 / math.log(discount):.3g} days."


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
