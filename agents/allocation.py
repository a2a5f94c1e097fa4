"""Allocation: from the scores of many users to sends under shared budgets, by shadow prices.

    maximise    sum over users u and actions a of score[u, a] x[u, a]
    subject to  sum over u and a of cost[b, u, a] x[u, a] <= limit[b]    for each budget b
                at most one action a user

Relaxing the budgets at prices p >= 0 leaves each user a choice of its own, and for any prices

    D(p) = sum_b p[b] limit[b] + sum_u max(0, max_a (score[u, a] - sum_b p[b] cost[b, u, a]))

is at least the best that can be had. D is convex and piecewise linear; limit - spent is a subgradient, so its minimum
is found by cutting planes, one pass over the scores each. At these prices the choices are nearly within the budgets;
what exceeds them is dropped, what is left is filled, and the difference to D is the gap that is reported. It is about
what a few users are worth, because a vertex of the relaxed problem splits no more users than there are budgets.

The prices can be carried to the next epoch, `choose_at`, and followed by how much was spent, `adapted_prices`.

Source: Dantzig, Discrete-variable extremum problems (Operations Research 1957) for the knapsack by prices; Kelley, The
cutting-plane method (SIAM 1960); Fisher, The Lagrangian relaxation method (Management Science 1981); for notifications
Zhao et al. (KDD 2018) and Gupta et al., Email volume optimization at LinkedIn (KDD 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.agent import Bools, Floats, Ints, require_finite

MOST_CUTS = 300
N_TRIED_SINGLY = 2_000  # in filling, when what is left is too little for many
MOST_FILLS = 20


@dataclass(frozen=True, eq=False)
class Budget:
    """Something that all users share.

    Attributes:
        name: for messages.
        limit: at least 0, in the unit of the costs: sends, EUR.
        costs: of each action, at least 0, shape (A,), or for each user, shape (U, A); of action 0, no_send, nothing.
    """

    name: str
    limit: float
    costs: Floats


@dataclass(frozen=True, eq=False)
class Allocation:
    """Who is sent what, and how far from the best that can be at most.

    Attributes:
        actions: 0 is no_send, shape (U,).
        prices: score per unit of each budget, shape (B,).
        spent: of each budget, at most its limit, shape (B,).
        value: sum of the scores of the actions over those of no_send.
        bound: D at the prices: no allocation is worth more.
    """

    actions: Ints
    prices: Floats
    spent: Floats
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """What a better allocation could add at most."""
        return self.bound - self.value


def allocate(
    scores: Floats, budgets: Sequence[Budget], masks: Bools | None = None, *, tolerance: float = 1e-7
) -> Allocation:
    """Return sends under shared budgets.

    Args:
        scores: of each action, shape (U, A); what counts is the difference to action 0, no_send.
        budgets: any number.
        masks: True where an action is eligible, shape (U, A); None: all are.
        tolerance: of the bound, relative to it.

    Raises:
        ValueError: shapes do not fit; scores or costs are not finite, costs or limits negative; no_send costs
            something.
    """
    scores = np.asarray(scores, np.float64)
    _check(scores, budgets, masks)
    gains = scores - scores[:, :1]
    if masks is not None:
        gains[~np.asarray(masks, np.bool_)] = -np.inf
    gains[:, 0] = 0.0
    problem, column_of = _reduced(gains, budgets)
    prices = _best_prices(problem, tolerance)
    bound, columns, _ = problem.dual(prices)
    columns = _filled(problem, _within(problem, columns, prices), prices)
    rows = np.arange(len(scores))
    value = float(problem.gains[rows, columns].sum())
    spent = np.asarray([float(cost[rows, columns].sum()) for cost in problem.costs])
    actions = column_of[rows, columns] if column_of is not None else columns
    return Allocation(actions.astype(np.int64), prices, spent, value, max(bound, value))


def choose_at(
    scores: Floats, budgets: Sequence[Budget], prices: Floats, masks: Bools | None = None
) -> tuple[Ints, Floats]:
    """Return each user's best action at given prices, shape (U,), and what that spends of each budget, shape (B,).

    Nothing holds the sum of all to the limits: this is for epochs in which users are decided for one by one. Of a
    budget of 0 nothing is spent, whatever its price.
    """
    scores = np.asarray(scores, np.float64)
    _check(scores, budgets, masks)
    reduced = scores - scores[:, :1]
    for budget, price in zip(budgets, prices, strict=True):
        reduced = reduced - price * budget.costs
        if budget.limit == 0.0:  # at the price that nobody pays, rounding would decide
            reduced = np.where(budget.costs > 0.0, -np.inf, reduced)
    if masks is not None:
        reduced[:, 1:][~np.asarray(masks, np.bool_)[:, 1:]] = -np.inf
    actions = reduced.argmax(axis=1).astype(np.int64)
    rows = np.arange(len(scores))
    spent = [float(np.broadcast_to(budget.costs, scores.shape)[rows, actions].sum()) for budget in budgets]
    return actions, np.asarray(spent)


def adapted_prices(prices: Floats, spent: Floats, paces: Floats, step: float) -> Floats:
    """Return the next epoch's prices: up where more was spent than the pace, down where less, never below 0.

    price + step * (spent - pace) / pace: a step of projected subgradient descent on D. That budgets are scaled by their
    paces is a modelling choice, so that one step size fits sends and euros.

    Args:
        prices: shape (B,).
        spent: in the last epoch, shape (B,).
        paces: what an epoch may spend, above 0, shape (B,).
        step: score per unit of a budget for an epoch that spent twice its pace, above 0.

    Source: Balseiro & Gur, Learning in repeated auctions with budgets (Management Science 2019): adaptive pacing.
    """
    if step <= 0 or not (paces > 0).all():
        raise ValueError(f"adapted_prices: expected step and paces above 0, got {step} and {paces.tolist()}")
    found: Floats = np.maximum(0.0, prices + step * (spent - paces) / paces)
    return found


@dataclass(frozen=True, eq=False)
class _Problem:
    """Gains over silence and costs, G columns, the first of which is silence; -inf gains are not eligible."""

    gains: Floats  # (U, G)
    costs: tuple[Floats, ...]  # B of (U, G), possibly broadcast
    limits: Floats  # (B,)
    most_prices: Floats  # (B,) at which nobody buys

    def reduced(self, prices: Floats) -> Floats:
        """Return gains less what the costs are worth, shape (U, G)."""
        found = self.gains
        for price, cost in zip(prices, self.costs, strict=True):
            if price > 0:
                found = found - price * cost
        return found

    def dual(self, prices: Floats) -> tuple[float, Ints, Floats]:
        """Return D, the choices that it is made of, and what they spend."""
        reduced = self.reduced(prices)
        columns: Ints = reduced.argmax(axis=1)
        rows = np.arange(len(columns))
        spent = np.asarray([float(cost[rows, columns].sum()) for cost in self.costs])
        value = float(reduced[rows, columns].sum()) + float(prices @ self.limits)
        return value, columns, spent


def _check(scores: Floats, budgets: Sequence[Budget], masks: Bools | None) -> None:
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(f"allocate: scores: expected shape (U, A), got {scores.shape}")
    require_finite("allocate: scores", scores)
    if masks is not None and np.shape(masks) != scores.shape:
        raise ValueError(f"allocate: masks: expected shape {scores.shape}, got {np.shape(masks)}")
    for budget in budgets:
        where = f"allocate: budget {budget.name!r}"
        if not 0.0 <= budget.limit < np.inf:
            raise ValueError(f"{where}: limit: expected a finite number of at least 0, got {budget.limit}")
        if budget.costs.shape not in (scores.shape, scores.shape[1:]):
            raise ValueError(
                f"{where}: costs: expected shape {scores.shape[1:]} or {scores.shape}, got {budget.costs.shape}"
            )
        require_finite(f"{where}: costs", budget.costs)
        if budget.costs.min(initial=0.0) < 0:
            raise ValueError(f"{where}: costs: expected at least 0, got {budget.costs.min()}")
        if budget.costs[..., 0].any():
            raise ValueError(f"{where}: costs: expected no_send, action 0, to cost nothing, got {budget.costs[..., 0]}")


def _reduced(gains: Floats, budgets: Sequence[Budget]) -> tuple[_Problem, Ints | None]:
    """Return the problem, and which action each of its columns is for each user, shape (U, G), None: the same.

    Of actions with the same costs only a user's best can be taken, so where costs do not differ between users, a
    column for each cost is enough.
    """
    limits = np.asarray([budget.limit for budget in budgets], np.float64)
    column_of = None
    if all(budget.costs.ndim == 1 for budget in budgets):
        table = np.asarray([budget.costs for budget in budgets], np.float64).reshape(len(budgets), gains.shape[1])
        kinds, kind_of = np.unique(table[:, 1:], axis=1, return_inverse=True)
        groups = [1 + np.flatnonzero(kind_of.ravel() == kind) for kind in range(kinds.shape[1])]
        best = [group[gains[:, group].argmax(axis=1)] for group in groups]
        column_of = np.stack([np.zeros(len(gains), np.int64), *best], axis=1)
        gains = np.take_along_axis(gains, column_of, axis=1)
        by_column = np.concatenate([np.zeros((len(budgets), 1)), kinds], axis=1)
        costs = tuple(np.broadcast_to(row, gains.shape) for row in by_column)
    else:
        costs = tuple(np.broadcast_to(np.asarray(budget.costs, np.float64), gains.shape) for budget in budgets)
    most_prices = np.zeros(len(budgets))
    for b, cost in enumerate(costs):
        is_priced = (cost > 0) & (gains > 0)
        most_prices[b] = float((gains[is_priced] / cost[is_priced]).max(initial=0.0))
        if limits[b] == 0.0:  # no price is needed for what cannot be
            gains = np.where(cost > 0, -np.inf, gains)
    return _Problem(gains, costs, limits, most_prices), column_of


def _best_prices(problem: _Problem, tolerance: float) -> Floats:
    """Return prices that minimise D to within a tolerance: cutting planes, the master a tiny linear programme."""
    prices = np.where(problem.limits == 0.0, problem.most_prices, 0.0)
    free = np.flatnonzero((problem.limits > 0.0) & (problem.most_prices > 0.0))
    best, _, spent = problem.dual(prices)
    if not len(free) or (spent <= problem.limits).all():
        return prices
    from scipy.optimize import linprog

    # All in units of the value without budgets, so that nothing depends on the money's unit: a solver takes
    # coefficients below 1e-9 for nothing.
    scale, size = problem.most_prices[free], best
    cuts, offsets = [], []
    at, found = prices.copy(), prices.copy()
    value = best
    for _ in range(MOST_CUTS):
        slope = (problem.limits - spent)[free] * scale / size
        cuts.append([*slope, -1.0])
        offsets.append(float(slope @ (at[free] / scale)) - value / size)
        master = linprog(
            [*np.zeros(len(free)), 1.0],
            A_ub=np.asarray(cuts),
            b_ub=np.asarray(offsets),
            bounds=[*([(0.0, 1.0)] * len(free)), (None, None)],
            method="highs",
        )
        if master.x is None or best - master.x[-1] * size <= tolerance * best:
            break
        at = prices.copy()
        at[free] = master.x[:-1] * scale
        value, _, spent = problem.dual(at)
        if value < best:
            best, found = value, at
    return found


def _within(problem: _Problem, columns: Ints, prices: Floats) -> Ints:
    """Return choices of which so many are dropped that all budgets hold: the least priced gain per cost first."""
    found = columns.copy()
    rows = np.arange(len(found))
    reduced = problem.reduced(prices)
    for cost, limit in zip(problem.costs, problem.limits, strict=True):
        spent = cost[rows, found]
        excess = float(spent.sum()) - limit
        if excess <= 0:
            continue
        payers = np.flatnonzero(spent > 0)
        order = payers[np.argsort(reduced[payers, found[payers]] / spent[payers], kind="stable")]
        n_dropped = int(np.searchsorted(np.cumsum(spent[order]), excess)) + 1
        found[order[:n_dropped]] = 0
        # Sums in another order differ in the last place.
        while float(cost[rows, found].sum()) > limit:
            found[order[n_dropped]] = 0
            n_dropped += 1
    return found


def _filled(problem: _Problem, columns: Ints, prices: Floats) -> Ints:
    """Return choices improved by what still fits, the greatest gain at the prices first."""
    found = columns.copy()
    rows = np.arange(len(found))
    for _ in range(MOST_FILLS):
        left = problem.limits - [float(cost[rows, found].sum()) for cost in problem.costs]
        extra = [cost - cost[rows, found][:, None] for cost in problem.costs]
        gains = problem.gains - problem.gains[rows, found][:, None]
        fits = gains > 0
        for more, rest in zip(extra, left, strict=True):
            fits &= more <= rest
        priced = gains - sum(price * more for price, more in zip(prices, extra, strict=True))
        priced = np.where(fits, priced, -np.inf)
        best = priced.argmax(axis=1)
        order = np.flatnonzero(priced[rows, best] > -np.inf)
        if not len(order):
            break
        order = order[np.argsort(-priced[order, best[order]], kind="stable")]
        paid = np.asarray([more[order, best[order]] for more in extra]).reshape(len(problem.costs), len(order))
        holds = (np.cumsum(paid, axis=1) <= left[:, None]).all(axis=0)
        n_taken = len(order) if holds.all() else int(holds.argmin())
        found[order[:n_taken]] = best[order[:n_taken]]
        left = left - paid[:, :n_taken].sum(axis=1)
        for place in range(n_taken, min(n_taken + N_TRIED_SINGLY, len(order))):
            if (paid[:, place] <= left).all():
                left = left - paid[:, place]
                found[order[place]] = best[order[place]]
    return _kept_within(problem, found, columns)


def _kept_within(problem: _Problem, found: Ints, before: Ints) -> Ints:
    """Return the filled choices, or those before where rounding of a sum took them beyond a limit."""
    rows = np.arange(len(found))
    is_within = all(
        float(cost[rows, found].sum()) <= limit for cost, limit in zip(problem.costs, problem.limits, strict=True)
    )
    return found if is_within else before
