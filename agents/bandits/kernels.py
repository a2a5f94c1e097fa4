"""The inner loops of linear models, compiled: scores of many rows, sums over many rows, and one row at a time.

A is a head's precision matrix, A = L L' with L lower triangular; `factor` is L^-1, so that x' A^-1 x = |L^-1 x|^2.
Loops run over blocks of rows laid out column by column, which compilers turn into vector instructions; additions
happen in a fixed order, so results do not depend on how many rows come at once.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Floats, Ints, Observations
from agents.compiled import compiled

BLOCK = 128  # rows; a block of 32 columns of float64 fills a first-level cache of 32 kB


@compiled
def standardised(observation: Observations, standards: Floats, row: Floats) -> bool:
    """Write [1, (x - mean) / scale] and return whether every entry was within its range; NaN is not."""
    if len(observation) != standards.shape[1]:
        return False
    row[0] = 1.0
    for k in range(len(observation)):
        value = observation[k]
        if not standards[0, k] <= value <= standards[1, k]:
            return False
        row[k + 1] = (value - standards[2, k]) / standards[3, k]
    return True


@compiled
def score_rows(rows: Floats, theta: Floats, factor: Floats, means: Floats, sds: Floats) -> None:
    """Write each head's mean theta' x and width sqrt(x' A^-1 x) for each row.

    Args:
        rows: shape (R, D).
        theta: shape (H, D).
        factor: lower triangular, shape (H, D, D).
        means, sds: to be written, shape (R, H).
    """
    n_rows, n_inputs = rows.shape
    n_heads = theta.shape[0]
    # Rows of L^-1 and, after them, theta, padded by zeros: two rows by four columns at a time save loads and stores.
    padded = (n_inputs + 3) // 4 * 4
    n_pairs = (n_inputs + 2) // 2
    weights = np.zeros((n_heads, 2 * n_pairs, padded))
    for h in range(n_heads):
        for i in range(n_inputs):
            for j in range(i + 1):
                weights[h, i, j] = factor[h, i, j]
            weights[h, n_inputs, i] = theta[h, i]
    columns = np.zeros((padded, BLOCK))
    first_term = np.empty(BLOCK)
    second_term = np.empty(BLOCK)
    square = np.empty(BLOCK)
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        for j in range(n_inputs):
            for k in range(n):
                columns[j, k] = rows[first + k, j]
        for h in range(n_heads):
            for k in range(BLOCK):
                square[k] = 0.0
            for i in range(0, 2 * n_pairs, 2):
                for k in range(BLOCK):
                    first_term[k] = 0.0
                    second_term[k] = 0.0
                for j in range(0, min(i + 2, n_inputs), 4):
                    a0, a1, a2, a3 = weights[h, i, j], weights[h, i, j + 1], weights[h, i, j + 2], weights[h, i, j + 3]
                    b0, b1 = weights[h, i + 1, j], weights[h, i + 1, j + 1]
                    b2, b3 = weights[h, i + 1, j + 2], weights[h, i + 1, j + 3]
                    for k in range(BLOCK):
                        c0, c1, c2, c3 = columns[j, k], columns[j + 1, k], columns[j + 2, k], columns[j + 3, k]
                        first_term[k] += (a0 * c0 + a1 * c1) + (a2 * c2 + a3 * c3)
                        second_term[k] += (b0 * c0 + b1 * c1) + (b2 * c2 + b3 * c3)
                if i < n_inputs:
                    for k in range(BLOCK):
                        square[k] += first_term[k] * first_term[k]
                if i + 1 < n_inputs:
                    for k in range(BLOCK):
                        square[k] += second_term[k] * second_term[k]
            for k in range(n):
                means[first + k, h] = first_term[k] if n_inputs % 2 == 0 else second_term[k]
                sds[first + k, h] = np.sqrt(square[k])


@compiled
def add_rows(rows: Floats, heads: Ints, weights: Floats, targets: Floats, outer: Floats, moment: Floats) -> None:
    """Add sum w x x' and sum y x over each head's rows; of `outer` only the lower triangles are right.

    Args:
        rows: shape (N, D).
        heads: whose each row is, shape (N,).
        weights: w, shape (N,).
        targets: y, shape (N,).
        outer: to be added to, shape (H, D, D).
        moment: to be added to, shape (H, D).
    """
    n_inputs = rows.shape[1]
    n_heads = outer.shape[0]
    # Rows of one head are taken four at a time, so that a matrix is read and written once for four rows.
    held = np.zeros((n_heads, 4), np.int64)
    n_held = np.zeros(n_heads, np.int64)
    for k in range(len(heads) + n_heads):
        is_row = k < len(heads)
        h = heads[k] if is_row else k - len(heads)
        if is_row:
            held[h, n_held[h]] = k
            n_held[h] += 1
            for j in range(n_inputs):
                moment[h, j] += targets[k] * rows[k, j]
            if n_held[h] == 4:
                a, b, c, d = rows[held[h, 0]], rows[held[h, 1]], rows[held[h, 2]], rows[held[h, 3]]
                wa, wb, wc, wd = weights[held[h, 0]], weights[held[h, 1]], weights[held[h, 2]], weights[held[h, 3]]
                for i in range(n_inputs):
                    ai, bi, ci, di = wa * a[i], wb * b[i], wc * c[i], wd * d[i]
                    for j in range(i + 1):
                        outer[h, i, j] += (ai * a[j] + bi * b[j]) + (ci * c[j] + di * d[j])
                n_held[h] = 0
        else:
            for left in range(n_held[h]):
                row = rows[held[h, left]]
                for i in range(n_inputs):
                    wi = weights[held[h, left]] * row[i]
                    for j in range(i + 1):
                        outer[h, i, j] += wi * row[j]


@compiled
def choose_one(
    observation: Observations,
    standards: Floats,
    theta: Floats,
    inverse: Floats,
    mask: Bools,
    times: float,
    noise: Floats,
) -> int:
    """Return the eligible action with the highest theta' x + times * noise * sqrt(x' A^-1 x), the first of equals.

    Args:
        observation: shape (K,).
        standards: lowest and highest value, mean and scale of each entry, shape (4, K).
        theta: shape (H, 1 + K); heads are actions.
        inverse: A^-1, shape (H, 1 + K, 1 + K).
        mask: shape (H,).
        times, noise: what each action's width counts; noise of shape (H,).

    Returns:
        -1 where a shape is wrong, an entry is out of range, or none is eligible.
    """
    n_inputs = theta.shape[1]
    row = np.empty(n_inputs)
    column = np.empty(n_inputs)
    if len(mask) != theta.shape[0] or not standardised(observation, standards, row):
        return -1
    best, highest = -1, -np.inf
    for h in range(theta.shape[0]):
        if mask[h]:
            column[:] = 0.0
            mean = 0.0
            for j in range(n_inputs):
                mean += theta[h, j] * row[j]
                for i in range(n_inputs):
                    column[i] += inverse[h, j, i] * row[j]
            square = 0.0
            for i in range(n_inputs):
                square += column[i] * row[i]
            score = mean + times * noise[h] * np.sqrt(max(square, 0.0))
            if score > highest:
                best, highest = h, score
    return best


@compiled
def learn_one(
    observation: Observations,
    h: int,
    reward: float,
    standards: Floats,
    theta: Floats,
    inverse: Floats,
    outer: Floats,
    moment: Floats,
) -> bool:
    """Learn one decision: A^-1 by Sherman & Morrison (1950), theta by the gain A^-1 x, and the sums themselves.

    Shapes as in `choose_one` and `add_rows`. Returns False, and has learned nothing, where an entry is out of range.
    """
    n_inputs = theta.shape[1]
    row = np.empty(n_inputs)
    if not standardised(observation, standards, row):
        return False
    gain = np.zeros(n_inputs)
    for j in range(n_inputs):
        for i in range(n_inputs):
            gain[i] += inverse[h, j, i] * row[j]
    size, error = 1.0, reward
    for i in range(n_inputs):
        size += gain[i] * row[i]
        error -= theta[h, i] * row[i]
    for i in range(n_inputs):
        theta[h, i] += gain[i] * (error / size)
        moment[h, i] += reward * row[i]
        share = gain[i] / size
        for j in range(n_inputs):
            inverse[h, i, j] -= share * gain[j]
            outer[h, i, j] += row[i] * row[j]
    return True
