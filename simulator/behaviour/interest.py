"""Interests: what a user cares for, how it drifts, and what was just browsed."""

from __future__ import annotations

import math

import numpy as np

from simulator import luck
from simulator.compiled import compiled
from simulator.records import N_CATEGORIES, Floats, Kind, Record, Trigger

TRIGGERED = int(Kind.TRIGGERED)
BROWSE = int(Trigger.BROWSE)
CART = int(Trigger.CART)
ORDER = int(Trigger.ORDER)
QUANTILE_LIMIT = 6.5  # normal scores that the quantile tables reach to
QUANTILE_STEP = 1.0 / 256.0
MOST_RELEVANT = 2.5


@compiled
def quantile(table: np.ndarray, score: float) -> float:
    """Return a tabulated log-quantile at a normal score, linearly between grid points (relative error 2e-6)."""
    place = (min(max(score, -QUANTILE_LIMIT), QUANTILE_LIMIT) + QUANTILE_LIMIT) / QUANTILE_STEP
    left = min(int(place), table.shape[0] - 2)
    part = place - left
    return (1.0 - part) * table[left] + part * table[left + 1]


@compiled
def relevance(user: Record, category: int) -> float:
    """Return how far a category stands out among the user's interests, in standard deviations, within +-2.5.

    Source: modelling choice: z-score of the log share over the user's own categories.
    """
    mean = 0.0
    for k in range(N_CATEGORIES):
        mean += user.log_interest[k]
    mean /= N_CATEGORIES
    spread = 0.0
    for k in range(N_CATEGORIES):
        spread += (user.log_interest[k] - mean) ** 2
    spread = math.sqrt(spread / N_CATEGORIES)
    if spread < 1e-9:
        return 0.0
    return min(max((user.log_interest[category] - mean) / spread, -MOST_RELEVANT), MOST_RELEVANT)


@compiled
def category_of(user: Record, campaign: Record) -> int:
    """Return what a message is about: its campaign's category, or what the user browsed or bought to open it."""
    if campaign.kind == TRIGGERED and campaign.trigger in (BROWSE, CART, ORDER):
        return user.intent_category
    return campaign.category


@compiled
def draw_category(user: Record, unit: float) -> int:
    """Return the category that a uniform number falls into, by the user's interest shares (Dirichlet)."""
    total = 0.0
    for k in range(N_CATEGORIES):
        total += math.exp(user.log_interest[k])
    target = unit * total
    for k in range(N_CATEGORIES - 1):
        target -= math.exp(user.log_interest[k])
        if target < 0.0:
            return k
    return N_CATEGORIES - 1


@compiled
def drift(user: Record, law: Record, interest: Floats) -> None:
    """Redraw one interest, and set when the next one goes: on average one in `drift_hours`."""
    index = np.uint64(user.n_drifts)
    category = int(luck.uniform(user.key, luck.DRIFT_CATEGORY, index) * N_CATEGORIES)
    score = luck.normal(user.key, luck.DRIFT_INTEREST, index)
    user.log_interest[category] = quantile(interest[category], score)
    user.n_drifts += 1
    wait = luck.exponential(user.key, luck.CLOCK_DRIFT, np.uint64(user.n_drifts))
    user.next_drift_hours += law.drift_hours * wait


@compiled
def is_in_context(user: Record, law: Record) -> bool:
    """Return whether the user is in the context (near a store): a two-state Markov process. Modelling choice.

    Nothing else depends on it, so it is brought up to now only when somebody asks.
    """
    while user.context_switch_hours <= user.now_hours:
        user.in_context = 1 - user.in_context
        user.n_contexts += 1
        wait = luck.exponential(user.key, luck.CLOCK_CONTEXT, np.uint64(user.n_contexts))
        user.context_switch_hours += wait * (law.on_hours if user.in_context else law.off_hours)
    return user.in_context == 1
