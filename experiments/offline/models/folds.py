"""Folds for cross-fitting: all rounds of a user in one, so that nobody is predicted by a model that knows them."""

from __future__ import annotations

import numpy as np

from experiments.offline.logs.logged import Ints


def folds(n: int, clusters: Ints | None, n_folds: int, seed: int) -> Ints:
    """Return each round's fold, 0 to n_folds - 1, shape (N,); as many users in each as can be.

    Args:
        n: rounds.
        clusters: a number from 0 for each user, shape (N,); None: every round by itself.
        n_folds: at least 2.
        seed: of the shuffle.

    Raises:
        ValueError: fewer users than folds.
    """
    n_clusters = n if clusters is None else int(clusters.max(initial=-1)) + 1
    if n_folds < 2:
        raise ValueError(f"n_folds: expected at least 2, got {n_folds}")
    if n_clusters < n_folds:
        raise ValueError(f"n_folds: expected at most as many as there are users, {n_clusters}, got {n_folds}")
    of_cluster = np.random.default_rng(seed).permutation(np.arange(n_clusters) % n_folds)
    return of_cluster if clusters is None else of_cluster[clusters]
