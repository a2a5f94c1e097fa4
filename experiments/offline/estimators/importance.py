"""Estimators by importance weights alone: no model, no bias where weights are right and support is whole."""

from __future__ import annotations

import numpy as np

from experiments.offline.estimators.terms import Terms
from experiments.offline.weighed import Weighed


def ips(weighed: Weighed) -> Terms:
    """Inverse propensity scoring, mean(w r): unbiased; a few large weights may carry it.

    Source: Horvitz & Thompson (JASA 1952); Dudik, Langford & Li (ICML 2011).
    """
    return Terms(correction=weighed.weights * weighed.rewards)


def snips(weighed: Weighed) -> Terms:
    """Self-normalised, sum(w r) / sum(w): within the rewards' range, biased by the order of 1 / N, of lower variance.

    Source: Swaminathan & Joachims (NeurIPS 2015).
    """
    return Terms(correction=weighed.weights * weighed.rewards, scale=weighed.weights)


def clipped_ips(weighed: Weighed, most: float) -> Terms:
    """mean(min(w, M) r): a larger weight than M counts as M, which loses what those rounds would have added.

    Source: Ionides (JCGS 2008); Bottou et al. (JMLR 2013).
    """
    return Terms(correction=np.minimum(weighed.weights, most) * weighed.rewards)
