"""World D: four users who tire and may opt out, and at most one message a step for all of them.

Modelling choice: the smallest problem in which a shared budget makes users compete.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from policies.vocabulary import Feature
from simulator.exact.environment import FiniteEnv, Ineligible, Reward
from simulator.exact.fatigue import binomial
from simulator.exact.finite import FiniteModel, Ints, start_value
from simulator.exact.vector import FiniteVectorEnv
from simulator.exact.whittle import Arm, relaxed_bound
from simulator.exact.world import World


@dataclass(frozen=True)
class UserType:
    """A kind of user: open logit when rested, worth of an open, opt-out hazard of a send when rested."""

    open_logit: float
    win_eur: float
    opt_out_hazard: float


USER_TYPES = (
    UserType(-1.5, 1.0, 0.02),
    UserType(-2.0, 1.5, 0.01),
    UserType(-1.0, 0.6, 0.03),
    UserType(-2.5, 3.0, 0.02),
)
MAX_FATIGUE = 5
OUT = MAX_FATIGUE + 1
FATIGUE_LOGIT, OPT_OUT_GAIN, REMAINS_PROB = 0.5, 0.5, 0.7
DISCOUNT = 0.98


def open_prob(user: UserType, fatigue: int) -> float:
    """Return the probability that a send is opened: sigma(open_logit - .5 fatigue)."""
    return 1.0 / (1.0 + math.exp(-user.open_logit + FATIGUE_LOGIT * fatigue))


def restless_arm(user: UserType) -> Arm:
    """Return one user as an arm: fatigue 0 to 5, then 6 for opted out."""
    kernels = np.zeros((2, OUT + 1, OUT + 1))
    for fatigue, is_sent in itertools.product(range(OUT), (0, 1)):
        opt_out_prob = is_sent * -math.expm1(-user.opt_out_hazard * (1.0 + OPT_OUT_GAIN * fatigue))
        most = min(fatigue + is_sent, MAX_FATIGUE)
        kernels[is_sent, fatigue, : most + 1] = (1.0 - opt_out_prob) * binomial(most, REMAINS_PROB)
        kernels[is_sent, fatigue, OUT] = opt_out_prob
    kernels[:, OUT, OUT] = 1.0
    reward = np.asarray([*(open_prob(user, fatigue) * user.win_eur for fatigue in range(OUT)), 0.0])
    return Arm(kernels, reward, np.arange(OUT + 1) < OUT, DISCOUNT)


@cache
def restless_arms() -> tuple[Arm, ...]:
    """Return the four users as arms."""
    return tuple(restless_arm(user) for user in USER_TYPES)


def restless_model() -> FiniteModel:
    """Return the problem: the product of the users; action 0 sends to nobody, action u to user u = 1..4."""
    n_users, n_levels = len(USER_TYPES), OUT + 1
    passive = np.zeros(1 + n_users, np.int64)
    kernels = []
    for user, arm in enumerate(restless_arms()):
        active = passive.copy()
        active[1 + user] = 1
        kernels.append(arm.kernels[active])
    levels = np.stack(np.unravel_index(np.arange(n_levels**n_users), (n_levels,) * n_users), axis=1)
    is_in = levels != OUT
    win_prob = np.zeros((len(levels), 1 + n_users))
    for user, kind in enumerate(USER_TYPES):
        probs = np.asarray([*(open_prob(kind, fatigue) for fatigue in range(OUT)), 0.0])
        win_prob[:, 1 + user] = probs[levels[:, user]]
    worth = np.asarray([0.0, *(kind.win_eur for kind in USER_TYPES)])
    is_allowed = np.concatenate([np.ones((len(levels), 1), np.bool_), is_in], axis=1)
    return FiniteModel(
        kernels=tuple(kernels),
        win_prob=win_prob,
        win=worth * is_allowed,
        cost=np.zeros_like(win_prob),
        is_allowed=is_allowed,
        is_final=~is_in.any(axis=1),
        start=(np.arange(len(levels)) == 0).astype(np.float64),
        discount=DISCOUNT,
    )


@cache
def restless_world() -> World:
    """Return world D."""
    model = restless_model()
    is_out = model.parts == OUT
    fatigue_share = np.where(is_out, 0.0, model.parts / MAX_FATIGUE)
    users = range(1, 1 + len(USER_TYPES))
    features = tuple(
        feature
        for user in users
        for feature in (
            Feature(f"user{user}.fatigue_share", "5 sends", 0.0, 1.0, "plain", "sends that still tire, a share of 5"),
            Feature(f"user{user}.is_out", "", 0.0, 1.0, "plain", "the user has opted out"),
        )
    )
    observations = np.stack([fatigue_share, is_out], axis=2).reshape(model.n_states, -1).astype(np.float32)
    actions = ("no_send", *(f"user{user}" for user in users))
    return World("kairos/ExactD", model, observations, features, actions, 1.0, restless_baselines)


def whittle_actions() -> Ints:
    """Return Whittle's policy, shape (S,): the user with the greatest index gets the send, nobody if it is negative."""
    levels = restless_world().model.parts
    indices = np.stack([arm.indices[levels[:, user]] for user, arm in enumerate(restless_arms())], axis=1)
    return np.where(indices.max(axis=1) > 0.0, 1 + indices.argmax(axis=1), 0)


