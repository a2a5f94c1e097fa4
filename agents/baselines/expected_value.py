"""Expected value: the candidate whose click is worth most, p(click) times the margin of an order that follows.

The propensity is a logistic regression of the pilot's clicks. The score is ln(p / (1 - p)) + ln(1 + margin), which for
small p is the logarithm of the expected value; it is greedy, and blind to what a message costs later.

Source: the product of response and value of every ad auction, as Richardson, Dominowska & Ragno (WWW 2007) estimate
it; McMahan et al., Ad click prediction: a view from the trenches (KDD 2013), for the logistic model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agents.agent import Floats
from agents.baselines.linear import logistic, scorecard
from agents.baselines.pilot import Pilot
from agents.baselines.scored import (
    GAPS_HOURS,
    SENT_SHARES,
    Scored,
    best_scores,
    threshold_at,
    without_the_unseen,
)
from agents.designs import EMAIL, PUSH, Candidates
from policies.document import Document
from policies.vocabulary import N_USER_FEATURES, SLOT_FEATURES

MARGIN = 1 + N_USER_FEATURES + [feature.name for feature in SLOT_FEATURES].index("margin_eur")


class ExpectedValue(Scored):
    """A model of clicks, with the value of an order."""

    kind: Literal["expected_value"] = "expected_value"

    def document(self, log: Pilot) -> Document:
        """Return the policy that a pilot teaches."""
        design = Candidates(log.problem)
        heads = with_value(design, propensity_model(log, design, self.penalty))
        threshold = threshold_at(best_scores(log, design, heads), log.weights, self.sent_share)
        return self.around(self.kind, scorecard(design, heads), threshold, log.problem.n_slots)


GRID = tuple(ExpectedValue(sent_share=share, gap_hours=gap) for share in SENT_SHARES for gap in GAPS_HOURS)


def propensity_model(log: Pilot, design: Candidates, penalty: float) -> Floats:
    """Return weights by head, shape (3, D): 0 for silence, the logit of a click within the window for each channel.

    Raises:
        ValueError: nobody clicked.
    """
    if not log.clicks[log.is_send].any():
        raise ValueError(f"expected_value: expected clicks among the pilot's {int(log.is_send.sum())} sends, got none")
    rows, heads = design.taken(log.observations, log.actions)
    found = np.zeros((design.n_heads, design.n_inputs))
    for head in (PUSH, EMAIL):
        is_own = heads == head
        if is_own.any():
            has_clicked = (log.clicks[is_own] > 0).astype(np.float64)
            found[head] = logistic(rows[is_own], has_clicked, log.weights[is_own], penalty)
    return without_the_unseen(found, heads)


def with_value(design: Candidates, heads: Floats) -> Floats:
    """Return the weights with ln(1 + margin) added, which is how the margin is encoded, shape (3, D)."""
    found = heads.copy()
    for head in (PUSH, EMAIL):
        found[head, MARGIN] += design.scale[MARGIN - 1]
        found[head, 0] += design.mean[MARGIN - 1]
    return found
