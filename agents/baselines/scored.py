"""Send the candidate with the highest score if that beats a threshold: a model's scores and tuned knobs around them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
from pydantic import Field

from agents.agent import Floats, Ints, Observations
from agents.baselines.frequency import MOST_GAP_HOURS, MOST_PUSHES, NEVER_POINTS, Frequency, Hour
from agents.baselines.pilot import Pilot
from agents.designs import NO_SEND, Candidates
from agents.settings import Settings
from policies.document import Document, Scorecard

MOST_WINDOW_HOURS = 672
WINDOWS_HOURS = (24, 72, 168)
SENT_SHARES = (0.1, 0.25, 0.6)
GAPS_HOURS = (2, 8, 20, 44)
KNOBS = tuple(product(WINDOWS_HOURS, SENT_SHARES, GAPS_HOURS))
"""Windows, shares and gaps that each model is tried with. A pilot has to have these windows."""


class Scored(Settings):
    """What is tuned around a model's scores; the base of each such baseline's settings.

    Attributes:
        window_hours: within which outcomes after a decision count; one of the pilot's windows.
        sent_share: the threshold, as the share of the pilot's occasions at which the best candidate beats it.
        hours, gap_hours, pushes_per_week: see `Frequency`.
        penalty: of the model's ridge, in decisions.
    """

    needs_pilot: ClassVar[bool] = True
    window_hours: int = Field(24, ge=1, le=MOST_WINDOW_HOURS)
    sent_share: float = Field(0.3, gt=0, le=1)
    hours: tuple[Hour, ...] = ()
    gap_hours: float = Field(20.0, ge=0, le=MOST_GAP_HOURS)
    pushes_per_week: int | None = Field(None, ge=1, le=MOST_PUSHES)
    penalty: float = Field(10.0, gt=0, le=1e9)

    def around(self, name: str, model: Scorecard, threshold: float, n_slots: int) -> Document:
        """Return a model's scorecard with a threshold and the limits."""
        often = Frequency(hours=self.hours, gap_hours=self.gap_hours, pushes_per_week=self.pushes_per_week)
        model = replace(model, threshold=threshold, terms=model.terms + often.terms())
        return Document(name, n_slots, model, made_by="a pilot at random")


def threshold_at(best_scores: Floats, weights: Floats, sent_share: float) -> float:
    """Return the score that so large a share of occasions beats; one that all beat for a share of 1.

    Where no candidate may be sent at all it is 0, which none beats.

    Args:
        best_scores: of the best candidate at each occasion, shape (N,).
        weights: how many occasions each stands for, shape (N,).
    """
    order = np.argsort(-best_scores)
    beaten = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(beaten, sent_share * (1 - 1e-12)))
    # Where only an unseen channel is eligible, no threshold may be beaten.
    seen = best_scores[best_scores > NEVER_POINTS / 2]
    if not len(seen):
        return 0.0
    lowest = float(seen.min())
    following = float(best_scores[order[place + 1]]) if place + 1 < len(order) else -np.inf
    if sent_share >= 1.0 or following < lowest:
        return lowest - max(1.0, abs(lowest))
    # Half way to the next lower score, so that rounding does not decide.
    return (float(best_scores[order[place]]) + following) / 2


def candidate_scores(design: Candidates, observations: Observations, heads: Floats) -> Floats:
    """Return each action's x b less that of silence, shape (U, A); 0 for silence itself."""
    scores = design.of_actions(design.rows(observations) @ heads.T)
    found: Floats = scores - scores[:, :1]
    return found


def best_scores(log: Pilot, design: Candidates, heads: Floats) -> Floats:
    """Return the best eligible candidate's score at each occasion of a pilot, shape (N,)."""
    scores = candidate_scores(design, log.observations, heads)[:, 1:]
    found: Floats = np.where(log.masks[:, 1:], scores, -np.inf).max(axis=1)
    return found


def without_the_unseen(weights: Floats, heads: Ints) -> Floats:
    """Return weights by head in which a channel that a pilot never sent by is never chosen, shape (3, D).

    Args:
        heads: of the pilot's decisions, shape (N,).
    """
    found = weights.copy()
    for head in range(len(weights)):
        if head != NO_SEND and not (heads == head).any():
            found[head] = 0.0
            found[head, 0] = NEVER_POINTS
    return found
