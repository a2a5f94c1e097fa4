"""Expected value: the candidate whose click is worth most, p(click) times the margin of an order that follows.

The propensity is that of a click on the message itself. A pilot tells of clicks within a window, on whichever message,
and most would have been there without the one that was sent. A logistic regression on what follows silence says how
many, b(x); if the others are clicked as they would have been anyway, then

    1 - P(a click | x, a) = (1 - b(x)) (1 - p(x, a)),

so that (y - b(x)) / (1 - b(x)) has the mean p(x, a) where y says whether anything was clicked. A logistic regression of
these outcomes is a model of p. The score is ln(p / (1 - p)) + ln(1 + margin), which for
small p is the logarithm of the expected value; it is greedy, and blind to what a message costs later.

Source: the product of response and value of every ad auction, as Richardson, Dominowska & Ragno (WWW 2007) estimate
it; McMahan et al., Ad click prediction: a view from the trenches (KDD 2013), for the logistic model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agents.agent import Floats
from agents.baselines.frequency import NEVER_POINTS
from agents.baselines.linear import logistic, scorecard
from agents.baselines.pilot import Pilot
from agents.baselines.scored import (
    KNOBS,
    Scored,
    best_scores,
    threshold_at,
)
from agents.designs import EMAIL, NO_SEND, PUSH, Candidates
from policies.document import Document
from policies.vocabulary import N_USER_FEATURES, SLOT_FEATURES

MARGIN = 1 + N_USER_FEATURES + [feature.name for feature in SLOT_FEATURES].index("margin_eur")


class ExpectedValue(Scored):
    """A model of clicks, with the value of an order."""

    kind: Literal["expected_value"] = "expected_value"

    def document(self, log: Pilot) -> Document:
        """Return the policy that a pilot teaches."""
        design = Candidates(log.problem)
        heads = with_value(design, propensity_model(log, design, self.window_hours, self.penalty))
        threshold = threshold_at(best_scores(log, design, heads), log.weights, self.sent_share)
        return self.around(self.kind, scorecard(design, heads), threshold, log.problem.n_slots)


GRID = tuple(ExpectedValue(window_hours=hours, sent_share=share, gap_hours=gap) for hours, share, gap in KNOBS)


def propensity_model(log: Pilot, design: Candidates, window_hours: int, penalty: float) -> Floats:
    """Return weights by head, shape (3, D): 0 for silence, the logit of a click on the message itself by each channel.

    A channel whose sends bring no more clicks than silence does is never chosen; where both do not, nothing is sent.

    Args:
        window_hours: of the clicks; one of the pilot's.

    Raises:
        ValueError: nobody clicked after a send.

    Source: the noisy-or of independent causes, Pearl, Probabilistic Reasoning in Intelligent Systems (1988), chapter 4,
    solved for the one cause. The regression weighs a row by 1 - b(x), a modelling choice: where others are clicked
    nearly always little can be told, and its residual y - b - (1 - b) p stays within [-1, 1]. Weights that depend on x
    alone leave the estimate consistent.
    """
    if not log.clicks_within(window_hours)[log.is_send].any():
        n_sends = int(log.is_send.sum())
        raise ValueError(
            f"expected_value: expected clicks within {window_hours} hours after the pilot's {n_sends} sends, got none"
        )
    has_clicked = (log.clicks_within(window_hours) > 0).astype(np.float64)
    rows, heads = design.taken(log.observations, log.actions)
    silent = heads == NO_SEND
    of_silence = logistic(rows[silent], has_clicked[silent], log.weights[silent], penalty)
    own = slice(0, 1 + N_USER_FEATURES)
    others = 0.5 * (1.0 + np.tanh(0.5 * (rows[:, own] @ of_silence[own])))
    weights = log.weights * (1.0 - others)
    outcomes = (has_clicked - others) / (1.0 - others)
    found = np.zeros((design.n_heads, design.n_inputs))
    for head in (PUSH, EMAIL):
        is_own = heads == head
        if weights[is_own] @ outcomes[is_own] > 0:
            found[head] = logistic(rows[is_own], outcomes[is_own], weights[is_own], penalty)
        else:
            found[head, 0] = NEVER_POINTS
    return found


def with_value(design: Candidates, heads: Floats) -> Floats:
    """Return the weights with ln(1 + margin) added, which is how the margin is encoded, shape (3, D)."""
    found = heads.copy()
    for head in (PUSH, EMAIL):
        found[head, MARGIN] += design.scale[MARGIN - 1]
        found[head, 0] += design.mean[MARGIN - 1]
    return found
