"""World B: a contextual bandit; whom to send what, on which channel, one message a user.

Modelling choice: users of four segments come one by one, so the best campaign differs by segment and every policy's
regret is known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from policies.vocabulary import Feature
from simulator.exact.environment import FiniteEnv, Reward
from simulator.exact.finite import FiniteModel, Floats
from simulator.exact.vector import FiniteVectorEnv
from simulator.exact.world import Observations, World

SEGMENT_SHARES = (0.4, 0.3, 0.2, 0.1)
N_CAMPAIGNS = 8
CHANNELS = ("push", "email")
OPEN_LOGIT = (-2.6, -1.4)
CLICK_FACTOR = (1.0, 0.13)
SEND_COST_EUR = (5e-5, 8e-4)
INTEREST_GAIN, CONVERSION_PROB = 0.8, 0.2
SEED = 2024


def segment_model() -> FiniteModel:
    """Return the problem: states 0 to 3 are the user's segment, state 4 is after the decision.

    Action 1 + 2 * campaign + channel. The parameters come in this order from NumPy's `default_rng(2024)`: interest
    N(0, 1.2) of shape (4, 8), quality N(0, .3) and value exp N(0, .3) of the 8 campaigns.
    """
    generator = np.random.default_rng(SEED)
    n_segments = len(SEGMENT_SHARES)
    interest = generator.normal(0.0, 1.2, (n_segments, N_CAMPAIGNS))
    quality = generator.normal(0.0, 0.3, N_CAMPAIGNS)
    value_eur = np.exp(generator.normal(0.0, 0.3, N_CAMPAIGNS))
    logit = np.asarray(OPEN_LOGIT) + (INTEREST_GAIN * interest + quality)[:, :, None]  # (segments, campaigns, channels)
    buys_prob = np.asarray(CLICK_FACTOR) * CONVERSION_PROB / (1.0 + np.exp(-logit))
    n_actions = 1 + N_CAMPAIGNS * len(CHANNELS)
    win_prob, win, cost = (np.zeros((n_segments + 1, n_actions)) for _ in range(3))
    win_prob[:-1, 1:] = buys_prob.reshape(n_segments, -1)
    win[:-1, 1:] = np.repeat(value_eur, len(CHANNELS))
    cost[:-1, 1:] = np.tile(SEND_COST_EUR, N_CAMPAIGNS)
    kernel = np.zeros((n_actions, n_segments + 1, n_segments + 1))
    kernel[:, :, -1] = 1.0
    return FiniteModel(
        kernels=(kernel,),
        win_prob=win_prob,
        win=win,
        cost=cost,
        is_allowed=np.ones((n_segments + 1, n_actions), np.bool_),
        is_final=np.arange(n_segments + 1) == n_segments,
        start=np.asarray((*SEGMENT_SHARES, 0.0)),
        discount=0.0,
    )


@cache
def segment_world() -> World:
    """Return world B."""
    model = segment_model()
    features = (
        *(Feature(f"is_segment_{i}", "", 0.0, 1.0, "plain", "of the user") for i in range(len(SEGMENT_SHARES))),
        Feature("is_over", "", 0.0, 1.0, "plain", "the user has been served"),
    )
    actions = ("no_send", *(f"campaign{i}.{channel}" for i in range(N_CAMPAIGNS) for channel in CHANNELS))
    observations = np.eye(model.n_states, dtype=np.float32)
    return World("kairos/ExactB", model, observations, features, actions, 1.0, segment_baselines)


@cache
def segment_baselines() -> Mapping[str, float]:
    """Return the values of the best single arm for everybody, and of an arm drawn uniformly, none among them."""
    model = segment_world().model
    of_arms = model.start @ model.reward
    return {"best fixed arm": float(of_arms.max()), "uniform": float(of_arms.mean())}


def regret_eur(observations: Observations, actions: npt.NDArray[np.integer]) -> Floats:
    """Return what each action is expected to lose beside the best one for that user, shape (n,), >= 0.

    Args:
        observations: shape (n, 5).
        actions: shape (n,).
    """
    world = segment_world()
    reward = world.model.reward[world.states_of(observations)]
    return reward.max(axis=1) - reward[np.arange(len(reward)), actions]


class SegmentEnv(FiniteEnv):
    """World B: each episode is one user, and one decision.

    ## Action space

    `Discrete(17)`: 0 `no_send`, 1 + 2 k `campaign<k>.push`, 2 + 2 k `campaign<k>.email`, k = 0..7.

    ## Observation space

    `Box` of float32, shape (5,), one of them 1.

    | index | name | unit | min | max |
    |---|---|---|---|---|
    | 0 | is_segment_0 | | 0 | 1 |
    | 1 | is_segment_1 | | 0 | 1 |
    | 2 | is_segment_2 | | 0 | 1 |
    | 3 | is_segment_3 | | 0 | 1 |
    | 4 | is_over | | 0 | 1 |

    ## Reward (EUR)

    A send wins its campaign's value with probability sigma(theta + .8 interest + quality) * click * .2 and costs the
    channel's price; doing nothing earns 0. By default the win is drawn, as a bandit meets it; `regret_eur` is exact.

    ## Start, end, discount

    A segment drawn with shares .4, .3, .2, .1. Every step terminates. Discount 0: no decision bears on another.

    ## Known values

    Optimum .051624 with arms 13, 1, 13, 13; best fixed arm .045520; uniform .013386.
    """

    def __init__(self, reward: Reward = "sampled") -> None:
        super().__init__(segment_world(), None, reward)


class SegmentVectorEnv(FiniteVectorEnv):
    """World B, many users at once; see `SegmentEnv` for the sheet and `FiniteVectorEnv` for the manners."""

    def __init__(self, num_envs: int = 1, reward: Reward = "sampled") -> None:
        super().__init__(segment_world(), num_envs, None, reward)