def myopic_actions() -> Ints:
    """Return the policy that takes the greatest reward of the step, shape (S,)."""
    model = restless_world().model
    return np.where(model.is_allowed, model.reward, -np.inf).argmax(axis=1)


@cache
def restless_baselines() -> Mapping[str, float]:
    """Return the values of Whittle's policy and of the myopic one."""
    model = restless_world().model
    return {"Whittle index": start_value(model, whittle_actions()), "myopic": start_value(model, myopic_actions())}


def restless_bound(n_of_each: int = 1) -> float:
    """Return the relaxed problem's bound with each type n times and n sends a step; n times the bound with one."""
    arms = restless_arms() * n_of_each
    return relaxed_bound(arms, [0] * len(arms), float(n_of_each))[0]


class RestlessEnv(FiniteEnv):
    """World D: four users, one message a step for one of them, or for none.

    ## Action space

    `Discrete(5)`: 0 `no_send`, u = 1..4 `user<u>`: the send goes to that user. A user who has opted out is masked.

    ## Observation space

    `Box` of float32, shape (8,).

    | index | name | unit | min | max |
    |---|---|---|---|---|
    | 0 | user1.fatigue_share | 5 sends | 0 | 1 |
    | 1 | user1.is_out | | 0 | 1 |
    | 2 | user2.fatigue_share | 5 sends | 0 | 1 |
    | 3 | user2.is_out | | 0 | 1 |
    | 4 | user3.fatigue_share | 5 sends | 0 | 1 |
    | 5 | user3.is_out | | 0 | 1 |
    | 6 | user4.fatigue_share | 5 sends | 0 | 1 |
    | 7 | user4.is_out | | 0 | 1 |

    ## Dynamics

    With fatigue n = 0..5 and a = 1 for the user sent to: n' ~ Binomial(min(n + a, 5), .7); a send makes the user opt
    out with probability 1 - exp(-pi (1 + .5 n)). A step has no length of its own and counts as an hour.

    ## Reward (EUR)

    A send earns v with probability sigma(theta - .5 n), also the send that makes the user opt out. By default the
    expectation is paid. (theta, v, pi) = (-1.5, 1, .02), (-2, 1.5, .01), (-1, .6, .03), (-2.5, 3, .02).

    ## Start, end, discount

    All rested. Users opt out one by one; the last one terminates; `max_steps`, if given, truncates. Discount .98.

    ## Known values from the start

    Optimum 7.97196; Whittle index 7.94153; myopic 7.78799.
    """

    def __init__(
        self, max_steps: int | None = None, reward: Reward = "expected", ineligible: Ineligible = "error"
    ) -> None:
        super().__init__(restless_world(), max_steps, reward, ineligible)


class RestlessVectorEnv(FiniteVectorEnv):
    """World D, many groups at once; see `RestlessEnv` for the sheet and `FiniteVectorEnv` for the manners."""

    def __init__(
        self,
        num_envs: int = 1,
        max_steps: int | None = None,
        reward: Reward = "expected",
        ineligible: Ineligible = "error",
    ) -> None:
        super().__init__(restless_world(), num_envs, max_steps, reward, ineligible)
