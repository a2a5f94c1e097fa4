"""The inner loops of linear models, compiled: scores of many rows, the best of them, and sums over many rows.

A is a head's precision matrix, A = L L' with L lower triangular; `factor` is L^-1, so that x' A^-1 x = |L^-1 x|^2.
Loops run over blocks of rows laid out column by column, which compilers turn into vector instructions; additions
happen in a fixed order, so results do not depend on how many rows come at once.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Bools, Floats, Ints
from agents.compiled import compiled

BLOCK = 128  # rows; a block of 32 columns of float64 fills a first-level cache of 32 kB


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
def highest_rows(means: Floats, sds: Floats, times: float, noise: Floats, masks: Bools, actions: Ints) -> None:
    """Write each row's eligible action with the highest mean + noise * (times * sd), the first of equals.

    Args:
        means, sds, noise: shape (U, A).
        times: what each sd counts.
        masks: at least one True a row, shape (U, A).
        actions: to be written, shape (U,).
    """
    for row in range(len(actions)):
        best, highest = -1, -np.inf
        for a in range(masks.shape[1]):
            if masks[row, a]:
                score = means[row, a] + noise[row, a] * (times * sds[row, a])
                if best < 0 or score > highest:
                    best, highest = a, score
        actions[row] = best


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
