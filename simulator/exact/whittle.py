"""Restless arms under one budget: Whittle's indices, and the bound of the relaxed problem. Both exact for small arms.

Each arm's deterministic policies are enumerated (2 ** S of them). Under a price for each send the value of a policy
is linear in the price: rewards minus price times sends. So indices and bound are found without any iteration that
could stop too early.

Source: Whittle, Restless bandits (J. Applied Probability 25A, 1988).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.exact.finite import Bools, Floats

MAX_FREE_STATES = 12  # 4,096 policies
N_HALVINGS = 120  # of an interval of prices: below float64's resolution
MAX_SUBSIDY = 1e6  # times the greatest reward: no real payment is as high


@dataclass(frozen=True, eq=False)
class Arm:
    """A user who can be sent to or left alone.

    Attributes:
        kernels: P(next | not sent, now) and P(next | sent, now), shape (2, S, S).
        reward: expected, of a send, shape (S,).
        can_send: where a send is allowed, shape (S,).
        discount: per step.

    Raises:
        ValueError: too many states to enumerate.
    """

    kernels: Floats
    reward: Floats
    can_send: Bools
    discount: float

    def __post_init__(self) -> None:
        if self.can_send.sum() > MAX_FREE_STATES:
            raise ValueError(f"can_send: expected at most {MAX_FREE_STATES} states, got {self.can_send.sum()}")

    @cached_property
    def rewards_and_sends(self) -> tuple[Floats, Floats]:
        """Discounted rewards and discounted sends of every deterministic policy, each of shape (policies, S)."""
        n_states = len(self.reward)
        free = np.flatnonzero(self.can_send)
        is_sent = np.zeros((2 ** len(free), n_states), np.int64)
        is_sent[:, free] = list(itertools.product((0, 1), repeat=len(free)))
        system = np.eye(n_states) - self.discount * self.kernels[is_sent, np.arange(n_states)]
        both = np.linalg.solve(system, np.stack([is_sent * self.reward, is_sent], axis=2))
        return both[:, :, 0], both[:, :, 1]

    def advantage(self, prices: Floats) -> Floats:
        """Return how much better a send is than none in each state, at a price of its own for each, shape (S,).

        Args:
            prices: per send, shape (S,).
        """
        rewards, sends = self.rewards_and_sends
        optimal = (rewards[None] - prices[:, None, None] * sends[None]).max(axis=1)  # (prices, S)
        following = self.discount * (optimal[:, None, :] * (self.kernels[1] - self.kernels[0])[None]).sum(axis=2)
        return self.reward - prices + np.diagonal(following)

    @cached_property
    def indices(self) -> Floats:
        """Whittle's index of each state: the price at which a send and none are worth the same, shape (S,).

        -inf where no send is allowed, or where none is worth its risk however much each send is paid (resting first
        gives more sends in all). Found by halving, which presumes that the advantage falls through 0 once
        (indexability; a test looks).
        """
        most = float(np.abs(self.reward).max())
        low, high = np.full(len(self.reward), -MAX_SUBSIDY * most), np.full(len(self.reward), most)
        is_ever_sent = self.can_send & (self.advantage(low) > 0.0)
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2.0
            is_send_better = self.advantage(middle) > 0.0
            low, high = np.where(is_send_better, middle, low), np.where(is_send_better, high, middle)
        return np.where(is_ever_sent, (low + high) / 2.0, -np.inf)


def relaxed_bound(arms: Sequence[Arm], starts: Sequence[int], sends_per_step: float) -> tuple[float, float]:
    """Return an upper bound on what any policy can earn, and the price per send that gives it.

    The budget need only hold in discounted expectation; its multiplier is the price, and each arm then chooses by
    itself: min over price >= 0 of sum of V_arm(price) + price * sends_per_step / (1 - discount). That is convex and
    piecewise linear in the price, so the minimum is where two policies of an arm are worth the same, or at 0.

    Args:
        arms: the users.
        starts: first state of each.
        sends_per_step: the budget.

    Source: Whittle (1988), section 2; Adelman & Mersereau (Operations Research 2008), the Lagrangian relaxation.
    """
    lines = [tuple(of[:, start] for of in arm.rewards_and_sends) for arm, start in zip(arms, starts, strict=True)]
    prices = [np.zeros(1)]
    for rewards, sends in lines:
        i, j = np.triu_indices(len(rewards), 1)
        gap = sends[i] - sends[j]
        is_crossing = np.abs(gap) > 1e-12
        prices.append((rewards[i] - rewards[j])[is_crossing] / gap[is_crossing])
    candidates = np.unique(np.concatenate(prices))
    candidates = candidates[candidates >= 0.0]
    bound = candidates * sends_per_step / (1.0 - arms[0].discount)
    for rewards, sends in lines:
        bound = bound + (rewards[:, None] - sends[:, None] * candidates).max(axis=0)
    best = int(bound.argmin())
    return float(bound[best]), float(candidates[best])


def priced_bound(arms: Sequence[Arm], starts: Sequence[int], sends_per_step: float, prices: Floats) -> float:
    """Return an upper bound on what any policy can earn, from prices that differ by step.

    The budget need only hold in expectation, but in each step: any prices >= 0 give a bound, each arm then chooses by
    itself, by backward induction. After the last price a send is free. Good prices are high while all are rested and
    fall to 0 as users opt out; the bound is then far below that of the best constant price.

    Args:
        arms: the users.
        starts: first state of each.
        sends_per_step: the budget.
        prices: per send, of each step, shape (T,), >= 0.

    Source: weak duality, as in `relaxed_bound`; per-step multipliers as in Hawkins (PhD thesis, MIT 2003).

    Raises:
        ValueError: a price is negative or not finite.
    """
    if not (np.isfinite(prices).all() and (prices >= 0.0).all()):
        raise ValueError(f"prices: expected finite prices >= 0, got {np.min(prices)} to {np.max(prices)}")
    bound = 0.0
    for arm, start in zip(arms, starts, strict=True):
        values = arm.rewards_and_sends[0].max(axis=0)
        for price in prices[::-1]:
            none, sent = arm.discount * (arm.kernels @ values)
            values = np.where(arm.can_send, np.maximum(none, arm.reward - price + sent), none)
        bound += float(values[start])
    return bound + float((arms[0].discount ** np.arange(len(prices)) * prices).sum()) * sends_per_step
