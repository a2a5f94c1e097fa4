"""Estimators with a reward model: alone, and corrected by what it got wrong on the actions that were taken.

q is the model's reward of the action taken, v its reward under the target policy: see `weighed`. The model is to be
cross-fitted: no round is predicted by a model that has seen it, or any of its user's.
"""

from __future__ import annotations

import numpy as np

from experiments.offline.estimators.terms import Terms
from experiments.offline.weighed import Weighed


def dm(weighed: Weighed) -> Terms:
    """Direct method, mean(v): as right as the model; its standard error knows nothing of the model's error."""
    return Terms(direct=weighed.model[1])


def dr(weighed: Weighed) -> Terms:
    """Doubly robust, mean(v + w (r - q)): unbiased where weights are right, however wrong the model.

    Source: Dudik, Langford & Li (ICML 2011), eq. 3.
    """
    predicted, expected = weighed.model
    return Terms(direct=expected, correction=weighed.weights * (weighed.rewards - predicted))


def sndr(weighed: Weighed) -> Terms:
    """Self-normalised doubly robust, mean(v) + sum(w (r - q)) / sum(w).

    Source: Thomas & Brunskill (ICML 2016), weighted doubly robust with one step.
    """
    predicted, expected = weighed.model
    return Terms(expected, weighed.weights * (weighed.rewards - predicted), weighed.weights)


def switch_dr(weighed: Weighed, most: float) -> Terms:
    """Switch: corrects where w <= tau, and believes the model elsewhere.

    Source: Wang, Agarwal & Dudik (ICML 2017), with the doubly robust estimate where it does not switch.
    """
    predicted, expected = weighed.model
    weights = np.where(weighed.weights <= most, weighed.weights, 0.0)
    return Terms(direct=expected, correction=weights * (weighed.rewards - predicted))


def dr_optimistic_shrinkage(weighed: Weighed, shrinkage: float) -> Terms:
    """Doubly robust with the weights lambda w / (w^2 + lambda): 0 is the direct method, infinity is `dr`.

    Source: Su, Dimakopoulou, Krishnamurthy & Dudik (ICML 2020), section 4.1.
    """
    predicted, expected = weighed.model
    w = weighed.weights
    shrunk = w if np.isinf(shrinkage) else shrinkage * w / (w**2 + shrinkage) if shrinkage else np.zeros_like(w)
    return Terms(direct=expected, correction=shrunk * (weighed.rewards - predicted))
