"""One decision at a time: choosing and learning in one compiled call each, or rows in a stream; heads are actions.

All that a call reads and writes lies in one array, because each array that is handed to compiled code costs 50 ns:

    H, D and the decisions learned; lowest and highest value, mean and scale of each entry, (4, D - 1);
    theta, (H, W); A^-1, (H, R, W); sum y x, (H, W); sum x x', (H, R, W)

A symmetric matrix M is held by its diagonals, wrapped around: entry i of diagonal r is M[i, (i + r) mod D], for r = 0
to D // 2, R of them. This is half of the matrix, which for 8 actions and 24 features fits a first-level cache; and
where the rows of a triangle have all lengths, these are equally long, W = D rounded up to 16 by zeros, as vector
instructions like it. Of an even D the last diagonal holds each of its pairs twice. The sums are of the decisions
learned since the array was packed.
"""

from __future__ import annotations

import math

import numpy as np

from agents.agent import Bools, Floats, Ints, Observations
from agents.compiled import compiled_sums

HEADER = 3
COUNT = 2  # its place in the header
LANES = 16


def packed(standards: Floats, theta: Floats, inverse: Floats) -> Floats:
    """Return the array of what is known, its sums 0.

    Args:
        standards: lowest and highest value, mean and scale of each entry, shape (4, D - 1).
        theta: shape (H, D).
        inverse: A^-1, shape (H, D, D).
    """
    n_heads, n_inputs = theta.shape
    width = -(-n_inputs // LANES) * LANES
    vectors = np.zeros((n_heads, width))
    vectors[:, :n_inputs] = theta
    diagonals = np.zeros((n_heads, n_inputs // 2 + 1, width))
    diagonals[:, :, :n_inputs] = inverse[:, *_places(n_inputs)]
    sums = np.zeros(vectors.size + diagonals.size)
    return np.concatenate([[n_heads, n_inputs, 0], standards.ravel(), vectors.ravel(), diagonals.ravel(), sums])


def unpacked(known: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return theta and A^-1, and the sums moment and outer; shapes (H, D) and (H, D, D)."""
    n_heads, n_inputs = int(known[0]), int(known[1])
    width, n_diagonals = -(-n_inputs // LANES) * LANES, n_inputs // 2 + 1
    rows, columns = _places(n_inputs)
    halves = known[HEADER + 4 * (n_inputs - 1) :].reshape(2, n_heads * (1 + n_diagonals) * width)
    found = []
    for half in halves:
        vectors = half[: n_heads * width].reshape(n_heads, width)[:, :n_inputs]
        diagonals = half[n_heads * width :].reshape(n_heads, n_diagonals, width)[:, :, :n_inputs]
        matrices = np.empty((n_heads, n_inputs, n_inputs))
        matrices[:, rows, columns] = diagonals
        matrices[:, columns, rows] = diagonals
        found += [vectors.copy(), matrices]
    theta, inverse, moment, outer = found
    return theta, inverse, moment, outer


def _places(n_inputs: int) -> tuple[Ints, Ints]:
    """Return row and column of each entry of the diagonals, shapes (R, D)."""
    rows = np.broadcast_to(np.arange(n_inputs), (n_inputs // 2 + 1, n_inputs))
    return rows, (rows + np.arange(n_inputs // 2 + 1)[:, None]) % n_inputs


@compiled_sums
def standardised(observation: Observations, known: Floats, twice: Floats) -> bool:
    """Write [1, (x - mean) / scale] twice in a row, then zeros, and return whether every entry was within its range."""
    n = int(known[1]) - 1
    if len(observation) != n:
        return False
    low, high = known[HEADER : HEADER + n], known[HEADER + n : HEADER + 2 * n]
    mean, scale = known[HEADER + 2 * n : HEADER + 3 * n], known[HEADER + 3 * n : HEADER + 4 * n]
    n_within = 0
    for k in range(n):
        value = observation[k]
        n_within += (value >= low[k]) & (value <= high[k])  # NaN is neither
        twice[1 + k] = (value - mean[k]) / scale[k]
    twice[0] = 1.0
    for k in range(n + 1):
        twice[n + 1 + k] = twice[k]
    for k in range(2 * (n + 1), len(twice)):
        twice[k] = 0.0
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
    width, n_diagonals = (n_inputs + LANES - 1) // LANES * LANES, n_inputs // 2 + 1
    size = n_diagonals * width
    scratch = np.empty(size + 3 * width)
    pairs, twice = scratch[:size], scratch[size:]
    if len(mask) != n_heads or len(noise) != n_heads or not standardised(observation, known, twice):
        return -1
    # x' A^-1 x is the sum of A^-1_ij x_i x_j; the products are the same for all heads. Beyond D, A^-1 is zero.
    for r in range(n_diagonals):
        count = 2.0 if 0 < 2 * r < n_inputs else 1.0
        for i in range(width):
            pairs[r * width + i] = (count * twice[i]) * twice[i + r]
    first = HEADER + 4 * (n_inputs - 1)
    best, highest = -1, -np.inf
    for h in range(n_heads):
        if mask[h]:
            theta = known[first + h * width : first + (h + 1) * width]
            inverse = known[first + n_heads * width + h * size : first + n_heads * width + (h + 1) * size]
            mean, square = 0.0, 0.0
            for i in range(width):
                mean += theta[i] * twice[i]
            for p in range(size):
                square += inverse[p] * pairs[p]
            score = mean + noise[h] * (times * math.sqrt(max(square, 0.0)))
            if score > highest:
                best, highest = h, score
    return best


@compiled_sums
def learn_one(observation: Observations, action: int, reward: float, known: Floats) -> int:
    """Learn one decision: A^-1 by Sherman & Morrison (1950), theta by the gain A^-1 x, and the sums themselves.

    Shapes as in `choose_one`. Returns how many have been learned since the array was packed; 0, and has learned
    nothing, where an entry is out of range, the action is none, or the reward is not finite.
    """
    n_heads, n_inputs = int(known[0]), int(known[1])
    width, n_diagonals = (n_inputs + LANES - 1) // LANES * LANES, n_inputs // 2 + 1
    size = n_diagonals * width
    scratch = np.zeros(9 * width)
    twice, gain, beyond = scratch[: 3 * width], scratch[3 * width : 5 * width], scratch[5 * width : 7 * width]
    row, share = scratch[7 * width : 8 * width], scratch[8 * width :]
    if not (0 <= action < n_heads and math.isfinite(reward) and standardised(observation, known, twice)):
        return 0
    at = HEADER + 4 * (n_inputs - 1) + action * width
    theta = known[at : at + width]
    at += (n_heads - action) * width + action * size
    inverse = known[at : at + size]
    at += (n_heads - action) * size + action * width
    moment = known[at : at + width]
    at += (n_heads - action) * width + action * size
    outer = known[at : at + size]
    # Entry i of diagonal r belongs to row i and column i + r, and by symmetry to row i + r and column i.
    for r in range(n_diagonals):
        for i in range(width):
            gain[i] += inverse[r * width + i] * twice[i + r]
        if 0 < 2 * r < n_inputs:
            for i in range(width):
                beyond[i + r] += inverse[r * width + i] * twice[i]
    spread, error = 1.0, reward
    for i in range(n_inputs):
        row[i] = twice[i]
        gain[i] += beyond[i] + beyond[i + n_inputs]
        spread += gain[i] * row[i]
        error -= theta[i] * row[i]
    by, step = 1.0 / spread, error / spread
    for i in range(n_inputs):
        share[i] = gain[i] * by
        gain[n_inputs + i] = gain[i]
        theta[i] += gain[i] * step
        moment[i] += reward * row[i]
    # `share` and `row` are zero beyond D, and so the diagonals stay.
    for r in range(n_diagonals):
        for i in range(width):
            inverse[r * width + i] -= share[i] * gain[i + r]
        for i in range(width):
            outer[r * width + i] += row[i] * twice[i + r]
    known[COUNT] += 1.0
    return int(known[COUNT])


@compiled_sums
def replay(
    observations: Observations,
    masks: Bools,
    rewards: Floats,
    times: float,
    noise: Floats,
    known: Floats,
    most: int,
    actions: Ints,
) -> int:
    """Decide on rows in their order, each with what those before it taught.

    Args:
        observations, masks, noise: rows of `choose_one`'s.
        rewards: of each action, NaN where nobody knows, shape (N, H).
        times, known: as there.
        most: decisions learned since the array was packed, after which to stop.
        actions: of shape (N,); written.

    Returns:
        Rows decided on: all; or those up to the last that may be learned; or those before one that cannot be.
    """
    for row in range(len(observations)):
        action = choose_one(observations[row], masks[row], times, noise[row], known)
        if action < 0:
            return row
        actions[row] = action
        reward = rewards[row, action]
        if not math.isnan(reward) and learn_one(observations[row], action, reward, known) == most:
            return row + 1
    return len(observations)
