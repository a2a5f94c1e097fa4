"""Mean and spread of features, by which models standardise them."""

from __future__ import annotations

import numpy as np

from experiments.offline.logs.logged import Floats

LEAST_SPREAD = 1e-12  # of a feature, relative to its size: below it a deviation is rounding


def centre_and_spread(context: Floats) -> tuple[Floats, Floats]:
    """Return each column's mean, and its standard deviation, 1 for one that is constant; shapes (K,).

    The deviation of a constant such as .1 is not 0 but rounding, and dividing by it would blow up what is no news.
    """
    centre, spread = context.mean(axis=0), context.std(axis=0)
    varies = spread > LEAST_SPREAD * np.abs(context).max(axis=0, initial=0.0)
    return centre, np.where(varies, spread, 1.0)
