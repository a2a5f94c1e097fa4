"""World A: one user who tires and may opt out; when, and how often, to send.

Modelling choice: the smallest problem in which hour, frequency and the fear of losing the user all matter. Its
fatigue is a whole number that thins binomially, with the mean of the simulator's fatigue, so that it can be solved.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import cache, partial

import numpy as np

from policies.vocabulary import Feature
from simulator.exact.environment import FiniteEnv, Reward
from simulator.exact.finite import FiniteModel, Floats, start_value
from simulator.exact.vector import FiniteVectorEnv
from simulator.exact.world import World

SLOT_HOURS = 4
N_SLOTS = 24 // SLOT_HOURS
ATTENTION = (0.05, 0.5, 0.7, 0.8, 1.0, 0.6)  # of each slot of the day
FATIGUE_DECAY_HOURS = 96.0
MAX_FATIGUE = 24
OPEN_LOGIT, FATIGUE_LOGIT = -2.2, 0.1
WIN_EUR, SEND_COST_EUR = 0.30, 0.00005
OPT_OUT_PROB, OPT_OUT_GAIN = 0.002, 0.15  # per send: 1 - exp(-.002 (1 + .15 fatigue))
DISCOUNT_HOURS = 1440.0


def binomial(n: int, prob: float) -> Floats:
    """Return the probabilities of 0 to n successes in n trials, shape (n + 1,)."""
    return np.asarray([math.comb(n, k) * prob**k * (1.0 - prob) ** (n - k) for k in range(n + 1)])


def fatigue_model(max_fatigue: int = MAX_FATIGUE, carry_over: float = 1.0) -> FiniteModel:
    """Return the problem: state slot * (max_fatigue + 1) + fatigue, and last of all the user who has opted out.

    Args:
        max_fatigue: sends beyond it do not tire further.
        carry_over: by how much what a send does to later ones is multiplied, tiredness and opting out; 0: every
            decision stands for itself.

    Raises:
        ValueError: a carry-over below 0 or not finite.
    """
    if not 0.0 <= carry_over < math.inf:
        raise ValueError(f"carry_over: expected a finite number of at least 0, got {carry_over}")
    n_levels = max_fatigue + 1
    out = N_SLOTS * n_levels
    kernel = np.zeros((2, out + 1, out + 1))
    win_prob = np.zeros((out + 1, 2))
    remains_prob = math.exp(-SLOT_HOURS / FATIGUE_DECAY_HOURS)
    for slot, fatigue, is_sent in itertools.product(range(N_SLOTS), range(n_levels), (0, 1)):
        state = slot * n_levels + fatigue
        opt_out_prob = is_sent * -math.expm1(-carry_over * OPT_OUT_PROB * (1.0 + OPT_OUT_GAIN * fatigue))
        most = min(fatigue + is_sent, max_fatigue)
        following = (slot + 1) % N_SLOTS * n_levels
        kernel[is_sent, state, following : following + most + 1] = (1.0 - opt_out_prob) * binomial(most, remains_prob)
        kernel[is_sent, state, out] = opt_out_prob
        win_prob[state, 1] = ATTENTION[slot] / (1.0 + math.exp(-OPEN_LOGIT + carry_over * FATIGUE_LOGIT * fatigue))
    kernel[:, out, out] = 1.0
    is_final = np.arange(out + 1) == out
    is_send = ~is_final[:, None] & np.asarray([False, True])
    return FiniteModel(
        kernels=(kernel,),
        win_prob=win_prob,
        win=WIN_EUR * is_send,
        cost=SEND_COST_EUR * is_send,
        is_allowed=np.ones((out + 1, 2), np.bool_),
        is_final=is_final,
        start=(np.arange(out + 1) == 0).astype(np.float64),
        discount=math.exp(-SLOT_HOURS / DISCOUNT_HOURS),
    )


@cache
def fatigue_world(carry_over: float = 1.0) -> World:
    """Return world A; for its carry-over see `fatigue_model`."""
    model = fatigue_model(carry_over=carry_over)
    n_levels = MAX_FATIGUE + 1
    observations = np.zeros((model.n_states, N_SLOTS + 2), np.float32)
    for state in range(N_SLOTS * n_levels):
        observations[state, state // n_levels] = 1.0
        observations[state, N_SLOTS] = (state % n_levels) / MAX_FATIGUE
    observations[-1, -1] = 1.0
    slots = [(SLOT_HOURS * slot, SLOT_HOURS * (slot + 1)) for slot in range(N_SLOTS)]
    features = (
        *(Feature(f"is_hour_{a}_to_{b}", "", 0.0, 1.0, "plain", "of the user's local day") for a, b in slots),
        Feature("fatigue_share", "24 sends", 0.0, 1.0, "plain", "sends that still tire, as a share of 24"),
        Feature("is_out", "", 0.0, 1.0, "plain", "the user has opted out"),
    )
    return World(
        "kairos/ExactA",
        model,
        observations,
        features,
        ("no_send", "send"),
        float(SLOT_HOURS),
        partial(fatigue_baselines, carry_over),
    )


@cache
def fatigue_baselines(carry_over: float = 1.0) -> Mapping[str, float]:
    """Return the values of always sending, of the best set of slots, and of the best set with the best threshold.

    The best are found by trying all: 64 sets of slots, with a send only up to a fatigue of 0 to 24.
    """
    model = fatigue_world(carry_over).model
    slot, fatigue = np.divmod(np.arange(model.n_states), MAX_FATIGUE + 1)
    values: dict[tuple[int, int], float] = {}
    for chosen, most in itertools.product(range(2**N_SLOTS), range(MAX_FATIGUE + 1)):
        is_sent = ((chosen >> slot) & 1).astype(np.bool_) & (fatigue <= most) & ~model.is_final
        values[chosen, most] = start_value(model, is_sent.astype(np.int64))
    return {
        "always send": values[2**N_SLOTS - 1, MAX_FATIGUE],
        "best slots": max(values[chosen, MAX_FATIGUE] for chosen in range(2**N_SLOTS)),
        "best slots and threshold": max(values.values()),
    }


class FatigueEnv(FiniteEnv):
    """World A: one user, one message every four hours or none.

    ## Action space

    `Discrete(2)`: 0 `no_send`, 1 `send`.

    ## Observation space

    `Box` of float32, shape (8,). Of the first six exactly one is 1; all but the last are 0 after an opt-out.

    | index | name | unit | min | max |
    |---|---|---|---|---|
    | 0 | is_hour_0_to_4 | | 0 | 1 |
    | 1 | is_hour_4_to_8 | | 0 | 1 |
    | 2 | is_hour_8_to_12 | | 0 | 1 |
    | 3 | is_hour_12_to_16 | | 0 | 1 |
    | 4 | is_hour_16_to_20 | | 0 | 1 |
    | 5 | is_hour_20_to_24 | | 0 | 1 |
    | 6 | fatigue_share | 24 sends | 0 | 1 |
    | 7 | is_out | | 0 | 1 |

    ## Dynamics

    With fatigue n = 0..24 and a = 1 for a send: n' ~ Binomial(min(n + a, 24), exp(-4/96)); a send makes the user opt
    out with probability 1 - exp(-.002 (1 + .15 n)). A step takes 4 hours.

    ## Reward (EUR)

    A send earns .30 with probability A sigma(-2.2 - .1 n), A = .05, .5, .7, .8, 1, .6 by slot, and costs .00005; also
    the send that makes the user opt out. By default the expectation is paid.

    ## Start, end, discount

    Slot 0, n = 0. Opting out terminates; `max_steps`, if given, truncates. Discount exp(-4/1440) a step.

    ## Known values from the start

    Optimum 1.24769; best slots with a threshold 1.20897; best slots 1.18277; always send .40684.

    Args:
        max_steps, reward: as in `FiniteEnv`.
        carry_over: by how much what a send does to later ones is multiplied: .1 and .002 above. At 0 each decision
            stands for itself, and always sending is optimal.
    """

    def __init__(self, max_steps: int | None = None, reward: Reward = "expected", carry_over: float = 1.0) -> None:
        super().__init__(fatigue_world(carry_over), max_steps, reward)


class FatigueVectorEnv(FiniteVectorEnv):
    """World A, many users at once; see `FatigueEnv` for the sheet and `FiniteVectorEnv` for the manners."""

    def __init__(
        self, num_envs: int = 1, max_steps: int | None = None, reward: Reward = "expected", carry_over: float = 1.0
    ) -> None:
        super().__init__(fatigue_world(carry_over), num_envs, max_steps, reward)
