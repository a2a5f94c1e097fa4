"""The bandits by the `kind` of their config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agents.agent import Learner
from agents.bandits.beta_thompson import BetaThompson, BetaThompsonSettings
from agents.bandits.epsilon_greedy import EpsilonGreedy, EpsilonGreedySettings
from agents.bandits.linear_thompson import LinearThompson, LinearThompsonSettings
from agents.bandits.linucb import LinUCB, LinUCBSettings
from agents.bandits.logistic_thompson import LogisticThompson, LogisticThompsonSettings
from agents.bandits.neural_linear import NeuralLinear, NeuralLinearSettings
from agents.bandits.recovering_softmax import RecoveringSoftmax, RecoveringSoftmaxSettings
from agents.bandits.send_cost import SendCostSettings, SendCostThompson
from agents.bandits.softmax import SoftmaxBandit, SoftmaxSettings
from agents.bandits.ucb1 import UCB1, UCB1Settings
from agents.problem import Problem

BanditSettings = Annotated[
    EpsilonGreedySettings
    | UCB1Settings
    | BetaThompsonSettings
    | SoftmaxSettings
    | RecoveringSoftmaxSettings
    | LinUCBSettings
    | LinearThompsonSettings
    | LogisticThompsonSettings
    | NeuralLinearSettings
    | SendCostSettings,
    Field(discriminator="kind"),
]


def bandit(settings: BanditSettings, problem: Problem) -> Learner:
    """Return a bandit that has learned nothing yet."""
    match settings:
        case EpsilonGreedySettings():
            return EpsilonGreedy(settings, problem)
        case UCB1Settings():
            return UCB1(settings, problem)
        case BetaThompsonSettings():
            return BetaThompson(settings, problem)
        case SoftmaxSettings():
            return SoftmaxBandit(settings, problem)
        case RecoveringSoftmaxSettings():
            return RecoveringSoftmax(settings, problem)
        case LinUCBSettings():
            return LinUCB(settings, problem)
        case LinearThompsonSettings():
            return LinearThompson(settings, problem)
        case LogisticThompsonSettings():
            return LogisticThompson(settings, problem)
        case NeuralLinearSettings():
            return NeuralLinear(settings, problem)
        case SendCostSettings():
            return SendCostThompson(settings, problem)
