"""A small network of one hidden layer, in NumPy: what a neural-linear bandit learns its regressors with.

Modelling choice: no torch; at a few dozen units NumPy trains as fast and starts a second sooner.
"""

from __future__ import annotations

import numpy as np

from agents.agent import Floats, Ints

Weights = dict[str, Floats]
MOMENTUM, SCALING, TINY = 0.9, 0.999, 1e-8  # of Adam (Kingma & Ba, ICLR 2015), their defaults


def initial_weights(n_inputs: int, n_hidden: int, n_heads: int, rng: np.random.Generator) -> Weights:
    """Return random weights of the hidden layer (Glorot & Bengio, AISTATS 2010) and an output of zeros."""
    bound = np.sqrt(6.0 / (n_inputs + n_hidden))
    return {"hidden": rng.uniform(-bound, bound, (n_hidden, n_inputs)), "output": np.zeros((n_heads, 1 + n_hidden))}


def hidden_rows(weights: Weights, rows: Floats) -> Floats:
    """Return [1, tanh(W x)], shape (N, 1 + hidden units)."""
    found = np.empty((len(rows), 1 + len(weights["hidden"])))
    found[:, 0] = 1.0
    np.tanh(rows @ weights["hidden"].T, out=found[:, 1:])
    return found


def fit(
    weights: Weights,
    rows: Floats,
    heads: Ints,
    targets: Floats,
    rng: np.random.Generator,
    n_steps: int,
    n_batch: int,
    rate: float,
) -> Weights:
    """Return weights after some steps of Adam on the squared error of each row's own head, from fresh moments.

    Args:
        rows: with a constant 1, shape (N, D).
        heads: whose each row is, shape (N,).
        targets: of mean 0 and size about 1, shape (N,).
        rng: whence the batches.
    """
    weights = {name: values.copy() for name, values in weights.items()}
    means = {name: np.zeros_like(values) for name, values in weights.items()}
    squares = {name: np.zeros_like(values) for name, values in weights.items()}
    for step in range(1, n_steps + 1):
        some = rng.integers(0, len(rows), n_batch)
        for name, slope in gradients(weights, rows[some], heads[some], targets[some]).items():
            means[name] += (1 - MOMENTUM) * (slope - means[name])
            squares[name] += (1 - SCALING) * (slope**2 - squares[name])
            mean = means[name] / (1 - MOMENTUM**step)
            weights[name] -= rate * mean / (np.sqrt(squares[name] / (1 - SCALING**step)) + TINY)
    return weights


def gradients(weights: Weights, rows: Floats, heads: Ints, targets: Floats) -> Weights:
    """Return the slopes of half the mean squared error."""
    hidden = hidden_rows(weights, rows)
    output = weights["output"][heads]
    errors = ((hidden * output).sum(axis=1) - targets) / len(rows)
    of_output = np.zeros_like(weights["output"])
    np.add.at(of_output, heads, errors[:, None] * hidden)
    back = errors[:, None] * output[:, 1:] * (1.0 - hidden[:, 1:] ** 2)
    return {"hidden": back.T @ rows, "output": of_output}
