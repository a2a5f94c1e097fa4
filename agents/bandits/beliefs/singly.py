"""One decision at a time: choosing and learning in one compiled call each, for heads that are actions.

All that a call reads and writes lies in one array, because each array that is handed to compiled code costs 50 ns:

    H, D; lowest and highest value, mean and scale of each entry, (4, D - 1); theta, (H, D); A^-1, (H, P);
    sum y x, (H, D); sum x x', (H, P)

A symmetric matrix is held by its lower half, row by row, P = D (D + 1) / 2 numbers: those of 8 actions and 24 features
then fit a first-level cache. The sums are those learned since the array was packed.
"""

from __future__ import annotations

import math

import numpy as np

from agents.agent import Bools, Floats, Observations
from agents.compiled import compiled_sums

HEADER = 2


def packed(standards: Floats, theta: Floats, inverse: Floats) -> Floats:
    """Return the array of what is known, its sums 0.

    Args:
        standards: lowest and highest value, mean and scale of each entry, shape (4, D - 1).
        theta: shape (H, D).
        inverse: A^-1, shape (H, D, D).
    """
    n_heads, n_inputs = theta.shape
    half = inverse[:, *np.tril_indices(n_inputs)]
    sums = np.zeros(theta.size + half.size)
    return np.concatenate([[n_heads, n_inputs], standards.ravel(), theta.ravel(), half.ravel(), sums])


def unpacked(known: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return theta and A^-1, and the sums moment and outer; shapes (H, D) and (H, D, D)."""
    n_heads, n_inputs = int(known[0]), int(known[1])
    lower = np.tril_indices(n_inputs)
    found = []
    first = HEADER + 4 * (n_inputs - 1)
    for _ in range(2):
        vectors = known[first : first + n_heads * n_inputs].reshape(n_heads, n_inputs)
        first += vectors.size
        matrices = np.zeros((n_heads, n_inputs, n_inputs))
        matrices[:, *lower] = known[first : first + n_heads * len(lower[0])].reshape(n_heads, -1)
        first += n_heads * len(lower[0])
        found += [vectors.copy(), matrices + np.tril(matrices, -1).transpose(0, 2, 1)]
    theta, inverse, moment, outer = found
    return theta, inverse, moment, outer


@compiled_sums
def standardised(observation: Observations, known: Floats, row: Floats) -> bool:
    """Write [1, (x - mean) / scale] and return whether every entry was within its range; NaN is not."""
    n = len(row) - 1
    if len(observation) != n:
        return False
    low, high = known[HEADER : HEADER + n], known[HEADER + n : HEADER + 2 * n]
    mean, scale = known[HEADER + 2 * n : HEADER + 3 * n], known[HEADER + 3 * n : HEADER + 4 * n]
    row[0] = 1.0
    n_within = 0
    for k in range(n):
        value = observation[k]
        n_within += (value >= low[k]) & (value <= high[k])
        row[1 + k] = (value - mean[k]) / scale[k]
    return n_within == n


@compiled_sums
def choose_one(observation: Observations, mask: Bools, times: float, noise: Floats, known: Floats) -> int:
    """Return the eligible action with the highest theta' x + noise * (times * sqrt(x' A^-1 x)), the first of equals.

    Args:
        observation: shape (D - 1,).
        mask: shape (H,).
        times, noise: what each action's width counts; noise of shape (H,).
        known: see the file's docstring.

    Returns:
        -1 where a shape is wrong, an entry is out of range, none is eligible, or no score is a number.
    """
    n_heads, n_inputs = int(known[0]), int(known[1])
    row = np.empty(n_inputs)
    if len(mask) != n_heads or len(noise) != n_heads or not standardised(observation, known, row):
        return -1
    # x' A^-1 x is the sum of A^-1_ij x_i x_j; the products of pairs are the same for all heads, and each is met twice.
    n_pairs = n_inputs * (n_inputs + 1) // 2
    pairs = np.empty(n_pairs)
    first = 0
    for i in range(n_inputs):
        twice = 2.0 * row[i]
        for j in range(i):
            pairs[first + j] = twice * row[j]
        pairs[first + i] = row[i] * row[i]
        first += i + 1
    at = HEADER + 4 * (n_inputs - 1)
    best, highest = -1, -np.inf
    for h in range(n_heads):
        if mask[h]:
            theta = known[at + h * n_inputs : at + (h + 1) * n_inputs]
            half = known[at + n_heads * n_inputs + h * n_pairs : at + n_heads * n_inputs + (h + 1) * n_pairs]
            mean, square = 0.0, 0.0
            for i in range(n_inputs):
                mean += theta[i] * row[i]
            for p in range(n_pairs):
                square += half[p] * pairs[p]
            score = mean + noise[h] * (times * math.sqrt(max(square, 0.0)))
            if score > highest:
                best, highest = h, score
    return best


@compiled_sums
def learn_one(observation: Observations, action: int, reward: float, known: Floats) -> bool:
    """Learn one decision: A^-1 by Sherman & Morrison (1950), theta by the gain A^-1 x, and the sums themselves.

    Shapes as in `choose_one`. Returns False, and has learned nothing, where an entry is out of range, the action is
    none, or the reward is not finite.
    """
    n_heads, n_inputs = int(known[0]), int(known[1])
    row = np.empty(n_inputs)
    if not (0 <= action < n_heads and math.isfinite(reward) and standardised(observation, known, row)):
        return False
    n_pairs = n_inputs * (n_inputs + 1) // 2
    at = HEADER + 4 * (n_inputs - 1) + action * n_inputs
    theta = known[at : at + n_inputs]
    at += (n_heads - action) * n_inputs + action * n_pairs
    inverse = known[at : at + n_pairs]
    at += (n_heads - action) * n_pairs + action * n_inputs
    moment = known[at : at + n_inputs]
    at += (n_heads - action) * n_inputs + action * n_pairs
    outer = known[at : at + n_pairs]
    gain = np.zeros(n_inputs)
    first = 0
    for i in range(n_inputs):
        total = inverse[first + i] * row[i]
        for j in range(i):
            total += inverse[first + j] * row[j]
            gain[j] += inverse[first + j] * row[i]
        gain[i] += total
        first += i + 1
    size, error = 1.0, reward
    for i in range(n_inputs):
        size += gain[i] * row[i]
        error -= theta[i] * row[i]
    first = 0
    for i in range(n_inputs):
        theta[i] += gain[i] * (error / size)
        moment[i] += reward * row[i]
        share = gain[i] / size
        for j in range(i + 1):
            inverse[first + j] -= share * gain[j]
            outer[first + j] += row[i] * row[j]
        first += i + 1
    return True
