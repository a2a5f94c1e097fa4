"""The inner loops of offline evaluation, compiled: each reads its arrays once."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled, compiled_parallel, each

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

BLOCK = 4096  # rows that a thread takes at a time; the sum of a block is the same on any number of threads
POISSON = np.asarray(  # P(count <= k), k = 0, 1, ... for the mean 1, in units of 2^-32
    np.rint(np.cumsum([math.exp(-1.0) / math.factorial(k) for k in range(13)]) * 2.0**32), np.uint64
)


@compiled_parallel
def weigh_rows(
    target: Floats,
    rewards_of: Floats,
    actions: Ints,
    propensities: Floats,
    weights: Floats,
    predicted: Floats,
    expected: Floats,
) -> None:
    """Write w, q and v of `experiments.offline.weighed`.

    Args:
        target, rewards_of: shape (N, A).
        actions, propensities: shape (N,).
        weights, predicted, expected: written, shape (N,).
    """
    for block in each((len(actions) + BLOCK - 1) // BLOCK):
        _weigh_block(target, rewards_of, actions, propensities, weights, predicted, expected, block * BLOCK)


@compiled
def _weigh_block(
    target: Floats,
    rewards_of: Floats,
    actions: Ints,
    propensities: Floats,
    weights: Floats,
    predicted: Floats,
    expected: Floats,
    start: int,
) -> None:
    for i in range(start, min(start + BLOCK, len(actions))):
        mean = 0.0
        for a in range(target.shape[1]):
            mean += target[i, a] * rewards_of[i, a]
        weights[i] = target[i, actions[i]] / propensities[i]
        predicted[i] = rewards_of[i, actions[i]]
        expected[i] = mean


@compiled_parallel
def replicate(sums: Floats, keys: Words, found: Floats) -> None:
    """Write the sums of Poisson bootstrap replicates.

    In each replicate a cluster counts as often as a Poisson number of mean 1, drawn by a hash of replicate and cluster.

    Args:
        sums: of each cluster, shape (G, S).
        keys: one a replicate, shape (B,).
        found: written: sums over clusters, and as the last column how many there were, shape (B, S + 1).
    """
    for b in each(len(keys)):
        _replicate(sums, keys[b], found[b])


@compiled
def _replicate(sums: Floats, key: np.uint64, found: Floats) -> None:
    n_sums = sums.shape[1]
    found[:] = 0.0
    state = key
    for g in range(0, len(sums), 2):
        # SplitMix64; each word's halves draw for two clusters.
        state += np.uint64(0x9E3779B97F4A7C15)
        word = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
        for half in range(2):
            if g + half < len(sums):
                draw = word & np.uint64(0xFFFFFFFF) if half == 0 else word >> np.uint64(32)
                count = 0
                while count < len(POISSON) and draw >= POISSON[count]:
                    count += 1
                if count:
                    for s in range(n_sums):
                        found[s] += count * sums[g + half, s]
                    found[n_sums] += count


@compiled_parallel
def moment_rows(
    target: Floats, rewards_of: Floats, actions: Ints, propensities: Floats, rewards: Floats, shift: float, sums: Floats
) -> None:
    """Write sums of each block of rows, from which IPS, SNIPS and DR follow with their standard errors.

    Args:
        target, rewards_of: shape (N, A).
        actions, propensities, rewards: shape (N,).
        shift: near the rewards and the doubly robust terms, so that sums of squares keep their digits.
        sums: written, a row for each BLOCK rows: sums of w, w^2, c, c^2, c w, d and d^2, where c = w (r - shift) and
            d = v + w (r - q) - shift; and how many rows of `target` are no probabilities. Shape (B, 8).
    """
    for block in each(len(sums)):
        _moments_of_block(target, rewards_of, actions, propensities, rewards, shift, block * BLOCK, sums[block])


@compiled
def _moments_of_block(
    target: Floats,
    rewards_of: Floats,
    actions: Ints,
    propensities: Floats,
    rewards: Floats,
    shift: float,
    start: int,
    sums: Floats,
) -> None:
    w1, w2, c1, c2, cw, d1, d2, n_odd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, min(start + BLOCK, len(actions))):
        mean, total, least = 0.0, 0.0, 0.0
        for a in range(target.shape[1]):
            share = target[i, a]
            mean += share * rewards_of[i, a]
            total += share
            least = min(least, share)
        w = target[i, actions[i]] / propensities[i]
        c = w * (rewards[i] - shift)
        d = mean + w * (rewards[i] - rewards_of[i, actions[i]]) - shift
        n_odd += not (abs(total - 1.0) <= 1e-6 and least >= 0.0)
        w1 += w
        w2 += w * w
        c1 += c
        c2 += c * c
        cw += c * w
        d1 += d
        d2 += d * d
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7] = w1, w2, c1, c2, cw, d1, d2, n_odd
