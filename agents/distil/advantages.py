"""What a teacher thinks each message is worth over silence: what a student learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from policies.batch.policy import BatchPolicy, batch_chooser
from policies.batch.seen import Bools, Floats, Seen
from policies.document import Document, Mixture, Rules, Softmax, Thompson

MOST_ODDS = 5.0  # of logs: beyond it a teacher that only gives probabilities is as sure as it can be


def advantages(teacher: Document, observations: npt.NDArray[Any], masks: Bools) -> Floats:
    """Return what each action is worth over silence, 0 for silence, -inf for what is not eligible; shape (U, A).

    Of a model that grades, the difference of preferences, in units of its temperature where it draws by softmax. Rules
    grade nothing: 1 for what they choose and -1 for the rest. Of beliefs and mixtures, the log of the odds against
    silence, from -5 to 5.

    Args:
        teacher: the document.
        observations: shape (U, 29 + 7 C).
        masks: True where an action is eligible, shape (U, A).
    """
    if isinstance(teacher.model, Mixture) or isinstance(teacher.exploration, Thompson):
        shares = np.log(np.maximum(BatchPolicy(teacher).probabilities(observations, masks), 1e-12))
        return np.where(masks, np.clip(shares - shares[:, :1], -MOST_ODDS, MOST_ODDS), -np.inf)
    chooser = batch_chooser(teacher.model, teacher.n_slots)
    wished = chooser.preferences(Seen(observations, teacher.n_slots), np.ascontiguousarray(masks.T)).T
    if isinstance(teacher.model, Rules):
        found = np.where(wished == 1.0, 1.0, -1.0)
        found[:, 0] = 0.0
    else:
        scale = teacher.exploration.temperature if isinstance(teacher.exploration, Softmax) else 1.0
        found = (wished - wished[:, :1]) / scale
    return np.where(masks, found, -np.inf)


def graded_in(teacher: Document) -> str:
    """Return in words what the unit of `advantages` is."""
    if isinstance(teacher.model, Mixture) or isinstance(teacher.exploration, Thompson):
        return "the log of its odds against silence, not EUR"
    if isinstance(teacher.model, Rules):
        return "1 for what it chooses and -1 for the rest, not EUR"
    own = "its own preference, which is in EUR only where it was made to reckon in EUR"
    way = teacher.exploration
    return f"{own}, over its temperature of {way.temperature:g}" if isinstance(way, Softmax) else own
